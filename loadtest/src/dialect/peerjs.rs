//! The peerjs protocol: a name that the peer chooses, then frames with their destinations.

use std::borrow::Cow;

use futures_util::future::LocalBoxFuture;
use hyper::HeaderMap;
use serde::Deserialize;

use super::{Dialect, Heard, Newcomer, Pass, To, name_of};
use crate::connect::{Door, NotIn};
use crate::schedule::Word;

pub(super) struct Peerjs;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    src: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<Payload<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Payload<'a> {
    Said(&'a str),
    Why { msg: String },
}

impl Dialect for Peerjs {
    fn name(&self) -> &'static str {
        "peerjs"
    }

    fn knock<'a>(&'a self, who: &'a Newcomer, _: Door<'a>) -> LocalBoxFuture<'a, Result<Pass, NotIn>> {
        let (address, token) = (name_of(who), rand::random::<u64>());
        let path = format!("/peerjs?key=peerjs&id={address}&token={token:x}");
        Box::pin(async { Ok(Pass { path, headers: HeaderMap::new(), address }) })
    }

    fn greetings(&self, _: &Newcomer, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn say(&self, _: &Newcomer, to: To<'_>, word: Word, payload: &str) -> String {
        let dst = match to {
            To::Peer(address) => address,
            To::Room => "",
        };
        let kind = match word {
            Word::Offer => "OFFER",
            Word::Answer => "ANSWER",
            Word::Candidate | Word::Text => "CANDIDATE",
        };
        [r#"{"type":""#, kind, r#"","dst":""#, dst, r#"","payload":""#, payload, r#""}"#].concat()
    }

    fn hear<'a>(&self, frame: &'a str) -> Heard<'a> {
        let Ok(Frame { kind, src, payload }) = serde_json::from_str(frame) else { return Heard::Other };
        match (&*kind, payload) {
            ("OFFER" | "ANSWER" | "CANDIDATE", Some(Payload::Said(payload))) => {
                Heard::Said { from: src, payload }
            }
            ("OFFER" | "ANSWER" | "CANDIDATE", _) => Heard::Said { from: src, payload: "" },
            ("OPEN", _) => Heard::Seated,
            // One for all that waited.
            ("EXPIRE", _) => Heard::ToldOfAll(Some(src.into_owned())),
            ("ID-TAKEN" | "ERROR", Some(Payload::Why { msg })) => Heard::Out(msg),
            _ => Heard::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_addressed_and_read_back() {
        let frame = Peerjs.say(&Newcomer::default(), To::Peer("bob"), Word::Candidate, "hello");
        assert_eq!(frame, r#"{"type":"CANDIDATE","dst":"bob","payload":"hello"}"#);
        let frame = r#"{"type":"CANDIDATE","src":"ada","dst":"bob","payload":"hello"}"#;
        assert_eq!(Peerjs.hear(frame), Heard::Said { from: "ada".into(), payload: "hello" });
    }

    #[test]
    fn the_servers_words_are_understood() {
        assert_eq!(Peerjs.hear(r#"{"type":"OPEN"}"#), Heard::Seated);
        let expire = r#"{"type":"EXPIRE","src":"bob","dst":"ada"}"#;
        assert_eq!(Peerjs.hear(expire), Heard::ToldOfAll(Some("bob".into())));
        let taken = r#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#;
        assert_eq!(Peerjs.hear(taken), Heard::Out("ID is taken".into()));
        assert_eq!(Peerjs.hear("nonsense"), Heard::Other);
    }
}
