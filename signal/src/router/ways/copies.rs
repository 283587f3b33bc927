//! The copies of letters that other nodes have: which node has which, until each is settled. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use super::Address;
use crate::backplane::Delivery;
use crate::hub::mailbox::Step;
use crate::message::{NodeId, RoomId};
use crate::router::acceptance::Named;

/// The copies that this node keeps, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Copies {
    kept: BTreeMap<u64, Kept>,
    /// The newest one's number.
    last: u64,
    /// The nodes that have these letters, and how many.
    nodes: Tally<NodeId>,
    /// The rooms for which letters are on their way from one node to another, and how many.
    between: Tally<RoomId>,
}

/// A copy of a letter.
#[derive(Debug)]
struct Kept {
    delivery: Delivery,
    /// The node that has the letter, or had it last.
    at: NodeId,
    /// The node to which that one has passed it on, as long as nobody knows that it has come there.
    next: Option<NodeId>,
    /// How often it has been passed on until then.
    hops: u32,
}

/// A letter that is on another node than it was believed to be.
#[derive(Debug)]
pub(super) struct Moved {
    /// Whom it is for.
    pub(super) address: Address,
    /// The node that it has left.
    pub(super) from: NodeId,
}

/// How many there are of each.
#[derive(Debug)]
struct Tally<K>(BTreeMap<K, usize>);

impl Kept {
    /// Whether nobody else may have the letter if that node is gone.
    fn is_lost_with(&self, node: &NodeId) -> bool {
        self.at == *node || self.next.as_ref() == Some(node)
    }
}

impl Copies {
    /// The nodes that have any of these letters.
    pub(super) fn nodes(&self) -> BTreeSet<NodeId> {
        self.nodes.0.keys().cloned().collect()
    }

    /// Whether a letter for somebody in `room` is on its way from one node to another.
    pub(super) fn are_between_nodes(&self, room: &RoomId) -> bool {
        self.between.0.contains_key(room)
    }

    /// The number that the next one gets.
    pub(super) fn next_number(&self) -> u64 {
        self.last + 1
    }

    /// Keeps a copy of a letter that goes to `node`, under the number that is given back.
    pub(super) fn keep(&mut self, delivery: Delivery, node: &NodeId) -> u64 {
        self.last += 1;
        self.nodes.one_more(node);
        self.kept.insert(self.last, Kept { delivery, at: node.clone(), next: None, hops: 0 });
        self.last
    }

    /// Forgets a copy: what was kept, and the node that has the letter.
    pub(super) fn forget(&mut self, number: u64) -> Option<(Delivery, NodeId)> {
        let Kept { delivery, at, next, .. } = self.kept.remove(&number)?;
        self.nodes.one_less(&at);
        if next.is_some() {
            self.between.one_less(&delivery.room);
        }
        Some((delivery, at))
    }

    /// The letter of this number is safe, as [`is_safe`] has it.
    pub(super) fn is_safe(&mut self, number: u64) -> Option<Named> {
        self.kept.get_mut(&number).and_then(|kept| is_safe(&mut kept.delivery))
    }

    /// A letter has come to `node`, unless it is known to have been passed on since.
    pub(super) fn held(&mut self, node: &NodeId, step: &Step) -> Option<Moved> {
        let kept = self.kept.get_mut(&step.number).filter(|kept| step.hops >= kept.hops)?;
        kept.hops = step.hops;
        if kept.next.take().is_some() {
            self.between.one_less(&kept.delivery.room);
        }
        self.is_at(node, step.number)
    }

    /// A letter was on `from`, which has passed it on to `to`.
    pub(super) fn passed_on(&mut self, from: &NodeId, to: &NodeId, step: &Step) -> Option<Moved> {
        let kept = self.kept.get_mut(&step.number).filter(|kept| step.hops > kept.hops)?;
        kept.hops = step.hops;
        if kept.next.replace(to.clone()).is_none() {
            self.between.one_more(&kept.delivery.room);
        }
        self.is_at(from, step.number)
    }

    /// The letters that may be lost if that node is gone.
    pub(super) fn lost_with(&self, node: &NodeId) -> Vec<u64> {
        let lost = self.kept.iter().filter(|(_, kept)| kept.is_lost_with(node));
        lost.map(|(number, _)| *number).collect()
    }

    fn is_at(&mut self, node: &NodeId, number: u64) -> Option<Moved> {
        let kept = self.kept.get_mut(&number).filter(|kept| kept.at != *node)?;
        let from = std::mem::replace(&mut kept.at, node.clone());
        self.nodes.one_less(&from);
        self.nodes.one_more(node);
        Some(Moved { address: (kept.delivery.room.clone(), kept.delivery.to.clone()), from })
    }

    /// Whether there are none.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.nodes.0.is_empty() && self.between.0.is_empty()
    }
}

/// A letter is where its node's crash does not take it along. Once its sender may have to be told so.
pub(super) fn is_safe(delivery: &mut Delivery) -> Option<Named> {
    let letter = &mut delivery.letter;
    if std::mem::replace(&mut letter.accepted, true) {
        return None;
    }
    Some((delivery.room.clone(), letter.from.clone()?, letter.name.clone()?))
}

impl<K: Ord + Clone> Tally<K> {
    fn one_more(&mut self, of: &K) {
        *self.0.entry(of.clone()).or_default() += 1;
    }

    fn one_less(&mut self, of: &K) {
        let Some(count) = self.0.get_mut(of) else { return };
        *count -= 1;
        if *count == 0 {
            self.0.remove(of);
        }
    }
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hub::mailbox::Letter;
    use crate::message::{Frame, PeerId};

    fn node(name: &str) -> NodeId {
        NodeId::new(name)
    }

    fn step(number: u64, hops: u32) -> Step {
        Step { number, hops }
    }

    /// Copies of so many letters that are on `b`.
    fn copies(count: usize) -> Copies {
        let mut copies = Copies::default();
        for _ in 0..count {
            let (to, letter) = (PeerId::new("bob"), Letter::from_server(Frame::new("hello".into())));
            let delivery = Delivery { room: room(), to, letter, spent: Duration::ZERO };
            copies.keep(delivery, &node("b"));
        }
        copies
    }

    fn room() -> RoomId {
        RoomId::of("camus", "r")
    }

    #[test]
    fn a_letter_is_between_nodes_until_it_is_known_to_have_come() {
        let mut copies = copies(2);
        assert!(!copies.are_between_nodes(&room()));
        for number in [1, 2] {
            copies.passed_on(&node("b"), &node("c"), &step(number, 1));
            copies.passed_on(&node("c"), &node("d"), &step(number, 2));
        }
        copies.held(&node("c"), &step(1, 1));
        copies.held(&node("d"), &step(1, 2));
        copies.held(&node("d"), &step(1, 2));
        assert!(copies.are_between_nodes(&room()), "the other one is");
        copies.forget(2);
        assert!(!copies.are_between_nodes(&room()));
        copies.forget(1);
        assert!(copies.is_empty());
    }
}
