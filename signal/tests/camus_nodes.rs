//! camus: nodes that stop, die and come again, and a Redis that goes away.

use std::time::Duration;

use crate::common::{self, Browser, House, PLAIN, ROOM, Settings, frame, scenes, until, until_at_last};
use serde_json::json;

const MANAGED: Settings<'_> = &[("ROOMS__CREATE_ON_ENTRY", "false")];
const IMPATIENT: Settings<'_> =
    &[("CAMUS__GRACE", "2s"), ("SOCKET__PING_INTERVAL", "250ms"), ("SOCKET__PING_TIMEOUT", "5s")];
const SLOW_TO_STOP: Settings<'_> = &[("DRAIN__WAIT", "1s")];

/// After ten seconds without news a node is no longer believed; a few more until another one has seen to its peers.
const LEASE_AND_GRACE: Duration = Duration::from_secs(25);

scenes!(two_nodes, MANAGED; a_room_is_the_same_on_every_node);
scenes!(two_nodes, PLAIN;
    one_whose_node_dies_comes_back_through_another,
    what_a_crashed_node_held_is_heard_all_the_same,
    what_a_crashed_node_was_about_to_say_is_heard_all_the_same,
    both_nodes_die_one_after_the_other_and_the_call_goes_on,
    without_redis_those_on_one_node_still_talk,
    redis_comes_back_empty_and_nothing_is_lost_nor_any_door_left_open,
    connections_to_redis_are_cut_again_and_again_and_nothing_is_lost,
);
scenes!(two_nodes, IMPATIENT; one_whose_node_died_and_who_does_not_come_back_is_removed);
scenes!(two_nodes, SLOW_TO_STOP; a_node_that_stops_sends_its_clients_to_the_other_one);
scenes!(one_node, PLAIN;
    a_node_that_is_alone_stops_at_once,
    one_who_comes_again_after_a_restart_keeps_her_id,
    the_terminal_says_where_everything_is,
);

async fn a_room_is_the_same_on_every_node(house: &mut House) {
    let [mut alice, mut bob] = [house.browser("Alice"), house.browser("Bob")];
    alice.makes_room(json!({ "name": "capsule", "password": "x", "public": true, "guest_limit": 2 })).await;
    assert_eq!(bob.get("/api/rooms").await.json(), alice.get("/api/rooms").await.json());
    bob.asks_for("capsule", json!({ "password": "y" })).await.is_refusal(401);
    // What one node signed the other one reads.
    let with = json!({ "password": "x", "username": "Alice" });
    let mut pass = alice.gets_into("capsule", with.clone()).await;
    pass.browser.turns_to(house.node_of("Bob"));
    let mut first = pass.connects().await;
    first.introduces_herself().await;
    let mut pass = bob.gets_into("capsule", with).await;
    pass.browser.turns_to(house.node_of("Alice"));
    let mut second = pass.connects().await;
    second.introduces_herself().await;
    first.sees(&["Alice", "Alice"]).await;
    for name in ["Alice", "Bob"] {
        let full = house.browser(name).asks_for("capsule", json!({ "password": "x" })).await;
        full.is_refusal(418);
    }
}

async fn one_whose_node_dies_comes_back_through_another(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    house.loses_the_node_of("Bob");
    bob.comes_to_an_end().await;
    alice.finds(&["Alice", "Bob"]).await;
    bob.comes_back_through(house.node_of("Alice")).await;
    bob.checks_in().await;
    for client in [&mut alice, &mut bob] {
        client.finds(&["Alice", "Bob"]).await;
    }
    alice.says(&bob.id, "text", json!("you again")).await;
    bob.hears_exactly(&frame(&alice.id, &bob.id, "text", "\"you again\"")).await;
    bob.says(&alice.id, "text", json!("me again")).await;
    alice.hears_exactly(&frame(&bob.id, &alice.id, "text", "\"me again\"")).await;
    bob.says(ROOM, "text", json!("all of you")).await;
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.hears("text").await.data(), "all of you");
    }
    alice.has_not_heard("bye");
    alice.has_not_heard("error");
    let mut carol = house.enters("Carol", "capsule").await;
    carol.finds(&["Alice", "Bob", "Carol"]).await;
}

/// Fault 1: what a node has in its memory is kept elsewhere too.
async fn what_a_crashed_node_held_is_heard_all_the_same(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    bob.drops().await;
    for n in 0..20 {
        let to = if n % 2 == 0 { ROOM } else { &bob.id };
        alice.says(to, "text", json!(n)).await;
    }
    alice.checks_in().await;
    house.node_of("Alice").counts("signal_unsettled", |unsettled| unsettled >= 20.0).await;
    house.loses_the_node_of("Bob");
    bob.comes_back_through(house.node_of("Alice")).await;
    bob.checks_in().await;
    for n in 0..20 {
        assert_eq!(bob.hears("text").await.data(), n);
    }
    alice.has_not_heard("error");
    house.node_of("Alice").counts("signal_unsettled", |unsettled| unsettled == 0.0).await;
}

/// Fault 1, in the middle of a conversation.
async fn what_a_crashed_node_was_about_to_say_is_heard_all_the_same(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    for n in 0..400 {
        alice.says(&bob.id, "text", json!(n)).await;
        if n == 200 {
            house.loses_the_node_of("Bob");
        }
    }
    bob.comes_to_an_end().await;
    bob.comes_back_through(house.node_of("Alice")).await;
    bob.checks_in().await;
    // What he has heard in the last moment nobody knew that he had: it may come again, in one go.
    let (mut next, mut repeats) = (0, 0);
    while next < 400 {
        let n = bob.hears("text").await.data().as_u64().expect("a number");
        assert!(n <= next, "{next} is missing, heard {n}");
        repeats += u64::from(n < next);
        next = next.max(n + 1);
    }
    assert!(repeats < 200, "{repeats} came twice");
    alice.has_not_heard("error");
}

async fn both_nodes_die_one_after_the_other_and_the_call_goes_on(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    house.loses_the_node_of("Bob");
    bob.comes_to_an_end().await;
    bob.comes_back_through(house.node_of("Alice")).await;
    bob.checks_in().await;
    house.restarts_the_node_of("Bob").await;
    house.loses_the_node_of("Alice");
    for client in [&mut alice, &mut bob] {
        client.comes_to_an_end().await;
        client.comes_back_through(house.node_of("Bob")).await;
        client.checks_in().await;
    }
    alice.finds(&["Alice", "Bob"]).await;
    alice.says(&bob.id, "text", json!(1)).await;
    bob.hears("text").await;
    bob.says(&alice.id, "text", json!(2)).await;
    alice.hears("text").await;
}

async fn one_whose_node_died_and_who_does_not_come_back_is_removed(house: &mut House) {
    let [mut alice, mut bob, mut carol] = house.meet(["Alice", "Bob", "Carol"], "capsule").await;
    house.loses_the_node_of("Bob");
    bob.comes_to_an_end().await;
    alice.finds(&["Alice", "Bob", "Carol"]).await;
    // Until the node is no longer believed, and then as long as anybody has who is away.
    until_at_last(LEASE_AND_GRACE, "the others to see it", async || {
        alice.asks("get-room-info").await;
        alice.hears("room-info").await.data()["clients"].as_array().map(Vec::len) == Some(2)
    })
    .await;
    carol.sees(&["Alice", "Carol"]).await;
    alice.has_not_heard("bye");
    bob.pass.browser.turns_to(house.node_of("Alice"));
    assert_eq!(bob.tries_to_come_back().await.unwrap_err().status, 403);
}

async fn a_node_that_stops_sends_its_clients_to_the_other_one(house: &mut House) {
    let [mut alice, mut bob, mut dave] = house.meet(["Alice", "Bob", "Dave"], "capsule").await;
    dave.drops().await;
    alice.says(&dave.id, "text", json!("held")).await;
    alice.checks_in().await;
    house.asks_the_node_to_stop("Bob");
    let mut operator = Browser::at(house.node_of("Bob").ops);
    until("no longer ready", async || operator.get("/ready").await.status == 503).await;
    assert_eq!(operator.get("/live").await.status, 200);
    alice.says(&bob.id, "text", json!("before")).await;
    bob.hears("text").await;

    bob.is_sent_away(1012).await;
    alice.says(&bob.id, "text", json!("meanwhile")).await;
    alice.finds(&["Alice", "Bob", "Dave"]).await;
    bob.comes_back_through(house.node_of("Alice")).await;
    assert_eq!(bob.hears("text").await.data(), "meanwhile");
    dave.comes_back_through(house.node_of("Alice")).await;
    assert_eq!(dave.hears("text").await.data(), "held");
    assert!(house.sees_the_node_stop("Bob").await.success());
    bob.says(&alice.id, "text", json!("after")).await;
    alice.hears("text").await;
    alice.finds(&["Alice", "Bob", "Dave"]).await;
    alice.has_not_heard("bye");
    alice.has_not_heard("error");
}

/// Faults 5 and 6: Redis is killed, is away for a while, and has lost everything.
async fn redis_comes_back_empty_and_nothing_is_lost_nor_any_door_left_open(house: &mut House) {
    let mut maker = house.browser("Alice");
    maker.makes_room(json!({ "name": "vault", "password": "sesame" })).await;
    let with = |name: &str| json!({ "password": "sesame", "username": name });
    let mut there = Vec::new();
    for name in ["Alice", "Bob"] {
        let mut client = house.browser(name).gets_into("vault", with(name)).await.connects().await;
        client.introduces_herself().await;
        there.push(client);
    }
    let [alice, bob] = &mut there[..] else { unreachable!() };
    alice.sees(&["Alice", "Bob"]).await;
    let says = async |alice: &mut common::Client, bob: &common::Client, numbers: std::ops::Range<u32>| {
        for n in numbers {
            alice.says(&bob.id, "text", json!(n)).await;
        }
    };
    says(alice, bob, 0..50).await;
    house.loses_redis();
    says(alice, bob, 50..100).await;
    house.finds_redis_empty();
    let intruder = house.browser("Eve");
    says(alice, bob, 100..150).await;
    for n in 0..150 {
        assert_eq!(bob.hears("text").await.data(), json!(n));
    }
    // Until the room is there again, nobody makes an open one of its name.
    until("the room has its password again", async || {
        let reply = intruder.clone().asks_for("vault", json!({})).await;
        if reply.status == 201 {
            let token = reply.json()["token"].as_str().expect("a token").to_owned();
            let refused = intruder.knocks(&format!("/room/vault/ws?token={token}")).await;
            assert!(refused.is_err(), "a stranger is in");
        }
        reply.status == 401
    })
    .await;
    let mut carol = house.browser("Carol").gets_into("vault", with("Carol")).await.connects().await;
    carol.introduces_herself().await;
    // Whoever was written again first is now the first that came.
    carol.finds_in_any_order(&["Alice", "Bob", "Carol"]).await;
    bob.finds_in_any_order(&["Alice", "Bob", "Carol"]).await;
}

/// Faults 9 and 10.
async fn connections_to_redis_are_cut_again_and_again_and_nothing_is_lost(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut cut = 0;
    for round in 0..10_u32 {
        for n in round * 20..(round + 1) * 20 {
            alice.says(&bob.id, "text", json!(n)).await;
            bob.says(&alice.id, "text", json!(n)).await;
        }
        cut += house.cuts_connections(["pubsub", "normal"][round as usize % 2]).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(cut >= 10, "{cut} connections were cut");
    for n in 0..200 {
        assert_eq!((bob.hears("text").await.data(), alice.hears("text").await.data()), (json!(n), json!(n)));
    }
    alice.finds(&["Alice", "Bob"]).await;
}

async fn without_redis_those_on_one_node_still_talk(house: &mut House) {
    let [mut alice, _bob, mut carol] = house.meet(["Alice", "Bob", "Carol"], "capsule").await;
    house.node_of("Alice").counts("signal_backplane_up", |up| up > 0.0).await;
    house.loses_redis();
    alice.says(&carol.id, "text", json!(1)).await;
    carol.hears("text").await;
    carol.says(ROOM, "text", json!(2)).await;
    alice.hears("text").await;
    let mut operator = Browser::at(house.node_of("Alice").ops);
    assert_eq!(operator.get("/live").await.status, 200);
    assert_eq!(operator.get("/ready").await.status, 200, "the other nodes are without it as well");
    let busy = house.browser("Alice").asks_for("capsule", json!({})).await;
    busy.is_refusal(503);
    assert!(!busy.header("retry-after").is_empty(), "{busy:?}");
    assert_eq!(alice.pass.clone().knocks().await.unwrap_err().status, 503);
    alice.checks_in().await;

    let node = house.node_of("Alice");
    let is_told = async || node.metric("signal_backplane_up").await == 0.0;
    until_at_last(LEASE_AND_GRACE, "the operator to be told", is_told).await;
    assert_eq!(operator.get("/ready").await.status, 200, "and it stays so");
    alice.checks_in().await;
}

async fn a_node_that_is_alone_stops_at_once(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    house.asks_the_node_to_stop("Alice");
    for client in [&mut alice, &mut bob] {
        client.is_sent_away(1012).await;
    }
    assert!(house.sees_the_node_stop("Alice").await.success());
}

async fn one_who_comes_again_after_a_restart_keeps_her_id(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    house.loses_the_node_of("Alice");
    house.restarts_the_node_of("Alice").await;
    // Entering makes the room again, and the passes are signed with the same secret.
    for client in [&mut alice, &mut bob] {
        client.comes_to_an_end().await;
        client.comes_back_through(house.node_of("Alice")).await;
        client.introduces_herself().await;
    }
    bob.finds(&["Alice", "Bob"]).await;
}

async fn the_terminal_says_where_everything_is(house: &mut House) {
    let node = house.node_of("Alice");
    assert_eq!(
        node.greeting,
        [
            format!("Switchboard is at   http://{}/", node.address),
            format!("Metrics are at      http://{}/metrics", node.ops),
            "This node is        alone (in memory)".to_owned(),
        ]
    );
    assert_eq!(Browser::at(node.address).get("/").await.status, 200);
}
