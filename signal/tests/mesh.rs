//! mesh: one lobby, on one node and apart on two.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{self, House, PLAIN, Settings, Talker, scenes, until_at_last};
use serde_json::{Value, json};

scenes!(both, PLAIN;
    who_connects_is_somebody_and_has_a_name_when_she_says_so,
    everybody_else_hears_of_a_join,
    a_call_is_relayed_with_its_callers_name_and_nothing_else_is_changed,
    nobody_speaks_as_somebody_else,
    who_writes_to_somebody_who_has_gone_hears_who_is_there,
    whom_a_message_does_not_reach_any_more_is_told_with_the_list_as_it_is,
    nobody_is_told_of_departures,
    what_is_wrong_is_answered_and_the_socket_stays_open,
    what_is_said_comes_once_and_in_order,
);

const SMALL: Settings<'_> = &[("ROOMS__MAX_MEMBERS", "2")];
scenes!(both, SMALL; a_lobby_that_is_full_lets_nobody_else_in);

const SMALL_MAILBOX: Settings<'_> = &[("MAILBOX__MESSAGES", "64")];
scenes!(both, SMALL_MAILBOX; who_does_not_take_what_is_sent_to_him_is_told_of_and_in_the_list);

const AT_ROOT: Settings<'_> = &[("MESH__AT_ROOT", "true")];
scenes!(one_node, AT_ROOT; the_lobby_is_where_the_original_was_and_so_is_the_page);

const CLOSED: Settings<'_> = &[("ROOMS__CREATE_ON_ENTRY", "false")];
scenes!(one_node, CLOSED; the_lobby_is_there_where_nobody_else_makes_rooms);

const SHORT_LEASE: Settings<'_> = &[("REDIS__LEASE", "3s")];
scenes!(two_nodes, SHORT_LEASE; users_of_a_node_that_died_are_not_in_the_list_any_more);
scenes!(two_nodes, PLAIN; redis_comes_back_empty_and_everybody_is_there_still);

/// Somebody, and who she is to the others.
struct Peer {
    talker: Talker,
    user: Value,
}

impl Peer {
    fn id(&self) -> &str {
        self.user["id"].as_str().unwrap()
    }

    async fn tells(&mut self, kind: &str, payload: Value) {
        self.talker.tells(json!({ "type": kind, "payload": payload })).await;
    }

    async fn tells_to(&mut self, to: &str, kind: &str, payload: Value) {
        self.talker.tells(json!({ "type": kind, "payload": payload, "target": { "id": to } })).await;
    }

    async fn learns(&mut self, kind: &str, payload: Value) {
        self.talker.learns(json!({ "type": kind, "payload": payload })).await;
    }

    /// Who is there, as she is told.
    async fn asks_who_is_there(&mut self) -> Vec<Value> {
        self.tells("CLIENTS", json!({})).await;
        let heard = hears(&mut self.talker, "CLIENTS").await;
        assert_eq!(heard.as_object().unwrap().len(), 1, "{heard}");
        heard["clients"].as_array().unwrap().clone()
    }

    /// She sees exactly these, at last.
    async fn sees(&mut self, deadline: Duration, others: &[&Value]) {
        let named =
            |users: &[&Value]| -> BTreeSet<String> { users.iter().map(ToString::to_string).collect() };
        let expected = named(&[others, &[&self.user]].concat());
        until_at_last(deadline, "the list to be as it should", async || {
            named(&self.asks_who_is_there().await.iter().collect::<Vec<_>>()) == expected
        })
        .await;
    }

    /// Whatever was on its way has come, and it was nothing.
    async fn heard_nothing(&mut self) {
        self.tells("?", json!({})).await;
        let error = hears(&mut self.talker, "ERROR").await;
        assert!(error["message"].as_str().unwrap().starts_with("Unknown message type: ?"), "{error}");
    }
}

/// The payload of the next frame, which is of this type.
async fn hears(talker: &mut Talker, kind: &str) -> Value {
    let (heard, _) = talker.hears_any(kind).await;
    let read: Value = serde_json::from_str(&heard).unwrap();
    assert_eq!(read["type"], kind, "{heard}");
    assert_eq!(read.as_object().unwrap().len(), 2, "{heard}");
    read["payload"].clone()
}

/// `name` is connected, and has a name, as soon as the node can say so to the others.
async fn comes(house: &House, name: &str) -> Peer {
    let mut talker = Talker::knocks(&house.browser(name), "/mesh").await;
    name.clone_into(&mut talker.name);
    let says_her_name = json!({ "type": "CONFIRM_ID", "payload": { "name": name } });
    let confirmed = loop {
        talker.tells(says_her_name.clone()).await;
        let (heard, _) = talker.hears_any("CONFIRM_ID").await;
        if !heard.contains("Busy: ") {
            break serde_json::from_str::<Value>(&heard).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(
        (&confirmed["type"], &confirmed["payload"]["user"]["name"]),
        (&json!("CONFIRM_ID"), &json!(name))
    );
    let user = confirmed["payload"]["user"].clone();
    Peer { talker, user }
}

/// They come one after the other, until each sees all.
async fn meet<const N: usize>(house: &House, names: [&str; N]) -> [Peer; N] {
    let mut there: Vec<Peer> = Vec::new();
    for name in names {
        there.push(Box::pin(comes(house, name)).await);
    }
    let users: Vec<_> = there.iter().map(|peer| peer.user.clone()).collect();
    for peer in &mut there {
        let others: Vec<_> = users.iter().filter(|user| **user != peer.user).collect();
        peer.sees(common::DEADLINE, &others).await;
    }
    there.try_into().unwrap_or_else(|_| unreachable!("one for each name"))
}

async fn who_connects_is_somebody_and_has_a_name_when_she_says_so(house: &mut House) {
    let mut alice = Talker::knocks(&house.browser("Alice"), "/mesh").await;
    alice.tells(json!({ "type": "CONFIRM_ID", "payload": {} })).await;
    let user = hears(&mut alice, "CONFIRM_ID").await["user"].clone();
    assert_eq!(user["name"], Value::Null);
    assert!(user["id"].as_str().is_some_and(|id| id.len() == 32), "{user}");
    for name in [json!("Alice \"A\" 😀"), json!("Alicia"), Value::Null] {
        alice.tells(json!({ "type": "CONFIRM_ID", "payload": { "name": name, "more": [1] } })).await;
        alice
            .learns(
                json!({ "type": "CONFIRM_ID", "payload": { "user": { "id": user["id"], "name": name } } }),
            )
            .await;
    }
    let bob = comes(house, "Bob").await;
    assert_ne!(bob.user["id"], user["id"]);
    let mut alice = Peer { talker: alice, user };
    alice.sees(common::DEADLINE, &[&bob.user]).await;
    let there = alice.asks_who_is_there().await;
    assert_eq!(there, [alice.user.clone(), bob.user.clone()], "in order of arrival");
}

async fn everybody_else_hears_of_a_join(house: &mut House) {
    let [mut alice, mut bob, mut carol] = meet(house, ["Alice", "Bob", "Carol"]).await;
    bob.tells("JOIN", json!({ "user": { "id": "eve" } })).await;
    alice.learns("JOIN", json!({ "user": bob.user })).await;
    carol.learns("JOIN", json!({ "user": bob.user })).await;
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.heard_nothing().await;
    }
    // Before she has said who she is.
    let mut dave = Talker::knocks(&house.browser("Dave"), "/mesh").await;
    dave.tells(json!({ "type": "JOIN", "payload": {} })).await;
    let user = hears(&mut alice.talker, "JOIN").await["user"].clone();
    assert_eq!(user["name"], Value::Null);
}

async fn a_call_is_relayed_with_its_callers_name_and_nothing_else_is_changed(house: &mut House) {
    let [mut alice, mut bob, mut carol] = meet(house, ["Alice", "Bob", "Carol"]).await;
    let (a, b) = (alice.user.to_string(), bob.user.to_string());
    let members = r#""sdp":{ "type" : "offer", "sdp":"v=0\r\n", "n":1e999, "n":2 },"x":"\ud800""#;
    for kind in ["OFFER", "ANSWER", "CANDIDATE"] {
        let target = format!(r#"{{"name":"whoever","id":"{}"}}"#, bob.id());
        alice
            .talker
            .says(&format!(r#"{{"target":{target},"payload":{{{members}}},"type":"{kind}","more":7}}"#))
            .await;
        bob.talker.hears(&format!(r#"{{"type":"{kind}","payload":{{"user":{a},{members}}}}}"#)).await;
    }
    bob.tells_to(alice.id(), "ANSWER", json!({})).await;
    alice.talker.hears(&format!(r#"{{"type":"ANSWER","payload":{{"user":{b}}}}}"#)).await;
    // To oneself.
    let herself = alice.id().to_owned();
    alice.tells_to(&herself, "OFFER", json!({ "sdp": 1 })).await;
    alice.learns("OFFER", json!({ "user": alice.user, "sdp": 1 })).await;
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.heard_nothing().await;
    }
}

async fn nobody_speaks_as_somebody_else(house: &mut House) {
    let [mut alice, mut bob] = meet(house, ["Alice", "Bob"]).await;
    let text = format!(
        r#"{{"type":"OFFER","payload":{{"user":1,"us\u0065r":2,"sdp":3,"user":{}}},"target":{{"id":"{}"}}}}"#,
        bob.user,
        bob.id()
    );
    alice.talker.says(&text).await;
    bob.talker.hears(&format!(r#"{{"type":"OFFER","payload":{{"user":{},"sdp":3}}}}"#, alice.user)).await;
    alice.heard_nothing().await;
}

async fn who_writes_to_somebody_who_has_gone_hears_who_is_there(house: &mut House) {
    let [mut alice, mut bob, carol] = meet(house, ["Alice", "Bob", "Carol"]).await;
    bob.talker.is_cut().await;
    alice.sees(common::DEADLINE, &[&carol.user]).await;
    let gone = json!({ "clients": [alice.user, carol.user], "gone": bob.id() });
    for kind in ["OFFER", "ANSWER", "CANDIDATE"] {
        alice.tells_to(bob.id(), kind, json!({ "sdp": "v=0" })).await;
        alice.learns("CLIENTS", gone.clone()).await;
    }
    let odd = "{x}/../\u{1}\"😀";
    alice.tells_to(odd, "OFFER", json!({})).await;
    alice.learns("CLIENTS", json!({ "clients": [alice.user, carol.user], "gone": odd })).await;
    alice.heard_nothing().await;
}

async fn whom_a_message_does_not_reach_any_more_is_told_with_the_list_as_it_is(house: &mut House) {
    let [mut alice, mut bob, carol] = meet(house, ["Alice", "Bob", "Carol"]).await;
    // His node may know that he is gone before hers does, and knows nothing of the lobby then.
    bob.talker.is_cut().await;
    for n in 0..100 {
        alice.tells_to(bob.id(), "CANDIDATE", json!({ "n": n })).await;
    }
    let gone = json!({ "clients": [alice.user, carol.user], "gone": bob.id() });
    alice.learns("CLIENTS", gone.clone()).await;
    while let Some(heard) = alice.talker.hears_within(Duration::from_secs(1)).await {
        let heard: Value = serde_json::from_str(&heard).unwrap();
        assert_eq!(heard, json!({ "type": "CLIENTS", "payload": gone }));
    }
}

async fn who_does_not_take_what_is_sent_to_him_is_told_of_and_in_the_list(house: &mut House) {
    let [mut alice, mut bob] = meet(house, ["Alice", "Bob"]).await;
    bob.talker.stops_listening().await;
    let gone = json!({ "clients": [alice.user, bob.user], "gone": bob.id() });
    // Some of it waits for him.
    for n in 0..200 {
        alice.tells_to(bob.id(), "CANDIDATE", json!({ "n": n })).await;
    }
    alice.learns("CLIENTS", gone.clone()).await;
    // Once for as many as are told at the same moment.
    while let Some(heard) = alice.talker.hears_within(Duration::from_secs(1)).await {
        let heard: Value = serde_json::from_str(&heard).unwrap();
        assert_eq!(heard, json!({ "type": "CLIENTS", "payload": gone }));
    }
}

async fn nobody_is_told_of_departures(house: &mut House) {
    let [mut alice, mut bob, mut carol] = meet(house, ["Alice", "Bob", "Carol"]).await;
    bob.talker.closes().await;
    carol.talker.is_cut().await;
    alice.sees(common::DEADLINE, &[]).await;
    alice.heard_nothing().await;
}

async fn what_is_wrong_is_answered_and_the_socket_stays_open(house: &mut House) {
    let [mut alice, mut bob] = meet(house, ["Alice", "Bob"]).await;
    for (said, why) in [
        ("{oops", "Not a message"),
        ("[]", "no JSON object"),
        (r#"{"type":"JOIN"}"#, "missing field `payload`"),
        (r#"{"type":"JOIN","payload":[]}"#, "the payload is no object"),
        (
            r#"{"type":"LEAVE","payload":{}}"#,
            "Unknown message type: LEAVE; right would be one of ANSWER, CANDIDATE",
        ),
        (r#"{"type":"OFFER","payload":{}}"#, "OFFER: no `target` with a string `id`"),
        (r#"{"type":"OFFER","payload":{},"target":{"id":7}}"#, "OFFER: no `target` with a string `id`"),
        (
            r#"{"type":"CONFIRM_ID","payload":{"name":7}}"#,
            "CONFIRM_ID: the payload: invalid type: integer `7`",
        ),
    ] {
        alice.talker.says(said).await;
        let error = hears(&mut alice.talker, "ERROR").await;
        assert!(error["message"].as_str().unwrap().contains(why), "{said}: {error}");
    }
    let long = "x".repeat(101);
    alice.tells("CONFIRM_ID", json!({ "name": long })).await;
    hears(&mut alice.talker, "ERROR").await;
    bob.heard_nothing().await;
}

async fn what_is_said_comes_once_and_in_order(house: &mut House) {
    let [mut alice, mut bob] = meet(house, ["Alice", "Bob"]).await;
    let (a, b) = (alice.id().to_owned(), bob.id().to_owned());
    for first in (0..300).step_by(100) {
        for n in first..first + 100 {
            alice.tells_to(&b, "CANDIDATE", json!({ "n": n })).await;
            bob.tells_to(&a, "CANDIDATE", json!({ "n": n })).await;
        }
        for n in first..first + 100 {
            alice.learns("CANDIDATE", json!({ "user": bob.user, "n": n })).await;
            bob.learns("CANDIDATE", json!({ "user": alice.user, "n": n })).await;
        }
    }
    alice.heard_nothing().await;
    bob.heard_nothing().await;
}

async fn a_lobby_that_is_full_lets_nobody_else_in(house: &mut House) {
    let [mut alice, mut bob] = meet(house, ["Alice", "Bob"]).await;
    for name in ["Carol", "Dave"] {
        let refused = house.browser(name).knocks("/mesh").await.expect_err("it is full");
        assert_eq!(refused.status, 418, "{refused:?}");
    }
    bob.talker.is_cut().await;
    alice.sees(common::DEADLINE, &[]).await;
    comes(house, "Carol").await;
}

async fn the_lobby_is_where_the_original_was_and_so_is_the_page(house: &mut House) {
    let mut alice = Talker::knocks(&house.browser("Alice"), "/").await;
    alice.tells(json!({ "type": "CONFIRM_ID", "payload": { "name": "Alice" } })).await;
    let user = hears(&mut alice, "CONFIRM_ID").await["user"].clone();
    let mut alice = Peer { talker: alice, user };
    let bob = comes(house, "Bob").await;
    alice.sees(common::DEADLINE, &[&bob.user]).await;
    let page = house.browser("Alice").get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
}

async fn the_lobby_is_there_where_nobody_else_makes_rooms(house: &mut House) {
    meet(house, ["Alice", "Bob"]).await;
}

async fn users_of_a_node_that_died_are_not_in_the_list_any_more(house: &mut House) {
    let [mut alice, bob, carol] = meet(house, ["Alice", "Bob", "Carol"]).await;
    house.loses_the_node_of("Bob");
    // Her node hears from nobody that it is dead, before its lease is over.
    alice.tells_to(bob.id(), "OFFER", json!({ "sdp": "v=0" })).await;
    let told = hears(&mut alice.talker, "CLIENTS").await;
    assert_eq!(told, json!({ "clients": [alice.user, carol.user], "gone": bob.id() }));
    alice.sees(common::DEADLINE, &[&carol.user]).await;
    alice.heard_nothing().await;
    // She comes back, as somebody new.
    house.restarts_the_node_of("Bob").await;
    let mut again = comes(house, "Bob").await;
    assert_ne!(again.user["id"], bob.user["id"]);
    again.sees(common::DEADLINE, &[&alice.user, &carol.user]).await;
    alice.tells_to(again.id(), "OFFER", json!({ "sdp": "v=1" })).await;
    again.learns("OFFER", json!({ "user": alice.user, "sdp": "v=1" })).await;
}

async fn redis_comes_back_empty_and_everybody_is_there_still(house: &mut House) {
    let [mut alice, mut bob, mut carol] = meet(house, ["Alice", "Bob", "Carol"]).await;
    house.loses_redis();
    // On one node nothing waits for it.
    alice.tells_to(carol.id(), "OFFER", json!({ "sdp": "v=0" })).await;
    carol.learns("OFFER", json!({ "user": alice.user, "sdp": "v=0" })).await;
    alice.tells_to(bob.id(), "OFFER", json!({ "sdp": "v=1" })).await;
    house.finds_redis_empty();
    bob.learns("OFFER", json!({ "user": alice.user, "sdp": "v=1" })).await;
    bob.tells_to(alice.id(), "ANSWER", json!({ "sdp": "v=2" })).await;
    alice.learns("ANSWER", json!({ "user": bob.user, "sdp": "v=2" })).await;
    // The list is whole all the time, and the directory's at last: there is one in which somebody new is too.
    assert_eq!(alice.asks_who_is_there().await, [&alice.user, &bob.user, &carol.user].map(Value::clone));
    let mut dave = loop {
        match house.browser("Dave").knocks("/mesh").await {
            Ok(_) => break Box::pin(comes(house, "Dave")).await,
            Err(busy) => assert_eq!(busy.status, 503, "{busy:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let others = [&alice.user, &bob.user, &carol.user];
    dave.sees(Duration::from_secs(20), &others).await;
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.heard_nothing().await;
    }
}
