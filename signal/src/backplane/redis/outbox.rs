//! What goes to other nodes: one link and one task for each, so that none waits for another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::counters::add;
use super::supervisor::Backoff;
use super::{Inside, keys};
use crate::backplane::link::Outgoing;
use crate::backplane::{Envelope, Notice, Refusal};
use crate::message::{NodeId, Undelivered};

/// Pauses before a frame goes again.
const REPEAT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// A link without work looks this often whether its node still lives; a closed one is forgotten after this time.
const IDLE: Duration = Duration::from_secs(60);

/// The source's end of a link to one other node.
pub(super) struct Link {
    outgoing: Mutex<Outgoing>,
    /// Something waits.
    pushed: Notify,
}

impl Link {
    fn next_frame(&self) -> Option<Vec<u8>> {
        self.outgoing.lock().next_frame()
    }

    fn backlog(&self) -> usize {
        self.outgoing.lock().backlog()
    }
}

impl Inside {
    pub(super) fn carry(self: &Arc<Self>, to: &NodeId, envelope: &Envelope) -> Result<(), Undelivered> {
        if self.over.is_cancelled() {
            return Err(Undelivered::Unreachable);
        }
        let link = self.link_to(to);
        link.outgoing.lock().push(envelope)?;
        link.pushed.notify_one();
        Ok(())
    }

    /// How many envelopes wait on all links, or are in flight.
    pub(super) fn backlog(&self) -> usize {
        self.links.lock().values().map(|link| link.backlog()).sum()
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
        let links: Vec<_> = self.links.lock().iter().map(|(to, link)| (to.clone(), link.clone())).collect();
        for (to, link) in links {
            self.give_back(&to, &link).await;
        }
    }

    fn link_to(self: &Arc<Self>, to: &NodeId) -> Arc<Link> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(to) {
            return link.clone();
        }
        let outgoing = Outgoing::new(self.me.clone(), to.clone(), self.next_stream());
        let link = Arc::new(Link { outgoing: Mutex::new(outgoing), pushed: Notify::new() });
        links.insert(to.clone(), link.clone());
        let (inside, to, spawned) = (self.clone(), to.clone(), link.clone());
        self.spawn(async move {
            inside.work(&to, &spawned).await;
            inside.give_back(&to, &spawned).await;
            inside.refuse_until_forgotten(&to).await;
            inside.links.lock().remove(&to);
        });
        link
    }

    /// Carries what is pushed, until the node is gone.
    async fn work(&self, to: &NodeId, link: &Link) {
        let mut backoff = Backoff::new(REPEAT);
        loop {
            let Some(frame) = link.next_frame() else {
                let idle = timeout(IDLE, link.pushed.notified()).await.is_err();
                if idle && self.is_gone(to).await == Ok(true) {
                    return;
                }
                continue;
            };
            match self.publish(to, &frame).await {
                Ok(0) if self.is_gone(to).await == Ok(true) => {
                    info!(node = %to, "a node is gone; what it was to get goes back");
                    return;
                }
                Ok(0) | Err(_) => {}
                Ok(_) => {
                    link.outgoing.lock().sent();
                    add(&self.counters.published, 1);
                    backoff.reset();
                    if link.backlog() == 0 {
                        self.carried.notify_waiters();
                    }
                    continue;
                }
            }
            link.outgoing.lock().not_heard();
            add(&self.counters.unheard, 1);
            backoff.pause().await;
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

    async fn give_back(&self, to: &NodeId, link: &Link) {
        let left = link.outgoing.lock().close();
        self.carried.notify_waiters();
        for envelope in left {
            if self.notices.send(Notice::Returned { to: to.clone(), envelope }).await.is_err() {
                return;
            }
        }
    }

    /// The closed link stays in the way of those who would open another one, unless its node is back.
    async fn refuse_until_forgotten(&self, to: &NodeId) {
        let closed = Instant::now();
        while closed.elapsed() < IDLE && self.is_gone(to).await != Ok(false) {
            sleep(self.pace.heartbeat).await;
        }
    }
}
