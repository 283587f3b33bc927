//! What a peer says: encoded once, and made into a letter for each of those whom it is for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::timeout_at;

use super::Router;
use super::ways::Refused;
use crate::backplane::pressure::Relief;
use crate::backplane::{Delivery, DeliveryToAll};
use crate::breakage::{Breakage, is_broken};
use crate::chance;
use crate::dialect::{self, Dialect};
use crate::goodbye::Goodbye;
use crate::hub::Place;
use crate::hub::mailbox::{Letter, Read};
use crate::hub::room::{Room, Snapshot};
use crate::message::{Event, Frame, NodeId, PeerId, Receipt, RoomId, Speaker, To, Undelivered};

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
            self.answer(speaker, dialect.encode(&Event::Accepted { id: &name }))?;
            return Ok(None);
        }
        if receipt == Receipt::Drop {
            let relief = self.tell(dialect, speaker, message, receipt, None, read);
            self.accept([named]);
            return Ok(relief);
        }
        if !self.acceptances.lock().begin(&named) {
            // To all is to itself too.
            let to = if let To::Peer(to) = message.0 { to } else { &speaker.peer };
            let why = Undelivered::Full;
            self.metrics.undeliverable(why);
            if let Some(word) = dialect.encode(&Event::Undelivered { to, why, id: Some(&name) }) {
                let (room, to, letter) = (speaker.room.clone(), speaker.peer.clone(), Letter::word(word));
                self.deliver(Delivery { room, to, letter, spent: Duration::ZERO });
            }
            self.accept([named]);
            return Ok(None);
        }
        Ok(self.tell(dialect, speaker, message, receipt, Some(name), read))
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
        let refused: Vec<_> = {
            let mut ways = self.ways.lock();
            let mut send = |(node, to): (NodeId, Vec<PeerId>)| {
                let all = DeliveryToAll { room: room.clone(), to, letter: letter.clone(), spent };
                let refused = ways.send_to_all(&node, all, now, &*self.backplane);
                (node, refused)
            };
            nodes.into_iter().map(&mut send).collect()
        };
        for (node, refused) in refused {
            self.note_missed(&node, room, refused.iter().map(|(delivery, _)| &delivery.to));
            self.refuse(refused);
        }
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

    /// How many are in `room`, as this node knows.
    fn population(&self, room: &RoomId) -> usize {
        self.hub.lock().room(room).map_or(0, Room::population)
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
}

/// What tells a message from all others. If its sender has a name for it, the same on every node.
fn number(from: &PeerId, name: Option<&str>) -> u64 {
    let name = name.filter(|_| !is_broken(Breakage::RepeatNotRecognised));
    let Some(name) = name else { return rand::random::<u64>().max(1) };
    let hash = Sha256::new().chain_update(from.as_str()).chain_update([0]).chain_update(name).finalize();
    let first = hash.first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first).max(1)
}
