//! Names and their messages when nodes die, sleep or forget.

use std::time::{Duration, Instant};

use crate::common::{House, PeerJs, Settings, play_for, scenes, until_at_last};
use futures_util::future::join;
use serde_json::json;

const PLAIN: Settings<'_> = &[];
/// Time for a node to be taken for dead first.
const PATIENT: Settings<'_> = &[("PEERJS__EXPIRE_TIMEOUT", "30s")];

scenes!(two_nodes, PLAIN;
    who_has_lost_its_node_comes_back_through_another_at_once,
    the_names_of_a_dead_node_are_free_for_anybody_after_its_lease,
    whoever_took_a_name_meanwhile_keeps_it_when_the_old_node_wakes_up,
    names_are_held_when_redis_comes_back_empty,
    a_name_is_found_though_nobody_said_that_it_is_there,
    a_node_that_stops_frees_its_names,
);
scenes!(two_nodes, PATIENT; what_waits_for_a_dead_nodes_name_goes_to_whoever_has_it_next);

const TAKEN: &str = r#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#;
/// A lease, and what it takes to notice that it is over.
const LEASE: Duration = Duration::from_secs(14);
/// A thousand names, with others who are busy on the same machine.
const THOUSAND_ROUNDS: Duration = Duration::from_secs(180);

fn offer(src: &str, dst: &str, payload: impl std::fmt::Display) -> String {
    format!(r#"{{"type":"OFFER","src":"{src}","dst":"{dst}","payload":{payload}}}"#)
}

/// Asks for `id` until it is given to somebody with that token.
async fn until_free(house: &House, at: &str, id: &str, token: &str) -> PeerJs {
    let mut client = None;
    until_at_last(LEASE, &format!("{id} to be free"), async || {
        let mut asking = PeerJs::asks(&house.browser(at), id, token).await;
        let seated = asking.is_seated().await;
        assert!(seated.is_ok() || seated == Err(TAKEN.to_owned()), "{seated:?}");
        client = seated.is_ok().then_some(asking);
        client.is_some()
    })
    .await;
    client.expect("somebody")
}

async fn who_has_lost_its_node_comes_back_through_another_at_once(house: &mut House) {
    let mut alice = PeerJs::gets(&house.browser("Alice"), "alice", "t").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    bob.tells("alice", "OFFER", json!(1)).await;
    alice.hears(&offer("bob", "alice", 1)).await;
    // Until her node has told his that it has arrived, it would go to her once more.
    alice.hears_nothing_for(Duration::from_millis(300)).await;
    house.loses_the_node_of("Alice");
    let killed = Instant::now();
    PeerJs::asks(&house.browser("Bob"), "alice", "another").await.is_refused(TAKEN).await;
    let mut alice = PeerJs::gets(&house.browser("Bob"), "alice", "t").await;
    assert!(killed.elapsed() < Duration::from_secs(2), "after {:?}", killed.elapsed());
    bob.tells("alice", "OFFER", json!(2)).await;
    alice.hears(&offer("bob", "alice", 2)).await;
    alice.tells("bob", "ANSWER", json!(2)).await;
    bob.hears(r#"{"type":"ANSWER","src":"alice","dst":"bob","payload":2}"#).await;
    // Her old node is taken for dead meanwhile, and that is nothing to her.
    alice.hears_nothing_for(Duration::ZERO).await;
}

async fn the_names_of_a_dead_node_are_free_for_anybody_after_its_lease(house: &mut House) {
    let _alice = PeerJs::gets(&house.browser("Alice"), "alice", "t").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    house.loses_the_node_of("Alice");
    let mut another = until_free(house, "Bob", "alice", "another").await;
    another.tells("bob", "OFFER", json!(1)).await;
    bob.hears(&offer("alice", "bob", 1)).await;
    bob.has_heard_nothing("bob").await;
}

async fn what_waits_for_a_dead_nodes_name_goes_to_whoever_has_it_next(house: &mut House) {
    let _alice = PeerJs::gets(&house.browser("Alice"), "alice", "t").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    house.loses_the_node_of("Alice");
    for n in 0..5 {
        bob.tells("alice", "OFFER", json!(n)).await;
    }
    let mut another = until_free(house, "Bob", "alice", "another").await;
    for n in 0..5 {
        another.hears(&offer("bob", "alice", n)).await;
    }
    bob.has_heard_nothing("bob").await;
}

async fn whoever_took_a_name_meanwhile_keeps_it_when_the_old_node_wakes_up(house: &mut House) {
    let mut alice = PeerJs::gets(&house.browser("Alice"), "alice", "t").await;
    let mut carol = PeerJs::of(house, "Carol").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    house.freezes_the_node_of("Alice");
    let mut another = until_free(house, "Bob", "alice", "another").await;
    house.wakes_the_node_of("Alice");
    assert_eq!(alice.is_sent_away().await, Some(4001));
    // Nobody took hers, so she has it still.
    carol.has_heard_nothing("carol").await;
    let mut messages = 0;
    until_at_last(LEASE, "carol to be found", async || {
        messages += 1;
        bob.tells("carol", "OFFER", json!(messages)).await;
        carol.hears_any("an offer").await.0 == offer("bob", "carol", messages)
    })
    .await;
    bob.tells("alice", "OFFER", json!(1)).await;
    another.hears(&offer("bob", "alice", 1)).await;
    another.has_heard_nothing("alice").await;
}

async fn names_are_held_when_redis_comes_back_empty(house: &mut House) {
    let mut alice = PeerJs::gets(&house.browser("Alice"), "alice", "t").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    house.loses_redis();
    // On one node nobody misses it.
    alice.has_heard_nothing("alice").await;
    house.finds_redis_empty();
    until_at_last(LEASE, "the names to be in Redis again", async || {
        let keys = house.keys().await;
        ["alice", "bob"].iter().all(|name| keys.contains(&format!("sg:{{r:peerjs/{name}}}:m")))
    })
    .await;
    PeerJs::asks(&house.browser("Bob"), "alice", "another").await.is_refused(TAKEN).await;
    alice.tells("bob", "OFFER", json!(1)).await;
    bob.hears(&offer("alice", "bob", 1)).await;
    let mut again = PeerJs::gets(&house.browser("Bob"), "alice", "t").await;
    assert_eq!(alice.is_sent_away().await, Some(4001));
    again.tells("bob", "OFFER", json!(2)).await;
    bob.hears(&offer("alice", "bob", 2)).await;
}

async fn a_name_is_found_though_nobody_said_that_it_is_there(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    alice.tells("bob", "OFFER", json!(1)).await;
    let note = "sg:{r:peerjs/bob}:w";
    until_at_last(LEASE, "the node to look out", async || house.keys().await.contains(&note.to_owned()))
        .await;
    let deleted: u64 = house.asks_redis(&["DEL", note]).await;
    assert_eq!(deleted, 1);
    let mut bob = PeerJs::of(house, "Bob").await;
    let came = Instant::now();
    bob.hears(&offer("alice", "bob", 1)).await;
    assert!(came.elapsed() < Duration::from_millis(1500), "after {:?}", came.elapsed());
}

#[tokio::test]
async fn one_name_is_asked_for_on_two_nodes_at_once_a_thousand_times() {
    play_for(THOUSAND_ROUNDS, House::two_nodes(PLAIN).await, async |house| {
        let places = [house.browser("Alice"), house.browser("Bob")];
        for round in 0..1000 {
            let id = format!("name-{round}");
            // In every other round it is one client, which asks twice.
            let tokens = if round % 2 == 0 { ["one", "other"] } else { ["one", "one"] };
            let asks = |n: usize| PeerJs::asks(&places[n], &id, tokens[n]);
            let (mut one, mut other) = join(asks(0), asks(1)).await;
            let survivor = if round % 2 == 0 {
                match join(one.is_seated(), other.is_seated()).await {
                    (Ok(()), Err(heard)) if heard == TAKEN => &mut one,
                    (Err(heard), Ok(())) if heard == TAKEN => &mut other,
                    both => panic!("round {round}: {both:?}"),
                }
            } else {
                tokio::select! {
                    () = one.is_replaced() => &mut other,
                    () = other.is_replaced() => &mut one,
                }
            };
            survivor.opens().await;
            survivor.has_heard_nothing(&id).await;
            survivor.closes().await;
        }
        until_at_last(LEASE, "nobody to be there", async || {
            let keys = house.keys().await;
            !keys.iter().any(|key| key.starts_with("sg:{r:peerjs/") && key.ends_with(":m"))
        })
        .await;
    })
    .await;
}

async fn a_node_that_stops_frees_its_names(house: &mut House) {
    let mut alice = PeerJs::gets(&house.browser("Alice"), "alice", "t").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    house.asks_the_node_to_stop("Alice");
    assert_eq!(alice.is_sent_away().await, Some(1012));
    bob.tells("alice", "OFFER", json!(1)).await;
    let mut another = PeerJs::gets(&house.browser("Bob"), "alice", "another").await;
    another.hears(&offer("bob", "alice", 1)).await;
    house.sees_the_node_stop("Alice").await;
    bob.has_heard_nothing("bob").await;
}
