//! Rooms and members: what each question to the directory is in Redis, and what its answers mean.
//!
//! A membership is in the index of its node before it is in its room, and leaves the index after it has left the room:
//! whatever is cut off in between, the index names too much and never too little. Each attempt to have a peer has a
//! number, the *hold*, which its entry in the index and the membership carry: whoever deletes or adopts names it, so
//! nothing that comes late touches what was written since.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, ScriptInvocation, Value, from_redis_value};
use tokio::time::Instant;
use tracing::warn;

use super::hold::Hold;
use super::reaper::Adoption;
use super::{Inside, keys};
use crate::backplane::{Change, Creation, Departure, Entry, FREE_FOR, Listing, MAX_LISTED, Refusal};
use crate::hub::room::{Member, Record, Snapshot};
use crate::message::{Claim, NodeId, PeerId, RoomId};

/// A room as the scripts give it: version, version at which it began, record, members.
type Room = (u64, u64, String, Vec<(String, String)>);

impl Inside {
    pub(super) async fn make(&self, room: &RoomId, record: &Record) -> Result<(), Refusal> {
        let by = self.deadline();
        if self.has_lost_everything(by).await? {
            return Err(Refusal::Unavailable);
        }
        let mut make = self.scripts.make.key(&keys::room(room));
        make.arg(record.made.to_string()).arg(record.limit).arg(write_record(record)).arg(self.empty_for());
        answer::<Value>(self.run_in_lease(by, &mut make).await?)?;
        self.publicise(by, room, record).await
    }

    /// After the room is made, not before: entries of which there is no room are deleted ([`delist`](Self::delist)).
    async fn publicise(&self, by: Instant, room: &RoomId, record: &Record) -> Result<(), Refusal> {
        if !record.public {
            return Ok(());
        }
        let mut list = redis::cmd("HSET");
        list.arg(keys::public(room.dialect())).arg(room.as_str()).arg(&record.title);
        self.ask(by, &list).await
    }

    pub(super) async fn look(&self, room: &RoomId, asked: &[PeerId]) -> Result<Option<Snapshot>, Refusal> {
        let mut look = self.scripts.look.key(&keys::room(room));
        asked.iter().for_each(|peer| {
            look.arg(peer.as_str());
        });
        let reply = self.read(&look).await?;
        if reply.len() == 1 {
            return Ok(None);
        }
        let (room, gone): (Room, Vec<String>) = answer(reply)?;
        let mut snapshot = read_snapshot(room)?;
        snapshot.gone = gone.into_iter().map(PeerId::new).collect();
        Ok(Some(snapshot))
    }

    pub(super) async fn look_out(&self, room: &RoomId, lasts: Duration) -> Result<Option<Snapshot>, Refusal> {
        let mut look_out = self.scripts.look_out.key(&keys::room(room));
        look_out.arg(self.me.as_str()).arg(milliseconds(lasts));
        let reply = self.read(&look_out).await?;
        if reply.len() == 1 {
            return Ok(None);
        }
        let (room,): (Room,) = answer(reply)?;
        read_snapshot(room).map(Some)
    }

    /// Runs a script that reads a room. What it says is not believed if Redis has lost everything since this node registered
    /// there: whom it does not name may be there all the same. That is asked last, so that no loss comes in between.
    async fn read(&self, look: &ScriptInvocation<'_>) -> Result<Vec<Value>, Refusal> {
        let (by, registered_in) = (self.deadline(), self.epoch.lock().clone());
        let mut epoch = redis::cmd("GET");
        let epoch = self.ask::<Option<String>>(by, epoch.arg(keys::EPOCH));
        // One after the other on one connection, and there and back once.
        let (reply, epoch) = futures_util::future::try_join(self.run(by, look), epoch).await?;
        if epoch == registered_in { Ok(reply) } else { Err(Refusal::Unavailable) }
    }

    pub(super) async fn register_name(
        &self,
        name: &RoomId,
        owner: Option<&str>,
        lasts: Duration,
    ) -> Result<bool, Refusal> {
        let mut register = self.scripts.register.key(keys::registration(name));
        register.arg(owner.unwrap_or_default()).arg(milliseconds(lasts));
        self.run(self.deadline(), &register).await
    }

    pub(super) async fn others(&self) -> Result<Vec<NodeId>, Refusal> {
        let nodes: Vec<String> = self.ask(self.deadline(), redis::cmd("HKEYS").arg(keys::NODES)).await?;
        Ok(nodes.into_iter().map(NodeId::new).filter(|node| *node != self.me).collect())
    }

    /// Out of the nodes' indices, which name what is just beginning and ending too.
    pub(super) async fn peers(&self, dialect: &str) -> Result<Vec<PeerId>, Refusal> {
        let by = self.deadline();
        let nodes: Vec<String> = self.ask(by, redis::cmd("HKEYS").arg(keys::NODES)).await?;
        let mut found = BTreeSet::new();
        for node in nodes {
            let index = keys::index(&NodeId::new(node));
            let index: Vec<String> = self.ask(by, redis::cmd("SMEMBERS").arg(index)).await?;
            let all = index.iter().filter_map(|membership| keys::parse_membership(membership));
            found.extend(all.filter(|(room, ..)| room.dialect() == dialect).map(|(_, peer, _)| peer));
        }
        Ok(found.into_iter().collect())
    }

    pub(super) async fn public_rooms(&self, dialect: &str) -> Result<Vec<Listing>, Refusal> {
        let by = self.deadline();
        let list = redis::cmd("HGETALL").arg(keys::public(dialect)).to_owned();
        let mut rooms: Vec<(String, String)> = self.ask(by, &list).await?;
        rooms.sort_by(|(_, title), (_, other)| title.cmp(other));
        let mut listings = Vec::new();
        for some in rooms.chunks(MAX_LISTED) {
            let mut look = redis::pipe();
            for (room, _) in some {
                let [room, members, ..] = keys::room(&RoomId::new(room.as_str()));
                look.hget(room, "record").hlen(members);
            }
            let found: Vec<(Option<String>, usize)> = self.ask_all(by, &look).await?;
            let (mut living, mut ended) = (Vec::new(), Vec::new());
            for ((room, _), (record, members)) in some.iter().zip(found) {
                let room = RoomId::new(room.as_str());
                match record {
                    Some(record) => living.push(Listing { room, record: read_record(&record)?, members }),
                    None => ended.push(room),
                }
            }
            self.delist(by, dialect, &ended).await?;
            // The index may tell of an earlier room of that name.
            listings.extend(living.into_iter().filter(|listing| listing.record.public));
            if listings.len() >= MAX_LISTED {
                break;
            }
        }
        listings.sort_by(|a, b| a.record.title.cmp(&b.record.title));
        listings.truncate(MAX_LISTED);
        Ok(listings)
    }

    /// Takes rooms that have ended off their dialect's list. One that was made again meanwhile, and listed before it was
    /// taken off, is there to be seen afterwards, and is listed again.
    pub(super) async fn delist(&self, by: Instant, dialect: &str, ended: &[RoomId]) -> Result<(), Refusal> {
        if ended.is_empty() {
            return Ok(());
        }
        let (mut list, mut look) = (redis::cmd("HDEL"), redis::pipe());
        list.arg(keys::public(dialect));
        for room in ended {
            let [id, ..] = keys::room(room);
            list.arg(room.as_str());
            look.hget(id, "record");
        }
        let _: () = self.ask(by, &list).await?;
        let found: Vec<Option<String>> = self.ask_all(by, &look).await?;
        for (room, record) in ended.iter().zip(found) {
            if let Some(record) = record {
                self.publicise(by, room, &read_record(&record)?).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn join(self: &Arc<Self>, room: &RoomId, entry: Entry) -> Result<Snapshot, Refusal> {
        let by = self.deadline();
        let attempt = self.holds.next();
        let hold = attempt.number;
        let mut unsettled = Unsettled(Some((self.clone(), room.clone(), entry.peer.clone(), attempt)));
        self.index(by, room, &entry.peer, hold).await?;
        let lost = matches!(entry.create, Creation::ByEntering(_)) && self.has_lost_everything(by).await?;
        let reply: Vec<Value> = {
            let mut join = self.scripts.join.key(&keys::room(room));
            join.arg(entry.peer.as_str()).arg(entry.made.to_string());
            join.arg(entry.over.map(|claim| claim.0.to_string()).unwrap_or_default());
            join.arg(self.me.as_str()).arg(hold);
            join.arg(u8::from(entry.listed)).arg(u8::from(entry.away)).arg(&*entry.profile);
            join.arg(entry.max_members);
            match entry.create.record().filter(|_| !lost) {
                Some(record) => join.arg(record.made.to_string()).arg(record.limit).arg(write_record(record)),
                None => join.arg("").arg(0).arg(""),
            };
            join.arg(self.empty_for()).arg(entry.create.remembered());
            join.arg(entry.born.map(|born| born.to_string()).unwrap_or_default());
            self.run_in_lease(by, &mut join).await?
        };
        let (seen, node, released, awaited_by) = match answer::<(Room, String, u64, Vec<String>)>(reply) {
            Ok(joined) => joined,
            Err(refusal) => {
                unsettled.0 = None;
                self.unindex(by, &self.me, room, &entry.peer, hold).await;
                return Err(if lost && refusal == Refusal::NoRoom { Refusal::Unavailable } else { refusal });
            }
        };
        if !node.is_empty() {
            self.unindex(by, &NodeId::new(node), room, &entry.peer, released).await;
        }
        let mut snapshot = read_snapshot(seen)?;
        snapshot.awaited_by = awaited_by.into_iter().map(NodeId::new).collect();
        if snapshot.version == snapshot.began + 1 {
            // The peer is in, whether the room is listed or not.
            let _ = self.publicise(by, room, &snapshot.record).await;
        }
        // Whoever stops waiting before this leaves a member behind that only this node can look after.
        unsettled.0 = None;
        Ok(snapshot)
    }

    /// Whether Redis has lost everything of late, or since this node last looked.
    pub(super) async fn has_lost_everything(&self, by: Instant) -> Result<bool, Refusal> {
        let facts = redis::cmd("MGET").arg(keys::EPOCH).arg(keys::LOST).to_owned();
        let (epoch, lost): (Option<String>, Option<String>) = self.ask(by, &facts).await?;
        Ok(lost.is_some() || epoch != *self.epoch.lock())
    }

    pub(super) async fn change(
        &self,
        room: &RoomId,
        peer: &PeerId,
        claim: Claim,
        change: Change,
    ) -> Result<u64, Refusal> {
        let mut script = self.scripts.change.key(&keys::room(room));
        script.arg(peer.as_str()).arg(claim.0.to_string());
        match change {
            Change::Listed => script.arg("listed"),
            Change::Away => script.arg("away"),
            Change::Profile(profile) => script.arg("profile").arg(&*profile),
        };
        let (version,) = answer(self.run_in_lease(self.deadline(), &mut script).await?)?;
        Ok(version)
    }

    pub(super) async fn leave(
        &self,
        room: &RoomId,
        peer: &PeerId,
        claim: Claim,
        departure: Departure,
    ) -> Result<u64, Refusal> {
        let mut script = self.scripts.leave.key(&keys::room(room));
        script.arg(peer.as_str()).arg(claim.0.to_string());
        let (gone, empty) = match departure {
            Departure::ForGood => (milliseconds(self.lifetimes.gone), self.lifetimes.empty_room),
            Departure::Free => ("0".into(), self.lifetimes.empty_room.min(FREE_FOR)),
        };
        script.arg(gone).arg(milliseconds(empty));
        let by = self.deadline();
        let reply = self.run_in_lease(by, &mut script).await?;
        let (version, node, hold): (u64, String, u64) = answer(reply)?;
        self.unindex(by, &NodeId::new(node), room, peer, hold).await;
        Ok(version)
    }

    /// Moves a peer to this node from the one that has it: the room with the change, and who had it before that one; `None`
    /// if somebody else has it by now.
    pub(super) async fn take_over(
        &self,
        adoption: &Adoption,
    ) -> Result<Option<(Snapshot, Option<NodeId>)>, Refusal> {
        let Adoption { room, peer, from, hold, ours } = adoption;
        let mut adopt = self.scripts.adopt.key(&keys::room(room));
        adopt.arg(peer.as_str()).arg(from.as_str()).arg(hold).arg(self.me.as_str()).arg(ours.number);
        match answer::<(Room, String)>(self.run_in_lease(self.deadline(), &mut adopt).await?) {
            Ok((room, had_by)) => {
                let had_by = Some(had_by).filter(|node| !node.is_empty()).map(NodeId::new);
                read_snapshot(room).map(|snapshot| Some((snapshot, had_by)))
            }
            Err(Refusal::Superseded) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Notes in this node's index that it is going to have a peer.
    pub(super) async fn index(
        &self,
        by: Instant,
        room: &RoomId,
        peer: &PeerId,
        hold: u64,
    ) -> Result<(), Refusal> {
        let mut note = self.scripts.index.key(keys::lease(&self.me));
        note.key(keys::index(&self.me)).arg(keys::membership(room, peer, hold));
        let noted: bool = self.run(by, &note).await?;
        if noted { Ok(()) } else { Err(Refusal::Unavailable) }
    }

    /// Takes a membership that has ended out of its node's index. If that fails, the index names too much until that
    /// node sweeps it.
    pub(super) async fn unindex(&self, by: Instant, node: &NodeId, room: &RoomId, peer: &PeerId, hold: u64) {
        let note = [keys::index(node), keys::membership(room, peer, hold)];
        let _: Result<(), Refusal> = self.ask(by, redis::cmd("SREM").arg(&note)).await;
    }

    fn empty_for(&self) -> String {
        milliseconds(self.lifetimes.empty_room)
    }
}

/// A join without an answer may have happened, or may still happen: a command that timed out has not failed. When it
/// is dropped so, Redis is asked until it answers, and a peer that has become a member is this node's own, away: it has
/// its grace to come back, and leaves as everybody does. (What is still on its way then, on a connection that has been
/// given up, is seen by nobody: that is left to fencing.)
struct Unsettled(Option<(Arc<Inside>, RoomId, PeerId, Hold)>);

impl Drop for Unsettled {
    fn drop(&mut self) {
        let Some((inside, room, peer, hold)) = self.0.take() else { return };
        inside.clone().spawn(async move {
            let (from, ours) = (inside.me.clone(), inside.holds.next());
            let adoption = Adoption { room, peer, from, hold: hold.number, ours };
            inside.adopt_in_the_end(&adoption).await;
            let Adoption { room, peer, .. } = &adoption;
            inside.unindex(inside.deadline(), &inside.me, room, peer, hold.number).await;
            // Until here: a block that only reads its number would not keep it.
            drop(hold);
        });
    }
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

/// What a script answered: a word, and what belongs to it.
fn answer<T: FromRedisValue>(reply: Vec<Value>) -> Result<T, Refusal> {
    let mut reply = reply.into_iter();
    let word: String = reply.next().and_then(|word| from_redis_value(word).ok()).unwrap_or_default();
    match &*word {
        "no room" => Err(Refusal::NoRoom),
        "gone" => Err(Refusal::Gone),
        "superseded" | "not held" => Err(Refusal::Superseded),
        "full" => Err(Refusal::Full),
        "taken" => Err(Refusal::Taken),
        "late" => Err(Refusal::Unavailable),
        _ => from_redis_value(Value::Array(reply.collect())).map_err(|error| unreadable(&error)),
    }
}

fn read_snapshot((version, began, record, members): Room) -> Result<Snapshot, Refusal> {
    let members = members.into_iter().map(|(peer, text)| Some((PeerId::new(peer), read_member(&text)?)));
    let mut members: Vec<_> = members.collect::<Option<_>>().ok_or_else(|| unreadable(&"a member"))?;
    members.sort_by_key(|(_, member)| member.born);
    let record = read_record(&record)?;
    Ok(Snapshot { version, began, record, members, gone: Vec::new(), awaited_by: Vec::new() })
}

/// As `room.lua` writes it: claim|born|listed|away|hold|node|had by|profile.
fn read_member(text: &str) -> Option<Member> {
    let mut parts = text.splitn(8, '|');
    let mut part = || parts.next();
    let (claim, born) = (Claim(part()?.parse().ok()?), part()?.parse().ok()?);
    let (listed, away) = (part()? == "1", part()? == "1");
    let _hold = part()?;
    let node = NodeId::new(part()?);
    let _had_by = part()?;
    let profile = part()?.into();
    Some(Member { node, claim, born, listed, away, profile })
}

/// Whether the member is `node`'s by this hold. One that this node cannot read may be.
pub(super) fn is_held(text: &str, node: &NodeId, hold: u64) -> bool {
    let mut parts = text.splitn(8, '|').skip(4);
    let held = parts.next().and_then(|hold| hold.parse().ok());
    held.zip(parts.next()).is_none_or(|held| held == (hold, node.as_str()))
}

fn write_record(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

fn read_record(text: &str) -> Result<Record, Refusal> {
    serde_json::from_str(text).map_err(|error| unreadable(&error))
}

fn unreadable(what: &dyn std::fmt::Display) -> Refusal {
    warn!("Redis holds something that this node cannot read: {what}");
    Refusal::Unavailable
}
