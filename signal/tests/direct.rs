//! direct: registered users, who prove who they are, and messages from one to another, on one node and apart on two.

use std::time::Duration;

use crate::common::{self, Browser, House, Settings, Talker, scenes};
use serde_json::{Value, json};

const TOKEN: &str = "the operator's own token";
const PLAIN: Settings<'_> = &[("OPS__TOKEN", TOKEN)];
const NO_TOKEN: Settings<'_> = &[];
const TRUSTING: Settings<'_> = &[("DIRECT__TRUST_NAME", "true")];
const FEW: Settings<'_> = &[("LIMITS__REGISTRATIONS_PER_MINUTE", "2")];
const SHORT: Settings<'_> = &[("DIRECT__REGISTRATION", "1s")];

scenes!(both, PLAIN;
    a_name_is_registered_once,
    what_no_name_can_be_is_told,
    registered_users_reach_each_other,
    who_proves_nothing_gets_nowhere,
    a_user_has_one_connection,
    a_user_who_is_gone_is_not_found_and_may_come_back_at_once,
    what_is_no_message_is_answered_and_the_socket_stays_open,
    the_operator_sends_everybody_away_on_every_node,
    pages_of_others_do_not_use_these_cookies,
    what_is_said_comes_once_and_in_order,
    what_was_heard_is_not_told_as_if_it_had_not_been,
    of_two_who_want_a_silent_name_at_once_one_gets_it,
);
scenes!(both, NO_TOKEN; without_a_token_nobody_is_an_operator);
scenes!(both, TRUSTING; a_name_alone_may_be_trusted);
scenes!(both, SHORT; who_was_not_seen_for_long_loses_the_name);
scenes!(one_node, FEW; an_address_registers_so_many_names);
scenes!(two_nodes, PLAIN;
    a_connection_that_does_not_answer_gives_way,
    a_proof_registers_its_name_again_when_redis_has_lost_it,
    a_name_that_was_registered_too_late_is_whose_it_was_for,
    a_user_whose_node_dies_may_connect_again,
);

async fn registered(house: &House, name: &str) -> Browser {
    let mut browser = house.browser(name);
    let reply = browser.posts("/v1/register", json!({ "username": name })).await;
    assert_eq!((reply.status, reply.json()), (200, json!({ "status": "SUCCESS", "message": "" })));
    assert_eq!(browser.cookie("user_username"), name);
    browser
}

async fn connected(house: &House, name: &str) -> (Browser, Talker) {
    let browser = registered(house, name).await;
    let talker = connects(&browser).await;
    (browser, talker)
}

/// Connects, and is there: what it says to itself comes back.
async fn connects(browser: &Browser) -> Talker {
    let mut talker = Talker::knocks(browser, "/v1/connect").await;
    heard_nothing(&mut talker, browser.cookie("user_username")).await;
    talker
}

/// Whatever was on its way has come, and it was nothing: it talks to itself.
async fn heard_nothing(talker: &mut Talker, name: &str) {
    talker.tells(json!({ "target": name, "type": "ECHO", "payload": 1 })).await;
    talker.learns(json!({ "originator": name, "target": name, "type": "ECHO", "payload": 1 })).await;
}

fn not_found(target: &str) -> Value {
    json!({ "target": target, "type": "TARGET_NOT_FOUND", "payload": null })
}

async fn is_turned_away(browser: &Browser) {
    let mut talker = Talker::knocks(browser, "/v1/connect").await;
    assert_eq!(talker.is_sent_away().await, Some(4000));
}

async fn a_name_is_registered_once(house: &mut House) {
    let mut alice = registered(house, "Alice").await;
    assert_eq!(alice.get("/v1/user").await.status, 200);
    for place in ["Alice", "Bob"] {
        let mut eve = house.browser(place);
        let reply = eve.posts_form("/v1/register", &[("username", "Alice")]).await;
        assert_eq!((reply.status, reply.json()["status"].as_str()), (200, Some("TAKEN")));
        assert_eq!(eve.cookie("user_username"), "");
    }
    alice.turns_to(house.node_of("Bob"));
    assert_eq!(alice.get("/v1/user").await.status, 200, "on the other node too");
    let mut carol = house.browser("Carol");
    let reply = carol.posts_form("/v1/register", &[("username", "Carol")]).await;
    assert_eq!(reply.json()["status"], "SUCCESS", "a form does as well");
}

async fn what_no_name_can_be_is_told(house: &mut House) {
    let mut alice = house.browser("Alice");
    for name in ["", "two words", "a;b", "a,b", "a\"b", "a\\b", "Zoë", &"x".repeat(65)] {
        let reply = alice.posts("/v1/register", json!({ "username": name })).await;
        assert_eq!((reply.status, reply.json()["status"].as_str()), (400, Some("INVALID")), "{name}");
    }
    for text in ["", "{oops", "[]", r#"{"name":"Alice"}"#, r#"{"username":7}"#] {
        let reply = alice.posts_text("/v1/register", text).await;
        assert_eq!((reply.status, reply.json()["status"].as_str()), (400, Some("INVALID")), "{text}");
    }
    assert_eq!(alice.get("/healthcheck").await.body, "success");
}

async fn registered_users_reach_each_other(house: &mut House) {
    let (_, mut alice) = connected(house, "Alice").await;
    let (_, mut bob) = connected(house, "Bob").await;
    alice
        .says(r#"{"originator":"Eve","target":"Bob","type":"OFFER","payload":{ "sdp":"v=0", "n":1e999 }}"#)
        .await;
    bob.hears(r#"{"originator":"Alice","target":"Bob","type":"OFFER","payload":{ "sdp":"v=0", "n":1e999 }}"#)
        .await;
    bob.tells(json!({ "target": "Alice", "type": "ANSWER", "payload": "v=0" })).await;
    alice.learns(json!({ "originator": "Bob", "target": "Alice", "type": "ANSWER", "payload": "v=0" })).await;
    alice.tells(json!({ "target": "Nobody", "type": "OFFER", "payload": 1 })).await;
    alice.learns(not_found("Nobody")).await;
    alice.tells(json!({ "target": "../{x}\u{1}", "type": "OFFER" })).await;
    alice.learns(not_found("../{x}\u{1}")).await;
}

async fn who_proves_nothing_gets_nowhere(house: &mut House) {
    let (alice, mut socket) = connected(house, "Alice").await;
    let mut eve = house.browser("Bob");
    is_turned_away(&eve).await;
    // Somebody else's name, in every way that comes to mind.
    eve.writes_cookie("user_username", "Alice");
    is_turned_away(&eve).await;
    let mut mallory = registered(house, "Mallory").await;
    mallory.writes_cookie("user_username", "Alice");
    is_turned_away(&mallory).await;
    assert_eq!(mallory.get("/v1/user").await.status, 404);
    for place in [0, 7, alice.cookie("user_proof").len() / 2, alice.cookie("user_proof").len() - 2] {
        let mut proof = alice.cookie("user_proof").to_owned().into_bytes();
        proof[place] = if proof[place] == b'A' { b'B' } else { b'A' };
        eve.writes_cookie("user_proof", &String::from_utf8(proof).unwrap());
        is_turned_away(&eve).await;
    }
    let reply = eve.get("/v1/user").await;
    assert_eq!((reply.status, reply.header("clear-site-data")), (404, "\"cookies\""));
    heard_nothing(&mut socket, "Alice").await;
}

async fn a_user_has_one_connection(house: &mut House) {
    let (mut alice, mut first) = connected(house, "Alice").await;
    for place in ["Alice", "Bob"] {
        alice.turns_to(house.node_of(place));
        is_turned_away(&alice).await;
        heard_nothing(&mut first, "Alice").await;
    }
    first.closes().await;
    drop(connects(&alice).await);
}

async fn a_user_who_is_gone_is_not_found_and_may_come_back_at_once(house: &mut House) {
    let (alice, mut there) = connected(house, "Alice").await;
    let (_, mut bob) = connected(house, "Bob").await;
    there.closes().await;
    bob.tells(json!({ "target": "Alice", "type": "OFFER", "payload": 1 })).await;
    bob.learns(not_found("Alice")).await;
    let mut again = connects(&alice).await;
    bob.tells(json!({ "target": "Alice", "type": "OFFER", "payload": 2 })).await;
    again.learns(json!({ "originator": "Bob", "target": "Alice", "type": "OFFER", "payload": 2 })).await;
}

async fn what_is_no_message_is_answered_and_the_socket_stays_open(house: &mut House) {
    let (_, mut alice) = connected(house, "Alice").await;
    for text in ["{oops", "null", "[]", "{}", r#"{"target":7,"type":"x"}"#, r#"{"target":"Bob"}"#] {
        alice.says(text).await;
        let (heard, _) = alice.hears_any("an answer").await;
        assert!(heard.starts_with(r#"{"target":"","type":"INVALID_MESSAGE","payload":""#), "{text}: {heard}");
    }
    heard_nothing(&mut alice, "Alice").await;
}

async fn the_operator_sends_everybody_away_on_every_node(house: &mut House) {
    let (alice, mut alices) = connected(house, "Alice").await;
    let (bob, mut bobs) = connected(house, "Bob").await;
    let mut operator = house.browser("Alice");
    for wrong in
        [None, Some("no"), Some(""), Some("the operator's own toke"), Some("the operator's own token!")]
    {
        operator.bearer = wrong.map(str::to_owned);
        assert_eq!(operator.get("/v1/kick-active-users").await.status, 401, "{wrong:?}");
    }
    heard_nothing(&mut alices, "Alice").await;
    operator.bearer = Some(TOKEN.to_owned());
    assert_eq!(operator.get("/v1/kick-active-users").await.status, 200);
    for talker in [&mut alices, &mut bobs] {
        assert_eq!(talker.is_sent_away().await, Some(4005));
    }
    for browser in [&alice, &bob] {
        drop(connects(browser).await);
    }
}

async fn without_a_token_nobody_is_an_operator(house: &mut House) {
    let (_, mut alice) = connected(house, "Alice").await;
    let mut eve = house.browser("Bob");
    for bearer in [None, Some(String::new()), Some("x".into())] {
        eve.bearer = bearer;
        assert_eq!(eve.get("/v1/kick-active-users").await.status, 404);
    }
    heard_nothing(&mut alice, "Alice").await;
}

async fn pages_of_others_do_not_use_these_cookies(house: &mut House) {
    let mut alice = registered(house, "Alice").await;
    for origin in ["https://evil.example", "null"] {
        alice.origin = Some(origin.into());
        assert_eq!(alice.knocks("/v1/connect").await.err().map(|reply| reply.status), Some(403));
        assert_eq!(alice.get("/v1/user").await.status, 403);
        assert_eq!(alice.posts("/v1/register", json!({ "username": "Other" })).await.status, 403);
    }
}

async fn a_name_alone_may_be_trusted(house: &mut House) {
    drop(registered(house, "Alice").await);
    let mut somebody = house.browser("Bob");
    somebody.writes_cookie("user_username", "Alice");
    assert_eq!(somebody.get("/v1/user").await.status, 200);
    drop(connects(&somebody).await);
    somebody.writes_cookie("user_username", "Nobody");
    is_turned_away(&somebody).await;
}

async fn who_was_not_seen_for_long_loses_the_name(house: &mut House) {
    let mut alice = registered(house, "Alice").await;
    common::until_at_last(Duration::from_secs(20), "the registration is over", async || {
        house.browser("Bob").posts("/v1/register", json!({ "username": "Alice" })).await.json()["status"]
            == "SUCCESS"
    })
    .await;
    assert_eq!(alice.get("/v1/user").await.status, 404, "somebody else is Alice by now");
}

async fn an_address_registers_so_many_names(house: &mut House) {
    for name in ["a", "b"] {
        assert_eq!(
            house.browser("Alice").posts("/v1/register", json!({ "username": name })).await.status,
            200
        );
    }
    let reply = house.browser("Alice").posts("/v1/register", json!({ "username": "c" })).await;
    assert_eq!(reply.status, 429);
    assert!(!reply.header("retry-after").is_empty());
}

async fn a_connection_that_does_not_answer_gives_way(house: &mut House) {
    let (mut alice, mut old) = connected(house, "Alice").await;
    let (_, mut bob) = connected(house, "Bob").await;
    old.stops_listening().await;
    alice.turns_to(house.node_of("Bob"));
    let mut new = connects(&alice).await;
    bob.tells(json!({ "target": "Alice", "type": "OFFER", "payload": 1 })).await;
    // What the old one had not confirmed may come once more.
    while !new.hears_any("the offer").await.0.contains("OFFER") {}
}

async fn of_two_who_want_a_silent_name_at_once_one_gets_it(house: &mut House) {
    let (alice, mut old) = connected(house, "Alice").await;
    old.stops_listening().await;
    loop {
        let wants = || Talker::knocks(&alice, "/v1/connect");
        let (mut one, mut other) = tokio::join!(wants(), wants());
        let (one, other) = tokio::join!(is_in(&mut one), is_in(&mut other));
        assert!(!(one && other), "both have it");
        // A pong of the old one may still have been on its way.
        if one || other {
            break;
        }
    }
}

/// Whether she is still connected after a while, and has not been told that somebody else is.
async fn is_in(talker: &mut Talker) -> bool {
    loop {
        // What the old one had not confirmed may come once more.
        match tokio::time::timeout(Duration::from_secs(1), talker.hears_or_ends()).await {
            Ok(Ok(_)) => {}
            Ok(Err(code)) => {
                assert_eq!(code, Some(4000));
                return false;
            }
            Err(_) => return true,
        }
    }
}

async fn a_proof_registers_its_name_again_when_redis_has_lost_it(house: &mut House) {
    let (mut alice, mut there) = connected(house, "Alice").await;
    let (_, mut bob) = connected(house, "Bob").await;
    house.loses_redis();
    house.finds_redis_empty();
    common::until_at_last(Duration::from_secs(30), "the name is known again", async || {
        alice.get("/v1/user").await.status == 200
    })
    .await;
    common::until("for all it is", async || {
        house.browser("Bob").posts("/v1/register", json!({ "username": "Alice" })).await.json()["status"]
            == "TAKEN"
    })
    .await;
    common::until_at_last(Duration::from_secs(30), "Bob reaches Alice", async || {
        bob.tells(json!({ "target": "Alice", "type": "OFFER", "payload": 1 })).await;
        there.hears_within(Duration::from_secs(1)).await.is_some_and(|heard| heard.contains("OFFER"))
    })
    .await;
}

async fn a_name_that_was_registered_too_late_is_whose_it_was_for(house: &mut House) {
    // Redis knows the script by then, and needs nothing more to be said.
    registered(house, "Carol").await;
    let mut alice = house.browser("Alice");
    house.freezes_redis();
    let reply = alice.posts("/v1/register", json!({ "username": "Alice" })).await;
    assert_eq!(
        (reply.status, alice.cookie("user_username")),
        (503, ""),
        "nobody has said that she is registered"
    );
    house.wakes_redis();
    let reply = loop {
        match alice.posts("/v1/register", json!({ "username": "Alice" })).await {
            busy if busy.status == 503 => tokio::time::sleep(Duration::from_millis(100)).await,
            reply => break reply,
        }
    };
    assert_eq!((reply.status, reply.json()["status"].as_str()), (200, Some("SUCCESS")));
    drop(connects(&alice).await);
    let reply = house.browser("Bob").posts("/v1/register", json!({ "username": "Alice" })).await;
    assert_eq!(reply.json()["status"], "TAKEN");
}

async fn a_user_whose_node_dies_may_connect_again(house: &mut House) {
    let (mut alice, mut there) = connected(house, "Alice").await;
    house.loses_the_node_of("Alice");
    there.is_sent_away().await;
    alice.turns_to(house.node_of("Bob"));
    // The node that had it does not answer, so it gives way at once.
    drop(connects(&alice).await);
}

async fn what_is_said_comes_once_and_in_order(house: &mut House) {
    let (_, mut alice) = connected(house, "Alice").await;
    let (_, mut bob) = connected(house, "Bob").await;
    for first in (0..300).step_by(100) {
        for n in first..first + 100 {
            alice.tells(json!({ "target": "Bob", "type": "n", "payload": n })).await;
        }
        for n in first..first + 100 {
            bob.learns(json!({ "originator": "Alice", "target": "Bob", "type": "n", "payload": n })).await;
        }
    }
    heard_nothing(&mut bob, "Bob").await;
}

async fn what_was_heard_is_not_told_as_if_it_had_not_been(house: &mut House) {
    let (alice, mut there) = connected(house, "Alice").await;
    let (_, mut bob) = connected(house, "Bob").await;
    for n in 0..20 {
        bob.tells(json!({ "target": "Alice", "type": "n", "payload": n })).await;
        there.learns(json!({ "originator": "Bob", "target": "Alice", "type": "n", "payload": n })).await;
        // It has answered the ping that came after that.
        for _ in 0..4 {
            there.answers_a_ping().await;
        }
        there.closes().await;
        there = connects(&alice).await;
    }
    heard_nothing(&mut bob, "Bob").await;
}
