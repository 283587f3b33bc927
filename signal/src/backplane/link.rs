//! The numbered stream of envelopes from one node to another, and the seal on it. No I/O, no clock, no log.
//!
//! [`Outgoing`] is the source's end: it gathers envelopes into frames, has one frame in flight, and repeats what was
//! not heard. [`Incoming`] is the destination's: it knows by their numbers what it has had already, so that a frame
//! that was sent twice is delivered once, and nothing is ever delivered late and out of order.
//!
//! What is not here yet: a frame that somebody heard (`PUBLISH` was answered with 1) and that was lost all the same,
//! in a subscriber's buffer or on a broken connection, is not sent again. [`Incoming`] sees the hole in the numbers
//! and counts it ([`Received::missed`]); the tail of a stream can be lost without even that. Acknowledgements, the
//! ring of what is not acknowledged, the answer to a hole and the heartbeat with the newest number belong into this
//! file: into [`Outgoing::sent`], which forgets a frame when it was heard and will forget it when it was acknowledged,
//! and into [`Incoming::receive`], which will ask for what it misses.

use std::collections::VecDeque;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Envelope;
use crate::message::{NodeId, Undelivered};

/// Envelopes that may wait on one link.
pub const MAX_WAITING: usize = 20_000;
/// Bytes that may wait on one link.
pub const MAX_WAITING_BYTES: usize = 8 << 20;
/// Envelopes in a frame, at most.
const MAX_FRAME: usize = 64;
/// Bytes in a frame, at most; but one envelope always goes, however large.
const MAX_FRAME_BYTES: usize = 64 << 10;

/// What one frame carries: consecutive envelopes of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Who sends.
    from: NodeId,
    /// For whom: a frame for one node that is played to another says nothing there.
    to: NodeId,
    /// Which of the streams from the one to the other; a later one has a larger number.
    stream: u64,
    /// Number of the first envelope; a stream begins with 1.
    first: u64,
    /// The envelopes, encoded.
    envelopes: Vec<Bytes>,
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

/// The source's end of a link.
#[derive(Debug)]
pub struct Outgoing {
    from: NodeId,
    to: NodeId,
    stream: u64,
    /// Number of the oldest envelope that waits.
    first: u64,
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// How many of the oldest are in the frame that is in flight.
    in_flight: usize,
    closed: bool,
}

impl Outgoing {
    /// A new stream. Of two streams between the same nodes the later one has the larger number.
    pub fn new(from: NodeId, to: NodeId, stream: u64) -> Self {
        Self { from, to, stream, first: 1, waiting: VecDeque::new(), bytes: 0, in_flight: 0, closed: false }
    }

    /// Takes an envelope. Refused with [`Undelivered::Full`] when too much waits already, with
    /// [`Undelivered::Unreachable`] when the link is closed.
    pub fn push(&mut self, envelope: &Envelope) -> Result<(), Undelivered> {
        if self.closed {
            return Err(Undelivered::Unreachable);
        }
        let encoded = postcard::to_stdvec(envelope).map_err(|_| Undelivered::Unreachable)?;
        let bytes = self.bytes + encoded.len();
        if self.waiting.len() >= MAX_WAITING || bytes > MAX_WAITING_BYTES {
            return Err(Undelivered::Full);
        }
        self.bytes = bytes;
        self.waiting.push_back(encoded.into());
        Ok(())
    }

    /// The next frame, not yet sealed; it is in flight until [`Self::sent`] or [`Self::not_heard`]. `None` if nothing
    /// waits, or a frame is in flight.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        if self.in_flight > 0 || self.waiting.is_empty() {
            return None;
        }
        let mut bytes = 0;
        let fits = |envelope: &&Bytes| {
            bytes += envelope.len();
            bytes <= MAX_FRAME_BYTES
        };
        let count = self.waiting.iter().take(MAX_FRAME).take_while(fits).count().max(1);
        let batch = Batch {
            from: self.from.clone(),
            to: self.to.clone(),
            stream: self.stream,
            first: self.first,
            envelopes: self.waiting.iter().take(count).cloned().collect(),
        };
        let frame = postcard::to_stdvec(&batch).ok()?;
        self.in_flight = count;
        Some(frame)
    }

    /// The frame in flight was heard.
    pub fn sent(&mut self) {
        let heard = self.waiting.drain(..self.in_flight);
        self.bytes -= heard.map(|envelope| envelope.len()).sum::<usize>();
        self.first += self.in_flight as u64;
        self.in_flight = 0;
    }

    /// Nobody has heard the frame in flight, or nobody knows: its envelopes go again, with the same numbers.
    pub fn not_heard(&mut self) {
        self.in_flight = 0;
    }

    /// Ends the stream: what was not carried, oldest first. Nothing is taken from now on.
    pub fn close(&mut self) -> Vec<Envelope> {
        self.closed = true;
        self.in_flight = 0;
        self.bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().filter_map(|envelope| postcard::from_bytes(envelope).ok()).collect()
    }

    /// How many envelopes wait or are in flight.
    pub fn backlog(&self) -> usize {
        self.waiting.len()
    }
}

/// The destination's end of a link.
#[derive(Debug, Default)]
pub struct Incoming {
    stream: u64,
    /// Number of the newest envelope that has come.
    newest: u64,
}

/// What a batch brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// What is new, in order.
    pub envelopes: Vec<Envelope>,
    /// How many had come before.
    pub repeated: u64,
    /// How many must have been sent before these and never came.
    pub missed: u64,
    /// How many are not envelopes of this version.
    pub unknown: u64,
}

impl Incoming {
    /// A batch from the link's source.
    pub fn receive(&mut self, batch: Batch) -> Received {
        let count = batch.envelopes.len() as u64;
        if batch.stream < self.stream {
            return Received { repeated: count, ..Received::default() };
        }
        if batch.stream > self.stream {
            *self = Self { stream: batch.stream, newest: 0 };
        }
        let expected = self.newest + 1;
        let repeated = expected.saturating_sub(batch.first).min(count);
        let mut received =
            Received { repeated, missed: batch.first.saturating_sub(expected), ..Received::default() };
        for encoded in batch.envelopes.iter().skip(usize::try_from(repeated).unwrap_or(usize::MAX)) {
            match postcard::from_bytes(encoded) {
                Ok(envelope) => received.envelopes.push(envelope),
                Err(_) => received.unknown += 1,
            }
        }
        self.newest = self.newest.max(batch.first.saturating_add(count).saturating_sub(1));
        received
    }
}

/// What makes a frame one of ours: whoever reaches Redis without the key cannot speak as a node.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

impl Seal {
    /// First byte of a sealed frame; another one for each change of [`Batch`] or [`Envelope`] that an older node
    /// would not understand.
    const VERSION: u8 = 1;
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
