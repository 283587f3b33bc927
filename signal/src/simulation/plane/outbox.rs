//! What goes to other nodes: one link and one task for each, so that none waits for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{HEARTBEAT, Plane, REPEAT};
use crate::backplane::link::{Batch, Link, Received};
use crate::backplane::{Envelope, Notice, Refusal};
use crate::chance;
use crate::hub::mailbox::Bounds;
use crate::message::{NodeId, Undelivered};

/// As many envelopes may wait for one node.
const LINK: Bounds = Bounds { messages: 20_000, bytes: 8 << 20 };
const FLUSH: Duration = Duration::from_secs(5);

/// This node's end of the streams between it and another one.
pub(super) struct Line {
    link: Mutex<Link>,
    /// What came back when it was closed.
    left: Mutex<Vec<Envelope>>,
    stirred: Notify,
    doubted: AtomicBool,
}

impl Line {
    fn new(link: Link) -> Self {
        Self {
            link: Mutex::new(link),
            left: Mutex::default(),
            stirred: Notify::new(),
            doubted: AtomicBool::new(false),
        }
    }

    pub(super) fn backlog(&self) -> usize {
        self.link.lock().backlog()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.link.lock().is_closed()
    }

    pub(super) fn push(&self, envelope: &Envelope) -> Result<(), Undelivered> {
        self.link.lock().push(envelope)?;
        self.stirred.notify_one();
        Ok(())
    }

    /// What has come, of which the other node hears at once. It is there, so the link is open again.
    pub(super) fn receive(&self, batch: Batch) -> Received {
        let received = {
            let mut link = self.link.lock();
            let received = link.receive(batch, chance::now());
            link.reopen();
            received
        };
        self.stirred.notify_one();
        received
    }

    /// What came back when it was closed, once.
    pub(super) fn take_back(&self) -> Vec<Envelope> {
        std::mem::take(&mut *self.left.lock())
    }

    /// The other node may be gone.
    fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
        self.stirred.notify_one();
    }
}

impl Plane {
    /// Waits until all is acknowledged, but not for long; then what is not comes back. Whether all was.
    pub(super) async fn flush(&self) -> bool {
        let by = self.world.instant(self.world.now() + FLUSH);
        while self.backlog() > 0 && Instant::now() < by {
            sleep(Duration::from_millis(50)).await;
        }
        let lines: Vec<_> = self.lines.lock().iter().map(|(to, line)| (to.clone(), line.clone())).collect();
        let is_flushed = self.backlog() == 0;
        for (to, line) in lines.into_iter().filter(|_| !is_flushed) {
            line.left.lock().extend(line.link.lock().close());
            let _ = self.notices.send(Notice::Gone(to)).await;
        }
        is_flushed
    }

    /// That node may be gone.
    pub(super) fn doubt(&self, node: &NodeId) {
        let line = self.lines.lock().get(node).cloned();
        if let Some(line) = line {
            line.doubt();
        }
    }

    pub(super) fn hears_again(&self) {
        let lines: Vec<_> = self.lines.lock().values().cloned().collect();
        for line in lines {
            line.link.lock().was_deaf(chance::now());
            line.stirred.notify_one();
        }
    }

    pub(super) fn line_to(&self, to: &NodeId) -> Arc<Line> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(to) {
            return line.clone();
        }
        let stream = (self.streams.fetch_add(1, Ordering::Relaxed) + 1) << 32;
        let link = Link::new(self.me.clone(), to.clone(), stream, LINK);
        let line = Arc::new(Line::new(link));
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
            if !line.is_closed() || self.is_gone(to).await == Ok(false) {
                return;
            }
        }
    }
}
