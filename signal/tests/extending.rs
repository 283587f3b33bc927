//! Nodes that a program has built on this library: the examples, as they stand, and what handlers may do and may not.

#[path = "../examples/members_only.rs"]
#[allow(dead_code, reason = "its `main` is not called")]
mod members_only;
#[path = "../examples/whiteboard.rs"]
#[allow(dead_code, reason = "its `main` is not called")]
mod whiteboard;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::{Browser, House, Talker, until, within};
use futures_util::SinkExt;
use house::settings::Secret;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use signal::handlers::{
    Call, FromCall, Limits, Lobby, MessageType, Payload, Problem, RegistrationError, Server, Target, User,
};
use signal::node::{Builder, Node, StartError};
use signal::settings::{RedisUrl, Settings};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

/// What a node of a scene is told.
fn settings() -> Settings {
    let mut settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), ..Settings::default() };
    settings.ops.listen = settings.listen;
    (settings.drain.wait, settings.drain.spread) = (Duration::ZERO, Duration::ZERO);
    settings.session.secret = Some(Secret::new("the scenes' secret, which is long enough"));
    settings
}

async fn start(builder: Builder) -> Node {
    let node = builder.start().await.unwrap();
    let ready = async || Browser::at(node.ops_address).get("/ready").await.status == 200;
    until("the node to be ready", ready).await;
    node
}

/// A connection to the lobby, and who that is to the others.
async fn comes(node: &Node, name: &str) -> (Talker, Value) {
    let mut talker = Talker::knocks(&Browser::at(node.address), "/mesh").await;
    name.clone_into(&mut talker.name);
    talker.tells(json!({ "type": "CONFIRM_ID", "payload": { "name": name } })).await;
    let (heard, _) = talker.hears_any("CONFIRM_ID").await;
    let heard: Value = serde_json::from_str(&heard).unwrap();
    (talker, heard["payload"]["user"].clone())
}

async fn asks(talker: &mut Talker, kind: &str, payload: Value) {
    talker.tells(json!({ "type": kind, "payload": payload })).await;
}

async fn learns(talker: &mut Talker, kind: &str, payload: Value) {
    talker.learns(json!({ "type": kind, "payload": payload })).await;
}

async fn is_told(talker: &mut Talker, why: &str) {
    let (heard, _) = talker.hears_any(why).await;
    let heard: Value = serde_json::from_str(&heard).unwrap();
    assert_eq!(heard["type"], "ERROR", "{heard}");
    assert!(heard["payload"]["message"].as_str().unwrap().contains(why), "{heard}");
}

#[tokio::test]
async fn strokes_reach_everybody_else_on_all_nodes_and_what_is_no_stroke_is_told_why() {
    let house = House::redis_alone().await;
    let node = || {
        let mut settings = settings();
        settings.redis.url = Some(RedisUrl::try_from(house.redis_url()).unwrap());
        start(whiteboard::node(settings))
    };
    let (one, other) = (node().await, node().await);
    let (mut alice, user) = comes(&one, "Alice").await;
    let (mut bob, _) = comes(&other, "Bob").await;
    until("the two to be in one list", async || one.server().users().await.unwrap().len() == 2).await;
    asks(&mut alice, "STROKE", json!({ "color": "#ff8800", "points": [[0.0, 0.0], [10.5, 20.0]] })).await;
    let drawn = json!({ "user": user, "color": "#ff8800", "points": [[0.0, 0.0], [10.5, 20.0]] });
    learns(&mut bob, "STROKE", drawn).await;
    asks(&mut alice, "WIPE", json!({ "user": 7, "why": "new" })).await;
    for talker in [&mut alice, &mut bob] {
        learns(talker, "WIPE", json!({ "user": user, "why": "new" })).await;
    }
    for (stroke, why) in [
        (json!({ "color": "red", "points": [] }), "`red` is no color; right would be like `#ff8800`"),
        (json!({ "color": "#ff8800" }), "missing field `points`"),
        (json!({ "color": "#ff8800", "points": [[1]] }), "STROKE: the payload: invalid length 1"),
        (json!({ "color": "#ff8800", "points": vec![(1.5, 1.5); 2000] }), "right would be 8192 at most"),
    ] {
        asks(&mut alice, "STROKE", stroke).await;
        is_told(&mut alice, why).await;
    }
    asks(&mut bob, "?", json!({})).await;
    is_told(
        &mut bob,
        "right would be one of ANSWER, CANDIDATE, CLIENTS, CONFIRM_ID, JOIN, OFFER, STROKE, WIPE",
    )
    .await;
    within("the end", Box::pin(async { tokio::join!(one.drain(), other.drain()) })).await;
}

/// A service that knows who its members are by their cookies or tokens.
struct Service {
    address: std::net::SocketAddr,
    serving: JoinHandle<()>,
}

impl Service {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((io, _)) = listener.accept().await {
                let serve = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(io), service_fn(who_is_it));
                connections.spawn(async move { drop(serve.await) });
            }
        });
        Self { address, serving }
    }

    async fn closes(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}

async fn who_is_it(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header =
        |name: &str| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (status, body) = match (&*header("cookie"), &*header("authorization")) {
        ("session=ada", _) | (_, "Bearer ada") => (StatusCode::OK, r#"{"name":"Ada"}"#),
        ("session=eve", _) => (StatusCode::FORBIDDEN, ""),
        ("session=slow", _) => return pending().await,
        ("session=broken", _) => (StatusCode::OK, "<html>"),
        _ => (StatusCode::UNAUTHORIZED, ""),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    Ok(response)
}

#[tokio::test]
async fn only_members_come_in_and_by_the_names_that_they_have() {
    let service = Service::open().await;
    let url = format!("http://{}/me", service.address).parse().unwrap();
    let node = start(members_only::node(settings(), url)).await;
    let with = |session: &str| {
        let mut browser = Browser::at(node.address);
        browser.writes_cookie("session", session);
        browser
    };
    let mut ada = Talker::knocks(&with("ada"), "/mesh").await;
    asks(&mut ada, "CONFIRM_ID", json!({ "name": "Eve" })).await;
    let (heard, _) = ada.hears_any("CONFIRM_ID").await;
    assert!(heard.contains(r#""name":"Ada""#), "{heard}");
    let _ = Talker::knocks(&with("ada"), "/y-webrtc").await;
    for path in ["/mesh", "/ws", "/y-webrtc", "/peerjs?key=peerjs&id=x&token=y", "/room/tea/ws?token=x"] {
        for (session, status) in [("nobody", 401), ("eve", 403), ("broken", 503)] {
            let refused = with(session).knocks(path).await.expect_err(path);
            // What the protocol itself wants is looked at first.
            let expected = if path.starts_with("/room") { 403 } else { status };
            assert_eq!(refused.status, expected, "{path} {session}: {refused:?}");
            refused.is_refusal(expected);
        }
    }
    let late = with("slow").knocks("/mesh").await.expect_err("nobody has said that she may");
    assert_eq!((late.status, late.header("retry-after").is_empty()), (503, false), "{late:?}");
    service.closes().await;
    let down = with("ada").knocks("/mesh").await.expect_err("there is nobody to ask");
    assert_eq!((down.status, down.header("retry-after").is_empty()), (503, false), "{down:?}");
    // Who is in stays.
    asks(&mut ada, "CLIENTS", json!({})).await;
    let (heard, _) = ada.hears_any("CLIENTS").await;
    assert!(heard.contains(r#""name":"Ada""#), "{heard}");
}

/// An extractor of the program's own, which takes its time.
struct Hands(u8);

impl FromCall for Hands {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        tokio::task::yield_now().await;
        let hands = serde_json::from_str::<Value>(call.payload().get()).ok();
        let hands = hands.and_then(|payload| payload["hands"].as_u64()).and_then(|n| n.try_into().ok());
        hands.map(Self).ok_or_else(|| Problem::new("no hands; right would be a number of them"))
    }
}

#[tokio::test]
async fn parameters_come_in_any_order_and_number_and_may_be_of_ones_own() {
    async fn nothing() {}
    async fn all(
        Hands(hands): Hands,
        lobby: Lobby,
        kind: MessageType,
        Payload(said): Payload<Value>,
        Target(to): Target,
        user: User,
    ) -> Result<(), Problem> {
        let told = json!({ "kind": &*kind, "hands": hands, "said": said, "from": user.name() });
        lobby.tell(&to, "TOLD", &told).await?;
        lobby.answer("DONE", &json!({ "to": to })).await
    }
    let node = start(
        Node::builder(settings())
            .register_handler(&["NOTHING"], nothing)
            .register_handler(&["ONE", "TWO"], all),
    )
    .await;
    let (mut alice, _) = comes(&node, "Alice").await;
    let (mut bob, user) = comes(&node, "Bob").await;
    asks(&mut alice, "NOTHING", json!({})).await;
    for kind in ["ONE", "TWO"] {
        alice.tells(json!({ "type": kind, "payload": { "hands": 2 }, "target": { "id": user["id"] } })).await;
        learns(&mut alice, "DONE", json!({ "to": user["id"] })).await;
        let told = json!({ "kind": kind, "hands": 2, "said": { "hands": 2 }, "from": "Alice" });
        learns(&mut bob, "TOLD", told).await;
    }
    asks(&mut alice, "ONE", json!({})).await;
    is_told(&mut alice, "no hands; right would be a number of them").await;
    asks(&mut alice, "ONE", json!({ "hands": 1 })).await;
    is_told(&mut alice, "ONE: no `target`").await;
}

#[tokio::test]
async fn the_server_speaks_for_itself_to_one_and_to_all() {
    async fn ring(server: Server) -> Result<(), Problem> {
        server.tell_everyone("BELL", &json!({})).await
    }
    let node = start(Node::builder(settings()).register_handler(&["RING"], ring)).await;
    let server = node.server();
    server.tell_everyone("NEWS", &json!({ "nobody": "hears" })).await.unwrap();
    let (mut alice, _) = comes(&node, "Alice").await;
    let (mut bob, _) = comes(&node, "Bob").await;
    let users = server.users().await.unwrap();
    assert_eq!(users.iter().map(User::name).collect::<Vec<_>>(), [Some("Alice".into()), Some("Bob".into())]);
    server.tell(&users[0].id, "NEWS", &json!({ "n": 1 })).await.unwrap();
    server.tell_everyone("NEWS", &json!({ "n": 2 })).await.unwrap();
    learns(&mut alice, "NEWS", json!({ "n": 1 })).await;
    for talker in [&mut alice, &mut bob] {
        learns(talker, "NEWS", json!({ "n": 2 })).await;
    }
    asks(&mut bob, "RING", json!({})).await;
    learns(&mut alice, "BELL", json!({})).await;
    learns(&mut bob, "BELL", json!({})).await;
    assert!(server.tell_everyone("NEWS", &"no object").await.is_err());
}

#[tokio::test]
async fn a_handler_that_panics_or_takes_too_long_is_given_up_and_nobody_else_notices() {
    async fn breaks() {
        panic!("on purpose");
    }
    async fn sleeps() {
        pending::<()>().await;
    }
    let short = Limits { deadline: Duration::from_millis(300), ..Limits::default() };
    let builder = Node::builder(settings()).register_handler(&["BREAK"], breaks);
    let node = start(builder.register_handler_with(&["SLEEP"], short, sleeps)).await;
    let (mut alice, _) = comes(&node, "Alice").await;
    let (mut bob, bobs) = comes(&node, "Bob").await;
    asks(&mut alice, "BREAK", json!({})).await;
    is_told(&mut alice, "BREAK: the server failed at it").await;
    asks(&mut alice, "SLEEP", json!({})).await;
    alice.tells(json!({ "type": "OFFER", "payload": {}, "target": { "id": bobs["id"] } })).await;
    // Others go on, and what is for her comes while she waits.
    asks(&mut bob, "JOIN", json!({})).await;
    learns(&mut alice, "JOIN", json!({ "user": bobs })).await;
    is_told(&mut alice, "SLEEP: the server has not done it within 300ms").await;
    let (heard, _) = bob.hears_any("the offer, after what was said before it").await;
    assert!(heard.starts_with(r#"{"type":"OFFER""#), "{heard}");
    let counted = Browser::at(node.ops_address).get("/metrics").await.body;
    for (kind, reason, failures) in
        [("BREAK", "panicked", 1), ("BREAK", "late", 0), ("SLEEP", "late", 1), ("OFFER", "panicked", 0)]
    {
        let line =
            format!("signal_handler_failures_total{{reason=\"{reason}\",type=\"{kind}\"}} {failures}\n");
        assert!(counted.contains(&line), "{line}{counted}");
    }
}

#[tokio::test]
async fn a_handler_goes_on_while_its_caller_does_not_take_what_is_written_to_her() {
    let [begun, gate, done] = [(); 3].map(|()| Arc::new(Semaphore::new(0)));
    let wait = {
        let (begun, gate, done) = (begun.clone(), gate.clone(), done.clone());
        move || {
            let (begun, gate, done) = (begun.clone(), gate.clone(), done.clone());
            async move {
                begun.add_permits(1);
                gate.acquire().await.unwrap().forget();
                done.add_permits(1);
            }
        }
    };
    let mut settings = settings();
    (settings.mailbox.bytes, settings.socket.write_timeout) = (32 << 20, Duration::from_secs(60));
    let node = start(Node::builder(settings).register_handler(&["WAIT"], wait)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = within("a connection", socket.connect(node.address)).await.unwrap();
    let url = format!("ws://{}/mesh", node.address);
    let (mut alice, _) = within("a socket", client_async(url, stream)).await.unwrap();
    let asks = json!({ "type": "WAIT", "payload": {} }).to_string();
    within("room for a frame", alice.send(Message::text(asks))).await.unwrap();
    let _ = within("the handler to begin", begun.acquire()).await.unwrap();

    let (server, much) = (node.server(), json!({ "much": "x".repeat(200_000) }));
    let id = server.users().await.unwrap()[0].id.clone();
    for _ in 0..100 {
        server.tell(&id, "MUCH", &much).await.unwrap();
    }
    within("the first of it", alice.get_ref().readable()).await.unwrap();
    gate.add_permits(1);
    let _ = within("the handler to be done", done.acquire()).await.unwrap();
}

#[tokio::test]
async fn messages_of_one_connection_are_handled_in_order_and_no_more_at_once_than_may() {
    let (running, most, gate) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let count = {
        let (running, most, gate) = (running.clone(), most.clone(), gate.clone());
        move |Payload(said): Payload<Value>, lobby: Lobby| {
            let (running, most, gate) = (running.clone(), most.clone(), gate.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                running.fetch_sub(1, Ordering::SeqCst);
                lobby.answer("COUNTED", &said).await
            }
        }
    };
    let two = Limits { at_once: 2, ..Limits::default() };
    let node = start(Node::builder(settings()).register_handler_with(&["COUNT"], two, count)).await;
    let mut talkers = Vec::new();
    for name in ["Alice", "Bob", "Carol", "Dave"] {
        talkers.push(Box::pin(comes(&node, name)).await.0);
    }
    for talker in &mut talkers {
        for n in 0..10 {
            asks(talker, "COUNT", json!({ "n": n })).await;
        }
    }
    until("two to be at it", async || running.load(Ordering::SeqCst) == 2).await;
    gate.add_permits(40);
    for talker in &mut talkers {
        for n in 0..10 {
            learns(talker, "COUNTED", json!({ "n": n })).await;
        }
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_handler_may_take_the_place_of_the_protocols_own() {
    async fn quiet(user: User, lobby: Lobby) -> Result<(), Problem> {
        lobby.answer("WELCOME", &json!({ "user": user })).await
    }
    let node = start(Node::builder(settings()).register_handler(&["JOIN"], quiet)).await;
    let (mut alice, user) = comes(&node, "Alice").await;
    asks(&mut alice, "JOIN", json!({})).await;
    learns(&mut alice, "WELCOME", json!({ "user": user })).await;
}

#[tokio::test]
async fn a_type_that_is_registered_twice_stops_the_start_and_both_are_named() {
    async fn first() {}
    async fn second() {}
    let builder =
        Node::builder(settings()).register_handler(&["A", "B"], first).register_handler(&["B"], second);
    let Err(error) = builder.start().await else { panic!("it starts") };
    let told = error.to_string();
    assert!(matches!(error, StartError::Handlers(RegistrationError::Twice { .. })), "{told}");
    assert!(told.contains("`B`") && told.contains("::first") && told.contains("::second"), "{told}");
    let Err(error) = Node::builder(settings()).register_handler(&[], first).start().await else {
        panic!("it starts")
    };
    assert!(error.to_string().contains("::first is registered for no message type"), "{error}");
}
