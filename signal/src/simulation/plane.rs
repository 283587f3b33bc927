//! The backplane of a simulated node: real links and the real rule of leases, on the world's Redis and bus.
//!
//! It follows `backplane/redis` step by step: what is asked there in one command is asked here in one, and what may be lost
//! there may be lost here. The files are named as those there.

mod directory;
mod inbox;
mod lease;
mod outbox;
mod reaper;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::world::{Facts, LEASE, World};
use crate::backplane::memory::Memory;
use crate::backplane::pulse::{LeaseEnd, Pulse, Terms};
use crate::backplane::{
    Backplane, Change, Departure, Entry, Envelope, Listing, Notice, Numbers, Refusal, Wait,
};
use crate::chance;
use crate::hub::room::{Record, Snapshot};
use crate::message::{Claim, NodeId, PeerId, RoomId, Undelivered};
use directory::at_once;
use outbox::Line;

const HEARTBEAT: Duration = Duration::from_millis(2_500);
const TERMS: Terms = Terms { lease: LEASE, fence: Duration::from_secs(7) };
/// A frame that nobody heard goes again after this time.
const REPEAT: Duration = Duration::from_millis(100);

/// The backplane of one node.
pub(super) struct Plane {
    pub(super) me: NodeId,
    this: Weak<Self>,
    world: Arc<World>,
    memory: Memory,
    notices: mpsc::Sender<Notice>,
    /// With the number of the connection that they came through.
    frames: mpsc::UnboundedSender<(u64, Vec<u8>)>,
    left: mpsc::UnboundedSender<NodeId>,
    lines: Mutex<BTreeMap<NodeId, Arc<Line>>>,
    streams: AtomicU64,
    /// Envelopes for nodes that were taken for dead.
    given_back: AtomicUsize,
    pulse: Mutex<Pulse>,
    epoch: Mutex<Option<u64>>,
    /// The number of the connection that there is, and of the last that is from a time without a lease.
    connection: AtomicU64,
    stale: AtomicU64,
    /// It reaches Redis again.
    connected: Notify,
    standing: Mutex<Standing>,
    woken: Notify,
}

/// Whether a node does anything at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    frozen_until: Duration,
    dead: bool,
    leaving: bool,
}

impl Plane {
    pub(super) fn start(world: &Arc<World>, me: NodeId) -> (Arc<Self>, mpsc::Receiver<Notice>) {
        let (notices, told) = mpsc::channel(1_024);
        let (frames, inbox) = mpsc::unbounded_channel();
        let (left, leaving) = mpsc::unbounded_channel();
        let plane = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            world: world.clone(),
            memory: world.directory.connect(me.clone()).0,
            me,
            notices,
            frames,
            left,
            lines: Mutex::default(),
            streams: AtomicU64::new(0),
            given_back: AtomicUsize::new(0),
            pulse: Mutex::new(Pulse::new(TERMS)),
            epoch: Mutex::default(),
            connection: AtomicU64::new(1),
            stale: AtomicU64::new(0),
            connected: Notify::new(),
            standing: Mutex::default(),
            woken: Notify::new(),
        });
        world.lives(&plane);
        tokio::spawn(plane.clone().keep_taking(inbox));
        tokio::spawn(plane.clone().keep_lease());
        tokio::spawn(plane.clone().keep_reaping(leaving));
        (plane, told)
    }

    /// Nothing is done by this node any more, and nobody is told.
    pub(super) fn dies(&self) {
        self.standing.lock().dead = true;
        self.world.dies(&self.me);
    }

    pub(super) fn freezes(&self, until: Duration) {
        self.standing.lock().frozen_until = until;
        let this = self.this.clone();
        self.world.at(until, move |_| {
            if let Some(this) = this.upgrade() {
                this.woken.notify_waiters();
            }
        });
    }

    pub(super) fn is_awake(&self) -> bool {
        let standing = *self.standing.lock();
        !standing.dead && standing.frozen_until <= self.world.now()
    }

    /// Goes on when the node does; never, if it is dead.
    pub(super) async fn awake(&self) {
        loop {
            let woken = self.woken.notified();
            if self.is_awake() {
                return;
            }
            woken.await;
        }
    }

    pub(super) fn hears(&self, frame: Vec<u8>) {
        let _ = self.frames.send((self.connection.load(Ordering::Relaxed), frame));
    }

    pub(super) fn hears_of_leaving(&self, node: NodeId) {
        let _ = self.left.send(node);
    }

    /// What was published while there was no connection was not heard.
    pub(super) fn is_connected_again(&self) {
        self.connection.fetch_add(1, Ordering::Relaxed);
        if self.pulse.lock().is_believed(chance::now()) {
            self.hears_again();
        }
        if let Some(this) = self.this.upgrade() {
            tokio::spawn(async move {
                this.awake().await;
                let _ = this.notices.send(Notice::WasDeaf).await;
            });
        }
        self.connected.notify_one();
    }

    /// How many envelopes wait on each link, or are not acknowledged.
    pub(super) fn backlogs(&self) -> BTreeMap<NodeId, usize> {
        let lines = self.lines.lock();
        lines.iter().map(|(to, line)| (to.clone(), line.backlog())).collect()
    }

    fn backlog(&self) -> usize {
        self.backlogs().values().sum()
    }

    fn may_claim(&self) -> Option<LeaseEnd> {
        self.pulse.lock().may_claim(chance::now())
    }

    fn may_judge(&self) -> bool {
        self.pulse.lock().may_judge(chance::now())
    }

    /// One command to Redis.
    async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Facts, Duration) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.awake().await;
        let answer = self.world.ask(&self.me, act).await;
        self.awake().await;
        answer
    }

    async fn leave_cluster(&self) -> Result<(), Refusal> {
        let given_back = self.given_back.load(Ordering::Relaxed);
        let is_flushed = self.flush().await;
        self.standing.lock().leaving = true;
        self.pulse.lock().stop();
        let me = self.me.clone();
        self.ask(move |facts, _| facts.resign(&me)).await?;
        self.world.tell_of_leaving(&self.me);
        // What comes back from a node that is taken for dead meanwhile goes with this one.
        let is_said = is_flushed && given_back == self.given_back.load(Ordering::Relaxed);
        if is_said { Ok(()) } else { Err(Refusal::Unavailable) }
    }
}

impl Backplane for Plane {
    fn node(&self) -> &NodeId {
        &self.me
    }

    fn is_up(&self) -> bool {
        self.may_claim().is_some()
    }

    fn others(&self) -> Wait<'_, Vec<NodeId>> {
        let me = self.me.clone();
        Box::pin(self.ask(move |facts, _| facts.nodes.iter().filter(|node| **node != me).cloned().collect()))
    }

    fn register<'a>(&'a self, name: &'a RoomId, owner: Option<&'a str>, lasts: Duration) -> Wait<'a, bool> {
        self.memory.register(name, owner, lasts)
    }

    fn numbers(&self) -> Numbers {
        Numbers { unsettled: self.backlog(), ..Numbers::default() }
    }

    fn make<'a>(&'a self, room: &'a RoomId, record: Record) -> Wait<'a, ()> {
        let room = room.clone();
        Box::pin(async move {
            if self.has_lost_everything().await? {
                return Err(Refusal::Unavailable);
            }
            self.change_directory(move |memory| at_once(memory.make(&room, record))).await?
        })
    }

    fn look<'a>(&'a self, room: &'a RoomId, asked: &'a [PeerId]) -> Wait<'a, Option<Snapshot>> {
        let (room, asked) = (room.clone(), asked.to_vec());
        Box::pin(async move { self.read(move |memory| at_once(memory.look(&room, &asked))).await })
    }

    fn look_out<'a>(&'a self, room: &'a RoomId, lasts: Duration) -> Wait<'a, Option<Snapshot>> {
        let room = room.clone();
        Box::pin(async move { self.read(move |memory| at_once(memory.look_out(&room, lasts))).await })
    }

    fn peers<'a>(&'a self, dialect: &'a str) -> Wait<'a, Vec<PeerId>> {
        self.memory.peers(dialect)
    }

    fn public_rooms<'a>(&'a self, dialect: &'a str) -> Wait<'a, Vec<Listing>> {
        self.memory.public_rooms(dialect)
    }

    fn join<'a>(&'a self, room: &'a RoomId, entry: Entry) -> Wait<'a, Snapshot> {
        Box::pin(self.join_now(room.clone(), entry))
    }

    fn change<'a>(
        &'a self,
        room: &'a RoomId,
        peer: &'a PeerId,
        claim: Claim,
        change: Change,
    ) -> Wait<'a, u64> {
        let (room, peer) = (room.clone(), peer.clone());
        let (world, me) = (self.world.clone(), self.me.clone());
        let change = move |memory: &Memory| {
            let changed = at_once(memory.change(&room, &peer, claim, change.clone()));
            world.note(|| format!("{me} changes {peer}: {change:?}: {changed:?}"));
            changed
        };
        Box::pin(async move { self.change_directory(change).await? })
    }

    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        peer: &'a PeerId,
        claim: Claim,
        departure: Departure,
    ) -> Wait<'a, u64> {
        let (room, peer) = (room.clone(), peer.clone());
        let (world, me) = (self.world.clone(), self.me.clone());
        let leave = move |memory: &Memory| {
            let left = at_once(memory.leave(&room, &peer, claim, departure));
            world.note(|| format!("{me} ends the membership of {peer}: {left:?}"));
            left
        };
        Box::pin(async move { self.change_directory(leave).await? })
    }

    fn carry(&self, to: &NodeId, envelope: Envelope) -> Result<(), Undelivered> {
        let line = self.line_to(to);
        line.push(&envelope).inspect_err(|why| {
            self.world.note(|| format!("{} cannot carry to {to}: {}", self.me, why.label()));
        })
    }

    fn follow(&self, node: &NodeId) -> bool {
        !self.line_to(node).is_closed()
    }

    fn take_back(&self, from: &NodeId) -> Vec<Envelope> {
        let line = self.lines.lock().get(from).cloned();
        line.map(|line| line.take_back()).unwrap_or_default()
    }

    fn close(&self) -> Wait<'_, ()> {
        Box::pin(self.leave_cluster())
    }
}

mod tests {
    use super::super::ledger::Rule;
    use super::super::schedule::{Event, Schedule};
    use super::super::stage::play;
    use super::super::tongue::Tongue;
    use super::*;

    /// Others have long given it up, and it has heard nothing of what they have to say to it.
    #[test]
    fn a_node_that_is_cut_off_for_long_repeats_nothing_and_keeps_nothing() {
        for before in [0, 2, 10, 30, 200, 500, 1_000] {
            let events = [
                (0, Event::Comes { peer: 0, node: 0 }),
                (10, Event::Comes { peer: 1, node: 1 }),
                (1_000, Event::Says { peer: 0, to: Some(1) }),
                (1_000 + before, Event::IsCutOff { node: 0, lasts: Duration::from_secs(150) }),
            ];
            let events = events.map(|(at, event)| (Duration::from_millis(at), event)).into();
            let played =
                play(&Schedule { seed: before, tongue: Tongue::Rooms, nodes: 2, peers: 2, events }, true);
            let heard = played.story.iter().filter(|(_, what)| what == "bob hears #1 of alice");
            assert_eq!(heard.count(), 1, "cut off {before} ms later");
            let left = played.faults.iter().find(|fault| fault.rule == Rule::NothingLeftBehind);
            assert_eq!(left, None, "cut off {before} ms later");
        }
    }
}
