//! Who is looked for, and when. No clock.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Address;
use crate::chance::Map;

/// For whom something waits, and when to look for them next.
#[derive(Debug, Default)]
pub(super) struct Sought {
    at: Map<Address, Instant>,
    /// The same, in the order of time.
    in_turn: BTreeSet<(Instant, Address)>,
    /// Whoever looks waits for this moment.
    awaited: Option<Instant>,
}

impl Sought {
    /// Whether that peer is going to be looked for.
    pub(super) fn contains(&self, address: &Address) -> bool {
        self.at.contains_key(address)
    }

    /// Looks for a peer at that time at the latest.
    pub(super) fn look_for(&mut self, address: Address, at: Instant) {
        if self.at.get(&address).is_none_or(|sought| at < *sought) {
            self.look_at(address, at);
        }
    }

    /// Looks for a peer at that time, and not before.
    pub(super) fn look_at(&mut self, address: Address, at: Instant) {
        self.seek_no_more(&address);
        self.in_turn.insert((at, address.clone()));
        self.at.insert(address, at);
    }

    /// That peer is not looked for any longer.
    pub(super) fn seek_no_more(&mut self, address: &Address) {
        if let Some(at) = self.at.remove(address) {
            self.in_turn.remove(&(at, address.clone()));
        }
    }

    /// Nobody is looked for any longer.
    pub(super) fn clear(&mut self) {
        self.at.clear();
        self.in_turn.clear();
    }

    /// For whom to look now, each once.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Address> {
        let mut due = Vec::new();
        while let Some((_, address)) = self.in_turn.first().filter(|(at, _)| *at <= now).cloned() {
            self.seek_no_more(&address);
            due.push(address);
        }
        due
    }

    /// When somebody is due next; whoever asks waits for that.
    pub(super) fn awaits_next_due(&mut self) -> Option<Instant> {
        self.awaited = self.in_turn.first().map(|(at, _)| *at);
        self.awaited
    }

    /// Whether somebody is due before the moment that is waited for.
    pub(super) fn is_due_sooner(&self) -> bool {
        let next = self.in_turn.first().map(|(at, _)| at);
        next.is_some_and(|next| self.awaited.is_none_or(|awaited| *next < awaited))
    }

    /// Whether nobody is looked for.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.at.is_empty() && self.in_turn.is_empty()
    }
}
