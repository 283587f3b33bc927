//! Making rooms and getting into them: the pages' forms, and the same as JSON for programs.

use std::net::IpAddr;
use std::time::Instant;

use house::http::{Answer, answer, body, json, problem, retry_after};
use house::visitors;
use hyper::body::Incoming;
use hyper::header::{self};
use hyper::{Request, StatusCode};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use super::passes::{cookie, new_id, now};
use super::{Site, a_little_later, redirect, redirect_with_query, refusal, refused};
use crate::access::{self, Hashing, Pass};
use crate::backplane::{Listing, Refusal};
use crate::dialect::camus;
use crate::hub::room::{Record, Snapshot};
use crate::message::{PeerId, Profile, RoomId};

/// Characters in a room's or a user's name, at most.
const MAX_NAME: usize = 100;
/// Characters in a password, at most.
const MAX_PASSWORD: usize = 256;

/// The fields of the form for a room in which something may be wrong.
const NAME: &str = "room_name";
const PASSWORD: &str = "password";
const GUEST_LIMIT: &str = "guest_limit";

/// A wish for a room, from a form or as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    name: String,
    password: Option<String>,
    #[serde(default)]
    public: bool,
    guest_limit: Option<u32>,
}

/// A wish to be somebody in a room.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Introduction {
    password: Option<String>,
    username: Option<String>,
    token: Option<String>,
}

#[derive(Serialize)]
struct Made<'a> {
    slug: &'a str,
}

#[derive(Serialize)]
struct Client<'a> {
    id: &'a str,
    token: &'a str,
}

#[derive(Serialize)]
struct Rooms {
    rooms: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    slug: String,
    name: String,
    guests: usize,
    guest_limit: u32,
    password: bool,
}

impl From<Listing> for Listed {
    fn from(listing: Listing) -> Self {
        Self {
            slug: listing.room.name().to_owned(),
            name: listing.record.title,
            guests: listing.members,
            guest_limit: listing.record.limit,
            password: listing.record.password.is_some(),
        }
    }
}

/// Why somebody is not let in.
enum Shut {
    /// The room has a password, and none was given.
    PasswordNeeded,
    /// It was a wrong one.
    PasswordWrong,
    /// Too many were tried: wait so long.
    TooMany(std::time::Duration),
    /// What was shown proves nothing.
    Forbidden,
    /// The directory says no.
    Refused(Refusal),
}

impl From<Refusal> for Shut {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why a room is not made.
enum NotMade {
    /// The wish has something wrong in it: in which field of the form, and what.
    Invalid(&'static str, String),
    /// Too many were made from that address: wait so long.
    TooMany(std::time::Duration),
    /// The directory says no.
    Refused(Refusal),
}

impl NotMade {
    /// As programs read it.
    fn answer(self) -> Answer {
        match self {
            Self::Invalid(_, why) => problem(StatusCode::BAD_REQUEST, "invalid", &why),
            Self::TooMany(after) => retry_after(
                problem(StatusCode::TOO_MANY_REQUESTS, "too_many", "too many rooms made from this address"),
                after,
            ),
            Self::Refused(why) => refused(why),
        }
    }

    /// As people read it on the start page, where `wish` is shown again.
    fn in_words(self, wish: Wish) -> Complaint {
        let (status, field, why) = match self {
            Self::Invalid(field, why) => (StatusCode::BAD_REQUEST, field, format!("That cannot be: {why}.")),
            Self::TooMany(_) => {
                let why = "Those were many rooms: wait a minute, then go on.".to_owned();
                (StatusCode::TOO_MANY_REQUESTS, "", why)
            }
            Self::Refused(Refusal::Taken) => {
                let name = wish.name.trim();
                let why = format!("A room called “{name}” exists already: enter it, or take another name.");
                (StatusCode::CONFLICT, NAME, why)
            }
            Self::Refused(why) => {
                let words = "The room cannot be made just now: try again in a few seconds.".to_owned();
                (refusal(why).0, "", words)
            }
        };
        Complaint { status, field, why, wish }
    }
}

/// What is wrong with a form, if anything, for the page that shows it again.
#[derive(Default)]
pub(super) struct Complaint {
    status: StatusCode,
    /// The field that it is about; empty if it is about none.
    field: &'static str,
    why: String,
    /// What was filled in.
    wish: Wish,
}

/// What somebody shows at the door.
#[derive(Default)]
struct Credentials<'a> {
    /// A pass that was read from a cookie or a token.
    pass: Option<Pass>,
    password: Option<&'a str>,
}

/// A room as its door is opened: its creation number, and what is known of it.
struct Opened {
    made: u64,
    title: String,
    /// The pass that was shown, if it is one for this room.
    pass: Option<Pass>,
    seen: Option<Snapshot>,
}

impl Site {
    /// Makes the room that is wished for; its slug.
    async fn make(&self, wish: Wish, address: IpAddr) -> Result<String, NotMade> {
        let bad = |field: &'static str, why: &str| NotMade::Invalid(field, why.to_owned());
        let title = wish.name.trim();
        if title.chars().count() > MAX_NAME {
            return Err(bad(NAME, &format!("the name has more than {MAX_NAME} characters")));
        }
        let slug = camus::slug(title);
        let Some(room) = camus::room(&slug) else {
            return Err(bad(
                NAME,
                "the name needs at least one letter or digit, and at most 64 in its address",
            ));
        };
        let password = wish.password.filter(|password| !password.is_empty());
        if password.as_ref().is_some_and(|password| password.chars().count() > MAX_PASSWORD) {
            return Err(bad(PASSWORD, &format!("the password has more than {MAX_PASSWORD} characters")));
        }
        self.rooms_made.allow(address, Instant::now()).map_err(NotMade::TooMany)?;
        let password = match password {
            None => None,
            Some(password) => {
                let hash = access::hash(password).await;
                Some(hash.ok_or(NotMade::Refused(Refusal::Unavailable))?)
            }
        };
        let record = Record {
            made: rand::random_range(1..=u64::MAX),
            title: title.to_owned(),
            limit: wish.guest_limit.unwrap_or(self.settings.camus.guest_limit),
            password,
            public: wish.public,
        };
        self.router.backplane().make(&room, record).await.map_err(NotMade::Refused)?;
        Ok(slug)
    }

    /// Opens the door of `room`, or says why not.
    async fn open(&self, room: &RoomId, shown: Credentials<'_>, address: IpAddr) -> Result<Opened, Shut> {
        let asked = shown.pass.as_ref().map(|pass| pass.ids.as_slice()).unwrap_or_default();
        let Some(seen) = self.router.backplane().look(room, asked).await? else {
            // Whoever has a password means a room that had one, not an open one of its name.
            let locked = shown.password.is_some_and(|password| !password.is_empty());
            if locked || !self.router.creates_on_entry() {
                return Err(Refusal::NoRoom.into());
            }
            return Ok(Opened {
                made: 0,
                title: room.name().to_owned(),
                pass: shown.pass.filter(|pass| pass.made == 0),
                seen: None,
            });
        };
        let made = seen.record.made;
        let pass = shown.pass.filter(|pass| pass.made == made);
        if let (Some(hash), None) = (&seen.record.password, &pass) {
            let password = shown.password.ok_or(Shut::PasswordNeeded)?;
            if password.is_empty() {
                return Err(Shut::PasswordWrong);
            }
            let tries = (address, room.clone());
            let hashing = Hashing::comes().await.ok_or(Refusal::Unavailable)?;
            // Before it is known whether it fits: of those who ask at the same moment none is known yet.
            self.password_tries.allow(tries.clone(), Instant::now()).map_err(Shut::TooMany)?;
            let fits = password.chars().count() <= MAX_PASSWORD;
            if !fits || !hashing.matches(password.into(), hash.clone()).await {
                return Err(Shut::PasswordWrong);
            }
            self.password_tries.forgive(&tries);
        }
        let is_member = |pass: &Pass| pass.ids.iter().any(|id| seen.member(id).is_some());
        let most = seen.record.most(self.settings.rooms.max_members);
        if seen.members.len() >= most && !pass.as_ref().is_some_and(is_member) {
            return Err(Refusal::Full.into());
        }
        Ok(Opened { made, title: seen.record.title.clone(), pass, seen: Some(seen) })
    }

    pub(super) async fn home(&self, complaint: Option<Complaint>) -> Answer {
        let rooms = rows(self.public_rooms().await);
        let Complaint { status, field, why, wish } = complaint.unwrap_or_default();
        let guest_limit = wish.guest_limit.unwrap_or(self.settings.camus.guest_limit);
        let limits = context! {
            name => MAX_NAME,
            password => MAX_PASSWORD,
            guests => self.settings.rooms.max_members,
        };
        let Wish { name, public, .. } = wish;
        let context = context! {
            problem => why, wrong => field, room_name => name, public, guest_limit, limits, rooms
        };
        self.pages.render(status, "index.html", context)
    }

    pub(super) async fn public_rooms_page(&self) -> Answer {
        let rooms = self.public_rooms().await;
        self.pages.render(StatusCode::OK, "public.html", context! { rooms => rows(rooms) })
    }

    async fn public_rooms(&self) -> Vec<Listed> {
        let rooms = self.router.backplane().public_rooms(camus::NAME).await;
        rooms.unwrap_or_default().into_iter().map(Listed::from).collect()
    }

    pub(super) async fn make_room_from_form(&self, request: Request<Incoming>, address: IpAddr) -> Answer {
        let form = match body(request, self.settings.socket.head_timeout).await {
            Ok(form) => form,
            Err(answer) => return answer,
        };
        let mut wish = Wish::default();
        let mut odd = None;
        for (field, value) in form_urlencoded::parse(&form) {
            match &*field {
                NAME => wish.name = value.into_owned(),
                PASSWORD => wish.password = Some(value.into_owned()),
                "public" => wish.public = value.eq_ignore_ascii_case("yes"),
                GUEST_LIMIT if value.trim().is_empty() => {}
                GUEST_LIMIT => match value.trim().parse() {
                    Ok(limit) => wish.guest_limit = Some(limit),
                    Err(_) => odd = Some(format!("“{value}” is no guest limit: a whole number, 0 for none")),
                },
                _ => {}
            }
        }
        let again = Wish { name: wish.name.clone(), password: None, ..wish };
        let made = match odd {
            Some(why) => Err(NotMade::Invalid(GUEST_LIMIT, why)),
            None => self.make(Wish { name: wish.name, ..wish }, address).await,
        };
        match made {
            Ok(slug) => redirect(StatusCode::TEMPORARY_REDIRECT, &format!("/room/{slug}")),
            Err(not_made) => self.home(Some(not_made.in_words(again))).await,
        }
    }

    pub(super) async fn room_page_by_form(
        &self,
        request: Request<Incoming>,
        name: &str,
        address: IpAddr,
    ) -> Answer {
        let (parts, form) = request.into_parts();
        let form =
            match body(Request::from_parts(parts.clone(), form), self.settings.socket.head_timeout).await {
                Ok(form) => form,
                Err(answer) => return answer,
            };
        let password = form_urlencoded::parse(&form).find(|(field, _)| field == "password");
        let password = password.map(|(_, password)| password.into_owned()).unwrap_or_default();
        self.room_page(&Request::from_parts(parts, ()), name, Some(password), address).await
    }

    /// A page of the room's client, each time with an id of its own; `password` if a form was sent.
    pub(super) async fn room_page<B>(
        &self,
        request: &Request<B>,
        name: &str,
        password: Option<String>,
        address: IpAddr,
    ) -> Answer {
        let Some(room) = camus::room(name) else {
            let slug = camus::slug(name);
            return match camus::room(&slug) {
                Some(_) => redirect_with_query(&format!("/room/{slug}"), request.uri().query()),
                None => self.nothing_here(),
            };
        };
        let headers = request.headers();
        let shown = cookie(headers).and_then(|cookie| self.passes.read(&cookie, &room, now()));
        let shown = Credentials { pass: shown, password: password.as_deref() };
        let opened = match self.open(&room, shown, address).await {
            Ok(opened) => opened,
            Err(shut) => return self.shut_page(&room, &shut),
        };
        let id = new_id();
        let locked = opened.seen.as_ref().is_some_and(|seen| seen.record.password.is_some());
        let pass = self.pass_for(&room, opened.made, opened.pass, id.clone(), None);
        let token = self.passes.sign(&Pass { ids: vec![id.clone()], ..pass.clone() });
        let template = if self.settings.camus.static_dir.is_some() { "camus.html" } else { "room.html" };
        let mut answer = self.pages.render(
            StatusCode::OK,
            template,
            context! { slug => room.name(), name => opened.title, id => id.as_str(), token, locked },
        );
        let path = request.uri().path().to_owned();
        self.set_cookie(&mut answer, path, &pass, Self::came_securely(headers));
        answer
    }

    fn shut_page(&self, room: &RoomId, shut: &Shut) -> Answer {
        let form = |status, wrong: bool| {
            let context = context! { slug => room.name(), name => room.name(), wrong };
            self.pages.render(status, "password.html", context)
        };
        match shut {
            Shut::PasswordNeeded => form(StatusCode::OK, false),
            Shut::PasswordWrong => form(StatusCode::UNAUTHORIZED, true),
            Shut::TooMany(after) => retry_after(
                self.problem_page(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too many tries",
                    "Too many passwords were tried from this address. Wait a minute, then try again.",
                ),
                *after,
            ),
            Shut::Forbidden | Shut::Refused(Refusal::Gone | Refusal::Superseded | Refusal::Taken) => {
                self.problem_page(StatusCode::FORBIDDEN, "Not for you", "Reload the page to come in anew.")
            }
            Shut::Refused(Refusal::NoRoom) => {
                let title = "No such room";
                let text = "There is no room at this address, or it has ended. You can open one of the same name.";
                let context = context! { status => 404, title, text, room => room.name() };
                self.pages.render(StatusCode::NOT_FOUND, "problem.html", context)
            }
            Shut::Refused(Refusal::Full) => self.problem_page(
                StatusCode::IM_A_TEAPOT,
                "The room is full",
                "Guest limit already reached: as many people are in it as its maker wanted. Try again when somebody has left.",
            ),
            Shut::Refused(Refusal::Unavailable) => retry_after(
                self.problem_page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Just a moment",
                    "The server cannot let anybody in right now. Try again in a few seconds.",
                ),
                a_little_later(),
            ),
        }
    }

    pub(super) fn problem_page(&self, status: StatusCode, title: &str, text: &str) -> Answer {
        self.pages.render(status, "problem.html", context! { status => status.as_u16(), title, text })
    }

    pub(super) async fn list_rooms(&self) -> Answer {
        match self.router.backplane().public_rooms(camus::NAME).await {
            Ok(rooms) => {
                json(StatusCode::OK, &Rooms { rooms: rooms.into_iter().map(Listed::from).collect() })
            }
            Err(why) => refused(why),
        }
    }

    pub(super) async fn make_room(&self, request: Request<Incoming>, address: IpAddr) -> Answer {
        let wish = match self.read_json::<Wish>(request).await {
            Ok(wish) => wish,
            Err(answer) => return answer,
        };
        match self.make(wish, address).await {
            Ok(slug) => json(StatusCode::CREATED, &Made { slug: &slug }),
            Err(not_made) => not_made.answer(),
        }
    }

    /// An id and a token for a program, or for a page that lost its own: whoever has a token of this room needs no
    /// password, and keeps its id as long as that may come back.
    pub(super) async fn make_client(
        &self,
        request: Request<Incoming>,
        name: &str,
        address: IpAddr,
    ) -> Answer {
        let Some(room) = camus::room(name) else { return refused(Refusal::NoRoom) };
        let headers = request.headers().clone();
        let shown = cookie(&headers);
        if shown.is_some() && !visitors::origin_may_use_cookies(&headers, &self.settings.origins) {
            let why = "a page of another origin may not use this cookie";
            return problem(StatusCode::FORBIDDEN, "forbidden", why);
        }
        let introduction = match self.read_json::<Introduction>(request).await {
            Ok(introduction) => introduction,
            Err(answer) => return answer,
        };
        match self.introduce(&room, introduction, address).await {
            Ok((pass, id)) => {
                let token = self.passes.sign(&pass);
                let mut answer = json(StatusCode::CREATED, &Client { id: id.as_str(), token: &token });
                // A page has its token, and a cookie that keeps more ids than this one.
                if !headers.contains_key(header::ORIGIN) {
                    let path = format!("/room/{}", room.name());
                    self.set_cookie(&mut answer, path, &pass, Self::came_securely(&headers));
                }
                answer
            }
            Err(shut) => shut_out(&shut),
        }
    }

    async fn introduce(
        &self,
        room: &RoomId,
        introduction: Introduction,
        address: IpAddr,
    ) -> Result<(Pass, PeerId), Shut> {
        let token = match &introduction.token {
            None => None,
            Some(token) => Some(self.passes.read(token, room, now()).ok_or(Shut::Forbidden)?),
        };
        let made_before = token.as_ref().is_some_and(|pass| pass.made != 0);
        let shown = Credentials { pass: token, password: introduction.password.as_deref() };
        let opened = self.open(room, shown, address).await?;
        if made_before && opened.seen.is_none() {
            // Its room had an owner, and perhaps a password. An open one of the same name is not what was asked for.
            return Err(Refusal::NoRoom.into());
        }
        let gone = opened.seen.as_ref().map(|seen| seen.gone.as_slice()).unwrap_or_default();
        let known = opened.pass.as_ref().and_then(|pass| pass.ids.first()).filter(|id| !gone.contains(id));
        let id = known.cloned().unwrap_or_else(new_id);
        let username =
            introduction.username.map(|name| name.trim().chars().take(MAX_NAME).collect::<String>());
        let profile = username.filter(|name| !name.is_empty()).map(Profile::from);
        let pass = self.pass_for(room, opened.made, None, id.clone(), profile);
        Ok((pass, id))
    }

    async fn read_json<T: for<'a> Deserialize<'a> + Default>(
        &self,
        request: Request<Incoming>,
    ) -> Result<T, Answer> {
        let text = body(request, self.settings.socket.head_timeout).await?;
        if text.trim_ascii().is_empty() {
            return Ok(T::default());
        }
        serde_json::from_slice(&text).map_err(|e| {
            problem(StatusCode::BAD_REQUEST, "invalid", &format!("the body is not what is asked for: {e}"))
        })
    }

    /// A file of the original web app.
    pub(super) async fn camus_static(&self, file: &str) -> Answer {
        let Some(dir) = &self.settings.camus.static_dir else { return self.nothing_here() };
        let plain = std::path::Path::new(file)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        let read = if plain { tokio::fs::read(dir.join(file)).await.ok() } else { None };
        match read {
            Some(bytes) => {
                let kind = mime_guess::from_path(file).first_raw().unwrap_or("application/octet-stream");
                answer(StatusCode::OK, kind, bytes)
            }
            None => self.nothing_here(),
        }
    }
}

fn shut_out(shut: &Shut) -> Answer {
    match shut {
        Shut::PasswordNeeded => problem(
            StatusCode::UNAUTHORIZED,
            "password_needed",
            "this room has a password: give it as `password`",
        ),
        Shut::PasswordWrong => {
            problem(StatusCode::UNAUTHORIZED, "password_wrong", "that is not its password")
        }
        Shut::TooMany(after) => retry_after(
            problem(StatusCode::TOO_MANY_REQUESTS, "too_many", "too many passwords tried from this address"),
            *after,
        ),
        Shut::Forbidden => problem(StatusCode::FORBIDDEN, "forbidden", "this token opens nothing here"),
        Shut::Refused(Refusal::Unavailable) => refused(Refusal::Unavailable),
        Shut::Refused(why) => {
            let (status, error, message) = refusal(*why);
            problem(status, error, message)
        }
    }
}

/// The rooms as a page lists them.
fn rows(rooms: Vec<Listed>) -> Vec<Value> {
    let row = |Listed { slug, name, guests, guest_limit, password }| {
        context! { slug, name, guests, guest_limit, password }
    };
    rooms.into_iter().map(row).collect()
}
