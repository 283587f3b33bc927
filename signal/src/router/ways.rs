//! The ways to peers on other nodes: what is under way to each, and what waits behind it. No I/O, no clock.
//!
//! A letter that goes to another node leaves a copy here, until that node has said what became of it: it was *settled*,
//! which is to say that its peer's connection has confirmed it, or that its sender was told, or that it was thrown away
//! on purpose. A node that dies settles nothing more; then the copies of all that it had go to wherever its peers are
//! now. So what a node has in its memory only is never the last of it, but for what its own peers have said.
//!
//! Letters for one peer stay in order, wherever it is: a newer one goes to a node only if all older ones that are not
//! settled went to that node, or are known to have come there in other ways. Else it waits, until the older ones are
//! settled, or come back, or turn up there.

mod copies;
mod load;
mod sought;
mod way;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::acceptance::Named;
use crate::backplane::pressure::Pressure;
use crate::backplane::{Backplane, Delivery, DeliveryToAll, Envelope};
use crate::breakage::{Breakage, is_broken};
use crate::chance::Map;
use crate::hub::mailbox::{Bounds, Letter, Mark, Step};
use crate::message::{NodeId, PeerId, RoomId, Undelivered};
use copies::{Copies, Moved, is_safe};
use load::{Load, size};
use sought::Sought;
use way::Way;

/// How often a peer for which something waits is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a name that nobody has is looked for, should nobody say that it is there.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// So long a peer's old node has to hand over what it holds, before that is sent to the new one from here. If it does so
/// later, something comes twice; that may happen around a reconnect, and a call does not wait for a lease to end.
const HAND_OVER: Duration = Duration::from_secs(2);
/// After this time it is given up. Longer than a lease: whoever takes over the peers of a dead node is known by then.
const LOOK_FOR: Duration = Duration::from_secs(12);

/// A peer and its room.
pub(super) type Address = (RoomId, PeerId);

/// Letters whose senders are to be told why they did not arrive.
pub(super) type Refused = Vec<(Delivery, Undelivered)>;

/// Where a peer that was looked for is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// On this node.
    Here,
    /// On that one.
    On(NodeId),
    /// Nowhere.
    Nowhere,
    /// The directory could not say.
    Unknown,
}

/// What came of putting a letter into a mailbox here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is in.
    Taken,
    /// Too much waits there already.
    Full,
    /// There is no such mailbox here.
    Gone,
}

/// All that is under way from this node.
#[derive(Debug)]
pub(super) struct Ways {
    me: NodeId,
    rooms: Map<RoomId, Map<PeerId, Way>>,
    copies: Copies,
    load: Load,
    sought: Sought,
    /// What came back and is no letter: a node that is gone need not hear it, one that only seemed to be has to.
    words: Vec<(NodeId, Envelope)>,
}

impl Ways {
    /// Nothing is under way.
    pub(super) fn new(me: NodeId, bounds: Bounds) -> Self {
        Self {
            me,
            rooms: Map::default(),
            copies: Copies::default(),
            load: Load::new(bounds),
            sought: Sought::default(),
            words: Vec::new(),
        }
    }

    /// Letters under way or waiting.
    pub(super) fn len(&self) -> usize {
        self.load.holds().messages
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> usize {
        self.load.holds().bytes
    }

    /// How full it is.
    pub(super) fn pressure(&mut self, now: Instant) -> &Pressure {
        self.load.pressure(now)
    }

    /// The nodes that have anything that is not settled.
    pub(super) fn nodes(&self) -> BTreeSet<NodeId> {
        self.copies.nodes()
    }

    /// Whether anything for somebody in `room` waits, or is on its way from one node to another.
    pub(super) fn is_on_its_way(&self, room: &RoomId) -> bool {
        let mut ways = self.rooms.get(room).into_iter().flat_map(Map::values);
        self.copies.are_between_nodes(room) || ways.any(|way| !way.waiting().is_empty())
    }

    /// Whether something older is under way to that peer, or waits for it.
    pub(super) fn lead_to(&self, room: &RoomId, peer: &PeerId) -> bool {
        self.way(room, peer).is_some()
    }

    /// The node to which all goes that is under way to that peer.
    pub(super) fn leads_to(&self, room: &RoomId, peer: &PeerId) -> Option<&NodeId> {
        self.way(room, peer).and_then(Way::leads)
    }

    /// Whether a letter is under way to that peer that went before the one of this number.
    pub(super) fn has_older(&self, room: &RoomId, peer: &PeerId, number: u64) -> bool {
        self.way(room, peer).is_some_and(|way| way.has_older(number))
    }

    /// How many letters wait for that peer, and their bytes.
    pub(super) fn waiting(&self, room: &RoomId, peer: &PeerId) -> (usize, usize) {
        let waiting = self.way(room, peer).map(Way::waiting);
        let bytes = waiting.into_iter().flatten().map(|waiting| waiting.delivery.letter.frame.len()).sum();
        (waiting.map_or(0, VecDeque::len), bytes)
    }

    /// Whether the next that waits for that peer is word of something, and its loss would be told to nobody.
    pub(super) fn next_is_word(&self, address: &Address) -> bool {
        self.next_waiting(address).is_some_and(|next| next.letter.number == 0)
    }

    /// Sends a letter to `node`, where its peer is believed to be; without one to where older ones went. It may have to
    /// wait. Gives it back if there is too much already.
    pub(super) fn send(
        &mut self,
        node: Option<&NodeId>,
        delivery: Delivery,
        now: Instant,
        backplane: &dyn Backplane,
    ) -> Result<(), (Delivery, Undelivered)> {
        let way = self.way(&delivery.room, &delivery.to);
        let leads = way.and_then(Way::leads);
        let node = node.or(leads);
        match node.cloned() {
            Some(node) if way.is_none_or(|way| way.is_free_to(&node)) => {
                self.carry(&node, delivery, now, backplane)
            }
            Some(node) => {
                let address = (delivery.room.clone(), delivery.to.clone());
                self.moved(&address, &node, now);
                self.wait(delivery, now, now)
            }
            None => self.wait(delivery, now, now),
        }
    }

    /// A peer is on `node` by now. What is under way to it elsewhere should turn up there in a moment.
    pub(super) fn moved(&mut self, address: &Address, node: &NodeId, now: Instant) {
        let Some(way) = self.rooms.get_mut(&address.0).and_then(|ways| ways.get_mut(&address.1)) else {
            return;
        };
        if !way.is_only_at(node) {
            let since = way.has_moved(now);
            self.sought.look_for(address.clone(), since + HAND_OVER);
        }
    }

    /// Sends one frame to several peers of a room that are believed to be on `node`. Gives back those for whom there is
    /// too much already.
    pub(super) fn send_to_all(
        &mut self,
        node: &NodeId,
        all: DeliveryToAll,
        now: Instant,
        backplane: &dyn Backplane,
    ) -> Refused {
        let DeliveryToAll { room, to, letter, spent } = all;
        let (free, blocked): (Vec<_>, Vec<_>) =
            to.into_iter().partition(|peer| self.way(&room, peer).is_none_or(|way| way.is_free_to(node)));
        let delivery = |to: PeerId| Delivery { room: room.clone(), to, letter: letter.clone(), spent };
        let mut refused: Refused =
            blocked.into_iter().filter_map(|peer| self.wait(delivery(peer), now, now).err()).collect();
        if free.is_empty() {
            return refused;
        }
        if !self.load.has_room_for(free.len(), free.len() * size(&letter)) {
            refused.extend(free.into_iter().map(|peer| (delivery(peer), Undelivered::Full)));
            return refused;
        }
        let first = self.copies.next_number();
        for peer in &free {
            self.keep(delivery(peer.clone()), node, now);
        }
        let marked = Letter { mark: Some(self.mark(first)), ..letter.clone() };
        let all = DeliveryToAll { room: room.clone(), to: free, letter: marked, spent };
        let (count, envelope) = (all.to.len() as u64, Envelope::DeliverAll(all));
        match backplane.carry(node, envelope) {
            Ok(()) => {}
            Err(Undelivered::Unreachable) => self.lost(node, backplane.take_back(node), now),
            Err(why) => {
                let kept = (first..first + count).filter_map(|number| self.forget(number, now));
                refused.extend(kept.map(|delivery| (delivery, why)));
            }
        }
        refused
    }

    /// Hands over what this node held for a peer that is on `node` now; `last` if there is no more to come. Gives back
    /// what cannot go there.
    pub(super) fn hand_over(
        &mut self,
        node: &NodeId,
        (room, peer): (&RoomId, &PeerId),
        mut held: Vec<Letter>,
        last: bool,
        now: Instant,
        backplane: &dyn Backplane,
    ) -> Refused {
        let delivery = |letter: &Letter| {
            let (room, to, letter) = (room.clone(), peer.clone(), letter.clone());
            Delivery { room, to, letter, spent: Duration::ZERO }
        };
        self.pass_on(&mut held, node, backplane);
        for letter in &mut held {
            if letter.mark.is_none() {
                let number = self.keep(delivery(letter), node, now);
                letter.mark = Some(self.mark(number));
            }
        }
        let (room, peer) = (room.clone(), peer.clone());
        let envelope = Envelope::HandOver { room, peer, held: held.clone(), last };
        let Err(why) = backplane.carry(node, envelope) else { return Vec::new() };
        let (ours, others): (Vec<_>, Vec<_>) = held.iter().partition(|letter| self.is_ours(letter));
        if why == Undelivered::Unreachable {
            // Ours come back as copies.
            self.lost(node, backplane.take_back(node), now);
            others.into_iter().filter_map(|letter| self.wait(delivery(letter), now, now).err()).collect()
        } else {
            let numbers = ours.iter().filter_map(|letter| letter.mark.as_ref()).map(|mark| mark.number);
            let forgotten: Vec<_> = numbers.filter_map(|number| self.forget(number, now)).collect();
            forgotten.into_iter().chain(others.into_iter().map(delivery)).map(|one| (one, why)).collect()
        }
    }

    /// Lets a letter wait for its peer, behind older ones; it is looked for from `look_at` on. Gives it back if there is
    /// too much already.
    pub(super) fn wait(
        &mut self,
        delivery: Delivery,
        look_at: Instant,
        now: Instant,
    ) -> Result<(), (Delivery, Undelivered)> {
        if !self.load.has_room_for(1, size(&delivery.letter)) {
            return Err((delivery, Undelivered::Full));
        }
        self.load.add(&delivery.letter);
        let address = (delivery.room.clone(), delivery.to.clone());
        self.way_to(&address, now).wait(delivery, now);
        self.sought.look_for(address, look_at);
        Ok(())
    }

    /// The copies of these numbers are not needed any more. Those of them whose senders wait to hear that they are safe.
    pub(super) fn settled(&mut self, numbers: impl IntoIterator<Item = u64>, now: Instant) -> Vec<Named> {
        let mut safe = Vec::new();
        for number in numbers {
            safe.extend(self.forget(number, now).and_then(|mut delivery| is_safe(&mut delivery)));
        }
        safe
    }

    /// The letter of this number has come back to this node: its copy, which is not needed any more.
    pub(super) fn take_home(&mut self, number: u64, now: Instant) -> Option<Letter> {
        self.forget(number, now).map(|delivery| delivery.letter)
    }

    /// These letters are on `node` now, wherever they were. Those of them whose senders wait to hear that they are safe.
    pub(super) fn held(&mut self, node: &NodeId, steps: &[Step], now: Instant) -> Vec<Named> {
        let mut safe = Vec::new();
        for step in steps {
            safe.extend(self.copies.is_safe(step.number));
            if let Some(moved) = self.copies.held(node, step) {
                self.is_at(node, step.number, moved, now);
            }
        }
        safe
    }

    /// These letters were on `from`, which has passed them on to another node, `to`: whichever of the two is gone, they may
    /// be gone with it.
    pub(super) fn passed_on(&mut self, from: &NodeId, to: &NodeId, steps: &[Step], now: Instant) {
        for step in steps {
            if let Some(moved) = self.copies.passed_on(from, to, step) {
                self.is_at(from, step.number, moved, now);
            }
        }
    }

    fn is_at(&mut self, node: &NodeId, number: u64, Moved { address, from }: Moved, now: Instant) {
        let way = self.way_to(&address, now);
        way.remove(&from, number);
        way.add(node, number);
        self.look_again(address, now);
    }

    /// `node` is gone: all that it had waits for its peers from now on, ahead of what does so already. `returned`: what it
    /// did not even get.
    pub(super) fn lost(&mut self, node: &NodeId, returned: Vec<Envelope>, now: Instant) {
        let numbers = self.copies.lost_with(node);
        let mut back: Vec<Delivery> = numbers.iter().filter_map(|number| self.forget(*number, now)).collect();
        if is_broken(Breakage::NoCopies) {
            back.clear();
        }
        let (words, letters): (Vec<_>, Vec<_>) = returned.into_iter().partition(|envelope| {
            use Envelope::{Changed, Holds, PassedOn, Roster, Settled};
            matches!(envelope, Changed(_) | Roster { .. } | Settled { .. } | Holds { .. } | PassedOn { .. })
        });
        self.words.extend(words.into_iter().map(|word| (node.clone(), word)));
        for delivery in letters.into_iter().flat_map(deliveries) {
            // Of ours there are copies.
            if !self.is_ours(&delivery.letter) {
                back.push(delivery);
            }
        }
        self.wait_again(back, now);
    }

    /// A peer has been on another node for so long that what was sent elsewhere is sent again.
    fn recall(&mut self, address: &Address, found: &Found, now: Instant) {
        let at = match found {
            Found::Here => &self.me,
            Found::On(node) => node,
            Found::Nowhere | Found::Unknown => return,
        };
        let Some(way) = self.way(&address.0, &address.1) else { return };
        if way.moved().is_none_or(|moved| now.duration_since(moved) < HAND_OVER) {
            return;
        }
        let numbers = way.sent_elsewhere(at);
        let back = numbers.iter().filter_map(|number| self.forget(*number, now)).collect();
        self.wait_again(back, now);
    }

    /// `node` has stopped, and has left `held` for a peer, oldest first. What was sent there for that peer is newer, and waits
    /// again behind it. Gives back what is too much.
    pub(super) fn inherit(
        &mut self,
        node: &NodeId,
        address: &Address,
        mut held: Vec<Delivery>,
        now: Instant,
    ) -> Refused {
        let mut bytes = 0;
        let fits = held.iter().enumerate().take_while(|(letters, delivery)| {
            bytes += size(&delivery.letter);
            self.load.has_room_for(letters + 1, bytes)
        });
        let fitting = fits.count();
        let too_much = held.split_off(fitting);
        let way = self.way(&address.0, &address.1);
        let numbers = way.map(|way| way.sent_to(node)).unwrap_or_default();
        let newer = numbers.into_iter().filter_map(|number| self.forget(number, now));
        let all = held.into_iter().chain(newer.collect::<Vec<_>>()).collect();
        self.wait_again(all, now);
        too_much.into_iter().map(|delivery| (delivery, Undelivered::Full)).collect()
    }

    /// What came back and is no letter, by the node that it was for.
    pub(super) fn take_words(&mut self) -> Vec<(NodeId, Envelope)> {
        std::mem::take(&mut self.words)
    }

    /// Older letters wait again, ahead of all that does.
    pub(super) fn wait_again(&mut self, letters: Vec<Delivery>, now: Instant) {
        for delivery in letters.into_iter().rev() {
            self.load.add(&delivery.letter);
            let address = (delivery.room.clone(), delivery.to.clone());
            self.way_to(&address, now).wait_again(delivery, now);
            self.sought.look_for(address, now);
        }
    }

    /// A letter has come back to where it was sent from, of which this was the number: it waits ahead of all that does, but for
    /// older ones that came back before.
    pub(super) fn wait_at_home(&mut self, delivery: Delivery, number: u64, now: Instant) {
        self.load.add(&delivery.letter);
        let address = (delivery.room.clone(), delivery.to.clone());
        self.way_to(&address, now).wait_at_home(delivery, number, now);
        self.sought.look_for(address, now);
    }

    /// Somebody may be there for whom something waits.
    pub(super) fn appeared(&mut self, address: &Address, now: Instant) {
        if self.next_waiting(address).is_some() {
            self.sought.look_for(address.clone(), now);
        }
    }

    /// For whom to look now. They are not due again before [`Self::found`] was told.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Address> {
        self.sought.due(now)
    }

    /// When somebody is due next; whoever asks waits for that ([`Self::is_due_sooner`]).
    pub(super) fn awaits_next_due(&mut self) -> Option<Instant> {
        self.sought.awaits_next_due()
    }

    /// Whether somebody is due before the moment that is waited for.
    pub(super) fn is_due_sooner(&self) -> bool {
        self.sought.is_due_sooner()
    }

    /// A peer for which something waits was looked for: what can go there goes; `put` puts into a mailbox here. An absent
    /// one is waited for as long as `patience`. Gives back what is given up.
    pub(super) fn found(
        &mut self,
        address: &Address,
        found: &Found,
        patience: Duration,
        now: Instant,
        backplane: &dyn Backplane,
        mut put: impl FnMut(&Delivery) -> Placed,
    ) -> Refused {
        self.recall(address, found, now);
        self.sought.seek_no_more(address);
        let mut refused = Vec::new();
        while let Some(delivery) = self.next_waiting(address) {
            let way = self.way(&address.0, &address.1);
            let free = |node: &NodeId| way.is_some_and(|way| way.is_only_at(node));
            let for_long = |limit| way.is_some_and(|way| now.duration_since(way.since()) >= limit);
            // What came to wait behind older ones has its own time.
            let next = way.and_then(|way| way.waiting().front());
            let over = next.is_some_and(|next| now.duration_since(next.since) >= LOOK_FOR);
            let outcome = match found {
                Found::Here if free(&self.me) => match put(&delivery) {
                    Placed::Taken => Some(None),
                    // It was accepted once, and there is room for it here.
                    Placed::Full if over => Some(Some(Undelivered::Full)),
                    Placed::Full | Placed::Gone => None,
                },
                Found::On(node) if free(node) => {
                    self.remove_waiting(address, now);
                    match self.carry(node, delivery, now, backplane) {
                        // It may wait again: its node is gone.
                        Ok(()) if self.sought.contains(address) => break,
                        Ok(()) => {}
                        Err(given_back) => refused.push(given_back),
                    }
                    continue;
                }
                // Of what is of no use to one who is not there, nobody is told.
                Found::Nowhere if patience.is_zero() || is_of_the_moment(&delivery.letter) => {
                    Some(Some(Undelivered::Absent))
                }
                Found::Nowhere if for_long(patience) => Some(Some(Undelivered::Expired)),
                Found::Nowhere => break,
                Found::Here | Found::On(_) | Found::Unknown => None,
            };
            match outcome {
                Some(None) => self.remove_waiting(address, now),
                Some(Some(why)) => {
                    self.remove_waiting(address, now);
                    refused.push((delivery, why));
                }
                None if over => {
                    self.remove_waiting(address, now);
                    refused.push((delivery, Undelivered::Unreachable));
                }
                None => break,
            }
        }
        let since = self.way(&address.0, &address.1).map_or(now, Way::since);
        if self.next_waiting(address).is_some() {
            let next = match found {
                Found::Nowhere => (now + LOOK_AGAIN).min(since + patience),
                _ => now + LOOK_EVERY,
            };
            self.sought.look_at(address.clone(), next);
        }
        refused
    }

    /// Everything that waits: nobody is looked for any longer.
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<Delivery> {
        self.sought.clear();
        let waits = |(room, ways): (&RoomId, &Map<PeerId, Way>)| {
            ways.keys().map(|peer| (room.clone(), peer.clone())).collect::<Vec<_>>()
        };
        let addresses: Vec<Address> = self.rooms.iter().flat_map(waits).collect();
        let mut given_up = Vec::new();
        for address in addresses {
            while let Some(delivery) = self.next_waiting(&address) {
                self.remove_waiting(&address, now);
                given_up.push(delivery);
            }
        }
        given_up
    }

    /// Carries a letter to `node`, with nothing in its way.
    fn carry(
        &mut self,
        node: &NodeId,
        mut delivery: Delivery,
        now: Instant,
        backplane: &dyn Backplane,
    ) -> Result<(), (Delivery, Undelivered)> {
        delivery.spent = delivery.letter.read.map(|read| now.duration_since(read.at)).unwrap_or_default();
        self.pass_on(std::slice::from_mut(&mut delivery.letter), node, backplane);
        let number = match delivery.letter.mark {
            // Another node keeps the copy.
            Some(_) => None,
            None if self.load.has_room_for(1, size(&delivery.letter)) => {
                let number = self.keep(delivery.clone(), node, now);
                delivery.letter.mark = Some(self.mark(number));
                Some(number)
            }
            None => return Err((delivery, Undelivered::Full)),
        };
        match (backplane.carry(node, Envelope::Deliver(delivery.clone())), number) {
            (Ok(()), _) => Ok(()),
            (Err(Undelivered::Unreachable), number) => {
                self.lost(node, backplane.take_back(node), now);
                if number.is_none() {
                    self.wait_again(vec![delivery], now);
                }
                Ok(())
            }
            (Err(why), Some(number)) => Err((self.forget(number, now).unwrap_or(delivery), why)),
            (Err(why), None) => Err((delivery, why)),
        }
    }

    /// Letters of which others keep copies go to `node`: those others are told. If one cannot be, this node keeps a copy from
    /// now on, and that one is owed word that it need not.
    fn pass_on(&mut self, letters: &mut [Letter], node: &NodeId, backplane: &dyn Backplane) {
        let mut steps: BTreeMap<NodeId, Vec<Step>> = BTreeMap::new();
        let marks = letters.iter_mut().filter_map(|letter| letter.mark.as_mut());
        // Whoever gets its own letter back needs no telling.
        for mark in marks.filter(|mark| mark.node != self.me && mark.node != *node) {
            mark.hops += 1;
            steps.entry(mark.node.clone()).or_default().push(mark.step());
        }
        for (keeper, steps) in steps {
            let numbers = steps.iter().map(|step| step.number).collect();
            if backplane.carry(&keeper, Envelope::PassedOn { to: node.clone(), steps }).is_err() {
                self.words.push((keeper.clone(), Envelope::Settled { numbers }));
                for letter in letters.iter_mut() {
                    letter.mark = letter.mark.take().filter(|mark| mark.node != keeper);
                }
            }
        }
    }

    fn keep(&mut self, delivery: Delivery, node: &NodeId, now: Instant) -> u64 {
        self.load.add(&delivery.letter);
        let address = (delivery.room.clone(), delivery.to.clone());
        let number = self.copies.keep(delivery, node);
        self.way_to(&address, now).add(node, number);
        number
    }

    /// Forgets a copy, and what was kept.
    fn forget(&mut self, number: u64, now: Instant) -> Option<Delivery> {
        let (delivery, at) = self.copies.forget(number)?;
        self.load.remove(&delivery.letter);
        let address = (delivery.room.clone(), delivery.to.clone());
        self.way_to(&address, now).remove(&at, number);
        self.look_again(address, now);
        Some(delivery)
    }

    fn mark(&self, number: u64) -> Mark {
        Mark { node: self.me.clone(), number, hops: 0 }
    }

    fn is_ours(&self, letter: &Letter) -> bool {
        letter.mark.as_ref().is_some_and(|mark| mark.node == self.me)
    }

    /// Something has changed on the way: what waits may be able to go now.
    fn look_again(&mut self, address: Address, now: Instant) {
        let Some(way) = self.way(&address.0, &address.1) else { return };
        if !way.waiting().is_empty() {
            self.sought.look_for(address, now);
        } else if way.is_over() {
            self.end(&address);
        }
    }

    fn next_waiting(&self, (room, peer): &Address) -> Option<Delivery> {
        self.way(room, peer)?.waiting().front().map(|waiting| waiting.delivery.clone())
    }

    fn remove_waiting(&mut self, address: &Address, now: Instant) {
        let Some(delivery) = self.way_to(address, now).next() else { return };
        self.load.remove(&delivery.letter);
        let way = self.way(&address.0, &address.1);
        if way.is_some_and(Way::is_over) {
            self.end(address);
        }
    }

    fn way(&self, room: &RoomId, peer: &PeerId) -> Option<&Way> {
        self.rooms.get(room)?.get(peer)
    }

    fn way_to(&mut self, (room, peer): &Address, now: Instant) -> &mut Way {
        self.rooms.entry(room.clone()).or_default().entry(peer.clone()).or_insert_with(|| Way::new(now))
    }

    fn end(&mut self, (room, peer): &Address) {
        let Some(ways) = self.rooms.get_mut(room) else { return };
        ways.remove(peer);
        if ways.is_empty() {
            self.rooms.remove(room);
        }
    }
}

/// Whether its sender said that it is for nobody who is not there; what the server itself says is not.
fn is_of_the_moment(letter: &Letter) -> bool {
    letter.from.is_none() && letter.number != 0
}

/// The letters for single peers in an envelope that came back.
fn deliveries(envelope: Envelope) -> Vec<Delivery> {
    match envelope {
        Envelope::Deliver(delivery) => vec![delivery],
        Envelope::HandOver { room, peer, held, .. } => {
            let delivery =
                |letter| Delivery { room: room.clone(), to: peer.clone(), letter, spent: Duration::ZERO };
            held.into_iter().map(delivery).collect()
        }
        // One to everybody is always ours, and the rest is news that will be read again.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
