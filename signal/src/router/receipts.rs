//! What other nodes are owed: word of what became of the letters of which they keep copies.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Weak;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Router;
use crate::backplane::Envelope;
use crate::hub::mailbox::Mark;
use crate::message::NodeId;

/// Of so many nodes that cannot be reached it is remembered what they are owed, as each may only have been cut off, for
/// however long. Of more, those are forgotten that have been owed anything for longest.
const UNREACHABLE: usize = 256;
/// Receipts are gathered for so long: few enough come together that what is behind them does not wait.
const GATHER: Duration = Duration::from_millis(10);

/// Receipts that have still to be given.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    numbers: Mutex<BTreeMap<NodeId, Vec<u64>>>,
    added: Notify,
    /// What could not be given, by those who have been owed it for longest.
    ungiven: Mutex<VecDeque<(NodeId, Vec<u64>)>>,
}

impl Receipts {
    /// These copies are not needed any more.
    pub(super) fn add(&self, marks: impl IntoIterator<Item = Mark>) {
        let mut numbers = self.numbers.lock();
        let was_empty = numbers.is_empty();
        for Mark { node, number, .. } in marks {
            numbers.entry(node).or_default().push(number);
        }
        if was_empty && !numbers.is_empty() {
            self.added.notify_one();
        }
    }

    /// Waits until there are some.
    async fn added(&self) {
        self.added.notified().await;
    }

    /// All of them, by the node that is owed them.
    fn take(&self) -> BTreeMap<NodeId, Vec<u64>> {
        std::mem::take(&mut *self.numbers.lock())
    }

    /// A node that is owed these cannot be reached.
    pub(super) fn keep(&self, node: NodeId, numbers: Vec<u64>) {
        let mut ungiven = self.ungiven.lock();
        match ungiven.iter_mut().find(|(owed, _)| *owed == node) {
            Some((_, kept)) => kept.extend(numbers),
            None => ungiven.push_back((node, numbers)),
        }
        if ungiven.len() > UNREACHABLE {
            ungiven.pop_front();
        }
    }

    /// All that could not be given. `gives` tries to give it: what it does not is kept.
    pub(super) fn give_again(&self, gives: impl Fn(&NodeId, &[u64]) -> bool) {
        self.ungiven.lock().retain(|(node, numbers)| !gives(node, numbers));
    }
}

impl Router {
    /// Gives other nodes their receipts.
    pub(super) fn give_receipts(&self) {
        for (node, numbers) in self.receipts.take() {
            if !self.gives(&node, &numbers) {
                self.receipts.keep(node, numbers);
            }
        }
    }

    /// Whether these receipts are on their way to `node`.
    pub(super) fn gives(&self, node: &NodeId, numbers: &[u64]) -> bool {
        self.backplane.carry(node, Envelope::Settled { numbers: numbers.to_vec() }).is_ok()
    }
}

/// Gives other nodes their receipts, until the router is gone.
pub(super) async fn give_receipts(router: Weak<Router>) {
    while let Some(receipts) = router.upgrade().map(|router| router.receipts.clone()) {
        receipts.added().await;
        sleep(GATHER).await;
        let Some(router) = router.upgrade() else { return };
        router.give_receipts();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_is_owed_is_kept_until_it_can_be_given() {
        let receipts = Receipts::default();
        let node = |number: usize| NodeId::new(format!("a.{number}"));
        receipts.keep(node(0), vec![1]);
        receipts.keep(node(0), vec![2, 3]);
        receipts.give_again(|_, _| false);
        receipts.give_again(|to, numbers| {
            assert_eq!((to, numbers), (&node(0), &[1, 2, 3][..]));
            true
        });
        receipts.give_again(|_, _| panic!("it was given"));
        for number in 0..=UNREACHABLE {
            receipts.keep(node(number), vec![7]);
        }
        receipts.give_again(|to, _| {
            assert_ne!(*to, node(0), "it was owed something for longest");
            true
        });
    }
}
