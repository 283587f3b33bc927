#![doc = include_str!("../../docs/y-webrtc.md")]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Away, Customs, Dialect, Door, Knock, Names, Takeover, json, room_of, too_deep};
use crate::message::{Command, Event, Frame, Receipt, RoomId, Speaker, To};

/// The y-webrtc protocol.
#[derive(Debug)]
pub struct YWebrtc;

/// Its name.
pub const NAME: &str = "y-webrtc";

static CUSTOMS: Customs = Customs {
    away: Away::Gone,
    default_profile: "",
    listed_by_first_message: false,
    announces_session: false,
    names: Names::OfRoom,
    takeover: Takeover::ByToken,
    host: None,
    hurries_receipts: false,
};

/// Members of an object, at most: clients write four or five, and each is looked for among the others.
const MAX_MEMBERS: usize = 64;
/// The member that the server sets.
const CLIENTS: &str = "clients";

/// An object's members, in order; of several with one name the last one, in the place of the first, as clients read it.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Members<'_> {
    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, _>()? {
                    if members.len() == MAX_MEMBERS {
                        return Err(A::Error::custom("too many members"));
                    }
                    match members.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, known)) => *known = value,
                        None => members.push((key, value)),
                    }
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(InOrder)
    }
}

/// A string, not copied where it need not be.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Dialect for YWebrtc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn customs(&self) -> &Customs {
        &CUSTOMS
    }

    fn door(&self, _: &Knock<'_>) -> Option<Door> {
        Some(Door::Open)
    }

    fn decode(&self, _: &Speaker, text: &str) -> Command {
        if too_deep(text) {
            return Command::Noted;
        }
        let Ok(members) = serde_json::from_str::<Members<'_>>(text) else { return Command::Noted };
        match members.text("type").as_deref() {
            Some("subscribe") => Command::Subscribe(topics(&members)),
            Some("unsubscribe") => Command::Unsubscribe(topics(&members)),
            Some("publish") => publish(&members),
            Some("ping") => Command::Answer(Frame::new("{\"type\":\"pong\"}".into())),
            _ => Command::Noted,
        }
    }

    fn decode_binary(&self, speaker: &Speaker, bytes: &[u8]) -> Command {
        std::str::from_utf8(bytes).map_or(Command::Noted, |text| self.decode(speaker, text))
    }

    fn encode(&self, event: &Event<'_>) -> Option<Frame> {
        let Event::Told { payload: Some(object), listeners, .. } = event else { return None };
        // `publish` has left room for it at the end.
        let open = object.get().strip_suffix('}')?;
        Some(Frame::new(format!("{open},\"{CLIENTS}\":{listeners}}}")))
    }
}

/// The topics that a message names, each once; what is no string is none.
fn topics(members: &Members<'_>) -> Vec<RoomId> {
    let listed = members.0.iter().find(|(key, _)| key == "topics");
    let listed = listed.and_then(|(_, value)| serde_json::from_str::<Vec<&RawValue>>(value.get()).ok());
    let names = listed.unwrap_or_default().into_iter();
    let names = names.filter_map(|name| serde_json::from_str::<Text<'_>>(name.get()).ok());
    let topics: BTreeSet<_> = names.map(|Text(name)| topic(&name)).collect();
    topics.into_iter().collect()
}

fn topic(name: &str) -> RoomId {
    room_of(NAME, name)
}

/// The whole object goes to all who are subscribed, without what the client says of their number.
fn publish(members: &Members<'_>) -> Command {
    let Some(name) = members.text("topic") else { return Command::Noted };
    let kept = members.0.iter().filter(|(key, _)| key != CLIENTS);
    let kept: Vec<_> = kept.map(|(key, value)| format!("{}:{}", json(&**key), value.get())).collect();
    let Ok(object) = RawValue::from_string(format!("{{{}}}", kept.join(","))) else { return Command::Noted };
    Command::Tell {
        to: To::Topic(topic(&name)),
        kind: "publish".into(),
        payload: Some(object),
        receipt: Receipt::Drop,
        id: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::message::{PeerId, Seat};

    fn decode(text: &str) -> Command {
        let speaker = Speaker { room: RoomId::of(NAME, ""), peer: PeerId::new("a"), seat: Seat(1) };
        YWebrtc.decode(&speaker, text)
    }

    /// What the subscribers of which topic read, when they are three.
    fn published(text: &str) -> Option<(RoomId, String)> {
        let Command::Tell { to, kind, payload, receipt: Receipt::Drop, .. } = decode(text) else {
            return None;
        };
        let from = PeerId::new("a");
        let told =
            Event::Told { from: &from, to: &to, kind: &kind, payload: payload.as_deref(), listeners: 3 };
        let frame = YWebrtc.encode(&told).unwrap().to(&from);
        let To::Topic(topic) = to else { panic!("not for a topic") };
        Some((topic, String::from_utf8(frame.to_vec()).unwrap()))
    }

    fn named(command: &Command) -> Vec<&str> {
        match command {
            Command::Subscribe(topics) | Command::Unsubscribe(topics) => {
                topics.iter().map(RoomId::name).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn topics_that_are_strings_are_subscribed_to_and_others_are_passed_over() {
        assert_eq!(
            named(&decode(r#"{"type":"subscribe","topics":["a",7,null,"b/ü",["c"]]}"#)),
            ["a", "b%2F%C3%BC"]
        );
        assert_eq!(named(&decode(r#"{"type":"unsubscribe","topics":["a"]}"#)), ["a"]);
        for nothing in [r#"{"type":"subscribe"}"#, r#"{"type":"subscribe","topics":"a"}"#] {
            assert!(named(&decode(nothing)).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn a_published_object_keeps_its_members_and_says_how_many_hear_it() {
        let (topic, text) =
            published(r#" {"type":"publish", "topic":"r1","data":{ "x":1e999 },"extra":1}"#).unwrap();
        assert_eq!(topic, RoomId::of(NAME, "r1"));
        assert_eq!(text, r#"{"type":"publish","topic":"r1","data":{ "x":1e999 },"extra":1,"clients":3}"#);
    }

    #[test]
    fn nobody_else_says_how_many_hear_it() {
        let (_, text) = published(r#"{"clients":99,"type":"publish","topic":"r1","clients":98}"#).unwrap();
        assert_eq!(text, r#"{"type":"publish","topic":"r1","clients":3}"#);
    }

    #[test]
    fn of_members_with_one_name_the_last_one_is_read_and_goes_on() {
        let (topic, text) = published(r#"{"type":"publish","topic":"x","data":1,"topic":"y"}"#).unwrap();
        assert_eq!(topic.name(), "y");
        assert_eq!(text, r#"{"type":"publish","topic":"y","data":1,"clients":3}"#);
    }

    #[test]
    fn what_would_take_long_to_read_is_not_read() {
        let members: Vec<_> = (0..32_000).map(|n| format!("\"{n:04x}\":1")).collect();
        let text = format!(r#"{{"type":"publish","topic":"a",{}}}"#, members.join(","));
        assert!(matches!(decode(&text), Command::Noted));
        let topics = vec!["\"a\""; 64_000].join(",");
        assert_eq!(named(&decode(&format!(r#"{{"type":"subscribe","topics":[{topics}]}}"#))), ["a"]);
    }

    #[test]
    fn a_ping_is_answered_and_whatever_means_nothing_is_ignored() {
        let Command::Answer(pong) = decode(r#"{"type":"ping","x":1}"#) else { panic!("no answer") };
        assert_eq!(&pong.to(&PeerId::new(""))[..], br#"{"type":"pong"}"#);
        for text in
            ["{bad", "null", "7", "[]", "{}", r#"{"type":7}"#, r#"{"type":"shout"}"#, r#"{"type":"publish"}"#]
        {
            assert!(matches!(decode(text), Command::Noted), "{text}");
        }
        let deep = format!(r#"{{"type":"publish","topic":"a","data":{}{}}}"#, "[".repeat(99), "]".repeat(99));
        assert!(matches!(decode(&deep), Command::Noted));
    }

    #[test]
    fn what_a_binary_frame_says_is_heard_too() {
        let speaker = Speaker { room: RoomId::of(NAME, ""), peer: PeerId::new("a"), seat: Seat(1) };
        assert!(matches!(YWebrtc.decode_binary(&speaker, br#"{"type":"ping"}"#), Command::Answer(_)));
        assert!(matches!(YWebrtc.decode_binary(&speaker, &[0xff]), Command::Noted));
    }

    proptest! {
        #[test]
        fn any_text_is_a_command(text in any::<String>()) {
            decode(&text);
        }

        #[test]
        fn whatever_is_published_is_one_object_with_its_members(
            topic in "\\PC{1,40}", names in proptest::collection::vec("\\PC{0,9}", 0..6)
        ) {
            let mut members = vec![("type".to_owned(), "publish".to_owned()), ("topic".to_owned(), topic)];
            members.extend(names.into_iter().map(|name| (name, "x".to_owned())));
            let text: Vec<_> = members.iter().map(|(k, v)| format!("{}:{}", json(&**k), json(&**v))).collect();
            if let Some((_, text)) = published(&format!("{{{}}}", text.join(","))) {
                let read: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(&read["clients"], 3);
                for (name, value) in members.iter().rev().filter(|(name, _)| name != "clients") {
                    prop_assert!(read[name] == *value || members.iter().filter(|(k, _)| k == name).count() > 1);
                }
            }
        }
    }
}
