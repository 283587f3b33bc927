//! The camus protocol: an id and a token by HTTP, then frames of sender, receiver, type and data.

use std::borrow::Cow;

use futures_util::future::LocalBoxFuture;
use hyper::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Customs, Dialect, Heard, Newcomer, Pass, Says, To, room_of};
use crate::connect::{Door, NotIn};
use crate::schedule::Word;

/// The server's own address.
const SERVER: &str = "ground control";
/// The address of everybody in the room.
const ROOM: &str = "room";
/// A room that is made by entering it takes no more than this, unless its server is told otherwise.
const MADE_BY_ENTERING: u32 = 100;
/// What an error begins with that is about a message to somebody.
const NOT_DELIVERED: &str = "Not delivered: ";

pub(super) struct Camus;

#[derive(Deserialize)]
struct Client {
    id: String,
    token: String,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    sender: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn to_server(kind: &str, data: &str) -> String {
    format!(r#"{{"receiver":"{SERVER}","type":"{kind}","data":{data}}}"#)
}

impl Dialect for Camus {
    fn name(&self) -> &'static str {
        "camus"
    }

    fn customs(&self) -> Customs {
        Customs { speech: Says::ToPeerOrRoom, room_hears_speaker: true, keeps_places: true, ..Customs::PLAIN }
    }

    fn prepare<'a>(&'a self, first: &'a Newcomer, door: Door<'a>) -> LocalBoxFuture<'a, Result<(), NotIn>> {
        Box::pin(async move {
            if first.members > MADE_BY_ENTERING {
                let wish = json!({ "name": room_of(first), "guest_limit": first.members });
                door.post("/api/rooms", Some(wish.to_string())).await?;
            }
            Ok(())
        })
    }

    fn knock<'a>(&'a self, who: &'a Newcomer, door: Door<'a>) -> LocalBoxFuture<'a, Result<Pass, NotIn>> {
        Box::pin(async move {
            let slug = room_of(who);
            let reply = door.post(&format!("/api/rooms/{slug}/clients"), None).await?;
            let client: Client = serde_json::from_slice(&reply.body)
                .map_err(|why| NotIn::Broken(format!("no id and token in the answer: {why}")))?;
            let path = format!("/room/{slug}/ws?token={}", client.token);
            Ok(Pass { path, headers: HeaderMap::new(), address: client.id })
        })
    }

    fn greetings(&self, who: &Newcomer, _: &str) -> Vec<String> {
        let asked: &[&str] = match who.asks_for_roster {
            true => &["ping", "get-ice-servers", "get-room-info"],
            false => &["ping"],
        };
        asked.iter().map(|kind| to_server(kind, "0")).collect()
    }

    fn say(&self, _: &Newcomer, to: To<'_>, word: Word, payload: &str) -> String {
        let receiver = match to {
            To::Peer(address) => address,
            To::Room => ROOM,
        };
        let kind = match word {
            Word::Offer => "offer",
            Word::Answer => "answer",
            Word::Candidate => "icecandidate",
            Word::Text => "text",
        };
        [r#"{"receiver":""#, receiver, r#"","type":""#, kind, r#"","data":""#, payload, r#""}"#].concat()
    }

    fn hear<'a>(&self, frame: &'a str) -> Heard<'a> {
        let Ok(Frame { sender, kind, data }) = serde_json::from_str(frame) else { return Heard::Other };
        if sender != SERVER {
            // A `bye` is the server's own word for one that has left.
            return if kind == "bye" { Heard::Other } else { said(sender, data) };
        }
        match &*kind {
            "pong" => Heard::Seated,
            "ping" => Heard::Ping(to_server("pong", data.get())),
            "error" => complaint(data),
            _ => Heard::Other,
        }
    }
}

fn said<'a>(from: Cow<'a, str>, data: &'a RawValue) -> Heard<'a> {
    let payload = data.get().strip_prefix('"').and_then(|data| data.strip_suffix('"'));
    Heard::Said { from, payload: payload.unwrap_or_default() }
}

fn complaint(data: &RawValue) -> Heard<'static> {
    let why: String = serde_json::from_str(data.get()).unwrap_or_else(|_| data.get().to_owned());
    let is_id = |word: &&str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let address = why.strip_prefix(NOT_DELIVERED).and_then(|why| why.split(' ').find(is_id));
    match address {
        Some(address) => Heard::Told(address.to_owned()),
        None => Heard::Refused(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_message_is_addressed_and_read_back() {
        let frame = Camus.say(&Newcomer::default(), To::Peer(BOB), Word::Candidate, "hello");
        assert_eq!(frame, format!(r#"{{"receiver":"{BOB}","type":"icecandidate","data":"hello"}}"#));
        let frame = r#"{"sender":"a11ce","receiver":"b0b","type":"icecandidate","data":"hello"}"#;
        assert_eq!(Camus.hear(frame), Heard::Said { from: "a11ce".into(), payload: "hello" });
    }

    #[test]
    fn the_servers_words_are_understood() {
        let hear = |kind: &str, data: &str| {
            let frame =
                format!(r#"{{"sender":"ground control","receiver":"b0b","type":"{kind}","data":{data}}}"#);
            match Camus.hear(&frame) {
                Heard::Ping(answer) => answer,
                other => format!("{other:?}"),
            }
        };
        assert_eq!(hear("pong", "0"), "Seated");
        assert_eq!(hear("room-info", "{}"), "Other");
        assert_eq!(hear("ping", "17"), r#"{"receiver":"ground control","type":"pong","data":17}"#);
        assert_eq!(
            hear("error", &format!(r#""Not delivered: no client {BOB} in this room""#)),
            format!("Told({BOB:?})")
        );
        assert_eq!(hear("error", r#""Busy: later""#), r#"Refused("Busy: later")"#);
        assert_eq!(Camus.hear("nonsense"), Heard::Other);
    }
}
