//! camus with the subprotocol `switchboard.v1`: who wants to know what became of what she said hears it, and nothing
//! twice.

use std::collections::HashSet;

use crate::common::{self, Browser, House, Node, PLAIN, ROOM, SERVER, Settings, Wire, scenes, within};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_tungstenite::tungstenite::Message;

/// More is held for one who is away than one sender may have open.
const HOLDING: Settings<'_> = &[("MAILBOX__MESSAGES", "2000"), ("LIMITS__MESSAGE_BURST", "2000")];

scenes!(both, PLAIN;
    the_first_word_is_what_the_connection_is,
    a_message_with_a_name_is_accepted_when_it_is_safe,
    a_message_that_is_said_again_does_nothing_twice,
    what_does_not_arrive_is_told_by_its_name,
    who_speaks_plain_camus_sees_no_difference,
);
scenes!(one_node, HOLDING; of_more_than_may_be_open_each_is_told);
scenes!(two_nodes, PLAIN;
    after_a_crash_each_message_is_heard_once_and_in_order,
    who_is_sent_to_another_node_is_told_before,
);

/// Somebody who gives her messages names, keeps them until they are accepted, and drops what she has heard before. She
/// reads, and answers WebSocket pings, all the time.
struct Talker {
    id: String,
    token: String,
    browser: Browser,
    mouth: SplitSink<Wire, Message>,
    ear: UnboundedReceiver<Value>,
    resumed: bool,
    said: u64,
    unaccepted: Vec<Value>,
    known: HashSet<String>,
    kept: Vec<Value>,
}

impl Talker {
    async fn enters(house: &House, name: &str) -> Self {
        let mut browser = house.browser(name);
        browser.subprotocol = Some("chat, switchboard.v1".into());
        let pass = browser.clone().gets_into("capsule", json!({ "username": name })).await;
        let (mouth, ear) = knocks(&browser, &pass.token).await;
        let mut talker = Self {
            id: pass.id.clone(),
            token: pass.token.clone(),
            browser,
            mouth,
            ear,
            resumed: false,
            said: 0,
            unaccepted: Vec::new(),
            known: HashSet::new(),
            kept: Vec::new(),
        };
        talker.is_greeted().await;
        talker.writes(&json!({ "receiver": SERVER, "type": "get-room-info" })).await;
        talker.hears("room-info").await;
        talker
    }

    async fn is_greeted(&mut self) {
        let first = self.next().await;
        assert_eq!((&first["sender"], &first["type"]), (&json!(SERVER), &json!("session")), "{first}");
        assert_eq!(first["receiver"], self.id.as_str());
        let session = &first["data"];
        self.token = session["token"].as_str().expect("a token").to_owned();
        self.resumed = session["resumed"].as_bool().expect("a boolean");
        assert_eq!((&session["ping_interval"], &session["grace"]), (&json!(30_000), &json!(90_000)));
        assert_eq!(session["max_message_bytes"], 256 * 1024);
    }

    async fn comes_back_through(&mut self, node: &Node) {
        self.browser.turns_to(node);
        (self.mouth, self.ear) = knocks(&self.browser, &self.token).await;
        self.is_greeted().await;
        for message in self.unaccepted.clone() {
            self.writes(&message).await;
        }
    }

    async fn writes(&mut self, message: &Value) {
        let written = within("room in the socket", self.mouth.send(Message::text(message.to_string()))).await;
        written.expect("she is connected");
    }

    /// Says something; its name.
    async fn says(&mut self, to: &str, data: Value) -> String {
        self.said += 1;
        let id = format!("{}", self.said);
        let message = json!({ "receiver": to, "type": "text", "data": data, "id": id });
        self.unaccepted.push(message.clone());
        self.writes(&message).await;
        id
    }

    /// Her node knows of whoever has this id.
    async fn finds(&mut self, id: &str) {
        loop {
            self.writes(&json!({ "receiver": SERVER, "type": "get-room-info" })).await;
            if self.hears("room-info").await.to_string().contains(id) {
                return;
            }
        }
    }

    async fn next(&mut self) -> Value {
        let what = format!("a frame at {}, who has heard {:?}", self.browser.name, self.kept);
        within(&what, self.ear.recv()).await.expect("she is connected")
    }

    /// The next of this type that she has not heard before; others are kept.
    async fn hears(&mut self, kind: &str) -> Value {
        if let Some(place) = self.kept.iter().position(|frame| frame["type"] == kind) {
            return self.kept.remove(place);
        }
        loop {
            let frame = self.next().await;
            if frame["type"] == "accepted" {
                self.unaccepted.retain(|message| message["id"] != frame["data"]["id"]);
            }
            let is_new = frame["id"].as_str().is_none_or(|id| self.known.insert(id.to_owned()));
            if is_new && frame["type"] == kind {
                return frame;
            }
            if is_new {
                self.kept.push(frame);
            }
        }
    }
}

async fn knocks(browser: &Browser, token: &str) -> (SplitSink<Wire, Message>, UnboundedReceiver<Value>) {
    let wire = browser.knocks(&format!("/room/capsule/ws?token={token}")).await;
    let wire = wire.unwrap_or_else(|refused| panic!("{}: {refused:?}", browser.name));
    let (mouth, mut listened) = wire.split();
    let (heard, ear) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = listened.next().await {
            let frame = match message {
                Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
                Message::Close(close) => json!({ "close": close.map(|close| u16::from(close.code)) }),
                _ => continue,
            };
            if heard.send(frame).is_err() {
                return;
            }
        }
    });
    (mouth, ear)
}

/// Alice and Bob, as soon as her node knows of him.
async fn meet(house: &House) -> (Talker, Talker) {
    let (mut alice, bob) = (Talker::enters(house, "Alice").await, Talker::enters(house, "Bob").await);
    alice.finds(&bob.id).await;
    (alice, bob)
}

async fn the_first_word_is_what_the_connection_is(house: &mut House) {
    let mut alice = Talker::enters(house, "Alice").await;
    assert!(!alice.resumed, "she has not been here before");
    let [mut bob] = house.meet(["Bob"], "capsule").await;
    bob.says(&alice.id, "text", json!(1)).await;
    bob.checks_in().await;
    alice.comes_back_through(house.other_node("Alice")).await;
    assert!(alice.resumed);
    assert_eq!(alice.hears("text").await["data"], 1);
}

async fn a_message_with_a_name_is_accepted_when_it_is_safe(house: &mut House) {
    let (mut alice, mut bob) = meet(house).await;
    let to_one = alice.says(&bob.id, json!("one")).await;
    let to_all = alice.says(ROOM, json!("all")).await;
    for text in ["one", "all"] {
        let heard = bob.hears("text").await;
        assert_eq!(heard["data"], text);
        assert_eq!(heard["id"].as_str().map(str::len), Some(16), "{heard}");
    }
    alice.hears("text").await;
    let mut accepted = HashSet::new();
    for _ in 0..2 {
        accepted.insert(alice.hears("accepted").await["data"]["id"].as_str().expect("a name").to_owned());
    }
    assert_eq!(accepted, HashSet::from([to_one, to_all]));
    assert!(alice.unaccepted.is_empty());
}

async fn a_message_that_is_said_again_does_nothing_twice(house: &mut House) {
    let (mut alice, mut bob) = meet(house).await;
    let [mut dave] = house.meet(["Dave"], "capsule").await;
    alice.finds(&dave.id).await;
    for to in [bob.id.clone(), dave.id.clone()] {
        let message = json!({ "receiver": to, "type": "text", "data": 1, "id": format!("to {to}") });
        for _ in 0..3 {
            alice.writes(&message).await;
        }
    }
    alice.says(&bob.id, json!(2)).await;
    alice.says(&dave.id, json!(2)).await;
    // Counted as they come: what Bob has heard before he would drop.
    let mut heard = Vec::new();
    while heard.last() != Some(&json!(2)) {
        let frame = bob.next().await;
        if frame["type"] == "text" {
            heard.push(frame["data"].clone());
        }
    }
    assert_eq!(heard, [json!(1), json!(2)]);
    for n in [1, 2] {
        assert_eq!(dave.hears("text").await.data(), n);
    }
    for _ in 0..4 {
        alice.hears("accepted").await;
    }
}

async fn what_does_not_arrive_is_told_by_its_name(house: &mut House) {
    let mut alice = Talker::enters(house, "Alice").await;
    let id = alice.says("nobody", json!(1)).await;
    let told = alice.hears("undeliverable").await;
    assert_eq!(told["data"], json!({ "id": id, "receiver": "nobody", "reason": "absent" }));
    alice.hears("accepted").await;
    alice.writes(&json!({ "receiver": "nobody", "type": "text", "data": 1 })).await;
    let told = alice.hears("error").await;
    assert!(
        told["data"].as_str().is_some_and(|why| why.contains("nobody")),
        "without a name as ever: {told}"
    );
    alice.writes(&json!({ "receiver": "nobody", "type": "text", "id": "" })).await;
    let told = alice.hears("error").await;
    assert_eq!(told["data"], "id: expected a string of 1 to 64 characters");
}

async fn of_more_than_may_be_open_each_is_told(house: &mut House) {
    const OPEN: usize = 1024;
    let mut alice = Talker::enters(house, "Alice").await;
    let mut bob = house.enters("Bob", "capsule").await;
    bob.drops().await;
    let mut last = String::new();
    for n in 0..=OPEN {
        last = alice.says(&bob.id, json!(n)).await;
    }
    let told = alice.hears("undeliverable").await;
    assert_eq!(told["data"], json!({ "id": last, "receiver": bob.id, "reason": "full" }));
    assert_eq!(alice.hears("accepted").await["data"]["id"], *last, "it need not be said again");
    bob.comes_back().await;
    for n in 0..OPEN {
        assert_eq!(bob.hears("text").await.data(), n);
        alice.hears("accepted").await;
    }
}

async fn who_speaks_plain_camus_sees_no_difference(house: &mut House) {
    let mut alice = Talker::enters(house, "Alice").await;
    let mut bob = house.enters("Bob", "capsule").await;
    alice.finds(&bob.id).await;
    alice.says(&bob.id, json!("hello")).await;
    let expected = common::frame(&alice.id, &bob.id, "text", "\"hello\"");
    bob.hears_exactly(&expected).await;
    bob.says(&alice.id, "text", json!("hello yourself")).await;
    let heard = alice.hears("text").await;
    assert!(heard["id"].is_string(), "whoever said it: {heard}");
    alice.hears("accepted").await;
    bob.has_not_heard("session");
    bob.has_not_heard("accepted");
}

async fn after_a_crash_each_message_is_heard_once_and_in_order(house: &mut House) {
    let (mut alice, mut bob) = meet(house).await;
    for n in 0..100 {
        alice.says(&bob.id, json!(n)).await;
        bob.says(&alice.id, json!(n)).await;
        if n == 50 {
            // Some of it has been heard, and nobody knows that it has.
            assert_eq!(bob.hears("text").await["data"], 0);
            house.loses_the_node_of("Bob");
            bob.comes_back_through(house.node_of("Alice")).await;
            bob.writes(&json!({ "receiver": SERVER, "type": "get-room-info" })).await;
        }
    }
    for n in 0..100 {
        if n > 0 {
            assert_eq!(bob.hears("text").await["data"], n);
        }
        assert_eq!(alice.hears("text").await["data"], n);
    }
    for talker in [&mut alice, &mut bob] {
        while !talker.unaccepted.is_empty() {
            talker.hears("accepted").await;
        }
    }
}

async fn who_is_sent_to_another_node_is_told_before(house: &mut House) {
    let (mut alice, mut bob) = meet(house).await;
    alice.says(&bob.id, json!(1)).await;
    bob.hears("text").await;
    house.asks_the_node_to_stop("Bob");
    let told = bob.hears("going-away").await;
    assert!(told["data"]["reconnect_after_ms"].as_u64().is_some_and(|after| after <= 1_000), "{told}");
    alice.says(&bob.id, json!(2)).await;
    assert_eq!(bob.next().await["close"], 1012);
    bob.comes_back_through(house.node_of("Alice")).await;
    assert_eq!(bob.hears("text").await["data"], 2);
    assert!(house.sees_the_node_stop("Bob").await.success());
}
