//! What a node may do by the standing that it has with the others. No I/O, no clock of its own, no log.
//!
//! A node lives by a lease in the directory, which each of its heartbeats renews. Two clocks go with it, and they are
//! never compared:
//!
//! - **The directory's own.** Each renewal says when the lease ends by it ([`LeaseEnd`]), and whatever changes the
//!   directory takes that along: what is carried out later than that changes nothing. Others take over the peers of a
//!   node only when its lease has ended, by the same clock. So everything that a node has changed comes before anything
//!   that is done about its death, however long a command was held up on its way: by a connection that was given up, by
//!   a proxy between, by a directory that stood still.
//! - **This node's**, which goes on while its process is stopped. A lease lasts at least as long as from the moment at
//!   which the heartbeat *began*. Well before that time is over the node fences itself: it claims, changes and judges
//!   nothing, and says so at once where it would else have had to wait for an answer that comes too late.
//!
//! Whoever asks gives the moment, so that one who was stopped between two lines is not believed by the look of before.

use std::time::{Duration, Instant};

use crate::breakage::{Breakage, is_broken};

/// When a lease ends; milliseconds by the directory's clock. Only the directory compares it with anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseEnd(pub u64);

/// How long a node is believed.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// By the others, since its last heartbeat.
    pub lease: Duration,
    /// By itself, since that heartbeat began: shorter.
    pub fence: Duration,
}

/// What one node knows of its own standing.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    terms: Terms,
    last: Option<Renewal>,
    /// Since when there was no long pause between renewals.
    steady_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Renewal {
    began: Instant,
    end: LeaseEnd,
}

impl Pulse {
    /// A node that nobody believes in yet.
    pub fn new(terms: Terms) -> Self {
        Self { terms, last: None, steady_since: None }
    }

    /// The lease was renewed by a heartbeat that began at `began`, until `end`.
    pub fn renewed(&mut self, began: Instant, end: LeaseEnd) {
        let paused = |last: Renewal| began.duration_since(last.began) > self.terms.lease / 2;
        if self.last.is_none_or(paused) {
            self.steady_since = Some(began);
        }
        self.last = Some(Renewal { began, end });
    }

    /// The directory has forgotten nodes: each has a lease's time from now on to say that it lives. What others believe of
    /// this one goes on, as they do the same.
    pub fn begins_anew(&mut self, now: Instant) {
        self.steady_since = Some(now);
    }

    /// There is no lease any more.
    pub fn stop(&mut self) {
        *self = Self::new(self.terms);
    }

    /// Whether the others have believed in this node from its last renewal until now: by `now` the lease has not ended.
    /// One who was not believed for a while may have been given up on, and what it was sent may have gone elsewhere.
    pub fn is_believed(&self, now: Instant) -> bool {
        if is_broken(Breakage::NoFencing) {
            return self.last.is_some();
        }
        self.last.is_some_and(|last| now.duration_since(last.began) < self.terms.lease)
    }

    /// Whether the node may claim and change what others know, and until when that has to be carried out. `None`: it is
    /// fenced.
    pub fn may_claim(&self, now: Instant) -> Option<LeaseEnd> {
        if is_broken(Breakage::NoFencing) {
            return self.last.map(|_| LeaseEnd(u64::MAX));
        }
        let fresh = |last: &Renewal| now.duration_since(last.began) < self.terms.fence;
        self.last.filter(fresh).map(|last| last.end)
    }

    /// Whether a node without a lease is dead to this one. If the directory was away from this node for long, it may
    /// have been from all of them, and then each has a lease's time to renew its own.
    pub fn may_judge(&self, now: Instant) -> bool {
        let steady = self.steady_since.is_some_and(|since| now.duration_since(since) >= self.terms.lease);
        steady && self.may_claim(now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { lease: Duration::from_secs(10), fence: Duration::from_secs(7) };

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A node whose heartbeats began at these moments, in seconds after the first.
    fn beaten(start: Instant, beats: &[f64]) -> Pulse {
        let mut pulse = Pulse::new(TERMS);
        for beat in beats {
            pulse.renewed(start + seconds(*beat), LeaseEnd((beat * 1e3) as u64 + 10_000));
        }
        pulse
    }

    #[test]
    fn one_who_was_never_heard_may_nothing() {
        let now = Instant::now();
        assert_eq!(Pulse::new(TERMS).may_claim(now), None);
        assert!(!Pulse::new(TERMS).may_judge(now));
    }

    #[test]
    fn a_node_fences_itself_before_its_lease_can_end() {
        let start = Instant::now();
        let pulse = beaten(start, &[0.0, 2.5]);
        assert_eq!(pulse.may_claim(start + seconds(9.4)), Some(LeaseEnd(12_500)));
        assert_eq!(pulse.may_claim(start + seconds(9.5)), None);
    }

    #[test]
    fn who_was_stopped_knows_it_by_its_first_look_at_the_clock() {
        let start = Instant::now();
        let mut pulse = beaten(start, &[0.0, 2.5, 5.0, 7.5, 10.0, 12.5]);
        assert!(pulse.may_judge(start + seconds(13.0)));
        assert!(pulse.is_believed(start + seconds(22.4)));
        let woken = start + seconds(33.0);
        assert_eq!(pulse.may_claim(woken), None);
        assert!(!pulse.is_believed(woken));
        assert!(!pulse.may_judge(woken));
        pulse.renewed(woken, LeaseEnd(43_000));
        assert_eq!(pulse.may_claim(woken), Some(LeaseEnd(43_000)), "it lives again");
        assert!(!pulse.may_judge(woken + seconds(1.0)), "and gives the others the time to say the same");
    }

    #[test]
    fn nobody_is_judged_until_everybody_had_a_leases_time() {
        let start = Instant::now();
        let pulse = beaten(start, &[0.0, 2.5, 5.0, 7.5]);
        assert!(!pulse.may_judge(start + seconds(9.9)));
        assert!(pulse.may_judge(start + seconds(10.0)));
        let paused = beaten(start, &[0.0, 2.5, 8.0]);
        assert!(!paused.may_judge(start + seconds(10.0)), "Redis may have been away from all");
        let mut anew = pulse;
        anew.begins_anew(start + seconds(8.0));
        anew.renewed(start + seconds(10.0), LeaseEnd(20_000));
        assert!(!anew.may_judge(start + seconds(10.0)), "all may have been forgotten");
        assert!(anew.may_claim(start + seconds(8.0)).is_some() && anew.is_believed(start + seconds(8.0)));
        for beat in [12.0, 14.0, 16.0] {
            anew.renewed(start + seconds(beat), LeaseEnd(30_000));
        }
        assert!(!anew.may_judge(start + seconds(17.9)) && anew.may_judge(start + seconds(18.0)));
        let mut stopped = pulse;
        stopped.stop();
        assert!(
            !stopped.may_judge(start + seconds(10.0)) && stopped.may_claim(start + seconds(8.0)).is_none()
        );
    }
}
