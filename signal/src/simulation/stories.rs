//! Schedules that nobody has to find again.

use std::time::Duration;

use super::schedule::{Event, Schedule};
use super::stage::play;
use super::tongue::Tongue;

const ALICE: usize = 0;
const BOB: usize = 1;
const LEFT: usize = 0;
const RIGHT: usize = 1;

/// A schedule of alice, bob and two nodes; times in milliseconds.
fn schedule(tongue: Tongue, events: &[(u64, Event)]) -> Schedule {
    let events = events.iter().map(|(at, event)| (Duration::from_millis(*at), event.clone()));
    Schedule { seed: 0, tongue, nodes: 2, peers: 2, events: events.collect() }
}

/// Plays it: what happened, where nothing may go wrong.
fn told(schedule: &Schedule) -> Vec<String> {
    let outcome = play(schedule, true);
    assert_eq!(outcome.faults, []);
    outcome.story.into_iter().map(|(_, what)| what).collect()
}

fn comes(peer: usize, node: usize) -> Event {
    Event::Comes { peer, node }
}

fn speaks(peer: usize, to: usize) -> Event {
    Event::Says { peer, to: Some(to) }
}

fn restarts(node: usize) -> Event {
    Event::Restarts { node, after: Duration::from_secs(1) }
}

fn position(story: &[String], what: &str) -> usize {
    story.iter().position(|line| line == what).unwrap_or_else(|| panic!("{what}: not in {story:#?}"))
}

#[test]
fn what_a_stopping_node_holds_for_one_who_is_away_is_left_to_another() {
    let story = told(&schedule(
        Tongue::Rooms,
        &[
            (0, comes(ALICE, LEFT)),
            (100, comes(BOB, LEFT)),
            (1_000, Event::Drops { peer: BOB }),
            (2_000, speaks(ALICE, BOB)),
            (3_000, Event::Drops { peer: ALICE }),
            (4_000, restarts(LEFT)),
            (18_000, comes(BOB, RIGHT)),
        ],
    ));
    assert!(position(&story, "node a.1 has stopped") < position(&story, "bob hears #1 of alice"));
}

/// Each of two nodes holds a letter, and of that for bob the other has the copy; they are told to stop at these times, and
/// a third one is not.
fn two_nodes_stop(left: u64, right: u64) {
    let carol = 2;
    let mut schedule = schedule(
        Tongue::Rooms,
        &[
            (0, comes(ALICE, LEFT)),
            (50, comes(carol, LEFT)),
            (100, comes(BOB, RIGHT)),
            (1_000, Event::Drops { peer: BOB }),
            (1_000, Event::Drops { peer: carol }),
            (2_000, speaks(ALICE, BOB)),
            (2_000, speaks(ALICE, carol)),
            (3_000, Event::Drops { peer: ALICE }),
            (left, restarts(LEFT)),
            (right, restarts(RIGHT)),
            (20_000, comes(BOB, 2)),
            (20_000, comes(carol, 2)),
        ],
    );
    (schedule.nodes, schedule.peers) = (3, 3);
    schedule.events.sort_by_key(|(at, _)| *at);
    let story = told(&schedule);
    for what in ["bob hears #1 of alice", "carol hears #2 of alice"] {
        assert_eq!(story.iter().filter(|line| *line == what).count(), 1, "{what}: {story:#?}");
    }
}

#[test]
fn what_two_nodes_hold_that_stop_at_the_same_moment_is_left_to_the_third() {
    two_nodes_stop(4_000, 4_000);
}

#[test]
fn what_two_nodes_hold_that_stop_one_soon_after_the_other_is_left_to_the_third_once() {
    for pause in [5, 50, 400, 1_000, 3_000] {
        two_nodes_stop(4_000, 4_000 + pause);
        two_nodes_stop(4_000 + pause, 4_000);
    }
}

#[test]
fn what_waits_for_a_name_outlives_the_node_on_which_it_was_said() {
    let story = told(&schedule(
        Tongue::Names,
        &[
            (0, comes(ALICE, LEFT)),
            // By then its heartbeats have told each node of the other one.
            (3_000, speaks(ALICE, BOB)),
            (3_100, restarts(LEFT)),
            (6_000, comes(BOB, RIGHT)),
        ],
    ));
    position(&story, "bob hears #1 of alice");
}

#[test]
fn one_who_comes_a_moment_later_hears_in_order_what_was_said_to_its_name() {
    let story = told(&schedule(
        Tongue::Names,
        &[
            (0, comes(ALICE, LEFT)),
            (1_000, speaks(ALICE, BOB)),
            (1_001, speaks(ALICE, BOB)),
            (4_000, comes(BOB, RIGHT)),
        ],
    ));
    assert!(position(&story, "bob hears #1 of alice") < position(&story, "bob hears #2 of alice"));
}

#[test]
fn of_a_name_that_nobody_gets_in_time_the_sender_is_told_once() {
    let story = told(&schedule(
        Tongue::Names,
        &[
            (0, comes(ALICE, LEFT)),
            (1_000, speaks(ALICE, BOB)),
            (1_001, speaks(ALICE, BOB)),
            (10_000, comes(BOB, RIGHT)),
        ],
    ));
    let expired = story.iter().filter(|line| *line == "alice is told that something did not reach bob");
    assert_eq!(expired.count(), 1, "{story:#?}");
}

#[test]
fn one_who_has_come_here_is_heard_here_though_the_directory_is_away() {
    let story = told(&schedule(
        Tongue::Rooms,
        &[
            (0, comes(ALICE, LEFT)),
            (100, comes(BOB, RIGHT)),
            (1_000, Event::Freezes { node: RIGHT, lasts: Duration::from_secs(8) }),
            (1_100, speaks(ALICE, BOB)),
            (1_500, comes(BOB, LEFT)),
            (1_600, Event::RedisIsAway { lasts: Duration::from_secs(30) }),
            (3_000, speaks(ALICE, BOB)),
            (12_000, Event::Leaves { peer: ALICE }),
        ],
    ));
    let leaves = position(&story, "alice leaves");
    assert!(position(&story, "bob hears #1 of alice") < position(&story, "bob hears #2 of alice"));
    assert!(position(&story, "bob hears #2 of alice") < leaves, "{story:#?}");
}

#[test]
fn a_node_that_could_hear_nothing_knows_who_has_come_elsewhere_meanwhile() {
    let story = told(&schedule(
        Tongue::Names,
        &[
            (0, comes(BOB, RIGHT)),
            (3_000, Event::IsCutOff { node: RIGHT, lasts: Duration::from_millis(7_500) }),
            (3_100, comes(BOB, LEFT)),
            // When the other one can hear again, this node is not there any more.
            (3_200, restarts(LEFT)),
        ],
    ));
    position(&story, "node a.1 has stopped, and could not say everything");
    position(&story, "a connection of bob ends: replaced");
}

#[test]
fn a_host_whose_node_could_hear_nothing_is_told_who_left_and_came_back_meanwhile() {
    let mut schedule = schedule(
        Tongue::Hosted,
        &[
            (0, comes(ALICE, RIGHT)),
            (1_000, comes(BOB, LEFT)),
            (3_000, Event::IsCutOff { node: RIGHT, lasts: Duration::from_millis(7_500) }),
            (3_100, Event::Drops { peer: BOB }),
            (3_500, comes(BOB, 2)),
            // When the host's node can hear again, this one is not there any more.
            (4_000, restarts(LEFT)),
        ],
    );
    schedule.nodes = 3;
    is_told_once_that_bob_left(&schedule);
}

#[test]
fn a_host_is_told_of_one_who_left_when_it_comes_back_if_whoever_knew_crashed() {
    let mut schedule = schedule(
        Tongue::Hosted,
        &[
            (0, comes(ALICE, RIGHT)),
            (1_000, comes(BOB, LEFT)),
            (3_000, Event::Drops { peer: BOB }),
            // The directory has it, and nobody else.
            (3_001, Event::Crashes { node: LEFT }),
            (3_500, comes(BOB, 2)),
        ],
    );
    schedule.nodes = 3;
    is_told_once_that_bob_left(&schedule);
}

fn is_told_once_that_bob_left(schedule: &Schedule) {
    let story = told(schedule);
    let told = story.iter().filter(|line| *line == " host is told that something did not reach bob");
    assert_eq!(told.count(), 1, "{story:#?}");
}

#[test]
fn a_name_is_free_for_another_as_soon_as_its_connection_ends() {
    let mut schedule = schedule(
        Tongue::Names,
        &[(0, comes(ALICE, LEFT)), (1_000, Event::Drops { peer: ALICE }), (1_050, comes(2, RIGHT))],
    );
    schedule.peers = 3;
    position(&told(&schedule), "carol is connected to b.2, as alice");
}
