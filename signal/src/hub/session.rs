//! One of this node's own peers: connected, or away and held for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mailbox::{Letter, Mailbox};
use crate::message::{Claim, Parting, Seat};

/// One of this node's own peers.
#[derive(Debug)]
pub struct Session {
    /// This node's hold on it in the cluster.
    pub claim: Claim,
    /// The connection that has it; `None` while it is away.
    pub seat: Option<Seat>,
    /// What waits for it.
    pub mailbox: Arc<Mailbox>,
    /// When it was last heard.
    pub seen: Instant,
    /// How much of its silence since then is this node's own doing.
    pub excused: Duration,
    /// Whether it has been asked if it is still there, since then.
    pub asked: bool,
    /// Whether it has still to say its first word; until then nothing goes to it.
    pub coming: bool,
    /// Whether it has asked who is here.
    pub knows_roster: bool,
    /// It is to leave as soon as the directory can be told, and how it comes to that.
    pub leaving: Option<Parting>,
    /// What is on its way here from the node that had it before.
    pub hand_over: Option<HandOver>,
    /// What it has called its last messages, the newest last.
    said: VecDeque<Arc<str>>,
}

/// So many names of messages are remembered of a peer that gives them names.
const REMEMBERED: usize = 256;

/// What another node held for a peer that is here now; newer messages wait for it.
#[derive(Debug)]
pub struct HandOver {
    /// Not waited for any longer than this.
    pub until: Instant,
    /// What has come, oldest first.
    pub come: Vec<Letter>,
}

impl Session {
    /// One that is held by `claim`, and away.
    pub fn new(claim: Claim, mailbox: Mailbox, knows_roster: bool, now: Instant) -> Self {
        Self {
            claim,
            seat: None,
            mailbox: Arc::new(mailbox),
            seen: now,
            excused: Duration::ZERO,
            asked: false,
            coming: false,
            knows_roster,
            leaving: None,
            hand_over: None,
            said: VecDeque::new(),
        }
    }

    /// It says something that it calls `name`; whether that is new.
    pub fn says(&mut self, name: &Arc<str>) -> bool {
        if self.said.contains(name) {
            return false;
        }
        if self.said.len() == REMEMBERED {
            self.said.pop_front();
        }
        self.said.push_back(name.clone());
        true
    }

    /// What it calls `name` was accepted, which it may not hear: it is among the last that are forgotten.
    pub fn was_accepted(&mut self, name: &Arc<str>) {
        self.said.retain(|said| said != name);
        self.says(name);
    }

    /// A sign of life.
    pub fn heard(&mut self, now: Instant) {
        self.seen = now;
        self.excused = Duration::ZERO;
        self.asked = false;
    }

    /// This node stood still for so long: it could not be heard, nor come back, and what was on its way here still is.
    pub fn excuse(&mut self, late: Duration) {
        self.excused += late;
        if let Some(hand_over) = &mut self.hand_over {
            hand_over.until += late;
        }
    }

    /// For how long it has been silent.
    pub fn silence(&self, now: Instant) -> Duration {
        now.duration_since(self.seen).saturating_sub(self.excused)
    }

    /// Whether its time in the room is over.
    pub fn is_over(&self, now: Instant, grace: Duration) -> bool {
        self.leaving.is_some() || self.silence(now) >= grace
    }

    /// What another node held for it may come until then; newer messages wait for that.
    pub fn expect_hand_over(&mut self, until: Instant) {
        let come = self.hand_over.take().map(|hand_over| hand_over.come).unwrap_or_default();
        self.hand_over = Some(HandOver { until, come });
    }

    /// No more is handed over: what has come goes ahead of all that waits. What does not fit comes back.
    #[must_use]
    pub fn end_hand_over(&mut self) -> Vec<Letter> {
        let Some(hand_over) = self.hand_over.take() else { return Vec::new() };
        let too_much = self.mailbox.put_back(hand_over.come);
        self.shut_or_open();
        too_much
    }

    /// Everything that waits for it.
    pub fn give_up_what_waits(&mut self) -> Vec<Letter> {
        let mut all = self.end_hand_over();
        self.mailbox.hold();
        all.append(&mut self.mailbox.empty());
        all
    }

    /// Holds what comes for it as long as there is a reason to.
    pub fn shut_or_open(&self) {
        if self.coming || self.hand_over.is_some() {
            self.mailbox.shut();
        } else {
            self.mailbox.open();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::mailbox::Bounds;

    #[test]
    fn what_was_accepted_last_is_remembered_longest() {
        let mailbox = Mailbox::new(Bounds { messages: 1, bytes: 1 });
        let mut alice = Session::new(Claim(1), mailbox, true, Instant::now());
        let name = |n: usize| Arc::from(n.to_string());
        for n in 0..=REMEMBERED {
            assert!(alice.says(&name(n)), "{n}");
        }
        // It was for one who was away, and is accepted when newer ones have long been.
        alice.was_accepted(&name(0));
        for n in 1..REMEMBERED {
            alice.says(&name(REMEMBERED + n));
        }
        assert!(!alice.says(&name(0)), "said again");
        assert!(alice.says(&name(1)));
    }
}
