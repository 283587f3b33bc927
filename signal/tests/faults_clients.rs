//! What clients do to nodes: they vanish, do not read, and come back all at once. Everybody else is served.

use std::time::{Duration, Instant};

use crate::common::{Client, House, Ledger, Pass, Proxy, Settings, scenes, until};
use serde_json::json;
use tokio::task::JoinSet;

/// Who does not answer a ping is missed after 2 s, and waited for 4 s longer.
const WATCHFUL: Settings<'_> = &[
    ("SOCKET__PING_INTERVAL", "1s"),
    ("SOCKET__PING_TIMEOUT", "1s"),
    ("CAMUS__GRACE", "6s"),
    ("REDIS__LEASE", "4s"),
    ("ROOMS__EMPTY_FOR", "1s"),
];
/// Who does not read has a second; who sends may send much.
const HASTY: Settings<'_> = &[
    ("SOCKET__WRITE_TIMEOUT", "1s"),
    ("LIMITS__BYTE_BURST", "256MiB"),
    ("REDIS__LEASE", "4s"),
    ("ROOMS__EMPTY_FOR", "1s"),
];
const CROWDED: Settings<'_> = &[
    ("REDIS__LEASE", "10s"),
    ("ROOMS__EMPTY_FOR", "1s"),
    ("LIMITS__ROOMS_PER_MINUTE", "1000"),
    ("LIMITS__ARRIVING", "8"),
];

scenes!(two_nodes, WATCHFUL; one_who_vanishes_without_a_word_is_missed_and_held_for);
scenes!(two_nodes, HASTY; one_who_does_not_read_is_sent_away_and_nobody_else_is_disturbed);
scenes!(two_nodes, CROWDED; a_crowd_that_drops_and_comes_back_at_once_disturbs_nobody_for_long);

/// The same pass, used through a line.
fn through(line: &Proxy, mut pass: Pass) -> Pass {
    pass.browser.address = line.address;
    pass
}

/// Fault 23.
async fn one_who_vanishes_without_a_word_is_missed_and_held_for(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let line = Proxy::to(house.node_of("Bob").address);
    let pass = house.browser("Bob").gets_into("capsule", json!({ "username": "Bob" })).await;
    let mut bob = through(&line, pass).connects().await;
    bob.introduces_herself().await;
    alice.sees(&["Alice", "Bob"]).await;
    let silent = "signal_goodbyes_total{reason=\"silent\"}";

    line.swallows();
    alice.says(&bob.id, "text", json!(1)).await;
    house.node_of("Bob").counts(silent, |goodbyes| goodbyes == 1.0).await;
    alice.says(&bob.id, "text", json!(2)).await;
    alice.finds(&["Alice", "Bob"]).await;
    // What he was sent into the void is sent once more; he comes another way.
    bob.cuts_her_wire().await;
    bob.comes_back_through(house.node_of("Bob")).await;
    for n in [1, 2] {
        assert_eq!(bob.hears("text").await.data(), n);
    }

    let bob_again = through(&line, bob.pass.clone());
    line.passes();
    let mut bob_again = bob_again.connects().await;
    bob_again.checks_in().await;
    bob.is_sent_away(4001).await;
    line.swallows();
    alice.sees(&["Alice"]).await;
    house.is_as_it_should_be("capsule", vec![alice], vec![]).await;
}

/// Fault 21. Bob takes nothing more; Dave, on his node and in his room, hears everything.
async fn one_who_does_not_read_is_sent_away_and_nobody_else_is_disturbed(house: &mut House) {
    let [mut alice, mut dave] = house.meet(["Alice", "Dave"], "capsule").await;
    let line = Proxy::to(house.node_of("Bob").address);
    let pass = house.browser("Bob").gets_into("capsule", json!({ "username": "Bob" })).await;
    let mut bob = through(&line, pass).connects().await;
    bob.introduces_herself().await;
    let node = house.node_of("Bob");
    let memory = node.metric("process_resident_memory_bytes").await;
    line.stalls();
    let slow = "signal_goodbyes_total{reason=\"slow\"}";
    let page = "x".repeat(100_000);
    let (mut said, mut slowest) = (0, Duration::ZERO);
    // Into the kernels' buffers between first, and then his node has to wait for him.
    while node.metric(slow).await == 0.0 {
        assert!(said < 400, "he would have to be sent away by now");
        alice.says(&bob.id, "page", json!(page)).await;
        let asked = Instant::now();
        alice.says(&dave.id, "text", json!(said)).await;
        assert_eq!(dave.hears("text").await.data(), said);
        slowest = slowest.max(asked.elapsed());
        said += 1;
    }
    assert!(slowest < Duration::from_secs(1), "a neighbour waited for {slowest:?}");
    let grown = node.metric("process_resident_memory_bytes").await - memory;
    assert!(grown < 64e6, "his node has grown by {grown} bytes");
    bob.cuts_her_wire().await;
    // More was sent than is held for anybody: that is told, and the rest waits for him.
    bob.comes_back_through(house.node_of("Bob")).await;
    bob.checks_in().await;
    until("every page to be heard or told", async || {
        bob.checks_in().await;
        alice.checks_in().await;
        bob.heard_so_far("page") + alice.heard_so_far("error") >= said as usize
    })
    .await;
    house.is_as_it_should_be("capsule", vec![alice, bob, dave], vec![]).await;
}

/// Fault 20, as far as one machine goes that plays both sides.
async fn a_crowd_that_drops_and_comes_back_at_once_disturbs_nobody_for_long(house: &mut House) {
    const CROWD: usize = 150;
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let line = Proxy::to(house.node_of("Bob").address);
    let mut crowd = JoinSet::new();
    for n in 0..CROWD {
        let room = format!("room-{}", n / 5);
        let pass = house.browser("Dave").gets_into(&room, json!({ "username": "Dave" })).await;
        let pass = through(&line, pass);
        crowd.spawn(async move {
            let wire = pass.knocks_until_let_in().await;
            let mut client = Client::new(pass, wire);
            client.introduces_herself().await;
            client
        });
    }
    let mut crowd = crowd.join_all().await;
    line.cuts();
    for client in &mut crowd {
        client.comes_to_an_end().await;
    }
    let storm = Instant::now();
    let mut coming = JoinSet::new();
    let node = house.node_of("Bob").address;
    for mut client in crowd {
        client.pass.browser.address = node;
        coming.spawn(comes_back_as_often_as_it_takes(client));
    }
    let (mut rounds, mut slowest) = (0, Duration::ZERO);
    while !coming.is_empty() {
        let asked = Instant::now();
        alice.says(&bob.id, "text", json!(rounds)).await;
        assert_eq!(bob.hears("text").await.data(), rounds);
        slowest = slowest.max(asked.elapsed());
        rounds += 1;
        while let Some(back) = coming.try_join_next() {
            let mut client = back.expect("she comes back");
            client.asks("bye").await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(
        house.node_of("Bob").metric("signal_turned_away_total").await > 0.0,
        "some came again a little later"
    );
    assert!(storm.elapsed() < Duration::from_secs(20), "everybody was back after {:?}", storm.elapsed());
    assert!(slowest < Duration::from_secs(2), "the others waited for {slowest:?}");
    alice.has_not_heard("error");
    let mut ledger = Ledger::default();
    ledger.one_round(&mut [&mut alice, &mut bob]).await;
    assert_eq!(ledger.is_settled(&mut [&mut alice, &mut bob]).await, 0, "told");
    house.is_as_it_should_be("capsule", vec![alice, bob], vec![]).await;
}

async fn comes_back_as_often_as_it_takes(mut client: Client) -> Client {
    loop {
        match client.tries_to_come_back().await {
            Ok(()) => break,
            Err(busy) => {
                assert_eq!(busy.status, 503, "{busy:?}");
                assert!(!busy.header("retry-after").is_empty(), "{busy:?}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    client.checks_in().await;
    client
}
