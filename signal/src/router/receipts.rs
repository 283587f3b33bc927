//! What other nodes are owed: word of what became of the letters of which they keep copies.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::hub::mailbox::Mark;
use crate::message::NodeId;

/// Receipts are gathered for so long.
pub(super) const GATHER: Duration = Duration::from_millis(50);

/// Receipts that have still to be given.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    numbers: Mutex<BTreeMap<NodeId, Vec<u64>>>,
    added: Notify,
}

impl Receipts {
    /// These copies are not needed any more.
    pub(super) fn add(&self, marks: impl IntoIterator<Item = Mark>) {
        let mut numbers = self.numbers.lock();
        let was_empty = numbers.is_empty();
        for Mark { node, number } in marks {
            numbers.entry(node).or_default().push(number);
        }
        if was_empty && !numbers.is_empty() {
            self.added.notify_one();
        }
    }

    /// Waits until there are some.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    /// All of them, by the node that is owed them.
    pub(super) fn take(&self) -> BTreeMap<NodeId, Vec<u64>> {
        std::mem::take(&mut *self.numbers.lock())
    }
}
