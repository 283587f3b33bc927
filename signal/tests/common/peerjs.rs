//! Somebody whose program speaks as the PeerJS client does.

use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::{Browser, House, Node, Wire, within};

/// A connection of somebody. It reads, and answers WebSocket pings, all the time.
pub(crate) struct PeerJs {
    /// What it asks for, without its parameters.
    pub(crate) id: String,
    /// Whether it has heard that it has its name.
    is_open: bool,
    mouth: Option<SplitSink<Wire, Message>>,
    ear: UnboundedReceiver<Heard>,
    listening: JoinHandle<()>,
}

enum Heard {
    Text(String, Instant),
    End(Option<u16>),
}

/// What stands for a WebSocket pong among the texts.
const PONG: &str = "a WebSocket pong";
const OPEN: &str = r#"{"type":"OPEN"}"#;

impl PeerJs {
    /// Asks for `id` with `token` at the node where `browser` asks; what comes of it is heard.
    pub(crate) async fn asks(browser: &Browser, id: &str, token: &str) -> Self {
        Self::knocks(browser, &format!("/peerjs?key=peerjs&id={id}&token={token}&version=1.5.5")).await
    }

    /// Opens a WebSocket at `path`.
    pub(crate) async fn knocks(browser: &Browser, path: &str) -> Self {
        let wire = browser.knocks(path).await.unwrap_or_else(|refused| panic!("{path}: {refused:?}"));
        let (mouth, listened) = wire.split();
        let (heard, ear) = unbounded_channel();
        let listening = tokio::spawn(listen(listened, heard));
        Self { id: path.to_owned(), is_open: false, mouth: Some(mouth), ear, listening }
    }

    /// Gets `id`, with `token`.
    pub(crate) async fn gets(browser: &Browser, id: &str, token: &str) -> Self {
        let mut client = Self::asks(browser, id, token).await;
        client.hears(OPEN).await;
        client
    }

    /// `name`, at their node, under the id that is their name in small letters, with a token of their own.
    pub(crate) async fn of(house: &House, name: &str) -> Self {
        Self::gets(&house.browser(name), &name.to_lowercase(), &format!("token of {name}").replace(' ', "-"))
            .await
    }

    /// Sends a text frame as it stands.
    pub(crate) async fn says(&mut self, text: &str) {
        self.sends(Message::text(text)).await;
    }

    /// Sends `kind` to `dst`, with `payload`.
    pub(crate) async fn tells(&mut self, dst: &str, kind: &str, payload: Value) {
        self.says(&serde_json::json!({ "type": kind, "dst": dst, "payload": payload }).to_string()).await;
    }

    /// Sends a frame of any sort.
    pub(crate) async fn sends(&mut self, message: Message) {
        let mouth = self.mouth.as_mut().expect("it is connected");
        let sent = within("room in the socket", mouth.send(message)).await;
        sent.unwrap_or_else(|e| panic!("{} cannot speak: {e}", self.id));
    }

    /// The next frame is this one; when it came.
    pub(crate) async fn hears(&mut self, text: &str) -> Instant {
        let (heard, at) = self.hears_any(text).await;
        assert_eq!(heard, text, "{}", self.id);
        at
    }

    /// The next frame, or the close code at its end.
    pub(crate) async fn hears_or_ends(&mut self) -> Result<String, Option<u16>> {
        match self.next("anything").await {
            Heard::Text(heard, _) => Ok(heard),
            Heard::End(code) => Err(code),
        }
    }

    /// The next frame, and when it came.
    pub(crate) async fn hears_any(&mut self, waiting_for: &str) -> (String, Instant) {
        match self.next(waiting_for).await {
            Heard::Text(heard, at) => (heard, at),
            Heard::End(code) => {
                panic!("{} waited for {waiting_for}, and was sent away with {code:?}", self.id)
            }
        }
    }

    /// The next is the end, with this close code if with any.
    pub(crate) async fn is_sent_away(&mut self) -> Option<u16> {
        match self.next("the end").await {
            Heard::Text(heard, _) => panic!("{} was to be sent away, and heard {heard}", self.id),
            Heard::End(code) => code,
        }
    }

    /// The end comes, after `OPEN` or nothing.
    pub(crate) async fn is_replaced(&mut self) {
        loop {
            match self.next("the end").await {
                Heard::Text(heard, _) => assert_eq!(heard, OPEN, "{}", self.id),
                Heard::End(code) => return assert_eq!(code, Some(4001), "{}", self.id),
            }
        }
    }

    /// All that it hears before another connection has its name.
    pub(crate) async fn hears_until_replaced(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            match self.next("the end").await {
                Heard::Text(text, _) => heard.push(text),
                Heard::End(code) => {
                    assert_eq!(code, Some(4001), "{}", self.id);
                    return heard;
                }
            }
        }
    }

    /// The next frame is this one, and then the end.
    pub(crate) async fn is_refused(&mut self, text: &str) {
        self.hears(text).await;
        assert_eq!(self.is_sent_away().await, Some(1008), "{}", self.id);
    }

    /// Hears that it has its name, unless it has already.
    pub(crate) async fn opens(&mut self) {
        if !self.is_open {
            self.hears(OPEN).await;
        }
    }

    /// Whether it gets its name; what it hears instead.
    pub(crate) async fn is_seated(&mut self) -> Result<(), String> {
        let (heard, _) = self.hears_any("an answer").await;
        if heard == OPEN { Ok(()) } else { Err(heard) }
    }

    /// Whatever was on its way has come, and it was nothing: it talks to itself.
    pub(crate) async fn has_heard_nothing(&mut self, id: &str) {
        let frame =
            |payload: &str| format!(r#"{{"type":"OFFER","src":"{id}","dst":"{id}","payload":{payload}}}"#);
        self.says(&frame("\"to myself\"")).await;
        self.hears(&frame("\"to myself\"")).await;
    }

    /// Hears nothing for so long: what would come is something that a clock causes.
    pub(crate) async fn hears_nothing_for(&mut self, time: Duration) {
        if let Ok(Some(Heard::Text(heard, _))) = tokio::time::timeout(time, self.ear.recv()).await {
            panic!("{} heard {heard}", self.id);
        }
    }

    /// Closes its socket as a browser does, and the node has noticed.
    pub(crate) async fn closes(&mut self) {
        self.sends(Message::Close(None)).await;
        loop {
            if let Heard::End(_) = self.next("the end").await {
                return;
            }
        }
    }

    /// The node knows that what this has heard has arrived: it has had the time to ask for the receipt, and its answer is
    /// ahead of the second of these pings.
    pub(crate) async fn has_confirmed(&mut self) {
        for _ in 0..3 {
            self.answers_a_ping().await;
        }
    }

    /// The node answers a ping: all that was sent before has been read.
    pub(crate) async fn answers_a_ping(&mut self) {
        self.sends(Message::Ping("are you there?".into())).await;
        self.hears(PONG).await;
    }

    /// Its socket is cut, without a close frame.
    pub(crate) async fn is_cut(&mut self) {
        self.listening.abort();
        let _ = (&mut self.listening).await;
        self.mouth = None;
    }

    async fn next(&mut self, waiting_for: &str) -> Heard {
        let what = format!("{waiting_for} at {}", self.id);
        let heard = within(&what, self.ear.recv()).await.unwrap_or(Heard::End(None));
        self.is_open |= matches!(&heard, Heard::Text(text, _) if text == OPEN);
        heard
    }
}

impl Drop for PeerJs {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Waits until the node counts so many PeerJS clients.
pub(crate) async fn counts(node: &Node, clients: f64) {
    node.counts("signal_connections{dialect=\"peerjs\"}", |open| (open - clients).abs() < 0.1).await;
}

async fn listen(mut wire: SplitStream<Wire>, heard: UnboundedSender<Heard>) {
    let mut code = None;
    while let Some(Ok(message)) = wire.next().await {
        match message {
            Message::Text(text) => drop(heard.send(Heard::Text(text.to_string(), Instant::now()))),
            Message::Pong(_) => drop(heard.send(Heard::Text(PONG.to_owned(), Instant::now()))),
            Message::Close(close) => code = close.map(|close| close.code.into()),
            Message::Binary(bytes) => {
                drop(heard.send(Heard::Text(format!("binary: {bytes:?}"), Instant::now())));
            }
            _ => {}
        }
    }
    let _ = heard.send(Heard::End(code));
}
