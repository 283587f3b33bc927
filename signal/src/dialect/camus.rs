#![doc = include_str!("../../docs/camus.md")]

mod v1;

use std::borrow::Cow;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Away, Customs, Dialect, Door, Knock, Names, Takeover, json};
use crate::message::{
    Command, Event, Frame, IceServer, Parting, PeerId, Receipt, RoomId, Speaker, To, Undelivered,
};

/// The camus protocol.
#[derive(Debug)]
pub struct Camus;

/// Its name.
pub const NAME: &str = "camus";
/// The server's own address.
const SERVER: &str = "ground control";
/// The address of everybody in the room.
const ROOM: &str = "room";
/// Characters in a user name, at most.
const MAX_USERNAME: usize = 100;
/// Characters in a slug, at most.
const MAX_SLUG: usize = 64;

static CUSTOMS: Customs = Customs {
    away: Away::Parked,
    default_profile: "Major Tom",
    listed_by_first_message: true,
    announces_session: false,
    host: None,
    names: Names::OfRoom,
    takeover: Takeover::ByToken,
    hurries_receipts: false,
};

/// The room of this slug; `None` if no room can have it: a slug is 1 to 64 of `a-z`, `0-9` and `-`.
pub fn room(slug: &str) -> Option<RoomId> {
    let fits = (1..=MAX_SLUG).contains(&slug.len())
        && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    fits.then(|| RoomId::of(NAME, slug))
}

/// The slug of a room's name: what is left of it in an address. Empty if nothing is.
pub fn slug(name: &str) -> String {
    slug::slugify(name)
}

/// A frame from a client. What it says of its sender is not read: the server knows who it is.
#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    receiver: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Username {
    username: String,
}

#[derive(Serialize)]
struct Client<'a> {
    id: &'a str,
    username: &'a str,
}

#[derive(Serialize)]
struct RoomInfo<'a> {
    room_id: &'a str,
    clients: Vec<Client<'a>>,
}

#[derive(Serialize)]
struct Ice<'a> {
    urls: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    kind: &'static str,
}

impl Dialect for Camus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn customs(&self) -> &Customs {
        &CUSTOMS
    }

    fn door(&self, knock: &Knock<'_>) -> Option<Door> {
        let token = form_urlencoded::parse(knock.query.as_bytes())
            .find(|(key, _)| key == "token")
            .map(|(_, token)| token.into_owned());
        Some(Door::Room { room: room(knock.name)?, token })
    }

    fn decode(&self, _: &Speaker, text: &str) -> Command {
        match read(text) {
            Ok(incoming) => obey(&incoming, None),
            Err(why) => refuse(&why),
        }
    }

    fn subprotocol(&self, name: &str) -> Option<&'static dyn Dialect> {
        (name == v1::NAME).then_some(&v1::V1 as &dyn Dialect)
    }

    fn decode_binary(&self, _: &Speaker, _: &[u8]) -> Command {
        refuse("Not a message: binary frame; send JSON in a text frame")
    }

    /// Who only drops may come back.
    fn parting(&self, peer: &PeerId, how: Parting, at: u64) -> Vec<Frame> {
        match how {
            Parting::OnPurpose => vec![frame(peer.as_str(), "bye", &at.to_string())],
            Parting::Dropped => Vec::new(),
        }
    }

    fn encode(&self, event: &Event<'_>) -> Option<Frame> {
        Some(match event {
            Event::Told { from, kind, payload, .. } => {
                frame(from.as_str(), kind, payload.map_or("null", |data| data.get()))
            }
            Event::Roster { room, peers } => {
                let clients = peers.iter().map(|(id, name)| Client { id: id.as_str(), username: name });
                from_server("room-info", &json(&RoomInfo { room_id: room, clients: clients.collect() }))
            }
            Event::IceServers(servers) => {
                from_server("ice-servers", &json(&servers.iter().map(ice).collect::<Vec<_>>()))
            }
            Event::AreYouThere { at } => from_server("ping", &at.to_string()),
            Event::Removed { at } => from_server("bye", &at.to_string()),
            Event::Undelivered { to, why, id: None } => error(&undelivered(to, *why)),
            Event::Undelivered { to, why, id: Some(id) } => v1::undeliverable(id, to, *why),
            Event::Accepted { id } => v1::accepted(id),
            // Who speaks plain camus does not expect them.
            Event::Session { .. } | Event::GoingAway { .. } => return None,
            Event::Busy => error("Busy: the server cannot do that just now; try again in a few seconds"),
            // A client finds that out by itself, or hears it before it has a socket.
            Event::Seated | Event::NotSeated(_) | Event::Entered { .. } | Event::Out => return None,
        })
    }
}

/// The message in `text`, or what is wrong with it.
fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    super::read(text, "an object with strings `receiver` and `type`")
        .map_err(|why| format!("Not a message: {why}"))
}

/// What a message asks for, which its sender calls `id`.
fn obey(incoming: &Incoming<'_>, id: Option<&str>) -> Command {
    if incoming.receiver == SERVER { to_server(incoming) } else { relay(incoming, id) }
}

fn to_server(incoming: &Incoming<'_>) -> Command {
    match &*incoming.kind {
        "ping" => Command::Answer(from_server("pong", incoming.data.map_or("null", |data| data.get()))),
        "pong" | "greeting" => Command::Noted,
        "get-room-info" => Command::Roster,
        "get-ice-servers" => Command::IceServers,
        "profile" => rename(incoming.data),
        "bye" => Command::Leave,
        unknown => refuse(&format!("Unknown message type: {unknown}")),
    }
}

fn rename(data: Option<&RawValue>) -> Command {
    let object = data.map(RawValue::get).filter(|data| data.starts_with('{')).unwrap_or_default();
    let Ok(Username { username }) = serde_json::from_str(object) else {
        return refuse("profile: expected data {\"username\": a string}");
    };
    if username.chars().count() > MAX_USERNAME {
        return refuse(&format!("profile: data.username has more than {MAX_USERNAME} characters"));
    }
    if username.trim().is_empty() { Command::Noted } else { Command::Rename(username.into()) }
}

fn relay(incoming: &Incoming<'_>, id: Option<&str>) -> Command {
    let to = match &*incoming.receiver {
        ROOM => To::Everyone,
        peer => To::Peer(PeerId::new(peer)),
    };
    // The web client says `bye` to each that leaves, after it has left.
    let receipt = if incoming.kind == "bye" { Receipt::Drop } else { Receipt::TellSender };
    Command::Tell {
        to,
        kind: incoming.kind.as_ref().into(),
        payload: incoming.data.map(ToOwned::to_owned),
        receipt,
        id: id.map(Into::into),
    }
}

fn ice(server: &IceServer) -> Ice<'_> {
    match server {
        IceServer::Stun { urls } => Ice { urls, username: None, credential: None, kind: "stun" },
        IceServer::Turn { urls, username, credential } => {
            Ice { urls, username: Some(username), credential: Some(credential), kind: "turn" }
        }
    }
}

fn undelivered(to: &PeerId, why: Undelivered) -> String {
    let to = shorten(to.as_str());
    match why {
        Undelivered::Absent => format!("Not delivered: no client {to} in this room"),
        Undelivered::Full => format!("Not delivered: too much waits for client {to} already"),
        Undelivered::Expired => format!("Not delivered: client {to} did not come back"),
        Undelivered::Unreachable => format!("Not delivered: client {to} cannot be reached"),
    }
}

/// A receiver is whatever a client wrote: enough of it to be recognized.
fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

fn refuse(why: &str) -> Command {
    Command::Answer(error(why))
}

fn error(why: &str) -> Frame {
    from_server("error", &json(why))
}

fn from_server(kind: &str, data: &str) -> Frame {
    frame(SERVER, kind, data)
}

/// `{"sender", "receiver", "type", "data"}`, in this order, open at the receiver.
fn frame(sender: &str, kind: &str, data: &str) -> Frame {
    let mut after = String::with_capacity(32 + kind.len() + data.len());
    let _ = write!(after, ",\"type\":{},\"data\":{data}}}", json(kind));
    Frame::around_receiver(&format!("{{\"sender\":{},\"receiver\":", json(sender)), &after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::message::Seat;

    fn major_tom() -> Speaker {
        Speaker { room: RoomId::of(NAME, "capsule"), peer: PeerId::new("t0m"), seat: Seat(1) }
    }

    fn decode(text: &str) -> Command {
        Camus.decode(&major_tom(), text)
    }

    fn answer(text: &str) -> Value {
        let Command::Answer(frame) = decode(text) else { panic!("{text} is not answered by the dialect") };
        read_as(&frame, "t0m")
    }

    fn read_as(frame: &Frame, receiver: &str) -> Value {
        serde_json::from_slice(&frame.to(&PeerId::new(receiver))).unwrap()
    }

    fn why(text: &str) -> String {
        let answer = answer(text);
        assert_eq!(answer["type"], "error", "{text}");
        assert_eq!(answer["sender"], SERVER);
        answer["data"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_ping_is_answered_with_its_own_data_and_the_members_in_order() {
        let Command::Answer(frame) =
            decode(r#"{"sender":"x","receiver":"ground control","type":"ping","data":1615918847680}"#)
        else {
            panic!("no answer")
        };
        assert_eq!(
            frame.to(&PeerId::new("t0m")),
            r#"{"sender":"ground control","receiver":"t0m","type":"pong","data":1615918847680}"#
        );
        assert_eq!(answer(r#"{"receiver":"ground control","type":"ping"}"#)["data"], Value::Null);
    }

    #[test]
    fn a_message_is_relayed_byte_for_byte_and_its_sender_is_the_servers_word() {
        let text = r#"{"type":"offer","x":[],"receiver":"bob","data":{ "sdp" : "v=0\r\n\u00e9" , "n":1e999},"sender":"eve"}"#;
        let Command::Tell { to, kind, payload, receipt, .. } = decode(text) else { panic!("not relayed") };
        assert_eq!(
            (to.clone(), &*kind, receipt),
            (To::Peer(PeerId::new("bob")), "offer", Receipt::TellSender)
        );
        let from = PeerId::new("t0m");
        let told =
            Event::Told { from: &from, to: &to, kind: &kind, payload: payload.as_deref(), listeners: 1 };
        assert_eq!(
            Camus.encode(&told).unwrap().to(&PeerId::new("bob")),
            r#"{"sender":"t0m","receiver":"bob","type":"offer","data":{ "sdp" : "v=0\r\n\u00e9" , "n":1e999}}"#
        );
    }

    #[test]
    fn types_that_no_table_names_are_relayed_and_only_a_bye_may_be_dropped() {
        for (kind, expected) in
            [("x-wave", Receipt::TellSender), ("ping", Receipt::TellSender), ("bye", Receipt::Drop)]
        {
            let Command::Tell { to, receipt, .. } =
                decode(&format!(r#"{{"receiver":"room","type":"{kind}"}}"#))
            else {
                panic!("{kind} is not relayed")
            };
            assert_eq!((to, receipt), (To::Everyone, expected), "{kind}");
        }
    }

    #[test]
    fn the_server_is_asked_in_the_words_of_the_table() {
        let ask = |kind: &str, data: &str| {
            decode(&format!(r#"{{"receiver":"ground control","type":"{kind}","data":{data}}}"#))
        };
        assert!(matches!(ask("get-room-info", "null"), Command::Roster));
        assert!(matches!(ask("get-ice-servers", "null"), Command::IceServers));
        assert!(matches!(ask("bye", "1"), Command::Leave));
        assert!(matches!(ask("pong", "1"), Command::Noted));
        assert!(matches!(ask("greeting", "\"hello\""), Command::Noted));
        assert!(matches!(ask("profile", r#"{"username":""}"#), Command::Noted));
        assert!(
            matches!(ask("profile", r#"{"username":"Bill","x":1}"#), Command::Rename(name) if &*name == "Bill")
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for kind in ["text", "offer", "room-info", "ice-servers", "error", "nonsense"] {
            assert_eq!(
                why(&format!(r#"{{"receiver":"ground control","type":"{kind}"}}"#)),
                format!("Unknown message type: {kind}")
            );
        }
        for (text, part) in [
            ("", "JSON object"),
            ("[\"room\",\"text\",1]", "JSON object"),
            ("null", "JSON object"),
            ("{", "EOF"),
            ("{}", "missing field `receiver`"),
            (r#"{"receiver":"room"}"#, "missing field `type`"),
            (r#"{"receiver":1,"type":"text"}"#, "expected a string"),
            (r#"{"receiver":"room","type":"a","type":"b"}"#, "duplicate field `type`"),
            (r#"{"receiver":"room","type":"a"} x"#, "trailing characters"),
            (r#"{"receiver":"room","type":"\ud800"}"#, "Not a message"),
            (r#"{"receiver":"ground control","type":"profile"}"#, "data {\"username\""),
            (r#"{"receiver":"ground control","type":"profile","data":{"username":7}}"#, "data {\"username\""),
            (r#"{"receiver":"ground control","type":"profile","data":["x"]}"#, "data {\"username\""),
        ] {
            assert!(why(text).contains(part), "{text}: {}", why(text));
        }
        let deep =
            format!(r#"{{"receiver":"room","type":"a","ignored":{}1{}}}"#, "[".repeat(99), "]".repeat(99));
        assert!(why(&deep).contains("nested deeper than 64"));
        let long = "x".repeat(MAX_USERNAME + 1);
        assert!(
            why(&format!(
                r#"{{"receiver":"ground control","type":"profile","data":{{"username":"{long}"}}}}"#
            ))
            .contains("more than 100")
        );
    }

    #[test]
    fn ice_servers_have_their_kind_and_no_nulls() {
        let stun = IceServer::Stun { urls: vec!["stun:a".into()] };
        let turn =
            IceServer::Turn { urls: vec!["turn:b".into()], username: "1:x".into(), credential: "c".into() };
        let frame = Camus.encode(&Event::IceServers(&[stun, turn])).unwrap();
        assert_eq!(
            read_as(&frame, "t0m")["data"],
            json!([{"urls": ["stun:a"], "kind": "stun"},
                   {"urls": ["turn:b"], "username": "1:x", "credential": "c", "kind": "turn"}])
        );
        assert_eq!(read_as(&Camus.encode(&Event::IceServers(&[])).unwrap(), "t0m")["data"], json!([]));
    }

    #[test]
    fn the_roster_names_the_room_and_its_clients() {
        let peers = [(PeerId::new("1"), "Bill".into()), (PeerId::new("2"), "\"Ted\"".into())];
        let frame = Camus.encode(&Event::Roster { room: "excellent-adventure", peers: &peers }).unwrap();
        assert_eq!(
            read_as(&frame, "2"),
            json!({"sender": SERVER, "receiver": "2", "type": "room-info", "data": {
                "room_id": "excellent-adventure",
                "clients": [{"id": "1", "username": "Bill"}, {"id": "2", "username": "\"Ted\""}]}})
        );
    }

    #[test]
    fn a_room_is_named_by_a_slug_and_by_nothing_else() {
        assert_eq!(room("excellent-adventure").unwrap().name(), "excellent-adventure");
        for odd in ["", "A", "a b", "ä", "../x", "{x}", "a/b", "a\0", &"a".repeat(65)] {
            assert!(room(odd).is_none(), "{odd}");
        }
        assert_eq!(slug("Excellent Adventure!"), "excellent-adventure");
        assert_eq!(slug("!!"), "");
        let knock = Knock { name: "x", query: "a=1&token=a%2Bb", key: "" };
        assert_eq!(
            Camus.door(&knock),
            Some(Door::Room { room: room("x").unwrap(), token: Some("a+b".into()) })
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_is_answered_or_carried_and_never_breaks(text in "\\PC*") {
            let _ = decode(&text);
        }

        #[test]
        fn every_frame_is_json_whoever_speaks_of_whatever(kind in "\\PC*", sender in "\\PC*", data in "\\PC*") {
            let frame = frame(&sender, &kind, &json(&data));
            let value = read_as(&frame, "0123456789abcdef0123456789abcdef");
            prop_assert_eq!(&value["sender"], &json!(sender));
            prop_assert_eq!(&value["type"], &json!(kind));
            prop_assert_eq!(&value["data"], &json!(data));
        }
    }
}
