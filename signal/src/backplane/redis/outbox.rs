//! What goes to other nodes: one link and one task for each, so that none waits for another.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep_until, timeout, timeout_at};
use tracing::info;

use super::counters::add;
use super::supervisor::Backoff;
use super::{Inside, keys};
use crate::backplane::link::{Batch, Link, Received};
use crate::backplane::pressure::Relief;
use crate::backplane::{Envelope, Notice, Refusal};
use crate::message::{NodeId, Undelivered};

/// Pauses before a frame that nobody heard goes again.
const REPEAT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// A node that is gone says so itself if it lives; it is looked for this often all the same.
const LOOK_FOR_GONE: Duration = Duration::from_secs(60);
/// Of so many nodes that are gone it is remembered what has come from them and what not, as each may only have been cut
/// off, for however long. Of more, those are forgotten that have been gone for longest.
const GONE: usize = 256;

/// The lines to all nodes.
pub(super) type Lines = HashMap<NodeId, Arc<Line>>;

/// This node's end of the streams between it and another one.
pub(super) struct Line {
    link: Mutex<Link>,
    /// What a node that is gone did not get. Filled in one step with closing the link.
    left: Mutex<Vec<Envelope>>,
    /// When the link was last closed.
    closed: Mutex<Option<Instant>>,
    /// There is something to say.
    stirred: Notify,
    /// It may not be nearly full any more.
    relieved: Arc<Notify>,
    /// It is to be looked whether the other node lives.
    doubted: AtomicBool,
}

impl Line {
    fn backlog(&self) -> usize {
        self.link.lock().backlog()
    }

    /// What came from the other node.
    fn receive(&self, batch: Batch) -> Received {
        let mut link = self.link.lock();
        let received = link.receive(batch, Instant::now());
        // One who was gone and speaks is there again, and is not to miss what is news from now on.
        link.reopen();
        let has_room = link.pressure(Instant::now()).has_room();
        drop(link);
        self.stirred.notify_one();
        if has_room {
            self.relieved.notify_waiters();
        }
        received
    }

    fn full_until(&self, patience: Duration) -> Option<Instant> {
        let now = Instant::now();
        self.link.lock().pressure(now).wait_until(patience, now)
    }

    /// The other node may be gone.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
        self.stirred.notify_one();
    }

    /// Waits until there may be something to say, or it is time to look whether the other node lives. The alarm may ring
    /// for something that has been said meanwhile: setting it anew for each frame would wake the runtime each time.
    async fn stirs(&self, mut alarm: Pin<&mut Sleep>, look_at: Instant) {
        let wake_at = self.link.lock().wake_at().map_or(look_at, |at| at.min(look_at)).into();
        if alarm.is_elapsed() || wake_at < alarm.deadline() {
            alarm.as_mut().reset(wake_at);
        }
        tokio::select! {
            () = self.stirred.notified() => {}
            () = alarm => {}
        }
    }
}

impl Inside {
    pub(super) fn carry(self: &Arc<Self>, to: &NodeId, envelope: &Envelope) -> Result<(), Undelivered> {
        if self.over.is_cancelled() {
            return Err(Undelivered::Unreachable);
        }
        let line = self.line_to(to);
        line.link.lock().push(envelope)?;
        line.stirred.notify_one();
        Ok(())
    }

    /// Whether `node` is not known to be gone; its line says so when it is.
    pub(super) fn follow(self: &Arc<Self>, node: &NodeId) -> bool {
        !self.line_to(node).link.lock().is_closed()
    }

    /// How many envelopes wait on all links, or are not acknowledged.
    pub(super) fn backlog(&self) -> usize {
        self.lines.lock().values().map(|line| line.backlog()).sum()
    }

    /// Their bytes.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.lines.lock().values().map(|line| line.link.lock().backlog_bytes()).sum()
    }

    pub(super) fn relief(&self, node: &NodeId) -> Option<Relief> {
        let line = self.lines.lock().get(node).cloned()?;
        // Listens before it looks, so that it cannot miss what happens in between.
        let relieved = line.relieved.clone().notified_owned();
        let until = line.full_until(self.bounds.patience)?;
        Some(Box::pin(async move { drop(timeout_at(until.into(), relieved).await) }))
    }

    /// Makes up for what was not heard while there was no connection, after each new one, for ever.
    pub(super) async fn keep_hearing(&self) {
        let mut heard_before = false;
        loop {
            drop(self.wire.commands().await);
            let changed = self.wire.watch();
            // One that is not believed takes nothing; it asks when its lease is renewed.
            if self.pulse.lock().is_believed(Instant::now()) {
                self.hears_again();
            }
            if std::mem::replace(&mut heard_before, true) {
                let _ = self.notices.send(Notice::WasDeaf).await;
            }
            changed.await;
        }
    }

    /// What was published for this node until now was not heard, or not taken.
    pub(super) fn hears_again(&self) {
        let lines: Vec<_> = self.lines.lock().values().cloned().collect();
        for line in lines {
            line.link.lock().was_deaf(Instant::now());
            line.stirred.notify_one();
        }
    }

    /// Waits until nothing waits on any link any more.
    pub(super) async fn flush(&self) {
        loop {
            let carried = self.carried.notified();
            tokio::pin!(carried);
            carried.as_mut().enable();
            if self.backlog() == 0 {
                return;
            }
            carried.await;
        }
    }

    /// Gives back what waits on any link; nothing is taken from now on.
    pub(super) async fn return_everything(&self) {
        let lines: Vec<_> = self.lines.lock().iter().map(|(to, line)| (to.clone(), line.clone())).collect();
        for (to, line) in lines {
            self.give_back(&to, &line).await;
        }
    }

    /// What came from another node. In one step with finding its line: one that is forgotten meanwhile would not know the
    /// next time what has come.
    pub(super) fn receive(self: &Arc<Self>, from: &NodeId, batch: Batch) -> Received {
        let mut lines = self.lines.lock();
        self.line_in(&mut lines, from).receive(batch)
    }

    fn line_to(self: &Arc<Self>, to: &NodeId) -> Arc<Line> {
        self.line_in(&mut self.lines.lock(), to)
    }

    fn line_in(self: &Arc<Self>, lines: &mut Lines, to: &NodeId) -> Arc<Line> {
        if let Some(line) = lines.get(to) {
            return line.clone();
        }
        let link = Link::new(self.me.clone(), to.clone(), self.next_stream(), self.bounds.link);
        let line = Arc::new(Line {
            link: Mutex::new(link),
            left: Mutex::default(),
            closed: Mutex::default(),
            stirred: Notify::new(),
            relieved: Arc::default(),
            doubted: AtomicBool::new(false),
        });
        lines.insert(to.clone(), line.clone());
        let (inside, to, spawned) = (self.clone(), to.clone(), line.clone());
        self.spawn(async move {
            loop {
                inside.work(&to, &spawned).await;
                inside.give_back(&to, &spawned).await;
                if !inside.is_back(&to, &spawned).await {
                    break;
                }
            }
        });
        line
    }

    /// Carries what is pushed and acknowledges what comes, until the node is gone.
    async fn work(&self, to: &NodeId, line: &Line) {
        let mut backoff = Backoff::new(REPEAT);
        let mut repeated = line.link.lock().repeated_frames();
        let mut look_at = Instant::now() + self.pace.heartbeat;
        let mut alarm = pin!(sleep_until(look_at.into()));
        loop {
            if line.doubted.swap(false, Ordering::Relaxed) || look_at <= Instant::now() {
                look_at = Instant::now() + self.pace.heartbeat;
                if self.is_gone(to).await == Ok(true) {
                    info!(node = %to, "a node is gone; what it was to get goes back");
                    return;
                }
            }
            let frame = line.link.lock().next_frame(Instant::now());
            let Some(frame) = frame else {
                if line.backlog() == 0 {
                    self.carried.notify_waiters();
                }
                line.stirs(alarm.as_mut(), look_at).await;
                continue;
            };
            let answer = self.publish(to, &frame).await;
            let heard = matches!(answer, Ok(1..));
            let again = {
                let mut link = line.link.lock();
                if heard {
                    link.heard(Instant::now());
                } else {
                    link.unheard(Instant::now());
                }
                link.repeated_frames()
            };
            add(&self.counters.published, u64::from(heard));
            add(&self.counters.repeated_frames, again - repeated);
            // Nobody listens, or who does says nothing.
            if answer == Ok(0) || again > repeated {
                line.doubt();
            }
            repeated = again;
            if heard { backoff.reset() } else { backoff.pause().await }
        }
    }

    async fn publish(&self, to: &NodeId, frame: &[u8]) -> Result<u64, Refusal> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(keys::inbox(to)).arg(self.seal.close(frame));
        self.ask(self.deadline(), &publish).await
    }

    /// Whether a node that does not hear is dead, and not about to subscribe again.
    async fn is_gone(&self, node: &NodeId) -> Result<bool, Refusal> {
        let mut look = redis::pipe();
        look.exists(keys::lease(node)).get(keys::EPOCH);
        let (lives, epoch): (bool, Option<String>) = self.ask_all(self.deadline(), &look).await?;
        // A Redis that has lost everything says of nobody that it is dead.
        Ok(!lives && epoch == *self.epoch.lock() && self.may_judge())
    }

    async fn give_back(&self, to: &NodeId, line: &Line) {
        {
            let mut lines = self.lines.lock();
            let mut link = line.link.lock();
            line.left.lock().extend(link.close());
            *line.closed.lock() = Some(Instant::now());
            drop(link);
            forget_the_first(&mut lines);
        }
        line.relieved.notify_waiters();
        self.carried.notify_waiters();
        let _ = self.notices.send(Notice::Gone(to.clone())).await;
    }

    /// `node` may be gone.
    pub(super) fn doubt(&self, node: &NodeId) {
        if let Some(line) = self.lines.lock().get(node) {
            line.doubt();
        }
    }

    /// What a node that is gone did not get.
    pub(super) fn take_back(&self, from: &NodeId) -> Vec<Envelope> {
        let line = self.lines.lock().get(from).cloned();
        line.map(|line| std::mem::take(&mut *line.left.lock())).unwrap_or_default()
    }

    /// Waits until a node that was gone turns out to live, and opens its link again; `false` if it is forgotten before that.
    async fn is_back(&self, to: &NodeId, line: &Arc<Line>) -> bool {
        let closed = Instant::now();
        loop {
            let is_fresh = closed.elapsed() < LOOK_FOR_GONE;
            let pause = if is_fresh { self.pace.heartbeat } else { LOOK_FOR_GONE };
            let _ = timeout(pause, line.stirred.notified()).await;
            let lives = !line.link.lock().is_closed() || self.is_gone(to).await == Ok(false);
            let lines = self.lines.lock();
            if !lines.get(to).is_some_and(|known| Arc::ptr_eq(known, line)) {
                return false;
            }
            if lives {
                line.link.lock().reopen();
                return true;
            }
        }
    }
}

/// Forgets the node that has been gone for longest, if there are too many of them.
fn forget_the_first(lines: &mut Lines) {
    let closed = |line: &Line| (*line.closed.lock()).filter(|_| line.link.lock().is_closed());
    let gone = lines.iter().filter_map(|(node, line)| Some((closed(line)?, node)));
    let gone: Vec<_> = gone.collect();
    if gone.len() <= GONE {
        return;
    }
    let first = gone.into_iter().min().map(|(_, node)| node.clone());
    if let Some(line) = first.and_then(|node| lines.remove(&node)) {
        line.stirred.notify_one();
    }
}
