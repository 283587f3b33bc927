//! Somebody in a scene: their cookies, what they show with each request, their connection and what it has brought.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use cookie::Cookie;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::header::{CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, Method, StatusCode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::connect::{Door, NotIn, Reply, Socket, retry_after};

/// Something that a connection has brought.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heard {
    Frame(String),
    Bytes(Bytes),
    Pong(Bytes),
    /// The end, with its code and reason if it had one.
    End(Option<(u16, String)>),
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frame(text) => f.write_str(text),
            Self::Bytes(bytes) => write!(f, "a binary frame: {bytes:?}"),
            Self::Pong(_) => f.write_str("a pong"),
            Self::End(None) => f.write_str("the end of the connection, without a code"),
            Self::End(Some((code, reason))) => {
                write!(f, "the end of the connection, with {code} {reason}")
            }
        }
    }
}

/// A connection that is open, or whose end has not been looked at yet.
struct Line {
    mouth: SplitSink<Socket, Message>,
    ear: UnboundedReceiver<Heard>,
    /// What came while something else was waited for.
    kept: VecDeque<Heard>,
    listening: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

pub(super) struct Actor<'a> {
    door: Door<'a>,
    patience: Duration,
    shown: HeaderMap,
    cookies: Vec<Cookie<'static>>,
    reply: Option<Reply>,
    line: Option<Line>,
}

impl<'a> Actor<'a> {
    pub(super) fn new(door: Door<'a>, patience: Duration) -> Self {
        Self { door, patience, shown: HeaderMap::new(), cookies: Vec::new(), reply: None, line: None }
    }

    /// From now on this goes with each request.
    pub(super) fn shows(&mut self, header: &str, value: &str) -> Result<(), String> {
        let name = HeaderName::from_bytes(header.as_bytes()).map_err(|why| format!("{header}: {why}"))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|why| format!("{header}: {why}"))?;
        self.shown.insert(name, value);
        Ok(())
    }

    pub(super) async fn asks(&mut self, method: &str, path: &str, body: String) -> Result<(), String> {
        let method: Method = method.parse().map_err(|why| format!("{method}: {why}"))?;
        let mut headers = self.headers(path)?;
        if !body.is_empty() {
            let is_json = body.starts_with(['{', '[', '"']);
            let kind = if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        }
        let until = Instant::now() + self.patience;
        let body = Bytes::from(body);
        let reply = loop {
            let asked = self.door.ask(method.clone(), path, headers.clone(), body.clone()).await;
            let reply = asked.map_err(|why| why.to_string())?;
            match asked_to_come_again(reply.status, retry_after(&reply.headers)) {
                Some(after) if Instant::now() + after < until => sleep(after).await,
                _ => break reply,
            }
        };
        for cookie in reply.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().ok().and_then(|text| Cookie::parse(text.to_owned()).ok());
            self.keeps(cookie.ok_or("a cookie that cannot be read")?);
        }
        self.reply = Some(reply);
        Ok(())
    }

    pub(super) fn reply(&self) -> Result<&Reply, String> {
        self.reply.as_ref().ok_or_else(|| "nothing was asked yet".into())
    }

    fn keeps(&mut self, cookie: Cookie<'static>) {
        self.cookies.retain(|old| (old.name(), old.path()) != (cookie.name(), cookie.path()));
        let is_over = cookie.max_age().is_some_and(|age| !age.is_positive());
        self.cookies.extend((!is_over).then_some(cookie));
    }

    /// What goes with a request for `path`: what is shown, and the cookies unless others are.
    fn headers(&self, path: &str) -> Result<HeaderMap, String> {
        let mut headers = self.shown.clone();
        let ours = self.cookies.iter().filter(|cookie| path.starts_with(cookie.path().unwrap_or("/")));
        let ours: Vec<_> = ours.map(|cookie| format!("{}={}", cookie.name(), cookie.value())).collect();
        if !ours.is_empty() {
            let value = HeaderValue::from_str(&ours.join("; ")).map_err(|why| why.to_string())?;
            headers.entry(COOKIE).or_insert(value);
        }
        Ok(headers)
    }

    /// Connects; if it is asked to come a little later, it does.
    pub(super) async fn gets_in(&mut self, path: &str) -> Result<(), NotIn> {
        let until = Instant::now() + self.patience;
        loop {
            match self.connects(path).await {
                Err(NotIn::Refused { status, retry_after, words }) => {
                    match asked_to_come_again(status, retry_after) {
                        Some(after) if Instant::now() + after < until => sleep(after).await,
                        _ => return Err(NotIn::Refused { status, retry_after, words }),
                    }
                }
                done => return done,
            }
        }
    }

    /// Tries to connect.
    pub(super) async fn connects(&mut self, path: &str) -> Result<(), NotIn> {
        let headers = self.headers(path).map_err(NotIn::Broken)?;
        let (socket, _) = self.door.websocket(path, headers).await?;
        let (mouth, listened) = socket.split();
        let (heard, ear) = unbounded_channel();
        let listening = tokio::spawn(listen(listened, heard));
        self.line = Some(Line { mouth, ear, kept: VecDeque::new(), listening });
        Ok(())
    }

    fn line(&mut self) -> Result<&mut Line, String> {
        self.line.as_mut().ok_or_else(|| "no connection is there".into())
    }

    pub(super) async fn says(&mut self, text: String, binary: bool) -> Result<(), String> {
        let message = if binary { Message::binary(text) } else { Message::text(text) };
        self.sends(message).await
    }

    async fn sends(&mut self, message: Message) -> Result<(), String> {
        self.line()?.mouth.send(message).await.map_err(|why| format!("it cannot be sent: {why}"))
    }

    /// The next thing that it hears.
    pub(super) async fn hears(&mut self) -> Result<Heard, String> {
        let patience = self.patience;
        let line = self.line()?;
        if let Some(kept) = line.kept.pop_front() {
            return Ok(kept);
        }
        let heard = timeout(patience, line.ear.recv()).await;
        let heard = heard.map_err(|_| format!("nothing, within {}", humantime::format_duration(patience)))?;
        heard.ok_or_else(|| "nothing: the connection had ended before".into())
    }

    /// All that it said before is read, and all that was written to it before is here.
    pub(super) async fn pings(&mut self) -> Result<(), String> {
        if self.is_away() {
            return Ok(());
        }
        let mark = Bytes::from(rand::random::<[u8; 8]>().to_vec());
        // Whoever was just sent away cannot ask; the end says so.
        let _ = self.sends(Message::Ping(mark.clone())).await;
        let mut before = std::mem::take(&mut self.line()?.kept);
        loop {
            match self.hears().await.map_err(|came| format!("no answer to a ping, but {came}"))? {
                Heard::Pong(pong) if pong == mark => break,
                end @ Heard::End(_) => {
                    before.push_back(end);
                    break;
                }
                other => before.push_back(other),
            }
        }
        self.line()?.kept = before;
        Ok(())
    }

    fn is_away(&self) -> bool {
        self.line.as_ref().is_none_or(|line| matches!(line.kept.back(), Some(Heard::End(_))))
    }

    /// What it has heard and nobody has looked at.
    pub(super) fn unheard(&self) -> impl Iterator<Item = &Heard> {
        self.line.iter().flat_map(|line| &line.kept)
    }

    /// All that has come and nobody has looked at.
    pub(super) fn rest(&mut self) -> Vec<Heard> {
        let Some(line) = &mut self.line else { return Vec::new() };
        line.kept.extend(std::iter::from_fn(|| line.ear.try_recv().ok()));
        line.kept.drain(..).collect()
    }

    /// Says goodbye, and waits for the other end's.
    pub(super) async fn closes(&mut self, code: Option<u16>) -> Result<(), String> {
        let frame = code.map(|code| CloseFrame { code: CloseCode::from(code), reason: "".into() });
        self.sends(Message::Close(frame)).await?;
        while !matches!(self.hears().await?, Heard::End(_)) {}
        self.line = None;
        Ok(())
    }

    /// Is gone, without a word.
    pub(super) async fn drops(&mut self) -> Result<(), String> {
        let line = self.line()?;
        line.listening.abort();
        let _ = (&mut line.listening).await;
        self.line = None;
        Ok(())
    }

    /// The end was seen.
    pub(super) fn is_gone(&mut self) {
        self.line = None;
    }

    /// Leaves when the scene is over.
    pub(super) async fn leaves(&mut self) {
        if !self.is_away() {
            let _ = self.closes(None).await;
        }
    }
}

/// How long to wait for a server that cannot take anybody just now, and says so.
fn asked_to_come_again(status: StatusCode, after: Option<Duration>) -> Option<Duration> {
    after.filter(|_| status == StatusCode::SERVICE_UNAVAILABLE)
}

async fn listen(mut wire: SplitStream<Socket>, heard: UnboundedSender<Heard>) {
    let mut end = None;
    while let Some(Ok(message)) = wire.next().await {
        let what = match message {
            Message::Text(text) => Heard::Frame(text.to_string()),
            Message::Binary(bytes) => Heard::Bytes(bytes),
            Message::Pong(mark) => Heard::Pong(mark),
            Message::Close(close) => {
                end = close.map(|close| (close.code.into(), close.reason.to_string()));
                continue;
            }
            Message::Ping(_) | Message::Frame(_) => continue,
        };
        let _ = heard.send(what);
    }
    let _ = heard.send(Heard::End(end));
}
