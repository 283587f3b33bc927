//! What clients of the direct protocol ask for by HTTP: an identity, whether they have one, and that everybody goes.

use std::net::IpAddr;
use std::time::Instant;

use cookie::{Cookie, SameSite};
use house::http::{Answer, TEXT, answer, body, json, problem, retry_after};
use house::visitors;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::passes::{cookie_named, new_id, now};
use super::{Site, refused};
use crate::access::{Pass, is_same};
use crate::backplane::Refusal;
use crate::dialect::{direct, room_of};
use crate::message::{PeerId, RoomId};

/// The cookie with the plain name, which the client's page reads.
const USERNAME: &str = "user_username";
/// The cookie that proves it.
const PROOF: &str = "user_proof";
/// Bytes in a name, at most.
const MAX_NAME: usize = 64;

#[derive(Deserialize)]
struct Registration {
    username: String,
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'a str,
    message: &'a str,
}

/// Who a request is from, as its cookies say; whether that is so, the directory knows.
pub(super) struct Claimant {
    /// The name.
    pub peer: PeerId,
    /// The secret with which it was registered; `None` if a name alone is believed.
    owner: Option<PeerId>,
}

fn status(code: StatusCode, status: &str, message: &str) -> Answer {
    json(code, &Status { status, message })
}

fn registration(peer: &PeerId) -> RoomId {
    room_of(direct::NAME, peer.as_str())
}

/// What a name may be: what a cookie may carry (RFC 6265, 4.1.1).
fn check(name: &str) -> Result<(), &'static str> {
    let is_for_cookies =
        |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
    match name {
        "" => Err("username: empty; expected 1 to 64 characters"),
        name if name.len() > MAX_NAME => Err("username: too long; expected 1 to 64 characters"),
        name if !name.bytes().all(is_for_cookies) => Err(
            "username: expected letters, digits and signs of ASCII, without space, comma, semicolon, quote and backslash",
        ),
        _ => Ok(()),
    }
}

impl Site {
    /// Registers a name for whoever asks, if it is free, or was registered for that one too late to be told.
    pub(super) async fn direct_register(&self, request: Request<Incoming>, address: IpAddr) -> Answer {
        if let Some(foreign) = self.foreign_to_cookies(request.headers()) {
            return foreign;
        }
        if let Err(wait) = self.registrations.allow(address, Instant::now()) {
            let answer = problem(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many",
                "too many names registered: try again later",
            );
            return retry_after(answer, wait);
        }
        let headers = request.headers().clone();
        let text = match body(request, self.settings.socket.head_timeout).await {
            Ok(text) => text,
            Err(answer) => return answer,
        };
        let peer = match name_in(&text, headers.get(header::CONTENT_TYPE)) {
            Ok(name) => PeerId::new(name),
            Err(why) => return status(StatusCode::BAD_REQUEST, "INVALID", &why),
        };
        let secure = Self::came_securely(&headers);
        let proof = cookie_named(&headers, PROOF);
        // Who was told of a registration has its name too.
        let is_untold = cookie_named(&headers, USERNAME).is_none();
        let untold = proof.as_deref().filter(|_| is_untold);
        let owner = self.owner(&peer, untold).unwrap_or_else(new_id);
        let claimant = Claimant { peer, owner: Some(owner) };
        match self.is_registered(&claimant).await {
            Ok(true) => {
                let mut answer = status(StatusCode::OK, "SUCCESS", "");
                self.set_identity(&mut answer, &claimant, secure);
                answer
            }
            Ok(false) => status(StatusCode::OK, "TAKEN", "somebody has registered this name"),
            Err(why) => {
                let mut answer = refused(why);
                if is_untold {
                    // The name may be registered by now, or soon; by this whoever asks again is known.
                    self.set_proof(&mut answer, &claimant, secure);
                }
                answer
            }
        }
    }

    /// Whether the request is a registered user's.
    pub(super) async fn direct_user(&self, headers: &HeaderMap) -> Answer {
        if let Some(foreign) = self.foreign_to_cookies(headers) {
            return foreign;
        }
        let known = match self.claimant(headers) {
            Some(claimant) => match self.is_registered(&claimant).await {
                Ok(known) => known.then_some(claimant),
                Err(why) => return refused(why),
            },
            None => None,
        };
        if let Some(claimant) = known {
            let mut answer = answer(StatusCode::OK, TEXT, "");
            // For as long again.
            self.set_identity(&mut answer, &claimant, Self::came_securely(headers));
            return answer;
        }
        let mut answer =
            problem(StatusCode::NOT_FOUND, "unknown_user", "these cookies prove no registered user");
        if [USERNAME, PROOF].iter().all(|name| cookie_named(headers, name).is_none()) {
            // A page of another host may ask without them, and nobody is to lose those of a whole site by that.
            return answer;
        }
        let headers = answer.headers_mut();
        headers.insert("clear-site-data", HeaderValue::from_static("\"cookies\""));
        for name in [USERNAME, PROOF] {
            let mut expired = Cookie::build((name, "")).path("/").build();
            expired.make_removal();
            set(headers, &expired);
        }
        answer
    }

    /// Sends every active user away, on every node, for who shows the operator's token.
    pub(super) async fn direct_kick(&self, headers: &HeaderMap) -> Answer {
        let Some(token) = &self.settings.ops.token else { return self.nothing_here() };
        let shown = headers.get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
        let shown = shown
            .and_then(|shown| shown.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if !shown.is_some_and(|(_, shown)| is_same(shown.trim(), token.expose())) {
            let mut answer = problem(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "expected Authorization: Bearer and ops.token",
            );
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return answer;
        }
        match self.router.kick(direct::NAME).await {
            Ok(()) => answer(StatusCode::OK, TEXT, "success"),
            Err(why) => refused(why),
        }
    }

    /// Who the cookies of a request say that it is from, if they prove it.
    pub(super) fn claimant(&self, headers: &HeaderMap) -> Option<Claimant> {
        let peer = PeerId::new(cookie_named(headers, USERNAME)?);
        let owner = self.owner(&peer, cookie_named(headers, PROOF).as_deref());
        (owner.is_some() || self.settings.direct.trust_name).then_some(Claimant { peer, owner })
    }

    /// The secret that `proof` holds, if it is one for that name.
    fn owner(&self, peer: &PeerId, proof: Option<&str>) -> Option<PeerId> {
        self.passes.read(proof?, &registration(peer), now())?.ids.into_iter().next()
    }

    /// Whether the name is the claimant's: it is registered for it, or was, and is free.
    pub(super) async fn is_registered(&self, claimant: &Claimant) -> Result<bool, Refusal> {
        let Claimant { peer, owner } = claimant;
        let owner = owner.as_ref().map(PeerId::as_str);
        let lasts = self.settings.direct.registration;
        self.router.backplane().register(&registration(peer), owner, lasts).await
    }

    /// The answer to a page that may not use the cookies of this host.
    pub(super) fn foreign_to_cookies(&self, headers: &HeaderMap) -> Option<Answer> {
        // A picture or a link has no `Origin`, but what a browser asks for in the name of another site it says so of.
        let is_from_elsewhere = !headers.contains_key(header::ORIGIN)
            && headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        let is_fine = visitors::origin_may_use_cookies(headers, &self.settings.origins) && !is_from_elsewhere;
        let forbidden = || {
            problem(StatusCode::FORBIDDEN, "forbidden", "a page of another origin may not use these cookies")
        };
        (!is_fine).then(forbidden)
    }

    pub(super) fn set_identity(&self, answer: &mut Answer, claimant: &Claimant, secure: bool) {
        if claimant.owner.is_some() {
            let name = claimant.peer.as_str().to_owned();
            set(answer.headers_mut(), &self.cookie(USERNAME, name, false, secure));
            self.set_proof(answer, claimant, secure);
        }
    }

    fn set_proof(&self, answer: &mut Answer, claimant: &Claimant, secure: bool) {
        let Claimant { peer, owner: Some(owner) } = claimant else { return };
        let proof = Pass {
            room: registration(peer),
            made: 0,
            ids: vec![owner.clone()],
            profile: None,
            // The registration ends, and with it what this proves.
            expires: u64::MAX,
        };
        set(answer.headers_mut(), &self.cookie(PROOF, self.passes.sign(&proof), true, secure));
    }

    fn cookie(&self, name: &'static str, value: String, http_only: bool, secure: bool) -> Cookie<'static> {
        let lasts = cookie::time::Duration::try_from(self.settings.direct.registration).unwrap_or_default();
        let cookie = Cookie::build((name, value)).path("/").http_only(http_only).same_site(SameSite::Lax);
        cookie.secure(secure).max_age(lasts).build()
    }
}

/// The name that a request's body asks for, or what is wrong with it.
fn name_in(body: &[u8], kind: Option<&HeaderValue>) -> Result<String, String> {
    let is_form = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let read = if is_form {
        let username = form_urlencoded::parse(body).find(|(field, _)| field == "username");
        username.map(|(_, name)| name.into_owned()).ok_or_else(|| "username: missing".to_owned())
    } else {
        let registration = serde_json::from_slice::<Registration>(body);
        registration.map(|Registration { username }| username).map_err(|e| e.to_string())
    };
    let right = "expected {\"username\": a string}, as JSON or as a form";
    let name = read.map_err(|why| format!("{why}; {right}"))?;
    check(&name)?;
    Ok(name)
}

fn set(headers: &mut HeaderMap, cookie: &Cookie<'_>) {
    if let Ok(cookie) = HeaderValue::from_str(&cookie.to_string()) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_a_cookie_can_carry() {
        for name in ["a", "Alice-1_2.3!", "{x}", "../", &"x".repeat(64)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", "a b", "a;b", "a,b", "a\"b", "a\\b", "é", "a\n", "\u{7f}", &"x".repeat(65)] {
            assert!(check(name).is_err(), "{name:?}");
        }
    }
}
