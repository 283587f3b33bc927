//! Where a letter goes: into a mailbox here, on to another node, or to those that wait for their peer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Router;
use crate::backplane::{Delivery, DeliveryToAll, Envelope};
use crate::breakage::{Breakage, is_broken};
use crate::chance;
use crate::hub::mailbox::{Bounds, Letter, Mark, Step};
use crate::hub::{Place, Put};
use crate::message::{NodeId, PeerId, RoomId, Undelivered};

impl Router {
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

    pub(super) fn send(&self, node: Option<&NodeId>, delivery: Delivery) {
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

    /// Whether as much waits for a name already as whoever gets it could be given. Anybody may write to any name.
    fn too_much_waits(&self, delivery: &Delivery) -> bool {
        let Bounds { messages, bytes } = self.rules.mailbox;
        if self.wait_for_name(&delivery.room).is_zero() {
            return false;
        }
        let (letters, size) = self.ways.lock().waiting(&delivery.room, &delivery.to);
        letters >= messages || size + delivery.letter.frame.len() > bytes
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
}
