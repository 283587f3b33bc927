//! Rooms and members: what each question to the directory is in one command.

use std::sync::Arc;

use futures_util::FutureExt;

use super::Plane;
use super::reaper::{Adoption, Hold};
use crate::backplane::memory::{Adopted, Memory};
use crate::backplane::{Backplane, Creation, Entry, Refusal, Wait};
use crate::hub::room::Snapshot;
use crate::message::{PeerId, RoomId};

impl Plane {
    /// One command that changes the directory, if this node may; without an answer in time, `Err`.
    pub(super) async fn change_directory<T: Send + 'static>(
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
    pub(super) async fn read(
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

    pub(super) async fn has_lost_everything(&self) -> Result<bool, Refusal> {
        let epoch = *self.epoch.lock();
        self.ask(move |facts, now| facts.has_lost_everything(epoch, now)).await
    }

    /// Only a node that has its lease notes that it is going to have a peer.
    pub(super) async fn index(&self) -> Result<(), Refusal> {
        let me = self.me.clone();
        let noted = self.ask(move |facts, now| facts.is_alive(&me, now)).await?;
        if noted { Ok(()) } else { Err(Refusal::Unavailable) }
    }

    pub(super) async fn join_now(&self, room: RoomId, mut entry: Entry) -> Result<Snapshot, Refusal> {
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

    pub(super) async fn take_over(&self, adoption: &Adoption) -> Result<Option<Adopted>, Refusal> {
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

/// What memory answers without waiting.
pub(super) fn at_once<T>(answer: Wait<'_, T>) -> Result<T, Refusal> {
    answer.now_or_never().unwrap_or(Err(Refusal::Unavailable))
}
