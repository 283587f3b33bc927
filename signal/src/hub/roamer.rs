//! A connection that is in any number of rooms, or in none: it comes into them and leaves them by what it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mailbox::Mailbox;
use crate::dialect::Dialect;
use crate::message::{PeerId, RoomId, Seat, Speaker};

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

impl std::fmt::Debug for Roamer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roamer").field("places", &self.places).finish_non_exhaustive()
    }
}
