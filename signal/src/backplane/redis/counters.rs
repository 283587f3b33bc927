//! What the backplane counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start of this node. Read them with [`AtomicU64::load`], relaxed.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames that somebody heard.
    pub published: AtomicU64,
    /// Frames that went more than once.
    pub repeated_frames: AtomicU64,
    /// Holes in the numbers of others, in envelopes: what was asked for again.
    pub missed: AtomicU64,
    /// Envelopes that came a second time and were dropped.
    pub repeated: AtomicU64,
    /// Frames without our seal, for another node or not frames, and envelopes of another version.
    pub rejected: AtomicU64,
    /// Frames that came faster than this node took them, and were dropped.
    pub overflowed: AtomicU64,
    /// Connections made to Redis; all but the first replaced one.
    pub connects: AtomicU64,
    /// Probes that came back.
    pub probes: AtomicU64,
    /// How long the last one took to Redis and back through the subscription; microseconds.
    pub probe: AtomicU64,
    /// How long the last heartbeat took to Redis and back; microseconds.
    pub round_trip: AtomicU64,
}

/// Adds `count`.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
