//! What becomes of the peers of nodes that are dead.
//!
//! Any node looks for dead ones; the claim to reap one is given to one node at a time. That would not be enough, as a
//! reaper may be stopped and woken up at any line: what decides is that each single peer is adopted by comparison, with
//! the hold that the dead node had. Who adopts tells its own node; nobody else hears of it from here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{info, warn};

use super::hold::Hold;
use super::supervisor::Backoff;
use super::sweep::Sweep;
use super::{Inside, keys};
use crate::backplane::{Notice, Refusal};
use crate::message::{NodeId, PeerId, RoomId};

/// Peers that are taken over at the same time; between them the claim to do so is renewed.
const AT_ONCE: usize = 64;
/// An adoption that has no answer is asked for again this often before others have their turn,
const ADOPTION_TRIES: usize = 5;
/// and then with these pauses.
const ADOPT_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A peer that is to be taken over. However often that is tried: by the same hold, so that what has happened without an
/// answer is known for this node's own.
pub(super) struct Adoption {
    pub(super) room: RoomId,
    pub(super) peer: PeerId,
    /// Who has it,
    pub(super) from: NodeId,
    /// by which hold.
    pub(super) hold: u64,
    /// The hold by which this node is to have it.
    pub(super) ours: Hold,
}

impl Inside {
    /// Reaps whoever dies, and sweeps, for ever; `left` brings the nodes that say themselves that they have left.
    pub(super) async fn keep_reaping(self: Arc<Self>, mut left: mpsc::Receiver<NodeId>) {
        let mut sweep = Sweep::default();
        loop {
            let candidate = tokio::select! {
                node = left.recv() => {
                    node.iter().for_each(|node| self.doubt(node));
                    node
                }
                () = sleep(self.pace.heartbeat.mul_f64(rand::random_range(0.8..1.2))) => None,
            };
            // A refusal means that Redis is away; all of it is done again when it is back.
            let _ = self.reap_the_dead(candidate).await;
            let _ = self.sweep(&mut sweep).await;
        }
    }

    async fn reap_the_dead(self: &Arc<Self>, said_so: Option<NodeId>) -> Result<(), Refusal> {
        if said_so.is_none() && !self.may_judge() {
            return Ok(());
        }
        let by = self.deadline();
        let nodes: Vec<String> = self.ask(by, redis::cmd("HKEYS").arg(keys::NODES)).await?;
        let nodes = nodes.into_iter().map(NodeId::new).filter(|node| *node != self.me);
        let nodes: Vec<_> =
            nodes.filter(|node| said_so.as_ref().is_none_or(|candidate| candidate == node)).collect();
        if nodes.is_empty() {
            return Ok(());
        }
        let mut leases = redis::pipe();
        for node in &nodes {
            leases.exists(keys::lease(node));
        }
        let alive: Vec<bool> = self.ask_all(by, &leases).await?;
        for (node, _) in nodes.iter().zip(alive).filter(|(_, alive)| !alive) {
            let adopted = self.reap(node).await?;
            match (adopted, &said_so) {
                (None, _) => {}
                (Some(adopted), Some(_)) => info!(%node, adopted, "a node has left; its peers are ours"),
                (Some(adopted), None) => warn!(%node, adopted, "a node is dead; its peers are ours"),
            }
        }
        Ok(())
    }

    /// Takes over all peers of a dead node; how many. `None` if that is another node's to do.
    async fn reap(self: &Arc<Self>, dead: &NodeId) -> Result<Option<usize>, Refusal> {
        if !self.claim_reaping(dead).await? {
            return Ok(None);
        }
        let index = redis::cmd("SMEMBERS").arg(keys::index(dead)).to_owned();
        let index: Vec<String> = self.ask(self.deadline(), &index).await?;
        let mut adopted = 0;
        for some in index.chunks(AT_ONCE) {
            if !self.claim_reaping(dead).await? {
                return Ok(None);
            }
            let mut adoptions = JoinSet::new();
            for membership in some {
                let Some((room, peer, hold)) = keys::parse_membership(membership) else { continue };
                let (inside, dead) = (self.clone(), dead.clone());
                adoptions.spawn(async move { inside.inherit(room, peer, dead, hold).await });
            }
            // All of them, before the first that failed is: one that is broken off may have happened.
            let adoptions = adoptions.join_all().await;
            for adoption in adoptions {
                adopted += usize::from(adoption?);
            }
        }
        self.bury(keys::index(dead), dead).await?;
        let _: () = self.ask(self.deadline(), redis::cmd("HDEL").arg(keys::NODES).arg(dead.as_str())).await?;
        self.bury(keys::reaper(dead), dead).await?;
        Ok(Some(adopted))
    }

    /// Takes over what the index of a dead node names. If that is not there, the dead node has let it go, or somebody else
    /// has it: its last deed, perhaps, of which nobody has heard.
    async fn inherit(
        self: &Arc<Self>,
        room: RoomId,
        peer: PeerId,
        from: NodeId,
        hold: u64,
    ) -> Result<bool, Refusal> {
        let (id, name, ours) = (room.clone(), peer.clone(), self.holds.next());
        let adopted = self.adopt(Adoption { room: id, peer: name, from, hold, ours }).await?;
        if !adopted {
            let _ = self.notices.send(Notice::Untold { room, peer }).await;
        }
        Ok(adopted)
    }

    async fn claim_reaping(&self, dead: &NodeId) -> Result<bool, Refusal> {
        let mut claim = self.scripts.reap.key(keys::lease(dead));
        let lasts = self.pace.lease.as_millis().to_string();
        claim.key(keys::reaper(dead)).key(keys::life(dead)).arg(self.me.as_str()).arg(lasts);
        self.run(self.deadline(), &claim).await
    }

    async fn bury(&self, key: String, dead: &NodeId) -> Result<bool, Refusal> {
        let mut bury = self.scripts.bury.key(key);
        self.run(self.deadline(), bury.key(keys::reaper(dead)).arg(self.me.as_str())).await
    }

    /// Takes over a peer that `from` has as `hold`, and tells this node so. `false` if somebody else has it by now. Without
    /// an answer it may have happened: that is found out later.
    async fn adopt(self: &Arc<Self>, adoption: Adoption) -> Result<bool, Refusal> {
        for _ in 0..ADOPTION_TRIES {
            if let Ok(adopted) = self.try_to_adopt(&adoption).await {
                return Ok(adopted);
            }
        }
        let inside = self.clone();
        self.spawn(async move { inside.adopt_in_the_end(&adoption).await });
        Err(Refusal::Unavailable)
    }

    /// Tries an adoption until there is an answer.
    pub(super) async fn adopt_in_the_end(&self, adoption: &Adoption) {
        let mut backoff = Backoff::new(ADOPT_AGAIN);
        while self.try_to_adopt(adoption).await.is_err() {
            backoff.pause().await;
        }
    }

    async fn try_to_adopt(&self, adoption: &Adoption) -> Result<bool, Refusal> {
        let Adoption { room, peer, ours, .. } = adoption;
        self.index(self.deadline(), room, peer, ours.number).await?;
        let Some((snapshot, had_by)) = self.take_over(adoption).await? else {
            self.unindex(self.deadline(), &self.me, room, peer, ours.number).await;
            return Ok(false);
        };
        let adopted = Notice::Adopted { room: room.clone(), peer: peer.clone(), snapshot, had_by };
        if self.notices.send(adopted).await.is_err() {
            info!("a peer was taken over for a node that does not listen any more");
        }
        Ok(true)
    }
}
