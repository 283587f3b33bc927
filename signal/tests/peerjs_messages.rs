//! What PeerJS clients say to each other: relayed as it is, in order, waiting for whoever is not there yet.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::common::{House, PeerJs, Settings, counts, scenes};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

const PLAIN: Settings<'_> = &[];
const SHORT: Settings<'_> = &[("PEERJS__EXPIRE_TIMEOUT", "1s")];

scenes!(both, PLAIN;
    a_message_has_its_four_members_and_the_servers_src,
    what_means_nothing_changes_nothing,
    leave_and_expire_are_relayed_and_wait_for_nobody,
    a_callee_who_comes_three_seconds_late_gets_everything_in_order,
    nobody_hears_of_a_socket_that_drops,
    what_comes_between_two_sockets_of_a_client_waits,
    many_messages_come_once_and_in_order,
    what_is_sent_while_a_name_moves_is_not_lost,
);
scenes!(both, SHORT; each_sender_is_told_once_that_nobody_came);
scenes!(both, SMALL; so_much_waits_for_a_name_and_no_more);

const SMALL: Settings<'_> = &[("MAILBOX__MESSAGES", "5")];

fn offer(src: &str, dst: &str, payload: impl std::fmt::Display) -> String {
    format!(r#"{{"type":"OFFER","src":"{src}","dst":"{dst}","payload":{payload}}}"#)
}

fn expire(missing: &str, sender: &str) -> String {
    format!(r#"{{"type":"EXPIRE","src":"{missing}","dst":"{sender}"}}"#)
}

async fn a_message_has_its_four_members_and_the_servers_src(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    alice.says(r#"{"type":"OFFER","src":"eve","payload":{ "a" : [1e999] },"dst":"bob","more":1}"#).await;
    bob.hears(&offer("alice", "bob", r#"{ "a" : [1e999] }"#)).await;
    bob.says(r#"{"type":"ANSWER","dst":"alice"}"#).await;
    alice.hears(r#"{"type":"ANSWER","src":"bob","dst":"alice"}"#).await;
    alice.sends(Message::binary(r#"{"type":"CANDIDATE","dst":"bob","payload":null}"#)).await;
    bob.hears(r#"{"type":"CANDIDATE","src":"alice","dst":"bob","payload":null}"#).await;
    alice.has_heard_nothing("alice").await;
}

async fn what_means_nothing_changes_nothing(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    let deep = format!(r#"{{"type":"OFFER","dst":"bob","payload":{}}}"#, "[".repeat(100_000));
    for odd in
        ["{oops", "null", "123", "[]", "", r#"{"type":"OPEN","dst":"bob"}"#, r#"{"type":"OFFER"}"#, &deep]
    {
        alice.says(odd).await;
    }
    alice.sends(Message::binary(vec![0xff, 0])).await;
    alice.has_heard_nothing("alice").await;
    alice.tells("bob", "OFFER", json!(1)).await;
    bob.hears(&offer("alice", "bob", 1)).await;
}

async fn leave_and_expire_are_relayed_and_wait_for_nobody(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    for kind in ["LEAVE", "EXPIRE"] {
        alice.says(&format!(r#"{{"type":"{kind}","dst":"bob"}}"#)).await;
        bob.hears(&format!(r#"{{"type":"{kind}","src":"alice","dst":"bob"}}"#)).await;
        alice.says(&format!(r#"{{"type":"{kind}","dst":"dave"}}"#)).await;
    }
    // By then it is known that nobody is there for whom they could wait.
    alice.hears_nothing_for(Duration::from_millis(500)).await;
    alice.tells("dave", "OFFER", json!(1)).await;
    let mut dave = PeerJs::of(house, "Dave").await;
    dave.hears(&offer("alice", "dave", 1)).await;
    dave.has_heard_nothing("dave").await;
    alice.has_heard_nothing("alice").await;
}

async fn a_callee_who_comes_three_seconds_late_gets_everything_in_order(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut carol = PeerJs::of(house, "Carol").await;
    for n in 0..20 {
        alice.tells("bob", "OFFER", json!(n)).await;
        carol.tells("bob", "OFFER", json!(n)).await;
    }
    alice.hears_nothing_for(Duration::from_secs(3)).await;
    let mut bob = PeerJs::of(house, "Bob").await;
    let came = Instant::now();
    let mut next = [0, 0];
    while next != [20, 20] {
        let (heard, _) = bob.hears_any("an offer").await;
        let who = usize::from(heard == offer("carol", "bob", next[1]));
        assert_eq!(heard, offer(["alice", "carol"][who], "bob", next[who]));
        next[who] += 1;
    }
    assert!(came.elapsed() < Duration::from_millis(500), "they came {:?} after him", came.elapsed());
    alice.tells("bob", "OFFER", json!("and on")).await;
    bob.hears(&offer("alice", "bob", r#""and on""#)).await;
    for client in [(&mut alice, "alice"), (&mut bob, "bob"), (&mut carol, "carol")] {
        client.0.has_heard_nothing(client.1).await;
    }
}

async fn each_sender_is_told_once_that_nobody_came(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    let began = Instant::now();
    for n in 0..3 {
        for client in [&mut alice, &mut bob] {
            client.tells("nobody", "CANDIDATE", json!(n)).await;
            client.says(r#"{"type":"LEAVE","dst":"nobody"}"#).await;
        }
    }
    for (client, id) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        let waited = client.hears(&expire("nobody", id)).await.duration_since(began);
        assert!((1000..2000).contains(&waited.as_millis()), "{id} was told after {waited:?}");
    }
    // What comes afterwards begins to wait anew.
    alice.tells("nobody", "OFFER", json!(1)).await;
    alice.hears_nothing_for(Duration::from_millis(800)).await;
    alice.hears(&expire("nobody", "alice")).await;
    bob.has_heard_nothing("bob").await;
    let reason = "signal_undeliverable_total{reason=\"expired\"}";
    house.node_of("Alice").counts(reason, |count| count >= 2.0).await;
}

async fn so_much_waits_for_a_name_and_no_more(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    for n in 0..6 {
        alice.tells("bob", "OFFER", json!(n)).await;
    }
    alice.hears(&expire("bob", "alice")).await;
    let mut bob = PeerJs::of(house, "Bob").await;
    for n in 0..5 {
        bob.hears(&offer("alice", "bob", n)).await;
    }
    bob.has_heard_nothing("bob").await;
    alice.has_heard_nothing("alice").await;
}

async fn nobody_hears_of_a_socket_that_drops(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    let mut carol = PeerJs::of(house, "Carol").await;
    alice.tells("bob", "OFFER", json!(1)).await;
    bob.hears(&offer("alice", "bob", 1)).await;
    let node = house.node_of("Bob");
    let others = node.metric("signal_connections{dialect=\"peerjs\"}").await - 1.0;
    bob.is_cut().await;
    counts(node, others).await;
    carol.closes().await;
    alice.hears_nothing_for(Duration::from_secs(1)).await;
    alice.has_heard_nothing("alice").await;
}

async fn what_comes_between_two_sockets_of_a_client_waits(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    for (round, place) in ["Alice", "Bob", "Bob", "Alice"].iter().enumerate() {
        bob.closes().await;
        alice.tells("bob", "OFFER", json!(round)).await;
        bob = PeerJs::gets(&house.browser(place), "bob", &format!("another{round}")).await;
        bob.hears(&offer("alice", "bob", round)).await;
    }
    alice.has_heard_nothing("alice").await;
}

async fn many_messages_come_once_and_in_order(house: &mut House) {
    const MANY: usize = 200;
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    for n in 0..MANY {
        alice.tells("bob", "CANDIDATE", json!(n)).await;
        if n % 50 == 0 {
            bob.tells("alice", "ANSWER", json!(n)).await;
        }
    }
    for n in 0..MANY {
        bob.hears(&format!(r#"{{"type":"CANDIDATE","src":"alice","dst":"bob","payload":{n}}}"#)).await;
    }
    bob.has_heard_nothing("bob").await;
}

async fn what_is_sent_while_a_name_moves_is_not_lost(house: &mut House) {
    const MANY: usize = 200;
    let mut alice = PeerJs::of(house, "Alice").await;
    let places = [house.browser("Alice"), house.browser("Bob")];
    let mut bob = PeerJs::gets(&places[1], "bob", "t").await;
    let mut heard = Vec::new();
    for round in 0..10 {
        for n in 0..MANY / 10 {
            alice.tells("bob", "OFFER", json!(round * MANY / 10 + n)).await;
        }
        let next = PeerJs::gets(&places[round % 2], "bob", "t").await;
        heard.extend(std::mem::replace(&mut bob, next).hears_until_replaced().await);
    }
    // What a connection has not confirmed when another one comes is sent to that one too.
    let all: BTreeSet<_> = (0..MANY).map(|n| offer("alice", "bob", n)).collect();
    let mut heard: BTreeSet<_> = heard.into_iter().collect();
    while heard != all {
        heard.insert(bob.hears_any(&format!("an offer after {} others", heard.len())).await.0);
        assert!(heard.is_subset(&all), "{heard:?}");
    }
    alice.has_heard_nothing("alice").await;
}
