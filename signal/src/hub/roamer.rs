//! A connection that is in any number of rooms, or in none: it comes into them and leaves them by what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::mailbox::{Left, Letter, Mailbox};
use super::room::Snapshot;
use super::{Hub, Seated};
use crate::dialect::Dialect;
use crate::goodbye::Goodbye;
use crate::message::{Claim, Frame, PeerId, RoomId, Seat, Speaker};

/// A connection that is in any number of rooms, or in none. All that it is told goes through one mailbox, wherever it is,
/// so that a socket has one queue, one bound and one receipt.
pub struct Roamer {
    /// What it speaks.
    pub dialect: &'static dyn Dialect,
    /// What waits for it.
    pub mailbox: Arc<Mailbox>,
    /// The rooms that it is in, and as whom.
    pub places: BTreeMap<RoomId, PeerId>,
}

impl Roamer {
    /// One that is nowhere, and gets its words through `mailbox`.
    pub fn new(dialect: &'static dyn Dialect, mailbox: Arc<Mailbox>) -> Self {
        Self { dialect, mailbox, places: BTreeMap::new() }
    }

    /// Who speaks for it at `seat` while it is in no room.
    pub fn nowhere(dialect: &'static dyn Dialect, seat: Seat) -> Speaker {
        let peer = PeerId::new(format!("{:032x}", rand::random::<u128>()));
        Speaker { room: RoomId::of(dialect.name(), ""), peer, seat }
    }
}

impl Hub {
    /// Seats a connection that is nowhere yet.
    pub fn open(&mut self, dialect: &'static dyn Dialect) -> Seated {
        self.seats += 1;
        let seat = Seat(self.seats);
        let mailbox = Arc::new(Mailbox::new(self.bounds));
        mailbox.give_to(seat);
        self.roamers.insert(seat, Roamer::new(dialect, mailbox.clone()));
        Seated { speaker: Roamer::nowhere(dialect, seat), mailbox, resumed: false, moved_from: None }
    }

    /// The connection at `seat`, if it is one that roams.
    pub fn roamer(&self, seat: Seat) -> Option<&Roamer> {
        self.roamers.get(&seat)
    }

    /// Every connection that roams.
    pub fn roamers(&self) -> impl Iterator<Item = &Roamer> {
        self.roamers.values()
    }

    /// The connection at `seat`, which roams, is `peer` in `room` from now on, as `snapshot` shows; it hears `welcome` before
    /// anything that is said there. With what is held here for one who had that name before. `None` if it has ended meanwhile, or somebody else has the peer: then it never came.
    pub fn come_in(
        &mut self,
        seat: Seat,
        (room, peer): (&RoomId, &PeerId),
        snapshot: Snapshot,
        welcome: Option<Frame>,
        now: Instant,
    ) -> Option<(Speaker, Vec<Letter>)> {
        let roamer = self.roamers.get(&seat)?;
        let (dialect, mailbox) = (roamer.dialect, roamer.mailbox.clone());
        self.adopt(dialect, room, peer, snapshot, now);
        let session = self.session_mut(room, peer)?;
        if let Some(welcome) = welcome {
            // Who does not read is sent away by what does not fit next.
            let _ = mailbox.answer(welcome);
        }
        let held = session.give_up_what_waits();
        session.heard(now);
        // Whoever had the name may still be about to leave.
        session.leaving = None;
        (session.seat, session.mailbox) = (Some(seat), mailbox);
        self.roamers.get_mut(&seat)?.places.insert(room.clone(), peer.clone());
        Some((Speaker { room: room.clone(), peer: peer.clone(), seat }, held))
    }

    /// The connection at `seat`, which roams, is not in `room` any more, as which peer it was, and this node's hold on that
    /// one. What was written there before is still heard.
    pub fn go_out(&mut self, seat: Seat, room: &RoomId) -> Option<(PeerId, Claim)> {
        let peer = self.roamers.get_mut(&seat)?.places.remove(room)?;
        let bounds = self.bounds;
        let session = self.session_mut(room, &peer).filter(|session| session.seat == Some(seat))?;
        (session.seat, session.mailbox) = (None, Arc::new(Mailbox::new(bounds)));
        let claim = session.claim;
        Some((peer, claim))
    }

    /// The connection at `seat`, which roams, has ended: what it has not confirmed. It is to leave its rooms before.
    pub fn hang_up(&mut self, seat: Seat, goodbye: Goodbye) -> Left {
        let roamer = self.roamers.remove(&seat);
        roamer.map(|roamer| roamer.mailbox.close(None, goodbye)).unwrap_or_default()
    }

    /// The speaker gives its peer up, whose session goes on with what was held for it until it has left; the connection stays
    /// open, and is nowhere. This node's hold on the peer.
    pub fn release(&mut self, dialect: &'static dyn Dialect, speaker: &Speaker) -> Result<Claim, Goodbye> {
        let bounds = self.bounds;
        let session = self.session(speaker)?;
        let held = session.give_up_what_waits();
        let mailbox = std::mem::replace(&mut session.mailbox, Arc::new(Mailbox::new(bounds)));
        // It has come out of one that is as large.
        let _ = session.mailbox.put_back(held);
        session.seat = None;
        let claim = session.claim;
        self.roamers.insert(speaker.seat, Roamer::new(dialect, mailbox));
        Ok(claim)
    }
}

impl std::fmt::Debug for Roamer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roamer").field("places", &self.places).finish_non_exhaustive()
    }
}
