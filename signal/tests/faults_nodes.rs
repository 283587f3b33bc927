//! What is done to nodes, and what becomes of those who are there: nobody is lost, and nobody is there twice.
//!
//! Everything that takes as long as a lease goes faster here than it would (`redis.lease`).

use std::time::Duration;

use crate::common::{Client, House, Ledger, Settings, Wire, scenes, until, until_at_last, within};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// A lease of 4 s: a heartbeat each second, fenced after 2.8 s.
const QUICK: Settings<'_> = &[("REDIS__LEASE", "4s"), ("ROOMS__EMPTY_FOR", "1s")];
const LEASE: Duration = Duration::from_secs(4);
/// The same, and who is away is soon gone.
const IMPATIENT: Settings<'_> = &[
    ("REDIS__LEASE", "4s"),
    ("ROOMS__EMPTY_FOR", "1s"),
    ("CAMUS__GRACE", "3s"),
    ("SOCKET__PING_INTERVAL", "250ms"),
];
/// Who does not answer is sent away after 2 s, and has left after three.
const STRICT: Settings<'_> =
    &[("SOCKET__PING_INTERVAL", "250ms"), ("SOCKET__PING_TIMEOUT", "2s"), ("CAMUS__GRACE", "3s")];
/// A lease and a grace.
const LATER: Duration = Duration::from_secs(20);

scenes!(one_node, STRICT; a_node_that_stood_still_reads_what_was_said_before_it_takes_anybody_for_silent);
scenes!(two_nodes, QUICK;
    a_node_that_stands_still_for_less_than_its_lease_is_only_late,
    a_node_that_stood_still_for_longer_takes_nothing_back_and_loses_nobody,
    a_node_that_stood_still_lets_nobody_in_who_has_hung_up_meanwhile,
);

scenes!(bad_lines, IMPATIENT;
    a_node_that_is_killed_inside_a_join_leaves_no_ghost,
    a_node_that_is_killed_inside_a_leave_is_believed_to_have_carried_it_out,
);
scenes!(bad_lines, QUICK;
    who_left_with_the_last_breath_of_a_node_is_not_seen_for_longer_than_it,
    a_node_that_is_killed_inside_a_reaping_is_reaped_with_what_it_had,
);

/// Fault 3, for those on the node: when it goes on, their time is over, and their answers are there.
async fn a_node_that_stood_still_reads_what_was_said_before_it_takes_anybody_for_silent(house: &mut House) {
    let mut wires = Vec::new();
    for name in ["Alice", "Bob", "Carol", "Dave", "Erin", "Frank"] {
        let pass = house.browser(name).gets_into("capsule", json!({ "username": name })).await;
        wires.push(pass.knocks().await.expect("a wire"));
    }
    for wire in &mut wires {
        is_pinged(wire).await;
    }
    house.freezes_the_node_of("Alice");
    for wire in &mut wires {
        wire.flush().await.expect("a pong on its way");
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    house.wakes_the_node_of("Alice");
    for wire in &mut wires {
        is_pinged(wire).await;
    }
}

/// A ping has come; the pong goes with whatever is written next.
async fn is_pinged(wire: &mut Wire) {
    loop {
        match within("a ping", wire.next()).await {
            Some(Ok(Message::Ping(_))) => return,
            Some(Ok(Message::Text(_))) => {}
            other => panic!("in place of a ping: {other:?}"),
        }
    }
}

/// Fault 3.
async fn a_node_that_stands_still_for_less_than_its_lease_is_only_late(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut ledger = Ledger::default();
    ledger.one_round(&mut [&mut alice, &mut bob]).await;
    house.freezes_the_node_of("Bob");
    ledger.talk(&mut [&mut alice, &mut bob], LEASE / 2).await;
    house.wakes_the_node_of("Bob");
    assert_eq!(ledger.is_settled(&mut [&mut alice, &mut bob]).await, 0, "told");
    for client in [&mut alice, &mut bob] {
        client.finds(&["Alice", "Bob"]).await;
        client.has_not_heard("bye");
    }
    house.is_as_it_should_be("capsule", vec![alice, bob], vec![]).await;
}

/// Fault 3, for one who had just dialled: tired of waiting she has hung up, and come elsewhere.
async fn a_node_that_stood_still_lets_nobody_in_who_has_hung_up_meanwhile(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    alice.drops().await;
    house.freezes_the_node_of("Alice");
    for _ in 0..8 {
        let mut dials = TcpStream::connect(house.node_of("Alice").address).await.expect("its system listens");
        let head = format!(
            "GET /room/capsule/ws?token={} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            alice.pass.token
        );
        dials.write_all(head.as_bytes()).await.expect("its system reads");
    }
    alice.comes_back_through(house.other_node("Alice")).await;
    alice.checks_in().await;
    house.wakes_the_node_of("Alice");
    // By a way of the same length.
    let _carol = house.enters("Carol", "capsule").await;
    alice.sees(&["Alice", "Carol"]).await;
    alice.checks_in().await;
}

/// Fault 2.
async fn a_node_that_stood_still_for_longer_takes_nothing_back_and_loses_nobody(house: &mut House) {
    let [mut alice, mut bob, mut dave] = house.meet(["Alice", "Bob", "Dave"], "capsule").await;
    let mut ledger = Ledger::that_takes_repeats();
    ledger.one_round(&mut [&mut alice, &mut bob]).await;
    house.freezes_the_node_of("Bob");
    // This waits where his node does not read, and goes elsewhere when that is given up.
    ledger.says(&mut alice, &[&bob.id, &dave.id], 20).await;
    // Her node has taken over the others' peers.
    let taken_over = format!("sg:{{n:{}}}:idx", house.id_of("Alice").await);
    until("they are taken over", async || house.asks_redis::<u64>(&["SCARD", &taken_over]).await == 3).await;
    ledger.says(&mut alice, &[&bob.id], 20).await;
    // Dave has given up on it, but it does not know that: his old socket is open.
    let mut pass = dave.pass.clone();
    pass.browser.turns_to(house.node_of("Alice"));
    let mut dave_again = pass.connects().await;
    dave_again.introduces_herself().await;

    house.wakes_the_node_of("Bob");
    dave.is_sent_away(4001).await;
    ledger.talk(&mut [&mut alice, &mut bob, &mut dave_again], Duration::from_secs(3)).await;
    assert_eq!(ledger.is_settled(&mut [&mut alice, &mut bob, &mut dave_again]).await, 0, "told");
    for client in [&mut alice, &mut bob, &mut dave_again] {
        client.finds(&["Alice", "Bob", "Dave"]).await;
        client.has_not_heard("bye");
    }
    house.is_as_it_should_be("capsule", vec![alice, bob, dave_again], vec![]).await;
}

/// Fault 40, the first way: Redis has carried out the join of a node that does not live to hear it.
async fn a_node_that_is_killed_inside_a_join_leaves_no_ghost(house: &mut House) {
    let [mut alice, bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let dave = house.browser("Dave").gets_into("capsule", json!({ "username": "David Jones" })).await;
    house.line_of("Dave").holds_answers_after("David Jones");
    let knocking = tokio::spawn(async move { dave.knocks().await.is_ok() });
    let members = "sg:{r:camus/capsule}:m";
    until("he is in, and nobody knows", async || house.asks_redis::<u64>(&["HLEN", members]).await == 3)
        .await;
    house.loses_the_node_of("Dave");
    knocking.abort();
    // He and Bob are away now, and have their grace.
    until_at_last(LATER, "they are gone", async || house.asks_redis::<u64>(&["HLEN", members]).await == 1)
        .await;
    alice.finds(&["Alice"]).await;
    drop(bob);
    house.line_of("Dave").passes();
    house.restarts_the_node_of("Dave").await;
    house.is_as_it_should_be("capsule", vec![alice], vec![]).await;
}

/// Redis carries out what he asks for, and his node does not hear of it.
async fn leaves(house: &House, bob: &mut Client) {
    // By now it knows the script: else that would be all that it answers.
    let mut somebody = house.enters("Carol", "another").await;
    somebody.asks("bye").await;
    somebody.is_sent_away(1000).await;
    house.line_of("Bob").holds_answers_after(&bob.id);
    bob.asks("bye").await;
}

/// Fault 40, the second way.
async fn a_node_that_is_killed_inside_a_leave_is_believed_to_have_carried_it_out(house: &mut House) {
    let [mut alice, mut bob, dave] = house.meet(["Alice", "Bob", "Dave"], "capsule").await;
    leaves(house, &mut bob).await;
    let members = "sg:{r:camus/capsule}:m";
    until("he has left, and nobody knows", async || house.asks_redis::<u64>(&["HLEN", members]).await == 2)
        .await;
    house.loses_the_node_of("Bob");
    house.line_of("Bob").passes();
    drop(dave);
    until_at_last(LATER, "the other one is gone", async || {
        house.asks_redis::<u64>(&["HLEN", members]).await == 1
    })
    .await;
    alice.finds(&["Alice"]).await;
    house.restarts_the_node_of("Bob").await;
    house.is_as_it_should_be("capsule", vec![alice], vec![]).await;
}

/// The same, with nobody else there whose fate could tell of his.
async fn who_left_with_the_last_breath_of_a_node_is_not_seen_for_longer_than_it(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    leaves(house, &mut bob).await;
    let members = "sg:{r:camus/capsule}:m";
    until("he has left, and nobody knows", async || house.asks_redis::<u64>(&["HLEN", members]).await == 1)
        .await;
    house.loses_the_node_of("Bob");
    house.line_of("Bob").passes();
    alice.sees(&["Alice"]).await;
    house.restarts_the_node_of("Bob").await;
    house.is_as_it_should_be("capsule", vec![alice], vec![]).await;
}

/// Fault 40, the third way: who is reaping is killed over it, and somebody else reaps both.
async fn a_node_that_is_killed_inside_a_reaping_is_reaped_with_what_it_had(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    house.line_of("Alice").holds_answers_after(&format!("[\"camus/capsule\",\"{}\"", bob.id));
    let taking = format!("sg:{{n:{}}}:reaper", house.id_of("Bob").await);
    house.loses_the_node_of("Bob");
    bob.comes_to_an_end().await;
    until("he is being taken over", async || house.asks_redis::<bool>(&["EXISTS", &taking]).await).await;
    house.loses_the_node_of("Alice");
    alice.comes_to_an_end().await;
    house.line_of("Alice").passes();
    for name in ["Alice", "Bob"] {
        house.restarts_the_node_of(name).await;
    }
    for client in [&mut alice, &mut bob] {
        client.pass.browser.turns_to(house.node_of(&client.pass.browser.name.clone()));
        client.comes_back().await;
        client.checks_in().await;
    }
    alice.finds(&["Alice", "Bob"]).await;
    house.is_as_it_should_be("capsule", vec![alice, bob], vec![]).await;
}
