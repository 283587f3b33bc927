//! What is different each time: the clock, and the order of what is in a map. The simulation decides it by a seed, so
//! whatever it plays reads both here.

use std::time::{Duration, Instant};

/// Now: by the clock of the tokio runtime that this runs in, which tests may stop and move.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// How long ago `then` was.
pub fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}

/// A timer that is later than this is not late because the machine is busy.
const BUSY: Duration = Duration::from_millis(100);

/// For how long this process stood still, if a timer that was to go off at `due` goes off now: it was stopped, or its
/// machine was. What others have said meanwhile is there, and has not been read.
pub fn stood_still(due: Instant) -> Option<Duration> {
    Some(since(due)).filter(|late| *late > BUSY)
}

/// A map whose order nobody may rely on. Clients choose what is in it, so they must not know where that goes.
#[cfg(not(test))]
pub type Map<K, V> = std::collections::HashMap<K, V>;

/// A map whose order is the same whenever the same has happened to it.
#[cfg(test)]
pub type Map<K, V> = std::collections::HashMap<K, V, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>;
