//! The backplane of a node that is alone: the directory is a table in this process, and envelopes are handed over.
//!
//! Several nodes of one process may share a [`Bus`], which is how tests put rooms on two nodes without a Redis.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    Backplane, Change, Departure, Entry, Envelope, FREE_FOR, Lifetimes, Listing, MAX_LISTED, Notice, Numbers,
    Refusal, Wait,
};
use crate::breakage::{Breakage, is_broken};
use crate::chance;
use crate::hub::room::{Member, Record, Snapshot};
use crate::message::{Claim, NodeId, PeerId, RoomId, Undelivered};

/// Envelopes that may wait for a node.
const INBOX: usize = 65_536;
/// Among so few it is not looked for what has ended.
const FEW: usize = 1_024;
/// Of those who have left a room, so many are remembered; then those who left longest ago may come back.
const MAX_GONE: usize = 10_000;

/// What the nodes of this process know in common.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Mutex<Shared>>,
    lifetimes: Lifetimes,
}

struct Shared {
    /// When the clock at which rooms begin was at 0.
    start: Instant,
    rooms: HashMap<RoomId, Kept>,
    inboxes: BTreeMap<NodeId, mpsc::Sender<Notice>>,
    /// Who looks out for somebody in a room, until when.
    awaited: HashMap<RoomId, BTreeMap<NodeId, Instant>>,
    /// Registered names: whose they are, and until when.
    registered: HashMap<RoomId, (String, Instant)>,
    /// Of so much it is worth a look what has ended.
    look_at: usize,
}

/// A room in which a peer was taken over, and who had the peer before the one from whom it was.
pub(crate) type Adopted = (Snapshot, Option<NodeId>);

/// A room as the directory keeps it.
struct Kept {
    version: u64,
    began: u64,
    record: Record,
    members: HashMap<PeerId, Member>,
    /// The last node but one that had a member that has come from one to another.
    had_by: HashMap<PeerId, NodeId>,
    gone: HashMap<PeerId, Instant>,
    /// Since when nobody is in it.
    empty_since: Option<Instant>,
}

impl Bus {
    /// A directory without rooms.
    pub fn new(lifetimes: Lifetimes) -> Self {
        Self {
            shared: Arc::new(Mutex::new(Shared {
                start: chance::now(),
                rooms: HashMap::new(),
                inboxes: BTreeMap::new(),
                awaited: HashMap::new(),
                registered: HashMap::new(),
                look_at: FEW,
            })),
            lifetimes,
        }
    }

    /// A node joins, and gets its notices.
    pub fn connect(&self, node: NodeId) -> (Memory, mpsc::Receiver<Notice>) {
        let (sender, notices) = mpsc::channel(INBOX);
        self.shared.lock().inboxes.insert(node.clone(), sender);
        (Memory { node, bus: self.clone() }, notices)
    }

    /// Moves a peer from `from`, which has it by `claim`, to `to`, where it is away; `None` if somebody else has it by
    /// now.
    #[cfg(test)]
    pub(crate) fn adopt(
        &self,
        room: &RoomId,
        peer: &PeerId,
        (from, claim): (&NodeId, Claim),
        to: &NodeId,
    ) -> Option<Adopted> {
        self.shared.lock().rooms.get_mut(room)?.adopt(peer, (from, claim), to)
    }

    /// The last node but one that had a peer.
    #[cfg(test)]
    pub(crate) fn had_by(&self, room: &RoomId, peer: &PeerId) -> Option<NodeId> {
        self.shared.lock().rooms.get(room)?.had_by.get(peer).cloned()
    }

    /// Every membership that there is, by room and peer.
    #[cfg(test)]
    pub(crate) fn members(&self) -> BTreeMap<(RoomId, PeerId), Member> {
        let shared = self.shared.lock();
        let members = shared.rooms.iter().flat_map(|(room, kept)| {
            kept.members.iter().map(|(peer, member)| ((room.clone(), peer.clone()), member.clone()))
        });
        members.collect()
    }

    /// Forgets everything.
    #[cfg(test)]
    pub(crate) fn wipe(&self) {
        let mut shared = self.shared.lock();
        shared.rooms.clear();
        shared.registered.clear();
    }
}

/// One node's hold on a [`Bus`]. Dropping it is dying without a word: another node takes over its peers.
pub struct Memory {
    node: NodeId,
    bus: Bus,
}

impl Memory {
    /// Does `act` on the room, if it still is one.
    fn with<T>(
        &self,
        room: &RoomId,
        act: impl FnOnce(&mut Kept) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut shared = self.bus.shared.lock();
        let kept = shared.living(room, &self.bus.lifetimes).ok_or(Refusal::NoRoom)?;
        act(kept)
    }

    fn join_now(&self, room: &RoomId, entry: Entry) -> Result<Snapshot, Refusal> {
        let mut shared = self.bus.shared.lock();
        if shared.living(room, &self.bus.lifetimes).is_none() {
            let record = entry.create.record().cloned().ok_or(Refusal::NoRoom)?;
            shared.end_what_is_over(&self.bus.lifetimes);
            let kept = Kept::new(record, shared.clock());
            shared.rooms.insert(room.clone(), kept);
        }
        let is_there = !entry.away;
        let kept = shared.living(room, &self.bus.lifetimes).ok_or(Refusal::NoRoom)?;
        let mut snapshot = kept.join(&self.node, entry)?;
        if let Some(awaited) = is_there.then(|| shared.awaited.remove(room)).flatten() {
            let now = chance::now();
            snapshot.awaited_by =
                awaited.into_iter().filter(|(_, until)| *until > now).map(|(node, _)| node).collect();
        }
        Ok(snapshot)
    }
}

impl Shared {
    /// Where a room begins that is made now: in milliseconds.
    fn clock(&self) -> u64 {
        u64::try_from(chance::since(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    /// The room, unless its time is over.
    fn living(&mut self, room: &RoomId, lifetimes: &Lifetimes) -> Option<&mut Kept> {
        let kept = self.rooms.get(room)?;
        if kept.is_over(lifetimes) {
            self.rooms.remove(room);
            return None;
        }
        self.rooms.get_mut(room)
    }

    /// Looks for what has ended when there is twice as much as the last look left: each costs the same in the long run.
    fn end_what_is_over(&mut self, lifetimes: &Lifetimes) {
        if self.len() < self.look_at {
            return;
        }
        self.rooms.retain(|_, kept| !kept.is_over(lifetimes));
        let now = chance::now();
        self.awaited.retain(|_, nodes| nodes.values().any(|until| *until > now));
        self.registered.retain(|_, (_, until)| *until > now);
        self.look_at = (2 * self.len()).max(FEW);
    }

    fn len(&self) -> usize {
        self.rooms.len() + self.registered.len() + self.awaited.len()
    }
}

impl Kept {
    fn new(record: Record, began: u64) -> Self {
        Self {
            version: began,
            began,
            record,
            members: HashMap::new(),
            had_by: HashMap::new(),
            gone: HashMap::new(),
            empty_since: Some(chance::now()),
        }
    }

    fn is_over(&self, lifetimes: &Lifetimes) -> bool {
        self.empty_since.is_some_and(|since| chance::since(since) >= lifetimes.empty_room)
    }

    fn join(&mut self, node: &NodeId, entry: Entry) -> Result<Snapshot, Refusal> {
        if entry.made != self.record.made {
            return Err(Refusal::NoRoom);
        }
        if self.gone.contains_key(&entry.peer) {
            return Err(Refusal::Gone);
        }
        let held = self.members.get(&entry.peer);
        if held.map(|member| member.claim) != entry.over {
            return Err(Refusal::Superseded);
        }
        if held.is_none() && self.members.len() >= self.record.most(entry.max_members) {
            return Err(Refusal::Full);
        }
        let remembered = entry.create.remembered();
        if remembered > self.version {
            // All of it was lost, or the newest.
            self.began = remembered + 1;
            self.version = self.began;
        }
        self.version += 1;
        if let Some(held) = held {
            self.had_by.insert(entry.peer.clone(), held.node.clone());
        }
        let member = match held {
            Some(held) => Member {
                node: node.clone(),
                claim: Claim(self.version),
                listed: held.listed || entry.listed,
                away: entry.away,
                ..held.clone()
            },
            None => Member {
                node: node.clone(),
                claim: Claim(self.version),
                born: entry.born.unwrap_or(self.version),
                listed: entry.listed,
                away: entry.away,
                profile: entry.profile,
            },
        };
        self.members.insert(entry.peer, member);
        self.empty_since = None;
        Ok(self.snapshot(&[]))
    }

    fn adopt(&mut self, peer: &PeerId, held_by: (&NodeId, Claim), heir: &NodeId) -> Option<Adopted> {
        let is_held = |held: &&mut Member| {
            is_broken(Breakage::AdoptionWithoutComparison) || (&held.node, held.claim) == held_by
        };
        let held = self.members.get_mut(peer).filter(is_held)?;
        self.version += 1;
        *held = Member { node: heir.clone(), claim: Claim(self.version), away: true, ..held.clone() };
        Some((self.snapshot(&[]), self.had_by.get(peer).cloned()))
    }

    /// The membership that `claim` holds, for a change of the room.
    fn held(&mut self, peer: &PeerId, claim: Claim) -> Result<&mut Member, Refusal> {
        let member = self.members.get_mut(peer).filter(|member| member.claim == claim);
        let member = member.ok_or(Refusal::Superseded)?;
        self.version += 1;
        Ok(member)
    }

    fn remember_gone(&mut self, peer: PeerId, lasts: Duration) {
        if self.gone.len() >= MAX_GONE {
            self.gone.retain(|_, since| chance::since(*since) < lasts);
            let oldest = self.gone.iter().min_by_key(|(_, since)| **since).map(|(peer, _)| peer.clone());
            if let Some(oldest) = oldest.filter(|_| self.gone.len() >= MAX_GONE) {
                self.gone.remove(&oldest);
            }
        }
        self.gone.insert(peer, chance::now());
    }

    fn snapshot(&self, asked: &[PeerId]) -> Snapshot {
        let mut members: Vec<_> =
            self.members.iter().map(|(id, member)| (id.clone(), member.clone())).collect();
        members.sort_by_key(|(_, member)| member.born);
        let gone = asked.iter().filter(|peer| self.gone.contains_key(*peer)).cloned().collect();
        let (version, began, record) = (self.version, self.began, self.record.clone());
        Snapshot { version, began, record, members, gone, awaited_by: Vec::new() }
    }
}

fn done<'a, T: Send + 'a>(answer: Result<T, Refusal>) -> Wait<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl Backplane for Memory {
    fn node(&self) -> &NodeId {
        &self.node
    }

    fn is_up(&self) -> bool {
        true
    }

    fn others(&self) -> Wait<'_, Vec<NodeId>> {
        let shared = self.bus.shared.lock();
        done(Ok(shared.inboxes.keys().filter(|node| **node != self.node).cloned().collect()))
    }

    fn numbers(&self) -> Numbers {
        Numbers::default()
    }

    fn register<'a>(&'a self, name: &'a RoomId, owner: Option<&'a str>, lasts: Duration) -> Wait<'a, bool> {
        let mut shared = self.bus.shared.lock();
        shared.end_what_is_over(&self.bus.lifetimes);
        let now = chance::now();
        let until = now + lasts;
        let held = shared.registered.get_mut(name).filter(|(_, until)| *until > now);
        done(Ok(match (held, owner) {
            (Some((holder, _)), Some(owner)) if holder != owner => false,
            (Some((_, held_until)), _) => {
                *held_until = until;
                true
            }
            (None, Some(owner)) => {
                shared.registered.insert(name.clone(), (owner.to_owned(), until));
                true
            }
            (None, None) => false,
        }))
    }

    fn make<'a>(&'a self, room: &'a RoomId, record: Record) -> Wait<'a, ()> {
        let mut shared = self.bus.shared.lock();
        shared.end_what_is_over(&self.bus.lifetimes);
        if shared.living(room, &self.bus.lifetimes).is_some() {
            return done(Err(Refusal::Taken));
        }
        let kept = Kept::new(record, shared.clock());
        shared.rooms.insert(room.clone(), kept);
        done(Ok(()))
    }

    fn look<'a>(&'a self, room: &'a RoomId, asked: &'a [PeerId]) -> Wait<'a, Option<Snapshot>> {
        let mut shared = self.bus.shared.lock();
        let kept = shared.living(room, &self.bus.lifetimes);
        done(Ok(kept.map(|kept| kept.snapshot(asked))))
    }

    fn look_out<'a>(&'a self, room: &'a RoomId, lasts: Duration) -> Wait<'a, Option<Snapshot>> {
        let mut shared = self.bus.shared.lock();
        let kept = shared.living(room, &self.bus.lifetimes);
        let seen = kept.map(|kept| kept.snapshot(&[]));
        if !seen.as_ref().is_some_and(Snapshot::has_somebody) {
            let until = chance::now() + lasts;
            shared.end_what_is_over(&self.bus.lifetimes);
            shared.awaited.entry(room.clone()).or_default().insert(self.node.clone(), until);
        }
        done(Ok(seen))
    }

    fn peers<'a>(&'a self, dialect: &'a str) -> Wait<'a, Vec<PeerId>> {
        let shared = self.bus.shared.lock();
        let rooms = shared.rooms.iter().filter(|(room, _)| room.dialect() == dialect);
        let mut peers: Vec<_> = rooms.flat_map(|(_, kept)| kept.members.keys().cloned()).collect();
        peers.sort();
        peers.dedup();
        done(Ok(peers))
    }

    fn public_rooms<'a>(&'a self, dialect: &'a str) -> Wait<'a, Vec<Listing>> {
        let (shared, lifetimes) = (self.bus.shared.lock(), &self.bus.lifetimes);
        let public = shared.rooms.iter().filter(|(room, kept)| {
            kept.record.public && room.dialect() == dialect && !kept.is_over(lifetimes)
        });
        let mut listings: Vec<_> = public
            .map(|(room, kept)| Listing {
                room: room.clone(),
                record: kept.record.clone(),
                members: kept.members.len(),
            })
            .collect();
        listings.sort_by(|a, b| a.record.title.cmp(&b.record.title));
        listings.truncate(MAX_LISTED);
        done(Ok(listings))
    }

    fn join<'a>(&'a self, room: &'a RoomId, entry: Entry) -> Wait<'a, Snapshot> {
        done(self.join_now(room, entry))
    }

    fn change<'a>(
        &'a self,
        room: &'a RoomId,
        peer: &'a PeerId,
        claim: Claim,
        change: Change,
    ) -> Wait<'a, u64> {
        done(self.with(room, |kept| {
            let member = kept.held(peer, claim)?;
            change.make_to(member);
            Ok(kept.version)
        }))
    }

    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        peer: &'a PeerId,
        claim: Claim,
        departure: Departure,
    ) -> Wait<'a, u64> {
        done(self.with(room, |kept| {
            kept.held(peer, claim)?;
            kept.members.remove(peer);
            kept.had_by.remove(peer);
            if departure == Departure::ForGood {
                kept.remember_gone(peer.clone(), self.bus.lifetimes.gone);
            }
            if kept.members.is_empty() {
                let sooner = match departure {
                    Departure::ForGood => Duration::ZERO,
                    Departure::Free => self.bus.lifetimes.empty_room.saturating_sub(FREE_FOR),
                };
                kept.empty_since = chance::now().checked_sub(sooner).or(Some(chance::now()));
            }
            Ok(kept.version)
        }))
    }

    fn carry(&self, to: &NodeId, envelope: Envelope) -> Result<(), Undelivered> {
        let shared = self.bus.shared.lock();
        let inbox = shared.inboxes.get(to).ok_or(Undelivered::Unreachable)?;
        let notice = Notice::Arrived { from: self.node.clone(), envelope };
        inbox.try_send(notice).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Undelivered::Full,
            mpsc::error::TrySendError::Closed(_) => Undelivered::Unreachable,
        })
    }

    fn take_back(&self, _: &NodeId) -> Vec<Envelope> {
        // What was carried is at the other node already.
        Vec::new()
    }

    fn close(&self) -> Wait<'_, ()> {
        self.bus.shared.lock().bury(&self.node);
        done(Ok(()))
    }
}

impl Shared {
    /// Takes `node` off the bus; the first of the others takes over its peers.
    fn bury(&mut self, node: &NodeId) {
        if self.inboxes.remove(node).is_none() {
            return;
        }
        for inbox in self.inboxes.values() {
            let _ = inbox.try_send(Notice::Gone(node.clone()));
        }
        let Some((heir, inbox)) = self.inboxes.iter().next() else { return };
        for (room, kept) in &mut self.rooms {
            let orphans = kept.members.iter().filter(|(_, member)| member.node == *node);
            let orphans: Vec<_> = orphans.map(|(peer, member)| (peer.clone(), member.claim)).collect();
            for (peer, claim) in orphans {
                if let Some((snapshot, had_by)) = kept.adopt(&peer, (node, claim), heir) {
                    let _ = inbox.try_send(Notice::Adopted { room: room.clone(), peer, snapshot, had_by });
                }
            }
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.bus.shared.lock().bury(&self.node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backplane::conformance::{Cluster, LIFETIMES, Node, conforms};

    impl Cluster for Bus {
        async fn start() -> Self {
            Self::new(LIFETIMES)
        }

        async fn node(&self, name: &str) -> Node {
            let (memory, notices) = self.connect(NodeId::new(format!("{name}.{name}")));
            Node { backplane: Box::new(memory), notices }
        }
    }

    conforms!(Bus);

    #[tokio::test]
    async fn names_that_nobody_gets_are_not_remembered_for_ever() {
        let bus = Bus::new(LIFETIMES);
        let (memory, _notices) = bus.connect(NodeId::new("a"));
        for number in 0..10 * FEW {
            let name = RoomId::new(format!("peerjs/{number}"));
            memory.look_out(&name, Duration::ZERO).await.unwrap();
        }
        assert!(bus.shared.lock().len() <= 2 * FEW);
    }
}
