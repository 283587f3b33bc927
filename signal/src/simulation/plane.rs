//! The backplane of a simulated node: real links and the real rule of leases, on the world's Redis and bus.
//!
//! It follows `backplane/redis` step by step: what is asked there in one command is asked here in one, and what may be lost
//! there may be lost here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout, timeout_at};

use super::world::{Beat, Facts, LEASE, World};
use crate::backplane::link::{Batch, Link};
use crate::backplane::memory::{Adopted, Memory};
use crate::backplane::pulse::{LeaseEnd, Pulse, Terms};
use crate::backplane::{
    Backplane, Change, Creation, Departure, Entry, Envelope, Listing, Notice, Numbers, Refusal, Wait,
};
use crate::chance;
use crate::hub::mailbox::Bounds;
use crate::hub::room::{Record, Snapshot};
use crate::message::{Claim, NodeId, PeerId, RoomId, Undelivered};

const HEARTBEAT: Duration = Duration::from_millis(2_500);
const TERMS: Terms = Terms { lease: LEASE, fence: Duration::from_secs(7) };
/// A frame that nobody heard goes again after this time.
const REPEAT: Duration = Duration::from_millis(100);
/// As many envelopes may wait for one node.
const LINK: Bounds = Bounds { messages: 20_000, bytes: 8 << 20 };
const FLUSH: Duration = Duration::from_secs(5);
/// Connecting to Redis takes this time.
const RECONNECT: Duration = Duration::from_millis(5);
/// Attempts to take over one peer.
const ADOPTION_TRIES: usize = 5;

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

/// This node's end of the streams between it and another one.
struct Line {
    link: Mutex<Link>,
    /// What came back when it was closed.
    left: Mutex<Vec<Envelope>>,
    stirred: Notify,
    doubted: AtomicBool,
}

/// What this node was told when it registered.
#[derive(Default)]
struct Registration {
    life: Option<u64>,
    epoch: Option<u64>,
    forgotten: bool,
    /// It had its lease before.
    lived: bool,
    /// After a time without a lease: by which connection there is one again, and since when.
    regained: Option<(u64, Instant)>,
}

/// The claim that a command has got, as soon as it has been carried out.
type Hold = Arc<Mutex<Option<Claim>>>;

/// As `redis/reaper` has it.
#[derive(Clone)]
struct Adoption {
    room: RoomId,
    peer: PeerId,
    from: NodeId,
    held: Hold,
    ours: Hold,
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

    fn hears_again(&self) {
        let lines: Vec<_> = self.lines.lock().values().cloned().collect();
        for line in lines {
            line.link.lock().was_deaf(chance::now());
            line.stirred.notify_one();
        }
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
        lines.iter().map(|(to, line)| (to.clone(), line.link.lock().backlog())).collect()
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

    /// One command that changes the directory, if this node may; without an answer in time, `Err`.
    async fn change_directory<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Memory) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Result<T, Refusal>, Refusal> {
        let end = self.may_claim().ok_or(Refusal::Unavailable)?;
        let this = self.this.upgrade().ok_or(Refusal::Unavailable)?;
        self.ask(
            move |_, now| {
                if now.as_millis() >= end.0.into() { Err(Refusal::Unavailable) } else { act(&this.memory) }
            },
        )
        .await
    }

    /// Reads a room, from a directory that has not lost everything since this node registered there.
    async fn read(
        &self,
        look: impl FnOnce(&Memory) -> Result<Option<Snapshot>, Refusal> + Send + 'static,
    ) -> Result<Option<Snapshot>, Refusal> {
        self.may_claim().ok_or(Refusal::Unavailable)?;
        let this = self.this.upgrade().ok_or(Refusal::Unavailable)?;
        let registered_in = *self.epoch.lock();
        let seen = self.ask(move |_, _| look(&this.memory)).await??;
        let epoch = self.ask(|facts, _| facts.epoch).await?;
        if epoch == registered_in { Ok(seen) } else { Err(Refusal::Unavailable) }
    }

    async fn has_lost_everything(&self) -> Result<bool, Refusal> {
        let epoch = *self.epoch.lock();
        self.ask(move |facts, now| facts.has_lost_everything(epoch, now)).await
    }

    /// Only a node that has its lease notes that it is going to have a peer.
    async fn index(&self) -> Result<(), Refusal> {
        let me = self.me.clone();
        let noted = self.ask(move |facts, now| facts.is_alive(&me, now)).await?;
        if noted { Ok(()) } else { Err(Refusal::Unavailable) }
    }

    async fn join_now(&self, room: RoomId, mut entry: Entry) -> Result<Snapshot, Refusal> {
        let hold = Hold::default();
        let this = self.this.upgrade().ok_or(Refusal::Unavailable)?;
        let mut unsettled = Unsettled(Some((this, room.clone(), entry.peer.clone(), hold.clone())));
        self.index().await?;
        let lost = matches!(entry.create, Creation::ByEntering(_)) && self.has_lost_everything().await?;
        if lost {
            entry.create = Creation::Never;
        }
        let (world, me) = (self.world.clone(), self.me.clone());
        let join = move |memory: &Memory| {
            let peer = entry.peer.clone();
            let joined = at_once(memory.join(&room, entry));
            world.note(|| match &joined {
                Ok(seen) => format!("{me} puts {peer} into the room, which is at {} now", seen.version),
                Err(refusal) => format!("{me} cannot put {peer} into the room: {refusal}"),
            });
            let snapshot = joined?;
            *hold.lock() = snapshot.member(&peer).map(|member| member.claim);
            Ok(snapshot)
        };
        let joined = self.change_directory(join).await?;
        unsettled.0 = None;
        joined.map_err(
            |refusal| if lost && refusal == Refusal::NoRoom { Refusal::Unavailable } else { refusal },
        )
    }

    /// Takes over a peer, and tells this node so; `false` if somebody else has it by now.
    async fn adopt(self: &Arc<Self>, adoption: Adoption) -> Result<bool, Refusal> {
        for _ in 0..ADOPTION_TRIES {
            if let Ok(adopted) = self.try_to_adopt(&adoption).await {
                return Ok(adopted);
            }
        }
        tokio::spawn(self.clone().adopt_in_the_end(adoption));
        Err(Refusal::Unavailable)
    }

    async fn adopt_in_the_end(self: Arc<Self>, adoption: Adoption) {
        while self.try_to_adopt(&adoption).await.is_err() {
            sleep(REPEAT).await;
        }
    }

    async fn try_to_adopt(&self, adoption: &Adoption) -> Result<bool, Refusal> {
        self.index().await?;
        let Some((snapshot, had_by)) = self.take_over(adoption).await? else { return Ok(false) };
        let Adoption { room, peer, from, .. } = adoption;
        self.world.note(|| format!("{} takes over {peer}, whom {from} had", self.me));
        let adopted = Notice::Adopted { room: room.clone(), peer: peer.clone(), snapshot, had_by };
        let _ = self.notices.send(adopted).await;
        Ok(true)
    }

    async fn take_over(&self, adoption: &Adoption) -> Result<Option<Adopted>, Refusal> {
        let Adoption { room, peer, from, held, ours } = adoption.clone();
        let (world, me) = (self.world.clone(), self.me.clone());
        let adopt = move |memory: &Memory| {
            let Some(seen) = at_once(memory.look(&room, &[]))? else { return Ok(None) };
            let Some(member) = seen.member(&peer) else { return Ok(None) };
            if member.node == me && Some(member.claim) == *ours.lock() {
                return Ok(Some((seen, world.directory.had_by(&room, &peer))));
            }
            let Some(claim) = *held.lock() else { return Ok(None) };
            let taken = world.directory.adopt(&room, &peer, (&from, claim), &me);
            let seen = taken.as_ref().map(|(seen, _)| seen);
            *ours.lock() = seen.and_then(|seen| seen.member(&peer)).map(|member| member.claim);
            Ok(taken)
        };
        self.change_directory(adopt).await?
    }

    async fn leave_cluster(&self) -> Result<(), Refusal> {
        let by = self.world.instant(self.world.now() + FLUSH);
        let given_back = self.given_back.load(Ordering::Relaxed);
        while self.backlog() > 0 && tokio::time::Instant::now() < by {
            sleep(Duration::from_millis(50)).await;
        }
        let lines: Vec<_> = self.lines.lock().iter().map(|(to, line)| (to.clone(), line.clone())).collect();
        let is_flushed = self.backlog() == 0;
        for (to, line) in lines.into_iter().filter(|_| !is_flushed) {
            line.left.lock().extend(line.link.lock().close());
            let _ = self.notices.send(Notice::Gone(to)).await;
        }
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

/// The lease.
impl Plane {
    async fn keep_lease(self: Arc<Self>) {
        let mut registration = Registration::default();
        loop {
            self.awake().await;
            if self.standing.lock().leaving {
                return;
            }
            let began = chance::now();
            if let Ok(Some(end)) = self.heartbeat(&mut registration).await {
                self.renewed(&mut registration, began, end);
            }
            let next = self.world.instant(self.world.now() + HEARTBEAT);
            let _ = timeout_at(next, self.connected.notified()).await;
        }
    }

    /// As `redis/lease` has it: what came through the connections of a time without a lease is not taken.
    fn renewed(&self, registration: &mut Registration, began: Instant, end: LeaseEnd) {
        let mut pulse = self.pulse.lock();
        let connection = self.connection.load(Ordering::Relaxed);
        let lasts = |since: Instant| chance::since(since) < LEASE;
        let under_a_lease =
            matches!(registration.regained, Some((old, since)) if old < connection && lasts(since));
        let is_believed = pulse.is_believed(chance::now());
        if is_believed || under_a_lease || !registration.lived {
            registration.lived = true;
            registration.regained = None;
            pulse.renewed(began, end);
            drop(pulse);
            if !is_believed {
                self.hears_again();
            }
        } else {
            registration.regained = Some((connection, began));
            self.stale.store(connection, Ordering::Relaxed);
            let this = self.this.clone();
            self.world.at(self.world.now() + RECONNECT, move |_| {
                if let Some(this) = this.upgrade() {
                    this.is_connected_again();
                }
            });
        }
    }

    async fn heartbeat(&self, registration: &mut Registration) -> Result<Option<LeaseEnd>, Refusal> {
        let Some(end) = self.beat(registration).await? else { return Ok(None) };
        let me = self.me.clone();
        let (known, epoch) = self.ask(move |facts, _| (facts.nodes.contains(&me), facts.epoch)).await?;
        if registration.epoch.is_some() && epoch != registration.epoch {
            registration.forgotten = true;
            self.ask(Facts::is_lost).await?;
        }
        registration.forgotten |= registration.epoch.is_some() && !known;
        if registration.epoch.is_none() || registration.forgotten {
            self.register(registration).await?;
        }
        Ok(Some(end))
    }

    async fn beat(&self, registration: &mut Registration) -> Result<Option<LeaseEnd>, Refusal> {
        loop {
            let (me, begins) = (self.me.clone(), registration.life.is_none());
            let life = registration.life.unwrap_or_else(|| self.world.chance("lives", RngExt::random));
            match self.ask(move |facts, now| facts.beat(&me, (life, begins), now)).await? {
                Beat::Alive(end) => {
                    registration.life = Some(life);
                    return Ok(Some(end));
                }
                Beat::Forgotten => registration.is_over(),
                Beat::BeingReaped => {
                    registration.is_over();
                    return Ok(None);
                }
            }
        }
    }

    async fn register(&self, registration: &mut Registration) -> Result<(), Refusal> {
        let me = self.me.clone();
        let epoch = self.ask(move |facts, _| facts.register(&me)).await?;
        *self.epoch.lock() = Some(epoch);
        registration.epoch = Some(epoch);
        if registration.forgotten && self.notices.try_send(Notice::Forgotten).is_ok() {
            self.world.note(|| format!("{} finds that it was forgotten", self.me));
            registration.forgotten = false;
            self.pulse.lock().stop();
        }
        Ok(())
    }
}

impl Registration {
    fn is_over(&mut self) {
        self.life = None;
        self.forgotten |= self.epoch.is_some();
    }
}

/// Those who are dead.
impl Plane {
    async fn keep_reaping(self: Arc<Self>, mut left: mpsc::UnboundedReceiver<NodeId>) {
        loop {
            let pause = self.world.chance(self.me.as_str(), |chance| chance.random_range(0.8..1.2));
            let next = self.world.instant(self.world.now() + HEARTBEAT.mul_f64(pause));
            let candidate = timeout_at(next, left.recv()).await.ok().flatten();
            self.awake().await;
            if self.standing.lock().leaving {
                return;
            }
            if let Some(line) = candidate.as_ref().and_then(|node| self.lines.lock().get(node).cloned()) {
                line.doubt();
            }
            let _ = self.reap_the_dead(candidate).await;
        }
    }

    async fn reap_the_dead(self: &Arc<Self>, said_so: Option<NodeId>) -> Result<(), Refusal> {
        if said_so.is_none() && !self.may_judge() {
            return Ok(());
        }
        let me = self.me.clone();
        let dead = self.ask(move |facts, now| {
            let others = facts.nodes.iter().filter(|node| **node != me && !facts.is_alive(node, now));
            let others = others.filter(|node| said_so.as_ref().is_none_or(|candidate| candidate == *node));
            others.cloned().collect::<Vec<_>>()
        });
        for node in dead.await? {
            self.reap(&node).await?;
        }
        Ok(())
    }

    async fn reap(self: &Arc<Self>, dead: &NodeId) -> Result<(), Refusal> {
        if !self.claim_reaping(dead).await? {
            return Ok(());
        }
        self.world.is_taken_for_dead(dead);
        let (world, node) = (self.world.clone(), dead.clone());
        let index = self.ask(move |_, _| {
            let members = world.directory.members().into_iter().filter(|(_, member)| member.node == node);
            members.map(|(of, member)| (of, member.claim)).collect::<Vec<_>>()
        });
        let index = index.await?;
        if !index.is_empty() && !self.claim_reaping(dead).await? {
            return Ok(());
        }
        for ((room, peer), claim) in index {
            let (from, held) = (dead.clone(), Hold::new(Mutex::new(Some(claim))));
            self.adopt(Adoption { room, peer, from, held, ours: Hold::default() }).await?;
        }
        let (me, dead) = (self.me.clone(), dead.clone());
        self.ask(move |facts, now| facts.bury(&dead, &me, now)).await
    }

    async fn claim_reaping(&self, dead: &NodeId) -> Result<bool, Refusal> {
        let (me, dead) = (self.me.clone(), dead.clone());
        self.ask(move |facts, now| facts.claim_reaping(&dead, &me, now)).await
    }
}

/// A join without an answer may have happened: then the peer is this node's own, and away.
struct Unsettled(Option<(Arc<Plane>, RoomId, PeerId, Hold)>);

impl Drop for Unsettled {
    fn drop(&mut self) {
        let Some((plane, room, peer, held)) = self.0.take() else { return };
        // The world may be ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let from = plane.me.clone();
        runtime.spawn(plane.adopt_in_the_end(Adoption { room, peer, from, held, ours: Hold::default() }));
    }
}

/// What goes to other nodes, and what comes from them.
impl Plane {
    async fn keep_taking(self: Arc<Self>, mut inbox: mpsc::UnboundedReceiver<(u64, Vec<u8>)>) {
        while let Some((connection, frame)) = inbox.recv().await {
            self.awake().await;
            let is_stale = connection <= self.stale.load(Ordering::Relaxed);
            if is_stale || !self.pulse.lock().is_believed(chance::now()) {
                continue;
            }
            let Some(batch) = Batch::decode(&frame, &self.me) else { continue };
            let from = batch.from().clone();
            let line = self.line_to(&from);
            let received = {
                let mut link = line.link.lock();
                let received = link.receive(batch, chance::now());
                link.reopen();
                received
            };
            line.stirred.notify_one();
            for envelope in received.envelopes {
                let _ = self.notices.send(Notice::Arrived { from: from.clone(), envelope }).await;
            }
        }
    }

    fn line_to(&self, to: &NodeId) -> Arc<Line> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(to) {
            return line.clone();
        }
        let stream = (self.streams.fetch_add(1, Ordering::Relaxed) + 1) << 32;
        let link = Link::new(self.me.clone(), to.clone(), stream, LINK);
        let line = Arc::new(Line {
            link: Mutex::new(link),
            left: Mutex::default(),
            stirred: Notify::new(),
            doubted: AtomicBool::new(false),
        });
        lines.insert(to.clone(), line.clone());
        if let Some(this) = self.this.upgrade() {
            tokio::spawn(this.keep_carrying(to.clone(), line.clone()));
        }
        line
    }

    async fn keep_carrying(self: Arc<Self>, to: NodeId, line: Arc<Line>) {
        loop {
            self.work(&to, &line).await;
            self.give_back(&to, &line).await;
            self.is_back(&to, &line).await;
            line.link.lock().reopen();
        }
    }

    /// Carries what is pushed and acknowledges what comes, until the node is gone.
    async fn work(&self, to: &NodeId, line: &Line) {
        let mut repeated = line.link.lock().repeated_frames();
        let mut look_at = chance::now() + HEARTBEAT;
        loop {
            self.awake().await;
            if line.doubted.swap(false, Ordering::Relaxed) || look_at <= chance::now() {
                look_at = chance::now() + HEARTBEAT;
                if self.is_gone(to).await == Ok(true) {
                    return;
                }
            }
            let frame = line.link.lock().next_frame(chance::now());
            let Some(frame) = frame else {
                let wake_at = line.link.lock().wake_at().map_or(look_at, |at| at.min(look_at));
                let _ = timeout_at(wake_at.into(), line.stirred.notified()).await;
                continue;
            };
            let answer = self.world.publish(&self.me, to, frame).await;
            self.awake().await;
            let heard = matches!(answer, Ok(1..));
            let again = {
                let mut link = line.link.lock();
                if heard {
                    link.heard(chance::now());
                } else {
                    link.unheard(chance::now());
                }
                link.repeated_frames()
            };
            if answer == Ok(0) || again > repeated {
                line.doubt();
            }
            repeated = again;
            if !heard {
                sleep(REPEAT).await;
            }
        }
    }

    async fn is_gone(&self, node: &NodeId) -> Result<bool, Refusal> {
        let other = node.clone();
        let (lives, epoch) = self.ask(move |facts, now| (facts.is_alive(&other, now), facts.epoch)).await?;
        Ok(!lives && epoch == *self.epoch.lock() && self.may_judge())
    }

    async fn give_back(&self, to: &NodeId, line: &Line) {
        let left = line.link.lock().close();
        self.world.is_taken_for_dead(to);
        self.world.note(|| format!("{} takes {to} for dead, and has {} envelopes back", self.me, left.len()));
        self.given_back.fetch_add(left.len(), Ordering::Relaxed);
        line.left.lock().extend(left);
        let _ = self.notices.send(Notice::Gone(to.clone())).await;
    }

    async fn is_back(&self, to: &NodeId, line: &Line) {
        loop {
            let _ = timeout(HEARTBEAT, line.stirred.notified()).await;
            if !line.link.lock().is_closed() || self.is_gone(to).await == Ok(false) {
                return;
            }
        }
    }
}

impl Line {
    /// The other node may be gone.
    fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
        self.stirred.notify_one();
    }
}

/// What memory answers without waiting.
fn at_once<T>(answer: Wait<'_, T>) -> Result<T, Refusal> {
    answer.now_or_never().unwrap_or(Err(Refusal::Unavailable))
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
        let taken = line.link.lock().push(&envelope);
        if let Err(why) = taken {
            self.world.note(|| format!("{} cannot carry to {to}: {}", self.me, why.label()));
            return Err(why);
        }
        line.stirred.notify_one();
        Ok(())
    }

    fn follow(&self, node: &NodeId) -> bool {
        !self.line_to(node).link.lock().is_closed()
    }

    fn take_back(&self, from: &NodeId) -> Vec<Envelope> {
        let line = self.lines.lock().get(from).cloned();
        line.map(|line| std::mem::take(&mut *line.left.lock())).unwrap_or_default()
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
