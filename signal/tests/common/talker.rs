//! Somebody whose program sends and hears text frames; what they say is the scene's business.

use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::{Browser, Wire, within};

/// A connection of somebody. It reads, and answers WebSocket pings, all the time.
pub(crate) struct Talker {
    /// What is said of it when something is not as it should be.
    pub(crate) name: String,
    /// The first frame that it heard.
    pub(crate) first: Option<String>,
    mouth: Option<SplitSink<Wire, Message>>,
    ear: UnboundedReceiver<Heard>,
    listening: JoinHandle<()>,
}

pub(crate) enum Heard {
    Text(String, Instant),
    End(Option<u16>),
}

/// What stands for a WebSocket pong among the texts.
const PONG: &str = "a WebSocket pong";

impl Talker {
    /// Opens a WebSocket at `path` of the node where `browser` asks.
    pub(crate) async fn knocks(browser: &Browser, path: &str) -> Self {
        let wire = browser.knocks(path).await.unwrap_or_else(|refused| panic!("{path}: {refused:?}"));
        let (mouth, listened) = wire.split();
        let (heard, ear) = unbounded_channel();
        let listening = tokio::spawn(listen(listened, heard));
        Self { name: path.to_owned(), first: None, mouth: Some(mouth), ear, listening }
    }

    /// Sends a text frame as it stands.
    pub(crate) async fn says(&mut self, text: &str) {
        self.sends(Message::text(text)).await;
    }

    /// Sends a frame of any sort.
    pub(crate) async fn sends(&mut self, message: Message) {
        let mouth = self.mouth.as_mut().expect("it is connected");
        let sent = within("room in the socket", mouth.send(message)).await;
        sent.unwrap_or_else(|e| panic!("{} cannot speak: {e}", self.name));
    }

    /// Sends frames of any sort, as many at once as there is room for.
    pub(crate) async fn sends_all(&mut self, messages: impl IntoIterator<Item = Message>) {
        let mouth = self.mouth.as_mut().expect("it is connected");
        let send = async {
            for message in messages {
                mouth.feed(message).await?;
            }
            mouth.flush().await
        };
        let sent = within("room in the socket", send).await;
        sent.unwrap_or_else(|e| panic!("{} cannot speak: {e}", self.name));
    }

    /// The next frame is this one; when it came.
    pub(crate) async fn hears(&mut self, text: &str) -> Instant {
        let (heard, at) = self.hears_any(text).await;
        assert_eq!(heard, text, "{}", self.name);
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
                panic!("{} waited for {waiting_for}, and was sent away with {code:?}", self.name)
            }
        }
    }

    /// The next is the end, with this close code if with any.
    pub(crate) async fn is_sent_away(&mut self) -> Option<u16> {
        match self.next("the end").await {
            Heard::Text(heard, _) => panic!("{} was to be sent away, and heard {heard}", self.name),
            Heard::End(code) => code,
        }
    }

    /// Hears nothing for so long: what would come is something that a clock causes.
    pub(crate) async fn hears_nothing_for(&mut self, time: Duration) {
        if let Ok(Some(Heard::Text(heard, _))) = tokio::time::timeout(time, self.ear.recv()).await {
            panic!("{} heard {heard}", self.name);
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

    /// Its program stands still: nothing is read any more, and no ping answered, and the socket stays open.
    pub(crate) async fn stops_listening(&mut self) {
        self.listening.abort();
        let _ = (&mut self.listening).await;
    }

    /// The next frame, if there is one in this time.
    pub(crate) async fn hears_within(&mut self, time: Duration) -> Option<String> {
        match tokio::time::timeout(time, self.ear.recv()).await {
            Ok(Some(Heard::Text(heard, _))) => Some(heard),
            _ => None,
        }
    }

    /// Sends a JSON value.
    pub(crate) async fn tells(&mut self, value: Value) {
        self.says(&value.to_string()).await;
    }

    /// The next frame is this value, whatever the order of its members.
    pub(crate) async fn learns(&mut self, value: Value) {
        let (heard, _) = self.hears_any(&value.to_string()).await;
        let read: Value =
            serde_json::from_str(&heard).unwrap_or_else(|e| panic!("{}: {heard}: {e}", self.name));
        assert_eq!(read, value, "{}", self.name);
    }

    pub(crate) async fn next(&mut self, waiting_for: &str) -> Heard {
        let what = format!("{waiting_for} at {}", self.name);
        let heard = within(&what, self.ear.recv()).await.unwrap_or(Heard::End(None));
        if let Heard::Text(text, _) = &heard {
            self.first.get_or_insert_with(|| text.clone());
        }
        heard
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.listening.abort();
    }
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
