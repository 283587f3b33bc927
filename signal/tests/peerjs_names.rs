//! Who has a name: got once in the whole cluster, taken over by its own client, free when nobody has it.

use std::time::Duration;

use crate::common::{House, PeerJs, Settings, scenes, within};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

const PLAIN: Settings<'_> = &[];
const FEW: Settings<'_> = &[("PEERJS__CONCURRENT_LIMIT", "2")];
/// Who does not take what is written has a second.
const HASTY: Settings<'_> = &[("SOCKET__WRITE_TIMEOUT", "1s")];
const SHORT: Settings<'_> = &[("PEERJS__ALIVE_TIMEOUT", "1s"), ("SOCKET__PING_INTERVAL", "10s")];

const TAKEN: &str = r#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#;

scenes!(both, PLAIN;
    whoever_shows_no_id_token_or_key_is_told_and_sent_away,
    a_name_is_taken_for_others_wherever_they_ask,
    with_its_token_a_name_is_taken_over_from_any_node,
    a_name_is_free_as_soon_as_its_socket_is_closed,
    who_says_leave_gives_up_the_name_and_stays_connected,
    odd_ids_are_ids_and_no_keys_of_others,
    of_many_who_want_one_name_at_once_one_gets_it,
    of_many_sockets_of_one_client_one_survives,
);
scenes!(one_node, HASTY; who_gives_up_the_name_before_it_has_answered_a_ping_stays_connected);
scenes!(one_node, FEW; a_node_has_so_many_names_and_a_takeover_is_none_more);
scenes!(both, SHORT; who_is_silent_for_too_long_is_sent_away_and_the_name_is_free);

async fn whoever_shows_no_id_token_or_key_is_told_and_sent_away(house: &mut House) {
    let missing = r#"{"type":"ERROR","payload":{"msg":"No id, token, or key supplied to websocket server"}}"#;
    for query in ["", "?key=peerjs&id=a", "?key=peerjs&token=t", "?id=a&token=t", "?key=&id=a&token=t"] {
        let mut eve = PeerJs::knocks(&house.browser("Eve"), &format!("/peerjs{query}")).await;
        eve.is_refused(missing).await;
    }
    let mut eve = PeerJs::knocks(&house.browser("Eve"), "/peerjs?key=other&id=a&token=t").await;
    eve.is_refused(r#"{"type":"ERROR","payload":{"msg":"Invalid key provided"}}"#).await;
    let long = "x".repeat(257);
    let mut eve = PeerJs::asks(&house.browser("Eve"), &long, "t").await;
    eve.is_refused(r#"{"type":"ERROR","payload":{"msg":"Invalid id provided: it has more than 256 bytes"}}"#)
        .await;
}

async fn a_name_is_taken_for_others_wherever_they_ask(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    for node in ["Alice", "Bob"] {
        let mut eve = PeerJs::asks(&house.browser(node), "alice", "another").await;
        eve.is_refused(TAKEN).await;
    }
    alice.has_heard_nothing("alice").await;
}

async fn with_its_token_a_name_is_taken_over_from_any_node(house: &mut House) {
    let mut bob = PeerJs::of(house, "Bob").await;
    let mut old = PeerJs::gets(&house.browser("Alice"), "alice", "t").await;
    for place in ["Alice", "Bob", "Alice", "Alice"] {
        let mut new = PeerJs::gets(&house.browser(place), "alice", "t").await;
        assert_eq!(old.is_sent_away().await, Some(4001));
        bob.tells("alice", "OFFER", json!(place)).await;
        new.hears(&format!(r#"{{"type":"OFFER","src":"bob","dst":"alice","payload":"{place}"}}"#)).await;
        new.tells("bob", "ANSWER", json!(1)).await;
        bob.hears(r#"{"type":"ANSWER","src":"alice","dst":"bob","payload":1}"#).await;
        new.has_confirmed().await;
        old = new;
    }
    bob.has_heard_nothing("bob").await;
}

async fn a_name_is_free_as_soon_as_its_socket_is_closed(house: &mut House) {
    for (round, place) in ["Alice", "Bob", "Bob", "Alice"].iter().enumerate() {
        let mut alice = PeerJs::gets(&house.browser(place), "alice", &format!("token{round}")).await;
        alice.closes().await;
    }
}

async fn who_says_leave_gives_up_the_name_and_stays_connected(house: &mut House) {
    let mut bob = PeerJs::of(house, "Bob").await;
    let mut alice = PeerJs::gets(&house.browser("Alice"), "alice", "t").await;
    alice.says(r#"{"type":"LEAVE"}"#).await;
    let mut other = PeerJs::asks(&house.browser("Bob"), "alice", "another").await;
    while other.is_seated().await.is_err() {
        other = PeerJs::asks(&house.browser("Bob"), "alice", "another").await;
    }
    alice.tells("bob", "OFFER", json!("in whose name?")).await;
    alice.says(r#"{"type":"HEARTBEAT"}"#).await;
    other.tells("bob", "OFFER", json!("in mine")).await;
    bob.hears(r#"{"type":"OFFER","src":"alice","dst":"bob","payload":"in mine"}"#).await;
    alice.closes().await;
    other.has_heard_nothing("alice").await;
    bob.has_heard_nothing("bob").await;
}

async fn who_gives_up_the_name_before_it_has_answered_a_ping_stays_connected(house: &mut House) {
    let mut bob = PeerJs::of(house, "Bob").await;
    let alice = house.browser("Alice").knocks("/peerjs?key=peerjs&id=alice&token=t&version=1.5.5").await;
    let mut alice = alice.expect("a wire");
    bob.tells("alice", "OFFER", json!(1)).await;
    while !within("an offer", alice.next())
        .await
        .is_some_and(|heard| heard.unwrap().to_string().contains("OFFER"))
    {}
    // The ping that asks whether it has arrived is right behind it.
    alice.send(Message::text(r#"{"type":"LEAVE"}"#)).await.expect("she is connected");
    let answers = async { while let Some(Ok(Message::Ping(_) | Message::Pong(_))) = alice.next().await {} };
    let end = tokio::time::timeout(Duration::from_secs(3), answers).await;
    assert!(end.is_err(), "three times as long as may pass before what was written is taken");
}

async fn odd_ids_are_ids_and_no_keys_of_others(house: &mut House) {
    let ids = [
        "{x}",
        "}{",
        "../..",
        "a/b",
        "a%00b",
        "a%20b",
        "a%2520b",
        "%F0%9F%98%80",
        "sg:{r:camus/kitchen}:i",
        "kitchen",
    ];
    let mut there = Vec::new();
    for id in ids {
        let written = id.replace('{', "%7B").replace('}', "%7D");
        there.push(PeerJs::gets(&house.browser("Alice"), &written, "t").await);
        PeerJs::asks(&house.browser("Bob"), &written, "another").await.is_refused(TAKEN).await;
    }
    let mut bob = PeerJs::of(house, "Bob").await;
    for (id, client) in ids.iter().zip(&mut there) {
        let id = percent_encoding::percent_decode_str(id).decode_utf8().expect("UTF-8");
        bob.tells(&id, "OFFER", json!(1)).await;
        let offer = json!(&*id).to_string();
        client.hears(&format!(r#"{{"type":"OFFER","src":"bob","dst":{offer},"payload":1}}"#)).await;
    }
    let keys = house.keys().await;
    assert!(keys.iter().all(|key| key.starts_with("sg:")), "{keys:?}");
}

async fn of_many_who_want_one_name_at_once_one_gets_it(house: &mut House) {
    let places = [house.browser("Alice"), house.browser("Bob")];
    for round in 0..20 {
        let id = format!("name-{round}");
        let asked = (0..6).map(|n| {
            let (place, id) = (places[n % 2].clone(), id.clone());
            async move { PeerJs::asks(&place, &id, &format!("token{n}")).await }
        });
        let mut seated = 0;
        for mut client in futures_util::future::join_all(asked).await {
            match client.is_seated().await {
                Ok(()) => {
                    seated += 1;
                    tokio::spawn(async move { client.is_sent_away().await });
                }
                Err(heard) => assert_eq!(heard, TAKEN),
            }
        }
        assert_eq!(seated, 1, "round {round}");
    }
}

async fn of_many_sockets_of_one_client_one_survives(house: &mut House) {
    let places = [house.browser("Alice"), house.browser("Bob")];
    let mut bob = PeerJs::of(house, "Bob").await;
    for round in 0..20 {
        let id = format!("name-{round}");
        let asked = (0..2).map(|n: usize| {
            let (place, id) = (places[n % 2].clone(), id.clone());
            async move { PeerJs::asks(&place, &id, "t").await }
        });
        let mut clients = futures_util::future::join_all(asked).await;
        let [one, other] = &mut clients[..] else { panic!("two") };
        let survivor = tokio::select! {
            () = one.is_replaced() => other,
            () = other.is_replaced() => one,
        };
        survivor.opens().await;
        bob.tells(&id, "OFFER", json!(round)).await;
        let offer = format!(r#"{{"type":"OFFER","src":"bob","dst":"{id}","payload":{round}}}"#);
        survivor.hears(&offer).await;
    }
}

async fn a_node_has_so_many_names_and_a_takeover_is_none_more(house: &mut House) {
    let full = r#"{"type":"ERROR","payload":{"msg":"Server has reached its concurrent user limit"}}"#;
    let browser = house.browser("Alice");
    let mut alice = PeerJs::gets(&browser, "alice", "t").await;
    let mut bob = PeerJs::gets(&browser, "bob", "t").await;
    PeerJs::asks(&browser, "carol", "t").await.is_refused(full).await;
    let mut again = PeerJs::gets(&browser, "alice", "t").await;
    assert_eq!(alice.is_sent_away().await, Some(4001));
    PeerJs::asks(&browser, "bob", "another").await.is_refused(TAKEN).await;
    bob.closes().await;
    PeerJs::gets(&browser, "carol", "t").await;
    again.has_heard_nothing("alice").await;
}

async fn who_is_silent_for_too_long_is_sent_away_and_the_name_is_free(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    for _ in 0..8 {
        bob.says(r#"{"type":"HEARTBEAT"}"#).await;
        bob.hears_nothing_for(Duration::from_millis(250)).await;
    }
    assert_eq!(alice.is_sent_away().await, Some(4004));
    PeerJs::gets(&house.browser("Bob"), "alice", "another").await;
    bob.has_heard_nothing("bob").await;
}
