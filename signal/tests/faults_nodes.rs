//! What is done to nodes, and what becomes of those who are there: nobody is lost, and nobody is there twice.
//!
//! Everything that takes as long as a lease goes faster here than it would (`redis.lease`).
#![cfg(test)]

mod common;

use std::time::Duration;

use common::{House, Ledger, Settings, scenes, until};

/// A lease of 4 s: a heartbeat each second, fenced after 2.8 s.
const QUICK: Settings<'_> = &[("REDIS__LEASE", "4s"), ("ROOMS__EMPTY_FOR", "1s")];
const LEASE: Duration = Duration::from_secs(4);

scenes!(two_nodes, QUICK;
    a_node_that_stands_still_for_less_than_its_lease_is_only_late,
    a_node_that_stood_still_for_longer_takes_nothing_back_and_loses_nobody,
);

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

/// Fault 2.
async fn a_node_that_stood_still_for_longer_takes_nothing_back_and_loses_nobody(house: &mut House) {
    let [mut alice, mut bob, mut dave] = house.meet(["Alice", "Bob", "Dave"], "capsule").await;
    let mut ledger = Ledger::default();
    ledger.one_round(&mut [&mut alice, &mut bob]).await;
    // What was heard and not yet acknowledged would come a second time.
    for name in ["Alice", "Bob"] {
        ledger.is_settled(&mut [&mut alice, &mut bob]).await;
        house.node_of(name).counts("signal_link_unsettled", |envelopes| envelopes == 0.0).await;
    }
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
