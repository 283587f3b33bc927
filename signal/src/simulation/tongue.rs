//! What clients write and read: the protocols that are played, as those know them who speak them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::hosted::{Hosted, host};
use super::schedule::PEERS;
use crate::dialect::camus::{self, Camus};
use crate::dialect::peerjs::{self, Peerjs};
use crate::dialect::{Dialect, home_of, share};
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
    /// share: a host opens a room, others come into it and talk to the host. Who is not connected is in none.
    Hosted,
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
    /// What it said did not reach somebody.
    NotDeliveredToSomebody,
    Accepted(u64),
    Busy,
    /// It has a room of its own, which is called so.
    RoomIsOpen(String),
    /// It may be in none that has a host.
    HostIsGone,
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
        match seed % 8 {
            0 | 1 | 4 => Self::Rooms,
            2 | 6 => Self::Numbered,
            3 | 7 => Self::Names,
            _ => Self::Hosted,
        }
    }

    /// Whether those who are not connected are held for.
    pub(super) fn holds_for_those_away(self) -> bool {
        matches!(self, Self::Rooms | Self::Numbered)
    }

    pub(super) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Rooms => &Camus,
            Self::Numbered => Camus.subprotocol("switchboard.v1").unwrap(),
            Self::Names => &Peerjs,
            Self::Hosted => &Hosted,
        }
    }

    /// The room of that peer: one for all, its own, or the one that the host has opened last.
    pub(super) fn home(self, peer: &PeerId, opened: &str) -> RoomId {
        match self {
            Self::Rooms | Self::Numbered => RoomId::of(camus::NAME, "tea"),
            Self::Names => home_of(&RoomId::of(peerjs::NAME, ""), peer),
            Self::Hosted => RoomId::of(share::NAME, opened),
        }
    }

    /// As whom the client at this place comes, of so many. One of three or more wants the name of another one.
    pub(super) fn name(self, place: usize, peers: usize) -> PeerId {
        match (self, place) {
            (Self::Names, place) if peers > 2 && place + 1 == peers => PeerId::new(PEERS[0]),
            (Self::Hosted, 0) => host(),
            _ => PeerId::new(PEERS[place]),
        }
    }

    /// To whom the client at this place can say what it would say to that one, or to everybody.
    pub(super) fn addressee(self, place: usize, to: Option<usize>) -> Option<usize> {
        match (self, place) {
            (Self::Hosted, 0) => to.filter(|to| *to > 0).or(Some(1)),
            (Self::Hosted, _) => Some(0),
            _ => to,
        }
    }

    /// The frame in which a client says that.
    pub(super) fn write(self, Message { number, to, receipt }: &Message) -> String {
        let to = to.as_ref().map_or("room", PeerId::as_str);
        match (self, receipt) {
            (Self::Hosted, _) => {
                format!(r#"{{"type":"ICE_CANDIDATE","username":"{to}","candidate":{number}}}"#)
            }
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

    /// What a client asks first, if it has to: where the host has `opened` that room last.
    pub(super) fn greeting(self, peer: &PeerId, opened: &str) -> String {
        match self {
            Self::Rooms | Self::Numbered => r#"{"receiver":"ground control","type":"get-room-info"}"#.into(),
            Self::Names => r#"{"type":"HEARTBEAT"}"#.into(),
            Self::Hosted if *peer == host() => r#"{"type":"CREATE_ROOM","username":"host"}"#.into(),
            Self::Hosted => format!(r#"{{"type":"JOIN_ROOM","username":"{peer}","roomid":"{opened}"}}"#),
        }
    }

    /// A sign of life.
    pub(super) fn sign_of_life(self) -> &'static str {
        match self {
            Self::Rooms | Self::Numbered => r#"{"receiver":"ground control","type":"pong"}"#,
            Self::Names | Self::Hosted => r#"{"type":"HEARTBEAT"}"#,
        }
    }

    /// The client goes on purpose.
    pub(super) fn farewell(self) -> &'static str {
        match self {
            Self::Rooms | Self::Numbered => r#"{"receiver":"ground control","type":"bye"}"#,
            Self::Names => r#"{"type":"LEAVE"}"#,
            Self::Hosted => r#"{"type":"LEAVE_ROOM"}"#,
        }
    }

    /// What a client understands of a frame.
    pub(super) fn read(self, frame: &[u8]) -> Told {
        if self == Self::Hosted {
            return serde_json::from_slice(frame).map_or(Told::Nothing, shared);
        }
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

/// A frame of share.
#[derive(Deserialize)]
struct Shared<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    username: Option<&'a str>,
    #[serde(default)]
    roomid: &'a str,
    #[serde(default)]
    message: &'a str,
    candidate: Option<u64>,
}

fn shared(Shared { kind, username, roomid, message, candidate }: Shared<'_>) -> Told {
    let whom = username.map_or_else(host, PeerId::new);
    match (kind, message) {
        ("ROOM_CREATED", _) => Told::RoomIsOpen(roomid.into()),
        ("ROOM_JOINED", _) => Told::Open,
        ("ICE_CANDIDATE", _) => Told::Message { from: whom, number: candidate.unwrap_or_default(), id: None },
        ("USER_LEFT", _) => Told::NotDelivered { to: whom, number: None },
        ("ERROR", "User not found") => Told::NotDeliveredToSomebody,
        ("ERROR", "The host has left" | "You must join a room first") => Told::HostIsGone,
        ("ERROR", _) => match message.split_once(" did not get your message") {
            Some((of, _)) => Told::NotDelivered { to: PeerId::new(of), number: None },
            None => Told::Busy,
        },
        ("INVALID_ROOM_ID" | "INVALID_USERNAME", _) => Told::Busy,
        _ => Told::Nothing,
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
