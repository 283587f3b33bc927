//! When who says what to whom: fixed before anything is sent, so nothing that the server does can delay it.
//!
//! All messages of a run have one number each; number `n` is due `n / rate` seconds after the start. They go round the
//! speakers, each of whom goes round its listeners, and to each of them through a call: an offer, an answer, ten
//! candidates, and again.

use std::time::Duration;

/// What a message of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A session description, as a caller makes it.
    Offer,
    /// The answer to it.
    Answer,
    /// A way to reach a peer.
    Candidate,
    /// Something else: what a speaker says to all.
    Text,
}

/// Candidates in a call, after its offer and answer.
const CANDIDATES: u32 = 10;
/// Bytes of an offer's or an answer's payload.
pub const DESCRIPTION_BYTES: usize = 2048;
/// Bytes of a candidate's payload.
pub const CANDIDATE_BYTES: usize = 200;

impl Word {
    /// The `nth` message from one peer to another.
    pub fn of_call(nth: u32) -> Self {
        match nth % (2 + CANDIDATES) {
            0 => Self::Offer,
            1 => Self::Answer,
            _ => Self::Candidate,
        }
    }

    /// Bytes of its payload in a call.
    pub fn bytes(self) -> usize {
        match self {
            Self::Offer | Self::Answer => DESCRIPTION_BYTES,
            Self::Candidate | Self::Text => CANDIDATE_BYTES,
        }
    }
}

/// Who speaks how often.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// How many take turns.
    pub speakers: u32,
    /// Messages per second, of all of them.
    pub rate: f64,
}

impl Schedule {
    /// When the `nth` message of a speaker is due, after the start.
    pub fn due(&self, speaker: u32, nth: u64) -> Duration {
        let number = nth * u64::from(self.speakers) + u64::from(speaker);
        Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// How many messages of a speaker are due before `at`.
    pub fn count_before(&self, speaker: u32, at: Duration) -> u64 {
        let numbers = (at.as_secs_f64() * self.rate).ceil() as u64;
        numbers.saturating_sub(u64::from(speaker)).div_ceil(u64::from(self.speakers))
    }
}

/// To which of its `listeners` a speaker's `nth` message goes.
pub fn listener(nth: u64, listeners: u32) -> u32 {
    u32::try_from(nth % u64::from(listeners.max(1))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_call_is_an_offer_an_answer_and_ten_candidates() {
        let bytes: usize = (0..12).map(|nth| Word::of_call(nth).bytes()).sum();
        assert_eq!(bytes, 2 * 2048 + 10 * 200);
        assert_eq!(Word::of_call(12), Word::Offer);
    }

    #[test]
    fn speakers_take_turns_at_even_distances() {
        let schedule = Schedule { speakers: 4, rate: 1000.0 };
        let millis = |speaker, nth| schedule.due(speaker, nth).as_millis();
        assert_eq!([millis(0, 0), millis(1, 0), millis(3, 0), millis(0, 1), millis(2, 5)], [0, 1, 3, 4, 22]);
    }

    proptest! {
        #[test]
        fn the_rate_is_kept_and_each_is_counted_where_it_is_due(
            speakers in 1u32..50, rate in 1u32..500, seconds in 1u64..20,
        ) {
            let schedule = Schedule { speakers, rate: f64::from(rate) };
            let length = Duration::from_secs(seconds);
            let counts: Vec<u64> = (0..speakers).map(|one| schedule.count_before(one, length)).collect();
            prop_assert_eq!(counts.iter().sum::<u64>(), u64::from(rate) * seconds);
            for (speaker, count) in (0..).zip(counts) {
                prop_assert!(schedule.due(speaker, count) >= length);
                prop_assert!(count == 0 || schedule.due(speaker, count - 1) < length);
            }
        }

        #[test]
        fn everybody_is_spoken_to_equally(listeners in 1u32..20, rounds in 1u64..10) {
            let mut heard = vec![0; listeners as usize];
            for nth in 0..rounds * u64::from(listeners) {
                heard[listener(nth, listeners) as usize] += 1;
            }
            prop_assert!(heard.iter().all(|count| *count == rounds));
        }
    }
}
