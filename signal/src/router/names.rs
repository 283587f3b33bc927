//! Names that are held in the whole cluster. Each is a room of its own, with one member: so the claim of a name, its
//! lease and its fencing are those of any membership, and no node knows of more names than it has to.

use std::sync::Arc;

use super::Router;
use super::entrance::{TRIES, Wish};
use crate::backplane::{Creation, Departure, Entry, Envelope, Refusal};
use crate::dialect::{Dialect, own_room};
use crate::goodbye::Goodbye;
use crate::hub::Seated;
use crate::hub::mailbox::Left;
use crate::hub::room::Record;
use crate::message::{Claim, NodeId, Parting, PeerId, Profile, RoomId, Speaker};

impl Router {
    /// Seats a connection as `peer`. `proof` tells its client from others: with the same one the name is taken over from
    /// whichever connection has it. Refuses with [`Refusal::Taken`] if another client has it, and with [`Refusal::Full`]
    /// if this node has no room for one more.
    pub async fn claim(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        peer: PeerId,
        proof: Profile,
    ) -> Result<Seated, Refusal> {
        let room = own_room(dialect.name(), &peer);
        let names = self.rules.terms.get(dialect.name()).map_or(0, |terms| terms.names);
        let wish = Wish { room, made: 0, candidates: vec![peer.clone()], profile: Some(proof.clone()) };
        for _ in 0..TRIES {
            let seen = self.backplane.look(&wish.room, &[]).await?;
            let held = seen.as_ref().and_then(|seen| seen.member(&peer)).cloned();
            match &held {
                Some(held) if held.profile != proof => return Err(Refusal::Taken),
                None if self.hub.lock().population(dialect.name()) >= names => return Err(Refusal::Full),
                _ => {}
            }
            // Of those who have seen the same, one joins, and the others look again.
            match self.backplane.join(&wish.room, entry(&wish, held.as_ref().map(|held| held.claim))).await {
                Ok(snapshot) => {
                    return Ok(self.seat(dialect, &wish, peer, snapshot, held.map(|held| held.node)));
                }
                Err(Refusal::Superseded) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::Unavailable)
    }

    /// The speaker gives up its name, and stays connected.
    pub(super) async fn release(self: &Arc<Self>, speaker: &Speaker) -> Result<(), Goodbye> {
        let Speaker { room, peer, .. } = speaker;
        let claim = self.hub.lock().session(speaker)?.claim;
        match self.backplane.leave(room, peer, claim, Departure::Free).await {
            Ok(_) => {
                let left = {
                    let mut hub = self.hub.lock();
                    let is_ours = hub.claim(room, peer) == Some(claim);
                    if is_ours { hub.release(room, peer) } else { Left::default() }
                };
                self.left_over(room, peer, left, true);
                self.hub.lock().forget_if_empty(room);
                Ok(())
            }
            Err(Refusal::Unavailable) => {
                self.hub.lock().is_leaving(room, peer, claim, Parting::Dropped);
                Ok(())
            }
            Err(_) => Err(Goodbye::Replaced),
        }
    }

    /// Somebody has come, here or on another node, for whom messages may be waiting: here, and on `nodes`.
    pub(super) fn announce(&self, room: &RoomId, peer: &PeerId, nodes: &[NodeId]) {
        for node in nodes.iter().filter(|node| *node != self.backplane.node()) {
            // One that does not hear of it looks again by itself.
            let _ = self.backplane.carry(node, Envelope::Appeared { room: room.clone(), peer: peer.clone() });
        }
        self.appeared(room, peer);
    }

    /// A node died that had `peer`, and this one holds it now, in a protocol that holds nothing for those who are away:
    /// the name is free.
    pub(super) fn let_name_go(self: &Arc<Self>, room: &RoomId, peer: &PeerId, claim: Claim) {
        // Should the directory not answer, the next tick tries again.
        self.hub.lock().is_leaving(room, peer, claim, Parting::Dropped);
        let (router, room, peer) = (self.clone(), room.clone(), peer.clone());
        self.tasks.spawn(async move { router.remove(&room, &peer, claim).await });
    }
}

fn entry(wish: &Wish, over: Option<Claim>) -> Entry {
    let title = wish.room.name().to_owned();
    Entry {
        peer: wish.candidates[0].clone(),
        made: wish.made,
        over,
        profile: wish.profile.clone().unwrap_or_default(),
        listed: true,
        away: false,
        create: Creation::ByEntering(Record { title, limit: 1, ..Record::default() }),
        max_members: 1,
    }
}
