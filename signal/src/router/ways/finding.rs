//! What becomes of what waits when its peer was looked for. No I/O, no clock.

use std::time::{Duration, Instant};

use super::way::Way;
use super::{Address, HAND_OVER, Refused, Ways};
use crate::backplane::{Backplane, Delivery};
use crate::hub::mailbox::Letter;
use crate::message::{NodeId, Undelivered};

/// How often a peer for which something waits is looked for.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a name that nobody has is looked for, should nobody say that it is there.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After this time it is given up. Longer than a lease: whoever takes over the peers of a dead node is known by then.
pub(super) const LOOK_FOR: Duration = Duration::from_secs(12);

/// Where a peer that was looked for is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::router) enum Found {
    /// On this node.
    Here,
    /// On that one.
    On(NodeId),
    /// Nowhere.
    Nowhere,
    /// The directory could not say.
    Unknown,
}

/// What came of putting a letter into a mailbox here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::router) enum Placed {
    /// It is in.
    Taken,
    /// Too much waits there already.
    Full,
    /// There is no such mailbox here.
    Gone,
}

impl Ways {
    /// A peer for which something waits was looked for: what can go there goes; `put` puts into a mailbox here. An absent
    /// one is waited for as long as `patience`. Gives back what is given up.
    pub(in crate::router) fn found(
        &mut self,
        address: &Address,
        found: &Found,
        patience: Duration,
        now: Instant,
        backplane: &dyn Backplane,
        mut put: impl FnMut(&Delivery) -> Placed,
    ) -> Refused {
        self.recall(address, found, now);
        self.sought.seek_no_more(address);
        let mut refused = Vec::new();
        while let Some(delivery) = self.next_waiting(address) {
            let way = self.way(&address.0, &address.1);
            let free = |node: &NodeId| way.is_some_and(|way| way.is_only_at(node));
            let for_long = |limit| way.is_some_and(|way| now.duration_since(way.since()) >= limit);
            // What came to wait behind older ones has its own time.
            let next = way.and_then(|way| way.waiting().front());
            let over = next.is_some_and(|next| now.duration_since(next.since) >= LOOK_FOR);
            let outcome = match found {
                Found::Here if free(&self.me) => match put(&delivery) {
                    Placed::Taken => Some(None),
                    // It was accepted once, and there is room for it here.
                    Placed::Full if over => Some(Some(Undelivered::Full)),
                    Placed::Full | Placed::Gone => None,
                },
                Found::On(node) if free(node) => {
                    self.remove_waiting(address, now);
                    match self.carry(node, delivery, now, backplane) {
                        // It may wait again: its node is gone.
                        Ok(()) if self.sought.contains(address) => break,
                        Ok(()) => {}
                        Err(given_back) => refused.push(given_back),
                    }
                    continue;
                }
                // Of what is of no use to one who is not there, nobody is told.
                Found::Nowhere if patience.is_zero() || is_of_the_moment(&delivery.letter) => {
                    Some(Some(Undelivered::Absent))
                }
                Found::Nowhere if for_long(patience) => Some(Some(Undelivered::Expired)),
                Found::Nowhere => break,
                Found::Here | Found::On(_) | Found::Unknown => None,
            };
            match outcome {
                Some(None) => self.remove_waiting(address, now),
                Some(Some(why)) => {
                    self.remove_waiting(address, now);
                    refused.push((delivery, why));
                }
                None if over => {
                    self.remove_waiting(address, now);
                    refused.push((delivery, Undelivered::Unreachable));
                }
                None => break,
            }
        }
        let since = self.way(&address.0, &address.1).map_or(now, Way::since);
        if self.next_waiting(address).is_some() {
            let next = match found {
                Found::Nowhere => (now + LOOK_AGAIN).min(since + patience),
                _ => now + LOOK_EVERY,
            };
            self.sought.look_at(address.clone(), next);
        }
        refused
    }

    /// A peer has been on another node for so long that what was sent elsewhere is sent again.
    fn recall(&mut self, address: &Address, found: &Found, now: Instant) {
        let at = match found {
            Found::Here => &self.me,
            Found::On(node) => node,
            Found::Nowhere | Found::Unknown => return,
        };
        let Some(way) = self.way(&address.0, &address.1) else { return };
        if way.moved().is_none_or(|moved| now.duration_since(moved) < HAND_OVER) {
            return;
        }
        let numbers = way.sent_elsewhere(at);
        let back = numbers.iter().filter_map(|number| self.forget(*number, now)).collect();
        self.wait_again(back, now);
    }
}

/// Whether its sender said that it is for nobody who is not there; what the server itself says is not.
fn is_of_the_moment(letter: &Letter) -> bool {
    letter.from.is_none() && letter.number != 0
}
