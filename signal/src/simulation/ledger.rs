//! What was said, heard and told, and whether the promise was kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::LEASE;
use crate::message::{NodeId, PeerId};

/// What a connection was sent may come twice on the next, until nothing more is waited for.
const HAND_OVER: Duration = Duration::from_secs(2);

/// A broken promise: which rule, and what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) rule: Rule,
    pub(super) what: String,
}

/// The promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rule {
    /// A message is received, or its sender is told.
    NothingLost,
    /// On one connection nothing comes twice that was said after it had begun, what an earlier one held was handed over,
    /// and the sender's node knew of it; unless a node that lived was taken for dead since, or within a lease before.
    NothingTwice,
    /// What one says to another through one node arrives in order.
    InOrder,
    /// Where nothing goes wrong, nobody is told that anything did.
    NothingInvented,
    /// Nobody is gone who did not leave, and was not away for longer than the grace.
    NobodyGone,
    /// Nobody is there who has left, or was away for longer than the grace.
    NoGhosts,
    /// Directory, nodes and clients agree about who is there.
    RostersAgree,
    /// One name has one connection.
    OneSeat,
    /// Everybody can be heard by everybody again.
    AsBefore,
    /// Nothing waits that nobody will fetch.
    NothingLeftBehind,
}

/// One message that a node has taken from its sender.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) from: PeerId,
    pub(super) number: u64,
    pub(super) at: Duration,
    /// The life of the node that took it.
    pub(super) by: NodeId,
    pub(super) to: BTreeSet<PeerId>,
    /// Of those, whom that node believed elsewhere than they were.
    pub(super) misplaced: BTreeSet<PeerId>,
}

/// One message that has come out of a socket.
#[derive(Clone, Debug)]
struct Heard {
    number: u64,
    at: Duration,
    connection: u64,
}

/// The whole account.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    said: Vec<Said>,
    /// By receiver and sender.
    heard: BTreeMap<(PeerId, PeerId), Vec<Heard>>,
    /// By who was told of whom.
    told: BTreeMap<(PeerId, PeerId), Vec<Duration>>,
    /// When connections began.
    began: BTreeMap<(PeerId, u64), Duration>,
    /// When somebody left on purpose.
    left: BTreeMap<PeerId, Duration>,
    /// When nodes died.
    died: BTreeMap<NodeId, Duration>,
    pub(super) faults: Vec<Fault>,
}

impl Ledger {
    pub(super) fn says(&mut self, said: Said) {
        self.said.push(said);
    }

    /// The last was not taken after all.
    pub(super) fn was_refused(&mut self, from: &PeerId, number: u64) {
        self.said.retain(|said| said.from != *from || said.number != number);
    }

    pub(super) fn hears(&mut self, who: &PeerId, from: &PeerId, number: u64, connection: u64, at: Duration) {
        let heard = self.heard.entry((who.clone(), from.clone())).or_default();
        heard.push(Heard { number, at, connection });
    }

    pub(super) fn connects(&mut self, who: &PeerId, connection: u64, at: Duration) {
        self.began.insert((who.clone(), connection), at);
    }

    pub(super) fn is_told(&mut self, who: &PeerId, of: &PeerId, at: Duration) {
        self.told.entry((who.clone(), of.clone())).or_default().push(at);
    }

    pub(super) fn leaves(&mut self, who: &PeerId, at: Duration) {
        self.left.insert(who.clone(), at);
    }

    pub(super) fn dies(&mut self, node: &NodeId, at: Duration) {
        self.died.insert(node.clone(), at);
    }

    pub(super) fn fails(&mut self, rule: Rule, what: String) {
        self.faults.push(Fault { rule, what });
    }

    /// Whether every message is accounted for. `hopeless`: those who cannot be told anything any more.
    pub(super) fn settle(&mut self, hopeless: &BTreeSet<PeerId>, misjudged: &[Duration]) {
        let mut faults = Vec::new();
        for said in &self.said {
            for to in said.to.iter().filter(|to| **to != said.from) {
                if !self.is_accounted_for(said, to, hopeless) {
                    let Said { from, number, at, .. } = said;
                    let what = format!(
                        "{to} never heard #{number}, which {from} said at {at:?}, and {from} was not told"
                    );
                    faults.push(Fault { rule: Rule::NothingLost, what });
                }
            }
        }
        for ((who, from), heard) in &self.heard {
            self.look_for_repetitions(who, from, (heard, misjudged), &mut faults);
            self.look_at_order(who, from, heard, &mut faults);
        }
        self.faults.append(&mut faults);
    }

    fn is_accounted_for(&self, said: &Said, to: &PeerId, hopeless: &BTreeSet<PeerId>) -> bool {
        let heard = self.heard.get(&(to.clone(), said.from.clone()));
        let told = self.told.get(&(said.from.clone(), to.clone()));
        heard.is_some_and(|heard| heard.iter().any(|heard| heard.number == said.number))
            || told.is_some_and(|told| told.iter().any(|at| *at >= said.at))
            // Who leaves does not miss what was just being written to it.
            || self.left.get(to).is_some_and(|at| *at >= said.at)
            || hopeless.contains(&said.from)
            || self.died.contains_key(&said.by)
    }

    fn look_for_repetitions(
        &self,
        who: &PeerId,
        from: &PeerId,
        (heard, misjudged): (&[Heard], &[Duration]),
        faults: &mut Vec<Fault>,
    ) {
        for (index, again) in heard.iter().enumerate() {
            let same = |first: &&Heard| first.number == again.number && first.connection == again.connection;
            let Some(first) = heard[..index].iter().rfind(same) else { continue };
            let said = self.said.iter().find(|said| said.from == *from && said.number == again.number);
            let Some(said) = said else { continue };
            let began = self.began.get(&(who.clone(), again.connection)).copied().unwrap_or_default();
            let moved = said.at < began + HAND_OVER || said.misplaced.contains(who);
            if !moved && !misjudged.iter().any(|at| (said.at.saturating_sub(LEASE)..=again.at).contains(at)) {
                let what = format!(
                    "{who} heard #{} of {from} twice on one connection: at {:?} and at {:?}",
                    again.number, first.at, again.at
                );
                faults.push(Fault { rule: Rule::NothingTwice, what });
            }
        }
    }

    fn look_at_order(&self, who: &PeerId, from: &PeerId, heard: &[Heard], faults: &mut Vec<Fault>) {
        let through = |number: u64| {
            self.said.iter().find(|said| said.from == *from && said.number == number).map(|said| &said.by)
        };
        let mut newest: BTreeMap<&NodeId, u64> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for heard in heard.iter().filter(|heard| known.insert(heard.number)) {
            let Some(by) = through(heard.number) else { continue };
            let newest = newest.entry(by).or_default();
            if heard.number < *newest {
                let what =
                    format!("{who} heard #{} of {from} after #{newest}, at {:?}", heard.number, heard.at);
                faults.push(Fault { rule: Rule::InOrder, what });
            }
            *newest = heard.number.max(*newest);
        }
    }

    /// Where nothing went wrong: everything is heard, and nobody told.
    pub(super) fn nothing_was_wrong(&mut self) {
        let told = self.told.iter().map(|((who, of), at)| {
            let what = format!(
                "{who} was told at {:?} that {of} could not be reached, and nothing had happened",
                at[0]
            );
            Fault { rule: Rule::NothingInvented, what }
        });
        self.faults.extend(told.collect::<Vec<_>>());
    }
}

impl Ledger {
    pub(super) fn has_heard(&self, who: &PeerId, from: &PeerId, number: u64) -> bool {
        let heard = self.heard.get(&(who.clone(), from.clone()));
        heard.is_some_and(|heard| heard.iter().any(|heard| heard.number == number))
    }
}
