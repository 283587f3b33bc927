//! The backplane of nodes that share a Redis.
//!
//! Redis is a directory of facts that nodes own, and a bus without memory. Where what is:
//!
//! - `keys`: every name that is used in Redis; `scripts`: every change that has to be atomic;
//! - `directory`: rooms and members, on these two; `hold`: attempts to have a member;
//! - `supervisor`: the connections, with `sentinel` and `tls`; `probe`: whether anything comes through them; `lease`: being alive; `reaper`: what becomes of those who are not; `sweep`: what is left in Redis that has ended;
//! - `outbox` and `inbox`: envelopes on their way, numbered and sealed by [`link`](super::link).
//!
//! Every command has a deadline, and whatever is refused because Redis is away is [`Refusal::Unavailable`]. So is what
//! a node without a lease asks ([`pulse`](super::pulse)): before it is sent, and, if it was held up on its way, by Redis.

mod counters;
mod directory;
mod hold;
mod inbox;
mod keys;
mod lease;
mod outbox;
mod probe;
mod reaper;
mod scripts;
pub mod sentinel;
mod supervisor;
mod sweep;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisResult, ScriptInvocation, ServerErrorKind};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info};

use super::link::Seal;
use super::pressure::Relief;
use super::pulse::{Pulse, Terms};
use super::{
    Backplane, Change, Departure, Entry, Envelope, Lifetimes, Listing, Notice, Numbers, Refusal, Wait,
};
use crate::chance;
use crate::hub::mailbox::Bounds;
use crate::hub::room::{Record, Snapshot};
use crate::message::{Claim, NodeId, PeerId, RoomId, Undelivered};

pub use counters::Counters;
pub use tls::{BadFile, Tls};

/// Notices that may wait for the node; then what causes them waits.
const NOTICES: usize = 1_024;

/// What a node needs to be in a cluster.
pub struct RedisSettings {
    /// `redis://` or `rediss://`, as the `redis` crate takes it, or one of [`sentinel`].
    pub url: String,
    /// What its TLS goes by, if it has any.
    pub tls: Tls,
    /// This life of this node. Without bars and braces, as all names of nodes are.
    pub node: NodeId,
    /// Where other nodes reach its operators' door, if they do: `host:port`.
    pub address: Option<String>,
    /// What frames between nodes are sealed with; the same on all of them.
    pub key: [u8; 32],
    /// How long Redis keeps what nobody holds.
    pub lifetimes: Lifetimes,
    /// How fast everything goes.
    pub pace: Pace,
    /// How much may wait on its way.
    pub bounds: AllBounds,
}

/// How much may wait on its way.
#[derive(Clone, Copy, Debug)]
pub struct AllBounds {
    /// Envelopes for one other node, waiting or not acknowledged, and their bytes.
    pub link: Bounds,
    /// How long those who fill a link are not read.
    pub patience: Duration,
    /// Frames from all other nodes that this one has not yet taken, and their bytes.
    pub inbox: Bounds,
}

/// How fast everything goes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one heartbeat to the next, and from one look for dead nodes to the next.
    pub heartbeat: Duration,
    /// How long a node is believed without heartbeats.
    pub lease: Duration,
    /// After this time since its last good heartbeat began, a node claims nothing more.
    pub fence: Duration,
    /// From one probe through the bus to the next; each has as long to come back.
    pub probe: Duration,
    /// A command that has no answer after this time is refused.
    pub deadline: Duration,
    /// At most this long envelopes are still carried when the node leaves.
    pub flush: Duration,
    /// After Redis has lost everything: how long nobody makes a room by entering it.
    pub quiet: Duration,
}

impl Pace {
    /// As fast as everything has to go for a node to be believed for so long. With 10 s: a heartbeat each 2.5 s, fenced
    /// after 7 s, a probe each 3 s, 2 s for a command, and 15 s after a loss.
    pub fn of_lease(lease: Duration) -> Self {
        Self {
            heartbeat: lease / 4,
            lease,
            fence: lease * 7 / 10,
            probe: lease * 3 / 10,
            deadline: lease / 5,
            flush: lease / 2,
            quiet: lease * 3 / 2,
        }
    }
}

/// One node's hold on the cluster. Dropping it is dying without a word: its tasks end, and when its lease does, another
/// node takes over its peers.
pub struct Redis(Arc<Inside>);

/// What the tasks of a node share.
struct Inside {
    me: NodeId,
    address: Option<String>,
    /// The other nodes' doors, as this one last knew them.
    neighbours: Mutex<Vec<String>>,
    lifetimes: Lifetimes,
    pace: Pace,
    bounds: AllBounds,
    seal: Seal,
    wire: supervisor::Wire,
    scripts: scripts::Scripts,
    counters: Arc<Counters>,
    notices: mpsc::Sender<Notice>,
    lines: Mutex<outbox::Lines>,
    /// Some link has nothing left to carry.
    carried: Notify,
    holds: hold::Holds,
    streams: AtomicU64,
    pulse: Mutex<Pulse>,
    /// What [`keys::EPOCH`] was when this node registered.
    epoch: Mutex<Option<String>>,
    /// The last connection that is from a time without a lease.
    stale: AtomicU64,
    up: watch::Sender<bool>,
    /// What makes the others believe in this node; ends before the other tasks when it leaves.
    believers: TaskTracker,
    leaving: CancellationToken,
    tasks: TaskTracker,
    over: CancellationToken,
}

impl Redis {
    /// A node of the cluster at this Redis, and what it is told. Redis need not be there yet: until it is, everything
    /// is refused with [`Refusal::Unavailable`], and it is tried again for ever. Fails if the URL is malformed. To be
    /// called within a tokio runtime, which the node's tasks run on.
    pub fn connect(settings: RedisSettings) -> RedisResult<(Self, mpsc::Receiver<Notice>)> {
        let (notices, told) = mpsc::channel(NOTICES);
        let over = CancellationToken::new();
        let inside = Arc::new(Inside {
            wire: supervisor::Wire::new(&settings.url, settings.tls)?,
            me: settings.node,
            address: settings.address,
            neighbours: Mutex::default(),
            lifetimes: settings.lifetimes,
            pace: settings.pace,
            bounds: settings.bounds,
            seal: Seal::new(&settings.key),
            scripts: scripts::Scripts::new(),
            counters: Arc::default(),
            notices,
            lines: Mutex::default(),
            carried: Notify::new(),
            holds: hold::Holds::default(),
            streams: AtomicU64::new(0),
            pulse: Mutex::new(Pulse::new(Terms { lease: settings.pace.lease, fence: settings.pace.fence })),
            epoch: Mutex::default(),
            stale: AtomicU64::new(0),
            up: watch::Sender::new(false),
            believers: TaskTracker::new(),
            leaving: over.child_token(),
            tasks: TaskTracker::new(),
            over,
        });
        inside.start();
        Ok((Self(inside), told))
    }

    /// Whether the node is in the cluster ([`Backplane::is_up`]), and each change of that, a heartbeat late at most.
    pub fn up(&self) -> watch::Receiver<bool> {
        self.0.up.subscribe()
    }

    /// What has been counted.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// How many envelopes wait for other nodes to hear them.
    pub fn backlog(&self) -> usize {
        self.0.backlog()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.0.over.cancel();
    }
}

impl Inside {
    fn start(self: &Arc<Self>) {
        let echo = probe::Echo::new();
        let (inbox, ear, left) = inbox::open(self.bounds.inbox, self.counters.clone(), echo.clone());
        let channels = [keys::inbox(&self.me), keys::GONE.to_owned()];
        let inside = self.clone();
        self.spawn(async move {
            inside.wire.keep(channels, ear, inside.pace.heartbeat, &inside.counters).await;
        });
        let inside = self.clone();
        self.spawn(inside.keep_taking(inbox));
        let inside = self.clone();
        self.spawn(async move { inside.keep_hearing().await });
        let inside = self.clone();
        self.spawn(async move { inside.keep_probing(echo).await });
        let (inside, leaving) = (self.clone(), self.leaving.clone());
        self.believers.spawn(leaving.run_until_cancelled_owned(async move { inside.keep_lease().await }));
        let leaving = self.leaving.clone();
        self.believers.spawn(leaving.run_until_cancelled_owned(self.clone().keep_reaping(left)));
    }

    /// A task that ends when this node does.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let over = self.over.clone();
        self.tasks.spawn(async move { over.run_until_cancelled_owned(task).await });
    }

    fn is_up(&self) -> bool {
        self.pulse.lock().may_claim(Instant::now().into_std()).is_some()
    }

    fn may_judge(&self) -> bool {
        self.pulse.lock().may_judge(Instant::now().into_std())
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.pace.deadline
    }

    fn next_stream(&self) -> u64 {
        (self.streams.fetch_add(1, Ordering::Relaxed) + 1) << 32
    }

    /// Runs a script.
    async fn run<T: FromRedisValue>(&self, by: Instant, script: &ScriptInvocation<'_>) -> Result<T, Refusal> {
        let answer = async { script.invoke_async(&mut self.wire.commands().await).await };
        self.answered(by, answer).await
    }

    /// Runs a script that changes a room, as long as this node has its lease.
    async fn run_in_lease<T: FromRedisValue>(
        &self,
        by: Instant,
        script: &mut ScriptInvocation<'_>,
    ) -> Result<T, Refusal> {
        let end = self.pulse.lock().may_claim(Instant::now().into_std()).ok_or(Refusal::Unavailable)?;
        self.run(by, script.arg(end.0)).await
    }

    /// Sends one command.
    async fn ask<T: FromRedisValue>(&self, by: Instant, command: &Cmd) -> Result<T, Refusal> {
        let answer = async { command.query_async(&mut self.wire.commands().await).await };
        self.answered(by, answer).await
    }

    /// Sends several commands at once, which need not be done at once.
    async fn ask_all<T: FromRedisValue>(&self, by: Instant, commands: &Pipeline) -> Result<T, Refusal> {
        let answer = async { commands.query_async(&mut self.wire.commands().await).await };
        self.answered(by, answer).await
    }

    async fn answered<T>(
        &self,
        by: Instant,
        answer: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Refusal> {
        // The ones before may have used up all of the time, but not of this one's: then Redis was there.
        let time = by.saturating_duration_since(Instant::now()).max(self.pace.deadline / 10);
        match chance::in_time(time, answer).await {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(error)) => {
                debug!(%error, "Redis refused a command");
                if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) {
                    let _ = self.wire.condemn();
                }
            }
            None => debug!("Redis did not answer in time"),
        }
        self.wire.suspect();
        Err(Refusal::Unavailable)
    }

    /// What the directory is asked by a node that is fenced is refused without waiting.
    fn wait<'a, T: 'a>(&'a self, asked: impl Future<Output = Result<T, Refusal>> + Send + 'a) -> Wait<'a, T> {
        Box::pin(async move { if self.is_up() { asked.await } else { Err(Refusal::Unavailable) } })
    }

    async fn close(&self) -> Result<(), Refusal> {
        if self.leaving.is_cancelled() {
            return Ok(());
        }
        if timeout(self.pace.flush, self.flush()).await.is_err() {
            let _ = timeout(self.pace.deadline, self.return_everything()).await;
        }
        self.leaving.cancel();
        self.believers.close();
        self.believers.wait().await;
        self.pulse.lock().stop();
        self.tell_whether_up();
        let resigned = self.resign().await;
        self.over.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        info!(node = %self.me, "out of the cluster");
        resigned
    }
}

impl Backplane for Redis {
    fn node(&self) -> &NodeId {
        &self.0.me
    }

    fn is_up(&self) -> bool {
        self.0.is_up()
    }

    fn others(&self) -> Wait<'_, Vec<NodeId>> {
        self.0.wait(self.0.others())
    }

    fn neighbours(&self) -> Vec<String> {
        self.0.neighbours.lock().clone()
    }

    fn register<'a>(&'a self, name: &'a RoomId, owner: Option<&'a str>, lasts: Duration) -> Wait<'a, bool> {
        self.0.wait(self.0.register_name(name, owner, lasts))
    }

    fn numbers(&self) -> Numbers {
        let counted = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0.counters;
        Numbers {
            round_trip: Duration::from_micros(counted(&counters.round_trip)),
            probe: Duration::from_micros(counted(&counters.probe)),
            rebuilds: counted(&counters.connects).saturating_sub(1),
            unsettled: self.0.backlog(),
            unsettled_bytes: self.0.backlog_bytes(),
            overflowed: counted(&counters.overflowed),
            retransmits: counted(&counters.repeated_frames),
            missed: counted(&counters.missed),
            rejected: counted(&counters.rejected),
        }
    }

    fn make<'a>(&'a self, room: &'a RoomId, record: Record) -> Wait<'a, ()> {
        self.0.wait(async move { self.0.make(room, &record).await })
    }

    fn look<'a>(&'a self, room: &'a RoomId, asked: &'a [PeerId]) -> Wait<'a, Option<Snapshot>> {
        self.0.wait(self.0.look(room, asked))
    }

    fn look_out<'a>(&'a self, room: &'a RoomId, lasts: Duration) -> Wait<'a, Option<Snapshot>> {
        self.0.wait(self.0.look_out(room, lasts))
    }

    fn peers<'a>(&'a self, dialect: &'a str) -> Wait<'a, Vec<PeerId>> {
        self.0.wait(self.0.peers(dialect))
    }

    fn public_rooms<'a>(&'a self, dialect: &'a str) -> Wait<'a, Vec<Listing>> {
        self.0.wait(self.0.public_rooms(dialect))
    }

    fn join<'a>(&'a self, room: &'a RoomId, entry: Entry) -> Wait<'a, Snapshot> {
        self.0.wait(self.0.join(room, entry))
    }

    fn change<'a>(
        &'a self,
        room: &'a RoomId,
        peer: &'a PeerId,
        claim: Claim,
        change: Change,
    ) -> Wait<'a, u64> {
        self.0.wait(self.0.change(room, peer, claim, change))
    }

    fn leave<'a>(
        &'a self,
        room: &'a RoomId,
        peer: &'a PeerId,
        claim: Claim,
        departure: Departure,
    ) -> Wait<'a, u64> {
        self.0.wait(self.0.leave(room, peer, claim, departure))
    }

    fn carry(&self, to: &NodeId, envelope: Envelope) -> Result<(), Undelivered> {
        self.0.carry(to, &envelope)
    }

    fn relief(&self, node: &NodeId) -> Option<Relief> {
        self.0.relief(node)
    }

    fn follow(&self, node: &NodeId) -> bool {
        self.0.follow(node)
    }

    fn take_back(&self, from: &NodeId) -> Vec<Envelope> {
        self.0.take_back(from)
    }

    fn close(&self) -> Wait<'_, ()> {
        Box::pin(self.0.close())
    }
}

#[cfg(test)]
mod tests;
