//! y-webrtc: topics, on one node and apart on two.

use std::time::Duration;

use crate::common::{House, Settings, Talker, scenes, until_at_last};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

const PLAIN: Settings<'_> = &[];
/// A node that says nothing is taken for dead after 10 s.
const LEASE: Duration = Duration::from_secs(30);
const FEW: Settings<'_> = &[("LIMITS__TOPICS", "2")];

/// Little is kept for another node, and nobody is made to wait for long.
const NARROW: Settings<'_> = &[("LINKS__MESSAGES", "10"), ("LINKS__PATIENCE", "100ms")];

scenes!(both, PLAIN;
    who_announces_itself_after_subscribing_is_found_by_whoever_answers,
    a_subscription_is_in_force_everywhere_before_the_next_frame_is_acted_on,
    one_connection_is_subscribed_to_many_topics,
    who_is_gone_hears_nothing_and_is_not_counted,
    what_means_nothing_changes_nothing,
    what_is_published_comes_once_and_in_order,
);
scenes!(two_nodes, PLAIN;
    who_was_on_a_node_that_died_is_not_counted,
    when_redis_comes_back_empty_topics_are_as_before,
);
scenes!(two_nodes, NARROW; who_misses_what_was_published_elsewhere_is_sent_away);
scenes!(one_node, FEW; who_wants_too_many_topics_is_sent_away);

async fn open(house: &House, name: &str) -> Talker {
    Talker::knocks(&house.browser(name), "/y-webrtc").await
}

async fn subscribed(house: &House, name: &str, topic: &str) -> Talker {
    let mut talker = open(house, name).await;
    talker.tells(json!({ "type": "subscribe", "topics": [topic] })).await;
    answers(&mut talker).await;
    talker
}

/// All that was said to it before has been heard, and all that it said has been acted on.
async fn answers(talker: &mut Talker) {
    talker.tells(json!({ "type": "ping" })).await;
    talker.hears(r#"{"type":"pong"}"#).await;
}

async fn who_announces_itself_after_subscribing_is_found_by_whoever_answers(house: &mut House) {
    for round in 0..20 {
        let topic = format!("room {round}/{{x}}");
        let mut alice = subscribed(house, "Alice", &topic).await;
        let mut bob = open(house, "Bob").await;
        bob.tells(json!({ "type": "subscribe", "topics": [topic] })).await;
        bob.tells(json!({ "type": "publish", "topic": topic, "data": "I am Bob" })).await;
        alice.learns(json!({ "type": "publish", "topic": topic, "data": "I am Bob", "clients": 2 })).await;
        alice.tells(json!({ "type": "publish", "topic": topic, "data": "I am Alice" })).await;
        bob.learns(json!({ "type": "publish", "topic": topic, "data": "I am Bob", "clients": 2 })).await;
        bob.learns(json!({ "type": "publish", "topic": topic, "data": "I am Alice", "clients": 2 })).await;
    }
}

async fn a_subscription_is_in_force_everywhere_before_the_next_frame_is_acted_on(house: &mut House) {
    let mut alice = subscribed(house, "Alice", "r").await;
    let mut bob = open(house, "Bob").await;
    for n in 0..200 {
        bob.says(r#"{"type":"subscribe","topics":["r"]}"#).await;
        answers(&mut bob).await;
        alice.tells(json!({ "type": "publish", "topic": "r", "n": n })).await;
        for talker in [&mut alice, &mut bob] {
            talker.learns(json!({ "type": "publish", "topic": "r", "n": n, "clients": 2 })).await;
        }
        bob.says(r#"{"type":"unsubscribe","topics":["r"]}"#).await;
        answers(&mut bob).await;
    }
}

async fn one_connection_is_subscribed_to_many_topics(house: &mut House) {
    let mut alice = open(house, "Alice").await;
    let topics: Vec<_> = (0..100).map(|n| format!("t{n}")).collect();
    alice.tells(json!({ "type": "subscribe", "topics": topics })).await;
    answers(&mut alice).await;
    let mut bob = open(house, "Bob").await;
    for topic in &topics {
        bob.tells(json!({ "type": "publish", "topic": topic })).await;
        alice.learns(json!({ "type": "publish", "topic": topic, "clients": 1 })).await;
    }
    alice.tells(json!({ "type": "unsubscribe", "topics": topics[..50] })).await;
    answers(&mut alice).await;
    bob.tells(json!({ "type": "publish", "topic": "t49" })).await;
    bob.tells(json!({ "type": "publish", "topic": "t50" })).await;
    alice.learns(json!({ "type": "publish", "topic": "t50", "clients": 1 })).await;
}

async fn who_is_gone_hears_nothing_and_is_not_counted(house: &mut House) {
    let mut alice = subscribed(house, "Alice", "r").await;
    let mut bob = subscribed(house, "Bob", "r").await;
    let mut carol = subscribed(house, "Carol", "r").await;
    bob.closes().await;
    carol.is_cut().await;
    loop {
        alice.tells(json!({ "type": "publish", "topic": "r", "n": 1 })).await;
        let (heard, _) = alice.hears_any("its own words").await;
        if heard.contains(r#""clients":1"#) {
            break;
        }
    }
}

async fn what_means_nothing_changes_nothing(house: &mut House) {
    let mut alice = subscribed(house, "Alice", "r").await;
    for text in [
        "{oops",
        "null",
        "7",
        "[]",
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","topics":"r"}"#,
        r#"{"type":"subscribe","topics":[1,null,{}]}"#,
        r#"{"type":"publish"}"#,
        r#"{"type":"publish","topic":7}"#,
        r#"{"type":"shout","topic":"r"}"#,
    ] {
        alice.says(text).await;
    }
    alice.sends(Message::binary(vec![0xff, 0xfe])).await;
    answers(&mut alice).await;
}

async fn what_is_published_comes_once_and_in_order(house: &mut House) {
    let mut alice = subscribed(house, "Alice", "r").await;
    let mut bob = subscribed(house, "Bob", "r").await;
    for first in (0..300).step_by(100) {
        for n in first..first + 100 {
            alice.tells(json!({ "type": "publish", "topic": "r", "from": "a", "n": n })).await;
        }
        for n in first..first + 100 {
            let published = json!({ "type": "publish", "topic": "r", "from": "a", "n": n, "clients": 2 });
            alice.learns(published.clone()).await;
            bob.learns(published).await;
        }
    }
    answers(&mut bob).await;
}

async fn who_wants_too_many_topics_is_sent_away(house: &mut House) {
    let mut alice = open(house, "Alice").await;
    alice.tells(json!({ "type": "subscribe", "topics": ["a", "b", "a"] })).await;
    answers(&mut alice).await;
    alice.tells(json!({ "type": "subscribe", "topics": ["c"] })).await;
    assert_eq!(alice.is_sent_away().await, Some(1013));
}

async fn who_was_on_a_node_that_died_is_not_counted(house: &mut House) {
    let mut alice = subscribed(house, "Alice", "r").await;
    let _bob = subscribed(house, "Bob", "r").await;
    house.loses_the_node_of("Bob");
    until_at_last(LEASE, "the dead one's leaving", async || {
        alice.tells(json!({ "type": "publish", "topic": "r" })).await;
        alice.hears_any("its own words").await.0.contains(r#""clients":1"#)
    })
    .await;
}

async fn when_redis_comes_back_empty_topics_are_as_before(house: &mut House) {
    let mut alice = subscribed(house, "Alice", "r").await;
    let mut bob = subscribed(house, "Bob", "r").await;
    house.loses_redis();
    bob.tells(json!({ "type": "publish", "topic": "r", "n": 1 })).await;
    bob.learns(json!({ "type": "publish", "topic": "r", "n": 1, "clients": 2 })).await;
    house.finds_redis_empty();
    until_at_last(LEASE, "what was said meanwhile", async || {
        let soon = Duration::from_secs(1);
        alice.hears_within(soon).await.is_some_and(|heard| heard.contains(r#""n":1"#))
    })
    .await;
    // A publisher who is not subscribed finds them too, wherever they are; until Redis is there it is sent away.
    until_at_last(LEASE, "the topic", async || {
        let mut carol = open(house, "Carol").await;
        carol.tells(json!({ "type": "publish", "topic": "r", "n": 2 })).await;
        let heard = [
            alice.hears_within(Duration::from_secs(1)).await,
            bob.hears_within(Duration::from_secs(1)).await,
        ];
        heard.iter().all(|heard| {
            heard.as_ref().is_some_and(|heard| heard.contains(r#""n":2"#) && heard.contains(r#""clients":2"#))
        })
    })
    .await;
}

async fn who_misses_what_was_published_elsewhere_is_sent_away(house: &mut House) {
    let mut alice = subscribed(house, "Alice", "r").await;
    let mut bob = subscribed(house, "Bob", "r").await;
    let number = |n: usize| json!({ "type": "publish", "topic": "r", "n": n });
    house.loses_redis();
    for n in 0..50 {
        alice.tells(number(n)).await;
        let (heard, _) = alice.hears_any("her own words").await;
        assert!(heard.contains(&format!("\"n\":{n}")), "{heard}");
    }
    house.finds_redis_empty();
    let mut heard = Vec::new();
    let end = loop {
        match bob.hears_or_ends().await {
            Ok(text) => heard.push(text),
            Err(code) => break code,
        }
    };
    assert_eq!(end, Some(4008));
    for (n, text) in heard.iter().enumerate() {
        assert!(text.contains(&format!("\"n\":{n}")), "{text}");
    }
    assert!(heard.len() < 50, "all of it");
}
