//! What clients write and read: the protocols that are played, as those know them who speak them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::schedule::PEERS;
use crate::dialect::camus::{self, Camus};
use crate::dialect::peerjs::{self, Peerjs};
use crate::dialect::{Dialect, home_of};
use crate::message::{PeerId, Receipt, RoomId};

/// What is spoken in a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    /// camus: a room, whose members are held for while they are away.
    Rooms,
    /// The same with `switchboard.v1`: messages have names, and clients know them again.
    Numbered,
    /// peerjs: names that are held in the whole cluster, and free when nobody is connected.
    Names,
}

/// A message, as its sender's client has it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) number: u64,
    /// For one, or for everybody.
    pub(super) to: Option<PeerId>,
    pub(super) receipt: Receipt,
}

/// What a frame tells a client.
#[derive(Debug)]
pub(super) enum Told {
    /// It has its name.
    Open,
    Roster(BTreeSet<PeerId>),
    Message {
        from: PeerId,
        number: u64,
        id: Option<String>,
    },
    /// What it said did not reach `to`: that message, if it is named.
    NotDelivered {
        to: PeerId,
        number: Option<u64>,
    },
    Accepted(u64),
    Busy,
    AreYouThere,
    HasLeft(PeerId),
    Nothing,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(alias = "src", default)]
    sender: &'a str,
    #[serde(borrow, alias = "payload", default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    id: Option<&'a str>,
}

#[derive(Deserialize)]
struct RoomInfo<'a> {
    #[serde(borrow)]
    clients: Vec<Listed<'a>>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    id: &'a str,
}

/// What `accepted` and `undeliverable` are about.
#[derive(Deserialize)]
struct About<'a> {
    id: &'a str,
    #[serde(default)]
    receiver: &'a str,
}

impl Tongue {
    /// What is spoken in the schedule of this seed.
    pub(super) fn of(seed: u64) -> Self {
        [Self::Rooms, Self::Rooms, Self::Numbered, Self::Names][(seed % 4) as usize]
    }

    pub(super) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Rooms => &Camus,
            Self::Numbered => Camus.subprotocol("switchboard.v1").unwrap(),
            Self::Names => &Peerjs,
        }
    }

    /// The room of that peer: one for all, or its own.
    pub(super) fn home(self, peer: &PeerId) -> RoomId {
        match self {
            Self::Rooms | Self::Numbered => RoomId::of(camus::NAME, "tea"),
            Self::Names => home_of(&RoomId::of(peerjs::NAME, ""), peer),
        }
    }

    /// As whom the client at this place comes, of so many. One of three or more wants the name of another one.
    pub(super) fn name(self, place: usize, peers: usize) -> PeerId {
        let is_rival = self == Self::Names && peers > 2 && place + 1 == peers;
        PeerId::new(PEERS[if is_rival { 0 } else { place }])
    }

    /// The frame in which a client says that.
    pub(super) fn write(self, Message { number, to, receipt }: &Message) -> String {
        let to = to.as_ref().map_or("room", PeerId::as_str);
        match (self, receipt) {
            (Self::Rooms, _) => format!(r#"{{"receiver":"{to}","type":"chat","data":{number}}}"#),
            (Self::Numbered, _) => {
                format!(r#"{{"receiver":"{to}","type":"chat","data":{number},"id":"{number}"}}"#)
            }
            (Self::Names, Receipt::TellSender) => {
                format!(r#"{{"type":"OFFER","dst":"{to}","payload":{number}}}"#)
            }
            (Self::Names, Receipt::Drop) => format!(r#"{{"type":"LEAVE","dst":"{to}","payload":{number}}}"#),
        }
    }

    /// What a client asks first, if it has to.
    pub(super) fn greeting(self) -> &'static str {
        match self {
            Self::Rooms | Self::Numbered => r#"{"receiver":"ground control","type":"get-room-info"}"#,
            Self::Names => r#"{"type":"HEARTBEAT"}"#,
        }
    }

    /// A sign of life.
    pub(super) fn sign_of_life(self) -> &'static str {
        match self {
            Self::Rooms | Self::Numbered => r#"{"receiver":"ground control","type":"pong"}"#,
            Self::Names => r#"{"type":"HEARTBEAT"}"#,
        }
    }

    /// The client goes on purpose.
    pub(super) fn farewell(self) -> &'static str {
        match self {
            Self::Rooms | Self::Numbered => r#"{"receiver":"ground control","type":"bye"}"#,
            Self::Names => r#"{"type":"LEAVE"}"#,
        }
    }

    /// What a client understands of a frame.
    pub(super) fn read(self, frame: &[u8]) -> Told {
        let Ok(Frame { kind, sender, data, id }) = serde_json::from_slice(frame) else {
            return Told::Nothing;
        };
        let (from, data) = (PeerId::new(sender), data.map_or("", RawValue::get));
        let message = |from| {
            let id = id.map(Into::into);
            Told::Message { from, number: data.parse().unwrap_or_default(), id }
        };
        match (self, kind) {
            (Self::Names, "OPEN") => Told::Open,
            (Self::Names, "OFFER" | "LEAVE") => message(from),
            (Self::Names, "EXPIRE") => Told::NotDelivered { to: from, number: None },
            (Self::Rooms | Self::Numbered, "chat") => message(from),
            (Self::Rooms | Self::Numbered, "bye") => Told::HasLeft(from),
            (Self::Rooms | Self::Numbered, "ping") => Told::AreYouThere,
            (Self::Rooms | Self::Numbered, "room-info") => roster(data),
            (Self::Rooms | Self::Numbered, "error") => error(data.trim_matches('"')),
            (Self::Numbered, "accepted" | "undeliverable") => about(kind, data),
            _ => Told::Nothing,
        }
    }
}

fn roster(data: &str) -> Told {
    let Ok(RoomInfo { clients }) = serde_json::from_str(data) else { return Told::Nothing };
    Told::Roster(clients.into_iter().map(|client| PeerId::new(client.id)).collect())
}

fn error(text: &str) -> Told {
    let of = text.split_once("client ").and_then(|(_, after)| after.split(' ').next());
    of.map_or(Told::Busy, |of| Told::NotDelivered { to: PeerId::new(of), number: None })
}

fn about(kind: &str, data: &str) -> Told {
    let Ok(About { id, receiver }) = serde_json::from_str(data) else { return Told::Nothing };
    let number = id.parse().unwrap_or_default();
    match kind {
        "accepted" => Told::Accepted(number),
        _ => Told::NotDelivered { to: PeerId::new(receiver), number: Some(number) },
    }
}
