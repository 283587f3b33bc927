//! How it travels: what nodes know in common, and how an envelope gets from one to another.
//!
//! A backplane is a directory (rooms, who is in them, which node has whom) and a way to carry envelopes between
//! nodes. Both have one contract, which `conformance` plays to every implementation:
//!
//! - A change of a room is atomic, and raises the room's version by one. A claim is the version at which it was made.
//! - A room that is made, or made again, begins at the directory's clock: above whatever it has been at before, whether it
//!   had ended or the directory has lost it. So the larger of two versions or claims is the newer one, across a loss too.
//!   A clock that goes back meanwhile does no harm: whoever makes the room again, or finds that it has come less far than
//!   it remembers, says so, and the room begins above that ([`Creation::Again`]).
//! - Whoever changes or releases a membership names the claim that it holds. A claim that is no longer the newest
//!   changes nothing ([`Refusal::Superseded`]).
//! - Envelopes from one node to another arrive in the order in which they were given, at most once. When the other one
//!   is gone ([`Notice::Gone`]), what it did not get can be taken back ([`Backplane::take_back`]).
//! - The peers of a node that dies without a word are taken over by another one ([`Notice::Adopted`]), by exactly one.
//! - A room without members ends after [`Lifetimes::empty_room`]; nothing else ends a room.
//!
//! To add one: write its file, and its line in [`node`](crate::node).

pub mod link;
pub mod memory;
pub mod pressure;
pub mod pulse;
pub mod redis;

#[cfg(test)]
pub(crate) mod conformance;

use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::hub::mailbox::{Letter, Step};
use crate::hub::room::{Member, Record, Snapshot};
use crate::message::{Claim, Frame, NodeId, PeerId, Profile, RoomId, Undelivered};
use pressure::Relief;

/// A room that its last member has left for nobody to come back to is kept no longer than this: anybody can make many.
pub const FREE_FOR: Duration = Duration::from_secs(10);

/// Rooms in a list, at most.
pub const MAX_LISTED: usize = 200;

/// An answer that may have to wait for another machine.
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// A room in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The room.
    pub room: RoomId,
    /// What it was made with.
    pub record: Record,
    /// How many are in it.
    pub members: usize,
}

/// A node's wish to have a peer in a room.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The peer.
    pub peer: PeerId,
    /// The creation number that its pass was made for.
    pub made: u64,
    /// The claim that is taken over; `None` if the peer is not a member. Anything else in the directory refuses.
    pub over: Option<Claim>,
    /// What is said of it, if it is new. One who comes back keeps what was said.
    pub profile: Profile,
    /// Whether the others know of it at once. One who comes back and was listed is so in any case.
    pub listed: bool,
    /// Whether it has no living socket (a node takes over one that is away).
    pub away: bool,
    /// When it first came, if its node remembers that: counts if it is no member any more, as the directory has forgotten it.
    pub born: Option<u64>,
    /// What is made if there is no such room.
    pub create: Creation,
    /// Members at most, whatever the room says.
    pub max_members: u32,
}

/// What is made when somebody enters a room that is not there.
#[derive(Clone, Debug)]
pub enum Creation {
    /// Nothing: there is no such room.
    Never,
    /// A room that is made by entering it. Not while the directory has just lost everything it knew: somebody may still
    /// have a room of that name, with its password, and is about to say so ([`Refusal::Unavailable`]). For the same reason
    /// no room is made on purpose then.
    ByEntering(Record),
    /// A room that was there, as its member's node remembers it. If it is there, and has not come as far, the directory has
    /// lost the newest of it: then too it begins anew, with what it has.
    Again {
        /// What it was made with.
        record: Record,
        /// How far it had come.
        version: u64,
    },
}

impl Creation {
    /// What the room is made with, if it is.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Never => None,
            Self::ByEntering(record) | Self::Again { record, .. } => Some(record),
        }
    }

    /// The room begins above this version, and goes on above it: how far it is known to have come.
    pub fn remembered(&self) -> u64 {
        match self {
            Self::Again { version, .. } => *version,
            Self::Never | Self::ByEntering(_) => 0,
        }
    }
}

/// What is to be different in a membership.
#[derive(Clone, Debug)]
pub enum Change {
    /// The others know of it from now on.
    Listed,
    /// It has no living socket any more.
    Away,
    /// This is said of it from now on.
    Profile(Profile),
}

impl Change {
    /// Makes the change to `member`.
    pub fn make_to(self, member: &mut Member) {
        match self {
            Self::Listed => member.listed = true,
            Self::Away => member.away = true,
            Self::Profile(profile) => member.profile = profile,
        }
    }
}

/// Whether one who leaves may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Not as long as a pass can prove its name ([`Lifetimes::gone`]).
    ForGood,
    /// At once, and so may anybody else of that name.
    Free,
}

/// Why the directory did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The room exists already.
    #[error("the room exists already")]
    Taken,
    /// No such room, or another one under its name.
    #[error("there is no such room")]
    NoRoom,
    /// As many are in it as may be.
    #[error("the room is full")]
    Full,
    /// The peer has left this room and may not come back.
    #[error("the peer has left the room for good")]
    Gone,
    /// Somebody else holds the peer by now.
    #[error("the claim is no longer the newest")]
    Superseded,
    /// The directory cannot be reached.
    #[error("the backplane is away")]
    Unavailable,
}

/// What one node sends another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Envelope {
    /// A letter for one peer.
    Deliver(Delivery),
    /// A letter for everybody in the room, for its members on that node.
    DeliverAll(DeliveryToAll),
    /// These copies of the receiving node's need not be kept any more: their letters have arrived, or their senders were
    /// told.
    Settled {
        /// Their numbers there.
        numbers: Vec<u64>,
    },
    /// The letters of these copies of the receiving node's are on the sending node now.
    Holds {
        /// Which, and how far they have come with this.
        steps: Vec<Step>,
    },
    /// The letters of these copies of the receiving node's were on the sending node, which has just passed them on.
    PassedOn {
        /// To that node.
        to: NodeId,
        /// Which, and how far they have come with this.
        steps: Vec<Step>,
    },
    /// A room has changed.
    Changed(Changed),
    /// Everybody in the room but one is to be told who is there.
    Roster {
        /// The room.
        room: RoomId,
        /// Who is not.
        but: PeerId,
    },
    /// What was held for a peer that is now on the receiving node, oldest first.
    HandOver {
        /// The peer's room.
        room: RoomId,
        /// The peer.
        peer: PeerId,
        /// What was held.
        held: Vec<Letter>,
        /// Nothing comes after this.
        last: bool,
    },
    /// Somebody is there for whom the receiving node has looked out.
    Appeared {
        /// The peer's room.
        room: RoomId,
        /// The peer.
        peer: PeerId,
    },
    /// A peer of the receiving node did not get something of which nobody else is told: its connection is to end, so that it
    /// is not silent.
    Missed {
        /// The peer's room.
        room: RoomId,
        /// The peer.
        peer: PeerId,
    },
    /// The receiving node is to answer.
    Question {
        /// Names the answer.
        number: u64,
        /// What.
        question: Question,
    },
    /// What the receiving node has asked.
    Answer {
        /// The question's number.
        number: u64,
        /// What is said to it.
        answer: Answer,
    },
}

/// What one node asks another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// How long have these peers been silent? Answered with [`Answer::Silence`].
    Silence {
        /// The peers' room.
        room: RoomId,
        /// The peers.
        peers: Vec<PeerId>,
    },
    /// Does the connection of this peer answer a ping, sent now?
    Challenge {
        /// The peer's room.
        room: RoomId,
        /// The peer.
        peer: PeerId,
    },
    /// Has what was said before this been taken in? What is carried is in order, so any answer says that it has.
    HaveYouHeard,
    /// May the asking node, which stops, rely on the receiving one, and on the copies that it keeps?
    DoYouStay,
    /// Is all that was said through the receiving node to those in this room where they are? Answered when it is.
    HaveTheyHeard {
        /// The room.
        room: RoomId,
    },
    /// Every connection of a dialect is to be sent away. Answered when they are gone.
    Kick {
        /// The dialect's name.
        dialect: String,
    },
}

/// What one node answers another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is so, or is so by now.
    Yes,
    /// It is not.
    No,
    /// Milliseconds since each of the peers was last heard; only of those that the answering node has.
    Silence(Vec<(PeerId, u64)>),
}

/// A letter for one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Room of sender and receiver.
    pub room: RoomId,
    /// For whom.
    pub to: PeerId,
    /// What.
    pub letter: Letter,
    /// How long it took so far, from the frame read to here.
    pub spent: Duration,
}

/// A letter for everybody in a room, as it goes to one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryToAll {
    /// The room.
    pub room: RoomId,
    /// Its members on that node, as the sender's node knows them: who has moved on is looked for.
    pub to: Vec<PeerId>,
    /// What. Its mark is that of the first of them; each of the others has the next number.
    pub letter: Letter,
    /// How long it took so far, from the frame read to here.
    pub spent: Duration,
}

/// A change of a room, as the node that made it tells the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The room.
    pub room: RoomId,
    /// Its version now. One that leaves a gap says that a change was missed: the room is read again.
    pub version: u64,
    /// Whose membership.
    pub peer: PeerId,
    /// The membership now; `None` if it has ended.
    pub member: Option<Member>,
    /// What those whom it concerns are told, before the roster.
    pub frames: Vec<Frame>,
    /// Whether everybody is to be told who is there.
    pub roster: bool,
}

/// What the backplane tells its node.
#[derive(Debug)]
pub enum Notice {
    /// An envelope came.
    Arrived {
        /// From this node.
        from: NodeId,
        /// What it says.
        envelope: Envelope,
    },
    /// A node is gone: nothing is carried to it any more.
    Gone(NodeId),
    /// A node died, and this one has taken over a peer of it. Or a join for which this node had no answer has happened
    /// all the same: whoever asked for it is gone, and the peer is a member that is away.
    Adopted {
        /// The peer's room.
        room: RoomId,
        /// The peer.
        peer: PeerId,
        /// The room with the change.
        snapshot: Snapshot,
        /// Who had the peer before the one from whom it was taken over: nobody may have lived to tell that node.
        had_by: Option<NodeId>,
    },
    /// A node died that may have let this peer go, and did not live to tell.
    Untold {
        /// The peer's room.
        room: RoomId,
        /// The peer.
        peer: PeerId,
    },
    /// This node could hear nobody for a while, and does again. Who lives says again what was not heard; who has ended
    /// meanwhile does not, so what is known of rooms may be old.
    WasDeaf,
    /// The others took this node for dead, or the directory has lost what it knew: every peer is to be claimed again.
    Forgotten,
}

/// How long the directory keeps what nobody holds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A room without members.
    pub empty_room: Duration,
    /// The memory that a peer has left; as long as a pass can prove its name.
    pub gone: Duration,
}

/// What a backplane has counted since the start, and what it last measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers {
    /// How long the directory took to answer, there and back; an envelope to another node takes about as long.
    pub round_trip: Duration,
    /// How long what this node said to itself took through the bus.
    pub probe: Duration,
    /// How often the connections to the directory were made anew.
    pub rebuilds: u64,
    /// Envelopes that wait, or that other nodes have not acknowledged.
    pub unsettled: usize,
    /// Their bytes.
    pub unsettled_bytes: usize,
    /// Frames of other nodes that came faster than this one took them, and were dropped: they come again.
    pub overflowed: u64,
    /// Frames between nodes that went more than once.
    pub retransmits: u64,
    /// Envelopes of other nodes that had to be asked for again: holes in their numbers.
    pub missed: u64,
    /// Frames between nodes that were none, or not ours, and envelopes of another version.
    pub rejected: u64,
}

/// The directory and the way between nodes, as one node sees them.
pub trait Backplane: Send + Sync + 'static {
    /// This node.
    fn node(&self) -> &NodeId;

    /// Whether this node may claim and change what others know: it has its lease, where there is one. Else everything
    /// that it asks the directory is refused at once ([`Refusal::Unavailable`]).
    fn is_up(&self) -> bool;

    /// The other nodes: those that live, and those whose peers are still to be taken over.
    fn others(&self) -> Wait<'_, Vec<NodeId>>;

    /// Where the other nodes' operators' doors are (`host:port`), as this one last knew, as far as they have said so.
    fn neighbours(&self) -> Vec<String> {
        Vec::new()
    }

    /// What it has counted and measured.
    fn numbers(&self) -> Numbers;

    /// Makes a room. Refuses with [`Refusal::Taken`], and for a while after the directory has lost everything with
    /// [`Refusal::Unavailable`].
    fn make<'a>(&'a self, room: &'a RoomId, record: Record) -> Wait<'a, ()>;

    /// Reads a room, and which of `asked` have left it for good; `None` if there is no such room. Refuses with
    /// [`Refusal::Unavailable`] while the directory has just lost everything, and this node does not know it yet.
    fn look<'a>(&'a self, room: &'a RoomId, asked: &'a [PeerId]) -> Wait<'a, Option<Snapshot>>;

    /// Reads a room, as [`look`](Self::look) does; if nobody with a living socket is in it, whoever joins it within
    /// `lasts` is told that this node has looked out for somebody ([`Snapshot::awaited_by`]).
    fn look_out<'a>(&'a self, room: &'a RoomId, lasts: Duration) -> Wait<'a, Option<Snapshot>>;

    /// Everybody who is in any room of `dialect`, each once, in order of their names.
    fn peers<'a>(&'a self, dialect: &'a str) -> Wait<'a, Vec<PeerId>>;

    /// The rooms of `dialect` that are listed for everybody, by title; [`MAX_LISTED`] at most.
    fn public_rooms<'a>(&'a self, dialect: &'a str) -> Wait<'a, Vec<Listing>>;

    /// Puts a peer into a room, or takes it over: the room afterwards, in which the peer's claim is the version.
    /// Refuses with [`Refusal::NoRoom`], [`Refusal::Gone`], [`Refusal::Superseded`], [`Refusal::Full`], in this order.
    fn join<'a>(&'a self, room: &'a RoomId, entry: Entry) -> Wait<'a, Snapshot>;

    /// Changes a membership; the room's version afterwards.
    /// Refuses with [`Refusal::Superseded`] unless `claim` holds the peer.
    fn change<'a>(
        &'a self,
        room: &'a RoomId,
        peer: &'a PeerId,
        claim: Claim,
        change: Change,
    ) -> Wait<'a, u64>;

    /// Ends a membership; the room's version afterwards.
    /// Refuses with [`Refusal::Superseded`] unless `claim` holds the peer.
    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        peer: &'a PeerId,
        claim: Claim,
        departure: Departure,
    ) -> Wait<'a, u64>;

    /// Registers a name for `owner`, or sees it again: whether it is its own, now or since before. It stays so for `lasts` since
    /// it was last seen. Without an owner: whether it is anybody's.
    fn register<'a>(&'a self, name: &'a RoomId, owner: Option<&'a str>, lasts: Duration) -> Wait<'a, bool>;

    /// Takes an envelope for another node. Never waits; says so at once ([`Undelivered::Unreachable`],
    /// [`Undelivered::Full`]) if it is not going to be carried.
    fn carry(&self, to: &NodeId, envelope: Envelope) -> Result<(), Undelivered>;

    /// If the way to another node is nearly full: when those who fill it may be read again.
    fn relief(&self, _node: &NodeId) -> Option<Relief> {
        None
    }

    /// Whether another node is not gone, as far as this one knows; when it is, this one hears of it ([`Notice::Gone`]) from
    /// now on, whether or not anything is carried there.
    fn follow(&self, _node: &NodeId) -> bool {
        true
    }

    /// What a node that is gone did not get, oldest first; once. To be asked for as soon as [`Self::carry`] says that it
    /// is [`Undelivered::Unreachable`], so that nothing newer overtakes it.
    fn take_back(&self, from: &NodeId) -> Vec<Envelope>;

    /// Leaves the cluster: carries what is under way, then lets others take over the peers that are still here.
    fn close(&self) -> Wait<'_, ()>;
}
