//! When a room is told who is in it. That is state: only the newest roster counts, so many changes are told as one.

use std::time::{Duration, Instant};

use super::Hub;
use crate::goodbye::Goodbye;
use crate::message::{PeerId, RoomId, Speaker};

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

/// When a room is told who is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It has been.
    Now,
    /// It will be, when it is its turn.
    Later,
}

impl Hub {
    /// Answers the speaker's question who is in its room; whether it has asked for the first time.
    pub fn answer_roster(&mut self, speaker: &Speaker) -> Result<bool, Goodbye> {
        let is_first = !std::mem::replace(&mut self.session(speaker)?.knows_roster, true);
        let roster = self.rooms.get_mut(&speaker.room).and_then(|room| room.roster_frame(&speaker.room));
        if let Some(roster) = roster {
            self.session(speaker)?.mailbox.answer(roster).map_err(|_| Goodbye::Slow)?;
        }
        Ok(is_first)
    }

    /// Tells this node's peers in `room` who is there, if it is their turn; else [`Self::tell_rosters`] does when it is.
    /// Not `but`, who knows already, and not those who have not said anything yet.
    pub fn tell_roster(&mut self, room: &RoomId, but: Option<&PeerId>, now: Instant) -> Told {
        let Some(known) = self.rooms.get_mut(room) else { return Told::Now };
        match known.roster_turn.owe(but, now) {
            Some(at) if at > now => {
                self.untold.insert((at, room.clone()));
                Told::Later
            }
            Some(_) => {
                self.tell_what_is_owed(room, now);
                Told::Now
            }
            None => Told::Later,
        }
    }

    /// Tells each room who is in it that was to be told by now; when the next one is.
    pub fn tell_rosters(&mut self, now: Instant) -> Option<Instant> {
        while let Some((at, _)) = self.untold.first() {
            if *at > now {
                return Some(*at);
            }
            if let Some((_, room)) = self.untold.pop_first() {
                self.tell_what_is_owed(&room, now);
            }
        }
        None
    }

    /// In one step with reading who is there: a stale roster must not be the last word.
    fn tell_what_is_owed(&mut self, room: &RoomId, now: Instant) {
        let Some(known) = self.rooms.get_mut(room) else { return };
        let Some(but) = known.roster_turn.take(now) else { return };
        let Some(roster) = known.roster_frame(room) else { return };
        let mut bytes = 0;
        for (peer, session) in &known.sessions {
            let listed = known.member(peer).is_some_and(|member| member.listed);
            if listed && but.as_ref() != Some(peer) {
                session.mailbox.push_roster(roster.clone());
                bytes += roster.len();
            }
        }
        if bytes > 0 {
            known.roster_turn.told(bytes, self.rosters, now);
        }
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
