//! The numbers of this node's attempts to have a peer, and which of the attempts are under way.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// Gives each attempt its number; each is larger than the one before.
#[derive(Default)]
pub(super) struct Holds(Arc<Mutex<Attempts>>);

#[derive(Default)]
struct Attempts {
    last: u64,
    under_way: HashSet<u64>,
}

/// An attempt to have a peer. While this is there, the peer may yet come to be held by its number; after that nobody here
/// waits for it any more.
pub(super) struct Hold {
    pub(super) number: u64,
    attempts: Arc<Mutex<Attempts>>,
}

impl Holds {
    pub(super) fn next(&self) -> Hold {
        let mut attempts = self.0.lock();
        attempts.last += 1;
        let number = attempts.last;
        attempts.under_way.insert(number);
        Hold { number, attempts: self.0.clone() }
    }

    pub(super) fn is_under_way(&self, number: u64) -> bool {
        self.0.lock().under_way.contains(&number)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.attempts.lock().under_way.remove(&self.number);
    }
}
