#![doc = include_str!("../../docs/mesh.md")]

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{self, SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Away, Customs, Dialect, Door, Knock, Names, Takeover, is_object, json};
use crate::message::{Command, Event, Frame, PeerId, Profile, RoomId, Speaker, Undelivered};

/// The mesh protocol.
#[derive(Debug)]
pub struct Mesh;

/// Its name.
pub const NAME: &str = "mesh";
/// The one room of all.
const LOBBY: &str = "lobby";
/// What a user is called that has not said: JSON, as all profiles of this protocol are.
const NAMELESS: &str = "null";
/// Whoever says something is this member of what others hear.
const USER: &str = "user";

static CUSTOMS: Customs = Customs {
    away: Away::Gone,
    default_profile: NAMELESS,
    listed_by_first_message: false,
    announces_session: false,
    names: Names::OfRoom,
    takeover: Takeover::ByToken,
    host: None,
    // Who is told that somebody has gone, who has heard it all the same, would call again.
    hurries_receipts: true,
};

/// The room of all who speak it.
pub fn lobby() -> RoomId {
    RoomId::of(NAME, LOBBY)
}

/// Somebody in the lobby. As JSON: `{"id", "name"}`, with `null` for the name of one who has none.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Who it is: made by the server, another one for each connection.
    pub id: PeerId,
    profile: Profile,
}

impl User {
    /// The user of this id, as its membership shows it.
    pub fn new(id: PeerId, profile: Profile) -> Self {
        Self { id, profile }
    }

    /// What it is called.
    pub fn name(&self) -> Option<String> {
        serde_json::from_str(&self.profile).unwrap_or_default()
    }
}

/// A name as a membership keeps it.
pub fn profile(name: Option<&str>) -> Profile {
    json(&name).into()
}

impl Serialize for User {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let name: &RawValue = serde_json::from_str(&self.profile).unwrap_or(RawValue::NULL);
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("name", name)?;
        map.end()
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a user says as others hear it: with itself as the first member, and the payload's own after that, as they are.
/// Read and written in one pass.
pub struct Signed<'a> {
    /// Who says it.
    pub user: &'a User,
    /// What it has written: a JSON object.
    pub payload: &'a RawValue,
}

impl Serialize for Signed<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry(USER, self.user)?;
        let mut payload = serde_json::Deserializer::from_str(self.payload.get());
        payload.deserialize_map(Members(&mut map)).map_err(ser::Error::custom)?;
        map.end()
    }
}

/// Writes an object's members, but none by the name of the one that the server sets, however that is spelt.
struct Members<'a, M>(&'a mut M);

impl<'de, M: SerializeMap> Visitor<'de> for Members<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = members.next_key::<Text<'de>>()? {
            if name == USER {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: &RawValue = members.next_value()?;
            self.0.serialize_entry(&name, value).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

/// A string, not copied where it need not be.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A frame from a client.
#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(borrow)]
    target: Option<&'a RawValue>,
}

/// What a client writes of whom a message is for. It knows a name too, and sends that along.
#[derive(Deserialize)]
struct Addressee<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// A frame to a client.
#[derive(Serialize)]
struct Outgoing<'a, T: ?Sized> {
    #[serde(rename = "type")]
    kind: &'a str,
    payload: &'a T,
}

/// Who is here, and who is not any more.
#[derive(Serialize)]
pub struct Clients<'a> {
    /// All of them, in order of arrival.
    pub clients: Vec<User>,
    /// Whom a message of the receiver's did not reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<Cow<'a, str>>,
}

/// The type of [`Clients`].
pub const CLIENTS: &str = "CLIENTS";

/// What waits for the roster of its receiver's node.
#[derive(Deserialize, Serialize)]
struct Missed<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    /// It is there, and takes nothing more at the moment.
    is_there: bool,
}

impl Dialect for Mesh {
    fn name(&self) -> &'static str {
        NAME
    }

    fn customs(&self) -> &Customs {
        &CUSTOMS
    }

    fn door(&self, _: &Knock<'_>) -> Option<Door> {
        Some(Door::Guest { room: lobby() })
    }

    fn decode(&self, _: &Speaker, text: &str) -> Command {
        match read(text) {
            Ok(Incoming { kind, payload, target }) => Command::Call {
                kind: kind.into(),
                payload: payload.to_owned(),
                target: target.and_then(addressee),
            },
            Err(why) => Command::Answer(error(&why)),
        }
    }

    fn decode_binary(&self, _: &Speaker, _: &[u8]) -> Command {
        Command::Answer(error("Not a message: binary frame; send JSON in a text frame"))
    }

    /// Nobody is told of departures: a roster goes to whoever asks, and to whoever writes to somebody who is gone.
    fn encode(&self, event: &Event<'_>) -> Option<Frame> {
        Some(match event {
            Event::Told { kind, payload, .. } => frame(kind, payload.unwrap_or(RawValue::NULL)),
            Event::Undelivered { to, why, .. } => {
                let is_there = *why == Undelivered::Full;
                Frame::awaiting_roster(json(&Missed { id: to.as_str().into(), is_there }))
            }
            Event::Busy => error(BUSY),
            _ => return None,
        })
    }

    fn beside_roster(&self, frame: &Frame, peers: &[(PeerId, Profile)]) -> Frame {
        let text = frame.to(&PeerId::new(""));
        let Ok(Missed { id, is_there }) = serde_json::from_slice(&text) else { return frame.clone() };
        let here = peers.iter().filter(|(peer, _)| is_there || peer.as_str() != id);
        let clients = here.map(|(peer, profile)| User::new(peer.clone(), profile.clone())).collect();
        self::frame(CLIENTS, &Clients { clients, gone: Some(id) })
    }
}

/// What is answered when the directory is away.
pub const BUSY: &str = "Busy: the server cannot do that just now; try again in a few seconds";

/// A message to a client.
pub fn frame<T: Serialize + ?Sized>(kind: &str, payload: &T) -> Frame {
    Frame::new(json(&Outgoing { kind, payload }))
}

/// The same; fails if the payload, which a client wrote, cannot be read.
pub fn try_frame<T: Serialize + ?Sized>(kind: &str, payload: &T) -> Result<Frame, serde_json::Error> {
    serde_json::to_string(&Outgoing { kind, payload }).map(Frame::new)
}

/// What is said of what is wrong.
pub fn error(message: &str) -> Frame {
    #[derive(Serialize)]
    struct Wrong<'a> {
        message: &'a str,
    }
    frame("ERROR", &Wrong { message })
}

/// The message in `text`, or what is wrong with it.
fn read(text: &str) -> Result<Incoming<'_>, String> {
    const RIGHT: &str = r#"{"type": "…", "payload": {…}}"#;
    let incoming: Incoming<'_> = super::read(text, RIGHT).map_err(|why| format!("Not a message: {why}"))?;
    if !is_object(incoming.payload.get()) {
        return Err(format!("Not a message: the payload is no object; expected {RIGHT}"));
    }
    Ok(incoming)
}

fn addressee(target: &RawValue) -> Option<PeerId> {
    let Addressee { id } = serde_json::from_str(target.get()).ok().filter(|_| is_object(target.get()))?;
    Some(PeerId::new(id))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Seat, To};

    fn alice() -> User {
        User::new(PeerId::new("a1"), profile(Some("Alice")))
    }

    fn speaker() -> Speaker {
        Speaker { room: lobby(), peer: PeerId::new("a1"), seat: Seat(1) }
    }

    fn text(frame: &Frame) -> String {
        String::from_utf8(frame.to(&PeerId::new("")).to_vec()).unwrap()
    }

    fn answer(said: &str) -> String {
        match Mesh.decode(&speaker(), said) {
            Command::Answer(frame) => text(&frame),
            other => panic!("{said}: {other:?}"),
        }
    }

    fn target(said: &str) -> Option<PeerId> {
        match Mesh.decode(&speaker(), said) {
            Command::Call { target, .. } => target,
            other => panic!("{said}: {other:?}"),
        }
    }

    fn signed(payload: &str) -> Result<String, serde_json::Error> {
        let payload = serde_json::from_str(payload).unwrap();
        serde_json::to_string(&Signed { user: &alice(), payload })
    }

    #[test]
    fn members_of_a_payload_are_kept_as_they_are_and_the_user_is_the_servers() {
        let user = r#""user":{"id":"a1","name":"Alice"}"#;
        let kept = r#""sdp":{ "x":1e999, "é":"\ud800" },"a":1,"a":2"#;
        assert_eq!(signed(&format!("{{{kept}}}")).unwrap(), format!("{{{user},{kept}}}"));
        assert_eq!(signed(" { } ").unwrap(), format!("{{{user}}}"));
        let spoofed = r#"{"user":{"id":"b2"},"sdp":1,"us\u0065r":7,"user":null}"#;
        assert_eq!(signed(spoofed).unwrap(), format!("{{{user},\"sdp\":1}}"));
    }

    #[test]
    fn a_name_that_is_no_text_is_an_error_and_not_a_hole() {
        assert!(signed(r#"{"\ud800":1}"#).is_err());
    }

    #[test]
    fn whom_a_message_is_for_is_told_by_its_id_alone() {
        let said = |target: &str| format!(r#"{{"type":"OFFER","payload":{{}},"target":{target}}}"#);
        assert_eq!(target(&said(r#"{"id":"b2","name":7,"x":[{}]}"#)), Some(PeerId::new("b2")));
        for wrong in ["null", "{}", "7", r#""b2""#, r#"["b2"]"#, r#"{"id":7}"#, r#"{"id":"a","id":"b"}"#] {
            assert_eq!(target(&said(wrong)), None, "{wrong}");
        }
        assert_eq!(target(r#"{"type":"JOIN","payload":{}}"#), None);
    }

    #[test]
    fn what_is_no_message_is_answered_with_what_would_be_one() {
        let deep = format!(r#"{{"type":"JOIN","payload":{{"x":{}}}}}"#, "[".repeat(100_000));
        for (said, why) in [
            ("{oops", "key must be a string"),
            ("[]", "no JSON object"),
            ("", "no JSON object"),
            (r#"{"payload":{}}"#, "missing field `type`"),
            (r#"{"type":"JOIN"}"#, "missing field `payload`"),
            (r#"{"type":7,"payload":{}}"#, "expected a string"),
            (r#"{"type":"JOIN","payload":[]}"#, "the payload is no object"),
            (r#"{"type":"JOIN","payload":{},"payload":{}}"#, "duplicate field `payload`"),
            (r#"{"type":"JOIN","payload":{}} x"#, "trailing"),
            (&deep, "nested deeper than 64"),
        ] {
            let answer = answer(said);
            assert!(
                answer.starts_with(r#"{"type":"ERROR","payload":{"message":"Not a message: "#),
                "{answer}"
            );
            assert!(answer.contains(why), "{answer}");
        }
        let binary = Mesh.decode_binary(&speaker(), b"{}");
        assert!(matches!(&binary, Command::Answer(frame) if text(frame).contains("binary")), "{binary:?}");
    }

    #[test]
    fn who_writes_to_somebody_who_is_gone_hears_who_is_here() {
        let (to, here) = (
            PeerId::new("b2"),
            [(PeerId::new("a1"), profile(Some("Alice"))), (PeerId::new("b2"), profile(None))],
        );
        let told = |why| {
            let frame = Mesh.encode(&Event::Undelivered { to: &to, why, id: None }).unwrap();
            assert!(frame.awaits_roster());
            text(&Mesh.beside_roster(&frame, &here))
        };
        let alice = r#"{"id":"a1","name":"Alice"}"#;
        assert_eq!(
            told(Undelivered::Absent),
            format!(r#"{{"type":"CLIENTS","payload":{{"clients":[{alice}],"gone":"b2"}}}}"#)
        );
        assert_eq!(
            told(Undelivered::Full),
            format!(
                r#"{{"type":"CLIENTS","payload":{{"clients":[{alice},{{"id":"b2","name":null}}],"gone":"b2"}}}}"#
            )
        );
    }

    #[test]
    fn nobody_is_told_of_comings_and_goings() {
        let peer = PeerId::new("a1");
        assert!(Mesh.encode(&Event::Roster { room: LOBBY, peers: &[] }).is_none());
        assert!(Mesh.arrival(&peer).is_empty());
        assert!(Mesh.parting(&peer, crate::message::Parting::Dropped, 0).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_a_command(text in any::<String>()) {
            Mesh.decode(&speaker(), &text);
        }

        #[test]
        fn nobody_speaks_as_somebody_else(name in "\\PC{0,8}", value in "\\PC{0,20}", kind in "\\PC{0,8}") {
            let payload = format!(r#"{{{}:{},"user":{{"id":"b2"}}}}"#, json(&*name), json(&*value));
            let payload = serde_json::value::to_raw_value(&Signed {
                user: &alice(),
                payload: serde_json::from_str(&payload).unwrap(),
            }).unwrap();
            let from = PeerId::new("a1");
            let told = Event::Told { from: &from, to: &To::Others, kind: &kind, payload: Some(&payload), listeners: 1 };
            let read: serde_json::Value = serde_json::from_str(&text(&Mesh.encode(&told).unwrap())).unwrap();
            prop_assert_eq!(&read["type"], &kind);
            prop_assert_eq!(&read["payload"]["user"]["id"], "a1");
            if name != USER {
                prop_assert_eq!(&read["payload"][&name], &value);
            }
        }
    }
}
