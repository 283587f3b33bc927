//! What is done to Redis, and to the lines to it: messages are heard once and in order or told, and everybody is where
//! they are.
//!
//! Everything that takes as long as a lease goes faster here than it would (`redis.lease`).

use std::time::{Duration, Instant};

use crate::common::{self, Browser, Client, House, Ledger, Settings, play_for, scenes, until, until_at_last};
use serde_json::json;

/// A lease of 4 s: a heartbeat each second, fenced after 2.8 s.
const QUICK: Settings<'_> = &[("REDIS__LEASE", "4s"), ("ROOMS__EMPTY_FOR", "1s")];
/// A node that stands still for a few seconds lives, and much may be said at once.
const ROOMY: Settings<'_> = &[
    ("REDIS__LEASE", "20s"),
    ("ROOMS__EMPTY_FOR", "1s"),
    ("MAILBOX__BYTES", "16MiB"),
    ("LIMITS__BYTE_BURST", "64MiB"),
];
/// Little may wait, and nobody waits for long.
const NARROW: Settings<'_> = &[
    ("REDIS__LEASE", "20s"),
    ("ROOMS__EMPTY_FOR", "1s"),
    ("LINKS__BYTES", "1MiB"),
    ("LINKS__PATIENCE", "500ms"),
    ("UNSETTLED__BYTES", "2MiB"),
    ("LIMITS__MESSAGE_BURST", "10000"),
    ("LIMITS__BYTE_BURST", "256MiB"),
];
/// What waits on a node, and how much of it may under these settings.
const WAITING: &[(&str, f64)] = &[
    ("signal_link_unsettled_bytes", MIB),
    ("signal_link_unsettled", 20_000.0),
    ("signal_unsettled_bytes", 2.0 * MIB),
    ("signal_unsettled", 200_000.0),
    // What waits for each of two peers, and as much that is not confirmed.
    ("signal_mailbox_bytes", 4.0 * MIB),
];
const MIB: f64 = 1_048_576.0;
const LEASE: Duration = Duration::from_secs(4);
const MINUTE: Duration = Duration::from_secs(60);
const FENCE: Duration = Duration::from_millis(2_800);

scenes!(two_nodes, QUICK;
    a_redis_that_is_flushed_is_written_again_and_nobody_is_gone,
    scripts_that_are_flushed_are_not_missed,
    a_redis_that_pauses_its_clients_doubles_nothing,
    a_redis_process_that_stands_still_doubles_nothing,
    a_redis_that_sleeps_doubles_nothing,
    a_master_that_became_a_replica_is_noticed_and_nothing_is_lost,
    a_redis_that_is_full_makes_nodes_busy_until_it_is_not,
    a_redis_with_too_few_places_is_tried_until_there_are_enough,
    what_is_not_ours_in_an_inbox_is_counted_and_changes_nothing,
);
scenes!(watched_redis, QUICK; a_failover_is_followed_and_nothing_is_lost);
scenes!(guarded_redis, QUICK; a_failover_is_followed_where_nobody_comes_in_without_a_password);
scenes!(two_nodes, ROOMY;
    an_inbox_that_is_read_too_slowly_is_cut_off_and_repaired,
);
scenes!(bad_lines, NARROW; what_waits_for_a_slow_line_is_bounded);
scenes!(bad_lines, QUICK;
    a_half_open_line_is_noticed_and_what_comes_late_changes_nothing,
    a_slow_line_with_stalls_loses_nothing,
    a_node_whose_redis_is_not_there_yet_is_alive_and_not_ready,
    a_node_that_is_cut_off_serves_its_own_and_takes_nobody_new,
    nodes_that_are_all_cut_off_go_on_by_themselves,
    one_whose_place_was_taken_meanwhile_is_told_and_sent_away,
);

/// They talk for `span`, all of it is heard, and they are where they were.
async fn nothing_shows(house: &House, mut alice: Client, mut bob: Client, mut ledger: Ledger) {
    assert_eq!(ledger.is_settled(&mut [&mut alice, &mut bob]).await, 0, "told");
    for client in [&mut alice, &mut bob] {
        client.finds_in_any_order(&["Alice", "Bob"]).await;
        client.has_not_heard("bye");
    }
    house.is_as_it_should_be("capsule", vec![alice, bob], vec![]).await;
}

/// The node of `name` says this on its `/ready`, or is about to.
async fn says(house: &House, name: &str, status: u16, words: &str) {
    let mut operator = Browser::at(house.node_of(name).ops);
    until(words, async || {
        let said = operator.get("/ready").await;
        said.status == status && said.body.contains(words)
    })
    .await;
}

async fn a_node_whose_redis_is_not_there_yet_is_alive_and_not_ready(house: &mut House) {
    house.line_of("Bob").cuts();
    house.loses_the_node_of("Bob");
    house.starts_the_node_of("Bob");
    says(house, "Bob", 503, "starting").await;
    assert_eq!(Browser::at(house.node_of("Bob").ops).get("/live").await.status, 200);
    house.browser("Bob").asks_for("capsule", json!({})).await.is_refusal(503);
    until("it says so", async || house.node_of("Bob").has_logged("trying again for ever")).await;
    house.line_of("Bob").passes();
    says(house, "Bob", 200, "ready\n").await;
    house.enters("Bob", "capsule").await;
}

/// Fault 6.
#[tokio::test]
async fn redis_is_away_for_long_and_those_on_one_node_do_not_notice() {
    play_for(MINUTE * 2, House::two_nodes(QUICK).await, redis_is_away_for_a_minute).await;
}

async fn redis_is_away_for_a_minute(house: &mut House) {
    let [mut alice, mut bob, mut carol, mut dave] =
        house.meet(["Alice", "Bob", "Carol", "Dave"], "capsule").await;
    let mut ledger = Ledger::default();
    house.loses_redis();
    let gone = Instant::now();
    let mut calls = 0;
    while gone.elapsed() < MINUTE {
        for (caller, callee) in [(&mut alice, &mut carol), (&mut bob, &mut dave)] {
            let asked = Instant::now();
            caller.says(&callee.id, "offer", json!(calls)).await;
            assert_eq!(callee.hears("offer").await.data(), calls);
            callee.says(&caller.id, "answer", json!(calls)).await;
            assert_eq!(caller.hears("answer").await.data(), calls);
            assert!(asked.elapsed() < FENCE, "a call took {:?}", asked.elapsed());
        }
        ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(100)).await;
        calls += 1;
    }
    house.finds_redis_empty();
    let back = Instant::now();
    for name in ["Alice", "Bob"] {
        house.node_of(name).counts("signal_backplane_up", |up| up == 1.0).await;
    }
    let told = ledger.is_settled(&mut [&mut alice, &mut bob]).await;
    eprintln!(
        "all is as it was, and has been read, {:.1?} after Redis was back; {told} messages were told",
        back.elapsed()
    );
    for client in [&mut alice, &mut bob, &mut carol, &mut dave] {
        client.finds_in_any_order(&["Alice", "Bob", "Carol", "Dave"]).await;
        client.has_not_heard("bye");
    }
    house.is_as_it_should_be("capsule", vec![alice, bob, carol, dave], vec![]).await;
}

/// Fault 7.
async fn a_redis_that_is_flushed_is_written_again_and_nobody_is_gone(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(200)).await;
    house.asks_redis::<()>(&["FLUSHALL"]).await;
    ledger.talk(&mut [&mut alice, &mut bob], LEASE).await;
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 8.
async fn scripts_that_are_flushed_are_not_missed(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    house.asks_redis::<()>(&["SCRIPT", "FLUSH"]).await;
    let mut carol = house.enters("Carol", "capsule").await;
    bob.sees(&["Alice", "Bob", "Carol"]).await;
    house.asks_redis::<()>(&["SCRIPT", "FLUSH"]).await;
    carol.asks("bye").await;
    carol.is_sent_away(1000).await;
    bob.sees(&["Alice", "Bob"]).await;
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.hears("bye").await.sender, carol.id);
    }
    let mut ledger = Ledger::default();
    ledger.one_round(&mut [&mut alice, &mut bob]).await;
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 11, the first way.
async fn a_redis_that_pauses_its_clients_doubles_nothing(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(200)).await;
    house.asks_redis::<()>(&["CLIENT", "PAUSE", "2000", "ALL"]).await;
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(3)).await;
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 11, the second way; for longer than it takes to fence.
async fn a_redis_process_that_stands_still_doubles_nothing(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(200)).await;
    house.freezes_redis();
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(3)).await;
    house.wakes_redis();
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(1)).await;
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 11, the third way.
async fn a_redis_that_sleeps_doubles_nothing(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(200)).await;
    let sleep = house.asks_redis::<()>(&["DEBUG", "SLEEP", "3"]);
    let talk = async {
        ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(4)).await;
    };
    tokio::join!(sleep, talk);
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 12. Bob renames himself into the swallowed line, and into a stalled one: what is let through when his node has
/// long been dead to the others is his no more.
async fn a_half_open_line_is_noticed_and_what_comes_late_changes_nothing(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let node = house.node_of("Bob");
    let rebuilt = node.metric("signal_backplane_rebuilds_total").await;
    house.line_of("Bob").swallows();
    node.counts("signal_backplane_up", |up| up == 0.0).await;
    house.line_of("Bob").passes();
    node.counts("signal_backplane_up", |up| up == 1.0).await;
    node.counts("signal_backplane_rebuilds_total", |rebuilds| rebuilds > rebuilt).await;
    let mut ledger = Ledger::that_takes_repeats();
    ledger.one_round(&mut [&mut alice, &mut bob]).await;
    assert_eq!(ledger.is_settled(&mut [&mut alice, &mut bob]).await, 0, "told");

    house.line_of("Bob").stalls();
    bob.says(common::SERVER, "profile", json!({ "username": "Late" })).await;
    bob.is_told("Busy").await;
    let taken_over = format!("sg:{{n:{}}}:idx", house.id_of("Alice").await);
    until("he is taken over", async || house.asks_redis::<u64>(&["SCARD", &taken_over]).await == 2).await;
    house.line_of("Bob").passes();
    node.counts("signal_backplane_up", |up| up == 1.0).await;
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(1)).await;
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 13.
async fn a_slow_line_with_stalls_loses_nothing(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    house.line_of("Bob").delays(Duration::from_millis(200));
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(2)).await;
    for _ in 0..3 {
        house.line_of("Bob").stalls();
        ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(700)).await;
        house.line_of("Bob").delays(Duration::from_millis(100));
        ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(700)).await;
    }
    house.line_of("Bob").throttles(20_000);
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(2)).await;
    house.line_of("Bob").passes();
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 13, with much more to say than may wait, both ways: what does not fit is told, and a node is no larger for it.
async fn what_waits_for_a_slow_line_is_bounded(house: &mut House) {
    const PAGE: usize = 20_000;
    /// Twice what may wait, in each kind of slowness.
    const ENOUGH: usize = 2 << 20;
    const SLOW: Duration = Duration::from_secs(12);
    let resident = "process_resident_memory_bytes";
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::of_pages(PAGE);
    ledger.one_round(&mut [&mut alice, &mut bob]).await;
    ledger.is_settled(&mut [&mut alice, &mut bob]).await;
    let nodes = [house.node_of("Alice"), house.node_of("Bob")];
    let memory = [nodes[0].metric(resident).await, nodes[1].metric(resident).await];
    let mut most = vec![[0.0; WAITING.len()]; nodes.len()];
    let mut said = 0;
    for slowness in 1..=3 {
        match slowness {
            2 => house.line_of("Bob").throttles(1_000_000),
            _ => house.line_of("Bob").stalls(),
        }
        // What is measured is a second old.
        until_at_last(SLOW, "enough to be said, and both links to be full", async || {
            for _ in 0..5 {
                ledger.one_round(&mut [&mut alice, &mut bob]).await;
            }
            said += 5 * PAGE;
            for (node, most) in nodes.iter().zip(&mut most) {
                for ((name, bound), most) in WAITING.iter().zip(most) {
                    let waits = node.metric(name).await;
                    assert!(waits <= *bound, "{name} is {waits}, and may be {bound}");
                    *most = waits.max(*most);
                }
            }
            most.iter().all(|most| most[0] > 0.75 * MIB) && said >= slowness * ENOUGH
        })
        .await;
    }
    for (node, before) in nodes.iter().zip(memory) {
        let grown = node.metric(resident).await - before;
        assert!(grown < 10e6, "a node has grown by {grown} bytes, and each of the two has said {said}");
    }
    house.line_of("Bob").passes();
    assert!(ledger.is_settled(&mut [&mut alice, &mut bob]).await > 0, "all of it had room");
    Box::pin(nothing_shows(house, alice, bob, Ledger::default())).await;
}

/// Fault 18.
async fn a_node_that_is_cut_off_serves_its_own_and_takes_nobody_new(house: &mut House) {
    let [mut alice, mut bob, mut dave] = house.meet(["Alice", "Bob", "Dave"], "capsule").await;
    let node = house.node_of("Bob");
    house.line_of("Bob").cuts();
    node.counts("signal_backplane_up", |up| up == 0.0).await;
    let mut among_themselves = Ledger::default();
    among_themselves.talk(&mut [&mut bob, &mut dave], Duration::from_millis(300)).await;
    assert_eq!(among_themselves.is_settled(&mut [&mut bob, &mut dave]).await, 0, "told");
    let busy = dave.pass.knocks().await.unwrap_err();
    busy.is_refusal(503);
    assert!(!busy.header("retry-after").is_empty(), "{busy:?}");
    dave.says(common::SERVER, "profile", json!({ "username": "David" })).await;
    dave.is_told("").await;
    assert_eq!(Browser::at(node.ops).get("/live").await.status, 200);
    says(house, "Bob", 503, "cut off").await;
    says(house, "Alice", 200, "ready\n").await;

    // On the other side they are held for, and one of them comes back there.
    let taken_over = format!("sg:{{n:{}}}:idx", house.id_of("Alice").await);
    until("they are taken over", async || house.asks_redis::<u64>(&["SCARD", &taken_over]).await == 3).await;
    let mut pass = dave.pass.clone();
    pass.browser.turns_to(house.node_of("Alice"));
    let mut dave_again = pass.connects().await;
    let mut ledger = Ledger::that_takes_repeats();
    ledger.one_round(&mut [&mut alice, &mut dave_again]).await;
    alice.says(&bob.id, "text", json!("are you there?")).await;

    house.line_of("Bob").passes();
    dave.is_sent_away(4001).await;
    says(house, "Bob", 200, "ready\n").await;
    assert_eq!(bob.hears("text").await.data(), "are you there?");
    ledger.talk(&mut [&mut alice, &mut bob, &mut dave_again], Duration::from_secs(1)).await;
    assert_eq!(ledger.is_settled(&mut [&mut alice, &mut bob, &mut dave_again]).await, 0, "told");
    alice.finds(&["Alice", "Bob", "Dave"]).await;
    alice.has_not_heard("bye");
    house.is_as_it_should_be("capsule", vec![alice, bob, dave_again], vec![]).await;
}

/// Fault 19.
async fn nodes_that_are_all_cut_off_go_on_by_themselves(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    for name in ["Alice", "Bob"] {
        house.line_of(name).cuts();
    }
    for name in ["Alice", "Bob"] {
        house.node_of(name).counts("signal_backplane_up", |up| up == 0.0).await;
        assert_eq!(Browser::at(house.node_of(name).ops).get("/live").await.status, 200);
    }
    // What was true of the others while only one knew that it was cut off is not true any more.
    for name in ["Alice", "Bob"] {
        says(house, name, 200, "degraded").await;
    }
    ledger.talk(&mut [&mut alice, &mut bob], LEASE - FENCE).await;
    for name in ["Alice", "Bob"] {
        house.line_of(name).passes();
    }
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(2)).await;
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 14. His node does not read for a while, and Redis cuts off what it should have read.
async fn an_inbox_that_is_read_too_slowly_is_cut_off_and_repaired(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1"];
    house.asks_redis::<()>(&limit).await;
    let rebuilt = house.node_of("Bob").metric("signal_backplane_rebuilds_total").await;
    house.freezes_the_node_of("Bob");
    let page = "x".repeat(100_000);
    for n in 0..60 {
        alice.says(&bob.id, "page", json!([n, page])).await;
    }
    alice.checks_in().await;
    until("Redis to cut it off", async || {
        let stats: String = house.asks_redis(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        stats.lines().count() < 2
    })
    .await;
    house.wakes_the_node_of("Bob");
    for n in 0..60 {
        assert_eq!(bob.hears("page").await.data()[0], n);
    }
    house.node_of("Bob").counts("signal_backplane_rebuilds_total", |rebuilds| rebuilds > rebuilt).await;
    alice.has_not_heard("error");
    Box::pin(nothing_shows(house, alice, bob, Ledger::default())).await;
}

/// Fault 15, without Sentinel: the master becomes a replica, which takes no writes and still publishes.
async fn a_master_that_became_a_replica_is_noticed_and_nothing_is_lost(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(200)).await;
    let rebuilt = house.node_of("Bob").metric("signal_backplane_rebuilds_total").await;
    house.asks_redis::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    ledger.talk(&mut [&mut alice, &mut bob], FENCE).await;
    house.asks_redis::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    house.node_of("Bob").counts("signal_backplane_rebuilds_total", |rebuilds| rebuilds > rebuilt).await;
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(1)).await;
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 15, with Sentinel.
async fn a_failover_is_followed_and_nothing_is_lost(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(200)).await;
    house.loses_the_master();
    ledger.talk(&mut [&mut alice, &mut bob], LEASE).await;
    let mut carol = loop {
        let asked = house.browser("Carol").asks_for("capsule", json!({ "username": "Carol" })).await;
        match asked.status {
            201 => break house.enters("Carol", "capsule").await,
            503 => ledger.talk(&mut [&mut alice, &mut bob], Duration::from_millis(200)).await,
            other => panic!("{other}: {}", asked.body),
        }
    };
    // In whichever order: the replica may not have had the room yet.
    bob.finds_in_any_order(&["Alice", "Bob", "Carol"]).await;
    carol.asks("bye").await;
    carol.is_sent_away(1000).await;
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.hears("bye").await.sender, carol.id);
    }
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// The same with TLS to all of them, certificates both ways, and a password each for Redis and its three Sentinels.
async fn a_failover_is_followed_where_nobody_comes_in_without_a_password(house: &mut House) {
    a_failover_is_followed_and_nothing_is_lost(house).await;
}

/// Fault 17, the first way.
async fn a_redis_that_is_full_makes_nodes_busy_until_it_is_not(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    house.node_of("Bob").counts("signal_backplane_up", |up| up == 1.0).await;
    house.asks_redis::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    bob.says(common::SERVER, "profile", json!({ "username": "Robert" })).await;
    bob.is_told("Busy").await;
    house.node_of("Bob").counts("signal_backplane_up", |up| up == 0.0).await;
    house.browser("Bob").asks_for("capsule", json!({})).await.is_refusal(503);
    // Publishing takes no memory that stays.
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(1)).await;
    house.asks_redis::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    until("somebody is let in again", async || {
        house.browser("Bob").asks_for("capsule", json!({})).await.status == 201
    })
    .await;
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 17, the second way.
async fn a_redis_with_too_few_places_is_tried_until_there_are_enough(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    let mut redis = house.wire_to_redis().await;
    let mut asks = async |words: &[&str]| {
        redis::cmd(words[0]).arg(&words[1..]).exec_async(&mut redis).await.expect("it answers");
    };
    // This one, both of one node, and one of the other.
    asks(&["CONFIG", "SET", "maxclients", "4"]).await;
    for kind in ["pubsub", "normal"] {
        asks(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await;
    }
    ledger.talk(&mut [&mut alice, &mut bob], FENCE).await;
    asks(&["CONFIG", "SET", "maxclients", "100"]).await;
    ledger.talk(&mut [&mut alice, &mut bob], Duration::from_secs(1)).await;
    assert_eq!(ledger.is_settled(&mut [&mut alice, &mut bob]).await, 0, "told");
    Box::pin(nothing_shows(house, alice, bob, ledger)).await;
}

/// Fault 39.
async fn what_is_not_ours_in_an_inbox_is_counted_and_changes_nothing(house: &mut House) {
    let [alice, bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let inbox = format!("sg:in:{{n:{}}}", house.id_of("Bob").await);
    let version = ["HGET", "sg:{r:camus/capsule}:i", "version"];
    let before: u64 = house.asks_redis(&version).await;
    for garbage in [
        "",
        "hello",
        "\u{1}not sealed by any of us, though as long as a frame is",
        "\u{7f}of a later version",
    ] {
        house.asks_redis::<()>(&["PUBLISH", &inbox, garbage]).await;
        house.asks_redis::<()>(&["PUBLISH", "sg:gone", garbage]).await;
    }
    house.node_of("Bob").counts("signal_link_rejected_total", |rejected| rejected == 4.0).await;
    assert_eq!(house.asks_redis::<u64>(&version).await, before);
    Box::pin(nothing_shows(house, alice, bob, Ledger::default())).await;
}

/// Redis has lost everything, and by the time that Bob's node can write him again the room for two has two others.
async fn one_whose_place_was_taken_meanwhile_is_told_and_sent_away(house: &mut House) {
    house.browser("Alice").makes_room(json!({ "name": "capsule", "guest_limit": 2 })).await;
    let mut alice = house.enters("Alice", "capsule").await;
    let carol = house.browser("Carol").gets_into("capsule", json!({ "username": "Carol" })).await;
    let mut bob = house.enters("Bob", "capsule").await;
    alice.sees(&["Alice", "Bob"]).await;
    house.line_of("Bob").stalls();
    house.asks_redis::<()>(&["FLUSHALL"]).await;
    let members = ["HLEN", "sg:{r:camus/capsule}:m"];
    until("Alice to be a member again", async || house.asks_redis::<u64>(&members).await == 1).await;
    let mut came = None;
    until("Carol to be let in", async || {
        came = carol.knocks().await.ok();
        came.is_some()
    })
    .await;
    let mut carol = Client::new(carol, came.expect("she is in"));
    carol.checks_in().await;
    house.line_of("Bob").passes();
    assert_eq!(bob.hears("bye").await.sender, common::SERVER);
    bob.is_sent_away(4003).await;
    until("he hears why when he comes back", async || {
        bob.tries_to_come_back().await.is_err_and(|refused| refused.status == 418)
    })
    .await;
    house.is_as_it_should_be("capsule", vec![alice, carol], vec![]).await;
}
