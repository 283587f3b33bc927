//! What became of letters: they have arrived, or nobody misses them, or their senders are told why they did not.
//! Whoever keeps copies of them hears of it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Router;
use super::acceptance::Named;
use super::ways::Refused;
use crate::backplane::Delivery;
use crate::chance;
use crate::dialect;
use crate::goodbye::Goodbye;
use crate::hub::mailbox::{Left, Letter, Step};
use crate::hub::{Place, Put};
use crate::message::{Event, NodeId, PeerId, RoomId, Undelivered};

impl Router {
    /// These letters have arrived, or nobody misses them.
    pub(super) fn settle(&self, room: &RoomId, letters: Vec<Letter>) {
        let mut safe = Vec::new();
        let mut marks = Vec::new();
        for letter in letters {
            match letter.mark {
                // The node that keeps the copy hears of it, and tells the sender.
                Some(mark) => marks.push(mark),
                None if letter.accepted => {}
                None => {
                    safe.extend(letter.from.zip(letter.name).map(|(from, name)| (room.clone(), from, name)));
                }
            }
        }
        self.receipts.add(marks);
        self.one_has(safe);
    }

    /// Tells the senders of what does not arrive. The copies are settled after they were told, not before.
    pub(super) fn refuse(&self, refused: Refused) {
        for (Delivery { room, to, letter, .. }, why) in refused {
            match &letter.from {
                Some(from) => self.undelivered(&room, from, &to, why, &letter),
                None if matches!(why, Undelivered::Full | Undelivered::Unreachable) => {
                    self.missed(&room, &to);
                }
                None => {}
            }
            self.settle(&room, vec![letter]);
        }
    }

    /// `peer` did not get something of which nobody else is told: its connection ends, wherever it is, so that is not silent.
    fn missed(&self, room: &RoomId, peer: &PeerId) {
        let place = {
            let hub = self.hub.lock();
            hub.send_away(room, peer, Goodbye::Slow);
            hub.find(room, peer)
        };
        if let Place::On(node) = place {
            self.note_missed(&node, room, [peer]);
        }
    }

    /// The same for what one peer did not get, of which each sender is told once.
    pub(super) fn refuse_once(&self, refused: Refused) {
        let mut told = BTreeSet::new();
        let is_news = |(delivery, _): &(Delivery, _)| {
            delivery
                .letter
                .from
                .as_ref()
                .is_none_or(|from| told.insert((from.clone(), delivery.letter.name.clone())))
        };
        let (news, known): (Vec<_>, Vec<_>) = refused.into_iter().partition(is_news);
        self.refuse(news);
        for (Delivery { room, letter, .. }, _) in known {
            self.settle(&room, vec![letter]);
        }
    }

    /// What was held for `peer` never got to it: its senders are told; or, where messages wait for a name that nobody has,
    /// these do.
    pub(super) fn never_arrived(&self, room: &RoomId, peer: &PeerId, held: Vec<Letter>) {
        if self.wait_for_name(room).is_zero() {
            self.tell_never_arrived(room, peer, held);
        } else {
            self.put_elsewhere(room, peer, held);
        }
    }

    /// Those who sent `held` are told that `peer` never got it: each once, or of each message that has a name.
    pub(super) fn tell_never_arrived(&self, room: &RoomId, peer: &PeerId, held: Vec<Letter>) {
        let mut told = BTreeSet::new();
        for letter in &held {
            if let Some(from) = letter.from.as_ref().filter(|from| *from != peer)
                && told.insert((from, &letter.name))
            {
                self.undelivered(room, from, peer, Undelivered::Expired, letter);
            }
        }
        self.settle(room, held);
    }

    /// What was left of a peer that has gone for good. `on_purpose`: what it has not confirmed is no loss to it.
    pub(super) fn left_over(&self, room: &RoomId, peer: &PeerId, left: Left, on_purpose: bool) {
        let Left { taken, waiting } = left;
        if on_purpose {
            self.settle(room, taken);
            self.never_arrived(room, peer, waiting);
        } else {
            self.never_arrived(room, peer, [taken, waiting].concat());
        }
    }

    /// Tells `from` that this letter of its did not reach `to`, wherever `from` is. Who is here hears it at once, whatever
    /// older letters are still on their way; else it goes the way of any message, but nobody is told if it cannot be
    /// delivered. If nobody here knows of `from`, it goes to where the letter came from.
    fn undelivered(&self, room: &RoomId, from: &PeerId, to: &PeerId, why: Undelivered, letter: &Letter) {
        self.metrics.undeliverable(why);
        let event = Event::Undelivered { to, why, id: letter.name.as_deref() };
        let frame = dialect::named(room.dialect()).and_then(|dialect| dialect.encode(&event));
        let Some(word) = frame.map(Letter::word) else { return };
        let (room, to, spent) = (dialect::home_of(room, from), from.clone(), Duration::ZERO);
        let put = self.hub.lock().put(&room, from, word.clone());
        let word = Delivery { room, to, letter: word, spent };
        match (put, &letter.mark) {
            (Put::Taken, _) => {}
            (Put::Nowhere(_), Some(mark)) if mark.node != *self.backplane.node() => {
                self.send(Some(&mark.node), word);
            }
            _ => self.deliver(word),
        }
    }

    /// The copies of these numbers need not be kept any more.
    pub(super) fn settled(&self, numbers: Vec<u64>) {
        let (safe, has_room) = {
            let mut ways = self.ways.lock();
            (ways.settled(numbers, chance::now()), ways.pressure(chance::now()).has_room())
        };
        if has_room {
            self.relieved.notify_waiters();
        }
        self.one_has(safe);
        self.stir();
    }

    /// Letters of which this node keeps copies are on `node` now.
    pub(super) fn held(&self, node: &NodeId, steps: &[Step]) {
        let safe = self.ways.lock().held(node, steps, chance::now());
        self.one_has(safe);
        self.stir();
    }

    /// Letters of which this node keeps copies are on their way from one node to another, or lost with either.
    pub(super) fn passed_on(&self, from: &NodeId, to: &NodeId, steps: &[Step]) {
        self.ways.lock().passed_on(from, to, steps, chance::now());
        if !self.backplane.follow(to) {
            self.lost(to);
        }
        self.stir();
    }

    /// One of those whom these are for has them, or its sender was told.
    fn one_has(&self, messages: impl IntoIterator<Item = Named>) {
        let safe: Vec<_> = {
            let mut acceptances = self.acceptances.lock();
            messages.into_iter().filter(|message| acceptances.one(message)).collect()
        };
        self.accept(safe);
    }

    /// Tells the senders of these that they are safe.
    pub(super) fn accept(&self, safe: impl IntoIterator<Item = Named>) {
        for (room, from, name) in safe {
            self.hub.lock().was_accepted(&room, &from, &name);
            let dialect = dialect::named(room.dialect());
            let frame = dialect.and_then(|dialect| dialect.encode(&Event::Accepted { id: &name }));
            if let Some(frame) = frame {
                let letter = Letter::word(frame);
                self.deliver(Delivery { room, to: from, letter, spent: Duration::ZERO });
            }
        }
    }
}
