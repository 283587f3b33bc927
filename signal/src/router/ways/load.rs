//! How much is under way or waits, and whether there is room for more.

use std::time::Instant;

use crate::backplane::pressure::Pressure;
use crate::hub::mailbox::{Bounds, Letter};

/// Letters under way or waiting, each counted for as long as it is either.
#[derive(Debug)]
pub(super) struct Load {
    holds: Bounds,
    /// At most so much; what is more is told at once.
    bounds: Bounds,
    pressure: Pressure,
}

impl Load {
    /// Nothing yet.
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { holds: Bounds { messages: 0, bytes: 0 }, bounds, pressure: Pressure::default() }
    }

    /// How much there is.
    pub(super) fn holds(&self) -> Bounds {
        self.holds
    }

    /// How full it is.
    pub(super) fn pressure(&mut self, now: Instant) -> &Pressure {
        self.pressure.update(self.holds, self.bounds, now);
        &self.pressure
    }

    pub(super) fn has_room_for(&self, letters: usize, bytes: usize) -> bool {
        self.holds.messages + letters <= self.bounds.messages && self.holds.bytes + bytes <= self.bounds.bytes
    }

    pub(super) fn add(&mut self, letter: &Letter) {
        self.holds.messages += 1;
        self.holds.bytes += size(letter);
    }

    pub(super) fn remove(&mut self, letter: &Letter) {
        self.holds.messages -= 1;
        self.holds.bytes -= size(letter);
    }
}

/// What a letter weighs: its frame, and what is kept of it beside.
pub(super) fn size(letter: &Letter) -> usize {
    letter.frame.len() + 128
}
