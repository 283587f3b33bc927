//! Somebody whose program speaks as the PeerJS client does.

use std::ops::{Deref, DerefMut};

use serde_json::Value;

use super::talker::Heard;
use super::{Browser, House, Node, Talker};

/// A connection of somebody.
pub(crate) struct PeerJs(Talker);

const OPEN: &str = r#"{"type":"OPEN"}"#;

impl Deref for PeerJs {
    type Target = Talker;

    fn deref(&self) -> &Talker {
        &self.0
    }
}

impl DerefMut for PeerJs {
    fn deref_mut(&mut self) -> &mut Talker {
        &mut self.0
    }
}

impl PeerJs {
    /// Asks for `id` with `token` at the node where `browser` asks; what comes of it is heard.
    pub(crate) async fn asks(browser: &Browser, id: &str, token: &str) -> Self {
        Self::knocks(browser, &format!("/peerjs?key=peerjs&id={id}&token={token}&version=1.5.5")).await
    }

    /// Opens a WebSocket at `path`.
    pub(crate) async fn knocks(browser: &Browser, path: &str) -> Self {
        Self(Talker::knocks(browser, path).await)
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

    /// Sends `kind` to `dst`, with `payload`.
    pub(crate) async fn tells(&mut self, dst: &str, kind: &str, payload: Value) {
        self.says(&serde_json::json!({ "type": kind, "dst": dst, "payload": payload }).to_string()).await;
    }

    /// The end comes, after `OPEN` or nothing.
    pub(crate) async fn is_replaced(&mut self) {
        loop {
            match self.next("the end").await {
                Heard::Text(heard, _) => assert_eq!(heard, OPEN, "{}", self.name),
                Heard::End(code) => return assert_eq!(code, Some(4001), "{}", self.name),
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
                    assert_eq!(code, Some(4001), "{}", self.name);
                    return heard;
                }
            }
        }
    }

    /// The next frame is this one, and then the end.
    pub(crate) async fn is_refused(&mut self, text: &str) {
        self.hears(text).await;
        assert_eq!(self.is_sent_away().await, Some(1008), "{}", self.name);
    }

    /// Hears that it has its name, unless it has already.
    pub(crate) async fn opens(&mut self) {
        if self.first.as_deref() != Some(OPEN) {
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

    /// The node knows that what this has heard has arrived: it has had the time to ask for the receipt, and its answer is
    /// ahead of the second of these pings.
    pub(crate) async fn has_confirmed(&mut self) {
        for _ in 0..3 {
            self.answers_a_ping().await;
        }
    }
}

/// Waits until the node counts so many PeerJS clients.
pub(crate) async fn counts(node: &Node, clients: f64) {
    node.counts("signal_connections{dialect=\"peerjs\"}", |open| (open - clients).abs() < 0.1).await;
}
