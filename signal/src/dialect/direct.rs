#![doc = include_str!("../../docs/direct.md")]

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Away, Customs, Dialect, Door, Knock, Names, Takeover, json, present, read};
use crate::message::{Command, Event, Frame, PeerId, Receipt, Speaker, To};

/// The direct protocol.
#[derive(Debug)]
pub struct Direct;

/// Its name.
pub const NAME: &str = "direct";

static CUSTOMS: Customs = Customs {
    away: Away::Gone,
    default_profile: "",
    listed_by_first_message: false,
    announces_session: false,
    names: Names::OfCluster,
    takeover: Takeover::WhenSilent,
    host: None,
    // A client that is told that its message did not arrive would say so to its user, though it was heard.
    hurries_receipts: true,
};

/// A frame from a client.
#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    target: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    /// Without one it is `null`.
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
}

/// A frame from one client to another.
#[derive(Serialize)]
struct Forwarded<'a> {
    originator: &'a str,
    target: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    payload: Option<&'a RawValue>,
}

/// A frame from the server.
#[derive(Serialize)]
struct Answer<'a> {
    target: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    payload: Option<&'a str>,
}

impl Dialect for Direct {
    fn name(&self) -> &'static str {
        NAME
    }

    fn customs(&self) -> &Customs {
        &CUSTOMS
    }

    fn door(&self, _: &Knock<'_>) -> Option<Door> {
        Some(Door::Registered)
    }

    fn decode(&self, _: &Speaker, text: &str) -> Command {
        match read(text, "an object with strings `target` and `type`") {
            Ok(Incoming { target, kind, payload }) => Command::Tell {
                to: To::Peer(PeerId::new(target)),
                kind: kind.into(),
                payload: payload.map(ToOwned::to_owned),
                receipt: Receipt::TellSender,
                id: None,
            },
            Err(why) => invalid(&why),
        }
    }

    fn decode_binary(&self, _: &Speaker, _: &[u8]) -> Command {
        invalid("a binary frame; send JSON in a text frame")
    }

    fn encode(&self, event: &Event<'_>) -> Option<Frame> {
        Some(match event {
            Event::Told { from, to: To::Peer(to), kind, payload, .. } => Frame::new(json(&Forwarded {
                originator: from.as_str(),
                target: to.as_str(),
                kind,
                payload: *payload,
            })),
            Event::Undelivered { to, .. } => answer(to.as_str(), "TARGET_NOT_FOUND", None),
            _ => return None,
        })
    }
}

fn invalid(why: &str) -> Command {
    Command::Answer(answer("", "INVALID_MESSAGE", Some(why)))
}

fn answer(target: &str, kind: &str, payload: Option<&str>) -> Frame {
    Frame::new(json(&Answer { target, kind, payload }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{RoomId, Seat, Undelivered};

    fn bob() -> Speaker {
        Speaker { room: RoomId::of(NAME, "bob"), peer: PeerId::new("bob"), seat: Seat(1) }
    }

    fn read_as(frame: &Frame) -> String {
        String::from_utf8(frame.to(&PeerId::new("")).to_vec()).unwrap()
    }

    fn forwarded(text: &str) -> String {
        let Command::Tell { to, kind, payload, receipt: Receipt::TellSender, .. } =
            Direct.decode(&bob(), text)
        else {
            panic!("{text} is not forwarded")
        };
        let from = bob().peer;
        let told =
            Event::Told { from: &from, to: &to, kind: &kind, payload: payload.as_deref(), listeners: 1 };
        read_as(&Direct.encode(&told).unwrap())
    }

    fn invalid(text: &str) -> bool {
        let Command::Answer(frame) = Direct.decode(&bob(), text) else { return false };
        read_as(&frame).starts_with(r#"{"target":"","type":"INVALID_MESSAGE","payload":""#)
    }

    #[test]
    fn a_message_says_who_it_is_from_and_keeps_its_payload() {
        assert_eq!(
            forwarded(r#"{"originator":"eve","payload":{ "x":1e999 },"target":"alice","type":"OFFER"}"#),
            r#"{"originator":"bob","target":"alice","type":"OFFER","payload":{ "x":1e999 }}"#
        );
        assert_eq!(
            forwarded(r#"{"target":"alice","type":"OFFER"}"#),
            r#"{"originator":"bob","target":"alice","type":"OFFER","payload":null}"#
        );
    }

    #[test]
    fn what_is_no_message_is_answered() {
        for text in [
            "{oops",
            "null",
            "[]",
            "{}",
            r#"{"target":"alice"}"#,
            r#"{"type":"OFFER"}"#,
            r#"{"target":7,"type":"OFFER"}"#,
            r#"{"target":"a","target":"b","type":"OFFER"}"#,
            r#"["alice","OFFER",1]"#,
        ] {
            assert!(invalid(text), "{text}");
        }
        let deep = format!(r#"{{"target":"a","type":"x","payload":{}{}}}"#, "[".repeat(99), "]".repeat(99));
        assert!(invalid(&deep));
        assert!(matches!(Direct.decode_binary(&bob(), b"{}"), Command::Answer(_)));
    }

    #[test]
    fn who_is_not_there_is_named() {
        let to = PeerId::new("no\"body");
        let event = Event::Undelivered { to: &to, why: Undelivered::Absent, id: None };
        assert_eq!(
            read_as(&Direct.encode(&event).unwrap()),
            r#"{"target":"no\"body","type":"TARGET_NOT_FOUND","payload":null}"#
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_command(text in any::<String>()) {
            Direct.decode(&bob(), &text);
        }

        #[test]
        fn nobody_speaks_as_somebody_else(originator in "\\PC{0,20}", payload in "\\PC{0,40}") {
            let text = format!(
                r#"{{"originator":{},"target":"alice","type":"x","payload":{}}}"#,
                json(&*originator), json(&*payload)
            );
            let read: serde_json::Value = serde_json::from_str(&forwarded(&text)).unwrap();
            prop_assert_eq!(&read["originator"], "bob");
            prop_assert_eq!(&read["payload"], &payload);
        }
    }
}
