//! One connection: read, write, ping, goodbye. It moves frames and decides nothing.

use std::future::{pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::access::{Allowance, Share};
use crate::backplane::pressure::Relief;
use crate::chance;
use crate::dialect::Dialect;
use crate::goodbye::Goodbye;
use crate::handlers::{Desk, Running};
use crate::hub::Seated;
use crate::hub::mailbox::Letter;
use crate::message::{Command, Event, Frame, Parting, PeerId, Profile};
use crate::metrics::{Connected, Metrics};
use crate::router::Router;

/// What a connection goes by.
#[derive(Clone, Debug)]
pub struct Manners {
    /// A peer that was silent for this long is pinged.
    pub ping_interval: Duration,
    /// It has this long to answer.
    pub ping_timeout: Duration,
    /// So long after something was written, or after the last receipt, it is asked by a ping whether that has arrived;
    /// sooner with what is written anyway.
    pub receipt_after: Duration,
    /// What is written has to be taken in this time.
    pub write_timeout: Duration,
    /// Bytes in a message, at most.
    pub max_message_bytes: usize,
    /// How much it may send.
    pub share: Share,
}

/// What an idle connection reads into. The library's own default is 128 KiB, zero-filled before each read; most of what
/// a client sends is a candidate of 200 bytes, and for an offer the buffer grows once.
const READ_BUFFER: usize = 1024;
/// Frames are gathered up to this many bytes before they are written; the memory is taken when they are.
const WRITE_BUFFER: usize = 8 * 1024;
/// After so many letters it is asked at once whether they have arrived.
const RECEIPT_FOR: u64 = 64;
/// Clients that are sent to other nodes are to be there within this time, each at a moment of its own.
const COME_BACK_WITHIN: Duration = Duration::from_secs(1);
/// How long the other end has to answer a close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// A WebSocket on a connection whose upgrade is done; `read` was read from it already.
pub async fn accept<S>(io: S, read: Bytes, manners: &Manners) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(manners.max_message_bytes))
        .max_frame_size(Some(manners.max_message_bytes));
    WebSocketStream::from_partially_read(io, read.into(), Role::Server, Some(config)).await
}

/// Sends away a client that does not get a seat: after `words`, the protocol's own, if it has any.
pub async fn turn_away<S>(
    mut stream: WebSocketStream<S>,
    words: Option<Frame>,
    goodbye: Goodbye,
    manners: &Manners,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let said = async {
        if let Some(words) = words {
            stream.send(text(words.to(&PeerId::new("")))?).await?;
        }
        farewell(&mut stream, goodbye).await
    };
    let _ = timeout(manners.write_timeout, said).await;
}

/// A peer's connection, from its seat to its goodbye.
pub struct Socket<S> {
    stream: WebSocketStream<S>,
    dialect: &'static dyn Dialect,
    seated: Seated,
    router: Arc<Router>,
    manners: Arc<Manners>,
    connected: Connected,
    metrics: Arc<Metrics>,
    allowance: Allowance,
    /// Not read before this.
    read_at: Option<Instant>,
    /// Nor before there is room for what it says.
    held_up: Option<Relief>,
    desk: Desk,
    /// Nor before this call is over, since then: what one client says is done in its order.
    call: Option<(Running, Instant)>,
    heard: Instant,
    pinged: Option<Instant>,
    /// It has had its time once more since it was last heard, as this node stood still.
    is_excused: bool,
    receipt: Receipt,
    alarm: Pin<Box<Sleep>>,
    /// Taken out of the mailbox, and not yet written.
    batch: Vec<Letter>,
    /// It has given up its name, and nothing that it says is heard.
    nameless: bool,
}

/// What is known of letters that were written, by how many were taken out of the mailbox before them.
#[derive(Debug, Default)]
struct Receipt {
    written: u64,
    /// A ping that was written after so many is on its way, since then.
    asked: Option<(u64, Instant)>,
    confirmed: u64,
    /// When to ask next.
    ask_at: Option<Instant>,
}

enum Turn {
    Write(Result<u64, Goodbye>),
    Read(Option<Result<Message, Error>>),
    Relief,
    Done(Result<(), Goodbye>),
    Alarm,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// The connection of the peer in `seated`.
    pub fn new(
        stream: WebSocketStream<S>,
        dialect: &'static dyn Dialect,
        seated: Seated,
        router: Arc<Router>,
        desk: Desk,
        manners: Arc<Manners>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let now = Instant::now();
        let held_up = router.hears_out(&seated);
        Self {
            stream,
            dialect,
            seated,
            router,
            connected: metrics.connected(dialect.name()),
            metrics,
            allowance: Allowance::new(manners.share, now),
            read_at: None,
            held_up,
            desk,
            call: None,
            heard: now,
            pinged: None,
            is_excused: false,
            receipt: Receipt::default(),
            alarm: Box::pin(sleep(manners.ping_interval)),
            manners,
            batch: Vec::new(),
            nameless: false,
        }
    }

    /// Serves the connection until it ends. Its peer is away afterwards, or gone, as the protocol has it.
    pub async fn serve(&mut self) {
        let goodbye = loop {
            if let Err(goodbye) = self.turn().await {
                break goodbye;
            }
        };
        self.metrics.goodbye(goodbye);
        tracing::debug!(reason = goodbye.label(), "a connection ended");
        if goodbye == Goodbye::Restarting {
            // One who comes back to another node is not to hear again what it has just heard.
            let _ = self.prepare_to_part().await;
        }
        // Before the last words: who hears them and comes back at once is to find its seat free.
        let how = if goodbye == Goodbye::Closed { Parting::OnPurpose } else { Parting::Dropped };
        self.router.gone(self.dialect, &self.seated.speaker, how).await;
        let _ = farewell(&mut self.stream, goodbye).await;
    }

    async fn turn(&mut self) -> Result<(), Goodbye> {
        let may_read = self.may_read();
        let turn = tokio::select! {
            written = poll_fn(|cx| self.seated.mailbox.poll_take(self.seated.speaker.seat, &mut self.batch, cx)) => {
                Turn::Write(written)
            }
            message = self.stream.next(), if may_read => Turn::Read(message),
            () = relief(&mut self.held_up) => Turn::Relief,
            done = done(&mut self.call) => Turn::Done(done),
            () = self.alarm.as_mut() => Turn::Alarm,
        };
        match turn {
            Turn::Write(mail) => {
                let written = mail?;
                self.write(written).await
            }
            Turn::Read(Some(message)) => self.read(message.map_err(goodbye_for)?).await,
            Turn::Read(None) => Err(Goodbye::Broken),
            Turn::Relief => {
                self.held_up = None;
                self.reads_again(Instant::now());
                Ok(())
            }
            Turn::Done(done) => self.is_done(done),
            Turn::Alarm => self.look_at_the_clock().await,
        }
    }

    /// Most calls are done at once, whatever else becomes of the connection meanwhile; the others go on beside it.
    async fn begin(&mut self, call: Option<Running>, now: Instant) -> Result<(), Goodbye> {
        let Some(mut call) = call else { return Ok(()) };
        match poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
            Poll::Ready(done) => done,
            Poll::Pending => {
                self.call = Some((call, now));
                Ok(())
            }
        }
    }

    /// A handler is done; its client's words and pongs have waited for that.
    fn is_done(&mut self, done: Result<(), Goodbye>) -> Result<(), Goodbye> {
        let Some((_, since)) = self.call.take() else { return done };
        let took = since.elapsed();
        self.receipt.asked = self.receipt.asked.map(|(written, at)| (written, at + took));
        self.pinged = self.pinged.map(|at| at + took);
        if self.receipt.asked.is_some() || self.pinged.is_some() {
            self.set_alarm();
        }
        done
    }

    /// Writes what was taken out of the mailbox, `count` letters so far: many frames, one flush.
    async fn write(&mut self, count: u64) -> Result<(), Goodbye> {
        let ask = self.receipt.asked.is_none()
            && (self.is_due_at_once(count) || self.is_nearly_due(Instant::now()));
        let here = self.who_is_told_of();
        let (stream, batch, peer) = (&mut self.stream, &self.batch, &self.seated.speaker.peer);
        let dialect = self.dialect;
        let written = async {
            for letter in batch {
                let message = match &letter.frame {
                    frame if frame.is_ping() => Message::Ping(Bytes::new()),
                    frame if frame.awaits_roster() => text(dialect.beside_roster(frame, &here).to(peer))?,
                    frame => text(dialect.write(frame, peer, letter.number))?,
                };
                stream.feed(message).await?;
            }
            if ask {
                stream.feed(ping(count)).await?;
            }
            stream.flush().await
        };
        let (mailbox, seat) = (&self.seated.mailbox, self.seated.speaker.seat);
        let written = beside_the_call(&mut self.call, chance::in_time(self.manners.write_timeout, written));
        tokio::select! {
            written = written => written.ok_or(Goodbye::Slow)?.map_err(goodbye_for)?,
            // What a stuck connection has not written is waited for where its peer is now.
            () = poll_fn(|cx| mailbox.poll_lost(seat, cx)) => return Err(Goodbye::Replaced),
        }
        self.connected.messages_out.inc_by(self.batch.len() as u64);
        for read in self.batch.drain(..).filter_map(|letter| letter.read) {
            self.metrics.relayed(read.at.elapsed(), read.elsewhere);
        }
        self.receipt.written = count;
        let now = Instant::now();
        if ask {
            self.asked(now);
        }
        self.ask_for_receipt_in_time(now);
        Ok(())
    }

    /// Who is in the room, if something that is to be written awaits that. What would be written twice in one breath is
    /// written once: in a large room it is long.
    fn who_is_told_of(&mut self) -> Arc<[(PeerId, Profile)]> {
        let mut awaiting: Vec<Frame> = Vec::new();
        self.batch.retain(|Letter { frame, .. }| {
            let again = frame.awaits_roster() && awaiting.contains(frame);
            if frame.awaits_roster() && !again {
                awaiting.push(frame.clone());
            }
            !again
        });
        let here = (!awaiting.is_empty()).then(|| self.router.who_is_here(&self.seated.speaker.room));
        here.flatten().unwrap_or_default()
    }

    /// A ping was written, which asks for a receipt for all that was written before it.
    fn asked(&mut self, now: Instant) {
        if self.receipt.written > self.receipt.confirmed {
            self.receipt.asked = Some((self.receipt.written, now));
        }
        self.receipt.ask_at = None;
        self.pinged.get_or_insert(now);
        self.set_alarm();
    }

    /// Whether a receipt for `written` letters is not to wait.
    fn is_due_at_once(&self, written: u64) -> bool {
        let few = if self.dialect.customs().hurries_receipts { 1 } else { RECEIPT_FOR };
        written >= self.receipt.confirmed + few
    }

    /// Whether a receipt is asked for soon anyway: with what is written now that takes no timer and no write of its own.
    fn is_nearly_due(&self, now: Instant) -> bool {
        self.receipt.ask_at.is_some_and(|at| at <= now + self.manners.receipt_after / 4)
    }

    fn ask_for_receipt_in_time(&mut self, now: Instant) {
        let Receipt { written, asked, confirmed, ask_at } = self.receipt;
        if written > confirmed && asked.is_none() && ask_at.is_none() {
            let at_once = self.is_due_at_once(written);
            // Those to whom something was written in the same moment are not to answer in the same moment.
            let after = self.manners.receipt_after.mul_f64(rand::random_range(0.9..1.0));
            self.receipt.ask_at = Some(if at_once { now } else { now + after });
            self.set_alarm();
        }
    }

    /// A pong: the receipt for what was written before its ping. One that nobody asked for is a sign of life.
    fn receipt(&mut self, pong: &[u8], now: Instant) -> Result<(), Goodbye> {
        let count = pong.try_into().map(u64::from_be_bytes).ok();
        let asked = self.receipt.asked.map(|(asked, _)| asked);
        let Some(count) = count.filter(|count| asked == Some(*count)) else {
            self.ask_for_receipt_in_time(now);
            return self.router.heard(&self.seated.speaker);
        };
        self.receipt.asked = None;
        self.receipt.confirmed = count;
        self.ask_for_receipt_in_time(now);
        self.router.confirmed(&self.seated.speaker, count)
    }

    /// Says that this node is going away, if the protocol has a word for that; asks whether what was written has arrived,
    /// and serves the client until it has said so.
    async fn prepare_to_part(&mut self) -> Result<(), Goodbye> {
        let (after, until) = (COME_BACK_WITHIN.mul_f64(rand::random()), Instant::now() + FAREWELL);
        let late = |_| Goodbye::Slow;
        if let Some(frame) = self.dialect.encode(&Event::GoingAway { after }) {
            let frame = text(frame.to(&self.seated.speaker.peer)).map_err(goodbye_for)?;
            timeout_at(until.into(), self.stream.send(frame)).await.map_err(late)?.map_err(goodbye_for)?;
        }
        while self.call.is_some() || self.receipt.confirmed < self.receipt.written {
            if self.call.is_some() {
                let done = timeout_at(until.into(), done(&mut self.call)).await.map_err(late)?;
                self.is_done(done)?;
                continue;
            }
            if self.receipt.asked.is_none() {
                timeout_at(until.into(), self.ping()).await.map_err(late)??;
            }
            // What has been read is carried, however long that takes.
            match timeout_at(until.into(), self.stream.next()).await.map_err(late)? {
                Some(message) => self.read(message.map_err(goodbye_for)?).await?,
                None => return Err(Goodbye::Broken),
            }
        }
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), Goodbye> {
        let Receipt { written, confirmed, .. } = self.receipt;
        let ping = if written > confirmed { ping(written) } else { Message::Ping(Bytes::new()) };
        let ping = chance::in_time(self.manners.write_timeout, self.stream.send(ping));
        let written = beside_the_call(&mut self.call, ping).await;
        written.ok_or(Goodbye::Slow)?.map_err(goodbye_for)?;
        self.asked(Instant::now());
        Ok(())
    }

    async fn read(&mut self, message: Message) -> Result<(), Goodbye> {
        let now = Instant::now();
        (self.heard, self.is_excused) = (now, false);
        let was_pinged = self.pinged.take().is_some();
        let next = self.allowance.spend(message.len(), now).ok_or(Goodbye::Flooding)?;
        if next > now {
            self.read_at = Some(next);
        }
        if was_pinged || next > now {
            self.set_alarm();
        }
        if self.nameless && !message.is_close() {
            return Ok(());
        }
        let speaker = &self.seated.speaker;
        let command = match &message {
            Message::Text(text) => self.dialect.decode(speaker, text),
            Message::Binary(bytes) => self.dialect.decode_binary(speaker, bytes),
            Message::Pong(pong) => {
                self.receipt(pong, now)?;
                // A timer is late by up to a millisecond.
                let asks_at_once = self.receipt.ask_at.is_some_and(|at| at <= now);
                return if asks_at_once { self.ping().await } else { Ok(()) };
            }
            Message::Ping(_) => return self.router.heard(speaker),
            Message::Close(why) => return Err(closed(why.as_ref())),
            Message::Frame(_) => return Ok(()),
        };
        self.connected.messages_in.inc();
        self.nameless = matches!(command, Command::Release);
        if let Command::Call { kind, payload, target } = command {
            let call = self.desk.call(&self.router, speaker, (&kind, payload, target), now)?;
            return self.begin(call, now).await;
        }
        if let Some(why) = self.desk.refuses(&command, now) {
            let words = self.dialect.encode(&Event::NotSeated(why));
            return words.map_or(Ok(()), |words| self.router.reply(speaker, words));
        }
        let next = self.router.act(self.dialect, speaker, command, now).await?;
        self.held_up = next.relief;
        if self.nameless {
            // Whatever it was sent under its name is nothing to it any more, and its pong is not heard.
            let written = self.receipt.written;
            self.receipt = Receipt { written, confirmed: written, ..Receipt::default() };
        }
        if let Some(speaker) = next.speaker {
            self.seated.speaker = speaker;
        }
        Ok(())
    }

    /// The alarm is set for the next of: reading again, asking for a receipt, the receipt, a ping, its answer.
    async fn look_at_the_clock(&mut self) -> Result<(), Goodbye> {
        let now = Instant::now();
        if self.read_at.is_some_and(|at| at <= now) {
            self.read_at = None;
            self.reads_again(now);
        }
        let stood_still = chance::stood_still(self.alarm.deadline().into_std()).is_some();
        let is_waited_for = self.call.is_none() && (self.pinged.is_some() || self.receipt.asked.is_some());
        if stood_still && is_waited_for && !std::mem::replace(&mut self.is_excused, true) {
            self.pinged = self.pinged.map(|_| now);
            self.reads_again(now);
        }
        if self.takes_nothing_by().is_some_and(|by| by <= now) {
            return Err(Goodbye::Slow);
        }
        let receipt_is_due = self.receipt.ask_at.is_some_and(|at| at <= now);
        match self.pinged {
            Some(pinged) if self.call.is_none() && pinged + self.manners.ping_timeout <= now => {
                return Err(Goodbye::Silent);
            }
            None if receipt_is_due || self.heard + self.manners.ping_interval <= now => {
                self.ping().await?;
            }
            // The ping that is on its way has not been answered yet; its answer asks again.
            _ => self.receipt.ask_at = self.receipt.ask_at.filter(|_| !receipt_is_due),
        }
        self.set_alarm();
        Ok(())
    }

    fn may_read(&self) -> bool {
        self.read_at.is_none() && self.held_up.is_none() && self.call.is_none()
    }

    /// Its pong may have waited for us.
    fn reads_again(&mut self, now: Instant) {
        self.receipt.asked = self.receipt.asked.map(|(written, _)| (written, now));
        self.set_alarm();
    }

    /// When it has to be said of the other end that it does not take what is written to it: the system's buffers took it,
    /// and nobody has read it from them.
    fn takes_nothing_by(&self) -> Option<Instant> {
        let (_, asked) = self.receipt.asked.filter(|_| self.may_read())?;
        Some(asked + self.manners.write_timeout)
    }

    fn set_alarm(&mut self) {
        let liveness = match self.pinged {
            // The pong may wait behind what a handler still does.
            Some(_) if self.call.is_some() => Instant::now() + self.manners.ping_timeout,
            Some(pinged) => pinged + self.manners.ping_timeout,
            None => self.heard + self.manners.ping_interval,
        };
        let others = [self.read_at, self.receipt.ask_at, self.takes_nothing_by()];
        let next = others.into_iter().flatten().fold(liveness, Instant::min);
        self.alarm.as_mut().reset(next.into());
    }
}

/// Says goodbye, and waits a moment for the answer: a socket that is dropped with something unread in it takes the last
/// words with it.
async fn farewell<S>(stream: &mut WebSocketStream<S>, goodbye: Goodbye) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let last_words = async {
        if goodbye.can_be_said() {
            let frame = CloseFrame { code: goodbye.code().into(), reason: goodbye.reason().into() };
            stream.close(Some(frame)).await?;
        }
        while stream.next().await.is_some_and(|message| message.is_ok()) {}
        Ok(())
    };
    timeout(FAREWELL, last_words).await.unwrap_or(Ok(()))
}

/// A client that closes its socket says so with these codes, or none (RFC 6455, 7.4.1); with another one something went
/// wrong.
fn closed(why: Option<&CloseFrame>) -> Goodbye {
    match why.map(|frame| frame.code) {
        None | Some(CloseCode::Normal | CloseCode::Away | CloseCode::Status) => Goodbye::Closed,
        Some(_) => Goodbye::Broken,
    }
}

/// Ready when there is room, if that is waited for.
async fn relief(held_up: &mut Option<Relief>) {
    match held_up {
        Some(relief) => relief.await,
        None => pending().await,
    }
}

/// Ready when the handler that was called is done, if one was.
async fn done(call: &mut Option<(Running, Instant)>) -> Result<(), Goodbye> {
    match call {
        Some((running, _)) => running.await,
        None => pending().await,
    }
}

/// What `write` comes to: it may take long, and the handler that was called goes on meanwhile. What that one comes to is
/// looked at afterwards.
async fn beside_the_call<T>(call: &mut Option<(Running, Instant)>, write: impl Future<Output = T>) -> T {
    let mut write = pin!(write);
    let outcome = tokio::select! {
        written = &mut write => return written,
        outcome = done(call) => outcome,
    };
    if let Some((running, _)) = call {
        *running = Box::pin(ready(outcome));
    }
    write.await
}

/// A ping that asks for a receipt for the first `count` letters.
fn ping(count: u64) -> Message {
    Message::Ping(Bytes::copy_from_slice(&count.to_be_bytes()))
}

fn text(frame: Bytes) -> Result<Message, Error> {
    Ok(Message::Text(Utf8Bytes::try_from(frame).map_err(|_| Error::Utf8("a frame of ours".into()))?))
}

fn goodbye_for(error: Error) -> Goodbye {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Goodbye::TooBig,
        Error::Utf8(_) => Goodbye::NotText,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Goodbye::Broken,
        Error::Protocol(_) => Goodbye::Malformed,
        Error::ConnectionClosed | Error::AlreadyClosed => Goodbye::Closed,
        _ => Goodbye::Broken,
    }
}
