//! What has ended and is still named: memberships whose end was not heard of, and public rooms, of which Redis tells
//! nobody when they expire. Looked for in each of the reaper's rounds, a little at a time.

use std::collections::BTreeMap;

use super::{Inside, directory, keys};
use crate::backplane::Refusal;
use crate::dialect;
use crate::message::RoomId;

/// About as many entries of each kind are looked at in one round.
const AT_ONCE: usize = 256;

/// How far a node has come: Redis's cursors.
#[derive(Default)]
pub(super) struct Sweep {
    index: u64,
    /// Of the public rooms of each dialect.
    public: BTreeMap<&'static str, u64>,
}

impl Inside {
    /// One round. A node that is fenced does nothing, nor does any while rooms may be about to come back.
    pub(super) async fn sweep(&self, sweep: &mut Sweep) -> Result<(), Refusal> {
        if !self.is_up() || self.has_lost_everything(self.deadline()).await? {
            return Ok(());
        }
        self.sweep_index(&mut sweep.index).await?;
        for dialect in dialect::names() {
            self.sweep_public(dialect, sweep.public.entry(dialect).or_default()).await?;
        }
        Ok(())
    }

    /// Takes memberships that have ended out of this node's index.
    async fn sweep_index(&self, cursor: &mut u64) -> Result<(), Refusal> {
        let (by, index) = (self.deadline(), keys::index(&self.me));
        let mut scan = redis::cmd("SSCAN");
        scan.arg(&index).arg(*cursor).arg("COUNT").arg(AT_ONCE);
        let (next, some): (u64, Vec<String>) = self.ask(by, &scan).await?;
        *cursor = next;
        // Before the rooms are looked at: an attempt that ends meanwhile may have been carried out after that.
        let settled = some.iter().filter_map(|entry| Some((entry, keys::parse_membership(entry)?)));
        let settled: Vec<_> = settled.filter(|(_, (.., hold))| !self.holds.is_under_way(*hold)).collect();
        if settled.is_empty() {
            return Ok(());
        }
        let mut look = redis::pipe();
        for (_, (room, peer, _)) in &settled {
            let [_, members, ..] = keys::room(room);
            look.hget(members, peer.as_str());
        }
        let found: Vec<Option<String>> = self.ask_all(by, &look).await?;
        let has_ended = |member: &Option<String>, hold| {
            member.as_ref().is_none_or(|member| !directory::is_held(member, &self.me, hold))
        };
        let ended = settled.iter().zip(found).filter(|((_, (.., hold)), member)| has_ended(member, *hold));
        let ended: Vec<_> = ended.map(|((entry, _), _)| *entry).collect();
        if ended.is_empty() {
            return Ok(());
        }
        self.ask(by, redis::cmd("SREM").arg(&index).arg(&ended)).await
    }

    /// Takes rooms that have ended off the list of those of a dialect that are public.
    async fn sweep_public(&self, dialect: &str, cursor: &mut u64) -> Result<(), Refusal> {
        let by = self.deadline();
        let mut scan = redis::cmd("HSCAN");
        scan.arg(keys::public(dialect)).arg(*cursor).arg("COUNT").arg(AT_ONCE);
        let (next, some): (u64, Vec<(String, String)>) = self.ask(by, &scan).await?;
        *cursor = next;
        if some.is_empty() {
            return Ok(());
        }
        let rooms: Vec<_> = some.into_iter().map(|(room, _)| RoomId::new(room)).collect();
        let mut look = redis::pipe();
        for [room, ..] in rooms.iter().map(keys::room) {
            look.exists(room);
        }
        let exist: Vec<bool> = self.ask_all(by, &look).await?;
        let ended = rooms.into_iter().zip(exist).filter(|(_, exists)| !exists);
        self.delist(by, dialect, &ended.map(|(room, _)| room).collect::<Vec<_>>()).await
    }
}
