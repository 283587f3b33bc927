//! What goes to other nodes: one link and one task for each, so that none waits for another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout_at};
use tracing::info;

use super::counters::add;
use super::supervisor::Backoff;
use super::{Inside, keys};
use crate::backplane::link::{Batch, Link, Received};
use crate::backplane::{Envelope, Notice, Refusal};
use crate::message::{NodeId, Undelivered};

/// Pauses before a frame that nobody heard goes again.
const REPEAT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// A link without work looks this often whether its node still lives; a closed one is forgotten after this time.
const IDLE: Duration = Duration::from_secs(60);

/// This node's end of the streams between it and another one.
pub(super) struct Line {
    link: Mutex<Link>,
    /// There is something to say.
    stirred: Notify,
}

impl Line {
    fn backlog(&self) -> usize {
        self.link.lock().backlog()
    }

    /// What came from the other node.
    pub(super) fn receive(&self, batch: Batch) -> Received {
        let received = self.link.lock().receive(batch, Instant::now());
        self.stirred.notify_one();
        received
    }

    /// Waits until there may be something to say; `false` if there was nothing for long.
    async fn stirs(&self) -> bool {
        let wake_at = self.link.lock().wake_at();
        let idle = wake_at.is_none();
        let wake_at = wake_at.unwrap_or_else(|| Instant::now() + IDLE);
        timeout_at(wake_at.into(), self.stirred.notified()).await.is_ok() || !idle
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

    /// How many envelopes wait on all links, or are not acknowledged.
    pub(super) fn backlog(&self) -> usize {
        self.lines.lock().values().map(|line| line.backlog()).sum()
    }

    /// Makes up for what was not heard while there was no connection, after each new one, for ever.
    pub(super) async fn keep_hearing(&self) {
        loop {
            let changed = self.wire.watch();
            let lines: Vec<_> = self.lines.lock().values().cloned().collect();
            for line in lines {
                line.link.lock().was_deaf(Instant::now());
                line.stirred.notify_one();
            }
            changed.await;
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

    pub(super) fn line_to(self: &Arc<Self>, to: &NodeId) -> Arc<Line> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(to) {
            return line.clone();
        }
        let link = Link::new(self.me.clone(), to.clone(), self.next_stream());
        let line = Arc::new(Line { link: Mutex::new(link), stirred: Notify::new() });
        lines.insert(to.clone(), line.clone());
        let (inside, to, spawned) = (self.clone(), to.clone(), line.clone());
        self.spawn(async move {
            loop {
                inside.work(&to, &spawned).await;
                inside.give_back(&to, &spawned).await;
                if !inside.is_back(&to).await {
                    break;
                }
                spawned.link.lock().reopen();
            }
            inside.lines.lock().remove(&to);
        });
        line
    }

    /// Carries what is pushed and acknowledges what comes, until the node is gone.
    async fn work(&self, to: &NodeId, line: &Line) {
        let mut backoff = Backoff::new(REPEAT);
        let mut repeated = line.link.lock().repeated_frames();
        loop {
            let frame = line.link.lock().next_frame(Instant::now());
            let Some(frame) = frame else {
                if line.backlog() == 0 {
                    self.carried.notify_waiters();
                }
                if !line.stirs().await && self.is_gone(to).await == Ok(true) {
                    return;
                }
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
            let in_doubt = answer == Ok(0) || again > repeated;
            repeated = again;
            if in_doubt && self.is_gone(to).await == Ok(true) {
                info!(node = %to, "a node is gone; what it was to get goes back");
                return;
            }
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
        let lease: bool = self.ask(self.deadline(), redis::cmd("EXISTS").arg(keys::lease(node))).await?;
        Ok(!lease && self.pulse.lock().may_judge(self.pace.lease))
    }

    async fn give_back(&self, to: &NodeId, line: &Line) {
        let left = line.link.lock().close();
        self.carried.notify_waiters();
        for envelope in left {
            if self.notices.send(Notice::Returned { to: to.clone(), envelope }).await.is_err() {
                return;
            }
        }
    }

    /// Whether a node that was gone turns out to live; the closed link stays in the way of those who would open another
    /// one until then, or for a while.
    async fn is_back(&self, to: &NodeId) -> bool {
        let closed = Instant::now();
        while closed.elapsed() < IDLE {
            sleep(self.pace.heartbeat).await;
            if self.is_gone(to).await == Ok(false) {
                return true;
            }
        }
        false
    }
}
