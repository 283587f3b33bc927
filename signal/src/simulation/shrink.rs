//! A failing schedule, made short and told.

use std::fmt::Write;

use super::schedule::Schedule;
use super::stage::play;

/// A shortest schedule of which this is still so: no single event can be left out.
pub(super) fn shrink(schedule: Schedule, is_so: impl Fn(&Schedule) -> bool) -> Schedule {
    let mut schedule = schedule;
    let mut size = schedule.events.len() / 2;
    while size > 0 {
        let before = schedule.events.len();
        let mut at = 0;
        while at < schedule.events.len() {
            let shorter = without(&schedule, at, size);
            if is_so(&shorter) {
                schedule = shorter;
            } else {
                at += size;
            }
        }
        let was_of_use = schedule.events.len() < before;
        if size > 1 || !was_of_use {
            size /= 2;
        }
    }
    schedule
}

fn without(schedule: &Schedule, at: usize, size: usize) -> Schedule {
    let mut shorter = schedule.clone();
    shorter.events.drain(at..(at + size).min(schedule.events.len()));
    shorter
}

/// What happens in a schedule, a line each, and at the end what should not have.
pub(super) fn tell(schedule: &Schedule) -> String {
    let outcome = play(schedule, true);
    let mut told = String::new();
    for (at, what) in outcome.story {
        let _ = writeln!(told, "{:>9.3} s  {what}", at.as_secs_f64());
    }
    for fault in outcome.faults {
        let _ = writeln!(told, "{:?}: {}", fault.rule, fault.what);
    }
    told
}
