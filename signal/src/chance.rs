//! What is different each time: the clock, and the order of what is in a map. The simulation decides it by a seed, so
//! whatever it plays reads both here.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::timeout;

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

/// What comes of `future` if it takes no longer than `limit`, not counting what goes by while this process stands still or
/// does not get the processor: then what others have said is there, and has not been read. So the time goes by in parts,
/// each of which is over when this process has noticed that, and has looked once more.
pub async fn in_time<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    const PARTS: u32 = 10;
    let mut future = pin!(future);
    for _ in 0..PARTS {
        if let Ok(value) = timeout(limit / PARTS, &mut future).await {
            return Some(value);
        }
    }
    None
}

/// A map whose order nobody may rely on. Clients choose what is in it, so they must not know where that goes.
#[cfg(not(test))]
pub type Map<K, V> = std::collections::HashMap<K, V>;

/// A map whose order is the same whenever the same has happened to it.
#[cfg(test)]
pub type Map<K, V> = std::collections::HashMap<K, V, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>;

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_has_no_value() {
        let began = now();
        assert_eq!(in_time(LIMIT, pending::<()>()).await, None);
        assert_eq!(since(began), LIMIT);
        assert_eq!(in_time(LIMIT, async { "at once" }).await, Some("at once"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_read_while_this_process_stood_still_is_read_afterwards() {
        let (says, hears) = oneshot::channel();
        let waiting = tokio::spawn(in_time(LIMIT, hears));
        tokio::task::yield_now().await;
        advance(LIMIT * 10).await;
        says.send("the answer").unwrap();
        assert_eq!(waiting.await.unwrap(), Some(Ok("the answer")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_a_little_late_says_nothing_and_one_that_is_very_late_says_by_how_much() {
        let due = now();
        advance(BUSY).await;
        assert_eq!(stood_still(due), None);
        advance(LIMIT).await;
        assert_eq!(stood_still(due), Some(BUSY + LIMIT));
    }
}
