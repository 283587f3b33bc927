//! camus: those who are not there yet, those who are away for a while, and those who do not come back.

use crate::common::{Client, House, PLAIN, ROOM, SERVER, Settings, frame, scenes, until};
use serde_json::json;

/// Who is away is soon forgotten; who is there says so four times a second, by WebSocket pongs.
const IMPATIENT: Settings<'_> = &[("CAMUS__GRACE", "2s"), ("SOCKET__PING_INTERVAL", "250ms")];
const FEW: Settings<'_> = &[("MAILBOX__MESSAGES", "10")];
const SMALL: Settings<'_> = &[("MAILBOX__BYTES", "20KiB")];

scenes!(both, PLAIN;
    nobody_sees_one_who_has_not_said_anything,
    what_is_sent_to_one_who_has_not_said_anything_is_held,
    the_first_word_may_be_any,
    one_whose_socket_drops_stays_and_hears_all_of_it_when_back,
    one_who_comes_back_says_nothing_and_hears,
    closing_the_page_is_no_goodbye,
    one_who_is_away_is_still_seen_by_newcomers,
    the_order_holds_while_somebody_comes_back,
    dropping_before_the_first_word_changes_nothing,
);

scenes!(both, IMPATIENT; one_who_does_not_come_back_is_removed, one_who_only_hears_stays);
scenes!(both, FEW; what_is_too_much_to_hold_is_told_to_its_sender);
scenes!(both, SMALL; what_is_too_large_to_hold_is_told_to_its_sender);

/// A client that was just connected may not be known on other nodes yet: says something until it gets through.
async fn gets_through(client: &mut Client, to: &str) {
    until("a way to the other", async || {
        client.says(to, "are you known?", json!(null)).await;
        client.checks_in().await;
        client.forgets("error") == 0
    })
    .await;
}

async fn nobody_sees_one_who_has_not_said_anything(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let mut bob = house.knocks("Bob", "capsule").await;
    gets_through(&mut alice, &bob.id).await;
    alice.finds(&["Alice"]).await;
    let mut carol = house.enters("Carol", "capsule").await;
    carol.finds(&["Alice", "Carol"]).await;
    alice.sees(&["Alice", "Carol"]).await;

    bob.checks_in().await;
    bob.asks("get-room-info").await;
    // In order of arrival, which was before Carol's.
    alice.sees(&["Alice", "Bob", "Carol"]).await;
    bob.sees(&["Alice", "Bob", "Carol"]).await;
}

async fn what_is_sent_to_one_who_has_not_said_anything_is_held(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let mut bob = house.knocks("Bob", "capsule").await;
    gets_through(&mut alice, &bob.id).await;
    for n in 0..5 {
        alice.says(&bob.id, "offer", json!(n)).await;
    }
    alice.says(ROOM, "text", json!("to all")).await;
    alice.hears("text").await;
    alice.says(SERVER, "profile", json!({ "username": "Alicia" })).await;
    alice.sees(&["Alicia"]).await;
    alice.has_not_heard("error");
    alice.says(&bob.id, "the end", json!(null)).await;
    alice.checks_in().await;

    bob.says(SERVER, "ping", json!(1)).await;
    bob.hears_nothing_until("pong").await;
    for n in 0..5 {
        bob.hears_exactly(&frame(&alice.id, &bob.id, "offer", &n.to_string())).await;
    }
    bob.hears_exactly(&frame(&alice.id, &bob.id, "text", "\"to all\"")).await;
    bob.hears("the end").await;
    bob.finds(&["Alicia", "Bob"]).await;
}

async fn the_first_word_may_be_any(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let words = [("get-ice-servers", "ice-servers"), ("get-room-info", "room-info"), ("what?", "error")];
    for (word, answer) in words {
        let mut bob = house.knocks("Bob", "capsule").await;
        gets_through(&mut alice, &bob.id).await;
        bob.asks(word).await;
        bob.hears_nothing_until(answer).await;
        bob.hears_nothing_until("are you known?").await;
        bob.asks("bye").await;
        alice.sees(&["Alice"]).await;
    }
    let mut bob = house.knocks("Bob", "capsule").await;
    bob.says(&alice.id, "text", json!("me first")).await;
    alice.hears("text").await;
}

async fn one_whose_socket_drops_stays_and_hears_all_of_it_when_back(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    for node in [house.node_of("Bob"), house.other_node("Bob")] {
        bob.drops().await;
        for n in 0..20 {
            alice.says(&bob.id, "icecandidate", json!(n)).await;
        }
        alice.says(ROOM, "text", json!("where is Bob?")).await;
        alice.hears("text").await;
        alice.finds(&["Alice", "Bob"]).await;
        alice.has_not_heard("error");
        alice.has_not_heard("bye");

        bob.comes_back_through(node).await;
        for n in 0..20 {
            bob.hears_exactly(&frame(&alice.id, &bob.id, "icecandidate", &n.to_string())).await;
        }
        bob.hears_exactly(&frame(&alice.id, &bob.id, "text", "\"where is Bob?\"")).await;
        bob.checks_in().await;
        bob.says(&alice.id, "text", json!("here")).await;
        alice.hears_exactly(&frame(&bob.id, &alice.id, "text", "\"here\"")).await;
        bob.finds(&["Alice", "Bob"]).await;
    }
}

async fn one_who_comes_back_says_nothing_and_hears(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    bob.drops().await;
    alice.says(&bob.id, "text", json!("held")).await;
    alice.checks_in().await;
    bob.comes_back_by_cookie().await;
    bob.hears_nothing_until("text").await;
    alice.says(&bob.id, "text", json!("live")).await;
    assert_eq!(bob.hears_nothing_until("text").await.data(), "live");
}

async fn closing_the_page_is_no_goodbye(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    bob.closes_the_page().await;
    alice.says(&bob.id, "text", json!("held")).await;
    alice.finds(&["Alice", "Bob"]).await;
    bob.comes_back().await;
    bob.hears_nothing_until("text").await;
    alice.has_not_heard("bye");
}

async fn one_who_is_away_is_still_seen_by_newcomers(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    bob.drops().await;
    alice.drops().await;
    let mut carol = house.enters("Carol", "capsule").await;
    carol.finds(&["Alice", "Bob", "Carol"]).await;
    carol.says(&bob.id, "text", json!("hello?")).await;
    carol.says(ROOM, "text", json!("anybody?")).await;
    carol.hears("text").await;
    for client in [&mut alice, &mut bob] {
        client.comes_back().await;
        client.sees(&["Alice", "Bob", "Carol"]).await;
    }
    assert_eq!(alice.hears("text").await.data(), "anybody?");
    assert_eq!(bob.hears("text").await.data(), "hello?");
    assert_eq!(bob.hears("text").await.data(), "anybody?");
}

async fn the_order_holds_while_somebody_comes_back(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut said = 0;
    let mut heard = 0;
    for node in [house.other_node("Bob"), house.node_of("Bob"), house.other_node("Bob")] {
        bob.drops().await;
        for _ in 0..30 {
            alice.says(&bob.id, "text", json!(said)).await;
            said += 1;
        }
        bob.comes_back_through(node).await;
        for _ in 0..30 {
            alice.says(&bob.id, "text", json!(said)).await;
            said += 1;
        }
        // What he had heard in the last moment before, nobody knew that he had: it may come again, before all else.
        let mut again = true;
        while heard < said {
            let text = bob.hears("text").await.data();
            again &= text.as_u64().is_some_and(|n| n < heard);
            if !again {
                assert_eq!(text, heard);
                heard += 1;
            }
        }
    }
    alice.checks_in().await;
    alice.has_not_heard("error");
    bob.checks_in().await;
    bob.has_not_heard("text");
}

async fn dropping_before_the_first_word_changes_nothing(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let mut bob = house.knocks("Bob", "capsule").await;
    gets_through(&mut alice, &bob.id).await;
    bob.drops().await;
    alice.says(&bob.id, "text", json!("held")).await;
    alice.finds(&["Alice"]).await;
    alice.has_not_heard("error");
    bob.comes_back_through(house.other_node("Bob")).await;
    bob.says(SERVER, "ping", json!(1)).await;
    bob.hears_nothing_until("pong").await;
    bob.hears("text").await;
}

async fn one_who_does_not_come_back_is_removed(house: &mut House) {
    let [mut alice, mut bob, mut carol] = house.meet(["Alice", "Bob", "Carol"], "capsule").await;
    bob.drops().await;
    for n in 0..3 {
        alice.says(&bob.id, "offer", json!(n)).await;
    }
    carol.says(ROOM, "text", json!("Bob?")).await;
    for client in [&mut alice, &mut carol] {
        client.sees(&["Alice", "Carol"]).await;
        client.is_told(&bob.id.clone()).await;
    }
    alice.has_not_heard("bye");
    let refused = bob.tries_to_come_back().await;
    assert_eq!(refused.unwrap_err().status, 403);
    assert_eq!(bob.pass.browser.knocks_at("capsule").await.unwrap_err().status, 403);
    alice.says(&bob.id, "text", json!("too late")).await;
    alice.is_told(&bob.id).await;

    // With what proves who he was he gets a new id, and is a newcomer.
    let again = bob.pass.browser.clone().asks_for("capsule", json!({ "token": bob.pass.token })).await;
    assert_eq!(again.status, 201);
    assert_ne!(again.json()["id"], bob.id);
}

async fn one_who_only_hears_stays(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let mut carol = house.enters("Carol", "capsule").await;
    bob.drops().await;
    bob.comes_back().await;
    // Three times as long as the patience with one who is away.
    for _ in 0..3 {
        carol.drops().await;
        alice.sees(&["Alice", "Bob"]).await;
        carol = Box::pin(house.enters("Carol", "capsule")).await;
        alice.sees(&["Alice", "Bob", "Carol"]).await;
    }
    alice.says(&bob.id, "text", json!("still there?")).await;
    bob.hears("text").await;
    bob.finds(&["Alice", "Bob", "Carol"]).await;
}

async fn what_is_too_much_to_hold_is_told_to_its_sender(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    bob.drops().await;
    for n in 0..13 {
        alice.says(&bob.id, "text", json!(n)).await;
    }
    for _ in 10..13 {
        alice.is_told(&bob.id).await;
    }
    bob.comes_back().await;
    for n in 0..10 {
        assert_eq!(bob.hears("text").await.data(), n);
    }
    bob.checks_in().await;
    bob.has_not_heard("text");
    alice.says(&bob.id, "text", json!("again")).await;
    assert_eq!(bob.hears("text").await.data(), "again");
    alice.checks_in().await;
    alice.has_not_heard("error");
}

async fn what_is_too_large_to_hold_is_told_to_its_sender(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    bob.drops().await;
    let page = "x".repeat(9 * 1024);
    for n in 0..3 {
        alice.says(&bob.id, "text", json!([n, page])).await;
    }
    alice.is_told(&bob.id).await;
    alice.says(&bob.id, "text", json!([3, "short"])).await;
    alice.checks_in().await;
    alice.has_not_heard("error");
    bob.comes_back().await;
    for n in [0, 1, 3] {
        assert_eq!(bob.hears("text").await.data()[0], n);
    }
}
