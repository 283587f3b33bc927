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
//!
//! - `way`: the way to one peer; `copies`: what is at other nodes; `load`: how much all of it is;
//! - `sending`: letters go to another node;
//! - `sought`: when to look for whom; `finding`: what goes, stays or is given up when somebody was looked for.

mod copies;
mod finding;
mod load;
mod sending;
mod sought;
mod way;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::acceptance::Named;
use crate::backplane::pressure::Pressure;
use crate::backplane::{Delivery, Envelope};
use crate::breakage::{Breakage, is_broken};
use crate::chance::Map;
use crate::hub::mailbox::{Bounds, Letter, Step};
use crate::message::{NodeId, PeerId, RoomId, Undelivered};
use copies::{Copies, Moved, is_safe};
pub(super) use finding::{Found, Placed};
use load::{Load, size};
use sought::Sought;
use way::Way;

/// So long a peer's old node has to hand over what it holds, before that is sent to the new one from here. If it does so
/// later, something comes twice; that may happen around a reconnect, and a call does not wait for a lease to end.
const HAND_OVER: Duration = Duration::from_secs(2);

/// A peer and its room.
pub(super) type Address = (RoomId, PeerId);

/// Letters whose senders are to be told why they did not arrive.
pub(super) type Refused = Vec<(Delivery, Undelivered)>;

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
            use Envelope::{Changed, Holds, Missed, PassedOn, Roster, Settled};
            matches!(
                envelope,
                Changed(_) | Roster { .. } | Settled { .. } | Holds { .. } | PassedOn { .. } | Missed { .. }
            )
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
