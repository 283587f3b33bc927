//! A hundred thousand odd frames in each protocol, over a real socket: it stays open, and nobody else hears anything.

use crate::common::{House, Settings, Talker, play_for};
use rand::prelude::{IndexedRandom, IteratorRandom};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const FRAMES: usize = 100_000;
const CURTAIN: Duration = Duration::from_secs(300);
/// So many are sent before it is asked whether they were read.
const AT_ONCE: usize = 200;
/// Nobody is held back here.
const GENEROUS: Settings<'_> = &[
    ("LIMITS__MESSAGES_PER_SECOND", "1000000"),
    ("LIMITS__MESSAGE_BURST", "1000000"),
    ("LIMITS__BYTES_PER_SECOND", "1GiB"),
    ("LIMITS__BYTE_BURST", "1GiB"),
];

/// A protocol, as somebody sees it who breaks it.
struct Protocol {
    /// What its frames look like.
    examples: &'static [&'static str],
    /// Whether a frame means something in it: then it is not odd.
    means_something: fn(&Value) -> bool,
    /// What is answered by something that names the number.
    marker: fn(usize) -> String,
}

fn is_text(value: &Value) -> bool {
    value.is_string()
}

const CAMUS: Protocol = Protocol {
    examples: &[
        r#"{"receiver":"room","type":"text","data":{"from":"Ted","time":1,"text":"All we are is dust"}}"#,
        r#"{"sender":"bob","receiver":"room","type":"offer","data":{"type":"offer","sdp":"v=0\r\n"}}"#,
        r#"{"receiver":"ground control","type":"profile","data":{"username":"Bill"}}"#,
    ],
    means_something: |frame| is_text(&frame["receiver"]) && is_text(&frame["type"]),
    marker: |n| json!({ "receiver": "ground control", "type": "ping", "data": n }).to_string(),
};
const SHARE: Protocol = Protocol {
    examples: &[
        r#"{"type":"STOP_SHARING","username":"bob"}"#,
        r#"{"type":"RCP_OFFER","username":"bob","sdp":{"type":"offer","sdp":"v=0\r\n"}}"#,
        r#"{"type":"ICE_CANDIDATE","candidate":"candidate:1 1 udp"}"#,
    ],
    means_something: |frame| is_text(&frame["type"]),
    marker: |n| json!({ "type": format!("marker {n}") }).to_string(),
};
const DIRECT: Protocol = Protocol {
    examples: &[
        r#"{"originator":"bob","target":"bob","type":"OFFER","payload":{"sdp":"v=0\r\n"}}"#,
        r#"{"target":"bob","type":"CANDIDATE","payload":null}"#,
    ],
    means_something: |frame| is_text(&frame["target"]) && is_text(&frame["type"]),
    marker: |n| json!({ "target": "eve", "type": "marker", "payload": n }).to_string(),
};
const PEERJS: Protocol = Protocol {
    examples: &[
        r#"{"type":"OFFER","src":"bob","dst":"bob","payload":{"sdp":{"type":"offer","sdp":"v=0\r\n"}}}"#,
        r#"{"type":"LEAVE","dst":"bob"}"#,
    ],
    means_something: |frame| is_text(&frame["type"]),
    marker: |n| json!({ "type": "OFFER", "dst": "eve", "payload": n }).to_string(),
};
const MESH: Protocol = Protocol {
    examples: &[
        r#"{"type":"OFFER","payload":{"offer":{"type":"offer","sdp":"v=0\r\n"},"user":{"id":"bob"}},"target":{"id":"bob"}}"#,
        r#"{"type":"JOIN","payload":{}}"#,
        r#"{"type":"CONFIRM_ID","payload":{"name":"bob"}}"#,
    ],
    means_something: |frame| is_text(&frame["type"]) && frame["payload"].is_object(),
    marker: |n| json!({ "type": format!("marker {n}"), "payload": {} }).to_string(),
};
const Y_WEBRTC: Protocol = Protocol {
    examples: &[
        r#"{"type":"publish","topic":"r","data":{"type":"announce","from":"bob"}}"#,
        r#"{"type":"subscribe","topics":["r","s"]}"#,
    ],
    means_something: |frame| is_text(&frame["type"]),
    marker: |n| json!({ "type": "publish", "topic": "marker", "n": n }).to_string(),
};

/// What stands in frames where something else should. Numbers that no machine holds, and halves of surrogate pairs, are not
/// among it: they are carried, as they are JSON, though not for the reader of this test.
const ODD: &[&str] = &[
    "null",
    "7",
    "-0",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"\\u0000\"",
    "\"x\"",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\u{0}",
    "\u{7f}",
    "\u{202e}",
    "😀",
    "NaN",
    "'",
    "//",
    "\u{feff}",
];

/// A frame that means nothing.
fn odd_frame(protocol: &Protocol, random: &mut StdRng) -> Message {
    loop {
        let mut text = (*protocol.examples.choose(random).unwrap()).to_owned();
        for _ in 0..random.random_range(1..4) {
            text = spoiled(&text, random);
        }
        let means_something = |frame: &Value| frame.is_object() && (protocol.means_something)(frame);
        if !serde_json::from_str::<Value>(&text).is_ok_and(|frame| means_something(&frame)) {
            return if random.random_ratio(1, 10) { Message::binary(text) } else { Message::text(text) };
        }
    }
}

fn spoiled(text: &str, random: &mut StdRng) -> String {
    let boundary = |random: &mut StdRng| text.char_indices().map(|(at, _)| at).choose(random).unwrap_or(0);
    let (a, b) = (boundary(random), boundary(random));
    let (from, to) = (a.min(b), a.max(b));
    let odd = ODD.choose(random).unwrap();
    match random.random_range(0..7) {
        0 => text[..from].to_owned(),
        1 => text[from..].to_owned(),
        2 => [&text[..from], &text[to..]].concat(),
        3 => [&text[..from], odd, &text[from..]].concat(),
        4 => [&text[..from], odd, &text[to..]].concat(),
        5 => [&text[..to], &text[from..]].concat(),
        _ => ["[", "{\"a\":"].choose(random).unwrap().repeat(random.random_range(1..300)) + text,
    }
}

/// Eve breaks the protocol, and is still there afterwards; Bob has heard nothing.
async fn breaks(protocol: &Protocol, eve: &mut Talker, bob: &mut Talker, bobs_marker: &str) {
    let mut random = StdRng::seed_from_u64(7);
    for n in 0..FRAMES / AT_ONCE {
        eve.sends_all((0..AT_ONCE).map(|_| odd_frame(protocol, &mut random))).await;
        eve.says(&(protocol.marker)(n)).await;
        while !answers(&eve.hears_any("the marker").await.0, n) {}
    }
    bob.says(bobs_marker).await;
    loop {
        let (heard, _) = bob.hears_any("his own marker").await;
        if answers(&heard, 77) {
            return;
        }
        // That Eve is there; and, where all of it takes long, whether Bob is.
        assert!(["\"room-info\"", "\"ping\""].iter().any(|kind| heard.contains(kind)), "{heard}");
    }
}

/// Whether it is the answer to the marker `n`.
fn answers(heard: &str, n: usize) -> bool {
    let frame: Value = serde_json::from_str(heard).unwrap_or_else(|e| panic!("{heard}: {e}"));
    let marker = Value::from(n);
    let says = |text: &Value| text.as_str().is_some_and(|text| text.contains(&format!("marker {n}")));
    [&frame["data"], &frame["payload"], &frame["n"]].contains(&&marker)
        || says(&frame["message"])
        || says(&frame["payload"]["message"])
}

#[tokio::test]
async fn odd_frames_of_camus() {
    play_for(CURTAIN, House::one_node(GENEROUS).await, async |house| {
        let mut both = Vec::new();
        for name in ["eve", "bob"] {
            let pass = house.browser(name).gets_into("odd", json!({ "username": name })).await;
            both.push(
                Talker::knocks(&house.browser(name), &format!("/room/odd/ws?token={}", pass.token)).await,
            );
        }
        let [mut eve, mut bob] = <[Talker; 2]>::try_from(both).ok().unwrap();
        breaks(&CAMUS, &mut eve, &mut bob, &(CAMUS.marker)(77)).await;
    })
    .await;
}

#[tokio::test]
async fn odd_frames_of_share() {
    play_for(CURTAIN, House::one_node(GENEROUS).await, async |house| {
        let mut bob = Talker::knocks(&house.browser("bob"), "/ws").await;
        bob.tells(json!({ "type": "CREATE_ROOM", "username": "bob" })).await;
        let created: Value = serde_json::from_str(&bob.hears_any("a room").await.0).unwrap();
        let mut eve = Talker::knocks(&house.browser("eve"), "/ws").await;
        eve.tells(json!({ "type": "JOIN_ROOM", "roomid": created["roomid"], "username": "eve" })).await;
        eve.hears_any("that she is in").await;
        bob.learns(json!({ "type": "USER_JOINED", "username": "eve" })).await;
        breaks(&SHARE, &mut eve, &mut bob, &(SHARE.marker)(77)).await;
    })
    .await;
}

#[tokio::test]
async fn odd_frames_of_direct() {
    play_for(CURTAIN, House::one_node(GENEROUS).await, async |house| {
        let mut both = Vec::new();
        for name in ["eve", "bob"] {
            let mut browser = house.browser(name);
            browser.posts("/v1/register", json!({ "username": name })).await;
            both.push(Talker::knocks(&browser, "/v1/connect").await);
        }
        let [mut eve, mut bob] = <[Talker; 2]>::try_from(both).ok().unwrap();
        breaks(&DIRECT, &mut eve, &mut bob, r#"{"target":"bob","type":"marker","payload":77}"#).await;
    })
    .await;
}

#[tokio::test]
async fn odd_frames_of_peerjs() {
    play_for(CURTAIN, House::one_node(GENEROUS).await, async |house| {
        let mut both = Vec::new();
        for name in ["eve", "bob"] {
            let path = format!("/peerjs?key=peerjs&id={name}&token=t{name}");
            let mut talker = Talker::knocks(&house.browser(name), &path).await;
            talker.hears(r#"{"type":"OPEN"}"#).await;
            both.push(talker);
        }
        let [mut eve, mut bob] = <[Talker; 2]>::try_from(both).ok().unwrap();
        breaks(&PEERJS, &mut eve, &mut bob, r#"{"type":"OFFER","dst":"bob","payload":77}"#).await;
    })
    .await;
}

#[tokio::test]
async fn odd_frames_of_y_webrtc() {
    play_for(CURTAIN, House::one_node(GENEROUS).await, async |house| {
        let mut eve = Talker::knocks(&house.browser("eve"), "/y-webrtc").await;
        let mut bob = Talker::knocks(&house.browser("bob"), "/y-webrtc").await;
        eve.tells(json!({ "type": "subscribe", "topics": ["marker"] })).await;
        bob.tells(json!({ "type": "subscribe", "topics": ["r", "bob"] })).await;
        let marker = r#"{"type":"publish","topic":"bob","n":77}"#;
        breaks(&Y_WEBRTC, &mut eve, &mut bob, marker).await;
    })
    .await;
}

#[tokio::test]
async fn odd_frames_of_mesh() {
    play_for(CURTAIN, House::one_node(GENEROUS).await, async |house| {
        let mut eve = Talker::knocks(&house.browser("eve"), "/mesh").await;
        let mut bob = Talker::knocks(&house.browser("bob"), "/mesh").await;
        breaks(&MESH, &mut eve, &mut bob, &(MESH.marker)(77)).await;
    })
    .await;
}
