//! Coming and going: who enters as whom, who is away, who is removed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::questions::Ask;
use super::{Router, millis};
use crate::backplane::{Answer, Change, Changed, Creation, Departure, Entry, Question, Refusal};
use crate::chance;
use crate::dialect::{self, Away, Dialect};
use crate::goodbye::Goodbye;
use crate::hub::room::{Record, Snapshot};
use crate::hub::session::Session;
use crate::hub::{Hub, Seated};
use crate::message::{Claim, Event, Frame, NodeId, Parting, PeerId, Profile, RoomId, Speaker};
use crate::metrics::Resume;

/// How often a connection tries for a seat while others take the one that it was about to take.
pub(super) const TRIES: usize = 3;
/// How long other nodes have to say how silent their peers are.
const SILENCE_DEADLINE: Duration = Duration::from_millis(500);

/// The last words to a peer that is not a member any more.
pub(super) fn removed(room: &RoomId) -> Option<Frame> {
    dialect::named(room.dialect())?.encode(&Event::Removed { at: millis() })
}

/// What follows from a peer's coming.
pub(super) struct Came<T> {
    /// What its seating gave.
    pub seated: T,
    /// Until a moment ago news about the room was none of this node's, and passed it by: it is to be read again.
    pub is_new_here: bool,
}

/// A connection's wish to be somebody in a room.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The room.
    pub room: RoomId,
    /// The creation number of that room.
    pub made: u64,
    /// As whom it may come, newest first; at least one.
    pub candidates: Vec<PeerId>,
    /// What the newest is to be called when it first comes.
    pub profile: Option<Profile>,
}

impl Router {
    /// Seats a connection in a room, as one of the peers that it may be.
    pub async fn enter(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        wish: &Wish,
    ) -> Result<Seated, Refusal> {
        // Each of its ids may be taken by another socket in the very moment.
        for _ in 0..wish.candidates.len().max(TRIES) {
            let seen = self.backplane.look(&wish.room, &wish.candidates).await?;
            let peer = self.choose(wish, seen.as_ref()).await?;
            let held = seen.as_ref().and_then(|seen| seen.member(&peer)).cloned();
            let entry = self.entry(dialect, wish, &peer, held.as_ref().map(|held| held.claim));
            match self.backplane.join(&wish.room, entry).await {
                Ok(snapshot) => {
                    let held_by = held.map(|held| held.node);
                    return Ok(self.seat(dialect, wish, peer, snapshot, held_by));
                }
                Err(Refusal::Superseded) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::Unavailable)
    }

    fn entry(&self, dialect: &'static dyn Dialect, wish: &Wish, peer: &PeerId, over: Option<Claim>) -> Entry {
        let customs = dialect.customs();
        let named = wish.profile.clone().filter(|_| wish.candidates.first() == Some(peer));
        let create = if self.rules.create_on_entry && wish.made == 0 {
            let limit = self.rules.terms.get(dialect.name()).map_or(0, |terms| terms.guest_limit);
            let title = wish.room.name().to_owned();
            Creation::ByEntering(Record { title, limit, ..Record::default() })
        } else {
            Creation::Never
        };
        Entry {
            peer: peer.clone(),
            made: wish.made,
            over,
            profile: named.unwrap_or_else(|| customs.default_profile.into()),
            listed: !customs.listed_by_first_message,
            away: false,
            born: None,
            create,
            max_members: self.rules.max_members,
        }
    }

    /// As which of the candidates to come: the newest without a living socket, else the one silent longest.
    async fn choose(&self, wish: &Wish, seen: Option<&Snapshot>) -> Result<PeerId, Refusal> {
        let Some(seen) = seen else {
            let newest = wish.candidates.first().filter(|_| self.rules.create_on_entry && wish.made == 0);
            return newest.cloned().ok_or(Refusal::NoRoom);
        };
        if seen.record.made != wish.made {
            return Err(Refusal::Gone);
        }
        let possible: Vec<_> = wish.candidates.iter().filter(|id| !seen.gone.contains(id)).collect();
        let living = |peer: &PeerId| seen.member(peer).is_some_and(|member| !member.away);
        match possible.as_slice() {
            [] => {
                self.metrics.resumed(Resume::Refused);
                Err(Refusal::Gone)
            }
            [only] => Ok((*only).clone()),
            several => match several.iter().find(|peer| !living(peer)) {
                Some(peer) => Ok((**peer).clone()),
                None => Ok(self.silent_longest(&wish.room, seen, several).await),
            },
        }
    }

    /// Of `peers`, who all seem to be connected, the one that was not heard for the longest time. A node that does not
    /// answer has not heard its peers either.
    async fn silent_longest(&self, room: &RoomId, seen: &Snapshot, peers: &[&PeerId]) -> PeerId {
        let mut by_node: BTreeMap<NodeId, Vec<PeerId>> = BTreeMap::new();
        for peer in peers {
            if let Some(member) = seen.member(peer) {
                by_node.entry(member.node.clone()).or_default().push((*peer).clone());
            }
        }
        let mut silence = BTreeMap::new();
        if let Some(here) = by_node.remove(self.backplane.node()) {
            silence.extend(self.hub.lock().silence(room, &here, chance::now()));
        }
        let (ask, mut answers) = Ask::open(self, by_node.len().max(1));
        for (node, peers) in &by_node {
            let _ = ask.put(node, Question::Silence { room: room.clone(), peers: peers.clone() });
        }
        let listen = async {
            for _ in &by_node {
                if let Some(Answer::Silence(there)) = answers.recv().await {
                    silence.extend(there.into_iter().map(|(peer, ms)| (peer, Duration::from_millis(ms))));
                }
            }
        };
        let _ = chance::in_time(SILENCE_DEADLINE, listen).await;
        drop(ask);
        let silent_for = |peer: &&&PeerId| silence.get(**peer).copied().unwrap_or(Duration::MAX);
        peers.iter().max_by_key(silent_for).map_or_else(|| (*peers[0]).clone(), |peer| (**peer).clone())
    }

    /// Seats a connection as `peer`, who has joined the room in the directory, and was on the node `held_by` before.
    pub(super) fn seat(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        wish: &Wish,
        peer: PeerId,
        snapshot: Snapshot,
        held_by: Option<NodeId>,
    ) -> Seated {
        let me = self.backplane.node();
        match &held_by {
            Some(node) if node == me => self.metrics.resumed(Resume::Here),
            Some(_) => self.metrics.resumed(Resume::Moved),
            None => {}
        }
        let moved_from = held_by.filter(|node| node != me);
        let moved = moved_from.is_some();
        let seat =
            |hub: &mut Hub, snapshot| hub.seat(dialect, &wish.room, &peer, snapshot, moved, chance::now());
        let came = self.come(dialect, (&wish.room, &peer), snapshot, moved_from.clone(), seat);
        if came.is_new_here {
            self.read_again(wish.room.clone());
        }
        Seated { moved_from, ..came.seated }
    }

    /// A peer has joined a room in the directory: it is seated here by `seat`, and the others are told.
    pub(super) fn come<T>(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        (room, peer): (&RoomId, &PeerId),
        snapshot: Snapshot,
        moved_from: Option<NodeId>,
        seat: impl FnOnce(&mut Hub, Snapshot) -> T,
    ) -> Came<T> {
        let (version, member) = (snapshot.version, snapshot.member(peer).cloned());
        let awaited_by = snapshot.awaited_by.clone();
        let (is_new_here, missed, seated, mut nodes) = {
            let mut hub = self.hub.lock();
            let is_new_here = hub.room(room).is_none();
            let missed =
                hub.room(room).is_some_and(|known| known.version() + 1 < version || known.is_recalled());
            let seated = seat(&mut hub, snapshot);
            (is_new_here, missed, seated, hub.other_nodes(room))
        };
        self.announce(room, peer, &awaited_by);
        // The node that had it may have nobody else in this room.
        nodes.extend(moved_from);
        let frames = dialect.arrival(peer);
        let (id, peer) = (room.clone(), peer.clone());
        self.publish(nodes, Changed { room: id, version, peer, member, frames, roster: false });
        if missed && !is_new_here {
            // What has happened before is known with this, and nobody else may live to tell of it.
            self.show_roster(room, None);
        }
        Came { seated, is_new_here }
    }

    /// The speaker's connection has ended.
    pub async fn gone(self: &Arc<Self>, dialect: &'static dyn Dialect, speaker: &Speaker, how: Parting) {
        if self.hub.lock().roamer(speaker.seat).is_some() {
            return self.hang_up(dialect, speaker.seat, how).await;
        }
        let (room, peer) = (&speaker.room, &speaker.peer);
        let parked = self.hub.lock().park(speaker);
        let Some(claim) = parked else { return };
        match dialect.customs().away {
            Away::Gone => {
                // Should the directory not answer, the next tick tries again.
                self.hub.lock().is_leaving(room, peer, claim, how);
                self.leave(room, peer, claim, dialect.parting(peer, how, millis())).await;
            }
            // If the directory is away, the others learn that this peer is when it comes back.
            Away::Parked => drop(self.change(room, peer, claim, Change::Away, false).await),
        }
    }

    /// The speaker leaves on purpose.
    pub(super) async fn bye(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
    ) -> Result<(), Goodbye> {
        let claim = self.hub.lock().session(speaker)?.claim;
        let frames = dialect.parting(&speaker.peer, Parting::OnPurpose, millis());
        match self.backplane.leave(&speaker.room, &speaker.peer, claim, departure(dialect)).await {
            Ok(version) => {
                self.left((&speaker.room, &speaker.peer, claim), version, frames, None, Goodbye::Left);
            }
            // The directory is away, or has lost it and is about to know it again: then it leaves.
            Err(_) => self.hub.lock().session(speaker)?.leaving = Some(Parting::OnPurpose),
        }
        Err(Goodbye::Left)
    }

    /// Ends a membership whose time is over, unless it was heard of meanwhile.
    pub(super) async fn remove(self: &Arc<Self>, room: &RoomId, peer: &PeerId, claim: Claim) {
        let Some(leaving) = self.hub.lock().is_to_leave(room, peer, claim, chance::now()) else { return };
        let frames = match (dialect::named(room.dialect()), leaving) {
            (Some(dialect), Some(how)) => dialect.parting(peer, how, millis()),
            _ => Vec::new(),
        };
        self.leave(room, peer, claim, frames).await;
    }

    pub(super) async fn leave(
        self: &Arc<Self>,
        room: &RoomId,
        peer: &PeerId,
        claim: Claim,
        frames: Vec<Frame>,
    ) {
        let Some(dialect) = dialect::named(room.dialect()) else { return };
        match self.backplane.leave(room, peer, claim, departure(dialect)).await {
            Ok(version) => {
                let goodbye = match dialect.customs().away {
                    Away::Parked => Goodbye::Removed,
                    Away::Gone => Goodbye::Silent,
                };
                self.left((room, peer, claim), version, frames, removed(room), goodbye);
            }
            // The next tick tries again.
            Err(Refusal::Unavailable) => {}
            // The directory has lost it: it is claimed again, and leaves then.
            Err(Refusal::NoRoom) if self.may_miss_somebody() => {}
            Err(Refusal::Superseded) => self.left_already(room, peer, claim, frames).await,
            Err(_) => self.dismiss(room, peer, None, Goodbye::Replaced),
        }
    }

    /// A membership could not be ended, as this node does not hold it. It may have been ended already, by a `leave` that
    /// the directory carried out and could not answer in time: then nobody else knows. Or somebody else has it now, and
    /// gets what is held here.
    async fn left_already(self: &Arc<Self>, room: &RoomId, peer: &PeerId, claim: Claim, frames: Vec<Frame>) {
        // The next tick tries again.
        let Ok(seen) = self.backplane.look(room, &[]).await else { return };
        let holds = self.hub.lock().is_to_leave(room, peer, claim, chance::now()).is_some();
        match seen.filter(|_| holds) {
            Some(seen) if seen.member(peer).is_none() => {
                self.left((room, peer, claim), seen.version, frames, removed(room), Goodbye::Removed);
            }
            _ => self.read_again(room.clone()),
        }
    }

    /// `peer` is not a member any more: the others hear `frames` and see the roster, it hears `last_words`, and whoever
    /// has sent it something that it never got is told.
    fn left(
        self: &Arc<Self>,
        (room, peer, claim): (&RoomId, &PeerId, Claim),
        version: u64,
        frames: Vec<Frame>,
        last_words: Option<Frame>,
        goodbye: Goodbye,
    ) {
        let (nodes, left) = {
            let mut hub = self.hub.lock();
            // Whoever may come back at once may have done so meanwhile.
            if hub.claim(room, peer).is_some_and(|held| held != claim) {
                return;
            }
            (hub.other_nodes(room), hub.dismiss(room, peer, last_words, goodbye))
        };
        self.left_over(room, peer, left, goodbye == Goodbye::Left);
        let (id, peer) = (room.clone(), peer.clone());
        self.publish(nodes, Changed { room: id, version, peer, member: None, frames, roster: true });
        self.hub.lock().forget_if_empty(room);
    }

    /// Ends a session of a peer that is not this node's to remove.
    pub(super) fn dismiss(
        self: &Arc<Self>,
        room: &RoomId,
        peer: &PeerId,
        holder: Option<&NodeId>,
        goodbye: Goodbye,
    ) {
        let last_words = removed(room).filter(|_| goodbye == Goodbye::Removed);
        let left = self.hub.lock().dismiss(room, peer, last_words, goodbye);
        match holder {
            Some(node) => self.hand_over(room, peer, [left.taken, left.waiting].concat(), node, true),
            None => self.left_over(room, peer, left, false),
        }
        self.hub.lock().forget_if_empty(room);
    }

    /// Sends every connection away, each at a moment of its own within `spread`, and its peer is away then. Returns
    /// when the last one has been told.
    pub async fn send_everybody_away(&self, spread: Duration) {
        let mut connected: Vec<_> = {
            let hub = self.hub.lock();
            hub.connected().map(|mailbox| (spread.mul_f64(rand::random()), mailbox.clone())).collect()
        };
        connected.sort_by_key(|(after, _)| *after);
        let start = tokio::time::Instant::now();
        for (after, mailbox) in connected {
            tokio::time::sleep_until(start + after).await;
            mailbox.dismiss(Goodbye::Restarting);
        }
    }

    /// Whether anybody is connected, or something waits here that another node may fetch.
    pub fn holds_anything(&self) -> bool {
        let hub = self.hub.lock();
        let held =
            |(_, _, session): (_, _, &Session)| session.hand_over.is_some() || session.mailbox.bytes() > 0;
        hub.connected().next().is_some() || hub.sessions().any(held)
    }

    /// Whether anybody is connected.
    pub fn has_connections(&self) -> bool {
        self.hub.lock().connected().next().is_some()
    }
}

/// Who is waited for when it is away can tell leaving from that, and does not come back.
fn departure(dialect: &'static dyn Dialect) -> Departure {
    match dialect.customs().away {
        Away::Parked => Departure::ForGood,
        Away::Gone => Departure::Free,
    }
}
