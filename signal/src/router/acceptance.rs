//! Which messages, that their senders have a name for, are safe with all whom they are for. No I/O, no clock.

use std::sync::Arc;

use crate::breakage::{Breakage, is_broken};
use crate::chance::Map;
use crate::message::{PeerId, RoomId};

/// Messages of one sender that may wait to be accepted; one more is not taken.
const MAX_OF_ONE: usize = 1_024;
/// Messages of all senders.
const MAX_OPEN: usize = 200_000;
/// Until it is known for how many a message is, it is not safe with all of them.
const NOT_KNOWN: i64 = 1 << 40;

/// A message: its sender, in its room, and what that calls it.
pub(super) type Named = (RoomId, PeerId, Arc<str>);

/// Messages that are not safe yet: for how many of those whom they are for.
#[derive(Debug, Default)]
pub(super) struct Acceptances {
    open: Map<(RoomId, PeerId), Map<Arc<str>, i64>>,
    count: usize,
}

impl Acceptances {
    /// A message is about to be sent. `false` if too many wait already.
    pub(super) fn begin(&mut self, (room, from, name): &Named) -> bool {
        let sender = (room.clone(), from.clone());
        if self.count >= MAX_OPEN || self.open.get(&sender).is_some_and(|open| open.len() >= MAX_OF_ONE) {
            return false;
        }
        let before = self.open.entry(sender).or_default().insert(name.clone(), NOT_KNOWN);
        self.count += usize::from(before.is_none());
        true
    }

    /// The message is for so many; whether it is safe with all of them already.
    pub(super) fn expect(&mut self, message: &Named, count: usize) -> bool {
        let already = if is_broken(Breakage::AcceptedTooEarly) { count } else { 0 };
        self.add(message, i64::try_from(count - already).unwrap_or(NOT_KNOWN) - NOT_KNOWN)
    }

    /// It is safe with one of them, or its sender was told why not; whether that was the last.
    pub(super) fn one(&mut self, message: &Named) -> bool {
        self.add(message, -1)
    }

    /// Whether somebody is still to have it.
    pub(super) fn is_open(&self, (room, from, name): &Named) -> bool {
        self.open.get(&(room.clone(), from.clone())).is_some_and(|open| open.contains_key(name))
    }

    fn add(&mut self, (room, from, name): &Named, by: i64) -> bool {
        let sender = (room.clone(), from.clone());
        let Some(open) = self.open.get_mut(&sender) else { return false };
        let Some(left) = open.get_mut(name) else { return false };
        *left += by;
        if *left != 0 {
            return false;
        }
        open.remove(name);
        self.count -= 1;
        if open.is_empty() {
            self.open.remove(&sender);
        }
        true
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
        assert!(acceptances.begin(&message("1")));
        assert!(!acceptances.expect(&message("1"), 2));
        assert!(!acceptances.one(&message("1")));
        assert!(acceptances.is_open(&message("1")));
        assert!(acceptances.one(&message("1")));
        assert!(!acceptances.is_open(&message("1")));
        assert!(!acceptances.one(&message("1")), "once");
        assert!(acceptances.begin(&message("2")));
        assert!(acceptances.expect(&message("2"), 0), "for nobody");
        assert!(acceptances.open.is_empty() && acceptances.count == 0);
    }

    #[test]
    fn some_may_have_it_before_it_is_known_how_many_it_is_for() {
        let mut acceptances = Acceptances::default();
        assert!(acceptances.begin(&message("1")));
        assert!(!acceptances.one(&message("1")));
        assert!(!acceptances.one(&message("1")));
        assert!(acceptances.expect(&message("1"), 2));
        assert!(acceptances.open.is_empty());
    }

    #[test]
    fn one_who_says_much_that_nobody_takes_leaves_room_for_others() {
        let mut acceptances = Acceptances::default();
        let taken = (0..2 * MAX_OF_ONE).filter(|n| acceptances.begin(&message(&n.to_string()))).count();
        assert_eq!(taken, MAX_OF_ONE);
        let (room, _, name) = message("1");
        assert!(acceptances.begin(&(room, PeerId::new("bob"), name)));
    }
}
