//! What becomes of the peers of nodes that are dead.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::RngExt;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout_at};

use super::{HEARTBEAT, Plane, REPEAT};
use crate::backplane::{Notice, Refusal};
use crate::message::{Claim, NodeId, PeerId, RoomId};

/// Attempts to take over one peer.
const ADOPTION_TRIES: usize = 5;

/// The claim that a command has got, as soon as it has been carried out.
pub(super) type Hold = Arc<Mutex<Option<Claim>>>;

/// A peer that this node takes over.
#[derive(Clone)]
pub(super) struct Adoption {
    pub(super) room: RoomId,
    pub(super) peer: PeerId,
    pub(super) from: NodeId,
    pub(super) held: Hold,
    pub(super) ours: Hold,
}

impl Plane {
    pub(super) async fn keep_reaping(self: Arc<Self>, mut left: mpsc::UnboundedReceiver<NodeId>) {
        loop {
            let pause = self.world.chance(self.me.as_str(), |chance| chance.random_range(0.8..1.2));
            let next = self.world.instant(self.world.now() + HEARTBEAT.mul_f64(pause));
            let candidate = timeout_at(next, left.recv()).await.ok().flatten();
            self.awake().await;
            if self.standing.lock().leaving {
                return;
            }
            if let Some(candidate) = &candidate {
                self.doubt(candidate);
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

    pub(super) async fn adopt_in_the_end(self: Arc<Self>, adoption: Adoption) {
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
}
