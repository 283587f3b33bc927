//! The numbered streams of envelopes between two nodes, and the seal on their frames. No I/O, no clock, no log.
//!
//! A bus forgets: a frame that somebody heard (`PUBLISH` was answered with 1) can be lost all the same, in a
//! subscriber's buffer or on a connection that breaks. A [`Link`] is one node's end of two streams, one each way, and
//! makes up for that. What goes out is numbered and kept until the other end has acknowledged it; frames say how far
//! the other stream has come, and whether something of it is missing. Who is told of a hole, or is told nothing for
//! a while, goes back to the oldest envelope that was not acknowledged, and sends again from there. So each envelope is
//! delivered once and in order, whatever the bus loses, repeats or holds up, as long as both nodes live; and when the
//! other one does not, [`Link::close`] gives back what it has not acknowledged.
//!
//! The caller publishes what [`Link::next_frame`] gives, says what became of it ([`Link::heard`], [`Link::unheard`]),
//! hands in what comes ([`Link::receive`]), and looks again at [`Link::wake_at`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Envelope;
use super::pressure::Pressure;
use crate::breakage::{Breakage, is_broken};
use crate::hub::mailbox::Bounds;
use crate::message::{NodeId, Undelivered};

/// Envelopes in a frame, at most.
const MAX_FRAME: usize = 256;
/// Bytes in a frame, at most; but one envelope always goes, however large.
const MAX_FRAME_BYTES: usize = 64 << 10;
/// What has come is acknowledged after this time, if no frame goes that way sooner.
const ACK_AFTER: Duration = Duration::from_millis(20);
/// Without an acknowledgement for this long a link goes back; then for twice as long, and so on.
const GO_BACK: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(2));
/// Every frame behind a hole is answered with what is missing: after it went back, a link believes no such answer for
/// this time, in which they may still be those to what it sent before.
const DEAF_AFTER_GOING_BACK: Duration = Duration::from_millis(50);

/// What one frame carries: consecutive envelopes of one stream, and how far the other stream has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Who sends.
    from: NodeId,
    /// For whom: a frame for one node that is played to another says nothing there.
    to: NodeId,
    /// Number of the frame: an older one that turns up late has no news of the other stream.
    frame: u64,
    /// Which of the streams from the one to the other; a later one has a larger number.
    stream: u64,
    /// Number of the first envelope; a stream begins with 1.
    first: u64,
    /// The envelopes, encoded; none in a frame that only acknowledges.
    envelopes: Vec<Bytes>,
    /// What has come of the other stream.
    ack: Option<Ack>,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ack {
    stream: u64,
    /// Everything up to here has come.
    newest: u64,
    /// Something after that is missing, as far as is known there.
    missing: bool,
}

impl Batch {
    /// The batch in these bytes, if they are one and it is for `me`.
    pub fn decode(bytes: &[u8], me: &NodeId) -> Option<Self> {
        let (batch, rest): (Self, _) = postcard::take_from_bytes(bytes).ok()?;
        (rest.is_empty() && batch.to == *me).then_some(batch)
    }

    /// Who sends.
    pub fn from(&self) -> &NodeId {
        &self.from
    }
}

/// One node's end of the streams between it and another one.
#[derive(Debug)]
pub struct Link {
    me: NodeId,
    other: NodeId,
    bounds: Bounds,
    out: Outgoing,
    incoming: Incoming,
    pressure: Pressure,
    in_flight: Option<Flight>,
    /// Number of the last frame.
    frame: u64,
    closed: bool,
}

/// A frame that is being published.
#[derive(Clone, Copy, Debug)]
struct Flight {
    stream: u64,
    /// Number of the envelope after its last.
    end: u64,
    /// What [`Outgoing::again`] was: if the link went back meanwhile, the frame moves nothing forward.
    again: u64,
    acks: bool,
}

/// The stream that goes out.
#[derive(Debug)]
struct Outgoing {
    stream: u64,
    /// Number of the oldest that is kept: all before it were acknowledged.
    first: u64,
    /// Number of the next one to publish.
    next: u64,
    kept: VecDeque<Bytes>,
    bytes: usize,
    /// When to go back, unless there is an acknowledgement before; `None` if nothing was published that is kept.
    go_back_at: Option<Instant>,
    patience: Duration,
    deaf_until: Option<Instant>,
    /// Frames that will have gone again.
    again: u64,
}

/// The stream that comes in.
#[derive(Debug, Default)]
struct Incoming {
    /// Number of the latest frame.
    frame: u64,
    /// 0 before anything has come.
    stream: u64,
    /// Everything up to this number has come.
    newest: u64,
    missing: bool,
    /// When the other end is to be told.
    ack_at: Option<Instant>,
}

/// What a batch brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// What is new, in order.
    pub envelopes: Vec<Envelope>,
    /// How many had come before.
    pub repeated: u64,
    /// How many must have been sent before these and have not come; they are asked for.
    pub missed: u64,
    /// How many are not envelopes of this version.
    pub unknown: u64,
}

impl Link {
    /// A link whose outgoing stream has the number `stream`. Of two streams from one node to another the later one has
    /// the larger number, by at least 2³² if they are not of one link. It keeps as many envelopes as `bounds` say, waiting
    /// or not acknowledged.
    pub fn new(me: NodeId, other: NodeId, stream: u64, bounds: Bounds) -> Self {
        let (out, incoming) = (Outgoing::new(stream), Incoming::default());
        let pressure = Pressure::default();
        Self { me, other, bounds, out, incoming, pressure, in_flight: None, frame: stream, closed: false }
    }

    /// Takes an envelope. Refused with [`Undelivered::Full`] when too much is kept already, with
    /// [`Undelivered::Unreachable`] when the link is closed.
    pub fn push(&mut self, envelope: &Envelope) -> Result<(), Undelivered> {
        if self.closed {
            return Err(Undelivered::Unreachable);
        }
        self.out.push(envelope, self.bounds)
    }

    /// The next frame, not yet sealed; it is in flight until [`Self::heard`] or [`Self::unheard`]. `None` if there is
    /// nothing to say, or a frame is in flight.
    pub fn next_frame(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.in_flight.is_some() {
            return None;
        }
        if self.out.go_back_at.is_some_and(|at| at <= now) {
            self.out.go_back(now);
            self.out.patience = (self.out.patience * 2).min(GO_BACK.1);
        }
        let envelopes = self.out.gather();
        if envelopes.is_empty() && self.incoming.ack_at.is_none_or(|at| at > now) {
            return None;
        }
        let ack = self.incoming.acknowledge();
        let (stream, first) = (self.out.stream, self.out.next);
        let end = first + envelopes.len() as u64;
        self.in_flight = Some(Flight { stream, end, again: self.out.again, acks: ack.is_some() });
        self.frame += 1;
        let (from, to, frame) = (self.me.clone(), self.other.clone(), self.frame);
        postcard::to_stdvec(&Batch { from, to, frame, stream, first, envelopes, ack }).ok()
    }

    /// Somebody has heard the frame in flight.
    pub fn heard(&mut self, now: Instant) {
        let Some(flight) = self.in_flight.take() else { return };
        if flight.stream == self.out.stream && flight.again == self.out.again {
            self.out.published(flight.end, now);
        }
    }

    /// Nobody has heard the frame in flight, or nobody knows: it goes again.
    pub fn unheard(&mut self, now: Instant) {
        if self.in_flight.take().is_some_and(|flight| flight.acks) {
            self.incoming.ack_at = Some(now);
        }
        self.out.again += 1;
    }

    /// A batch from the other end.
    pub fn receive(&mut self, batch: Batch, now: Instant) -> Received {
        if let Some(ack) = batch.ack
            && batch.frame > self.incoming.frame
        {
            self.out.acknowledged(ack, now);
        }
        self.incoming.frame = self.incoming.frame.max(batch.frame);
        self.incoming.receive(&batch, now)
    }

    /// This node may have heard nothing for a while: the other end is asked for what has not come, and is sent what it has
    /// not acknowledged.
    pub fn was_deaf(&mut self, now: Instant) {
        self.out.patience = GO_BACK.0;
        if self.out.next > self.out.first {
            self.out.go_back(now);
            // What the other end asks for now is not about what went before.
            self.out.deaf_until = None;
        }
        if self.incoming.stream > 0 {
            self.incoming.missing = true;
            self.incoming.ack_at = Some(now);
        }
    }

    /// When there may be another frame, if nothing is pushed and nothing comes before; `None` for never.
    pub fn wake_at(&self) -> Option<Instant> {
        [self.out.go_back_at, self.incoming.ack_at].into_iter().flatten().min()
    }

    /// Ends the outgoing stream: what was not acknowledged, oldest first. Nothing is taken from now on.
    pub fn close(&mut self) -> Vec<Envelope> {
        self.closed = true;
        self.in_flight = None;
        let next = Outgoing { again: self.out.again, ..Outgoing::new(self.out.stream + 1) };
        let ended = std::mem::replace(&mut self.out, next);
        ended.kept.iter().filter_map(|envelope| postcard::from_bytes(envelope).ok()).collect()
    }

    /// The other end turns out to live: envelopes are taken again. What came before is still known.
    pub fn reopen(&mut self) {
        self.closed = false;
    }

    /// Whether nothing is taken.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many envelopes wait, are in flight or not acknowledged.
    pub fn backlog(&self) -> usize {
        self.out.kept.len()
    }

    /// Their bytes.
    pub fn backlog_bytes(&self) -> usize {
        self.out.bytes
    }

    /// How full it is.
    pub fn pressure(&mut self, now: Instant) -> &Pressure {
        let holds = Bounds { messages: self.backlog(), bytes: self.backlog_bytes() };
        self.pressure.update(holds, self.bounds, now);
        &self.pressure
    }

    /// How many frames have gone more than once.
    pub fn repeated_frames(&self) -> u64 {
        self.out.again
    }
}

impl Outgoing {
    fn new(stream: u64) -> Self {
        Self {
            stream,
            first: 1,
            next: 1,
            kept: VecDeque::new(),
            bytes: 0,
            go_back_at: None,
            patience: GO_BACK.0,
            deaf_until: None,
            again: 0,
        }
    }

    fn push(&mut self, envelope: &Envelope, most: Bounds) -> Result<(), Undelivered> {
        let encoded = postcard::to_stdvec(envelope).map_err(|_| Undelivered::Unreachable)?;
        let bytes = self.bytes + encoded.len();
        if self.kept.len() >= most.messages || bytes > most.bytes {
            return Err(Undelivered::Full);
        }
        self.bytes = bytes;
        self.kept.push_back(encoded.into());
        Ok(())
    }

    /// What the next frame carries.
    fn gather(&self) -> Vec<Bytes> {
        let mut bytes = 0;
        let fits = |envelope: &&Bytes| {
            let empty = bytes == 0;
            bytes += envelope.len();
            empty || bytes <= MAX_FRAME_BYTES
        };
        let begin = usize::try_from(self.next - self.first).unwrap_or(usize::MAX);
        self.kept.iter().skip(begin).take(MAX_FRAME).take_while(fits).cloned().collect()
    }

    fn published(&mut self, end: u64, now: Instant) {
        self.next = self.next.max(end);
        if self.go_back_at.is_none() {
            self.go_back_at = self.due_again(now);
        }
    }

    /// When what was published goes again without a word from the other end, if anything was.
    fn due_again(&self, now: Instant) -> Option<Instant> {
        (self.next > self.first && !is_broken(Breakage::NoRepeatOfTail)).then(|| now + self.patience)
    }

    fn acknowledged(&mut self, ack: Ack, now: Instant) {
        let end = self.first + self.kept.len() as u64;
        // Of another stream, or of what there never was.
        if ack.stream != self.stream || ack.newest >= end {
            return;
        }
        if ack.newest + 1 < self.first {
            // An old one, or of a node that has forgotten what it had: only then something is missing there.
            if ack.missing {
                self.begin_anew();
            }
            return;
        }
        let heard = usize::try_from(ack.newest + 1 - self.first).unwrap_or(usize::MAX);
        if heard > 0 {
            self.bytes -= self.kept.drain(..heard).map(|envelope| envelope.len()).sum::<usize>();
            self.first = ack.newest + 1;
            self.next = self.next.max(self.first);
            self.patience = GO_BACK.0;
            self.go_back_at = self.due_again(now);
        }
        if ack.missing && self.deaf_until.is_none_or(|until| until <= now) {
            self.go_back(now);
        }
    }

    /// The oldest that was not acknowledged is the next to go.
    fn go_back(&mut self, now: Instant) {
        self.again += u64::from(self.next > self.first);
        self.next = self.first;
        self.go_back_at = None;
        self.deaf_until = Some(now + DEAF_AFTER_GOING_BACK);
    }

    /// Everything that is kept belongs to a new stream.
    fn begin_anew(&mut self) {
        let Self { kept, bytes, again, .. } = std::mem::replace(self, Self::new(self.stream + 1));
        (self.kept, self.bytes, self.again) = (kept, bytes, again + 1);
    }
}

impl Incoming {
    fn receive(&mut self, batch: &Batch, now: Instant) -> Received {
        let count = batch.envelopes.len() as u64;
        if count == 0 {
            return Received::default();
        }
        if batch.stream < self.stream {
            return Received { repeated: count, ..Received::default() };
        }
        if batch.stream > self.stream {
            *self = Self { frame: self.frame, stream: batch.stream, ..Self::default() };
        }
        let expected = self.newest + 1;
        if batch.first > expected {
            // Every frame behind a hole shows it: it is one all the same.
            let missed = if self.missing { 0 } else { batch.first - expected };
            self.missing = true;
            self.ack_at = Some(now);
            return Received { missed, ..Received::default() };
        }
        let repeated = (expected - batch.first).min(count);
        let mut received = Received { repeated, ..Received::default() };
        for encoded in batch.envelopes.iter().skip(usize::try_from(repeated).unwrap_or(usize::MAX)) {
            match postcard::from_bytes(encoded) {
                Ok(envelope) => received.envelopes.push(envelope),
                Err(_) => received.unknown += 1,
            }
        }
        if repeated < count {
            self.newest = batch.first.saturating_add(count - 1);
            self.missing = false;
        }
        // One who repeats has not heard the last acknowledgement.
        let due = if repeated > 0 { now } else { now + ACK_AFTER };
        self.ack_at = Some(self.ack_at.map_or(due, |at| at.min(due)));
        received
    }

    fn acknowledge(&mut self) -> Option<Ack> {
        self.ack_at = None;
        let Self { stream, mut newest, missing, .. } = *self;
        if is_broken(Breakage::AckBeforeDelivery) {
            newest += u64::from(missing);
        }
        (stream > 0).then_some(Ack { stream, newest, missing })
    }
}

/// What makes a frame one of ours: whoever reaches Redis without the key cannot speak as a node.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

impl Seal {
    /// First byte of a sealed frame; another one for each change of [`Batch`] or [`Envelope`] that an older node
    /// would not understand.
    const VERSION: u8 = 7;
    const TAG: usize = 32;

    /// The seal of those who have `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        // HMAC's own rule for a key that is shorter than a block.
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block[..key.len()].copy_from_slice(key);
        Self(Hmac::new(&block))
    }

    /// `frame` under seal: version, HMAC-SHA256 of version and frame, frame.
    pub fn close(&self, frame: &[u8]) -> Vec<u8> {
        let tag = self.mac(frame).finalize().into_bytes();
        [&[Self::VERSION], &tag[..], frame].concat()
    }

    /// The frame in `bytes`; `None` if the seal is not ours or of another version.
    pub fn open<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (version, sealed) = bytes.split_first()?;
        let (tag, frame) = sealed.split_at_checked(Self::TAG)?;
        (*version == Self::VERSION && self.mac(frame).verify_slice(tag).is_ok()).then_some(frame)
    }

    fn mac(&self, frame: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update([Self::VERSION]).chain_update(frame)
    }
}

/// Shows nothing of the key.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests;
