//! What a peer's silence asks for: whom to ask whether it is there, and whom to remove.

use std::time::{Duration, Instant};

use super::Hub;
use super::mailbox::Letter;
use crate::goodbye::Goodbye;
use crate::message::{Claim, Parting, PeerId, RoomId, Speaker};

/// What a peer's silence asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask it whether it is there.
    Ask(RoomId, PeerId),
    /// End its membership, which it holds by that claim.
    Remove(RoomId, PeerId, Claim),
    /// Read the room again: it is as the directory has it from now on.
    Read(RoomId),
    /// Tell those who sent it these that it does not get them.
    GiveBack(RoomId, PeerId, Vec<Letter>),
}

impl Hub {
    /// A sign of life from the speaker; whether this is its first word in the room.
    pub fn heard(&mut self, speaker: &Speaker, now: Instant) -> Result<bool, Goodbye> {
        if self.roamers.contains_key(&speaker.seat) && speaker.room.name().is_empty() {
            return Ok(false);
        }
        let session = self.session(speaker)?;
        session.heard(now);
        Ok(session.coming)
    }

    /// When the connection of one of this node's peers was last heard, if it has one.
    pub fn heard_at(&self, room: &RoomId, peer: &PeerId) -> Option<Instant> {
        let session = self.rooms.get(room)?.sessions.get(peer)?;
        session.seat.is_some().then_some(session.seen)
    }

    /// How long each of `peers` has been silent: those that this node has.
    pub fn silence(&self, room: &RoomId, peers: &[PeerId], now: Instant) -> Vec<(PeerId, Duration)> {
        let Some(known) = self.rooms.get(room) else { return Vec::new() };
        let session =
            |peer: &PeerId| Some((peer.clone(), now.duration_since(known.sessions.get(peer)?.seen)));
        peers.iter().filter_map(session).collect()
    }

    /// The peer is to leave as soon as the directory can be told.
    pub fn is_leaving(&mut self, room: &RoomId, peer: &PeerId, claim: Claim, how: Parting) {
        if let Some(session) = self.session_mut(room, peer).filter(|session| session.claim == claim) {
            session.leaving = Some(how);
        }
    }

    /// Whether the membership that `peer` holds by `claim` is still to be ended; and how, if not because its time is over.
    pub fn is_to_leave(
        &self,
        room: &RoomId,
        peer: &PeerId,
        claim: Claim,
        now: Instant,
    ) -> Option<Option<Parting>> {
        let known = self.rooms.get(room)?;
        let session = known.sessions.get(peer)?;
        let grace = self.terms.get(known.dialect.name())?.grace;
        let over = session.claim == claim && session.is_over(now, grace);
        over.then_some(session.leaving)
    }

    /// This node stood still for so long: whatever has a time until which it is waited for has that much more.
    pub fn stood_still(&mut self, late: Duration) {
        for room in self.rooms.values_mut() {
            room.prolong_recall(late);
            room.sessions.values_mut().for_each(|session| session.excuse(late));
        }
    }

    /// What is due at `now`: whom to ask, whom to remove. Mailboxes that waited for another node for too long are
    /// opened.
    pub fn tick(&mut self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        for (id, room) in &mut self.rooms {
            if room.ends_recall(now) {
                due.push(Due::Read(id.clone()));
            }
            let Some(terms) = self.terms.get(room.dialect.name()) else { continue };
            for (peer, session) in &mut room.sessions {
                if session.hand_over.as_ref().is_some_and(|hand_over| hand_over.until <= now) {
                    let too_much = session.end_hand_over();
                    if !too_much.is_empty() {
                        due.push(Due::GiveBack(id.clone(), peer.clone(), too_much));
                    }
                }
                let silence = session.silence(now);
                if session.is_over(now, terms.grace) {
                    due.push(Due::Remove(id.clone(), peer.clone(), session.claim));
                } else if terms.ask_after.is_some_and(|after| silence >= after)
                    && session.seat.is_some()
                    && !session.asked
                {
                    session.asked = true;
                    due.push(Due::Ask(id.clone(), peer.clone()));
                }
            }
        }
        due
    }
}
