//! The y-webrtc protocol: all in a room are subscribed to its topic, and each hears what anybody publishes there.

use std::borrow::Cow;

use futures_util::future::LocalBoxFuture;
use hyper::HeaderMap;
use serde::Deserialize;

use super::{Customs, Dialect, Heard, Newcomer, Pass, Says, To, name_of, room_of};
use crate::connect::{Door, NotIn};
use crate::schedule::Word;

pub(super) struct YWebrtc;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    from: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a str>,
}

impl Dialect for YWebrtc {
    fn name(&self) -> &'static str {
        "y-webrtc"
    }

    fn customs(&self) -> Customs {
        Customs { speech: Says::ToRoom, room_hears_speaker: true, forgets: true, ..Customs::PLAIN }
    }

    fn knock<'a>(&'a self, who: &'a Newcomer, _: Door<'a>) -> LocalBoxFuture<'a, Result<Pass, NotIn>> {
        let pass = Pass { path: "/y-webrtc".into(), headers: HeaderMap::new(), address: name_of(who) };
        Box::pin(async { Ok(pass) })
    }

    fn greetings(&self, who: &Newcomer, _: &str) -> Vec<String> {
        let subscribe = format!(r#"{{"type":"subscribe","topics":["{}"]}}"#, room_of(who));
        // It is acted on when the subscription is in force.
        vec![subscribe, r#"{"type":"ping"}"#.into()]
    }

    fn say(&self, who: &Newcomer, _: To<'_>, _: Word, payload: &str) -> String {
        let (topic, from) = (room_of(who), name_of(who));
        format!(r#"{{"type":"publish","topic":"{topic}","from":"{from}","data":"{payload}"}}"#)
    }

    fn hear<'a>(&self, frame: &'a str) -> Heard<'a> {
        let Ok(Frame { kind, from, data }) = serde_json::from_str(frame) else { return Heard::Other };
        match &*kind {
            "publish" => Heard::Said { from, payload: data.unwrap_or_default() },
            "pong" => Heard::Seated,
            _ => Heard::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read_back() {
        let who = Newcomer { run: 7, peer: 3, room: 1, ..Newcomer::default() };
        let frame = YWebrtc.say(&who, To::Room, Word::Text, "hello");
        let expected =
            r#"{"type":"publish","topic":"load-00000007-1","from":"load-00000007-3","data":"hello"}"#;
        assert_eq!(frame, expected);
        let from = "load-00000007-3".into();
        assert_eq!(YWebrtc.hear(&frame), Heard::Said { from, payload: "hello" });
        assert_eq!(YWebrtc.hear(r#"{"type":"pong"}"#), Heard::Seated);
    }
}
