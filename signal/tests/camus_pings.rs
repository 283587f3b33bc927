//! camus: signs of life, and what becomes of those who give none.

use crate::common::{self, House, SERVER, Settings, scenes};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::Message;

/// Nobody is kept by WebSocket pings here: those come twice a minute.
const CURIOUS: Settings<'_> = &[("CAMUS__PING_AFTER", "400ms"), ("CAMUS__GRACE", "2s")];
/// A socket that does not answer WebSocket pings is closed long before its peer is removed.
const STRICT: Settings<'_> = &[("SOCKET__PING_INTERVAL", "300ms"), ("SOCKET__PING_TIMEOUT", "300ms")];

scenes!(both, CURIOUS;
    one_who_is_silent_is_asked_and_stays_if_she_answers,
    one_who_does_not_answer_is_told_bye_and_removed,
);

scenes!(both, STRICT; a_socket_that_does_not_answer_pings_is_closed_and_its_peer_is_away);

async fn one_who_is_silent_is_asked_and_stays_if_she_answers(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    // Twice as long as the patience with those who are silent.
    for sign in 0..10 {
        let ping = alice.hears_nothing_until("ping").await;
        assert_eq!(ping.sender, SERVER);
        let time = ping.data().as_u64().expect("a timestamp in milliseconds");
        assert!(time > 1_600_000_000_000, "{time}");
        match sign % 4 {
            0 | 1 => alice.says(SERVER, "pong", ping.data()).await,
            2 => alice.says(SERVER, "greeting", json!("I am here")).await,
            _ => alice.sends(Message::Pong("any".into())).await,
        }
    }
    alice.finds(&["Alice"]).await;
}

async fn one_who_does_not_answer_is_told_bye_and_removed(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    loop {
        let frame = alice.hears_any().await;
        match frame.kind.as_str() {
            "ping" => alice.says(SERVER, "pong", frame.data()).await,
            "room-info" => break assert_eq!(frame.data()["clients"].as_array().map(Vec::len), Some(1)),
            _ => panic!("Alice heard {}", frame.raw),
        }
    }
    bob.is_sent_away(4003).await;
    bob.hears_nothing_until("ping").await;
    let bye = bob.hears_nothing_until("bye").await;
    assert_eq!(bye.sender, SERVER);
    assert!(bye.data().is_u64(), "a timestamp: {}", bye.raw);
    bob.has_not_heard("ping");
    assert_eq!(bob.tries_to_come_back().await.unwrap_err().status, 403);
}

async fn a_socket_that_does_not_answer_pings_is_closed_and_its_peer_is_away(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    bob.drops().await;
    let mut mute = bob.pass.knocks().await.expect("a wire");
    let mut bytes = Vec::new();
    let read = common::within("the end of the wire", mute.get_mut().read_to_end(&mut bytes)).await;
    read.expect("an end");
    let ping = [0x89, 0];
    let close = 0x88;
    assert!(bytes.starts_with(&ping), "{bytes:?}");
    assert_eq!(bytes.get(2), Some(&close), "one ping, then the end: {bytes:?}");
    alice.says(&bob.id, "text", json!("held")).await;
    alice.finds(&["Alice", "Bob"]).await;
    bob.comes_back().await;
    bob.hears("text").await;
}
