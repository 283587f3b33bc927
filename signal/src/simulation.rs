//! A cluster under everything that can happen to it, thousands of times.
//!
//! A schedule is made of a seed: who comes, speaks, leaves, and what fails meanwhile. It is played with real routers, hubs,
//! mailboxes and links, on a bus and a directory of which chance decides what they lose, repeat and delay, in a time that
//! only passes when nobody has anything to do. When nothing more goes wrong and all has come to rest, the promise is
//! checked ([`ledger::Rule`]). A schedule that breaks it is made as short as it can be, and told.
//!
//! - `SIMULATION_SEED=7 cargo test -p signal --lib simulation` plays one, and tells it.
//! - `SIMULATION_SCHEDULES=1000000` plays so many.

mod hosted;
mod ledger;
mod peer;
mod plane;
mod schedule;
mod shrink;
mod socket;
mod stage;
mod stories;
mod tongue;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ledger::{Fault, Rule};
use schedule::{Event, Schedule};
use shrink::{shrink, tell};
use stage::play;
use tongue::Tongue;
use world::Weather;

use crate::breakage::{Breakage, breaking};

/// So many schedules are played if nobody says how many.
const SCHEDULES: u64 = 10_000;

/// It is told how far they are after so many.
const TELL_EVERY: u64 = 10_000;

/// What is wrong with which seeds.
type Faults = BTreeMap<u64, Vec<Fault>>;

/// A number that the environment gives.
fn given(name: &str) -> Option<u64> {
    env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number")))
}

/// What is wrong with each of these seeds that is not as it should be, on all cores; only of the first that is found, if
/// `once`.
fn look_at_all(seeds: Range<u64>, once: bool, look: impl Fn(u64) -> Vec<Fault> + Sync) -> Faults {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut faults = Faults::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return faults;
            }
            if seed.is_multiple_of(TELL_EVERY) && seed > seeds.start {
                println!("{} of {} schedules", seed - seeds.start, seeds.end - seeds.start);
            }
            let found = look(seed);
            if !found.is_empty() {
                faults.insert(seed, found);
                if once {
                    next.store(seeds.end, Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

fn faults_of(seed: u64) -> Vec<Fault> {
    play(&Schedule::of(seed), false).faults
}

/// What is wrong with a schedule with `breakage`, and is not without it.
fn caused_by(breakage: Breakage, schedule: &Schedule) -> Vec<Fault> {
    let mut faults = breaking(Some(breakage), || play(schedule, false).faults);
    if !faults.is_empty() {
        let anyway: BTreeSet<_> = play(schedule, false).faults.iter().map(|fault| fault.rule).collect();
        faults.retain(|fault| !anyway.contains(&fault.rule));
    }
    faults
}

fn is_broken(faults: &[Fault], rule: Rule) -> bool {
    faults.iter().any(|fault| fault.rule == rule)
}

/// The story of a schedule of which something is so, as short as it can be.
fn story_of(schedule: Schedule, is_so: impl Fn(&Schedule) -> bool) -> String {
    let seed = schedule.seed;
    let schedule = shrink(schedule, is_so);
    format!("seed {seed}, {} nodes, {} peers:\n{}", schedule.nodes, schedule.peers, tell(&schedule))
}

#[test]
fn whatever_happens_the_promise_is_kept() {
    let seed = given("SIMULATION_SEED");
    let count = given("SIMULATION_SCHEDULES").unwrap_or(if seed.is_some() { 1 } else { SCHEDULES });
    let first = seed.unwrap_or(0);
    let faults = look_at_all(first..first + count, false, faults_of);
    let mut broken: BTreeMap<Rule, Vec<u64>> = BTreeMap::new();
    for (seed, faults) in &faults {
        for fault in faults {
            let seeds = broken.entry(fault.rule).or_default();
            if seeds.last() != Some(seed) {
                seeds.push(*seed);
            }
        }
    }
    for (rule, seeds) in &broken {
        println!("{rule:?} is broken by {} of {count}: {:?} …\n", seeds.len(), &seeds[..seeds.len().min(20)]);
        let breaks = |schedule: &Schedule| is_broken(&play(schedule, false).faults, *rule);
        println!("{}", story_of(Schedule::of(seeds[0]), breaks));
    }
    if let Some(seed) = seed.filter(|_| count == 1 && broken.is_empty()) {
        println!("{}", tell(&Schedule::of(seed)));
    }
    assert!(broken.is_empty(), "of {count} schedules {} break the promise", faults.len());
}

/// Whether the simulation finds that this rule is broken, and tells of it.
fn finds(breakage: Breakage) {
    finds_among(breakage, 5_000, Schedule::of);
}

/// The same, among schedules of this kind.
fn finds_among(breakage: Breakage, seeds: u64, kind: impl Fn(u64) -> Schedule + Sync) {
    let faults = look_at_all(0..seeds, true, |seed| caused_by(breakage, &kind(seed)));
    let (seed, faults) = faults.first_key_value().expect("nothing was found");
    let rule = faults[0].rule;
    let causes = |schedule: &Schedule| is_broken(&caused_by(breakage, schedule), rule);
    let told =
        breaking(Some(breakage), || story_of(kind(*seed), |schedule| breaking(None, || causes(schedule))));
    assert!(told.contains(&format!("{rule:?}: ")), "{told}");
    println!("{told}");
}

#[test]
fn an_acknowledgement_before_what_it_acknowledges_is_found() {
    finds(Breakage::AckBeforeDelivery);
}

#[test]
fn a_link_that_does_not_repeat_its_tail_is_found() {
    finds(Breakage::NoRepeatOfTail);
}

#[test]
fn a_node_that_does_not_fence_itself_is_found() {
    // A name is asked for when the line to Redis breaks, and its node crashes: Redis hears of it when the node has long been
    // taken for dead, and nobody would ever take the name from it.
    let cut_off_while_asking = |seed| {
        let weather = Weather { late: 300, ..Weather::default() };
        let events = [
            (0, Event::Comes { peer: 0, node: 0 }),
            (900, Event::Weather { weather, lasts: Duration::from_secs(2) }),
            (1_000, Event::Comes { peer: 1, node: 1 }),
            (1_200, Event::IsCutOff { node: 1, lasts: Duration::from_secs(30) }),
            (2_000, Event::Crashes { node: 1 }),
            (20_000, Event::Leaves { peer: 1 }),
        ];
        let events = events.map(|(at, event)| (Duration::from_millis(at), event)).into();
        Schedule { seed, tongue: Tongue::Names, nodes: 2, peers: 2, events }
    };
    finds_among(Breakage::NoFencing, 500, cut_off_while_asking);
}

#[test]
fn an_old_seat_that_is_believed_is_found() {
    finds(Breakage::OldSeatBelieved);
}

#[test]
fn an_adoption_without_comparison_is_found() {
    finds(Breakage::AdoptionWithoutComparison);
}

#[test]
fn a_receipt_before_the_pong_is_found() {
    finds(Breakage::SettledTooEarly);
}

#[test]
fn copies_that_are_not_kept_are_found() {
    finds(Breakage::NoCopies);
}

#[test]
fn one_who_moves_and_is_not_heard_out_is_found() {
    // What is lost on its way goes again 300 ms later, and its sender is elsewhere by then.
    let moves_in_bad_weather = |seed| {
        let weather = Weather { lost: 30, ..Weather::default() };
        let says = |peer| Event::Says { peer, to: Some(0) };
        let events = [
            (0, Event::Comes { peer: 0, node: 0 }),
            (0, Event::Comes { peer: 1, node: 1 }),
            (900, Event::Weather { weather, lasts: Duration::from_secs(2) }),
            (1_000, says(1)),
            (1_010, Event::Comes { peer: 1, node: 2 }),
            (1_040, says(1)),
        ];
        let events = events.map(|(at, event)| (Duration::from_millis(at), event)).into();
        Schedule { seed, tongue: Tongue::Rooms, nodes: 3, peers: 2, events }
    };
    finds_among(Breakage::NotHeardOut, 500, moves_in_bad_weather);
}

#[test]
fn a_name_that_is_given_to_two_is_found() {
    finds(Breakage::NameGivenToTwo);
}

#[test]
fn a_message_that_is_accepted_while_one_node_has_it_is_found() {
    finds(Breakage::AcceptedTooEarly);
}

#[test]
fn a_repetition_that_is_not_recognised_is_found() {
    finds(Breakage::RepeatNotRecognised);
}

#[test]
fn a_seed_is_one_story() {
    for seed in 0..20 {
        let schedule = Schedule::of(seed);
        assert_eq!(tell(&schedule), tell(&schedule), "seed {seed}");
    }
}
