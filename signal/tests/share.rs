//! share: a host and its users, on one node and apart on two.

use std::time::Duration;

use crate::common::{House, Settings, Talker, scenes, until_at_last};
use serde_json::{Value, json};

const PLAIN: Settings<'_> = &[];
const FEW: Settings<'_> = &[("LIMITS__ROOMS_PER_MINUTE", "2")];
/// Little waits for anybody, who may take all the time that there is.
const PATIENT: Settings<'_> =
    &[("MAILBOX__MESSAGES", "4"), ("SOCKET__WRITE_TIMEOUT", "60s"), ("SOCKET__PING_TIMEOUT", "60s")];
const QUICK: Settings<'_> = &[("REDIS__LEASE", "4s")];
/// A node that says nothing is taken for dead after 10 s, unless it is `QUICK`.
const LEASE: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(1);

scenes!(both, PLAIN;
    a_user_asks_to_share_is_allowed_to_and_calls,
    the_host_stops_one_user_or_all,
    nobody_gets_into_a_room_that_is_not_there_or_as_somebody_else,
    who_goes_to_another_room_leaves_the_old_one_first,
    when_the_host_leaves_its_users_hear_it_and_nobody_else_comes,
    when_the_host_drops_media_go_on,
    what_is_wrong_is_answered_and_the_socket_stays_open,
    a_name_is_free_when_its_user_has_left,
    what_is_said_comes_once_and_in_order,
);
scenes!(one_node, PATIENT; a_host_for_whom_too_much_waits_is_sent_away);
scenes!(one_node, FEW; an_address_makes_so_many_rooms);
scenes!(two_nodes, PLAIN;
    when_the_hosts_node_dies_media_go_on,
    when_a_users_node_dies_the_host_hears_that_the_user_left,
    when_redis_comes_back_empty_the_room_is_as_before,
);
scenes!(bad_lines, QUICK; a_user_whose_node_was_taken_for_dead_joins_again_for_its_host);

async fn open(house: &House, name: &str) -> Talker {
    Talker::knocks(&house.browser(name), "/ws").await
}

/// Alice hosts a room: her connection, and the room's id.
async fn alice_hosts(house: &House) -> (Talker, String) {
    let mut alice = open(house, "Alice").await;
    let room = creates(&mut alice).await;
    (alice, room)
}

async fn creates(host: &mut Talker) -> String {
    host.tells(json!({ "type": "CREATE_ROOM", "username": "Alice" })).await;
    let (heard, _) = host.hears_any("ROOM_CREATED").await;
    let created: Value = serde_json::from_str(&heard).unwrap();
    assert_eq!(created["type"], "ROOM_CREATED");
    let room = created["roomid"].as_str().unwrap();
    assert!(room.len() == 4 && room.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{room}");
    room.to_owned()
}

/// `name` joins Alice's room.
async fn joins(house: &House, name: &str, room: &str, alice: &mut Talker) -> Talker {
    let mut user = open(house, name).await;
    user.tells(json!({ "type": "JOIN_ROOM", "roomid": room, "username": name })).await;
    user.learns(json!({ "type": "ROOM_JOINED", "roomid": room })).await;
    alice.learns(json!({ "type": "USER_JOINED", "username": name })).await;
    user
}

/// Whatever was on its way has come, and it was nothing: it is told that it has said nothing.
async fn heard_nothing(talker: &mut Talker) {
    talker.tells(json!({ "type": "?" })).await;
    talker.learns(json!({ "type": "ERROR", "message": "Unknown message type: ?" })).await;
}

async fn a_user_asks_to_share_is_allowed_to_and_calls(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut bob = joins(house, "Bob", &room, &mut alice).await;
    bob.tells(json!({ "type": "REQUEST_SHARING", "username": "Eve" })).await;
    alice.learns(json!({ "type": "REQUEST_SHARING", "username": "Bob" })).await;
    alice.tells(json!({ "type": "ALLOW_SHARING", "username": "Bob" })).await;
    bob.learns(json!({ "type": "ALLOW_SHARING" })).await;
    bob.says(r#"{"type":"RCP_OFFER","sdp":{"type":"offer", "sdp":"v=0\r\n", "n":1e999}}"#).await;
    alice
        .hears(r#"{"type":"RCP_OFFER","username":"Bob","sdp":{"type":"offer", "sdp":"v=0\r\n", "n":1e999}}"#)
        .await;
    alice.tells(json!({ "type": "RCP_ANSWER", "username": "Bob", "sdp": "v=0" })).await;
    bob.learns(json!({ "type": "RCP_ANSWER", "sdp": "v=0" })).await;
    bob.tells(json!({ "type": "ICE_CANDIDATE", "candidate": { "candidate": "c" } })).await;
    alice
        .learns(json!({ "type": "ICE_CANDIDATE", "username": "Bob", "candidate": { "candidate": "c" } }))
        .await;
    alice.tells(json!({ "type": "ICE_CANDIDATE", "username": "Bob", "candidate": null })).await;
    bob.learns(json!({ "type": "ICE_CANDIDATE", "candidate": null })).await;
    bob.tells(json!({ "type": "STOP_SHARING" })).await;
    alice.learns(json!({ "type": "STOP_SHARING", "username": "Bob" })).await;
    heard_nothing(&mut alice).await;
    heard_nothing(&mut bob).await;
}

async fn the_host_stops_one_user_or_all(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut bob = joins(house, "Bob", &room, &mut alice).await;
    let mut carol = joins(house, "Carol", &room, &mut alice).await;
    alice.tells(json!({ "type": "STOP_SHARING", "username": "Bob" })).await;
    alice.tells(json!({ "type": "STOP_SHARING" })).await;
    bob.learns(json!({ "type": "STOP_SHARING" })).await;
    bob.learns(json!({ "type": "STOP_SHARING" })).await;
    carol.learns(json!({ "type": "STOP_SHARING" })).await;
    for talker in [&mut alice, &mut bob, &mut carol] {
        heard_nothing(talker).await;
    }
}

async fn nobody_gets_into_a_room_that_is_not_there_or_as_somebody_else(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let _bob = joins(house, "Bob", &room, &mut alice).await;
    let mut eve = open(house, "Bob").await;
    eve.tells(json!({ "type": "JOIN_ROOM", "roomid": "none", "username": "Eve" })).await;
    let not_found = json!({ "type": "INVALID_ROOM_ID", "message": "Room with given ID not found" });
    eve.learns(not_found.clone()).await;
    eve.tells(json!({ "type": "JOIN_ROOM", "roomid": "../{x}/\u{1}", "username": "Eve" })).await;
    eve.learns(not_found).await;
    eve.tells(json!({ "type": "JOIN_ROOM", "roomid": room, "username": " Bob " })).await;
    eve.learns(json!({ "type": "INVALID_USERNAME", "message": "Username already exists in this room" }))
        .await;
    eve.tells(json!({ "type": "REQUEST_SHARING" })).await;
    eve.learns(json!({ "type": "ERROR", "message": "You must join a room first" })).await;
    // As written: another name; and the host's is nobody's.
    eve.tells(
        json!({ "type": "JOIN_ROOM", "roomid": format!(" {} ", room.to_uppercase()), "username": "bob" }),
    )
    .await;
    eve.learns(json!({ "type": "ROOM_JOINED", "roomid": format!(" {} ", room.to_uppercase()) })).await;
    alice.learns(json!({ "type": "USER_JOINED", "username": "bob" })).await;
    heard_nothing(&mut alice).await;
}

async fn who_goes_to_another_room_leaves_the_old_one_first(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut bob = joins(house, "Bob", &room, &mut alice).await;
    // What is not well-formed changes nothing.
    bob.tells(json!({ "type": "JOIN_ROOM", "roomid": room, "username": "" })).await;
    bob.learns(json!({ "type": "INVALID_USERNAME", "message": "Invalid username" })).await;
    heard_nothing(&mut alice).await;
    bob.tells(json!({ "type": "JOIN_ROOM", "roomid": "none", "username": "Bob" })).await;
    bob.learns(json!({ "type": "INVALID_ROOM_ID", "message": "Room with given ID not found" })).await;
    alice.learns(json!({ "type": "USER_LEFT", "username": "Bob" })).await;
    bob.tells(json!({ "type": "JOIN_ROOM", "roomid": room, "username": "Bob" })).await;
    bob.learns(json!({ "type": "ROOM_JOINED", "roomid": room })).await;
    alice.learns(json!({ "type": "USER_JOINED", "username": "Bob" })).await;
    creates(&mut bob).await;
    alice.learns(json!({ "type": "USER_LEFT", "username": "Bob" })).await;
    bob.tells(json!({ "type": "LEAVE_ROOM" })).await;
    bob.learns(json!({ "type": "LEFT_ROOM" })).await;
    bob.tells(json!({ "type": "LEAVE_ROOM" })).await;
    bob.learns(json!({ "type": "LEFT_ROOM" })).await;
}

async fn when_the_host_leaves_its_users_hear_it_and_nobody_else_comes(house: &mut House) {
    let left = json!({ "type": "ERROR", "message": "The host has left" });
    for closes in [false, true] {
        let (mut alice, room) = alice_hosts(house).await;
        let mut bob = joins(house, "Bob", &room, &mut alice).await;
        if closes {
            alice.closes().await;
        } else {
            alice.tells(json!({ "type": "LEAVE_ROOM" })).await;
            alice.learns(json!({ "type": "LEFT_ROOM" })).await;
        }
        bob.learns(json!({ "type": "STOP_SHARING" })).await;
        bob.learns(left.clone()).await;
        bob.tells(json!({ "type": "RCP_OFFER", "sdp": "v=0" })).await;
        bob.learns(left.clone()).await;
        let mut carol = open(house, "Carol").await;
        carol.tells(json!({ "type": "JOIN_ROOM", "roomid": room, "username": "Carol" })).await;
        carol.learns(json!({ "type": "INVALID_ROOM_ID", "message": "Room with given ID not found" })).await;
    }
}

async fn when_the_host_drops_media_go_on(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut bob = joins(house, "Bob", &room, &mut alice).await;
    alice.is_cut().await;
    bob.learns(json!({ "type": "ERROR", "message": "The host has left" })).await;
    heard_nothing(&mut bob).await;
}

async fn what_is_wrong_is_answered_and_the_socket_stays_open(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut bob = joins(house, "Bob", &room, &mut alice).await;
    alice.tells(json!({ "type": "RCP_ANSWER", "username": "Nobody", "sdp": "v=0" })).await;
    alice.learns(json!({ "type": "ERROR", "message": "User not found" })).await;
    for text in
        ["{oops", "[]", "null", "{}", r#"{"type":7}"#, r#"{"type":"ALLOW_SHARING","username":"Alice"}"#]
    {
        bob.says(text).await;
        let (heard, _) = bob.hears_any("an error").await;
        assert!(heard.starts_with(r#"{"type":"ERROR","message":"#), "{text}: {heard}");
    }
    heard_nothing(&mut alice).await;
}

async fn a_name_is_free_when_its_user_has_left(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    for _ in 0..3 {
        let mut bob = joins(house, "Bob", &room, &mut alice).await;
        bob.is_cut().await;
        alice.learns(json!({ "type": "USER_LEFT", "username": "Bob" })).await;
    }
}

async fn what_is_said_comes_once_and_in_order(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut bob = joins(house, "Bob", &room, &mut alice).await;
    for first in (0..300).step_by(100) {
        for n in first..first + 100 {
            bob.tells(json!({ "type": "ICE_CANDIDATE", "candidate": n })).await;
            alice.tells(json!({ "type": "ICE_CANDIDATE", "username": "Bob", "candidate": n })).await;
        }
        for n in first..first + 100 {
            alice.learns(json!({ "type": "ICE_CANDIDATE", "username": "Bob", "candidate": n })).await;
            bob.learns(json!({ "type": "ICE_CANDIDATE", "candidate": n })).await;
        }
    }
    heard_nothing(&mut alice).await;
    heard_nothing(&mut bob).await;
}

async fn an_address_makes_so_many_rooms(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut page = house.browser("Carol");
    page.makes_room(json!({ "name": "tea" })).await;
    let mut eve = open(house, "Eve").await;
    for host in [&mut eve, &mut alice] {
        host.tells(json!({ "type": "CREATE_ROOM", "username": "Alice" })).await;
        let many = "Too many rooms made from this address; try again in a minute";
        host.learns(json!({ "type": "ERROR", "message": many })).await;
    }
    // Nothing has changed by that.
    joins(house, "Bob", &room, &mut alice).await;
}

async fn when_the_hosts_node_dies_media_go_on(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut bob = joins(house, "Bob", &room, &mut alice).await;
    house.loses_the_node_of("Alice");
    until_at_last(LEASE, "the host's leaving", async || {
        bob.hears_within(SOON)
            .await
            .is_some_and(|heard| heard == r#"{"type":"ERROR","message":"The host has left"}"#)
    })
    .await;
    heard_nothing(&mut bob).await;
}

async fn when_a_users_node_dies_the_host_hears_that_the_user_left(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let _bob = joins(house, "Bob", &room, &mut alice).await;
    house.loses_the_node_of("Bob");
    until_at_last(LEASE, "the user's leaving", async || {
        alice
            .hears_within(SOON)
            .await
            .is_some_and(|heard| heard == r#"{"type":"USER_LEFT","username":"Bob"}"#)
    })
    .await;
    heard_nothing(&mut alice).await;
}

async fn a_user_whose_node_was_taken_for_dead_joins_again_for_its_host(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut bob = joins(house, "Bob", &room, &mut alice).await;
    house.line_of("Bob").cuts();
    until_at_last(LEASE, "word of it", async || {
        alice.hears_within(SOON).await.is_some_and(|heard| heard.contains("USER_LEFT"))
    })
    .await;
    house.line_of("Bob").passes();
    until_at_last(LEASE, "word of that", async || {
        alice.hears_within(SOON).await.is_some_and(|heard| heard.contains("USER_JOINED"))
    })
    .await;
    bob.tells(json!({ "type": "REQUEST_SHARING", "username": "Bob" })).await;
    alice.learns(json!({ "type": "REQUEST_SHARING", "username": "Bob" })).await;
    heard_nothing(&mut bob).await;
}

async fn when_redis_comes_back_empty_the_room_is_as_before(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    let mut bob = joins(house, "Bob", &room, &mut alice).await;
    house.loses_redis();
    bob.tells(json!({ "type": "RCP_OFFER", "sdp": "while it is away" })).await;
    house.finds_redis_empty();
    until_at_last(LEASE, "the offer", async || alice.hears_within(SOON).await.is_some()).await;
    let mut carol = open(house, "Bob").await;
    until_at_last(LEASE, "the room", async || {
        carol.tells(json!({ "type": "JOIN_ROOM", "roomid": room, "username": "Carol" })).await;
        carol.hears_within(SOON).await.is_some_and(|heard| heard.contains("ROOM_JOINED"))
    })
    .await;
    alice.learns(json!({ "type": "USER_JOINED", "username": "Carol" })).await;
    let mut eve = open(house, "Alice").await;
    eve.tells(json!({ "type": "JOIN_ROOM", "roomid": room, "username": "Bob" })).await;
    eve.learns(json!({ "type": "INVALID_USERNAME", "message": "Username already exists in this room" }))
        .await;
    heard_nothing(&mut alice).await;
    heard_nothing(&mut bob).await;
}

/// Else it would not hear of some who came and went, and nobody would say so.
async fn a_host_for_whom_too_much_waits_is_sent_away(house: &mut House) {
    let (mut alice, room) = alice_hosts(house).await;
    alice.stops_listening().await;
    let mut users = Vec::new();
    for n in 0..20 {
        let mut user = open(house, "Bob").await;
        user.tells(json!({ "type": "JOIN_ROOM", "roomid": room, "username": format!("user {n}") })).await;
        let (heard, _) = user.hears_any("whether it has joined").await;
        users.push(user);
        if !heard.contains("ROOM_JOINED") {
            // With the host the room has gone.
            break;
        }
    }
    house.node_of("Alice").counts("signal_goodbyes_total{reason=\"slow\"}", |slow| slow == 1.0).await;
}
