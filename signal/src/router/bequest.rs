//! A node that stops: what it still holds goes to another one.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::sleep;

use super::Router;
use super::questions::Ask;
use super::ways::Address;
use crate::backplane::{Answer, Delivery, Envelope, Question};
use crate::chance;
use crate::hub::mailbox::Letter;
use crate::message::{NodeId, PeerId, RoomId};

/// How long a node that lives has to say so.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// Who has asked whether this node stays is gone after this time.
const OUTLIVES_FOR: Duration = Duration::from_secs(3);
/// How often it is looked whether they are gone.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Router {
    /// The node stops. What it still holds for its peers, and what waits here for others, goes to another node, which
    /// looks for whoever has them then. Letters of which nodes that stay have copies go from there when this node is gone.
    /// Where no other node stays, their senders are told, as far as they can be; `false` if that was so.
    pub async fn give_up_what_is_held(&self) -> bool {
        let mut all_left = true;
        self.outlives_those_who_rely_on_it().await;
        self.stops.store(true, Ordering::Relaxed);
        let others = self.backplane.others().await.ok();
        let answers = self.do_they_stay(others.as_deref().unwrap_or_default()).await;
        self.has_given_up.store(true, Ordering::Relaxed);
        let says = |what: Answer| {
            let nodes = answers.iter().filter(move |(_, answer)| *answer == what);
            nodes.map(|(node, _)| node.clone()).collect::<Vec<_>>()
        };
        let (staying, stopping) = (says(Answer::Yes), says(Answer::No));
        let heir = staying.first();
        // Who stops in the same moment takes its copies with it. Who does not answer may be dead; unless it is this node
        // that is not heard.
        let is_gone = |node: &NodeId| {
            if heir.is_some() { !staying.contains(node) } else { stopping.contains(node) }
        };
        let only_here = |letter: &Letter| letter.mark.as_ref().is_none_or(|mark| is_gone(&mark.node));
        let mut held: BTreeMap<Address, Vec<Letter>> = {
            let mut hub = self.hub.lock();
            let sessions = hub.sessions_mut();
            sessions
                .map(|(room, peer, session)| ((room.clone(), peer.clone()), session.give_up_what_waits()))
                .collect()
        };
        held.values_mut().for_each(|letters| letters.retain(only_here));
        for Delivery { room, to, letter, .. } in self.ways.lock().give_up(chance::now()) {
            held.entry((room, to)).or_default().push(letter);
        }
        for ((room, peer), letters) in held {
            all_left &= self.bequeath(heir, &room, &peer, letters);
        }
        self.give_receipts();
        all_left
    }

    /// Waits until those are gone who were told that this node stays: it may have the only copies of what they held.
    async fn outlives_those_who_rely_on_it(&self) {
        let until = chance::now() + OUTLIVES_FOR;
        while !self.relied_on_by.lock().is_empty() && chance::now() < until {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// What those of the other nodes say that live, the fastest first.
    async fn do_they_stay(&self, others: &[NodeId]) -> Vec<(NodeId, Answer)> {
        let ask = |node: &NodeId| {
            let node = node.clone();
            async move {
                let (ask, mut answers) = Ask::open(self, 1);
                ask.put(&node, Question::DoYouStay).ok()?;
                answers.recv().await.map(|answer| (node, answer))
            }
        };
        let asked: FuturesUnordered<_> = others.iter().map(ask).collect();
        let answered = asked.filter_map(std::future::ready).take_until(sleep(ANSWER_WITHIN));
        answered.collect().await
    }

    /// What a node that has stopped held for a peer that is not here: older than all that this node has sent there for that
    /// peer, and than all that waits for it here.
    pub(super) fn inherit(&self, from: &NodeId, address: &Address, held: Vec<Letter>) {
        let delivery = |letter| Delivery {
            room: address.0.clone(),
            to: address.1.clone(),
            letter,
            spent: Duration::ZERO,
        };
        let held = held.into_iter().map(delivery).collect();
        let refused = self.ways.lock().inherit(from, address, held, chance::now());
        self.refuse(refused);
        self.stir();
    }

    fn bequeath(
        &self,
        heir: Option<&NodeId>,
        room: &RoomId,
        peer: &PeerId,
        mut letters: Vec<Letter>,
    ) -> bool {
        if letters.is_empty() {
            return true;
        }
        // Whoever kept a copy is gone, or about to be, or is this node.
        letters.iter_mut().for_each(|letter| letter.mark = None);
        let is_taken = heir.is_some_and(|heir| {
            let (room, peer, held) = (room.clone(), peer.clone(), letters.clone());
            self.backplane.carry(heir, Envelope::HandOver { room, peer, held, last: false }).is_ok()
        });
        if !is_taken {
            self.tell_never_arrived(room, peer, letters);
        }
        is_taken
    }
}
