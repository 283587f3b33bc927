//! When a room is told who is in it. That is state: only the newest roster counts, so many changes are told as one.

use std::time::{Duration, Instant};

use crate::message::PeerId;

/// How often a room is told who is in it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// At most once in this time,
    pub interval: Duration,
    /// and in a large room so rarely that its rosters are not more bytes a second than this, on this node.
    pub bytes_per_second: usize,
}

impl Pace {
    /// How long nothing follows a roster of so many bytes, to all receivers together.
    fn after(self, bytes: usize) -> Duration {
        let spread = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second.max(1) as f64);
        self.interval.max(spread)
    }
}

/// When one room is told next. The first roster after a quiet time goes at once, the last one always goes.
#[derive(Debug, Default)]
pub struct Turn {
    /// Not before this.
    next_at: Option<Instant>,
    owed: Option<Owed>,
}

#[derive(Debug)]
struct Owed {
    /// The only one who knows it already.
    but: Option<PeerId>,
}

impl Turn {
    /// Somebody else than before is in the room, or `but` alone knows it already. If it was owed before, when the room is
    /// told is settled: `None`; else the moment, which may be past.
    pub fn owe(&mut self, but: Option<&PeerId>, now: Instant) -> Option<Instant> {
        if let Some(owed) = &mut self.owed {
            owed.but = owed.but.take().filter(|known| Some(known) == but);
            return None;
        }
        self.owed = Some(Owed { but: but.cloned() });
        Some(self.next_at.unwrap_or(now))
    }

    /// Takes the turn, if one is owed and it is time: who is not told.
    pub fn take(&mut self, now: Instant) -> Option<Option<PeerId>> {
        if self.next_at.is_some_and(|at| at > now) {
            return None;
        }
        self.owed.take().map(|owed| owed.but)
    }

    /// The room was told, with so many bytes to all receivers together.
    pub fn told(&mut self, bytes: usize, pace: Pace, now: Instant) {
        self.next_at = Some(now + pace.after(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { interval: Duration::from_millis(50), bytes_per_second: 1_000_000 };

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_first_roster_goes_at_once_and_what_follows_goes_as_one() {
        let (mut turn, start) = (Turn::default(), Instant::now());
        assert_eq!(turn.owe(None, start), Some(start));
        assert_eq!(turn.take(start), Some(None));
        turn.told(300, PACE, start);

        let next = start + PACE.interval;
        assert_eq!(turn.owe(None, start + millis(1)), Some(next));
        assert_eq!(turn.take(start + millis(1)), None, "too early");
        assert_eq!(turn.owe(None, start + millis(2)), None, "it is owed already");
        assert_eq!(turn.take(next), Some(None), "the last one goes");
        turn.told(300, PACE, next);
        assert_eq!(turn.take(next + millis(99)), None, "and it was the last one");

        let later = next + millis(99);
        assert!(turn.owe(None, later).is_some_and(|at| at <= later), "after a quiet time at once again");
    }

    #[test]
    fn a_large_room_is_told_so_rarely_that_its_rosters_stay_within_their_bytes() {
        let (mut turn, start) = (Turn::default(), Instant::now());
        let mut told = 0;
        for moment in (0..10_000).map(|count| start + millis(count)) {
            turn.owe(None, moment);
            if turn.take(moment).is_some() {
                turn.told(500_000, PACE, moment);
                told += 1;
            }
        }
        assert_eq!(told, 20, "half a megabyte each, a megabyte a second");
    }

    #[test]
    fn only_who_knows_all_that_is_owed_is_left_out() {
        let (alice, bob) = (PeerId::new("alice"), PeerId::new("bob"));
        let now = Instant::now();
        for (knowing, left_out) in [
            (vec![Some(&alice)], Some(alice.clone())),
            (vec![Some(&alice), Some(&alice)], Some(alice.clone())),
            (vec![Some(&alice), Some(&bob)], None),
            (vec![Some(&alice), None], None),
            (vec![None, Some(&alice)], None),
        ] {
            let mut turn = Turn::default();
            for but in knowing {
                turn.owe(but, now);
            }
            assert_eq!(turn.take(now), Some(left_out));
        }
    }
}
