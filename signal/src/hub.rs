//! Who hears it: the rooms and peers of this node. Synchronous; time is an argument.

pub mod mailbox;
pub mod roamer;
pub mod room;
pub mod roster;
pub mod session;
mod silence;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::breakage::{Breakage, is_broken};
use crate::chance::Map;
use crate::dialect::{AllTerms, Dialect};
use crate::goodbye::Goodbye;
use crate::message::{Claim, Event, Frame, NodeId, PeerId, RoomId, Seat, Speaker};

use mailbox::{Bounds, Left, Letter, Mailbox};
use roamer::Roamer;
use room::{Member, News, Room, Snapshot};
use roster::Pace;
use session::Session;

pub use roster::Told;
pub use silence::Due;

/// What another node holds for a peer that has come here is waited for this long.
const HAND_OVER: Duration = Duration::from_secs(2);

/// What became of a letter.
#[derive(Debug, PartialEq, Eq)]
pub enum Put {
    /// It is in its peer's mailbox.
    Taken,
    /// Too much waits there already.
    Full(Letter),
    /// Its peer is on that node.
    On(NodeId, Letter),
    /// Its peer is not in the room.
    Nowhere(Letter),
}

/// Where a peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this node.
    Here,
    /// On that one.
    On(NodeId),
    /// Not in the room.
    Nowhere,
    /// This node does not know the room.
    Unknown,
}

/// A seat that has just been taken.
#[derive(Debug)]
pub struct Seated {
    /// Who speaks from now on.
    pub speaker: Speaker,
    /// What it will be told.
    pub mailbox: Arc<Mailbox>,
    /// Whether its peer has been in the room before.
    pub resumed: bool,
    /// The other node where its peer was until now, if it was on one.
    pub moved_from: Option<NodeId>,
}

/// The rooms and peers of this node.
#[derive(Debug)]
pub struct Hub {
    me: NodeId,
    bounds: Bounds,
    terms: AllTerms,
    rosters: Pace,
    rooms: Map<RoomId, Room>,
    roamers: Map<Seat, Roamer>,
    /// How many sessions there are, by dialect.
    population: BTreeMap<&'static str, usize>,
    /// The rooms that are still to be told who is in them, and when. Some may have been told meanwhile.
    untold: BTreeSet<(Instant, RoomId)>,
    seats: u64,
}

impl Hub {
    /// A node without peers.
    pub fn new(me: NodeId, bounds: Bounds, terms: AllTerms, rosters: Pace) -> Self {
        let (rooms, roamers) = (Map::default(), Map::default());
        let (population, untold) = (BTreeMap::new(), BTreeSet::new());
        Self { me, bounds, terms, rosters, rooms, roamers, population, untold, seats: 0 }
    }

    /// The room, if one of this node's peers is in it.
    pub fn room(&self, room: &RoomId) -> Option<&Room> {
        self.rooms.get(room)
    }

    /// All rooms with one of this node's peers in it.
    pub fn rooms(&self) -> impl Iterator<Item = (&RoomId, &Room)> {
        self.rooms.iter()
    }

    /// Puts a letter into its peer's mailbox, if the peer is here. In one step: who looked for the mailbox first and
    /// put it in later could do so after its session has ended.
    pub fn put(&self, room: &RoomId, peer: &PeerId, letter: Letter) -> Put {
        let Some(room) = self.rooms.get(room) else { return Put::Nowhere(letter) };
        if let Some(session) = room.sessions.get(peer) {
            return match session.mailbox.push(letter) {
                Ok(()) => Put::Taken,
                Err(letter) => Put::Full(letter),
            };
        }
        match room.member(peer) {
            Some(member) if member.node != self.me => Put::On(member.node.clone(), letter),
            _ => Put::Nowhere(letter),
        }
    }

    /// Asks one of this node's peers something: of its connection, if it has one.
    pub fn ask(&self, room: &RoomId, peer: &PeerId, question: Frame) {
        let session = self.rooms.get(room).and_then(|room| room.sessions.get(peer));
        // One whose mailbox is full is asked by other means.
        let _ = session.map(|session| session.mailbox.answer(question));
    }

    /// Sends every connection of `dialect` away: the seats that they have.
    pub fn kick(&self, dialect: &str, goodbye: Goodbye) -> BTreeSet<Seat> {
        let settled = self.sessions().filter(|(room, _, _)| room.dialect() == dialect);
        let settled = settled.filter_map(|(_, _, session)| Some((session.seat?, &session.mailbox)));
        let roaming = self.roamers.iter().filter(|(_, roamer)| roamer.dialect.name() == dialect);
        let roaming = roaming.map(|(seat, roamer)| (*seat, &roamer.mailbox));
        let dismiss = |(seat, mailbox): (Seat, &Arc<Mailbox>)| {
            mailbox.dismiss(goodbye);
            seat
        };
        settled.chain(roaming).map(dismiss).collect()
    }

    /// Whether any of these connections is still here.
    pub fn has_any(&self, seats: &BTreeSet<Seat>) -> bool {
        let seated =
            |(_, _, session): (_, _, &Session)| session.seat.is_some_and(|seat| seats.contains(&seat));
        self.sessions().any(seated) || self.roamers.keys().any(|seat| seats.contains(seat))
    }

    /// Sends away the connection of one of this node's peers, if it has one.
    pub fn send_away(&self, room: &RoomId, peer: &PeerId, goodbye: Goodbye) {
        let session = self.rooms.get(room).and_then(|room| room.sessions.get(peer));
        if let Some(session) = session.filter(|session| session.seat.is_some()) {
            session.mailbox.dismiss(goodbye);
        }
    }

    /// Where a peer is, as far as this node knows.
    pub fn find(&self, room: &RoomId, peer: &PeerId) -> Place {
        let Some(room) = self.rooms.get(room) else { return Place::Unknown };
        match room.member(peer) {
            _ if room.sessions.contains_key(peer) => Place::Here,
            Some(member) if member.node != self.me => Place::On(member.node.clone()),
            _ => Place::Nowhere,
        }
    }

    /// The members of `room` on other nodes.
    pub fn peers_elsewhere(&self, room: &RoomId) -> BTreeMap<NodeId, Vec<PeerId>> {
        self.rooms.get(room).map(|room| room.peers_elsewhere(&self.me)).unwrap_or_default()
    }

    /// The nodes other than this one with members in `room`.
    pub fn other_nodes(&self, room: &RoomId) -> BTreeSet<NodeId> {
        self.rooms.get(room).map(|room| room.other_nodes(&self.me)).unwrap_or_default()
    }

    /// A peer that this node holds, by the claim that the room shows: taken over from a node that is gone, or claimed
    /// anew. Its session, if it has one here, goes on.
    pub fn adopt(
        &mut self,
        dialect: &'static dyn Dialect,
        room: &RoomId,
        peer: &PeerId,
        snapshot: Snapshot,
        now: Instant,
    ) {
        let known = self.rooms.entry(room.clone()).or_insert_with(|| Room::new(dialect, snapshot.clone()));
        known.replace(snapshot, now);
        let Some(member) = known.member(peer).filter(|member| member.node == self.me).cloned() else {
            return;
        };
        let population = self.population.entry(dialect.name()).or_default();
        let session = known.sessions.entry(peer.clone()).or_insert_with(|| {
            *population += 1;
            Session::new(member.claim, Mailbox::new(self.bounds), member.listed, now)
        });
        session.claim = member.claim;
        known.is_claimed(peer);
    }

    /// Seats a connection as `peer`, whose claim `snapshot` shows as its newest. A connection that had the peer is
    /// sent away. `moved`: another node has had the peer so far and may hold something for it.
    pub fn seat(
        &mut self,
        dialect: &'static dyn Dialect,
        room: &RoomId,
        peer: &PeerId,
        snapshot: Snapshot,
        moved: bool,
        now: Instant,
    ) -> Seated {
        self.seats += 1;
        let seat = Seat(self.seats);
        let listed = snapshot.member(peer).is_some_and(|member| member.listed);
        let resumed = moved || self.session_mut(room, peer).is_some();
        self.adopt(dialect, room, peer, snapshot, now);
        let until = now + HAND_OVER;
        let bounds = self.bounds;
        let speaker = Speaker { room: room.clone(), peer: peer.clone(), seat };
        let Some(session) = self.session_mut(room, peer) else {
            // The room was read again meanwhile, and somebody else holds the peer: this connection never had it.
            return Seated {
                speaker,
                mailbox: Arc::new(Mailbox::new(bounds)),
                resumed: false,
                moved_from: None,
            };
        };
        session.seat = Some(seat);
        session.heard(now);
        session.coming = !listed;
        // One who is new has the others told when it asks, even if this node has had it before.
        session.knows_roster &= listed;
        session.leaving = None;
        if moved {
            session.expect_hand_over(until);
        }
        session.mailbox.give_to(seat);
        if let Some(welcome) = dialect.encode(&Event::Seated) {
            session.mailbox.greet(welcome);
        }
        session.shut_or_open();
        Seated { speaker, mailbox: session.mailbox.clone(), resumed, moved_from: None }
    }

    /// What waits for the speaker, as long as its connection holds the peer.
    pub fn mailbox(&mut self, speaker: &Speaker) -> Result<Arc<Mailbox>, Goodbye> {
        match self.roamers.get(&speaker.seat) {
            Some(roamer) => Ok(roamer.mailbox.clone()),
            None => Ok(self.session(speaker)?.mailbox.clone()),
        }
    }

    /// Another node has had this node's peer for a while, and may hold something for it.
    pub fn expect_hand_over(&mut self, room: &RoomId, peer: &PeerId, now: Instant) {
        let until = now + HAND_OVER;
        if let Some(session) = self.session_mut(room, peer) {
            session.expect_hand_over(until);
            session.shut_or_open();
        }
    }

    /// The speaker's own session, as long as its connection holds the peer.
    pub fn session(&mut self, speaker: &Speaker) -> Result<&mut Session, Goodbye> {
        let session = self.session_mut(&speaker.room, &speaker.peer);
        session
            .filter(|session| session.seat == Some(speaker.seat) || is_broken(Breakage::OldSeatBelieved))
            .ok_or(Goodbye::Replaced)
    }

    /// The speaker's connection is gone: the peer is away from now on, and what it has not confirmed waits for it. `None` if
    /// it was not this connection that had it.
    pub fn park(&mut self, speaker: &Speaker) -> Option<Claim> {
        let session = self.session(speaker).ok()?;
        session.seat = None;
        session.mailbox.hold();
        Some(session.claim)
    }

    /// The speaker has received the first `count` letters that its connection has taken out of its mailbox: those that were not
    /// known to have arrived.
    pub fn confirmed(&mut self, speaker: &Speaker, count: u64, now: Instant) -> Result<Vec<Letter>, Goodbye> {
        self.heard(speaker, now)?;
        Ok(self.mailbox(speaker)?.confirm(speaker.seat, count))
    }

    /// `held` was held on another node for a peer that is here now; what does not fit comes back, and all if the peer is
    /// not here.
    pub fn handed_over(
        &mut self,
        room: &RoomId,
        peer: &PeerId,
        held: Vec<Letter>,
        last: bool,
    ) -> Result<Vec<Letter>, Vec<Letter>> {
        let Some(known) = self.rooms.get_mut(room) else { return Err(held) };
        let Some(session) = known.sessions.get_mut(peer) else { return Err(held) };
        let mut too_much = match &mut session.hand_over {
            Some(hand_over) => {
                hand_over.come.extend(held);
                Vec::new()
            }
            None => session.mailbox.put_back(held),
        };
        if last {
            too_much.append(&mut session.end_hand_over());
        }
        Ok(too_much)
    }

    /// This node's hold on the peer, if it has it.
    pub fn claim(&self, room: &RoomId, peer: &PeerId) -> Option<Claim> {
        Some(self.rooms.get(room)?.sessions.get(peer)?.claim)
    }

    /// How many peers of `dialect` this node has.
    pub fn population(&self, dialect: &str) -> usize {
        self.population.get(dialect).copied().unwrap_or_default()
    }

    fn remove_session(&mut self, room: &RoomId, peer: &PeerId) -> Option<Session> {
        let known = self.rooms.get_mut(room)?;
        let session = known.sessions.remove(peer)?;
        if let Some(population) = self.population.get_mut(known.dialect.name()) {
            *population -= 1;
        }
        Some(session)
    }

    /// Ends a session: what its mailbox still had. Its connection, if it has one, gets `last_words` and is sent away.
    pub fn dismiss(
        &mut self,
        room: &RoomId,
        peer: &PeerId,
        last_words: Option<Frame>,
        goodbye: Goodbye,
    ) -> Left {
        let Some(session) = self.remove_session(room, peer) else { return Left::default() };
        if session.seat.is_some_and(|seat| self.roamers.contains_key(&seat)) {
            // It may hold what was said in other rooms. When the connection ends, that is looked after.
            session.mailbox.dismiss(goodbye);
            return Left::default();
        }
        let mut left = session.mailbox.close(last_words, goodbye);
        let come = session.hand_over.map(|hand_over| hand_over.come).unwrap_or_default();
        left.waiting.splice(0..0, come);
        left
    }

    /// Forgets the room if none of this node's peers is in it any more.
    pub fn forget_if_empty(&mut self, room: &RoomId) {
        if self.rooms.get(room).is_some_and(|known| known.sessions.is_empty()) {
            self.rooms.remove(room);
        }
    }

    /// One change of a room that this node knows.
    pub fn apply(&mut self, room: &RoomId, version: u64, peer: &PeerId, member: Option<Member>) -> News {
        self.rooms.get_mut(room).map_or(News::Old, |known| known.apply(version, peer, member))
    }

    /// A room that this node knows, read again; whether it says anything new.
    pub fn replace(&mut self, room: &RoomId, snapshot: Snapshot, now: Instant) -> bool {
        self.rooms.get_mut(room).is_some_and(|known| known.replace(snapshot, now))
    }

    /// Who went or came into `room` without word of it, with the node that has those who are here.
    pub fn take_missed(&mut self, room: &RoomId) -> Vec<(PeerId, Option<NodeId>)> {
        self.rooms.get_mut(room).map(Room::take_missed).unwrap_or_default()
    }

    /// This node's peers in `room` that somebody else holds by now, with the node that does.
    pub fn superseded(&self, room: &RoomId, now: Instant) -> Vec<(PeerId, Option<NodeId>)> {
        let Some(known) = self.rooms.get(room) else { return Vec::new() };
        let grace = self.terms.get(known.dialect.name()).map_or(Duration::MAX, |terms| terms.grace);
        let peers = known.superseded(&self.me, |session| session.is_over(now, grace)).into_iter();
        peers.map(|peer| (peer.clone(), known.member(&peer).map(|member| member.node.clone()))).collect()
    }

    /// Puts `letter` into the mailbox of each of this node's peers in `room`, not of `but`, and not of those who `wait` for
    /// older ones: into how many, those whose mailboxes were full, and those who wait.
    pub fn tell_all(
        &self,
        room: &RoomId,
        letter: &Letter,
        but: Option<&PeerId>,
        wait: impl Fn(&PeerId) -> bool,
    ) -> (usize, Vec<PeerId>, Vec<PeerId>) {
        let (mut told, mut full, mut left_out) = (0, Vec::new(), Vec::new());
        for (peer, session) in self.rooms.get(room).iter().flat_map(|known| &known.sessions) {
            if but == Some(peer) {
                continue;
            }
            if wait(peer) {
                left_out.push(peer.clone());
            } else if session.mailbox.push(letter.clone()).is_err() {
                full.push(peer.clone());
            } else {
                told += 1;
            }
        }
        (told, full, left_out)
    }

    /// Every connection: its mailbox.
    pub fn connected(&self) -> impl Iterator<Item = &Arc<Mailbox>> {
        let settled = self
            .sessions()
            .filter(|(_, _, session)| session.seat.is_some_and(|seat| !self.roamers.contains_key(&seat)));
        let roaming = self.roamers.values().map(|roamer| &roamer.mailbox);
        settled.map(|(_, _, session)| &session.mailbox).chain(roaming)
    }

    /// Bytes that wait for all peers and connections, or are not confirmed.
    pub fn bytes(&self) -> usize {
        let away = self.sessions().filter(|(_, _, session)| session.seat.is_none());
        away.map(|(_, _, session)| &session.mailbox)
            .chain(self.connected())
            .map(|mailbox| mailbox.bytes())
            .sum()
    }

    /// Every session of this node that has a mailbox of its own, to give up what waits.
    pub fn sessions_mut(&mut self) -> impl Iterator<Item = (&RoomId, &PeerId, &mut Session)> {
        let (rooms, roamers) = (self.rooms.iter_mut(), &self.roamers);
        let all = rooms
            .flat_map(|(id, room)| room.sessions.iter_mut().map(move |(peer, session)| (id, peer, session)));
        all.filter(|(_, _, session)| session.seat.is_none_or(|seat| !roamers.contains_key(&seat)))
    }

    /// Every session of this node.
    pub fn sessions(&self) -> impl Iterator<Item = (&RoomId, &PeerId, &Session)> {
        self.rooms
            .iter()
            .flat_map(|(id, room)| room.sessions.iter().map(move |(peer, session)| (id, peer, session)))
    }

    /// The others, or the directory, may have forgotten this node: its peers are to be claimed again.
    pub fn is_forgotten(&mut self) {
        self.rooms.values_mut().for_each(Room::is_forgotten);
    }

    /// What `peer` calls `name` was accepted, if it is here.
    pub fn was_accepted(&mut self, room: &RoomId, peer: &PeerId, name: &Arc<str>) {
        if let Some(session) = self.session_mut(room, peer) {
            session.was_accepted(name);
        }
    }

    fn session_mut(&mut self, room: &RoomId, peer: &PeerId) -> Option<&mut Session> {
        self.rooms.get_mut(room)?.sessions.get_mut(peer)
    }
}
