//! The share protocol: the first of a room opens it, the others join it, and talk with that one only.

use std::borrow::Cow;

use futures_util::future::LocalBoxFuture;
use hyper::HeaderMap;
use serde::Deserialize;

use super::{Customs, Dialect, Heard, Newcomer, Pass, To};
use crate::connect::{Door, NotIn};
use crate::schedule::Word;

/// The address of the host of any room: nothing that comes from it has a name.
const HOST: &str = "host";
/// What is told of a host that has left, and to whoever speaks to it afterwards.
const HOST_LEFT: &str = "The host has left";

/// What is told of a user who has left.
const NOT_FOUND: &str = "User not found";

pub(super) struct Share;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    username: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    candidate: Option<&'a str>,
    #[serde(default)]
    roomid: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

fn is_host(who: &Newcomer) -> bool {
    who.peer.is_multiple_of(who.members.max(1))
}

fn user(who: &Newcomer) -> String {
    format!("user-{}", who.peer)
}

impl Dialect for Share {
    fn name(&self) -> &'static str {
        "share"
    }

    fn customs(&self) -> Customs {
        Customs { has_host: true, ..Customs::PLAIN }
    }

    fn knock<'a>(&'a self, who: &'a Newcomer, _: Door<'a>) -> LocalBoxFuture<'a, Result<Pass, NotIn>> {
        let address = if is_host(who) { HOST.into() } else { user(who) };
        Box::pin(async { Ok(Pass { path: "/ws".into(), headers: HeaderMap::new(), address }) })
    }

    fn greetings(&self, who: &Newcomer, room: &str) -> Vec<String> {
        let name = user(who);
        vec![if is_host(who) {
            format!(r#"{{"type":"CREATE_ROOM","username":"{name}"}}"#)
        } else {
            format!(r#"{{"type":"JOIN_ROOM","roomid":"{room}","username":"{name}"}}"#)
        }]
    }

    fn say(&self, _: &Newcomer, to: To<'_>, _: Word, payload: &str) -> String {
        let (before, user, after) = match to {
            To::Peer(user) if user != HOST => (r#""username":""#, user, r#"","#),
            To::Peer(_) | To::Room => ("", "", ""),
        };
        [r#"{"type":"ICE_CANDIDATE","#, before, user, after, r#""candidate":""#, payload, r#""}"#].concat()
    }

    fn hear<'a>(&self, frame: &'a str) -> Heard<'a> {
        let Ok(Frame { kind, username, candidate, roomid, message }) = serde_json::from_str(frame) else {
            return Heard::Other;
        };
        let why = message.unwrap_or_default();
        match &*kind {
            "ICE_CANDIDATE" => Heard::Said {
                from: username.unwrap_or(Cow::Borrowed(HOST)),
                payload: candidate.unwrap_or_default(),
            },
            "ROOM_CREATED" => Heard::Opened(roomid.unwrap_or_default()),
            "ROOM_JOINED" => Heard::Seated,
            "INVALID_ROOM_ID" | "INVALID_USERNAME" => Heard::Out(why),
            "ERROR" if why == HOST_LEFT || why.starts_with("Busy") => Heard::Out(why),
            // Which of them is not said.
            "ERROR" if why == NOT_FOUND => Heard::ToldOfAll(None),
            "ERROR" => match why.split_once(" did not get your message") {
                Some((user, _)) => Heard::Told(user.to_owned()),
                None => Heard::Refused(why),
            },
            _ => Heard::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_speak_to_the_host_and_the_host_to_users() {
        let say = |to| Share.say(&Newcomer::default(), To::Peer(to), Word::Candidate, "hello");
        assert_eq!(say(HOST), r#"{"type":"ICE_CANDIDATE","candidate":"hello"}"#);
        assert_eq!(say("user-7"), r#"{"type":"ICE_CANDIDATE","username":"user-7","candidate":"hello"}"#);
        assert_eq!(Share.hear(&say(HOST)), Heard::Said { from: HOST.into(), payload: "hello" });
        assert_eq!(Share.hear(&say("user-7")), Heard::Said { from: "user-7".into(), payload: "hello" });
    }

    #[test]
    fn the_first_opens_the_room_that_the_others_join() {
        let who = |peer| Newcomer { peer, members: 4, ..Newcomer::default() };
        assert_eq!(Share.greetings(&who(4), ""), [r#"{"type":"CREATE_ROOM","username":"user-4"}"#]);
        let join = r#"{"type":"JOIN_ROOM","roomid":"ab12","username":"user-5"}"#;
        assert_eq!(Share.greetings(&who(5), "ab12"), [join]);
        let created = r#"{"type":"ROOM_CREATED","roomid":"ab12"}"#;
        assert_eq!(Share.hear(created), Heard::Opened("ab12".into()));
    }

    #[test]
    fn the_servers_words_are_understood() {
        let hear = |message: &str| {
            format!("{:?}", Share.hear(&format!(r#"{{"type":"ERROR","message":"{message}"}}"#)))
        };
        assert_eq!(hear(HOST_LEFT), r#"Out("The host has left")"#);
        assert_eq!(hear(NOT_FOUND), "ToldOfAll(None)");
        assert_eq!(hear("user-7 did not get your message (full)"), r#"Told("user-7")"#);
    }
}
