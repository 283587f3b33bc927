//! Passes in requests and answers: the cookie that keeps a browser's last ids in a room, and tokens.

use std::time::SystemTime;

use cookie::{Cookie, SameSite};
use house::cors;
use house::http::{Answer, problem};
use house::visitors;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, StatusCode};

use super::Site;
use crate::access::Pass;
use crate::message::{PeerId, Profile, RoomId};
use crate::router::Wish;

/// The cookie that keeps a browser's last ids in one room.
const COOKIE: &str = "switchboard_pass";
/// How a proxy says what the page came over. It is believed from anybody: who lies gets a cookie of no use to them.
pub(super) const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The pass in a request's cookies.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    cookie_named(headers, COOKIE)
}

/// The value of a cookie.
pub(super) fn cookie_named(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| Cookie::split_parse(line.to_owned())).flatten();
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// 32 hex digits that nobody had before.
pub(super) fn new_id() -> PeerId {
    PeerId::new(format!("{:032x}", rand::random::<u128>()))
}

impl From<Pass> for Wish {
    fn from(Pass { room, made, ids, profile, expires: _ }: Pass) -> Self {
        Self { room, made, candidates: ids, profile }
    }
}

impl Site {
    /// The pass of a request: its token, or its cookie if the page may use that.
    pub(super) fn pass(
        &self,
        headers: &HeaderMap,
        room: &RoomId,
        token: Option<&str>,
    ) -> Result<Pass, Answer> {
        let forbidden = |why| problem(StatusCode::FORBIDDEN, "forbidden", why);
        let now = now();
        let origin_is_fine = visitors::origin_may_use_cookies(headers, &self.settings.origins);
        if let Some(token) = token {
            self.listed_origin(headers)?;
            let pass = self.passes.read(token, room, now);
            return pass.ok_or_else(|| forbidden("this token opens nothing here: get another"));
        }
        let cookie = cookie(headers).ok_or_else(|| {
            forbidden(
                "no cookie and no token: get one from the room's page, or POST /api/rooms/{slug}/clients",
            )
        })?;
        if !origin_is_fine {
            return Err(forbidden("a page of another origin may not use this cookie"));
        }
        let pass = self.passes.read(&cookie, room, now);
        pass.ok_or_else(|| forbidden("this cookie opens nothing here: reload the page"))
    }

    /// Fails for pages of other hosts than those in `origins`, where some are listed.
    pub(super) fn listed_origin(&self, headers: &HeaderMap) -> Result<(), Answer> {
        match cors::Asker::of(headers, &self.settings.origins) {
            cors::Asker::Foreign => Err(cors::foreign()),
            _ => Ok(()),
        }
    }

    fn expiry(&self) -> u64 {
        now() + self.settings.session.ttl.as_secs()
    }

    /// A pass for `room` that keeps the ids of `older`, with `id` as its newest.
    pub(super) fn pass_for(
        &self,
        room: &RoomId,
        made: u64,
        older: Option<Pass>,
        id: PeerId,
        profile: Option<Profile>,
    ) -> Pass {
        let ids = older.map(|older| older.ids).unwrap_or_default();
        let mut pass = Pass { room: room.clone(), made, ids, profile, expires: self.expiry() };
        pass.ids.retain(|known| *known != id);
        pass.with(id)
    }

    pub(super) fn set_cookie(&self, answer: &mut Answer, path: String, pass: &Pass, secure: bool) {
        let ttl = cookie::time::Duration::try_from(self.settings.session.ttl).unwrap_or_default();
        let cookie = Cookie::build((COOKIE, self.passes.sign(pass)))
            .path(path)
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(secure)
            .max_age(ttl);
        if let Ok(cookie) = HeaderValue::from_str(&cookie.to_string()) {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }

    /// Whether the page came over HTTPS, to this node or to a proxy in front of it.
    pub(super) fn came_securely(headers: &HeaderMap) -> bool {
        headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https")
    }
}
