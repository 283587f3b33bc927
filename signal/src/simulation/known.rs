//! What is known not to be kept yet, each with a sentence. To be emptied.

use super::ledger::{Fault, Rule};
use super::schedule::{Event, Schedule};
use super::stage::play;
use super::world::LEASE;

/// A promise that is not kept yet, in schedules of a certain kind.
struct Known {
    /// What happens.
    #[expect(dead_code, reason = "for whoever reads this list")]
    sentence: &'static str,
    rules: &'static [Rule],
    is_in: fn(&Schedule) -> bool,
}

const KNOWN: &[Known] = &[];

/// What is wrong with a schedule, beyond what is known.
pub(super) fn faults_of(schedule: &Schedule) -> Vec<Fault> {
    let mut faults = play(schedule, false).faults;
    let is_known = |fault: &Fault| {
        KNOWN.iter().any(|known| known.rules.contains(&fault.rule) && (known.is_in)(schedule))
    };
    faults.retain(|fault| !is_known(fault));
    faults
}

/// Whether this happens within a lease of something that keeps a node from hearing of it.
fn happens_when_another_cannot_hear(schedule: &Schedule, this: fn(&Event) -> bool) -> bool {
    let (events, deaf) = (&schedule.events, schedule.deafness());
    events
        .iter()
        .filter(|(_, event)| this(event))
        .any(|(at, _)| deaf.iter().any(|(from, to)| *from <= *at + LEASE && *at <= *to + LEASE))
}
