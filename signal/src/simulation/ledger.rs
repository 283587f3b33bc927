//! What was said, heard and told, and whether the promise was kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::tongue::Tongue;
use super::world::LEASE;
use crate::message::{NodeId, PeerId, Receipt};

/// What a connection was sent may come twice on the next, until nothing more is waited for.
const HAND_OVER: Duration = Duration::from_secs(2);
/// Who has a name for so long after it said something can be told what became of it.
const TELLING: Duration = Duration::from_secs(30);

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
    /// What one says to another arrives in order, through whichever nodes.
    InOrder,
    /// Where nothing goes wrong, nobody is told that anything did.
    NothingInvented,
    /// Nobody is gone who did not leave, and was not away for longer than the grace; and whoever is connected to a node
    /// that lives, and was not taken for dead, keeps that connection until it comes again itself.
    NobodyGone,
    /// Nobody is there who has left, or was away for longer than the grace.
    NoGhosts,
    /// Directory, nodes and clients agree about who is there.
    RostersAgree,
    /// One name has one connection.
    OneSeat,
    /// Who is told that something did not arrive is told so once, and nothing else has arrived.
    ToldOnce,
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
    /// The life of the node that took it; the last one, if it was said again.
    pub(super) by: NodeId,
    /// The client that said it, and its connection.
    pub(super) connection: (usize, u64),
    pub(super) receipt: Receipt,
    pub(super) to: BTreeSet<PeerId>,
    /// Of those, whom that node believed elsewhere than they were.
    pub(super) misplaced: BTreeSet<PeerId>,
}

/// One message that has come out of a socket.
#[derive(Clone, Debug)]
pub(super) struct Hearing {
    pub(super) number: u64,
    pub(super) at: Duration,
    /// The client that heard it, and its connection.
    pub(super) connection: (usize, u64),
}

/// A connection, as its client has it.
#[derive(Clone, Debug)]
struct Connected {
    who: PeerId,
    began: Duration,
    node: NodeId,
    ended: Option<Duration>,
}

/// Of which message somebody was told, if it was named, and when.
type Telling = (Option<u64>, Duration);

/// The whole account.
#[derive(Debug)]
pub(super) struct Ledger {
    tongue: Tongue,
    /// Whether nothing went wrong.
    pub(super) peaceful: bool,
    said: Vec<Said>,
    /// How much each has said.
    numbers: BTreeMap<PeerId, u64>,
    /// By receiver and sender.
    heard: BTreeMap<(PeerId, PeerId), Vec<Hearing>>,
    /// By who was told of whom: of which message, if it was named, and when.
    told: BTreeMap<(PeerId, PeerId), Vec<Telling>>,
    /// By client and number.
    connections: BTreeMap<(usize, u64), Connected>,
    /// When somebody left on purpose.
    left: BTreeMap<PeerId, Duration>,
    /// When nodes died.
    died: BTreeMap<NodeId, Duration>,
    /// Those that were told to stop, and keep no copies any more.
    stopped: BTreeSet<NodeId>,
    pub(super) faults: Vec<Fault>,
}

impl Ledger {
    pub(super) fn new(tongue: Tongue, peaceful: bool) -> Self {
        Self {
            tongue,
            peaceful,
            said: Vec::new(),
            numbers: BTreeMap::new(),
            heard: BTreeMap::new(),
            told: BTreeMap::new(),
            connections: BTreeMap::new(),
            left: BTreeMap::new(),
            died: BTreeMap::new(),
            stopped: BTreeSet::new(),
            faults: Vec::new(),
        }
    }

    /// The number of what somebody is about to say.
    pub(super) fn next_number(&mut self, from: &PeerId) -> u64 {
        let number = self.numbers.entry(from.clone()).or_default();
        *number += 1;
        *number
    }

    /// A node takes a message. One that it takes once more is for those only for whom it was before, too.
    pub(super) fn says(&mut self, mut said: Said) {
        let before = self.said.iter_mut().find(|one| one.from == said.from && one.number == said.number);
        match before {
            Some(before) => {
                said.to.retain(|to| before.to.contains(to));
                said.misplaced.append(&mut before.misplaced);
                *before = said;
            }
            None => self.said.push(said),
        }
    }

    /// The last was not taken after all.
    pub(super) fn was_refused(&mut self, from: &PeerId, number: u64) {
        self.said.retain(|said| said.from != *from || said.number != number);
    }

    pub(super) fn hears(&mut self, who: &PeerId, from: &PeerId, hearing: Hearing) {
        self.heard.entry((who.clone(), from.clone())).or_default().push(hearing);
    }

    pub(super) fn connects(&mut self, connection: (usize, u64), who: &PeerId, node: &NodeId, at: Duration) {
        let (who, node) = (who.clone(), node.clone());
        self.connections.insert(connection, Connected { who, began: at, node, ended: None });
    }

    /// Whether a node has a connection of somebody.
    pub(super) fn is_connected(&self, who: &PeerId) -> bool {
        self.connections.values().any(|connection| connection.who == *who && connection.ended.is_none())
    }

    pub(super) fn ends(&mut self, connection: (usize, u64), at: Duration) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.ended.get_or_insert(at);
        }
    }

    /// When that connection began.
    pub(super) fn began(&self, connection: (usize, u64)) -> Duration {
        self.connections.get(&connection).map_or(Duration::ZERO, |connection| connection.began)
    }

    pub(super) fn is_told(&mut self, who: &PeerId, of: &PeerId, number: Option<u64>, at: Duration) {
        self.told.entry((who.clone(), of.clone())).or_default().push((number, at));
    }

    pub(super) fn leaves(&mut self, who: &PeerId, at: Duration) {
        self.left.insert(who.clone(), at);
    }

    pub(super) fn dies(&mut self, node: &NodeId, at: Duration) {
        self.died.insert(node.clone(), at);
    }

    pub(super) fn stops(&mut self, node: &NodeId) {
        self.stopped.insert(node.clone());
    }

    pub(super) fn fails(&mut self, rule: Rule, what: String) {
        self.faults.push(Fault { rule, what });
    }

    /// Whether every message is accounted for. `hopeless`: those who cannot be told anything any more.
    /// `deaf`: when some node could not hear the others.
    pub(super) fn settle(
        &mut self,
        hopeless: &BTreeSet<PeerId>,
        misjudged: &[Duration],
        deaf: &[(Duration, Duration)],
    ) {
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
            self.look_at_order(who, from, (heard, deaf), &mut faults);
        }
        if self.tongue == Tongue::Names {
            self.look_at_what_was_told(&mut faults);
        }
        self.faults.append(&mut faults);
    }

    fn is_accounted_for(&self, said: &Said, to: &PeerId, hopeless: &BTreeSet<PeerId>) -> bool {
        said.receipt == Receipt::Drop
            || self.has_heard(to, &said.from, said.number)
            || self.was_told(said, to)
            // Who leaves does not miss what was just being written to it.
            || self.left.get(to).is_some_and(|at| *at >= said.at)
            || hopeless.contains(&said.from)
            || self.was_left_to_one_that_died(said)
            || match self.tongue {
                Tongue::Rooms => self.died.contains_key(&said.by),
                Tongue::Numbered => self.was_in_no_second_place(said, to),
                Tongue::Names | Tongue::Hosted => {
                    self.died.contains_key(&said.by) || self.cannot_be_told(said)
                }
            }
    }

    /// Its sender's node has stopped, and whoever had the message then may be one that died.
    fn was_left_to_one_that_died(&self, said: &Said) -> bool {
        self.stopped.contains(&said.by) && self.died.values().any(|at| *at >= said.at)
    }

    fn was_told(&self, said: &Said, to: &PeerId) -> bool {
        let told = self.told.get(&(said.from.clone(), to.clone())).map_or(&[][..], Vec::as_slice);
        told.iter().any(|(number, at)| number.map_or(*at >= said.at, |number| number == said.number))
    }

    /// Its sender's node died, and with it whoever else had the message; or that node had it for its own receiver.
    fn was_in_no_second_place(&self, said: &Said, to: &PeerId) -> bool {
        let Some(died) = self.died.get(&said.by) else { return false };
        let others = self.died.iter().any(|(node, at)| *node != said.by && *at >= said.at);
        let mut of_receiver = self.connections.values().filter(|connection| connection.who == *to);
        let came_there = of_receiver.any(|connection| {
            connection.node == said.by && connection.began >= said.at && connection.began <= *died
        });
        others || came_there
    }

    /// Its sender's connection has ended, and nobody is told who has no name.
    fn cannot_be_told(&self, said: &Said) -> bool {
        let ended = self.connections.get(&said.connection).and_then(|connection| connection.ended);
        ended.is_some_and(|at| at <= said.at + TELLING)
    }

    fn look_for_repetitions(
        &self,
        who: &PeerId,
        from: &PeerId,
        (heard, misjudged): (&[Hearing], &[Duration]),
        faults: &mut Vec<Fault>,
    ) {
        for (index, again) in heard.iter().enumerate() {
            // Clients that know messages again hear none twice, on whatever connections.
            let same = |first: &&Hearing| {
                let on_one = first.connection == again.connection || self.tongue == Tongue::Numbered;
                first.number == again.number && on_one
            };
            let Some(first) = heard[..index].iter().rfind(same) else { continue };
            let said = self.said.iter().find(|said| said.from == *from && said.number == again.number);
            let Some(said) = said else { continue };
            let moved = said.at < self.began(again.connection) + HAND_OVER || said.misplaced.contains(who);
            if !moved && !misjudged.iter().any(|at| (said.at.saturating_sub(LEASE)..=again.at).contains(at)) {
                let what = format!(
                    "{who} heard #{} of {from} twice on one connection: at {:?} and at {:?}",
                    again.number, first.at, again.at
                );
                faults.push(Fault { rule: Rule::NothingTwice, what });
            }
        }
    }

    /// What is said through another node than something older comes after that too, as long as its receiver stays connected
    /// and no node is deaf.
    fn look_at_order(
        &self,
        who: &PeerId,
        from: &PeerId,
        (heard, deaf): (&[Hearing], &[(Duration, Duration)]),
        faults: &mut Vec<Fault>,
    ) {
        let said_as = |number: u64| self.said.iter().find(|said| said.from == *from && said.number == number);
        let may_come_later = |older: &Said, newer: &Said, heard_at: Duration| {
            let is_held_up = deaf.iter().any(|(begin, end)| *begin <= heard_at && older.at <= *end);
            older.by != newer.by && (is_held_up || !self.stays(who, older.at, heard_at))
        };
        let mut known = BTreeSet::new();
        let mut before: Vec<&Said> = Vec::new();
        for hearing in heard.iter().filter(|hearing| known.insert(hearing.number)) {
            let Some(said) = said_as(hearing.number) else { continue };
            let is_too_late =
                |newer: &&&Said| newer.number > said.number && !may_come_later(said, newer, hearing.at);
            let newer = before.iter().find(is_too_late);
            if let Some(newer) = newer {
                let what = format!(
                    "{who} heard #{} of {from} after #{}, at {:?}",
                    said.number, newer.number, hearing.at
                );
                faults.push(Fault { rule: Rule::InOrder, what });
            }
            before.push(said);
        }
    }

    /// Whether one connection of somebody's lasts from then until then.
    fn stays(&self, who: &PeerId, from: Duration, until: Duration) -> bool {
        let mut all = self.connections.values().filter(|connection| connection.who == *who);
        all.any(|connection| connection.began <= from && connection.ended.is_none_or(|ended| ended >= until))
    }

    /// Each was told of no more than did not arrive. But what a connection was sent that has ended may have arrived all
    /// the same; and so may, where things went wrong, what was said before its receiver came.
    fn look_at_what_was_told(&self, faults: &mut Vec<Fault>) {
        for ((who, of), told) in &self.told {
            let has_arrived = |said: &&Said| {
                let heard = self.heard.get(&(of.clone(), who.clone())).into_iter().flatten();
                let heard = heard.filter(|heard| heard.number == said.number);
                let mut on = heard.filter_map(|heard| self.connections.get(&heard.connection));
                on.any(|on| on.ended.is_none() && (self.peaceful || on.began + HAND_OVER < said.at))
            };
            let said = self.said.iter().filter(|said| said.from == *who && said.to.contains(of));
            let not_arrived = said.filter(|said| !has_arrived(said)).count();
            if told.len() > not_arrived {
                let times = told.len();
                let what = format!(
                    "{who} was told {times} times that something did not reach {of}, and {not_arrived} did not"
                );
                faults.push(Fault { rule: Rule::ToldOnce, what });
            }
        }
    }

    /// Where nothing went wrong: everything is heard, and nobody told.
    pub(super) fn nothing_was_wrong(&mut self) {
        let told = self.told.iter().map(|((who, of), told)| {
            let what = format!(
                "{who} was told at {:?} that {of} could not be reached, and nothing had happened",
                told[0].1
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
