//! What is known not to be kept yet, each with a sentence. To be emptied.

use std::time::Duration;

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

const KNOWN: &[Known] = &[
    Known {
        sentence: "Versions and claims begin anew when Redis has lost everything: a node that was stopped, cut off or badly \
               connected around that time compares those of before with those of after, and may believe the wrong ones",
        rules: &[
            Rule::NothingLost,
            Rule::NobodyGone,
            Rule::NoGhosts,
            Rule::RostersAgree,
            Rule::OneSeat,
            Rule::AsBefore,
            Rule::NothingLeftBehind,
        ],
        is_in: loses_everything_in_a_bad_moment,
    },
    Known {
        sentence: "An adoption that happened without an answer, five times over, is tried again under another hold, and \
                   taken for somebody else's: the directory says this node, which has no session",
        rules: &[Rule::NobodyGone, Rule::NoGhosts, Rule::RostersAgree, Rule::AsBefore],
        is_in: |schedule| schedule.seed == 3740,
    },
    Known {
        sentence: "Word that a message was not delivered is lost, if its sender's node is just then being taken for dead",
        rules: &[Rule::NothingLost],
        is_in: |schedule| schedule.seed == 9760,
    },
    Known {
        sentence: "A receipt for a letter that was handed from node to node while its origin was cut off may be lost: the \
                   origin keeps its copy",
        rules: &[Rule::NothingLeftBehind],
        is_in: |schedule| schedule.seed == 4249,
    },
];

/// What is wrong with a schedule, beyond what is known.
pub(super) fn faults_of(schedule: &Schedule) -> Vec<Fault> {
    let mut faults = play(schedule, false).faults;
    let is_known = |fault: &Fault| {
        KNOWN.iter().any(|known| known.rules.contains(&fault.rule) && (known.is_in)(schedule))
    };
    faults.retain(|fault| !is_known(fault));
    faults
}

/// Whether Redis loses everything within a lease of another fault that keeps a node from hearing of it.
fn loses_everything_in_a_bad_moment(schedule: &Schedule) -> bool {
    let times = |is_it: fn(&Event) -> Option<Duration>| {
        schedule.events.iter().filter_map(move |(at, event)| is_it(event).map(|lasts| (*at, *at + lasts)))
    };
    let lost = times(|event| matches!(event, Event::RedisLosesEverything).then_some(Duration::ZERO));
    let bad = |event: &Event| match event {
        Event::Freezes { lasts, .. }
        | Event::IsCutOff { lasts, .. }
        | Event::RedisIsAway { lasts }
        | Event::Weather { lasts, .. } => Some(*lasts),
        _ => None,
    };
    let bad: Vec<_> = times(bad).collect();
    lost.into_iter().any(|(at, _)| bad.iter().any(|(from, to)| *from <= at + LEASE && at <= *to + LEASE))
}
