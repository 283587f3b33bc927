//! The ledger: every message that was sent, and what became of it.
//!
//! Messages are numbered per ordered pair of peers, so what is missing, came twice, came too late or came to somebody
//! else shows by itself, whatever the protocol.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::stamp::{EVERYONE, Stamp};

/// What became of the messages of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Messages sent; one that is said to all counts once for each who should hear it.
    pub sent: u64,
    /// Of these, how many arrived where they should.
    pub received: u64,
    /// Sent, and neither arrived nor accounted for by what follows.
    pub lost: u64,
    /// Arrivals of what had arrived before, on the same connection.
    pub doubled: u64,
    /// Arrivals of what an earlier connection of the receiver had got: nobody could know that it had. Once each.
    #[serde(default)]
    pub repeated: u64,
    /// Arrivals at a peer that they were not for, or under another sender's name.
    pub misrouted: u64,
    /// Arrivals after a younger message of the same pair.
    pub reordered: u64,
    /// Arrivals with other bytes than were sent.
    pub damaged: u64,
    /// The server told the sender that it could not be delivered.
    pub told: u64,
    /// Not there yet when its sender's connection ended: the sender knows that it cannot know.
    #[serde(default)]
    pub cut: u64,
    /// Said while its receiver was not connected, in a protocol that keeps nothing for anybody.
    #[serde(default)]
    pub missed: u64,
    /// The server did not take it, and said so.
    pub refused: u64,
    /// Told to be undeliverable, and arrived nevertheless.
    pub told_wrongly: u64,
    /// Due while its sender had no connection: never sent.
    pub unsent: u64,
}

impl Tally {
    /// What should not be, by its name, if there is any.
    pub fn wrong(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("misrouted", self.misrouted),
            ("reordered", self.reordered),
            ("damaged", self.damaged),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Sent, and so far neither arrived nor accounted for.
    pub fn missing(&self) -> u64 {
        self.sent.saturating_sub(self.received + self.told + self.refused + self.cut + self.missed)
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.repeated += other.repeated;
        self.misrouted += other.misrouted;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.told += other.told;
        self.cut += other.cut;
        self.missed += other.missed;
        self.refused += other.refused;
        self.told_wrongly += other.told_wrongly;
        self.unsent += other.unsent;
    }
}

/// Why a message that does not arrive is not lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excuse {
    /// Its sender was told, with all that it had said to the same receiver.
    Told,
    /// Its sender's connection ended before it could be told.
    Cut,
    /// Its receiver was not there, and nothing is kept for it.
    Missed,
}

impl Excuse {
    fn count(self, tally: &mut Tally) -> &mut u64 {
        match self {
            Self::Told => &mut tally.told,
            Self::Cut => &mut tally.cut,
            Self::Missed => &mut tally.missed,
        }
    }
}

/// One peer's messages to another.
#[derive(Debug, Default)]
struct Pair {
    sent: u32,
    received: u32,
    told: u32,
    /// One more than the youngest that arrived.
    next: u32,
    /// Older than the youngest, and not there yet.
    gaps: BTreeSet<u32>,
    /// Not there yet, and not lost if they never are.
    excused: BTreeMap<u32, Excuse>,
    /// The receiver's connection on which the last arrived.
    visit: u32,
    /// What may come again on it: those before the second that are not before the first.
    may_come_again: (u32, u32),
}

enum Arrival {
    InOrder,
    Late,
    Repeated,
    Again,
}

impl Pair {
    fn take(&mut self, seq: u32, visit: u32) -> Arrival {
        if visit > self.visit {
            (self.visit, self.may_come_again) = (visit, (0, self.next));
        }
        let arrival = if seq >= self.next {
            self.gaps.extend(self.next..seq);
            self.next = seq + 1;
            Arrival::InOrder
        } else if self.gaps.remove(&seq) {
            Arrival::Late
        } else if (self.may_come_again.0..self.may_come_again.1).contains(&seq) {
            self.may_come_again.0 = seq + 1;
            return Arrival::Repeated;
        } else {
            return Arrival::Again;
        };
        self.received += 1;
        arrival
    }

    /// Whatever is not there yet may never be. How many there are that had no excuse before.
    fn excuse(&mut self, why: Excuse) -> u64 {
        let missing = self.gaps.iter().copied().chain(self.next..self.sent);
        let before = self.excused.len();
        for seq in missing {
            self.excused.entry(seq).or_insert(why);
        }
        (self.excused.len() - before) as u64
    }

    fn missing(&self) -> u32 {
        self.sent.saturating_sub(self.received + self.told + self.excused.len() as u32)
    }

    fn told_wrongly(&self) -> u32 {
        (self.received + self.told).saturating_sub(self.sent)
    }
}

/// The ledger of one process: that of whole rooms.
#[derive(Debug)]
pub struct Ledger {
    run: u32,
    pairs: HashMap<(u32, u32), Pair>,
    so_far: Tally,
}

impl Ledger {
    /// An empty one.
    pub fn new(run: u32) -> Self {
        Self { run, pairs: HashMap::new(), so_far: Tally::default() }
    }

    /// The number of the next message from one peer to another.
    pub fn next(&self, from: u32, to: u32) -> u32 {
        self.pairs.get(&(from, to)).map_or(0, |pair| pair.sent)
    }

    /// That message was sent.
    pub fn sent(&mut self, from: u32, to: u32) {
        self.pairs.entry((from, to)).or_default().sent += 1;
        self.so_far.sent += 1;
    }

    /// A message was due, and its sender had no connection.
    pub fn unsent(&mut self, messages: u64) {
        self.so_far.unsent += messages;
    }

    /// A message is there, at the peer `at`, on that one's connection `visit`; a later one has a larger number. Whether
    /// it is new, so that its latency is one.
    ///
    /// `is_sender` says whether it came under its sender's name, `is_whole` whether with the bytes that were sent.
    pub fn arrived(
        &mut self,
        (at, visit): (u32, u32),
        stamp: &Stamp,
        is_sender: bool,
        is_whole: bool,
    ) -> bool {
        let is_mine = stamp.run == self.run && (stamp.to == at || stamp.to == EVERYONE);
        let pair = self.pairs.get_mut(&(stamp.from, at)).filter(|pair| is_mine && stamp.seq < pair.sent);
        let Some(pair) = pair else {
            self.so_far.misrouted += 1;
            return false;
        };
        let arrival = pair.take(stamp.seq, visit);
        if let Some(why) = pair.excused.remove(&stamp.seq) {
            *why.count(&mut self.so_far) -= 1;
        }
        if !is_sender {
            self.so_far.misrouted += 1;
        }
        if !is_whole {
            self.so_far.damaged += 1;
        }
        match arrival {
            Arrival::InOrder => {}
            Arrival::Late => self.so_far.reordered += 1,
            Arrival::Repeated => {
                self.so_far.repeated += 1;
                return false;
            }
            Arrival::Again => {
                self.so_far.doubled += 1;
                return false;
            }
        }
        self.so_far.received += 1;
        true
    }

    /// Something came from a peer that no peer of this run has sent.
    pub fn strange(&mut self) {
        self.so_far.misrouted += 1;
    }

    /// The server told `from` that a message to `to` could not be delivered.
    pub fn told(&mut self, from: u32, to: u32) {
        self.pairs.entry((from, to)).or_default().told += 1;
        self.so_far.told += 1;
    }

    /// What `from` has said to `to`, and is not there yet, is not lost if it never comes.
    pub fn excuse(&mut self, from: u32, to: u32, why: Excuse) {
        if let Some(pair) = self.pairs.get_mut(&(from, to)) {
            *why.count(&mut self.so_far) += pair.excuse(why);
        }
    }

    /// The server did not take a message, without saying which.
    pub fn refused(&mut self) {
        self.so_far.refused += 1;
    }

    /// What is known now; nothing is lost yet.
    pub fn so_far(&self) -> Tally {
        self.so_far
    }

    /// What became of all messages, now that nothing more will come.
    pub fn closed(&self) -> Tally {
        let missing: u64 = self.pairs.values().map(|pair| u64::from(pair.missing())).sum();
        let told_wrongly = self.pairs.values().map(|pair| u64::from(pair.told_wrongly())).sum();
        Tally { lost: missing.saturating_sub(self.so_far.refused), told_wrongly, ..self.so_far }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RUN: u32 = 9;
    const ALICE: u32 = 0;
    const BOB: u32 = 1;
    const CAROL: u32 = 2;

    fn stamp(from: u32, to: u32, seq: u32) -> Stamp {
        Stamp { run: RUN, from, to, seq, due: 0 }
    }

    fn after(sent: u32, arrive: &[u32]) -> Tally {
        let mut ledger = Ledger::new(RUN);
        (0..sent).for_each(|_| ledger.sent(ALICE, BOB));
        for seq in arrive {
            ledger.arrived((BOB, 1), &stamp(ALICE, BOB, *seq), true, true);
        }
        ledger.closed()
    }

    #[test]
    fn all_is_well() {
        let tally = after(4, &[0, 1, 2, 3]);
        assert_eq!(tally, Tally { sent: 4, received: 4, ..Tally::default() });
        assert!(tally.wrong().is_empty());
    }

    #[test]
    fn what_does_not_come_is_lost_the_last_one_too() {
        assert_eq!(after(4, &[0, 2]), Tally { sent: 4, received: 2, lost: 2, ..Tally::default() });
    }

    #[test]
    fn what_comes_again_is_doubled() {
        assert_eq!(after(2, &[0, 0, 1]), Tally { sent: 2, received: 2, doubled: 1, ..Tally::default() });
    }

    #[test]
    fn what_an_earlier_connection_had_got_may_come_again_once() {
        let mut ledger = Ledger::new(RUN);
        (0..4).for_each(|_| ledger.sent(ALICE, BOB));
        for (visit, seq) in [(1, 0), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (2, 2), (2, 3)] {
            ledger.arrived((BOB, visit), &stamp(ALICE, BOB, seq), true, true);
        }
        let expected = Tally { sent: 4, received: 4, repeated: 2, doubled: 2, ..Tally::default() };
        assert_eq!(ledger.closed(), expected);
    }

    #[test]
    fn one_that_is_overtaken_is_reordered_once() {
        assert_eq!(after(4, &[0, 2, 1, 3]), Tally { sent: 4, received: 4, reordered: 1, ..Tally::default() });
    }

    #[test]
    fn what_comes_to_somebody_else_is_misrouted_and_lost() {
        let mut ledger = Ledger::new(RUN);
        ledger.sent(ALICE, BOB);
        assert!(!ledger.arrived((CAROL, 1), &stamp(ALICE, BOB, 0), true, true));
        assert_eq!(ledger.closed(), Tally { sent: 1, misrouted: 1, lost: 1, ..Tally::default() });
    }

    #[test]
    fn under_another_name_of_another_run_or_never_sent_it_is_misrouted() {
        let mut ledger = Ledger::new(RUN);
        ledger.sent(ALICE, BOB);
        ledger.arrived((BOB, 1), &Stamp { run: RUN + 1, ..stamp(ALICE, BOB, 0) }, true, true);
        ledger.arrived((BOB, 1), &stamp(ALICE, BOB, 1), true, true);
        ledger.arrived((BOB, 1), &stamp(CAROL, BOB, 0), true, true);
        ledger.arrived((BOB, 1), &stamp(ALICE, BOB, 0), false, true);
        assert_eq!(ledger.closed(), Tally { sent: 1, received: 1, misrouted: 4, ..Tally::default() });
    }

    #[test]
    fn what_is_told_or_refused_is_not_lost() {
        let mut ledger = Ledger::new(RUN);
        (0..3).for_each(|_| ledger.sent(ALICE, BOB));
        ledger.told(ALICE, BOB);
        ledger.refused();
        assert_eq!(ledger.so_far().missing(), 1);
        ledger.arrived((BOB, 1), &stamp(ALICE, BOB, 0), true, true);
        let expected = Tally { sent: 3, received: 1, told: 1, refused: 1, ..Tally::default() };
        assert_eq!(ledger.closed(), expected);
        assert!(expected.wrong().is_empty());
    }

    #[test]
    fn what_is_told_of_one_does_not_excuse_the_loss_of_another() {
        let mut ledger = Ledger::new(RUN);
        ledger.sent(ALICE, BOB);
        ledger.sent(ALICE, CAROL);
        ledger.arrived((BOB, 1), &stamp(ALICE, BOB, 0), true, true);
        ledger.told(ALICE, BOB);
        assert_eq!((ledger.closed().lost, ledger.closed().told_wrongly), (1, 1));
    }

    #[test]
    fn what_has_an_excuse_is_not_lost_and_arrives_if_it_does() {
        let mut ledger = Ledger::new(RUN);
        (0..4).for_each(|_| ledger.sent(ALICE, BOB));
        ledger.arrived((BOB, 1), &stamp(ALICE, BOB, 1), true, true);
        ledger.excuse(ALICE, BOB, Excuse::Told);
        ledger.excuse(ALICE, BOB, Excuse::Cut);
        ledger.excuse(ALICE, CAROL, Excuse::Cut);
        assert_eq!((ledger.so_far().told, ledger.so_far().missing()), (3, 0));
        ledger.arrived((BOB, 1), &stamp(ALICE, BOB, 2), true, true);
        ledger.sent(ALICE, BOB);
        ledger.excuse(ALICE, BOB, Excuse::Missed);
        ledger.sent(ALICE, BOB);
        let expected = Tally { sent: 6, received: 2, told: 2, missed: 1, lost: 1, ..Tally::default() };
        assert_eq!(ledger.closed(), expected);
    }

    #[test]
    fn what_is_said_to_all_is_expected_of_each() {
        let mut ledger = Ledger::new(RUN);
        [BOB, CAROL].iter().for_each(|to| ledger.sent(ALICE, *to));
        assert!(ledger.arrived((BOB, 1), &stamp(ALICE, EVERYONE, 0), true, true));
        assert_eq!((ledger.closed().sent, ledger.closed().lost), (2, 1));
    }

    proptest! {
        #[test]
        fn sent_is_received_and_lost_whatever_happens_on_the_way(
            arrivals in proptest::collection::vec(0u32..40, 0..200), sent in 40u32..50,
        ) {
            let tally = after(sent, &arrivals);
            let distinct = arrivals.iter().collect::<BTreeSet<_>>().len() as u64;
            prop_assert_eq!(tally.received, distinct);
            prop_assert_eq!(tally.lost, u64::from(sent) - distinct);
            prop_assert_eq!(tally.doubled, arrivals.len() as u64 - distinct);
            let mut first = BTreeSet::new();
            let overtaken = arrivals.iter().filter(|seq| {
                let late = first.last().is_some_and(|last| last > *seq);
                first.insert(**seq) && late
            });
            prop_assert_eq!(tally.reordered, overtaken.count() as u64);
            prop_assert_eq!(tally.misrouted, 0);
        }
    }
}
