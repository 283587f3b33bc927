//! camus: between two peers messages arrive in the order in which they were sent, each once; and one who reads
//! slowly makes nobody wait.

use std::time::{Duration, Instant};

use crate::common::{self, Client, House, ROOM, Settings, scenes};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Room for all that is said at once: what does not fit is another scene's.
const ROOMY: Settings<'_> = &[("MAILBOX__MESSAGES", "5000"), ("LIMITS__MESSAGE_BURST", "5000")];
const STINGY: Settings<'_> = &[("LIMITS__MESSAGE_BURST", "20"), ("LIMITS__MESSAGES_PER_SECOND", "100")];
const PATIENT_WITH_BYTES: Settings<'_> =
    &[("LIMITS__BYTE_BURST", "1GiB"), ("LIMITS__BYTES_PER_SECOND", "1GiB"), ("SOCKET__WRITE_TIMEOUT", "3s")];

scenes!(both, ROOMY;
    five_hundred_messages_each_way_arrive_in_order_and_once,
    what_is_said_to_one_and_to_all_keeps_one_order,
);

scenes!(both, STINGY; one_who_says_too_much_at_once_is_heard_a_little_later);
scenes!(both, PATIENT_WITH_BYTES; one_who_does_not_read_is_sent_away_and_the_others_go_on);

const MANY: u64 = 500;

async fn says_them_all(client: &mut Client, to: &str) {
    for n in 0..MANY {
        client.says(to, "text", json!(n)).await;
    }
}

async fn hears_them_all(client: &mut Client, from: &str) {
    for n in 0..MANY {
        let text = client.hears("text").await;
        assert_eq!((text.sender.as_str(), text.data()), (from, json!(n)));
    }
    client.checks_in().await;
    client.has_not_heard("text");
    client.has_not_heard("error");
}

async fn five_hundred_messages_each_way_arrive_in_order_and_once(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let (alice_id, bob_id) = (alice.id.clone(), bob.id.clone());
    tokio::join!(says_them_all(&mut alice, &bob_id), says_them_all(&mut bob, &alice_id));
    tokio::join!(hears_them_all(&mut alice, &bob_id), hears_them_all(&mut bob, &alice_id));
}

async fn what_is_said_to_one_and_to_all_keeps_one_order(house: &mut House) {
    let [mut alice, mut bob, mut carol] = house.meet(["Alice", "Bob", "Carol"], "capsule").await;
    for n in 0..100 {
        let to = if n % 2 == 0 { ROOM } else { &bob.id };
        alice.says(to, "text", json!(n)).await;
    }
    for n in 0..100 {
        assert_eq!(bob.hears("text").await.data(), n);
    }
    for n in (0..100).step_by(2) {
        assert_eq!(carol.hears("text").await.data(), n);
        assert_eq!(alice.hears("text").await.data(), n);
    }
}

async fn one_who_says_too_much_at_once_is_heard_a_little_later(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let before = Instant::now();
    for n in 0..120 {
        alice.says(&bob.id, "text", json!(n)).await;
    }
    for n in 0..120 {
        assert_eq!(bob.hears("text").await.data(), n);
    }
    let a_second = Duration::from_secs(1);
    assert!(
        before.elapsed() > a_second * 8 / 10,
        "a hundred over the burst take a second: {:?}",
        before.elapsed()
    );
    alice.checks_in().await;
    alice.has_not_heard("error");
}

async fn one_who_does_not_read_is_sent_away_and_the_others_go_on(house: &mut House) {
    let [mut alice, mut bob, mut carol] = house.meet(["Alice", "Bob", "Carol"], "capsule").await;
    bob.drops().await;
    let mut deaf = bob.pass.knocks().await.expect("a wire");
    let page = "x".repeat(100 * 1024);
    let (mut said, mut told) = (0, 0);
    // The sockets in between hold a few megabytes, the mailbox one; then the sender is told.
    while told == 0 {
        alice.says(&bob.id, "text", json!([said, page])).await;
        said += 1;
        alice.checks_in().await;
        told += alice.forgets("error");
        assert!(said < 500, "all of it went somewhere");
    }
    carol.says(&alice.id, "text", json!("who waits for Bob?")).await;
    alice.hears("text").await;

    // Long after that he reads again: what was on its way, and the end; when he comes back, what was held.
    house.node_of("Bob").counts("signal_goodbyes_total{reason=\"slow\"}", |slow| slow > 0.0).await;
    let number = |text: &str| {
        let frame: Value = serde_json::from_str(text).expect("JSON");
        frame["data"][0].as_u64().and_then(|n| usize::try_from(n).ok())
    };
    let mut heard = Vec::new();
    let code = loop {
        match common::within("what was on its way", deaf.next()).await {
            Some(Ok(Message::Text(text))) => heard.extend(number(&text)),
            Some(Ok(Message::Close(close))) => break close.map(|close| u16::from(close.code)),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break None,
        }
    };
    assert!(matches!(code, Some(4008) | None), "slow: {code:?}");
    bob.comes_back().await;
    // Not before he has taken what was held for him is there room for more.
    bob.checks_in().await;
    alice.says(&bob.id, "the end", json!(null)).await;
    bob.hears("the end").await;
    while bob.has("text") {
        heard.extend(number(&bob.hears("text").await.raw));
    }
    bob.says(&alice.id, "the end", json!(null)).await;
    alice.hears("the end").await;
    told += alice.forgets("error");
    // Around a reconnect a message may come twice, but none gets lost or overtakes another one.
    let mut first_times: Vec<usize> = Vec::new();
    for n in heard {
        if !first_times.contains(&n) {
            first_times.push(n);
        }
    }
    assert!(first_times.is_sorted(), "{first_times:?}");
    assert_eq!(first_times.len(), said - told, "of {said} {told} were told: {first_times:?}");
}
