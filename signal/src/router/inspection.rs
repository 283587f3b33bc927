//! What tests look at from outside.

use std::collections::BTreeSet;

use super::Router;
use crate::hub::room::Member;
use crate::message::{PeerId, RoomId};

/// One of a node's own peers, as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) peer: PeerId,
    pub(crate) connected: bool,
    /// Bytes that wait for it.
    pub(crate) waiting: usize,
}

impl Router {
    /// Whom a message to everybody in `room` is for, as this node knows the room.
    pub(crate) fn everyone(&self, room: &RoomId) -> BTreeSet<PeerId> {
        let hub = self.hub.lock();
        let elsewhere = hub.peers_elsewhere(room).into_values().flatten();
        hub.sessions()
            .filter(|(of, ..)| *of == room)
            .map(|(_, peer, _)| peer.clone())
            .chain(elsewhere)
            .collect()
    }

    /// The membership of `peer`, as this node knows the room; `None` if it does not know the room.
    pub(crate) fn known_member(&self, room: &RoomId, peer: &PeerId) -> Option<Option<Member>> {
        self.hub.lock().room(room).map(|room| room.member(peer).cloned())
    }

    /// This node's own peers in `room`.
    pub(crate) fn seen(&self, room: &RoomId) -> Vec<Seen> {
        let hub = self.hub.lock();
        let own = hub.sessions().filter(|(of, ..)| *of == room);
        let seen = own.map(|(_, peer, session)| Seen {
            peer: peer.clone(),
            connected: session.seat.is_some(),
            waiting: session.mailbox.bytes(),
        });
        seen.collect()
    }

    /// What waits for nothing: letters of which nobody says what became of them, questions that nobody answers.
    pub(crate) fn unfinished(&self) -> usize {
        self.ways.lock().len() + self.asks.lock().len()
    }
}
