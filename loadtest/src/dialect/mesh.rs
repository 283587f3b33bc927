//! The mesh protocol: everybody is in one lobby, under an id that the server makes for each connection.

use std::borrow::Cow;

use futures_util::future::LocalBoxFuture;
use hyper::HeaderMap;
use serde::Deserialize;

use super::{Dialect, Heard, Newcomer, Pass, To, name_of};
use crate::connect::{Door, NotIn};
use crate::schedule::Word;

pub(super) struct Mesh;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default)]
    user: Option<User<'a>>,
    #[serde(borrow, default)]
    said: &'a str,
    #[serde(default)]
    gone: Option<String>,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Dialect for Mesh {
    fn name(&self) -> &'static str {
        "mesh"
    }

    fn knock<'a>(&'a self, _: &'a Newcomer, _: Door<'a>) -> LocalBoxFuture<'a, Result<Pass, NotIn>> {
        let pass = Pass { path: "/mesh".into(), headers: HeaderMap::new(), address: String::new() };
        Box::pin(async { Ok(pass) })
    }

    fn greetings(&self, who: &Newcomer, _: &str) -> Vec<String> {
        vec![format!(r#"{{"type":"CONFIRM_ID","payload":{{"name":"{}"}}}}"#, name_of(who))]
    }

    fn say(&self, _: &Newcomer, to: To<'_>, word: Word, payload: &str) -> String {
        let target = match to {
            To::Peer(address) => address,
            To::Room => "",
        };
        let kind = match word {
            Word::Offer => "OFFER",
            Word::Answer => "ANSWER",
            Word::Candidate | Word::Text => "CANDIDATE",
        };
        format!(r#"{{"type":"{kind}","payload":{{"said":"{payload}"}},"target":{{"id":"{target}"}}}}"#)
    }

    fn hear<'a>(&self, frame: &'a str) -> Heard<'a> {
        let Ok(Frame { kind, payload }) = serde_json::from_str(frame) else { return Heard::Other };
        let Payload { user, said, gone, message } = payload;
        match (&*kind, user, gone) {
            ("CONFIRM_ID", Some(user), _) => Heard::SeatedAs(user.id.into_owned()),
            ("OFFER" | "ANSWER" | "CANDIDATE", Some(user), _) => Heard::Said { from: user.id, payload: said },
            // One for all that were on their way when its connection broke.
            ("CLIENTS", _, Some(gone)) => Heard::ToldOfAll(Some(gone)),
            ("ERROR", ..) => Heard::Refused(message),
            _ => Heard::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_addressed_and_read_back() {
        let frame = Mesh.say(&Newcomer::default(), To::Peer("b"), Word::Offer, "hello");
        assert_eq!(frame, r#"{"type":"OFFER","payload":{"said":"hello"},"target":{"id":"b"}}"#);
        let frame = r#"{"type":"OFFER","payload":{"user":{"id":"a","name":null},"said":"hello"}}"#;
        assert_eq!(Mesh.hear(frame), Heard::Said { from: "a".into(), payload: "hello" });
    }

    #[test]
    fn the_servers_words_are_understood() {
        let confirmed = r#"{"type":"CONFIRM_ID","payload":{"user":{"id":"a","name":"Ada"}}}"#;
        assert_eq!(Mesh.hear(confirmed), Heard::SeatedAs("a".into()));
        let gone = r#"{"type":"CLIENTS","payload":{"clients":[],"gone":"b"}}"#;
        assert_eq!(Mesh.hear(gone), Heard::ToldOfAll(Some("b".into())));
        let joined = r#"{"type":"JOIN","payload":{"user":{"id":"b","name":null}}}"#;
        assert_eq!(Mesh.hear(joined), Heard::Other);
    }
}
