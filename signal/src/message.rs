//! What is said: the one vocabulary between the wires and the rooms.
//!
//! A [`Dialect`](crate::dialect::Dialect) turns a client's frame into a [`Command`] and an [`Event`] into a
//! [`Frame`]. No word of any one protocol comes past it, and nothing of what is here is ever on a client's wire.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id of these letters. What a client wrote is checked by the door that it came through.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id! {
    /// Who someone is to the others. Unique in a room; where names are held in the whole cluster, each of them is a room
    /// of its own.
    PeerId
}

id! {
    /// One life of one node: its name, a dot, and a random part that no later life has again.
    NodeId
}

id! {
    /// A room: the name of the dialect that its peers speak, a slash, and the room's own name.
    RoomId
}

impl RoomId {
    /// The room `name` of those who speak `dialect`.
    pub fn of(dialect: &str, name: &str) -> Self {
        Self(format!("{dialect}/{name}").into())
    }

    /// The name of the dialect that is spoken in it.
    pub fn dialect(&self) -> &str {
        self.0.split_once('/').map_or("", |(dialect, _)| dialect)
    }

    /// The room's own name, as it stands in its address.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }
}

/// What a dialect says of a peer; opaque to everything else. In camus: the user's name. Of one who holds a name in the
/// whole cluster: what tells its client from others.
pub type Profile = Arc<str>;

/// One connection's hold on a peer: without it a late farewell of the old connection would throw out the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seat(pub u64);

/// The number of a peer's hold on its name in the cluster. Each is larger than all before it in the room; of two
/// holders the larger number is right. Clocks decide nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Claim(pub u64);

/// The peer at the end of a connection, as long as the connection holds it.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// The room that it is in.
    pub room: RoomId,
    /// Its name there.
    pub peer: PeerId,
    /// This connection's hold on that name.
    pub seat: Seat,
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// One peer of the room.
    Peer(PeerId),
    /// All of them, the sender too.
    Everyone,
    /// All but the sender.
    Others,
    /// All who are in that room, wherever the sender is.
    Topic(RoomId),
}

/// Where a connection goes that leaves the room that it is in, if it is in one.
#[derive(Debug)]
pub enum Destination {
    /// Nowhere else.
    Out,
    /// Into a room that is made for it, as this peer.
    New(PeerId),
    /// Into that room.
    Room {
        /// The room.
        room: RoomId,
        /// As whom.
        peer: PeerId,
        /// What the client calls the room.
        written: Box<str>,
    },
}

/// How somebody comes to be no member any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It has said so.
    OnPurpose,
    /// Its connection broke, or its node.
    Dropped,
}

/// What a peer asks for.
#[derive(Debug)]
pub enum Command {
    /// Carry a message.
    Tell {
        /// To whom.
        to: To,
        /// Its type, in the dialect's words.
        kind: Box<str>,
        /// Its payload: one JSON value, carried byte for byte.
        payload: Option<Box<RawValue>>,
        /// Whether the sender wants to hear that it did not arrive.
        receipt: Receipt,
        /// What the sender calls it, if it wants to hear that it was accepted. One of the same name is the same message
        /// once more.
        id: Option<Arc<str>>,
    },
    /// Say this of me from now on.
    Rename(Profile),
    /// Who is here?
    Roster,
    /// Which STUN and TURN servers may I use?
    IceServers,
    /// I leave the room.
    Leave,
    /// I leave the room that I am in, and go there.
    Go(Destination),
    /// Call the handler of these messages, which decides what follows.
    Call {
        /// The message's type, in the dialect's words.
        kind: Box<str>,
        /// Its payload: a JSON object as it was written.
        payload: Box<RawValue>,
        /// For whom it is, if it says so.
        target: Option<PeerId>,
    },
    /// I am in these rooms too, from now on.
    Subscribe(Vec<RoomId>),
    /// I leave these, of the rooms that I am in.
    Unsubscribe(Vec<RoomId>),
    /// I give up my name, and stay connected without one: nothing that I say from now on is heard.
    Release,
    /// The dialect has the answer itself: a pong, or what was wrong with a frame.
    Answer(Frame),
    /// A sign of life and nothing more.
    Noted,
}

/// What happens when a message cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The sender is told.
    TellSender,
    /// Nobody waits for it; the protocol's page says *dropped*.
    Drop,
}

/// Why a message did not reach its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Undelivered {
    /// Nobody of that name is in the room.
    Absent,
    /// Too much waits for that peer already.
    Full,
    /// It was held for a peer that did not come back in time.
    Expired,
    /// The node that has the peer could not be reached.
    Unreachable,
}

impl Undelivered {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Absent, Self::Full, Self::Expired, Self::Unreachable];

    /// The word for it in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Full => "full",
            Self::Expired => "expired",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What a peer is told.
#[derive(Debug)]
pub enum Event<'a> {
    /// Another peer, or oneself, said something.
    Told {
        /// Who; the server's word.
        from: &'a PeerId,
        /// To whom.
        to: &'a To,
        /// The message's type, in the dialect's words.
        kind: &'a str,
        /// The payload as it was sent.
        payload: Option<&'a RawValue>,
        /// How many it is for.
        listeners: usize,
    },
    /// Who is in the room, in order of arrival.
    Roster {
        /// The room's own name.
        room: &'a str,
        /// Name and profile of each.
        peers: &'a [(PeerId, Profile)],
    },
    /// The STUN and TURN servers, in order of preference.
    IceServers(&'a [IceServer]),
    /// Are you still there?
    AreYouThere {
        /// Now; milliseconds since 1970.
        at: u64,
    },
    /// You were away for too long, or broke the peace: you are no longer in the room.
    Removed {
        /// When; milliseconds since 1970.
        at: u64,
    },
    /// Something that you sent did not arrive.
    Undelivered {
        /// For whom it was.
        to: &'a PeerId,
        /// Why.
        why: Undelivered,
        /// What you called it, if you did.
        id: Option<&'a str>,
    },
    /// A message that you gave a name to is safe: not in one node's memory only.
    Accepted {
        /// What you called it.
        id: &'a str,
    },
    /// What this connection is, and goes by.
    Session {
        /// Proves who you are when you come back.
        token: &'a str,
        /// After this silence you are pinged.
        ping_interval: Duration,
        /// For so long you are waited for when you are away.
        grace: Duration,
        /// Bytes in a message, at most.
        max_message_bytes: usize,
        /// Whether you have been here before, and what was held for you follows.
        resumed: bool,
    },
    /// This node is being stopped: come back, to another one, after this time.
    GoingAway {
        /// How long to wait.
        after: Duration,
    },
    /// The server could not do what you asked just now.
    Busy,
    /// You have your name.
    Seated,
    /// You are in this room now.
    Entered {
        /// What you call it; what it is called, if it was made for you.
        room: &'a str,
        /// Whether it was made for you.
        made: bool,
    },
    /// You are in no room now.
    Out,
    /// You do not get the name or the place that you want.
    NotSeated(NotSeated),
}

/// Why somebody does not get a name, or into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSeated {
    /// Somebody else has it.
    Taken,
    /// As many are here as may be.
    TooMany,
    /// There is no such room, or nobody who would let you in.
    NoRoom,
    /// As many rooms were made from your address as may be in a minute.
    TooManyMade,
}

/// An entry of `RTCConfiguration.iceServers` (W3C WebRTC, 4.2.4). One entry never mixes STUN and TURN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IceServer {
    /// STUN servers (RFC 8489).
    Stun {
        /// `stun:` and `stuns:` URLs, at least one.
        urls: Vec<String>,
    },
    /// TURN servers (RFC 8656).
    Turn {
        /// `turn:` and `turns:` URLs, at least one.
        urls: Vec<String>,
        /// `<unix expiry>:<name>`.
        username: String,
        /// Base64 of HMAC-SHA1 over the user name.
        credential: String,
    },
}

/// A finished WebSocket text frame, encoded once and shared by all that it goes to.
///
/// Where a protocol writes the receiver's name into each frame, the text leaves that place open and [`Frame::to`]
/// fills it in: one encoding serves all receivers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    text: Bytes,
    receiver_at: Option<u32>,
    awaits_roster: bool,
}

impl Frame {
    /// A frame that is the same for everybody.
    pub fn new(text: String) -> Self {
        Self { text: text.into(), receiver_at: None, awaits_roster: false }
    }

    /// One that its protocol tells together with who is in the room: it is
    /// [finished](crate::dialect::Dialect::beside_roster) when it is written, on the node that has its receiver and knows that.
    pub fn awaiting_roster(text: String) -> Self {
        Self { awaits_roster: true, ..Self::new(text) }
    }

    /// A frame made of `before`, the receiver's name as a JSON string, and `after`.
    pub fn around_receiver(before: &str, after: &str) -> Self {
        let at = u32::try_from(before.len()).ok();
        Self { text: [before, after].concat().into(), receiver_at: at, awaits_roster: false }
    }

    /// Whether it is still to be finished.
    pub fn awaits_roster(&self) -> bool {
        self.awaits_roster
    }

    /// No text, but a WebSocket ping (RFC 6455, 5.5.2): who is there answers it without its program's knowing.
    pub fn ping() -> Self {
        Self::new(String::new())
    }

    /// Whether it is [`Self::ping`].
    pub fn is_ping(&self) -> bool {
        self.text.is_empty()
    }

    /// What goes onto `receiver`'s wire: UTF-8, as [`Frame::new`] and [`Frame::around_receiver`] take nothing else.
    pub fn to(&self, receiver: &PeerId) -> Bytes {
        self.to_with(receiver, "")
    }

    /// The same with `more`, members of an object, after the receiver's name. A frame without a place for that name has
    /// none for them either.
    pub fn to_with(&self, receiver: &PeerId, more: &str) -> Bytes {
        let Some(at) = self.receiver_at else { return self.text.clone() };
        let (before, after) = self.text.split_at((at as usize).min(self.text.len()));
        let receiver = serde_json::to_vec(receiver.as_str()).unwrap_or_default();
        [before, &receiver, more.as_bytes(), after].concat().into()
    }

    /// Bytes held by it.
    #[expect(clippy::len_without_is_empty, reason = "an empty one is a ping")]
    pub fn len(&self) -> usize {
        self.text.len()
    }
}

/// Shows its size and not its text: descriptions and candidates do not belong in a log.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.text.len())
    }
}
