//! What goes to other nodes, and leaves copies here. No I/O, no clock.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::load::size;
use super::way::Way;
use super::{Refused, Ways};
use crate::backplane::{Backplane, Delivery, DeliveryToAll, Envelope};
use crate::hub::mailbox::{Letter, Mark, Step};
use crate::message::{NodeId, PeerId, RoomId, Undelivered};

impl Ways {
    /// Sends a letter to `node`, where its peer is believed to be; without one to where older ones went. It may have to
    /// wait. Gives it back if there is too much already.
    pub(in crate::router) fn send(
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

    /// Sends one frame to several peers of a room that are believed to be on `node`. Gives back those for whom there is
    /// too much already.
    pub(in crate::router) fn send_to_all(
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
    pub(in crate::router) fn hand_over(
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

    /// Carries a letter to `node`, with nothing in its way.
    pub(super) fn carry(
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

    fn mark(&self, number: u64) -> Mark {
        Mark { node: self.me.clone(), number, hops: 0 }
    }
}
