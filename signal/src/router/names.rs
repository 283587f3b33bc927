//! Names that are held in the whole cluster. Each is a room of its own, with one member: so the claim of a name, its
//! lease and its fencing are those of any membership, and no node knows of more names than it has to.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use super::Router;
use super::entrance::{TRIES, Wish};
use super::questions::Ask;
use crate::backplane::{Answer, Creation, Entry, Envelope, Question, Refusal};
use crate::breakage::{Breakage, is_broken};
use crate::chance;
use crate::dialect::{Dialect, Takeover, own_room};
use crate::goodbye::Goodbye;
use crate::hub::Seated;
use crate::hub::room::{Member, Record};
use crate::message::{Claim, Frame, NodeId, Parting, PeerId, Profile, RoomId, Speaker, Undelivered};

/// How long a connection whose name somebody else wants has to answer a ping.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How much longer its node has to say whether it did.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// Between two looks whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Names that are asked about at the same time: whoever asks has a place at the door meanwhile, of which there are more
/// (`limits.arriving`).
const ASKED_AT_ONCE: usize = 64;

/// The only question that is asked about a name, as long as it is.
struct Turn<'a> {
    asked: &'a Mutex<HashSet<RoomId>>,
    name: &'a RoomId,
}

impl<'a> Turn<'a> {
    fn of(asked: &'a Mutex<HashSet<RoomId>>, name: &'a RoomId) -> Option<Self> {
        let is_first = {
            let mut names = asked.lock();
            names.len() < ASKED_AT_ONCE && names.insert(name.clone())
        };
        // One that is made is ended too.
        is_first.then(|| Self { asked, name })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.asked.lock().remove(self.name);
    }
}

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
                Some(held) if !self.gives_way(dialect, &wish, held).await => return Err(Refusal::Taken),
                None if self.hub.lock().population(dialect.name()) >= names => return Err(Refusal::Full),
                _ => {}
            }
            // Of those who have seen the same, one joins, and the others look again.
            match self.backplane.join(&wish.room, entry(&wish, held.as_ref().map(|held| held.claim))).await {
                Ok(snapshot) => {
                    let held_by = held.map(|held| held.node);
                    return Ok(self.seat(dialect, &wish, peer, snapshot, held_by));
                }
                Err(Refusal::Superseded) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::Unavailable)
    }

    /// Whether whoever holds the name gives way to whoever wishes for it.
    async fn gives_way(&self, dialect: &'static dyn Dialect, wish: &Wish, held: &Member) -> bool {
        match dialect.customs().takeover {
            Takeover::ByToken => {
                Some(&held.profile) == wish.profile.as_ref() || is_broken(Breakage::NameGivenToTwo)
            }
            Takeover::WhenSilent => {
                // One question at a time: who asks again and again waits for nothing.
                if held.away {
                    return true;
                }
                let Some(_turn) = Turn::of(&self.challenged, &wish.room) else { return false };
                !self.answers(&wish.room, &wish.candidates[0], &held.node).await
            }
        }
    }

    /// Whether the connection of `peer`, on `node`, answers a ping. A node that does not say so has none that does.
    async fn answers(&self, room: &RoomId, peer: &PeerId, node: &NodeId) -> bool {
        if node == self.backplane.node() {
            return self.challenge(room, peer).await;
        }
        let (ask, mut answers) = Ask::open(self, 1);
        match ask.put(node, Question::Challenge { room: room.clone(), peer: peer.clone() }) {
            Ok(()) => {}
            Err(Undelivered::Unreachable) => return false,
            // Its node lives, and has much to do.
            Err(_) => return true,
        }
        let answer = chance::in_time(ANSWER_WITHIN + ON_THE_WAY, answers.recv()).await;
        matches!(answer, Some(Some(Answer::Yes)))
    }

    /// Pings one of this node's peers at once: whether it is heard in time.
    pub(super) async fn challenge(&self, room: &RoomId, peer: &PeerId) -> bool {
        let asked = chance::now();
        self.hub.lock().ask(room, peer, Frame::ping());
        let is_heard = async {
            loop {
                match self.hub.lock().heard_at(room, peer) {
                    None => return false,
                    Some(heard) if heard > asked => return true,
                    Some(_) => {}
                }
                sleep(LOOK_AGAIN).await;
            }
        };
        chance::in_time(ANSWER_WITHIN, is_heard).await.unwrap_or(false)
    }

    /// The speaker gives up its name, and stays connected.
    pub(super) async fn release(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
    ) -> Result<(), Goodbye> {
        let Speaker { room, peer, .. } = speaker;
        let claim = {
            let mut hub = self.hub.lock();
            // Before the directory knows: who gets the name next is nothing to a connection that does not want it.
            let claim = hub.release(dialect, speaker)?;
            // Should the directory not answer, the next tick tries again.
            hub.is_leaving(room, peer, claim, Parting::OnPurpose);
            claim
        };
        self.leave(room, peer, claim, Vec::new()).await;
        Ok(())
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
        born: None,
        create: Creation::ByEntering(Record { title, limit: 1, ..Record::default() }),
        max_members: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_is_asked_about_a_name_at_a_time_and_about_so_many_names() {
        let asked = Mutex::default();
        let names: Vec<_> = (0..ASKED_AT_ONCE).map(|n| RoomId::new(format!("direct/{n}"))).collect();
        let mut turns: Vec<_> = names.iter().map(|name| Turn::of(&asked, name).unwrap()).collect();
        let other = RoomId::new("direct/other");
        assert!(Turn::of(&asked, &other).is_none());
        drop(turns.pop());
        assert!(Turn::of(&asked, &names[0]).is_none(), "it is being asked about");
        assert!(Turn::of(&asked, &other).is_some());
    }
}
