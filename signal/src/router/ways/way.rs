//! The way to one peer: what is at which node, and what waits behind it. No I/O, no clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::backplane::Delivery;
use crate::message::NodeId;

/// The way to one peer, as long as anything is on it.
#[derive(Debug)]
pub(super) struct Way {
    /// The copies of letters at each node, oldest first. More than one node, while the peer moves.
    sent: Vec<(NodeId, VecDeque<u64>)>,
    waiting: VecDeque<Waiting>,
    /// Since when anything waits.
    since: Instant,
    /// Since when the peer is known to be elsewhere than what was sent.
    moved: Option<Instant>,
}

/// A letter that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) delivery: Delivery,
    pub(super) since: Instant,
    /// The number of its copy, if it has come back to where it was sent from.
    was: Option<u64>,
}

impl Way {
    /// Nothing is on it.
    pub(super) fn new(now: Instant) -> Self {
        Self { sent: Vec::new(), waiting: VecDeque::new(), since: now, moved: None }
    }

    /// Whether nothing is on it.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_empty()
    }

    /// Whether a newer letter may go to `node`: nothing waits, and all that is under way is there.
    pub(super) fn is_free_to(&self, node: &NodeId) -> bool {
        self.waiting.is_empty() && self.is_only_at(node)
    }

    /// Whether no letter is at another node than this one.
    pub(super) fn is_only_at(&self, node: &NodeId) -> bool {
        self.sent.iter().all(|(sent, _)| sent == node)
    }

    /// The node to which it leads, if to one only.
    pub(super) fn leads(&self) -> Option<&NodeId> {
        match self.sent.as_slice() {
            [(node, _)] => Some(node),
            _ => None,
        }
    }

    /// The copies of what is at `node`, oldest first.
    pub(super) fn sent_to(&self, node: &NodeId) -> Vec<u64> {
        let sent = self.sent.iter().find(|(sent, _)| sent == node);
        sent.into_iter().flat_map(|(_, numbers)| numbers.iter().copied()).collect()
    }

    /// The copies of what is not at `node`, oldest first.
    pub(super) fn sent_elsewhere(&self, node: &NodeId) -> Vec<u64> {
        let elsewhere = self.sent.iter().filter(|(sent, _)| sent != node);
        let mut numbers: Vec<u64> = elsewhere.flat_map(|(_, numbers)| numbers.iter().copied()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether a letter is under way that went before the one of this number.
    pub(super) fn has_older(&self, number: u64) -> bool {
        self.sent.iter().flat_map(|(_, numbers)| numbers).any(|older| *older < number)
    }

    /// The copy of this number is of a letter at `node`.
    pub(super) fn add(&mut self, node: &NodeId, number: u64) {
        match self.sent.iter_mut().find(|(sent, _)| sent == node) {
            Some((_, numbers)) => {
                let at = numbers.partition_point(|other| *other < number);
                numbers.insert(at, number);
            }
            None => self.sent.push((node.clone(), [number].into())),
        }
    }

    /// That letter is not at `node` any more.
    pub(super) fn remove(&mut self, node: &NodeId, number: u64) {
        let Some(at) = self.sent.iter().position(|(sent, _)| sent == node) else { return };
        let numbers = &mut self.sent[at].1;
        if let Ok(place) = numbers.binary_search(&number) {
            numbers.remove(place);
        }
        if numbers.is_empty() {
            self.sent.swap_remove(at);
        }
        if self.sent.len() < 2 && self.waiting.is_empty() {
            self.moved = None;
        }
    }

    /// The peer is known to be elsewhere than what was sent: since when.
    pub(super) fn has_moved(&mut self, now: Instant) -> Instant {
        *self.moved.get_or_insert(now)
    }

    /// Since when the peer is known to be elsewhere than what was sent, if it is.
    pub(super) fn moved(&self) -> Option<Instant> {
        self.moved
    }

    /// The letters that wait, in the order in which they go.
    pub(super) fn waiting(&self) -> &VecDeque<Waiting> {
        &self.waiting
    }

    /// Since when anything waits.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// A letter waits behind all that do.
    pub(super) fn wait(&mut self, delivery: Delivery, now: Instant) {
        let last = self.waiting.len();
        self.insert(last, delivery, None, now);
    }

    /// A letter waits ahead of all that do.
    pub(super) fn wait_again(&mut self, delivery: Delivery, now: Instant) {
        self.insert(0, delivery, None, now);
    }

    /// A letter of which this was the number has come back to where it was sent from: it waits ahead of all that do, but
    /// for older ones that came back before.
    pub(super) fn wait_at_home(&mut self, delivery: Delivery, number: u64, now: Instant) {
        let is_older = |waiting: &&Waiting| waiting.was.is_some_and(|was| was < number);
        let older = self.waiting.iter().take_while(is_older).count();
        self.insert(older, delivery, Some(number), now);
    }

    /// The first one that waits does not any more.
    pub(super) fn next(&mut self) -> Option<Delivery> {
        self.waiting.pop_front().map(|waiting| waiting.delivery)
    }

    fn insert(&mut self, at: usize, delivery: Delivery, was: Option<u64>, now: Instant) {
        if self.waiting.is_empty() {
            self.since = now;
        }
        self.waiting.insert(at, Waiting { delivery, since: now, was });
    }
}
