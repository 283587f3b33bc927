//! camus with the subprotocol `switchboard.v1`: for clients that want to know what became of what they said, and hear
//! nothing twice. `docs/camus.md` has it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Camus, Customs, Dialect, Door, Incoming, Knock, from_server, json, obey, read, refuse, shorten};
use crate::message::{Command, Event, Frame, Parting, PeerId, Speaker, Undelivered};

/// The subprotocol's name, as clients ask for it.
pub(super) const NAME: &str = "switchboard.v1";
/// Characters of the name of a message, at most.
const MAX_ID: usize = 64;

static CUSTOMS: Customs = Customs { announces_session: true, ..super::CUSTOMS };

/// The flavour of camus that is spoken with this subprotocol.
#[derive(Debug)]
pub(super) struct V1;

/// A frame from a client, which may call its message by a name.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    receiver: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Session<'a> {
    token: &'a str,
    /// Milliseconds.
    ping_interval: u128,
    /// Milliseconds.
    grace: u128,
    max_message_bytes: usize,
    resumed: bool,
}

impl Dialect for V1 {
    fn name(&self) -> &'static str {
        Camus.name()
    }

    fn customs(&self) -> &Customs {
        &CUSTOMS
    }

    fn door(&self, knock: &Knock<'_>) -> Option<Door> {
        Camus.door(knock)
    }

    fn decode(&self, _: &Speaker, text: &str) -> Command {
        let Named { receiver, kind, data, id } = match read(text) {
            Ok(named) => named,
            Err(why) => return refuse(&why),
        };
        if id.as_ref().is_some_and(|id| id.is_empty() || id.chars().count() > MAX_ID) {
            return refuse(&format!("id: expected a string of 1 to {MAX_ID} characters"));
        }
        obey(&Incoming { receiver, kind, data }, id.as_deref())
    }

    fn decode_binary(&self, speaker: &Speaker, bytes: &[u8]) -> Command {
        Camus.decode_binary(speaker, bytes)
    }

    fn encode(&self, event: &Event<'_>) -> Option<Frame> {
        match event {
            Event::Session { token, ping_interval, grace, max_message_bytes, resumed } => {
                let (ping_interval, grace) = (ping_interval.as_millis(), grace.as_millis());
                let (max_message_bytes, resumed) = (*max_message_bytes, *resumed);
                let session = Session { token, ping_interval, grace, max_message_bytes, resumed };
                Some(from_server("session", &json(&session)))
            }
            Event::GoingAway { after } => {
                let data = format!("{{\"reconnect_after_ms\":{}}}", after.as_millis());
                Some(from_server("going-away", &data))
            }
            event => Camus.encode(event),
        }
    }

    fn parting(&self, peer: &PeerId, how: Parting, at: u64) -> Vec<Frame> {
        Camus.parting(peer, how, at)
    }

    fn write(&self, frame: &Frame, receiver: &PeerId, number: u64) -> Bytes {
        if number == 0 {
            return frame.to(receiver);
        }
        frame.to_with(receiver, &format!(",\"id\":\"{number:016x}\""))
    }
}

pub(super) fn accepted(id: &str) -> Frame {
    from_server("accepted", &format!("{{\"id\":{}}}", json(id)))
}

pub(super) fn undeliverable(id: &str, to: &PeerId, why: Undelivered) -> Frame {
    let (id, receiver, reason) = (json(id), json(&shorten(to.as_str())), json(why.label()));
    from_server("undeliverable", &format!("{{\"id\":{id},\"receiver\":{receiver},\"reason\":{reason}}}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::message::{RoomId, Seat, To};

    fn decode(text: &str) -> Command {
        let peer = PeerId::new("t0m");
        V1.decode(&Speaker { room: RoomId::of(super::super::NAME, "capsule"), peer, seat: Seat(1) }, text)
    }

    fn data(frame: Option<Frame>) -> Value {
        let frame: Value = serde_json::from_slice(&frame.unwrap().to(&PeerId::new("t0m"))).unwrap();
        assert_eq!(frame["sender"], super::super::SERVER);
        frame["data"].clone()
    }

    #[test]
    fn a_message_may_have_a_name_and_need_not() {
        for (text, expected) in [
            (r#"{"receiver":"bob","type":"text","data":1,"id":"7-1"}"#, Some("7-1")),
            (r#"{"receiver":"bob","type":"text","data":1}"#, None),
        ] {
            let Command::Tell { to, id, .. } = decode(text) else { panic!("{text} is not relayed") };
            assert_eq!((to, id.as_deref()), (To::Peer(PeerId::new("bob")), expected));
        }
        for id in ["\"\"".to_owned(), json!("x".repeat(65)).to_string(), "7".to_owned()] {
            let text = format!(r#"{{"receiver":"bob","type":"text","id":{id}}}"#);
            assert!(matches!(decode(&text), Command::Answer(_)), "{text}");
        }
        let plain = Camus.decode(
            &Speaker { room: RoomId::of(super::super::NAME, "r"), peer: PeerId::new("t0m"), seat: Seat(1) },
            r#"{"receiver":"bob","type":"text","id":7}"#,
        );
        assert!(matches!(plain, Command::Tell { id: None, .. }), "plain camus does not know of it");
    }

    #[test]
    fn what_it_adds_to_camus_is_said_in_its_own_words() {
        let session = Event::Session {
            token: "t",
            ping_interval: Duration::from_secs(30),
            grace: Duration::from_secs(90),
            max_message_bytes: 9,
            resumed: true,
        };
        assert_eq!(
            data(V1.encode(&session)),
            json!({"token": "t", "ping_interval": 30_000, "grace": 90_000, "max_message_bytes": 9, "resumed": true})
        );
        assert!(Camus.encode(&session).is_none(), "who speaks plain camus does not hear of it");
        let away = Event::GoingAway { after: Duration::from_millis(250) };
        assert_eq!(data(V1.encode(&away)), json!({"reconnect_after_ms": 250}));
        assert_eq!(data(V1.encode(&Event::Accepted { id: "7" })), json!({"id": "7"}));
        let bob = PeerId::new("bob");
        let undelivered = Event::Undelivered { to: &bob, why: Undelivered::Expired, id: Some("7") };
        assert_eq!(data(V1.encode(&undelivered)), json!({"id": "7", "receiver": "bob", "reason": "expired"}));
    }

    #[test]
    fn a_message_has_a_number_by_which_it_is_known_again() {
        let frame = from_server("text", "1");
        let tom = PeerId::new("t0m");
        let written: Value = serde_json::from_slice(&V1.write(&frame, &tom, 10)).unwrap();
        assert_eq!((&written["receiver"], &written["id"]), (&json!("t0m"), &json!("000000000000000a")));
        assert_eq!(V1.write(&frame, &tom, 0), frame.to(&tom));
        assert_eq!(Camus.write(&frame, &tom, 10), frame.to(&tom));
    }
}
