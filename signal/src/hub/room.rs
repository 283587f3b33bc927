//! A room as this node knows it: who is in it, and on which node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::roster::Turn;
use super::session::Session;
use crate::chance::Map;
use crate::dialect::Dialect;
use crate::message::{Claim, Event, Frame, NodeId, PeerId, Profile, RoomId};

/// A peer's membership in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node that has its socket, or holds its messages while it is away.
    pub node: NodeId,
    /// That node's hold on it.
    pub claim: Claim,
    /// The room's version when it first came: the order of arrival.
    pub born: u64,
    /// Whether the others know of it.
    pub listed: bool,
    /// Whether it has no living socket.
    pub away: bool,
    /// What is said of it.
    pub profile: Profile,
}

/// What a room was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its creation number: random, so that a pass for an earlier room of that name opens nothing. 0 for a room that
    /// was made by entering it, which is open to everybody anyway.
    pub made: u64,
    /// What it is called.
    pub title: String,
    /// Members at most; 0 for as many as the node's own limit allows.
    pub limit: u32,
    /// The hash of its password (PHC string), if it has one.
    pub password: Option<String>,
    /// Whether it is listed for everybody.
    pub public: bool,
}

impl Record {
    /// Members at most, where any room may have `max_members`.
    pub fn most(&self, max_members: u32) -> usize {
        let most = if self.limit == 0 { max_members } else { self.limit.min(max_members) };
        most as usize
    }
}

/// A room as it was at `version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Goes up by one with each change of the members.
    pub version: u64,
    /// At which version it was made. A room that is made again, when it has ended or the directory has lost it, begins
    /// above whatever it has been at before.
    pub began: u64,
    /// What the room was made with.
    pub record: Record,
    /// Its members, in order of arrival.
    pub members: Vec<(PeerId, Member)>,
    /// Those of the peers asked about that have left, and may not come back.
    pub gone: Vec<PeerId>,
    /// After a join: the nodes that have looked out for somebody here.
    pub awaited_by: Vec<NodeId>,
}

impl Snapshot {
    /// The membership of `peer`.
    pub fn member(&self, peer: &PeerId) -> Option<&Member> {
        self.members.iter().find(|(id, _)| id == peer).map(|(_, member)| member)
    }

    /// Its members, by the nodes that have them.
    pub fn by_node(self) -> BTreeMap<NodeId, Vec<PeerId>> {
        let mut by_node: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (peer, member) in self.members {
            by_node.entry(member.node).or_default().push(peer);
        }
        by_node
    }

    /// Whether anybody in it has a living socket.
    pub fn has_somebody(&self) -> bool {
        self.members.iter().any(|(_, member)| !member.away)
    }
}

/// What became of news about a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It was the next change, and is known now.
    Applied,
    /// It was known already.
    Old,
    /// A change before it was missed: the room has to be read again.
    Gap,
}

/// A room with at least one of its peers on this node.
pub struct Room {
    /// What is spoken in it.
    pub dialect: &'static dyn Dialect,
    /// This node's own peers in it.
    pub sessions: Map<PeerId, Session>,
    /// When they are told next who is in it.
    pub roster_turn: Turn,
    /// Those who are listed, until somebody comes, goes or changes;
    listed: OnceLock<Arc<[(PeerId, Profile)]>>,
    /// and the frame that tells it.
    roster: Option<Frame>,
    version: u64,
    began: u64,
    record: Record,
    members: Map<PeerId, Member>,
    /// Own peers that are to be claimed again: until then they are not given up, whatever the directory says.
    forgotten: BTreeSet<PeerId>,
    recall: Option<Recall>,
    /// Who was heard to leave behind a gap, since which version: what was read before that may still name them.
    gone: BTreeMap<PeerId, u64>,
    /// Who came or went without word of it, and whether it was here before.
    missed: BTreeMap<PeerId, bool>,
}

/// The directory has lost the room, and members that it does not name may still be about to be written again: they are
/// believed to be here as before, and not to be gone.
#[derive(Clone, Copy, Debug)]
struct Recall {
    until: Instant,
    /// Whatever is read next is all there is.
    is_over: bool,
}

/// After this time whoever was not written again is gone.
const RECALL: Duration = Duration::from_secs(15);

impl Room {
    /// The room that `snapshot` shows, without sessions yet.
    pub fn new(dialect: &'static dyn Dialect, snapshot: Snapshot) -> Self {
        let members = snapshot.members.into_iter().collect();
        Self {
            dialect,
            sessions: Map::default(),
            roster_turn: Turn::default(),
            listed: OnceLock::new(),
            roster: None,
            version: snapshot.version,
            began: snapshot.began,
            record: snapshot.record,
            members,
            forgotten: BTreeSet::new(),
            recall: None,
            gone: BTreeMap::new(),
            missed: BTreeMap::new(),
        }
    }

    /// Takes over what `snapshot` shows, unless something newer is known; whether it is newer than what was known.
    pub fn replace(&mut self, snapshot: Snapshot, now: Instant) -> bool {
        if snapshot.version < self.version {
            return false;
        }
        if snapshot.began > self.version {
            // Whether or not this node has been told so.
            self.recall = Some(Recall { until: now + RECALL, is_over: false });
        }
        let waits = self.recall.is_some_and(|recall| !recall.is_over);
        self.gone.retain(|_, version| *version > snapshot.version);
        let is_here =
            |(peer, member): &(PeerId, Member)| self.gone.get(peer).is_none_or(|gone| *gone < member.claim.0);
        let members = snapshot.members.into_iter().filter(is_here).collect();
        let before = std::mem::replace(&mut self.members, members);
        for (peer, member) in &self.members {
            let was = before.get(peer);
            // Who is claimed again, or written again after a loss, has not been away.
            let came_back = was.is_some_and(|was| was.born < member.born);
            if was.is_none() || came_back {
                self.missed.entry(peer.clone()).or_insert(came_back);
            }
        }
        for (peer, member) in before {
            // What was heard is newer than what was read, and is read again behind the gap that it has left.
            let was_heard = member.claim.0 > snapshot.version;
            let is_missing = !self.members.contains_key(&peer);
            if was_heard || is_missing && waits && member.claim.0 < snapshot.began {
                self.members.insert(peer, member);
            } else if is_missing {
                self.missed.entry(peer).or_insert(true);
            }
        }
        let is_whole = self.members.values().all(|member| member.claim.0 >= snapshot.began);
        let recall = self.recall.take_if(|_| is_whole || !waits);
        let is_newer = snapshot.version > self.version || recall.is_some();
        self.version = snapshot.version;
        self.began = snapshot.began;
        self.record = snapshot.record;
        (self.listed, self.roster) = (OnceLock::new(), None);
        is_newer
    }

    /// One change: `peer` is `member` since `version`, or none any more.
    pub fn apply(&mut self, version: u64, peer: &PeerId, member: Option<Member>) -> News {
        // Or it has come again since.
        let has_left_before =
            member.is_none() && self.members.get(peer).is_some_and(|known| known.claim.0 > version);
        if version <= self.version || has_left_before {
            return News::Old;
        }
        // The leaving of one who is not known may hide a change that has the same version.
        let is_known = member.is_some() || self.members.contains_key(peer);
        let news = if version == self.version + 1 && is_known { News::Applied } else { News::Gap };
        (self.listed, self.roster) = (OnceLock::new(), None);
        // What a gap hides is read again; until then the newest word is the best one.
        match member {
            Some(member) if self.members.get(peer).is_some_and(|known| known.claim > member.claim) => None,
            Some(member) => self.members.insert(peer.clone(), member),
            None => self.members.remove(peer).inspect(|_| {
                self.gone.insert(peer.clone(), version);
            }),
        };
        if news == News::Applied {
            self.version = version;
            self.gone.retain(|_, gone| *gone > version);
        }
        news
    }

    /// Who came or went without this node having word of it: was read from the directory. With the node that has
    /// those who are here; who has left and come back is in it as one, and then as the other.
    pub fn take_missed(&mut self) -> Vec<(PeerId, Option<NodeId>)> {
        let missed = std::mem::take(&mut self.missed).into_iter();
        let told = missed.flat_map(|(peer, was_here)| {
            let came = self.member(&peer).map(|member| (peer.clone(), Some(member.node.clone())));
            was_here.then_some((peer, None)).into_iter().chain(came)
        });
        told.collect()
    }

    /// How many are in it.
    pub fn population(&self) -> usize {
        self.members.len()
    }

    /// The version up to which every change is known.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The others, or the directory, may have forgotten this node: its peers are its own until each of them is claimed
    /// again ([`Self::is_claimed`]).
    pub fn is_forgotten(&mut self) {
        self.forgotten = self.sessions.keys().cloned().collect();
    }

    /// `peer` has been claimed since the directory forgot it.
    pub fn is_claimed(&mut self, peer: &PeerId) {
        self.forgotten.remove(peer);
    }

    /// Whether members that the directory does not name are believed to be here.
    pub fn is_recalled(&self) -> bool {
        self.recall.is_some()
    }

    /// Those who are to write it again have so much more time.
    pub fn prolong_recall(&mut self, late: Duration) {
        if let Some(recall) = &mut self.recall {
            recall.until += late;
        }
    }

    /// Whether the time for being written again is over, and whatever is read next is all there is: said once.
    pub fn ends_recall(&mut self, now: Instant) -> bool {
        let over = self.recall.as_mut().filter(|recall| !recall.is_over && recall.until <= now);
        over.map(|recall| recall.is_over = true).is_some()
    }

    /// The membership of `peer`.
    pub fn member(&self, peer: &PeerId) -> Option<&Member> {
        self.members.get(peer)
    }

    /// What the room was made with.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Who is here, for those who may know: listed members in order of arrival. Sorted once for all who ask before the next
    /// change.
    pub fn roster(&self) -> Arc<[(PeerId, Profile)]> {
        let sort = || {
            let mut listed: Vec<_> = self.members.iter().filter(|(_, member)| member.listed).collect();
            listed.sort_by_key(|(_, member)| member.born);
            listed.into_iter().map(|(peer, member)| (peer.clone(), member.profile.clone())).collect()
        };
        self.listed.get_or_init(sort).clone()
    }

    /// The frame that tells who is here: encoded once for all who ask before the next change.
    pub fn roster_frame(&mut self, id: &RoomId) -> Option<Frame> {
        if self.roster.is_none() {
            self.roster = self.dialect.encode(&Event::Roster { room: id.name(), peers: &self.roster() });
        }
        self.roster.clone()
    }

    /// The members on nodes other than `me`.
    pub fn peers_elsewhere(&self, me: &NodeId) -> BTreeMap<NodeId, Vec<PeerId>> {
        let mut by_node: BTreeMap<NodeId, Vec<PeerId>> = BTreeMap::new();
        for (peer, member) in self.members.iter().filter(|(_, member)| member.node != *me) {
            by_node.entry(member.node.clone()).or_default().push(peer.clone());
        }
        by_node
    }

    /// The nodes other than `me` that have members here.
    pub fn other_nodes(&self, me: &NodeId) -> BTreeSet<NodeId> {
        self.members.values().map(|member| &member.node).filter(|node| *node != me).cloned().collect()
    }

    /// This node's peers that somebody else holds by now, or that are members no more. Those whose time here `is_over` are
    /// not: that they have left is this node's to find out and to tell.
    pub fn superseded(&self, me: &NodeId, is_over: impl Fn(&Session) -> bool) -> Vec<PeerId> {
        let is_superseded = |peer: &PeerId, session: &Session| match self.members.get(peer) {
            Some(member) => member.claim > session.claim && member.node != *me,
            // A room that began later does not know it yet.
            None => (self.began..=self.version).contains(&session.claim.0) && !is_over(session),
        };
        let sessions = self.sessions.iter().filter(|(peer, _)| !self.forgotten.contains(*peer));
        let superseded = sessions.filter(|(peer, session)| is_superseded(peer, session));
        superseded.map(|(peer, _)| peer.clone()).collect()
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("version", &self.version).field("members", &self.members).finish()
    }
}
