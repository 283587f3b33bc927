//! When those who fill a bounded store are not read for a while, so that it need not refuse what they say.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::hub::mailbox::Bounds;

/// Ready when there is room again for what somebody says, or when it is of no use to wait any longer.
pub type Relief = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Since when a store is nearly full: from three quarters of its bounds until it is below half of them.
#[derive(Debug, Default)]
pub struct Pressure {
    since: Option<Instant>,
}

impl Pressure {
    /// The store holds so much now.
    pub fn update(&mut self, holds: Bounds, bounds: Bounds, now: Instant) {
        let is_over = |part: f64| {
            let part_of = |bound: usize| bound as f64 * part;
            holds.messages as f64 > part_of(bounds.messages) || holds.bytes as f64 > part_of(bounds.bytes)
        };
        if is_over(0.75) {
            self.since.get_or_insert(now);
        } else if !is_over(0.5) {
            self.since = None;
        }
    }

    /// Whether there is room.
    pub fn has_room(&self) -> bool {
        self.since.is_none()
    }

    /// Until when those who fill it are not read. `None` if there is room, or has been none for so long that what does
    /// not fit is better told.
    pub fn wait_until(&self, patience: Duration, now: Instant) -> Option<Instant> {
        self.since.map(|since| since + patience).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { messages: 100, bytes: 1000 };
    const PATIENCE: Duration = Duration::from_secs(3);

    #[test]
    fn who_fills_it_over_three_quarters_waits_until_it_is_half_empty() {
        let (mut pressure, now) = (Pressure::default(), Instant::now());
        for (messages, bytes, waits) in [
            (75, 750, false),
            (76, 0, true),
            (51, 0, true),
            (50, 500, false),
            (60, 600, false),
            (0, 751, true),
            (0, 501, true),
            (0, 0, false),
        ] {
            pressure.update(Bounds { messages, bytes }, BOUNDS, now);
            assert_eq!(pressure.wait_until(PATIENCE, now).is_some(), waits, "{messages} {bytes}");
        }
    }

    #[test]
    fn nobody_waits_for_long() {
        let (mut pressure, start) = (Pressure::default(), Instant::now());
        for seconds in 0..10 {
            let now = start + Duration::from_secs(seconds);
            pressure.update(BOUNDS, BOUNDS, now);
            let until = Some(start + PATIENCE).filter(|_| seconds < 3);
            assert_eq!(pressure.wait_until(PATIENCE, now), until);
        }
    }
}
