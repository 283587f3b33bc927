//! Which messages, that their senders have a name for, are safe with all whom they are for. No I/O, no clock.

use std::sync::Arc;

use crate::chance::Map;
use crate::message::{PeerId, RoomId};

/// Messages that may wait to be accepted; the sender of one more is not told, and says it again some day.
const MAX_OPEN: usize = 100_000;

/// A message: its sender, in its room, and what that calls it.
pub(super) type Named = (RoomId, PeerId, Arc<str>);

/// Messages that are not safe yet: for how many of those whom they are for.
#[derive(Debug, Default)]
pub(super) struct Acceptances {
    open: Map<Named, i64>,
}

impl Acceptances {
    /// The message is for so many; whether it is safe with all of them already.
    pub(super) fn expect(&mut self, message: Named, count: usize) -> bool {
        self.count(message, i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// It is safe with one of them, or that one's sender was told; whether that was the last. May be said before
    /// [`Self::expect`].
    pub(super) fn one(&mut self, message: Named) -> bool {
        self.count(message, -1)
    }

    /// Whether somebody is still to have it.
    pub(super) fn is_open(&self, message: &Named) -> bool {
        self.open.contains_key(message)
    }

    fn count(&mut self, message: Named, by: i64) -> bool {
        if self.open.len() >= MAX_OPEN && !self.open.contains_key(&message) {
            return false;
        }
        let left = self.open.get(&message).copied().unwrap_or_default() + by;
        if left == 0 {
            self.open.remove(&message);
        } else {
            self.open.insert(message, left);
        }
        left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> Named {
        (RoomId::of("camus", "r"), PeerId::new("alice"), name.into())
    }

    #[test]
    fn a_message_is_accepted_when_all_whom_it_is_for_have_it() {
        let mut acceptances = Acceptances::default();
        assert!(!acceptances.expect(message("1"), 2));
        assert!(!acceptances.one(message("1")));
        assert!(acceptances.is_open(&message("1")));
        assert!(acceptances.one(message("1")));
        assert!(!acceptances.is_open(&message("1")));
        assert!(acceptances.expect(message("2"), 0), "for nobody");
    }

    #[test]
    fn some_may_have_it_before_it_is_known_how_many_it_is_for() {
        let mut acceptances = Acceptances::default();
        assert!(!acceptances.one(message("1")));
        assert!(!acceptances.one(message("1")));
        assert!(acceptances.expect(message("1"), 2));
        assert!(acceptances.open.is_empty());
    }
}
