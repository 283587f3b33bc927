//! camus: what each type of message does.

use crate::common::{House, PLAIN, ROOM, SERVER, frame, scenes};
use serde_json::json;

scenes!(both, PLAIN;
    a_ping_is_answered_with_its_own_data,
    a_ping_to_a_peer_is_the_peers_to_answer,
    a_pong_and_a_greeting_to_the_server_are_taken_note_of,
    what_peers_say_to_each_other_is_relayed,
    what_is_said_to_the_room_is_heard_by_all_the_speaker_too,
    the_roster_names_the_room_and_its_clients_in_order_of_arrival,
    the_others_see_a_newcomer_when_it_first_asks_who_is_there,
    a_profile_renames_and_everybody_sees_it,
    who_has_no_name_is_major_tom,
    a_bye_takes_leave,
    a_bye_to_one_who_has_left_is_dropped,
    a_bye_to_a_peer_is_relayed,
    what_is_not_for_the_server_is_refused_by_name,
    who_is_not_in_the_room_gets_nothing_and_the_sender_is_told,
    types_that_no_table_names_are_relayed,
    the_sender_is_the_servers_word,
    every_frame_has_four_members_in_order,
    payloads_arrive_byte_for_byte,
);

async fn a_ping_is_answered_with_its_own_data(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let id = alice.id.clone();
    for data in ["1615918847680", "null", "\"a\\u0062c\"", "{ \"b\":1, \"a\" : [ 2 ] }", "1e999", "-0.0"] {
        alice.writes(&frame("", SERVER, "ping", data)).await;
        alice.hears_exactly(&frame(SERVER, &id, "pong", data)).await;
    }
    alice.asks("ping").await;
    alice.hears_exactly(&frame(SERVER, &id, "pong", "null")).await;
}

async fn a_ping_to_a_peer_is_the_peers_to_answer(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    alice.says(&bob.id, "ping", json!(7)).await;
    bob.hears_exactly(&frame(&alice.id, &bob.id, "ping", "7")).await;
    bob.says(&alice.id, "pong", json!(7)).await;
    alice.hears_exactly(&frame(&bob.id, &alice.id, "pong", "7")).await;
    alice.says(&bob.id, "greeting", json!("hello")).await;
    bob.hears_exactly(&frame(&alice.id, &bob.id, "greeting", "\"hello\"")).await;
}

async fn a_pong_and_a_greeting_to_the_server_are_taken_note_of(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    alice.says(SERVER, "pong", json!(1_615_918_847_680_u64)).await;
    alice.says(SERVER, "greeting", json!("This is Major Tom to Ground Control")).await;
    alice.says(SERVER, "ping", json!("still there?")).await;
    assert_eq!(alice.hears_nothing_until("pong").await.data(), "still there?");
}

async fn what_peers_say_to_each_other_is_relayed(house: &mut House) {
    let [mut alice, mut bob, mut carol] = house.meet(["Alice", "Bob", "Carol"], "capsule").await;
    let messages = [
        ("text", r#"{"from":"Ted","time":1615918847680,"text":"All we are is dust in the wind, dude."}"#),
        ("offer", r#"{"type":"offer","sdp":"v=0\r\no=- 3924465504085920629 2 IN IP4 127.0.0.1\r\n"}"#),
        ("answer", r#"{"type":"answer","sdp":"v=0\r\no=- 1134820208031418978 2 IN IP4 127.0.0.1\r\n"}"#),
        (
            "icecandidate",
            r#"{"candidate":"candidate:3885250869 1 udp 21222 10.0.0.1 9 typ host","sdpMid":"2"}"#,
        ),
    ];
    for (kind, data) in messages {
        alice.writes(&frame(&alice.id.clone(), &bob.id, kind, data)).await;
        bob.hears_exactly(&frame(&alice.id, &bob.id, kind, data)).await;
    }
    alice.says(&carol.id, "the end", json!(null)).await;
    carol.hears_nothing_until("the end").await;
    alice.checks_in().await;
    alice.has_not_heard("error");
}

async fn what_is_said_to_the_room_is_heard_by_all_the_speaker_too(house: &mut House) {
    let [mut alice, mut bob, mut carol] = house.meet(["Alice", "Bob", "Carol"], "capsule").await;
    let mut eve = house.enters("Eve", "another-room").await;
    let data = r#"{"from":"Alice","time":1,"text":"hello, everybody"}"#;
    alice.writes(&frame("", ROOM, "text", data)).await;
    for client in [&mut bob, &mut carol, &mut eve] {
        if client.pass.room == "capsule" {
            let id = client.id.clone();
            client.hears_exactly(&frame(&alice.id, &id, "text", data)).await;
        }
    }
    let id = alice.id.clone();
    alice.hears_exactly(&frame(&id, &id, "text", data)).await;
    eve.checks_in().await;
    eve.has_not_heard("text");
}

async fn the_roster_names_the_room_and_its_clients_in_order_of_arrival(house: &mut House) {
    let [mut alice, mut bob, carol] = house.meet(["Alice", "Bob", "Carol"], "excellent-adventure").await;
    let clients = json!([
        { "id": alice.id, "username": "Alice" },
        { "id": bob.id, "username": "Bob" },
        { "id": carol.id, "username": "Carol" },
    ]);
    for client in [&mut alice, &mut bob] {
        client.asks("get-room-info").await;
        let roster = client.hears_nothing_until("room-info").await;
        assert_eq!(roster.sender, SERVER);
        assert_eq!(roster.data(), json!({ "room_id": "excellent-adventure", "clients": clients }));
        assert!(roster.payload.starts_with(r#"{"room_id":"excellent-adventure","clients":[{"id":""#));
    }
}

async fn the_others_see_a_newcomer_when_it_first_asks_who_is_there(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let mut bob = house.knocks("Bob", "capsule").await;
    bob.checks_in().await;
    bob.asks("get-ice-servers").await;
    bob.hears("ice-servers").await;
    bob.asks("get-room-info").await;
    bob.sees(&["Alice", "Bob"]).await;
    let roster = alice.hears_nothing_until("room-info").await;
    assert_eq!(roster.data()["clients"][1], json!({ "id": bob.id, "username": "Bob" }));

    bob.asks("get-room-info").await;
    bob.sees(&["Alice", "Bob"]).await;
    bob.says(&alice.id, "the end", json!(null)).await;
    alice.hears_nothing_until("the end").await;
}

async fn a_profile_renames_and_everybody_sees_it(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    bob.says(SERVER, "profile", json!({ "username": "Bill S. Preston, \"Esquire\" 🎸" })).await;
    for client in [&mut alice, &mut bob] {
        let names = ["Alice", "Bill S. Preston, \"Esquire\" 🎸"];
        let roster = client.hears_nothing_until("room-info").await;
        let clients = roster.data()["clients"].clone();
        assert_eq!(clients[0]["username"], names[0]);
        assert_eq!(clients[1]["username"], names[1]);
    }
    bob.says(SERVER, "profile", json!({ "username": "" })).await;
    bob.finds(&["Alice", "Bill S. Preston, \"Esquire\" 🎸"]).await;

    for data in [json!(null), json!({}), json!({ "username": 7 }), json!("Bill"), json!(["Bill"])] {
        bob.says(SERVER, "profile", data).await;
        bob.is_told("username").await;
    }
    bob.asks("profile").await;
    bob.is_told("username").await;
    alice.says(SERVER, "profile", json!({ "username": "Ted", "age": 17 })).await;
    bob.sees(&["Ted", "Bill S. Preston, \"Esquire\" 🎸"]).await;
}

async fn who_has_no_name_is_major_tom(house: &mut House) {
    let pass = house.browser("Alice").gets_into("capsule", json!({})).await;
    let mut alice = pass.connects().await;
    alice.checks_in().await;
    alice.finds(&["Major Tom"]).await;
}

async fn a_bye_takes_leave(house: &mut House) {
    let [mut alice, mut bob, mut carol] = house.meet(["Alice", "Bob", "Carol"], "capsule").await;
    bob.says(SERVER, "bye", json!(1_615_919_897_795_u64)).await;
    for client in [&mut alice, &mut carol] {
        let bye = client.hears_nothing_until("bye").await;
        assert_eq!(bye.sender, bob.id);
        assert!(bye.data().is_u64(), "a timestamp: {}", bye.raw);
        client.hears_nothing_until("room-info").await;
        client.finds(&["Alice", "Carol"]).await;
    }
    bob.is_sent_away(1000).await;
    bob.has_not_heard("bye");
    assert_eq!(bob.tries_to_come_back().await.unwrap_err().status, 403);
}

async fn a_bye_to_one_who_has_left_is_dropped(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    bob.asks("bye").await;
    alice.hears("bye").await;
    alice.sees(&["Alice"]).await;
    alice.says(&bob.id, "bye", json!(1_615_919_897_795_u64)).await;
    alice.says(SERVER, "ping", json!(1)).await;
    alice.hears_nothing_until("pong").await;
}

async fn a_bye_to_a_peer_is_relayed(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    alice.says(&bob.id, "bye", json!(1_615_919_897_795_u64)).await;
    bob.hears_exactly(&frame(&alice.id, &bob.id, "bye", "1615919897795")).await;
    bob.finds(&["Alice", "Bob"]).await;
}

async fn what_is_not_for_the_server_is_refused_by_name(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let id = alice.id.clone();
    let for_others = ["text", "offer", "answer", "icecandidate", "room-info", "ice-servers", "error"];
    for kind in for_others.into_iter().chain(["", "PING", "warp", "\u{e9}\u{1f680}"]) {
        alice.says(SERVER, kind, json!({})).await;
        let why = json!(format!("Unknown message type: {kind}")).to_string();
        alice.hears_exactly(&frame(SERVER, &id, "error", &why)).await;
    }
}

async fn who_is_not_in_the_room_gets_nothing_and_the_sender_is_told(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let mut eve = house.enters("Bob", "another-room").await;
    let nobody = "0123456789abcdef0123456789abcdef";
    for to in [nobody, eve.id.as_str(), "", "Room", "Ground Control", "../room", "\u{0}"] {
        alice.says(to, "text", json!("anybody?")).await;
        alice.is_told("").await;
    }
    alice.says(nobody, "offer", json!({})).await;
    alice.is_told(nobody).await;
    eve.says(SERVER, "ping", json!(1)).await;
    eve.hears_nothing_until("pong").await;
}

async fn types_that_no_table_names_are_relayed(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    for kind in ["x-wave", "", "room-info", "ice-servers", "error", "get-room-info", "profile", "ünïcode\\\""]
    {
        alice.says(&bob.id, kind, json!({ "wave": true })).await;
        let wave = bob.hears_nothing_until(kind).await;
        assert_eq!((wave.sender, wave.payload), (alice.id.clone(), r#"{"wave":true}"#.to_owned()));
    }
    bob.says(ROOM, "x-wave", json!(2)).await;
    alice.hears_exactly(&frame(&bob.id, &alice.id, "x-wave", "2")).await;
    bob.hears("x-wave").await;
    alice.finds(&["Alice", "Bob"]).await;
}

async fn the_sender_is_the_servers_word(house: &mut House) {
    let [mut alice, mut bob, carol] = house.meet(["Alice", "Bob", "Carol"], "capsule").await;
    let claims = [
        format!(r#""sender":"{}","#, carol.id),
        r#""sender":"ground control","#.to_owned(),
        r#""sender":"","#.to_owned(),
        r#""sender":null,"#.to_owned(),
        r#""sender":{"id":1},"#.to_owned(),
        String::new(),
    ];
    for claim in claims {
        alice.writes(&format!(r#"{{{claim}"receiver":"{}","type":"text","data":1}}"#, bob.id)).await;
        bob.hears_exactly(&frame(&alice.id, &bob.id, "text", "1")).await;
    }
}

async fn every_frame_has_four_members_in_order(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let to = &bob.id.clone();
    let ways = [
        (format!(r#"{{"type":"text","receiver":"{to}"}}"#), "null"),
        (format!(r#"{{"data":null,"type":"text","receiver":"{to}"}}"#), "null"),
        (format!(r#"{{"data":{{}},"receiver":"{to}","extra":1,"type":"text","sender":"x"}}"#), "{}"),
        (format!(" \n{{ \"receiver\" : \"{to}\" ,\t\"type\":\"text\",\"data\":  [ 1 ]  }} \r\n"), "[ 1 ]"),
        (format!(r#"{{"\u0072eceiver":"{to}","type":"\u0074ext","data":false}}"#), "false"),
    ];
    for (text, data) in ways {
        alice.writes(&text).await;
        bob.hears_exactly(&frame(&alice.id, &bob.id, "text", data)).await;
    }
}

async fn payloads_arrive_byte_for_byte(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
    let long = format!("\"{}\"", "x\\u00e9\\n".repeat(5_000));
    let odd = [
        "1e999",
        "-0",
        "1.0000000000000000000000001",
        "123456789012345678901234567890",
        r#""\u00e9\/\ud83d\ude80\u0000""#,
        r#""é/🚀\u2028""#,
        "\"\u{2028}\u{7f}\u{feff}\"",
        r#"{"b":1,"a":2,"b":3}"#,
        "{ \"sdp\" :\t\"v=0\\r\\n\" ,\n \"n\" : [ ] }",
        r#"{"sender":"x","receiver":"room","type":"bye","data":{}}"#,
        r#""},\"data\":{""#,
        "true",
        "\"\"",
        &deep,
        &long,
    ];
    for data in odd {
        alice.writes(&frame("", &bob.id, "text", data)).await;
        bob.hears_exactly(&frame(&alice.id, &bob.id, "text", data)).await;
        alice.writes(&frame("", ROOM, "text", data)).await;
        bob.hears_exactly(&frame(&alice.id, &bob.id, "text", data)).await;
        alice.hears("text").await;
    }
}
