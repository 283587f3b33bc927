#![doc = include_str!("../../docs/peerjs.md")]

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Away, Customs, Dialect, Door, Knock, Names, Takeover, json, present, read};
use crate::message::{Command, Event, Frame, NotSeated, PeerId, Receipt, Speaker, To};

/// The peerjs protocol.
#[derive(Debug)]
pub struct Peerjs;

/// Its name.
pub const NAME: &str = "peerjs";
/// Bytes in an id, at most.
const MAX_ID: usize = 256;

static CUSTOMS: Customs = Customs {
    away: Away::Gone,
    default_profile: "",
    listed_by_first_message: false,
    host: None,
    names: Names::OfCluster,
    takeover: Takeover::ByToken,
    announces_session: false,
    // A client ends a call for which it gets a second offer.
    hurries_receipts: true,
};

/// A frame from a client. What it says of its `src` is not read: the server knows who it is.
#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    dst: Option<Cow<'a, str>>,
    /// `null` is a payload too.
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
}

/// A frame between clients, in the order of its members.
#[derive(Serialize)]
struct Relayed<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    src: &'a str,
    dst: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
}

/// A frame with nothing but a reason.
#[derive(Serialize)]
struct Refused<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    payload: Reason<'a>,
}

#[derive(Serialize)]
struct Reason<'a> {
    msg: &'a str,
}

impl Dialect for Peerjs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn customs(&self) -> &Customs {
        &CUSTOMS
    }

    fn door(&self, knock: &Knock<'_>) -> Option<Door> {
        let (mut id, mut token, mut key) = (String::new(), String::new(), String::new());
        for (name, value) in form_urlencoded::parse(knock.query.as_bytes()) {
            let place = match &*name {
                "id" => &mut id,
                "token" => &mut token,
                "key" => &mut key,
                _ => continue,
            };
            if place.is_empty() {
                *place = value.into_owned();
            }
        }
        Some(if id.is_empty() || token.is_empty() || key.is_empty() {
            shut("No id, token, or key supplied to websocket server")
        } else if key != knock.key {
            shut("Invalid key provided")
        } else if id.len() > MAX_ID {
            shut("Invalid id provided: it has more than 256 bytes")
        } else {
            Door::Name { peer: PeerId::new(id), token }
        })
    }

    fn decode(&self, speaker: &Speaker, text: &str) -> Command {
        let Ok(Incoming { kind, dst, payload }) = read(text, "a message") else { return Command::Noted };
        let dst = dst.filter(|dst| !dst.is_empty());
        let receipt = match (&*kind, &dst) {
            ("OFFER" | "ANSWER" | "CANDIDATE", Some(_)) => Receipt::TellSender,
            ("LEAVE" | "EXPIRE", Some(_)) => Receipt::Drop,
            ("LEAVE", None) => return Command::Release,
            // A heartbeat, and whatever means nothing here.
            _ => return Command::Noted,
        };
        let Some(dst) = dst else { return Command::Noted };
        if dst.len() > MAX_ID {
            // Nobody can have that id, now or later.
            return match receipt {
                Receipt::TellSender => Command::Answer(frame("EXPIRE", &dst, speaker.peer.as_str(), None)),
                Receipt::Drop => Command::Noted,
            };
        }
        let to = To::Peer(PeerId::new(dst));
        Command::Tell { to, kind: kind.into(), payload: payload.map(ToOwned::to_owned), receipt, id: None }
    }

    fn decode_binary(&self, speaker: &Speaker, bytes: &[u8]) -> Command {
        std::str::from_utf8(bytes).map_or(Command::Noted, |text| self.decode(speaker, text))
    }

    fn encode(&self, event: &Event<'_>) -> Option<Frame> {
        Some(match event {
            Event::Told { from, to: To::Peer(to), kind, payload, .. } => {
                frame(kind, from.as_str(), to.as_str(), *payload)
            }
            Event::Undelivered { to, .. } => {
                let before = format!("{{\"type\":\"EXPIRE\",\"src\":{},\"dst\":", json(to.as_str()));
                Frame::around_receiver(&before, "}")
            }
            Event::Seated => Frame::new("{\"type\":\"OPEN\"}".into()),
            Event::NotSeated(NotSeated::Taken) => refusal("ID-TAKEN", "ID is taken"),
            Event::NotSeated(NotSeated::TooMany) => {
                refusal("ERROR", "Server has reached its concurrent user limit")
            }
            // Clients end their calls with a peer of whom they hear that it has left, and have no word for the rest.
            _ => return None,
        })
    }
}

fn frame(kind: &str, src: &str, dst: &str, payload: Option<&RawValue>) -> Frame {
    Frame::new(json(&Relayed { kind, src, dst, payload }))
}

fn refusal(kind: &str, msg: &str) -> Frame {
    Frame::new(json(&Refused { kind, payload: Reason { msg } }))
}

fn shut(why: &str) -> Door {
    Door::Shut(refusal("ERROR", why))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{RoomId, Seat, Undelivered};

    fn bob() -> Speaker {
        Speaker { room: RoomId::of(NAME, "bob"), peer: PeerId::new("bob"), seat: Seat(1) }
    }

    fn decode(text: &str) -> Command {
        Peerjs.decode(&bob(), text)
    }

    /// What the receiver of the message in `text` reads.
    fn relayed(text: &str) -> String {
        let Command::Tell { to, kind, payload, .. } = decode(text) else { panic!("{text} is not relayed") };
        let event = Event::Told {
            from: &bob().peer,
            to: &to,
            kind: &kind,
            payload: payload.as_deref(),
            listeners: 1,
        };
        read_as(&Peerjs.encode(&event).unwrap(), "alice")
    }

    fn read_as(frame: &Frame, receiver: &str) -> String {
        String::from_utf8(frame.to(&PeerId::new(receiver)).to_vec()).unwrap()
    }

    fn knock(query: &str) -> Door {
        Peerjs.door(&Knock { name: "", query, key: "k" }).unwrap()
    }

    fn is_shut(query: &str) -> String {
        let Door::Shut(frame) = knock(query) else { panic!("{query} opens the door") };
        read_as(&frame, "")
    }

    #[test]
    fn a_message_has_its_members_in_order_its_payload_byte_for_byte_and_the_servers_src() {
        assert_eq!(
            relayed(r#"{"payload":{ "x" : 1e999 },"dst":"alice","src":"eve","x":0,"type":"OFFER"}"#),
            r#"{"type":"OFFER","src":"bob","dst":"alice","payload":{ "x" : 1e999 }}"#
        );
        assert_eq!(
            relayed(r#"{"type":"CANDIDATE","dst":"alice"}"#),
            r#"{"type":"CANDIDATE","src":"bob","dst":"alice"}"#
        );
        assert_eq!(
            relayed(r#"{"type":"ANSWER","dst":"alice","payload":null}"#),
            r#"{"type":"ANSWER","src":"bob","dst":"alice","payload":null}"#
        );
    }

    #[test]
    fn what_a_binary_frame_says_is_heard_too() {
        let said = Peerjs.decode_binary(&bob(), br#"{"type":"OFFER","dst":"alice","payload":1}"#);
        assert!(matches!(said, Command::Tell { .. }));
        assert!(matches!(Peerjs.decode_binary(&bob(), &[0xff, 0xfe]), Command::Noted));
    }

    #[test]
    fn who_says_leave_to_nobody_gives_up_its_name() {
        for text in [r#"{"type":"LEAVE"}"#, r#"{"type":"LEAVE","dst":""}"#, r#"{"type":"LEAVE","dst":null}"#]
        {
            assert!(matches!(decode(text), Command::Release), "{text}");
        }
        let leave = decode(r#"{"type":"LEAVE","dst":"alice"}"#);
        assert!(matches!(leave, Command::Tell { receipt: Receipt::Drop, .. }));
    }

    #[test]
    fn what_means_nothing_is_ignored() {
        for text in [
            r#"{"type":"HEARTBEAT"}"#,
            r#"{"type":"OPEN","dst":"alice"}"#,
            r#"{"type":"ID-TAKEN","dst":"alice"}"#,
            r#"{"type":"OFFER"}"#,
            r#"{"type":"OFFER","dst":""}"#,
            r#"{"type":"OFFER","dst":7}"#,
            r#"{"type":"EXPIRE"}"#,
            r#"{"type":"OFFER","dst":"alice","dst":"eve"}"#,
            r#"{"dst":"alice"}"#,
            r#"["OFFER","alice",1]"#,
            "{oops",
            "null",
            "123",
            "",
        ] {
            assert!(matches!(decode(text), Command::Noted), "{text}");
        }
        let deep =
            format!(r#"{{"type":"OFFER","dst":"alice","payload":{}{}}}"#, "[".repeat(99), "]".repeat(99));
        assert!(matches!(decode(&deep), Command::Noted));
    }

    #[test]
    fn nobody_can_have_an_id_that_is_too_long() {
        let long = "x".repeat(MAX_ID + 1);
        let Command::Answer(expire) = decode(&format!(r#"{{"type":"OFFER","dst":"{long}"}}"#)) else {
            panic!("not answered")
        };
        assert_eq!(read_as(&expire, "bob"), format!(r#"{{"type":"EXPIRE","src":"{long}","dst":"bob"}}"#));
        assert!(is_shut(&format!("id={long}&token=t&key=k")).contains("256 bytes"));
    }

    #[test]
    fn the_door_asks_for_an_id_a_token_and_the_key() {
        let missing =
            r#"{"type":"ERROR","payload":{"msg":"No id, token, or key supplied to websocket server"}}"#;
        for query in ["", "id=a&token=t", "id=a&key=k", "key=k&token=t", "id=&token=t&key=k", "key=no"] {
            assert_eq!(is_shut(query), missing, "{query}");
        }
        assert_eq!(
            is_shut("key=no&id=a&token=t"),
            r#"{"type":"ERROR","payload":{"msg":"Invalid key provided"}}"#
        );
        assert_eq!(
            knock("key=k&id=a%20b-c&token=t%2e&version=1.5.5"),
            Door::Name { peer: PeerId::new("a b-c"), token: "t.".into() }
        );
    }

    #[test]
    fn the_server_has_few_words_of_its_own() {
        let says = |event: &Event<'_>| Peerjs.encode(event).map(|frame| read_as(&frame, "bob"));
        assert_eq!(says(&Event::Seated).unwrap(), r#"{"type":"OPEN"}"#);
        assert_eq!(
            says(&Event::NotSeated(NotSeated::Taken)).unwrap(),
            r#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#
        );
        assert_eq!(
            says(&Event::NotSeated(NotSeated::TooMany)).unwrap(),
            r#"{"type":"ERROR","payload":{"msg":"Server has reached its concurrent user limit"}}"#
        );
        let never = Event::Undelivered { to: &PeerId::new("no\"body"), why: Undelivered::Absent, id: None };
        assert_eq!(says(&never).unwrap(), r#"{"type":"EXPIRE","src":"no\"body","dst":"bob"}"#);
        for silent in [
            Event::Removed { at: 1 },
            Event::AreYouThere { at: 1 },
            Event::Roster { room: "alice", peers: &[] },
            Event::Busy,
        ] {
            assert_eq!(says(&silent), None, "{silent:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_command(text in any::<String>()) {
            decode(&text);
        }

        #[test]
        fn nothing_is_smuggled_past_the_members(id in "\\PC{1,40}", payload in "\\PC{0,40}") {
            let payload = serde_json::to_string(&payload).unwrap();
            let text = format!(
                r#"{{"type":"OFFER","src":"eve","dst":{},"payload":{payload},"more":[1]}}"#, json(&*id)
            );
            let whole: serde_json::Value = serde_json::from_str(&relayed(&text)).unwrap();
            prop_assert_eq!(&whole["src"], "bob");
            prop_assert_eq!(&whole["dst"], &id);
            prop_assert_eq!(whole["payload"].to_string(), payload);
            prop_assert_eq!(whole.as_object().unwrap().len(), 4);
        }
    }
}
