//! How it is said: the protocols, one file each, and the table of where each is spoken.
//!
//! To add one: write its file, add its line to [`DIALECTS`].

pub mod camus;
pub mod direct;
pub mod mesh;
pub mod peerjs;
pub mod share;
pub mod y_webrtc;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::message::{Command, Event, Frame, Parting, PeerId, Profile, RoomId, Speaker, To};

/// A wire protocol: translation both ways, and its customs. Has no state of its own: what is known of a connection
/// is in its [`Speaker`], so that any node can encode for any room.
pub trait Dialect: Send + Sync {
    /// Its name: the first part of its rooms' ids, and its label in metrics.
    fn name(&self) -> &'static str;

    /// What it wants done where protocols differ.
    fn customs(&self) -> &Customs;

    /// Who knocks? The door that a WebSocket request asks for; `None` where its path names nothing that could be.
    fn door(&self, knock: &Knock<'_>) -> Option<Door>;

    /// What `speaker` asks for with a text frame. A frame that is none is answered in the protocol's own words, or
    /// ignored where it has no words for that.
    fn decode(&self, speaker: &Speaker, text: &str) -> Command;

    /// The frame that tells of `event`; `None` where the protocol has no word for it.
    fn encode(&self, event: &Event<'_>) -> Option<Frame>;

    /// What those whom it [`concerns`](Self::concerns) are told, in this order, when `peer` has come into their room.
    fn arrival(&self, peer: &PeerId) -> Vec<Frame> {
        let _ = peer;
        Vec::new()
    }

    /// What they are told when it is no member any more; `at`: milliseconds since 1970.
    fn parting(&self, peer: &PeerId, how: Parting, at: u64) -> Vec<Frame> {
        let _ = (peer, how, at);
        Vec::new()
    }

    /// What a room that is made for somebody may be called; another one each time.
    fn new_room(&self) -> Option<RoomId> {
        None
    }

    /// Who of a room hears of `peer`'s coming and going.
    fn concerns(&self, peer: &PeerId) -> To {
        let _ = peer;
        To::Everyone
    }

    /// What goes onto `receiver`'s wire for a frame that was made by [`Self::encode`]. `number` tells the message from all
    /// others, also when it comes a second time; 0 if it has none.
    fn write(&self, frame: &Frame, receiver: &PeerId, number: u64) -> Bytes {
        let _ = number;
        frame.to(receiver)
    }

    /// The frame that `frame`, which [awaits the roster](Frame::awaits_roster), comes to where these are in the room.
    fn beside_roster(&self, frame: &Frame, peers: &[(PeerId, Profile)]) -> Frame {
        let _ = peers;
        frame.clone()
    }

    /// The same protocol as those speak it who ask for this subprotocol (RFC 6455, 1.9); `None` if there is no such.
    fn subprotocol(&self, name: &str) -> Option<&'static dyn Dialect> {
        let _ = name;
        None
    }

    /// What it asks for with a binary frame.
    fn decode_binary(&self, speaker: &Speaker, bytes: &[u8]) -> Command;
}

/// What a dialect wants done where protocols differ.
#[derive(Debug)]
pub struct Customs {
    /// What becomes of a peer whose socket drops.
    pub away: Away,
    /// What a peer is called that has not said.
    pub default_profile: &'static str,
    /// Whether a peer is listed from its first message on, and not from its connection on.
    pub listed_by_first_message: bool,
    /// Whether a connection is told, before all else, what it is and goes by.
    pub announces_session: bool,
    /// Where a peer's name is its own.
    pub names: Names,
    /// Who may have a name that a connection has already, where names are held in the whole cluster.
    pub takeover: Takeover,
    /// The member without whom nobody comes into a room, if rooms have such.
    pub host: Option<&'static str>,
    /// Whether a message that comes twice does harm: then a client is asked at once for the receipt of each, so that there is
    /// hardly a moment in which it is not known whether one has arrived.
    pub hurries_receipts: bool,
}

/// Where a peer's name is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// In its room.
    OfRoom,
    /// In the whole cluster: the name is a room, and its holder the only member. Free as soon as nobody has it.
    OfCluster,
}

/// Who may have a name that a connection has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Whoever shows what its client has shown.
    ByToken,
    /// Anybody who may have the name, if that connection does not answer when it is asked.
    WhenSilent,
}

/// The room in which `peer` is, as seen by somebody in `room`: the same one, or the peer's own.
pub fn home_of(room: &RoomId, peer: &PeerId) -> RoomId {
    match named(room.dialect()).map(|dialect| dialect.customs().names) {
        Some(Names::OfCluster) => own_room(room.dialect(), peer),
        _ => room.clone(),
    }
}

/// The room that is `peer`'s name.
pub fn own_room(dialect: &str, peer: &PeerId) -> RoomId {
    room_of(dialect, peer.as_str())
}

/// The room of a name that is whatever a client wrote; the room's own has nothing but letters, digits and `-_.%~` in it, is
/// not long, and is another one for each.
pub fn room_of(dialect: &str, written: &str) -> RoomId {
    let name = utf8_percent_encode(written, ESCAPED).to_string();
    if name.len() <= MAX_ROOM_NAME {
        return RoomId::of(dialect, &name);
    }
    RoomId::of(dialect, &format!("~{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(written))))
}

/// Bytes in a room's name; what would have more has a digest for its name.
const MAX_ROOM_NAME: usize = 1024;

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// What an operator decides about a dialect.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// After this silence a peer is asked whether it is still there; `None` if it is not asked.
    pub ask_after: Option<Duration>,
    /// After this silence it is no longer in the room.
    pub grace: Duration,
    /// Members of a room that was made by entering it, at most; 0 for as many as any room may have.
    pub guest_limit: u32,
    /// How long a message waits for a name that nobody has; zero where none does.
    pub wait_for_name: Duration,
    /// Names that one node's clients may have, at most.
    pub names: usize,
    /// Rooms that one connection may be in, at most, where it may be in several.
    pub topics: usize,
}

/// The terms of all dialects, by their names.
pub type AllTerms = BTreeMap<&'static str, Terms>;

/// What becomes of a peer whose socket drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// It stays in the room for a time of grace, and what is sent to it is held.
    Parked,
    /// It leaves at once.
    Gone,
}

/// A WebSocket request, before it is answered.
#[derive(Debug)]
pub struct Knock<'a> {
    /// What stood in the path at `{name}`, decoded; empty where the path has no such place.
    pub name: &'a str,
    /// The query, as it was written.
    pub query: &'a str,
    /// The key that the settings give the protocol; empty where it has none.
    pub key: &'a str,
}

/// What a WebSocket request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Door {
    /// To enter this room, as one of those whom a pass names (a cookie, or this token).
    Room {
        /// The room.
        room: RoomId,
        /// A pass given in the query.
        token: Option<String>,
    },
    /// To enter this room, which is always there, as somebody new.
    Guest {
        /// The room.
        room: RoomId,
    },
    /// To be in no room yet: it says later where it goes.
    Open,
    /// To have a name.
    Name {
        /// The name.
        peer: PeerId,
        /// What only this client knows: with it, it may take its name over from an older connection of its own.
        token: String,
    },
    /// To have the name that it has registered, as its cookies prove.
    Registered,
    /// Nothing that it gets: it is told so on the socket, which is closed then.
    Shut(Frame),
}

/// One line of the table: the path of a WebSocket (a `matchit` pattern), and what is spoken there.
#[derive(Clone, Copy)]
pub struct Row {
    /// The path. One that does not begin with a slash is below that which the settings give the protocol.
    pub path: &'static str,
    /// The protocol.
    pub dialect: &'static dyn Dialect,
}

/// Where each protocol is spoken.
pub static DIALECTS: &[Row] = &[
    Row { path: "/room/{name}/ws", dialect: &camus::Camus },
    Row { path: "/chat/{name}/ws", dialect: &camus::Camus },
    Row { path: "/v1/connect", dialect: &direct::Direct },
    Row { path: "peerjs", dialect: &peerjs::Peerjs },
    Row { path: "/mesh", dialect: &mesh::Mesh },
    Row { path: "/ws", dialect: &share::Share },
    Row { path: "/ws/", dialect: &share::Share },
    Row { path: "/y-webrtc", dialect: &y_webrtc::YWebrtc },
];

/// The names of all dialects, each once.
pub fn names() -> BTreeSet<&'static str> {
    DIALECTS.iter().map(|row| row.dialect.name()).collect()
}

/// The dialect of this name, which is the first part of its rooms' ids.
pub fn named(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().map(|row| row.dialect).find(|dialect| dialect.name() == name)
}

/// `value` as JSON. Strings and structs of strings always have one.
fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}

/// The object in `text`; or what is wrong with it, for whoever sent it, and that `right` would be right.
fn read<'a, T: Deserialize<'a>>(text: &'a str, right: &str) -> Result<T, String> {
    if !is_object(text) {
        return Err(format!("no JSON object; expected {right}"));
    }
    if too_deep(text) {
        return Err(format!("nested deeper than {MAX_DEPTH}"));
    }
    serde_json::from_str(text).map_err(|e| format!("{e}; expected {right}"))
}

/// Whether what `text` has in it, if it is JSON, is an object: serde takes an array of the members' values for a struct too.
fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

/// A member that is there, `null` or not.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

/// The deepest nesting of arrays and objects that is carried.
pub const MAX_DEPTH: usize = 64;

/// Whether the JSON `text` nests deeper than [`MAX_DEPTH`]: a receiver's parser may recurse, and `serde_json` passes
/// over what it ignores or keeps raw without a limit. One pass over the bytes; `text` need not be valid.
pub fn too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_found_by_its_name() {
        for row in DIALECTS {
            assert_eq!(
                named(row.dialect.name()).map(Dialect::name),
                Some(row.dialect.name()),
                "{}",
                row.path
            );
        }
        assert!(named("morse").is_none());
    }

    #[test]
    fn a_name_held_in_the_whole_cluster_is_a_room_and_no_two_are_the_same() {
        let at = |name: &str| home_of(&RoomId::of(peerjs::NAME, "bob"), &PeerId::new(name));
        assert_eq!(at("alice"), RoomId::new("peerjs/alice"));
        assert_eq!(at("a/b {}%\0😀"), RoomId::new("peerjs/a%2Fb%20%7B%7D%25%00%F0%9F%98%80"));
        assert_ne!(at("a%20b"), at("a b"));
        let long = |end: &str| at(&("x".repeat(5000) + end));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").name().len() < 64 && long("a").name().starts_with('~'));
        let kitchen = RoomId::of(camus::NAME, "kitchen");
        assert_eq!(home_of(&kitchen, &PeerId::new("alice")), kitchen);
    }

    #[test]
    fn depth_is_counted_outside_of_strings_only() {
        let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert!(!too_deep(&nested(MAX_DEPTH)));
        assert!(too_deep(&nested(MAX_DEPTH + 1)));
        assert!(!too_deep(&format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(500), "{".repeat(500))));
        assert!(!too_deep(&"[],".repeat(1000)));
    }
}
