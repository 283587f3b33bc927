//! How much one connection may send: a bucket of messages and one of bytes.

use std::time::{Duration, Instant};

/// A connection's share.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Messages a second, in the long run.
    pub messages_per_second: u32,
    /// Messages at once, after a pause.
    pub message_burst: u32,
    /// Bytes a second, in the long run.
    pub bytes_per_second: u32,
    /// Bytes at once, after a pause.
    pub byte_burst: u32,
}

/// One that has had nothing left for this long is flooding.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a connection has left of its share.
#[derive(Debug)]
pub struct Allowance {
    share: Share,
    messages: f64,
    bytes: f64,
    at: Instant,
    empty_since: Option<Instant>,
}

impl Allowance {
    /// All of it.
    pub fn new(share: Share, now: Instant) -> Self {
        let (messages, bytes) = (share.message_burst.into(), share.byte_burst.into());
        Self { share, messages, bytes, at: now, empty_since: None }
    }

    /// A message of `bytes` was read at `now`: when the next one may be. `None` if this has gone on for too long.
    pub fn spend(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let refill =
            |left: f64, rate: u32, burst: u32| (left + passed * f64::from(rate)).min(f64::from(burst));
        self.messages = refill(self.messages, self.share.messages_per_second, self.share.message_burst) - 1.0;
        let size = u32::try_from(bytes).map_or(f64::MAX, f64::from);
        self.bytes = refill(self.bytes, self.share.bytes_per_second, self.share.byte_burst) - size;
        let wait = (-self.messages / f64::from(self.share.messages_per_second))
            .max(-self.bytes / f64::from(self.share.bytes_per_second));
        if wait <= 0.0 {
            self.empty_since = None;
            return Some(now);
        }
        let since = *self.empty_since.get_or_insert(now);
        (now.duration_since(since) < PATIENCE).then(|| now + Duration::from_secs_f64(wait.min(60.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: Share =
        Share { messages_per_second: 10, message_burst: 20, bytes_per_second: 1000, byte_burst: 5000 };

    #[test]
    fn a_burst_passes_and_then_messages_come_at_the_rate() {
        let start = Instant::now();
        let mut allowance = Allowance::new(SHARE, start);
        for _ in 0..20 {
            assert_eq!(allowance.spend(1, start), Some(start));
        }
        assert_eq!(allowance.spend(1, start), Some(start + Duration::from_millis(100)));
        let later = start + Duration::from_secs(1);
        assert_eq!(allowance.spend(1, later), Some(later));
    }

    #[test]
    fn bytes_count_too() {
        let start = Instant::now();
        let mut allowance = Allowance::new(SHARE, start);
        assert_eq!(allowance.spend(7000, start), Some(start + Duration::from_secs(2)));
    }

    #[test]
    fn only_who_goes_on_for_too_long_is_flooding() {
        let start = Instant::now();
        let mut allowance = Allowance::new(SHARE, start);
        let (mut now, mut sent) = (start, 0);
        while let Some(next) = allowance.spend(1, now) {
            now = next;
            sent += 1;
        }
        assert!(now.duration_since(start) >= PATIENCE);
        assert!((300..340).contains(&sent), "{sent}");

        let mut patient = Allowance::new(SHARE, start);
        let mut now = start;
        for _ in 0..100 {
            for _ in 0..30 {
                now = patient.spend(1, now).unwrap();
            }
            now += Duration::from_secs(2);
        }
    }
}
