//! Somebody in a room.

use std::collections::VecDeque;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::house::metric;
use super::{Browser, Node, Reply, SERVER, until, within};

/// An open WebSocket.
pub(crate) type Wire = WebSocketStream<TcpStream>;

const CONNECTIONS: &str = "signal_connections{dialect=\"camus\"}";

/// What lets somebody into a room.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// As whom.
    pub(crate) id: String,
    /// The proof.
    pub(crate) token: String,
    /// Which room.
    pub(crate) room: String,
    /// In whose browser.
    pub(crate) browser: Browser,
}

impl Pass {
    /// Knocks with the token: the wire, or why there is none.
    pub(crate) async fn knocks(&self) -> Result<Wire, Reply> {
        self.browser.knocks(&format!("/room/{}/ws?token={}", self.room, self.token)).await
    }

    /// Is connected, and silent.
    pub(crate) async fn connects(self) -> Client {
        let wire = self.knocks().await.unwrap_or_else(|refused| panic!("{}: {refused:?}", self.browser.name));
        Client::new(self, wire)
    }
}

/// Somebody in a room. She reads, and answers WebSocket pings, all the time; what she heard waits until the scene
/// asks for it.
pub(crate) struct Client {
    /// Who she is to the others.
    pub(crate) id: String,
    /// Her token, room and browser.
    pub(crate) pass: Pass,
    kept: VecDeque<Frame>,
    mouth: Option<SplitSink<Wire, Message>>,
    ear: UnboundedReceiver<Heard>,
    listening: JoinHandle<()>,
    pings: u64,
}

enum Heard {
    Text(String),
    Pong,
    End(Option<u16>),
}

/// A frame that somebody heard.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// As it came.
    pub(crate) raw: String,
    /// Who said it, in the server's words.
    pub(crate) sender: String,
    /// Its type.
    pub(crate) kind: String,
    /// Its payload, byte for byte.
    pub(crate) payload: String,
}

impl Frame {
    /// The payload.
    pub(crate) fn data(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap_or_else(|_| panic!("no JSON: {}", self.raw))
    }

    /// Reads a frame for `receiver`, and fails if it has not exactly the members that it should, in their order.
    fn read(raw: String, receiver: &str) -> Self {
        #[derive(Deserialize)]
        struct Members {
            sender: String,
            r#type: String,
            data: Box<RawValue>,
        }
        let members = serde_json::from_str(&raw);
        let Members { sender, r#type: kind, data } = members.unwrap_or_else(|e| panic!("{e}: {raw}"));
        let quoted = |text: &str| json!(text).to_string();
        let (from, to) = (quoted(&sender), quoted(receiver));
        let payload = data.get().to_owned();
        assert_eq!(
            raw,
            format!(r#"{{"sender":{from},"receiver":{to},"type":{},"data":{payload}}}"#, quoted(&kind))
        );
        Self { raw, sender, kind, payload }
    }
}

impl Client {
    /// The one at the end of `wire`.
    pub(crate) fn new(pass: Pass, wire: Wire) -> Self {
        let (mouth, ear, listening) = line(wire);
        Self { id: pass.id.clone(), pass, kept: VecDeque::new(), mouth, ear, listening, pings: 0 }
    }

    /// Somebody whom the server has not yet told who she is: she knocked with a cookie.
    pub(crate) async fn by_cookie(browser: &Browser, room: &str) -> Self {
        Self::by_cookie_at(browser, &format!("/room/{room}/ws")).await
    }

    /// The same, at an address of her own choice.
    pub(crate) async fn by_cookie_at(browser: &Browser, path: &str) -> Self {
        let wire =
            browser.knocks(path).await.unwrap_or_else(|refused| panic!("{}: {refused:?}", browser.name));
        let room = path.split('/').nth(2).unwrap_or_default().to_owned();
        let pass = Pass { id: String::new(), token: String::new(), room, browser: browser.clone() };
        let mut client = Self::new(pass, wire);
        client.learns_her_id().await;
        client
    }

    async fn learns_her_id(&mut self) {
        self.writes(r#"{"receiver":"ground control","type":"ping","data":"who am I?"}"#).await;
        let Heard::Text(raw) = self.listens("a pong").await else {
            panic!("sent away before she knew who she is")
        };
        let pong: Value = serde_json::from_str(&raw).expect("JSON");
        assert_eq!((&pong["type"], &pong["data"]), (&json!("pong"), &json!("who am I?")), "{raw}");
        pong["receiver"].as_str().expect("an id").clone_into(&mut self.id);
    }

    /// Asks what the web client asks when it has connected, and takes note of the answers.
    pub(crate) async fn introduces_herself(&mut self) {
        self.checks_in().await;
        self.asks("get-room-info").await;
        self.hears("room-info").await;
    }

    /// Says something to one client, to all ([`ROOM`](super::ROOM)), or to the server.
    pub(crate) async fn says(&mut self, to: &str, kind: &str, data: Value) {
        self.writes(&json!({ "sender": self.id, "receiver": to, "type": kind, "data": data }).to_string())
            .await;
    }

    /// Asks the server for something that needs no data.
    pub(crate) async fn asks(&mut self, kind: &str) {
        self.writes(&json!({ "sender": self.id, "receiver": SERVER, "type": kind }).to_string()).await;
    }

    /// Sends a text frame as it stands.
    pub(crate) async fn writes(&mut self, text: &str) {
        self.sends(Message::text(text)).await;
    }

    /// Sends a frame of any sort.
    pub(crate) async fn sends(&mut self, message: Message) {
        let mouth = self.mouth.as_mut().expect("she is connected");
        let sent = within("room in the socket", mouth.send(message)).await;
        sent.unwrap_or_else(|e| panic!("{} cannot speak: {e}", self.pass.browser.name));
    }

    /// The next frame of this type; others are kept for later.
    pub(crate) async fn hears(&mut self, kind: &str) -> Frame {
        if let Some(place) = self.kept.iter().position(|frame| frame.kind == kind) {
            return self.kept.remove(place).expect("it is there");
        }
        loop {
            let frame = self.next(kind).await;
            if frame.kind == kind {
                return frame;
            }
            self.kept.push_back(frame);
        }
    }

    /// The next frame of `raw`'s type is `raw`.
    pub(crate) async fn hears_exactly(&mut self, raw: &str) {
        let expected = Frame::read(raw.to_owned(), &self.id);
        assert_eq!(self.hears(&expected.kind).await.raw, raw, "{}", self.pass.browser.name);
    }

    /// The next frame is of this type; but a roster is state, of which the last one may come a moment late.
    pub(crate) async fn hears_nothing_until(&mut self, kind: &str) -> Frame {
        let mut frame = self.hears_any().await;
        while frame.kind == "room-info" && kind != "room-info" {
            frame = self.hears_any().await;
        }
        assert_eq!(frame.kind, kind, "{} heard {}", self.pass.browser.name, frame.raw);
        frame
    }

    /// The next frame, whatever it is.
    pub(crate) async fn hears_any(&mut self) -> Frame {
        match self.kept.pop_front() {
            Some(frame) => frame,
            None => self.next("anything").await,
        }
    }

    /// Whether she has heard a frame of this type that she was not asked about.
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.kept.iter().any(|frame| frame.kind == kind)
    }

    /// Has heard nothing of this type that she was not asked about.
    pub(crate) fn has_not_heard(&self, kind: &str) {
        let heard = self.kept.iter().find(|frame| frame.kind == kind);
        assert!(heard.is_none(), "{} has heard {heard:?}", self.pass.browser.name);
    }

    /// Forgets what she has heard of this type; how much it was.
    pub(crate) fn forgets(&mut self, kind: &str) -> usize {
        let before = self.kept.len();
        self.kept.retain(|frame| frame.kind != kind);
        before - self.kept.len()
    }

    /// How much of this type she has heard and was not asked about.
    pub(crate) fn heard_so_far(&self, kind: &str) -> usize {
        self.kept.iter().filter(|frame| frame.kind == kind).count()
    }

    /// What she has heard of this type, in order, and was not asked about.
    pub(crate) fn takes(&mut self, kind: &str) -> Vec<Frame> {
        let (taken, kept): (Vec<_>, Vec<_>) = self.kept.drain(..).partition(|frame| frame.kind == kind);
        self.kept = kept.into();
        taken
    }

    /// Sends a ping to the server and hears its pong: whatever the server had to say to all before is kept now.
    pub(crate) async fn checks_in(&mut self) {
        self.pings += 1;
        let number = self.pings;
        self.says(SERVER, "ping", json!(number)).await;
        assert_eq!(self.hears("pong").await.payload, number.to_string());
    }

    /// Hears an error, and nothing else.
    pub(crate) async fn is_told(&mut self, part: &str) {
        let told = self.hears("error").await;
        assert_eq!(told.sender, SERVER);
        let why = told.data();
        let why = why.as_str().expect("an error is a string");
        assert!(why.contains(part), "{} is told {why:?}, and not of {part:?}", self.pass.browser.name);
    }

    /// Hears rosters until one has exactly these names, in this order.
    pub(crate) async fn sees(&mut self, names: &[&str]) -> Frame {
        loop {
            let roster = self.hears("room-info").await;
            let clients = &roster.data()["clients"];
            let there = clients.as_array().expect("clients").iter().map(|client| &client["username"]);
            if there.eq(names) {
                return roster;
            }
        }
    }

    /// Asks who is there: exactly these, in this order.
    pub(crate) async fn finds(&mut self, names: &[&str]) {
        self.forgets("room-info");
        self.asks("get-room-info").await;
        self.sees(names).await;
    }

    /// Asks who is there until it is exactly these, in whatever order.
    pub(crate) async fn finds_in_any_order(&mut self, names: &[&str]) {
        until("everybody", async || {
            self.forgets("room-info");
            self.asks("get-room-info").await;
            let roster = self.hears("room-info").await.data();
            let clients = roster["clients"].as_array().expect("clients").iter();
            let mut there: Vec<_> = clients.filter_map(|client| client["username"].as_str()).collect();
            there.sort_unstable();
            there == names
        })
        .await;
    }

    /// Her socket is cut, without a close frame, and the node has noticed.
    pub(crate) async fn drops(&mut self) {
        let others = self.other_connections().await;
        self.cuts_her_wire().await;
        self.is_missed(others).await;
    }

    /// Her browser closes the WebSocket, as it does when a page is closed or reloaded, and the node has noticed.
    pub(crate) async fn closes_the_page(&mut self) {
        let others = self.other_connections().await;
        self.sends(Message::Close(None)).await;
        self.comes_to_an_end().await;
        self.is_missed(others).await;
    }

    /// Connections of her node that are not hers. A node that answers a WebSocket ping counts the connection.
    async fn other_connections(&mut self) -> f64 {
        self.sends(Message::Ping("am I connected?".into())).await;
        loop {
            match self.listens("a WebSocket pong").await {
                Heard::Text(raw) => self.kept.push_back(Frame::read(raw, &self.id)),
                Heard::Pong => break metric(self.pass.browser.ops, CONNECTIONS).await - 1.0,
                Heard::End(code) => panic!("{} was sent away with {code:?}", self.pass.browser.name),
            }
        }
    }

    async fn is_missed(&self, others: f64) {
        until("the node to notice", async || metric(self.pass.browser.ops, CONNECTIONS).await <= others)
            .await;
    }

    /// Her socket is cut, without a close frame.
    pub(crate) async fn cuts_her_wire(&mut self) {
        self.listening.abort();
        let _ = (&mut self.listening).await;
        self.ear.close();
        while let Ok(heard) = self.ear.try_recv() {
            if let Heard::Text(raw) = heard {
                self.kept.push_back(Frame::read(raw, &self.id));
            }
        }
        self.mouth = None;
    }

    /// Comes back with her token, to the node where she was.
    pub(crate) async fn comes_back(&mut self) {
        self.tries_to_come_back()
            .await
            .unwrap_or_else(|refused| panic!("{}: {refused:?}", self.pass.browser.name));
    }

    /// Comes back with her token, to another node.
    pub(crate) async fn comes_back_through(&mut self, node: &Node) {
        self.pass.browser.turns_to(node);
        self.comes_back().await;
    }

    /// Knocks with her token once more.
    pub(crate) async fn tries_to_come_back(&mut self) -> Result<(), Reply> {
        let wire = self.pass.knocks().await?;
        (self.mouth, self.ear, self.listening) = line(wire);
        Ok(())
    }

    /// Comes back with her cookie.
    pub(crate) async fn comes_back_by_cookie(&mut self) {
        let wire = self.pass.browser.knocks_at(&self.pass.room).await;
        let wire = wire.unwrap_or_else(|refused| panic!("{}: {refused:?}", self.pass.browser.name));
        (self.mouth, self.ear, self.listening) = line(wire);
    }

    /// The server closes her socket with this code; what it said before is kept.
    pub(crate) async fn is_sent_away(&mut self, code: u16) {
        let end = self.comes_to_an_end().await;
        assert_eq!(end, Some(code), "{} was sent away", self.pass.browser.name);
    }

    /// Her socket ends, with this close code if with any.
    pub(crate) async fn comes_to_an_end(&mut self) -> Option<u16> {
        loop {
            match self.listens("the end").await {
                Heard::Text(raw) => self.kept.push_back(Frame::read(raw, &self.id)),
                Heard::Pong => {}
                Heard::End(code) => return code,
            }
        }
    }

    async fn next(&mut self, waiting_for: &str) -> Frame {
        match self.listens(waiting_for).await {
            Heard::Text(raw) => Frame::read(raw, &self.id),
            Heard::Pong => panic!("{} has not asked for a pong", self.pass.browser.name),
            Heard::End(code) => {
                let (name, kept) = (&self.pass.browser.name, &self.kept);
                panic!("{name} waited for {waiting_for}, and was sent away with {code:?}; she heard {kept:?}")
            }
        }
    }

    async fn listens(&mut self, waiting_for: &str) -> Heard {
        let (name, kept) = (&self.pass.browser.name, &self.kept);
        let what = format!("{waiting_for} at {name}, who has heard {kept:?}");
        within(&what, self.ear.recv()).await.unwrap_or(Heard::End(None))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

type Line = (Option<SplitSink<Wire, Message>>, UnboundedReceiver<Heard>, JoinHandle<()>);

fn line(wire: Wire) -> Line {
    let (mouth, listened) = wire.split();
    let (heard, ear) = unbounded_channel();
    (Some(mouth), ear, tokio::spawn(listen(listened, heard)))
}

async fn listen(mut wire: SplitStream<Wire>, heard: UnboundedSender<Heard>) {
    let mut code = None;
    while let Some(Ok(message)) = wire.next().await {
        match message {
            Message::Text(text) => drop(heard.send(Heard::Text(text.to_string()))),
            Message::Pong(_) => drop(heard.send(Heard::Pong)),
            Message::Close(close) => code = close.map(|close| close.code.into()),
            Message::Binary(bytes) => drop(heard.send(Heard::Text(format!("binary: {bytes:?}")))),
            _ => {}
        }
    }
    let _ = heard.send(Heard::End(code));
}
