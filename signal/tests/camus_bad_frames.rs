//! camus: what bad frames get. One that is no message gets an error, and the socket stays open; a breach of the
//! WebSocket protocol, or of the limits, closes it with the fitting code.

use crate::common::{self, Client, House, PLAIN, ROOM, SERVER, Settings, Wire, frame, scenes};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

const SMALL: Settings<'_> = &[("MAX_MESSAGE_BYTES", "4KiB")];
const LIMIT: usize = 4096;

scenes!(both, PLAIN;
    a_text_that_is_no_message_gets_an_error_and_nothing_else,
    a_binary_frame_gets_an_error,
    what_nests_too_deep_gets_an_error,
);

scenes!(one_node, PLAIN;
    text_that_is_not_utf_8_ends_the_connection,
    a_breach_of_the_websocket_protocol_ends_the_connection,
    a_websocket_ping_is_answered,
    what_is_sent_after_an_end_is_not_heard,
);

scenes!(both, SMALL;
    a_message_at_the_limit_passes_and_one_byte_more_ends_the_connection,
);

async fn a_text_that_is_no_message_gets_an_error_and_nothing_else(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let bad = [
        "",
        " ",
        "hello",
        "null",
        "7",
        "\"text\"",
        "{",
        "{}",
        "[]",
        r#"["","room","text",1]"#,
        r#"{"receiver":"room"}"#,
        r#"{"type":"text"}"#,
        r#"{"receiver":"room","kind":"text"}"#,
        r#"{"receiver":7,"type":"text"}"#,
        r#"{"receiver":null,"type":"text"}"#,
        r#"{"receiver":["room"],"type":"text"}"#,
        r#"{"receiver":"room","type":7}"#,
        r#"{"receiver":"room","type":null}"#,
        r#"{"receiver":"room","type":{}}"#,
        r#"{"receiver":"room","receiver":"room","type":"text"}"#,
        r#"{"receiver":"room","type":"text","type":"bye"}"#,
        r#"{"receiver":"room","type":"text","data":1,"data":2}"#,
        r#"{"receiver":"room","type":"text","data":}"#,
        r#"{"receiver":"room","type":"text","data":01}"#,
        r#"{"receiver":"room","type":"text","data":NaN}"#,
        r#"{"receiver":"room","type":"text","data":'x'}"#,
        r#"{"receiver":"room","type":"text","data":"\x"}"#,
        "{\"receiver\":\"room\",\"type\":\"text\",\"data\":\"a\nb\"}",
        r#"{"receiver":"room","type":"text",}"#,
        r#"{"receiver":"room","type":"text"} {}"#,
        r#"{"receiver":"room","type":"text"}{"receiver":"room","type":"text"}"#,
        r#"{"receiver":"room","type":"te"#,
        "\u{feff}{\"receiver\":\"room\",\"type\":\"text\"}",
        "\u{0}",
    ];
    for text in bad {
        alice.writes(text).await;
        let error = alice.hears_nothing_until("error").await;
        assert_eq!(error.sender, SERVER);
        assert!(error.data().as_str().is_some_and(|why| !why.is_empty()), "{text:?}: {}", error.raw);
    }
    alice.says(&bob.id, "the end", json!(null)).await;
    bob.hears_nothing_until("the end").await;
}

async fn a_binary_frame_gets_an_error(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    for bytes in [frame("", &bob.id, "text", "1").into_bytes(), vec![], vec![0xff, 0xfe, 0]] {
        alice.sends(Message::binary(bytes)).await;
        alice.hears_nothing_until("error").await;
    }
    alice.says(&bob.id, "the end", json!(null)).await;
    bob.hears_nothing_until("the end").await;
}

async fn what_nests_too_deep_gets_an_error(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let arrays = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    for deep in [&arrays, &objects] {
        for text in [
            frame("", &bob.id, "text", deep),
            frame("", SERVER, "ping", deep),
            format!(r#"{{"receiver":"{ROOM}","type":"text","ignored":{deep}}}"#),
            deep.clone(),
        ] {
            alice.writes(&text).await;
            alice.hears_nothing_until("error").await;
        }
    }
    alice.writes(&"[".repeat(100_000)).await;
    alice.hears_nothing_until("error").await;
    alice.says(&bob.id, "the end", json!("[".repeat(10_000))).await;
    bob.hears_nothing_until("the end").await;
}

/// Somebody in the room who has said hello, and her bare wire.
async fn a_wire(house: &House) -> (common::Pass, Wire) {
    let pass = house.browser("Alice").gets_into("capsule", json!({})).await;
    let wire = pass.knocks().await.expect("a wire");
    (pass, wire)
}

/// A client's frame with this first byte, masked with zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u16::try_from(payload.len()) {
        Ok(short @ ..126) => bytes.push(0x80 | short.to_be_bytes()[1]),
        Ok(long) => {
            bytes.push(0x80 | 126);
            bytes.extend(long.to_be_bytes());
        }
        Err(_) => unreachable!("no frame here is that long"),
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

const TEXT: u8 = 0x81;

async fn text_that_is_not_utf_8_ends_the_connection(house: &mut House) {
    for bad in [&b"\xff"[..], b"{\"receiver\":\"room\",\"type\":\"\xc3\"}", b"\xed\xa0\x80"] {
        let (pass, mut wire) = a_wire(house).await;
        wire.get_mut().write_all(&masked(TEXT, bad)).await.expect("it can be sent");
        Client::new(pass, wire).is_sent_away(1007).await;
    }
}

async fn a_breach_of_the_websocket_protocol_ends_the_connection(house: &mut House) {
    let unmasked = [&[TEXT, 2][..], b"{}"].concat();
    let breaches = [
        ("unmasked", unmasked),
        ("a reserved bit", masked(TEXT | 0x40, b"{}")),
        ("a reserved opcode", masked(0x83, b"{}")),
        ("a reserved control opcode", masked(0x8b, b"")),
        ("a fragmented ping", masked(0x09, b"")),
        ("a long ping", masked(0x89, &[b'x'; 126])),
        ("a continuation of nothing", masked(0x80, b"{}")),
        ("text amid fragments", [masked(0x01, b"{"), masked(TEXT, b"}")].concat()),
    ];
    for (what, bytes) in breaches {
        let (pass, mut wire) = a_wire(house).await;
        wire.get_mut().write_all(&bytes).await.expect("it can be sent");
        let end = Client::new(pass, wire).comes_to_an_end().await;
        assert_eq!(end, Some(1002), "{what}");
    }
}

async fn a_websocket_ping_is_answered(house: &mut House) {
    use futures_util::{SinkExt, StreamExt};
    let (_, mut wire) = a_wire(house).await;
    wire.send(Message::Ping("are you there?".into())).await.expect("it can be sent");
    let answer = common::within("a pong", wire.next()).await;
    assert_eq!(answer.expect("an answer").expect("a frame"), Message::Pong("are you there?".into()));
}

async fn what_is_sent_after_an_end_is_not_heard(house: &mut House) {
    let mut bob = house.enters("Bob", "capsule").await;
    let (pass, mut wire) = a_wire(house).await;
    let bytes = [masked(TEXT, b"\xff"), masked(TEXT, frame("", ROOM, "text", "1").as_bytes())].concat();
    wire.get_mut().write_all(&bytes).await.expect("it can be sent");
    Client::new(pass, wire).is_sent_away(1007).await;
    bob.checks_in().await;
    bob.has_not_heard("text");
}

async fn a_message_at_the_limit_passes_and_one_byte_more_ends_the_connection(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let around = frame("", &bob.id, "text", "\"\"").len();
    let fitting = json!("x".repeat(LIMIT - around)).to_string();
    alice.writes(&frame("", &bob.id, "text", &fitting)).await;
    bob.hears_exactly(&frame(&alice.id, &bob.id, "text", &fitting)).await;

    let larger = json!("x".repeat(LIMIT + 1 - around)).to_string();
    alice.writes(&frame("", &bob.id, "text", &larger)).await;
    alice.is_sent_away(1009).await;
    alice.comes_back().await;

    // In fragments that would pass one by one.
    let pass = alice.pass.clone();
    let mut wire = pass.knocks().await.expect("a wire");
    alice.is_sent_away(4001).await;
    let fragments = [masked(0x01, &[b' '; LIMIT]), masked(0x80, b" ")].concat();
    wire.get_mut().write_all(&fragments).await.expect("it can be sent");
    Client::new(pass, wire).is_sent_away(1009).await;

    alice.comes_back().await;
    alice.says(&bob.id, "the end", json!(null)).await;
    bob.hears_nothing_until("the end").await;
}
