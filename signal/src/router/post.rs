//! Messages on their way: into a mailbox here, on to another node, waiting for a peer that cannot be found, or back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout_at};

use super::Router;
use super::acceptance::Named;
use super::receipts::GATHER;
use super::ways::{Address, Found, Placed, Refused};
use crate::backplane::pressure::Relief;
use crate::backplane::{Delivery, DeliveryToAll, Envelope};
use crate::breakage::{Breakage, is_broken};
use crate::chance;
use crate::dialect::{self, Dialect, Names};
use crate::goodbye::Goodbye;
use crate::hub::mailbox::{Bounds, Left, Letter, Mark, Read, Step};
use crate::hub::room::{Room, Snapshot};
use crate::hub::{Place, Put};
use crate::message::{Event, Frame, NodeId, PeerId, Receipt, RoomId, Speaker, To, Undelivered};

/// How much longer than messages wait for a name whoever gets it is asked to say so.
const LOOK_OUT_MORE: Duration = Duration::from_secs(2);
/// After a loss, so long whom the directory does not name is believed to be missing there. Longer than rooms are not made by
/// entering them: who comes back as somebody new is there by then.
const NOBODY_IS_GONE_FOR: Duration = Duration::from_secs(20);
/// Peers that are looked for at the same time.
pub(super) const LOOKS_AT_ONCE: usize = 64;

impl Router {
    /// Carries what `speaker` says. If the way that it goes is nearly full, says when more may be read.
    pub(super) fn tell(
        &self,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
        (to, kind, payload): (&To, &str, Option<&RawValue>),
        receipt: Receipt,
        name: Option<Arc<str>>,
        read: Instant,
    ) -> Option<Relief> {
        let listeners = match to {
            To::Peer(_) => 1,
            _ => self.population(&speaker.room),
        };
        let frame = dialect.encode(&Event::Told { from: &speaker.peer, to, kind, payload, listeners })?;
        self.pass_on(speaker, to, frame, receipt, name, read)
    }

    /// Carries what `speaker` says, as those whom it is for read it.
    pub(super) fn pass_on(
        &self,
        speaker: &Speaker,
        to: &To,
        frame: Frame,
        receipt: Receipt,
        name: Option<Arc<str>>,
        read: Instant,
    ) -> Option<Relief> {
        let room = speaker.room.clone();
        let from = (receipt == Receipt::TellSender).then(|| speaker.peer.clone());
        let number = number(&speaker.peer, name.as_deref());
        let read_at = Some(Read { at: read, elsewhere: false });
        let named = name.clone().map(|name| (room.clone(), speaker.peer.clone(), name));
        let letter = Letter { from, number, name, read: read_at, ..Letter::from_server(frame) };
        let count = match to {
            To::Peer(to) => {
                let room = dialect::home_of(&room, to);
                self.deliver(Delivery { room, to: to.clone(), letter, spent: Duration::ZERO });
                1
            }
            To::Others => self.tell_everyone(&room, &letter, Some(&speaker.peer), read),
            _ => self.tell_everyone(&room, &letter, None, read),
        };
        if let Some(named) = named {
            let safe = self.acceptances.lock().expect(&named, count);
            self.accept(safe.then_some(named));
        }
        let relief = self.relief(&speaker.room, to)?;
        self.metrics.held_up.inc();
        Some(relief)
    }

    /// If the way to where a message goes is nearly full: when more of them may be read.
    fn relief(&self, room: &RoomId, to: &To) -> Option<Relief> {
        let nodes = match to {
            To::Everyone | To::Others => self.hub.lock().other_nodes(room),
            To::Topic(room) => self.hub.lock().other_nodes(room),
            To::Peer(peer) => self.node_of(&dialect::home_of(room, peer), peer).into_iter().collect(),
        };
        if nodes.is_empty() {
            return None;
        }
        nodes.iter().find_map(|node| self.backplane.relief(node)).or_else(|| self.relief_of_the_ways())
    }

    /// The other node to which messages for `peer` go.
    fn node_of(&self, room: &RoomId, peer: &PeerId) -> Option<NodeId> {
        let place = self.hub.lock().find(room, peer);
        match place {
            Place::On(node) => Some(node),
            Place::Unknown => self.ways.lock().leads_to(room, peer).cloned(),
            Place::Here | Place::Nowhere => None,
        }
    }

    fn relief_of_the_ways(&self) -> Option<Relief> {
        let (now, relieved) = (chance::now(), self.relieved.clone().notified_owned());
        let until = self.ways.lock().pressure(now).wait_until(self.rules.pressed_for, now)?;
        Some(Box::pin(async move { drop(timeout_at(until.into(), relieved).await) }))
    }

    /// Carries what `speaker` says and calls `name`, and tells it when that is safe.
    pub(super) fn tell_named(
        &self,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
        message: (&To, &str, Option<&RawValue>),
        receipt: Receipt,
        name: Arc<str>,
        read: Instant,
    ) -> Result<Option<Relief>, Goodbye> {
        let named = (speaker.room.clone(), speaker.peer.clone(), name.clone());
        if self.acceptances.lock().is_open(&named) {
            return Ok(None);
        }
        if !self.hub.lock().session(speaker)?.says(&name) {
            // It may not have heard that it was accepted.
            self.accept([named]);
            return Ok(None);
        }
        if receipt == Receipt::Drop {
            let relief = self.tell(dialect, speaker, message, receipt, None, read);
            self.accept([named]);
            return Ok(relief);
        }
        if !self.acceptances.lock().begin(&named) {
            self.hub.lock().session(speaker)?.unsays(&name);
            self.answer(speaker, dialect.encode(&Event::Busy))?;
            return Ok(None);
        }
        Ok(self.tell(dialect, speaker, message, receipt, Some(name), read))
    }

    /// Tells the senders of these that they are safe.
    fn accept(&self, safe: impl IntoIterator<Item = Named>) {
        for (room, from, name) in safe {
            let dialect = dialect::named(room.dialect());
            let frame = dialect.and_then(|dialect| dialect.encode(&Event::Accepted { id: &name }));
            if let Some(frame) = frame {
                let letter = Letter::from_server(frame);
                self.deliver(Delivery { room, to: from, letter, spent: Duration::ZERO });
            }
        }
    }

    /// One of those whom these are for has them, or its sender was told.
    fn one_has(&self, messages: impl IntoIterator<Item = Named>) {
        let safe: Vec<_> = {
            let mut acceptances = self.acceptances.lock();
            messages.into_iter().filter(|message| acceptances.one(message)).collect()
        };
        self.accept(safe);
    }

    /// How many are in `room`, as this node knows.
    fn population(&self, room: &RoomId) -> usize {
        self.hub.lock().room(room).map_or(0, Room::population)
    }

    /// Carries what `speaker` says to all who are in a room, in which it need not be itself.
    pub(super) async fn tell_topic(
        &self,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
        room: &RoomId,
        (to, kind, payload): (&To, &str, Option<&RawValue>),
        read: Instant,
    ) -> Result<Option<Relief>, Goodbye> {
        let is_known = self.hub.lock().room(room).is_some();
        let elsewhere = if is_known {
            BTreeMap::new()
        } else {
            let seen = self.backplane.look(room, &[]).await.map_err(|_| Goodbye::Overloaded)?;
            seen.map(Snapshot::by_node).unwrap_or_default()
        };
        let listeners = if is_known { self.population(room) } else { elsewhere.values().map(Vec::len).sum() };
        let told = Event::Told { from: &speaker.peer, to, kind, payload, listeners };
        let Some(frame) = dialect.encode(&told).filter(|_| listeners > 0) else { return Ok(None) };
        let read_at = Some(Read { at: read, elsewhere: false });
        let number = number(&speaker.peer, None);
        let letter = Letter { number, read: read_at, ..Letter::from_server(frame) };
        if is_known {
            self.tell_everyone(room, &letter, None, read);
        } else {
            self.tell_those(room, elsewhere, &letter, read);
        }
        let relief = self.relief(&speaker.room, to);
        relief.iter().for_each(|_| self.metrics.held_up.inc());
        Ok(relief)
    }

    /// Tells members of a room of which nobody is here.
    fn tell_those(
        &self,
        room: &RoomId,
        nodes: BTreeMap<NodeId, Vec<PeerId>>,
        letter: &Letter,
        read: Instant,
    ) {
        let (now, spent) = (chance::now(), chance::since(read));
        let refused = {
            let mut ways = self.ways.lock();
            let mut send = |(node, to)| {
                let all = DeliveryToAll { room: room.clone(), to, letter: letter.clone(), spent };
                ways.send_to_all(&node, all, now, &*self.backplane)
            };
            nodes.into_iter().flat_map(&mut send).collect()
        };
        self.refuse(refused);
        self.stir();
    }

    /// How many it was for.
    fn tell_everyone(&self, room: &RoomId, letter: &Letter, but: Option<&PeerId>, read: Instant) -> usize {
        let (now, spent) = (chance::now(), chance::since(read));
        let mut refused = Refused::new();
        let count;
        let delivery =
            |to: PeerId| Delivery { room: room.clone(), to, letter: letter.clone(), spent: Duration::ZERO };
        {
            let mut ways = self.ways.lock();
            // In one step: who moves between nodes meanwhile is in one of the two.
            let (told, full, waiting, elsewhere) = {
                let hub = self.hub.lock();
                // Older letters for one who has only just come here may still be on their way elsewhere.
                let (told, full, waiting) = hub.tell_all(room, letter, but, |peer| ways.lead_to(room, peer));
                (told, full, waiting, hub.peers_elsewhere(room))
            };
            count = told + full.len() + waiting.len() + elsewhere.values().map(Vec::len).sum::<usize>();
            refused.extend(full.into_iter().map(|to| (delivery(to), Undelivered::Full)));
            for to in waiting {
                refused.extend(ways.wait(delivery(to), now, now).err());
            }
            for (node, to) in elsewhere {
                let all = DeliveryToAll { room: room.clone(), to, letter: letter.clone(), spent };
                refused.extend(ways.send_to_all(&node, all, now, &*self.backplane));
            }
        }
        self.refuse(refused);
        self.stir();
        count
    }

    /// Puts a letter into its peer's mailbox if the peer is here, and sends it on if not. What cannot be delivered is
    /// told to its sender.
    pub(super) fn deliver(&self, delivery: Delivery) {
        let Delivery { room, to, letter, spent } = delivery;
        let from_here = letter.read.is_none_or(|read| !read.elsewhere);
        let delivery = |letter| Delivery { room: room.clone(), to: to.clone(), letter, spent };
        if self.ways.lock().lead_to(&room, &to) {
            let place = self.hub.lock().find(&room, &to);
            return match place {
                Place::On(node) => self.send(Some(&node), delivery(letter)),
                Place::Here => {
                    self.moved(&room, &to, self.backplane.node());
                    self.wait(delivery(letter));
                }
                Place::Nowhere => self.wait(delivery(letter)),
                Place::Unknown => self.send(None, delivery(letter)),
            };
        }
        let (known, put) = {
            let hub = self.hub.lock();
            (hub.room(&room).is_some(), hub.put(&room, &to, letter))
        };
        match put {
            Put::Taken => {}
            Put::Full(letter) => self.refuse(vec![(delivery(letter), Undelivered::Full)]),
            Put::On(node, letter) => self.send(Some(&node), delivery(letter)),
            Put::Nowhere(letter) if from_here && known => {
                self.refuse(vec![(delivery(letter), Undelivered::Absent)]);
            }
            // Another node believed it to be here: it has moved on, or this node knows nothing of its room any more.
            Put::Nowhere(letter) => self.wait(delivery(letter)),
        }
    }

    fn send(&self, node: Option<&NodeId>, delivery: Delivery) {
        if node.is_none() && self.too_much_waits(&delivery) {
            return self.refuse(vec![(delivery, Undelivered::Full)]);
        }
        let sent = self.ways.lock().send(node, delivery, chance::now(), &*self.backplane);
        self.refuse(sent.err().into_iter().collect());
        self.stir();
    }

    fn wait(&self, delivery: Delivery) {
        if self.too_much_waits(&delivery) {
            return self.refuse(vec![(delivery, Undelivered::Full)]);
        }
        let now = chance::now();
        let waits = self.ways.lock().wait(delivery, now, now);
        self.refuse(waits.err().into_iter().collect());
        self.stir();
    }

    /// A letter comes from another node.
    pub(super) fn delivered(&self, from: &NodeId, mut delivery: Delivery) {
        delivery.letter.read = Some(self.read_elsewhere(delivery.spent));
        let own = delivery.letter.mark.as_ref().filter(|mark| mark.node == *self.backplane.node());
        let own = own.map(|mark| mark.number);
        let Some(letter) = self.take_one_in(from, delivery.letter) else { return };
        let delivery = Delivery { letter, ..delivery };
        match own {
            Some(number) => self.deliver_at_home(delivery, number),
            None => self.deliver(delivery),
        }
    }

    /// A letter has come back to where it was sent from: it is older than all that waits here for its peer.
    fn deliver_at_home(&self, delivery: Delivery, number: u64) {
        let Delivery { room, to, letter, spent } = delivery;
        let mut ways = self.ways.lock();
        let put = if ways.has_older(&room, &to, number) {
            Put::Nowhere(letter)
        } else {
            self.hub.lock().put(&room, &to, letter)
        };
        match put {
            Put::Taken => {}
            Put::Full(letter) => {
                drop(ways);
                self.refuse(vec![(Delivery { room, to, letter, spent }, Undelivered::Full)]);
            }
            Put::On(_, letter) | Put::Nowhere(letter) => {
                ways.wait_at_home(Delivery { room, to, letter, spent }, number, chance::now());
                drop(ways);
                self.stir();
            }
        }
    }

    /// A letter to everybody comes from another node: into the mailboxes of those whom it was sent here for.
    pub(super) fn delivered_to_all(&self, from: &NodeId, all: DeliveryToAll) {
        let DeliveryToAll { room, to, letter, spent } = all;
        if self.has_given_up.load(Ordering::Relaxed) {
            return;
        }
        let read = Some(self.read_elsewhere(spent));
        if let (Some(_), Some(mark)) = (&letter.name, &letter.mark) {
            let numbers = (mark.number..).take(to.len());
            let steps = numbers.map(|number| Step { number, hops: mark.hops }).collect();
            self.tell_node(from.clone(), Envelope::Holds { steps });
        }
        for (to, number) in to.into_iter().zip(letter.mark.as_ref().map_or(0, |mark| mark.number)..) {
            let mark = letter.mark.as_ref().map(|mark| Mark { number, ..mark.clone() });
            let letter = Letter { mark, read, ..letter.clone() };
            self.deliver(Delivery { room: room.clone(), to, letter, spent });
        }
    }

    /// Letters have come here from `from`. If another node keeps their copies, it is told where they are now, as is one
    /// whose peer wants to hear of it; if this one does, it need not any more. Without those of which this one kept a copy
    /// and does not any more: they were sent again from here, or their senders told.
    pub(super) fn take_in(&self, from: &NodeId, letters: Vec<Letter>) -> Vec<Letter> {
        letters.into_iter().filter_map(|letter| self.take_one_in(from, letter)).collect()
    }

    fn take_one_in(&self, from: &NodeId, mut letter: Letter) -> Option<Letter> {
        match &letter.mark {
            Some(mark) if mark.node == *self.backplane.node() => {
                letter.accepted = self.ways.lock().take_home(mark.number, chance::now())?.accepted;
                letter.mark = None;
                self.stir();
            }
            // It goes from there, with all that was given up here before it, when this node is gone.
            Some(mark) if mark.node == *from && self.has_given_up.load(Ordering::Relaxed) => return None,
            Some(mark) if mark.node != *from || letter.name.is_some() => {
                self.tell_node(mark.node.clone(), Envelope::Holds { steps: vec![mark.step()] });
            }
            Some(mark) if is_broken(Breakage::SettledTooEarly) => self.receipts.add([mark.clone()]),
            _ => {}
        }
        Some(letter)
    }

    /// What was held here for a peer that `node` has now; `last` if there is no more to come.
    pub(super) fn hand_over(
        &self,
        room: &RoomId,
        peer: &PeerId,
        held: Vec<Letter>,
        node: &NodeId,
        last: bool,
    ) {
        let (now, backplane) = (chance::now(), &*self.backplane);
        let refused = self.ways.lock().hand_over(node, (room, peer), held, last, now, backplane);
        self.refuse(refused);
        self.stir();
    }

    /// Letters for a peer that is not, or no longer, this node's: they are looked after wherever it is.
    pub(super) fn put_elsewhere(&self, room: &RoomId, peer: &PeerId, letters: Vec<Letter>) {
        for letter in letters {
            self.wait(Delivery { room: room.clone(), to: peer.clone(), letter, spent: Duration::ZERO });
        }
    }

    /// Letters for a peer that was here, and is not any more: older than all that waits for it.
    pub(super) fn wait_again(&self, room: &RoomId, peer: &PeerId, letters: Vec<Letter>) {
        let delivery =
            |letter| Delivery { room: room.clone(), to: peer.clone(), letter, spent: Duration::ZERO };
        let letters = letters.into_iter().map(delivery).collect();
        self.ways.lock().wait_again(letters, chance::now());
        self.stir();
    }

    /// A peer is on `node` by now.
    pub(super) fn moved(&self, room: &RoomId, peer: &PeerId, node: &NodeId) {
        let mut ways = self.ways.lock();
        if ways.lead_to(room, peer) {
            ways.moved(&(room.clone(), peer.clone()), node, chance::now());
            drop(ways);
            self.stir();
        }
    }

    /// `node` is gone: what it has not settled is looked after.
    pub(super) fn lost(&self, node: &NodeId) {
        self.ways.lock().lost(node, self.backplane.take_back(node), chance::now());
        self.stir();
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
                // Of this nobody is told, but the one whom it was for: its connection ends, so it is not silent.
                None => self.hub.lock().send_away(&room, &to, Goodbye::Slow),
            }
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
        let Some(word) = frame.map(Letter::from_server) else { return };
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

    /// Gives other nodes their receipts.
    pub(super) fn give_receipts(&self) {
        for (node, numbers) in self.receipts.take() {
            if !self.gives(&node, &numbers) {
                self.receipts.keep(node, numbers);
            }
        }
    }

    /// Whether these receipts are on their way to `node`.
    pub(super) fn gives(&self, node: &NodeId, numbers: &[u64]) -> bool {
        self.backplane.carry(node, Envelope::Settled { numbers: numbers.to_vec() }).is_ok()
    }

    /// Somebody may have to be looked for.
    pub(super) fn stir(&self) {
        if self.ways.lock().is_due_sooner() {
            self.seek.notify_one();
        }
    }

    /// How long a message for somebody in `room` waits if nobody is there.
    fn wait_for_name(&self, room: &RoomId) -> Duration {
        self.rules.terms.get(room.dialect()).map_or(Duration::ZERO, |terms| terms.wait_for_name)
    }

    /// Whether as much waits for a name already as whoever gets it could be given. Anybody may write to any name.
    fn too_much_waits(&self, delivery: &Delivery) -> bool {
        let Bounds { messages, bytes } = self.rules.mailbox;
        if self.wait_for_name(&delivery.room).is_zero() {
            return false;
        }
        let (letters, size) = self.ways.lock().waiting(&delivery.room, &delivery.to);
        letters >= messages || size + delivery.letter.frame.len() > bytes
    }

    /// Somebody is there for whom messages may be waiting.
    pub(super) fn appeared(&self, room: &RoomId, peer: &PeerId) {
        self.ways.lock().appeared(&(room.clone(), peer.clone()), chance::now());
        self.stir();
    }

    /// Whether the directory may have lost somebody of late who is not gone.
    pub(super) fn may_miss_somebody(&self) -> bool {
        self.forgotten.lock().is_some_and(|forgotten| chance::since(forgotten) < NOBODY_IS_GONE_FOR)
    }

    /// Whether what is next for this peer does not wait until somebody has its name.
    fn is_missed_at_once(&self, address: &Address, patience: Duration) -> bool {
        patience.is_zero() || self.ways.lock().next_is_word(address)
    }

    /// Asks the directory where a peer is now, and sends what waits for it there.
    async fn look_for(&self, address: &Address) {
        let patience = self.wait_for_name(&address.0);
        let seen = if patience.is_zero() {
            self.backplane.look(&address.0, &[]).await
        } else {
            self.backplane.look_out(&address.0, patience + LOOK_OUT_MORE).await
        };
        let found = match seen {
            Err(_) => Found::Unknown,
            // Whoever sent this was in it, and cannot be told either before it is there again.
            Ok(None) if !is_name(&address.0) && patience.is_zero() => Found::Unknown,
            Ok(seen) => match seen.as_ref().and_then(|seen| seen.member(&address.1)) {
                Some(member) if member.node == *self.backplane.node() => Found::Here,
                Some(member) => Found::On(member.node.clone()),
                // It, or whoever sent this, may be about to be written again, or to come back.
                None if self.may_miss_somebody() && self.is_missed_at_once(address, patience) => {
                    Found::Unknown
                }
                None => Found::Nowhere,
            },
        };
        let put = |delivery: &Delivery| match self.hub.lock().put(
            &delivery.room,
            &delivery.to,
            delivery.letter.clone(),
        ) {
            Put::Taken => Placed::Taken,
            Put::Full(_) => Placed::Full,
            Put::On(..) | Put::Nowhere(_) => Placed::Gone,
        };
        let (now, backplane) = (chance::now(), &*self.backplane);
        let mut refused = self.ways.lock().found(address, &found, patience, now, backplane, put);
        if !patience.is_zero() {
            tell_each_once(&mut refused);
        }
        self.refuse(refused);
        self.stir();
    }
}

/// Whether the room is a name: then it is there as long as somebody has it.
fn is_name(room: &RoomId) -> bool {
    dialect::named(room.dialect()).is_some_and(|dialect| dialect.customs().names == Names::OfCluster)
}

/// What tells a message from all others. If its sender has a name for it, the same on every node.
fn number(from: &PeerId, name: Option<&str>) -> u64 {
    let name = name.filter(|_| !is_broken(Breakage::RepeatNotRecognised));
    let Some(name) = name else { return rand::random::<u64>().max(1) };
    let hash = Sha256::new().chain_update(from.as_str()).chain_update([0]).chain_update(name).finalize();
    let first = hash.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first).max(1)
}

/// Of several letters for one peer, each sender is told of one.
fn tell_each_once(refused: &mut Refused) {
    let mut told = BTreeSet::new();
    for (Delivery { letter, .. }, _) in refused {
        letter.from = letter.from.take().filter(|from| told.insert(from.clone()));
    }
}

/// Looks for peers for whom something waits, until the router is gone.
pub(super) async fn seek(router: Weak<Router>) {
    while let Some(strong) = router.upgrade() {
        let (due, next) = {
            let mut ways = strong.ways.lock();
            (ways.due(chance::now()), ways.awaits_next_due())
        };
        for address in due {
            let router = strong.clone();
            strong.tasks.spawn(async move {
                // So many at the same time that the heartbeat does not wait behind them.
                let _turn = router.looking.acquire().await;
                router.look_for(&address).await;
            });
        }
        let stirred = strong.seek.clone();
        drop(strong);
        match next {
            Some(next) => drop(timeout_at(next.into(), stirred.notified()).await),
            None => stirred.notified().await,
        }
    }
}

/// Gives other nodes their receipts, until the router is gone.
pub(super) async fn give_receipts(router: Weak<Router>) {
    while let Some(receipts) = router.upgrade().map(|router| router.receipts.clone()) {
        receipts.added().await;
        sleep(GATHER).await;
        let Some(router) = router.upgrade() else { return };
        router.give_receipts();
    }
}
