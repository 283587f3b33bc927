//! Messages on their way: into a mailbox here, on to another node, waiting for a peer that cannot be found, or back.

use std::collections::{HashMap, VecDeque};
use std::sync::Weak;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::Router;
use crate::backplane::{Delivery, DeliveryToAll, Envelope};
use crate::dialect::{self, Dialect};
use crate::hub::Put;
use crate::hub::mailbox::{Letter, Read};
use crate::message::{Event, Frame, NodeId, PeerId, Receipt, RoomId, Speaker, To, Undelivered};

/// Messages that may wait for peers that cannot be found; what is more is told at once.
const MAX_STRAYS: usize = 20_000;
/// How often a peer that cannot be found is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After this time it is given up. Longer than a lease: whoever takes over the peers of a dead node is known by then.
const LOOK_FOR: Duration = Duration::from_secs(12);

/// Messages whose peer is not where it was believed to be: its node is gone, or has let it go. They wait, in order, for
/// the directory to say where it is now.
#[derive(Debug, Default)]
pub(super) struct Strays {
    waiting: parking_lot::Mutex<HashMap<(RoomId, PeerId), Lost>>,
    added: Notify,
}

#[derive(Debug)]
struct Lost {
    since: Instant,
    deliveries: VecDeque<Delivery>,
}

impl Strays {
    /// Takes a message in; gives it back if there are too many.
    fn add(&self, delivery: Delivery) -> Option<Delivery> {
        let mut waiting = self.waiting.lock();
        if waiting.values().map(|lost| lost.deliveries.len()).sum::<usize>() >= MAX_STRAYS {
            return Some(delivery);
        }
        let of_peer = waiting.entry((delivery.room.clone(), delivery.to.clone()));
        let new = || Lost { since: Instant::now(), deliveries: VecDeque::new() };
        of_peer.or_insert_with(new).deliveries.push_back(delivery);
        self.added.notify_one();
        None
    }

    /// Whether older messages for that peer are waiting: newer ones have to wait behind them.
    fn wait_for(&self, room: &RoomId, peer: &PeerId) -> bool {
        let waiting = self.waiting.lock();
        !waiting.is_empty() && waiting.contains_key(&(room.clone(), peer.clone()))
    }

    fn peers(&self) -> Vec<(RoomId, PeerId)> {
        self.waiting.lock().keys().cloned().collect()
    }

    fn are_over(&self, of: &(RoomId, PeerId)) -> bool {
        self.waiting.lock().get(of).is_some_and(|lost| lost.since.elapsed() >= LOOK_FOR)
    }

    fn first(&self, of: &(RoomId, PeerId)) -> Option<Delivery> {
        self.waiting.lock().get(of).and_then(|lost| lost.deliveries.front().cloned())
    }

    /// The oldest has found its way. With the last of them, newer ones need not wait any more.
    fn remove_first(&self, of: &(RoomId, PeerId)) {
        let mut waiting = self.waiting.lock();
        let Some(lost) = waiting.get_mut(of) else { return };
        lost.deliveries.pop_front();
        if lost.deliveries.is_empty() {
            waiting.remove(of);
        }
    }
}

impl Router {
    /// Carries what `speaker` says.
    pub(super) fn tell(
        &self,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
        (to, kind, payload): (&To, &str, Option<&RawValue>),
        receipt: Receipt,
        read: Instant,
    ) {
        let Some(frame) = dialect.encode(&Event::Told { from: &speaker.peer, to, kind, payload }) else {
            return;
        };
        let (room, from) = (speaker.room.clone(), speaker.peer.clone());
        let read = Read { at: read, elsewhere: false };
        match to {
            To::Peer(to) => {
                let delivery = Delivery { room, to: to.clone(), from, frame, receipt, spent: Duration::ZERO };
                self.deliver(delivery, read);
            }
            To::Everyone => {
                let letter = Letter { frame, from: Some(from.clone()), read: Some(read) };
                // In one step: who moves between nodes meanwhile is in one of the two.
                let (full, elsewhere) = {
                    let hub = self.hub.lock();
                    (hub.tell_all(&room, &letter), hub.peers_elsewhere(&room))
                };
                for (node, to) in elsewhere {
                    let (room, from, frame) = (room.clone(), from.clone(), letter.frame.clone());
                    let all = DeliveryToAll { room, to, from, frame, spent: read.at.elapsed() };
                    if self.backplane.carry(&node, Envelope::DeliverAll(all.clone())).is_err() {
                        self.one_by_one(all);
                    }
                }
                for to in full {
                    self.undelivered(&room, &from, &to, Undelivered::Full);
                }
            }
        }
    }

    /// Puts a message into its peer's mailbox if the peer is here, and sends it on if not. What cannot be delivered
    /// is told to its sender.
    pub(super) fn deliver(&self, delivery: Delivery, read: Read) {
        if self.strays.wait_for(&delivery.room, &delivery.to) {
            return self.stray(delivery);
        }
        let Delivery { room, to, from, frame, receipt, .. } = delivery;
        let told = (receipt == Receipt::TellSender).then(|| from.clone());
        let (known, put) = {
            let hub = self.hub.lock();
            (hub.room(&room).is_some(), hub.put(&room, &to, Letter { frame, from: told, read: Some(read) }))
        };
        let delivery = |frame| {
            let spent = read.at.elapsed();
            Delivery { room: room.clone(), to: to.clone(), from: from.clone(), frame, receipt, spent }
        };
        let why = match put {
            Put::Taken => return,
            Put::Full => Undelivered::Full,
            Put::On(node, letter) => return self.send_on(&node, delivery(letter.frame)),
            // Another node believed it to be here: it has moved on, or this node knows nothing of its room any more.
            Put::Nowhere(letter) if read.elsewhere || !known => return self.stray(delivery(letter.frame)),
            Put::Nowhere(_) => Undelivered::Absent,
        };
        if receipt == Receipt::TellSender {
            self.undelivered(&room, &from, &to, why);
        }
    }

    fn send_on(&self, node: &NodeId, delivery: Delivery) {
        match self.backplane.carry(node, Envelope::Deliver(delivery.clone())) {
            Ok(()) => {}
            // Whoever takes over the peers of a node that is gone will be known in a moment.
            Err(Undelivered::Unreachable) => self.stray(delivery),
            Err(why) => self.give_up(&delivery, why),
        }
    }

    /// A message to everybody comes from another node: into the mailboxes of those whom it was sent here for.
    pub(super) fn deliver_all(&self, all: DeliveryToAll, read: Read) {
        let letter = Letter { frame: all.frame.clone(), from: Some(all.from.clone()), read: Some(read) };
        let (mut full, mut moved) = (Vec::new(), Vec::new());
        {
            let hub = self.hub.lock();
            for to in all.to {
                match hub.put(&all.room, &to, letter.clone()) {
                    Put::Taken => {}
                    Put::Full => full.push(to),
                    Put::On(..) | Put::Nowhere(_) => moved.push(to),
                }
            }
        }
        for to in full {
            self.undelivered(&all.room, &all.from, &to, Undelivered::Full);
        }
        self.one_by_one(DeliveryToAll { to: moved, ..all });
    }

    /// Those whom a message to everybody did not reach on the way that it took are looked for, each by itself.
    pub(super) fn one_by_one(&self, all: DeliveryToAll) {
        let DeliveryToAll { room, to, from, frame, spent } = all;
        for to in to {
            let (room, from, frame) = (room.clone(), from.clone(), frame.clone());
            self.stray(Delivery { room, to, from, frame, receipt: Receipt::TellSender, spent });
        }
    }

    /// Tells `from` that its message did not reach `to`, wherever `from` is.
    pub(super) fn undelivered(&self, room: &RoomId, from: &PeerId, to: &PeerId, why: Undelivered) {
        self.metrics.undeliverable(why);
        let dialect = dialect::named(room.dialect());
        let frame = dialect.and_then(|dialect| dialect.encode(&Event::Undelivered { to, why }));
        if let Some(frame) = frame {
            self.notify(room, from, to, frame);
        }
    }

    /// What the server itself has to say to `peer`, about `from`. It goes the way of any message, but nobody is told
    /// if it cannot be delivered.
    fn notify(&self, room: &RoomId, peer: &PeerId, from: &PeerId, frame: Frame) {
        let (room, to, from) = (room.clone(), peer.clone(), from.clone());
        let read = Read { at: Instant::now(), elsewhere: false };
        self.deliver(Delivery { room, to, from, frame, receipt: Receipt::Drop, spent: Duration::ZERO }, read);
    }

    /// The peer of a message is not where it was believed to be.
    pub(super) fn stray(&self, delivery: Delivery) {
        if let Some(delivery) = self.strays.add(delivery) {
            self.give_up(&delivery, Undelivered::Full);
        }
    }

    fn give_up(&self, delivery: &Delivery, why: Undelivered) {
        if delivery.receipt == Receipt::TellSender {
            self.undelivered(&delivery.room, &delivery.from, &delivery.to, why);
        }
    }

    /// This node stops: nobody is looked for any longer.
    pub(super) fn give_up_strays(&self) {
        for peer in self.strays.peers() {
            while let Some(stray) = self.strays.first(&peer) {
                self.strays.remove_first(&peer);
                self.give_up(&stray, Undelivered::Unreachable);
            }
        }
    }

    /// Asks the directory where the peer of strays is now, and sends them there; or gives them up, if it is nowhere or
    /// the time for it is over.
    async fn look_for(&self, of: &(RoomId, PeerId)) {
        let over = self.strays.are_over(of);
        let seen = match self.backplane.look(&of.0, &[]).await {
            Ok(seen) => seen,
            Err(_) if over => None,
            Err(_) => return,
        };
        let member = seen.as_ref().and_then(|seen| seen.member(&of.1));
        while let Some(stray) = self.strays.first(of) {
            let sent = match member {
                None => Err(Undelivered::Absent),
                Some(member) if member.node != *self.backplane.node() => {
                    self.backplane.carry(&member.node, Envelope::Deliver(stray.clone()))
                }
                Some(_) => self.put_stray(&stray),
            };
            match sent {
                Err(Undelivered::Unreachable) if !over => return,
                Err(why) => self.give_up(&stray, why),
                Ok(()) => {}
            }
            self.strays.remove_first(of);
        }
    }

    fn put_stray(&self, stray: &Delivery) -> Result<(), Undelivered> {
        let from = (stray.receipt == Receipt::TellSender).then(|| stray.from.clone());
        let letter =
            Letter { frame: stray.frame.clone(), from, read: Some(self.read_elsewhere(stray.spent)) };
        match self.hub.lock().put(&stray.room, &stray.to, letter) {
            Put::Taken => Ok(()),
            Put::Full => Err(Undelivered::Full),
            Put::On(..) | Put::Nowhere(_) => Err(Undelivered::Unreachable),
        }
    }
}

/// Looks for the peers of strays, again and again, until the router is gone.
pub(super) async fn look_for_strays(router: Weak<Router>) {
    while let Some(router) = router.upgrade() {
        let peers = router.strays.peers();
        for peer in &peers {
            router.look_for(peer).await;
        }
        if peers.is_empty() {
            router.strays.added.notified().await;
        } else {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
