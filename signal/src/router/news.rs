//! What other nodes say, and what becomes of this node's peers by it.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use super::{Router, millis};
use crate::backplane::{Changed, Creation, Entry, Envelope, Notice, Refusal};
use crate::chance;
use crate::dialect::{self, Away};
use crate::goodbye::Goodbye;
use crate::hub::mailbox::{Letter, Read};
use crate::hub::room::{Member, News, Record, Snapshot};
use crate::hub::{Put, Told};
use crate::message::{Claim, Event, Frame, NodeId, Parting, PeerId, RoomId, To};

/// Follows the backplane's notices until it closes or the router is gone.
pub(super) async fn follow(router: Weak<Router>, mut notices: mpsc::Receiver<Notice>) {
    while let Some(notice) = notices.recv().await {
        let Some(router) = router.upgrade() else { return };
        router.notice(notice);
    }
}

/// Tells rooms who is in them when it is their turn, until the router is gone.
pub(super) async fn show_rosters(router: Weak<Router>) {
    while let Some(strong) = router.upgrade() {
        let next = strong.hub.lock().tell_rosters(chance::now());
        let untold = strong.untold.clone();
        drop(strong);
        match next {
            Some(next) => drop(timeout_at(next.into(), untold.notified()).await),
            None => untold.notified().await,
        }
    }
}

/// Reads all rooms again when what was said of them was not heard, until the router is gone.
pub(super) async fn make_up_for_deafness(router: Weak<Router>) {
    while let Some(deaf) = router.upgrade().map(|router| router.deaf.clone()) {
        deaf.notified().await;
        let Some(router) = router.upgrade() else { return };
        let rooms: Vec<_> = router.hub.lock().rooms().map(|(id, _)| id.clone()).collect();
        let read = |room: RoomId| {
            let router = router.clone();
            async move { router.catch_up(&room).await }
        };
        stream::iter(rooms).for_each_concurrent(ASKED_AT_ONCE, read).await;
    }
}

/// Peers that are claimed again at the same time, and rooms that are read again.
const ASKED_AT_ONCE: usize = 16;

/// What a node knows of a peer of its own that the directory may have forgotten.
struct Remembered {
    member: Member,
    record: Record,
}

/// A directory that did not answer is asked again after this time.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// A claim sooner, as few are under way at a time: a node hears that all is forgotten a little before it may claim.
const CLAIM_AGAIN: Duration = Duration::from_millis(100);

impl Router {
    fn notice(self: &Arc<Self>, notice: Notice) {
        match notice {
            Notice::Arrived { from, envelope } => self.arrived(&from, envelope),
            Notice::Gone(node) => {
                self.lost(&node);
                self.relied_on_by.lock().remove(&node);
                self.read_rooms_of(&node);
            }
            Notice::Adopted { room, peer, snapshot, had_by } => self.adopted(&room, &peer, snapshot, had_by),
            Notice::Untold { room, peer } => {
                let router = self.clone();
                self.tasks.spawn(async move { router.tell_what_was_untold(room, peer).await });
            }
            Notice::WasDeaf => self.deaf.notify_one(),
            Notice::Forgotten => {
                *self.forgotten.lock() = Some(chance::now());
                let router = self.clone();
                self.tasks.spawn(async move { router.claim_all_again().await });
            }
        }
    }

    fn arrived(self: &Arc<Self>, from_node: &NodeId, envelope: Envelope) {
        match envelope {
            Envelope::Deliver(delivery) => self.delivered(from_node, delivery),
            Envelope::DeliverAll(all) => self.delivered_to_all(from_node, all),
            Envelope::Settled { numbers } => self.settled(numbers),
            Envelope::Holds { steps } => self.held(from_node, &steps),
            Envelope::PassedOn { to, steps } => self.passed_on(from_node, &to, &steps),
            Envelope::Roster { room, but } => self.show_roster(&room, Some(&but)),
            Envelope::Changed(changed) => self.changed(changed),
            Envelope::HandOver { room, peer, held, last } => {
                let held = self.take_in(from_node, held);
                let taken = self.hub.lock().handed_over(&room, &peer, held, last);
                match taken {
                    Ok(too_much) => self.never_arrived(&room, &peer, too_much),
                    Err(held) if last => self.wait_again(&room, &peer, held),
                    Err(held) => self.inherit(from_node, &(room, peer), held),
                }
            }
            Envelope::Appeared { room, peer } => self.appeared(&room, &peer),
            Envelope::Missed { room, peer } => self.hub.lock().send_away(&room, &peer, Goodbye::Slow),
            Envelope::Question { number, question } => self.asked(from_node, number, question),
            Envelope::Answer { number, answer } => self.answered(number, answer),
        }
    }

    /// The other node's part of the way, and the way between, as if this node had read the frame itself.
    pub(super) fn read_elsewhere(&self, spent: Duration) -> Read {
        let now = chance::now();
        Read {
            at: now.checked_sub(spent + self.backplane.numbers().round_trip).unwrap_or(now),
            elsewhere: true,
        }
    }

    /// A room has changed, by this node or another one.
    pub(super) fn changed(self: &Arc<Self>, changed: Changed) {
        let Changed { room, version, peer, member, frames, roster } = changed;
        if let Some(member) = &member {
            self.moved(&room, &peer, &member.node);
        }
        let is_ours = member.as_ref().is_some_and(|member| member.node == *self.backplane.node());
        let (news, turns_up, came_back) = {
            let mut hub = self.hub.lock();
            let known = hub.room(&room).map(|known| known.member(&peer));
            let is_new = known.is_some_and(|was| was.is_none());
            let is_listed = member.as_ref().is_some_and(|member| member.listed);
            let born = member.as_ref().map_or(0, |member| member.born);
            // Nothing is told of one who is claimed again.
            let came_back = known.flatten().is_some_and(|was| was.born < born) && !frames.is_empty();
            (hub.apply(&room, version, &peer, member), is_new && is_listed, came_back)
        };
        self.tell_what_was_missed(&room);
        // What is old was told when it was read.
        if news != News::Old || is_ours || is_held_for(&room) {
            // Whoever is claimed again by a node that was taken for dead has been told of as gone.
            let arrival = dialect::named(room.dialect()).filter(|_| turns_up && frames.is_empty());
            let frames = arrival.map_or(frames, |dialect| dialect.arrival(&peer));
            // That it has left was not heard.
            let left = if came_back { dropped(&room, &peer) } else { Vec::new() };
            self.tell_those_concerned(&room, &peer, [left, frames].concat());
        }
        // One who was listed before it was known here has said so when nobody heard it.
        if roster || turns_up {
            self.show_roster(&room, None);
        }
        self.let_go(&room);
        if news == News::Gap {
            self.read_again(room);
        }
    }

    /// Tells those whom it concerns who came and went when this node did not hear of it; not where those who are away are held
    /// for: there it shows in the roster, and those who leave say so.
    fn tell_what_was_missed(&self, room: &RoomId) {
        let missed = self.hub.lock().take_missed(room);
        let Some(dialect) = dialect::named(room.dialect()).filter(|_| !is_held_for(room)) else { return };
        for (peer, node) in missed {
            let frames = match node {
                // It is told of when it is known to the others.
                Some(node) if node == *self.backplane.node() => Vec::new(),
                Some(_) => dialect.arrival(&peer),
                None => dropped(room, &peer),
            };
            self.tell_those_concerned(room, &peer, frames);
        }
    }

    /// Tells those of this node's peers whom the coming or going of `peer` concerns.
    fn tell_those_concerned(&self, room: &RoomId, peer: &PeerId, frames: Vec<Frame>) {
        let Some(dialect) = dialect::named(room.dialect()) else { return };
        // Who is full learns it from the roster, which has no bound, where there is one.
        let is_shown = dialect.encode(&Event::Roster { room: room.name(), peers: &[] }).is_some();
        let hub = self.hub.lock();
        for frame in frames {
            let letter = Letter::from_server(frame);
            let full = match dialect.concerns(peer) {
                To::Peer(one) => match hub.put(room, &one, letter) {
                    Put::Full(_) => vec![one],
                    _ => Vec::new(),
                },
                To::Everyone | To::Others | To::Topic(_) => {
                    hub.tell_all(room, &letter, Some(peer), |_| false).1
                }
            };
            for peer in full.iter().filter(|_| !is_shown) {
                hub.send_away(room, peer, Goodbye::Slow);
            }
        }
    }

    pub(super) fn show_roster(&self, room: &RoomId, but: Option<&PeerId>) {
        let told = self.hub.lock().tell_roster(room, but, chance::now());
        if told == Told::Later {
            self.metrics.rosters_held.inc();
            self.untold.notify_one();
        }
    }

    /// A change was missed: whatever it was, it is in the directory.
    pub(super) fn read_again(self: &Arc<Self>, room: RoomId) {
        let router = self.clone();
        self.tasks.spawn(async move { router.catch_up(&room).await });
    }

    /// Reads a room again, however long that takes.
    pub(super) async fn catch_up(self: &Arc<Self>, room: &RoomId) {
        if let Some(Some(snapshot)) = self.look_until_answered(room).await {
            let is_news = self.hub.lock().replace(room, snapshot, chance::now());
            self.tell_what_was_missed(room);
            if is_news {
                self.let_go(room);
                self.show_roster(room, None);
            }
        }
    }

    /// This node made a change when it had missed others: whoever made those need not be among the nodes that were `told`.
    pub(super) fn tell_those_unknown(self: &Arc<Self>, told: BTreeSet<NodeId>, changed: Changed) {
        let router = self.clone();
        self.tasks.spawn(async move {
            let seen = loop {
                match router.backplane.look(&changed.room, &[]).await {
                    Ok(seen) => break seen,
                    Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
                }
            };
            let members = seen.into_iter().flat_map(|seen| seen.members);
            let nodes: BTreeSet<_> = members.map(|(_, member)| member.node).collect();
            for node in nodes.difference(&told).filter(|node| *node != router.backplane.node()) {
                router.tell_node(node.clone(), Envelope::Changed(changed.clone()));
            }
        });
    }

    /// `node` is gone, and with it what it was about to tell of its last changes.
    fn read_rooms_of(self: &Arc<Self>, node: &NodeId) {
        let hub = self.hub.lock();
        let me = self.backplane.node();
        let shared = hub.rooms().filter(|(_, room)| room.other_nodes(me).contains(node));
        let shared: Vec<_> = shared.map(|(id, _)| id.clone()).collect();
        drop(hub);
        shared.into_iter().for_each(|room| self.read_again(room));
    }

    /// The room as the directory has it, however long that takes; `None` if this node has forgotten the room meanwhile.
    async fn look_until_answered(&self, room: &RoomId) -> Option<Option<Snapshot>> {
        loop {
            match self.backplane.look(room, &[]).await {
                Ok(seen) => return Some(seen),
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
            self.hub.lock().room(room)?;
        }
    }

    /// Ends the sessions of peers that somebody else has by now, and hands over what was held for them.
    fn let_go(self: &Arc<Self>, room: &RoomId) {
        let superseded = self.hub.lock().superseded(room, chance::now());
        for (peer, holder) in superseded {
            let was_removed = holder.is_none() && is_held_for(room);
            // Where nobody is held for, whoever has it no more had it in the meantime.
            let goodbye = if was_removed { Goodbye::Removed } else { Goodbye::Replaced };
            self.dismiss(room, &peer, holder.as_ref(), goodbye);
            if holder.is_none() {
                // Nobody else has said that it is gone.
                self.show_roster(room, None);
            }
        }
    }

    /// A membership that this node has now.
    pub(super) fn publish_membership(
        self: &Arc<Self>,
        room: &RoomId,
        version: u64,
        peer: &PeerId,
        member: Option<Member>,
    ) {
        let nodes = self.hub.lock().other_nodes(room);
        let (room, peer) = (room.clone(), peer.clone());
        self.publish(nodes, Changed { room, version, peer, member, frames: Vec::new(), roster: false });
    }

    /// A node died, and this one holds `peer` from now on, until it comes back or its grace is over.
    fn adopted(self: &Arc<Self>, room: &RoomId, peer: &PeerId, snapshot: Snapshot, had_by: Option<NodeId>) {
        let Some(dialect) = dialect::named(room.dialect()) else { return };
        let (version, record) = (snapshot.version, snapshot.record.clone());
        let member = snapshot.member(peer).cloned();
        let (is_new_here, is_connected, nodes) = {
            let mut hub = self.hub.lock();
            // Whoever had it may be alive, and have nobody else in the room.
            let mut nodes = hub.other_nodes(room);
            nodes.extend(had_by.filter(|node| node != self.backplane.node()));
            let is_new_here = hub.room(room).is_none();
            hub.adopt(dialect, room, peer, snapshot, chance::now());
            nodes.extend(hub.other_nodes(room));
            let session = hub.room(room).and_then(|room| room.sessions.get(peer));
            (is_new_here, session.is_some_and(|session| session.seat.is_some()), nodes)
        };
        let (id, name) = (room.clone(), peer.clone());
        match member.clone() {
            // Its second connection came to nothing, and the first is here all the same.
            Some(member) if is_connected => {
                let (router, was) = (self.clone(), Remembered { member, record });
                self.tasks.spawn(async move { router.claim_until_answered(id, name, was).await });
            }
            Some(member) if dialect.customs().away == Away::Gone => {
                return self.let_name_go(room, peer, member.claim);
            }
            _ => {}
        }
        let (id, peer) = (room.clone(), peer.clone());
        self.publish(nodes, Changed { room: id, version, peer, member, frames: Vec::new(), roster: false });
        if is_new_here {
            self.read_again(room.clone());
        }
    }

    /// What became of a peer whose node died over it: known here, and told to all that are in the room.
    async fn tell_what_was_untold(self: &Arc<Self>, room: RoomId, peer: PeerId) {
        let Ok(Some(seen)) = self.backplane.look(&room, &[]).await else { return };
        let (version, member) = (seen.version, seen.member(&peer).cloned());
        let nodes = seen.members.iter().map(|(_, member)| member.node.clone());
        let nodes = nodes.filter(|node| node != self.backplane.node()).collect();
        let is_news = self.hub.lock().replace(&room, seen, chance::now());
        // Who parks its peers leaves it to them to say that they leave.
        let frames = if member.is_none() { dropped(&room, &peer) } else { Vec::new() };
        self.publish(nodes, Changed { room: room.clone(), version, peer, member, frames, roster: true });
        if is_news {
            self.let_go(&room);
        }
    }

    /// This node was taken for dead, or the directory is empty: each of its peers is claimed again, those that are away
    /// too.
    async fn claim_all_again(self: &Arc<Self>) {
        let (rooms, peers) = {
            let mut hub = self.hub.lock();
            let rooms: Vec<_> = hub.rooms().map(|(id, _)| id.clone()).collect();
            hub.is_forgotten();
            // All of them before the first is claimed: the room that it comes back to is without the others.
            let peers = hub.sessions().filter_map(|(id, peer, _)| {
                let room = hub.room(id)?;
                let (member, record) = (room.member(peer)?.clone(), room.record().clone());
                Some((id.clone(), peer.clone(), Remembered { member, record }))
            });
            let peers: Vec<_> = peers.collect();
            (rooms, peers)
        };
        let claims = peers.into_iter().map(|(room, peer, was)| self.claim_until_answered(room, peer, was));
        stream::iter(claims).for_each_concurrent(ASKED_AT_ONCE, |claim| claim).await;
        // What those here have missed, if it was this node that was away: a room that others write again is shown when
        // it is whole.
        for id in rooms {
            let is_whole = self.hub.lock().room(&id).is_some_and(|room| !room.is_recalled());
            if is_whole {
                self.show_roster(&id, None);
            }
        }
    }

    /// Claims a peer again, however long that takes. One that cannot be a member again is told, and sent away: when it
    /// comes back it hears why, and may be let in as one who is new.
    async fn claim_until_answered(self: &Arc<Self>, room: RoomId, peer: PeerId, was: Remembered) {
        loop {
            match self.claim_again(&room, &peer, &was).await {
                Ok(()) => return,
                Err(Refusal::Unavailable) => tokio::time::sleep(CLAIM_AGAIN).await,
                // Somebody was faster; it may have been this node itself.
                Err(Refusal::Superseded) => {}
                Err(refusal) => {
                    tracing::info!(%refusal, "a peer cannot be claimed again, and is sent away");
                    return self.dismiss(&room, &peer, None, Goodbye::Removed);
                }
            }
        }
    }

    async fn claim_again(
        self: &Arc<Self>,
        room: &RoomId,
        peer: &PeerId,
        was: &Remembered,
    ) -> Result<(), Refusal> {
        let seen = self.backplane.look(room, &[]).await?;
        let held = seen.as_ref().and_then(|seen| seen.member(peer)).cloned();
        let over = held.as_ref().map(|held| held.claim);
        let Some((claim, entry)) = self.entry_again(room, peer, over, was) else { return Ok(()) };
        let dialect = dialect::named(room.dialect());
        let is_kept = is_held_for(room);
        let elsewhere = held.filter(|held| held.node != *self.backplane.node());
        if let (Some(held), Some(seen)) = (&elsewhere, seen)
            && (!is_kept || entry.away || (!held.away && held.claim > claim))
        {
            // Who came back there is newer than the connection here; who is away is waited for there as well as here; where
            // nobody is, the name was free meanwhile, and whoever took it has it.
            self.hub.lock().replace(room, seen, chance::now());
            self.dismiss(room, peer, Some(&held.node), Goodbye::Replaced);
            return Ok(());
        }
        let snapshot = self.backplane.join(room, entry).await?;
        let (version, member) = (snapshot.version, snapshot.member(peer).cloned());
        let awaited_by = snapshot.awaited_by.clone();
        if let Some(dialect) = dialect {
            let mut hub = self.hub.lock();
            hub.adopt(dialect, room, peer, snapshot, chance::now());
            if elsewhere.is_some() {
                hub.expect_hand_over(room, peer, chance::now());
            }
        }
        self.announce(room, peer, &awaited_by);
        if let Some(member) = member.as_ref().filter(|_| !is_kept && self.is_orphan(room, peer)) {
            // It has left meanwhile, and its session is a new one, which nobody would end.
            self.let_name_go(room, peer, member.claim);
        }
        self.publish_membership(room, version, peer, member);
        if let Some(held) = elsewhere {
            // It may have nobody else in this room, and holds what came meanwhile.
            self.tell_of(room, peer, &held.node);
        }
        Ok(())
    }

    /// Whether this node has a session of `peer` without a connection, which is not about to leave.
    fn is_orphan(&self, room: &RoomId, peer: &PeerId) -> bool {
        let hub = self.hub.lock();
        let session = hub.room(room).and_then(|room| room.sessions.get(peer));
        session.is_some_and(|session| session.seat.is_none() && session.leaving.is_none())
    }

    /// Tells a node that may not be in the room any more who has `peer` now.
    fn tell_of(&self, room: &RoomId, peer: &PeerId, node: &NodeId) {
        let known = {
            let hub = self.hub.lock();
            hub.room(room).map(|known| (known.version(), known.member(peer).cloned()))
        };
        if let Some((version, member @ Some(_))) = known {
            let (room, peer) = (room.clone(), peer.clone());
            let changed = Changed { room, version, peer, member, frames: Vec::new(), roster: false };
            let _ = self.backplane.carry(node, Envelope::Changed(changed));
        }
    }

    fn entry_again(
        &self,
        room: &RoomId,
        peer: &PeerId,
        over: Option<Claim>,
        was: &Remembered,
    ) -> Option<(Claim, Entry)> {
        let hub = self.hub.lock();
        let known = hub.room(room)?;
        let session = known.sessions.get(peer)?;
        let entry = Entry {
            peer: peer.clone(),
            made: was.record.made,
            over,
            profile: was.member.profile.clone(),
            listed: was.member.listed,
            away: session.seat.is_none(),
            born: Some(was.member.born),
            create: Creation::Again { record: was.record.clone(), version: known.version() },
            max_members: self.rules.max_members,
        };
        Some((session.claim, entry))
    }
}

/// What is told of one who has left without a word, as far as is known.
fn dropped(room: &RoomId, peer: &PeerId) -> Vec<Frame> {
    let dialect = dialect::named(room.dialect());
    dialect.map(|dialect| dialect.parting(peer, Parting::Dropped, millis())).unwrap_or_default()
}

/// Whether those who are away in this room are held for.
fn is_held_for(room: &RoomId) -> bool {
    dialect::named(room.dialect()).is_some_and(|dialect| dialect.customs().away == Away::Parked)
}
