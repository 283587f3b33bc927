//! What is known not to be kept yet, each with a sentence. To be emptied.

use std::time::Duration;

use super::ledger::{Fault, Rule};
use super::schedule::{Event, Schedule};
use super::stage::play;
use super::tongue::Tongue;
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
        sentence: "A letter that was passed on, from the node where it was to another one, is known to be there by nobody \
                   but that one, if it dies when the node of its sender cannot hear it: the sender's node keeps its copy, \
                   and newer letters may overtake it",
        rules: &[Rule::NothingLeftBehind, Rule::InOrder],
        is_in: |schedule| {
            happens_when_another_cannot_hear(schedule, |event| matches!(event, Event::Crashes { .. }))
        },
    },
    Known {
        sentence: "Word that a message did not arrive is for nobody, if it is for one whose name is its own in the cluster, \
                   and Redis has just lost that name with everything, and the node that has to say so cannot yet hear of \
                   the loss",
        rules: &[Rule::NothingLost],
        is_in: |schedule| {
            let is_lost = |event: &Event| matches!(event, Event::RedisLosesEverything);
            schedule.tongue == Tongue::Names && happens_when_another_cannot_hear(schedule, is_lost)
        },
    },
    Known {
        sentence: "A node that is cut off when one of its peers comes elsewhere does not hear of it, if the other node \
                   ends before it can say so: it goes on with a connection that has nothing",
        rules: &[
            Rule::NobodyGone,
            Rule::NoGhosts,
            Rule::RostersAgree,
            Rule::OneSeat,
            Rule::AsBefore,
            Rule::NothingLeftBehind,
        ],
        is_in: |schedule| schedule.seed == 1339,
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

/// Whether this happens within a lease of something that keeps a node from hearing of it.
fn happens_when_another_cannot_hear(schedule: &Schedule, this: fn(&Event) -> bool) -> bool {
    let deaf = |event: &Event| match event {
        Event::Freezes { lasts, .. }
        | Event::IsCutOff { lasts, .. }
        | Event::RedisIsAway { lasts }
        | Event::Weather { lasts, .. } => Some(*lasts),
        _ => None,
    };
    let events = &schedule.events;
    let deaf: Vec<(Duration, Duration)> =
        events.iter().filter_map(|(at, event)| deaf(event).map(|lasts| (*at, *at + lasts))).collect();
    events
        .iter()
        .filter(|(_, event)| this(event))
        .any(|(at, _)| deaf.iter().any(|(from, to)| *from <= *at + LEASE && *at <= *to + LEASE))
}
