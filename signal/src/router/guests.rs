//! Guests: each comes as somebody new into a room that is always there. What they say is decided by handlers, which speak
//! for them here, or for the server itself.

use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;
use tokio::time::timeout;

use super::Router;
use super::roaming::CATCH_UP;
use crate::backplane::pressure::Relief;
use crate::backplane::{Change, Creation, Entry, Refusal};
use crate::chance;
use crate::dialect::Dialect;
use crate::goodbye::Goodbye;
use crate::hub::room::{Record, Room, Snapshot};
use crate::hub::{Hub, Seated};
use crate::message::{Frame, PeerId, Profile, Receipt, RoomId, Seat, Speaker, To};
use crate::metrics::Failure;

impl Router {
    /// Seats a connection as `peer`, who was never here, in a room that is made if it is not there.
    pub async fn arrive(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        (room, peer): (&RoomId, &PeerId),
        profile: Profile,
    ) -> Result<Seated, Refusal> {
        let record = Record { title: room.name().to_owned(), ..Record::default() };
        let entry = Entry {
            peer: peer.clone(),
            made: 0,
            over: None,
            profile,
            listed: true,
            away: false,
            born: None,
            // Not by entering it: it has no password that somebody might be about to say again.
            create: Creation::Again { record, version: 0 },
            max_members: self.rules.max_members,
        };
        let snapshot = self.backplane.join(room, entry).await?;
        let seat = |hub: &mut Hub, snapshot| hub.seat(dialect, room, peer, snapshot, false, chance::now());
        let came = self.come(dialect, (room, peer), snapshot, None, seat);
        if came.is_new_here && timeout(CATCH_UP, self.catch_up(room)).await.is_err() {
            self.read_again(room.clone());
        }
        Ok(came.seated)
    }

    /// The speaker was heard at `read`: what is said of it in its room. Fails if the connection no longer has the peer.
    pub fn hear(&self, speaker: &Speaker, read: Instant) -> Result<Profile, Goodbye> {
        let mut hub = self.hub.lock();
        hub.heard(speaker, read)?;
        let member = hub.room(&speaker.room).and_then(|room| room.member(&speaker.peer));
        Ok(member.map(|member| member.profile.clone()).unwrap_or_default())
    }

    /// Carries what a handler says in the name of `speaker`, as if it had said so itself. If the way there is nearly full,
    /// says when more may be read.
    pub fn say(
        &self,
        speaker: &Speaker,
        (to, frame): (&To, Frame),
        receipt: Receipt,
        read: Instant,
    ) -> Option<Relief> {
        self.pass_on(speaker, to, frame, receipt, None, read)
    }

    /// Carries what the server says to one of a room or to all of it, whether or not any of them is on this node.
    pub async fn say_as_server(
        &self,
        dialect: &'static dyn Dialect,
        room: &RoomId,
        message: (&To, &str, &RawValue),
    ) -> Result<Option<Relief>, Goodbye> {
        let (to, kind, payload) = message;
        // It has no seat and no name: nobody is told what does not arrive.
        let server = Speaker { room: room.clone(), peer: PeerId::new(""), seat: Seat(0) };
        let message = (to, kind, Some(payload));
        match to {
            To::Peer(_) => Ok(self.tell(dialect, &server, message, Receipt::Drop, None, chance::now())),
            _ => {
                let all = (&To::Topic(room.clone()), kind, Some(payload));
                self.tell_topic(dialect, &server, room, all, chance::now()).await
            }
        }
    }

    /// Answers the speaker. One who does not read the answers to its own questions is sent away.
    pub fn reply(&self, speaker: &Speaker, frame: Frame) -> Result<(), Goodbye> {
        self.answer(speaker, Some(frame))
    }

    /// The handler of messages of this type failed at one.
    pub fn handler_failed(&self, kind: &str, how: Failure) {
        self.metrics.handler_failed(kind, how);
    }

    /// This is said of the speaker from now on.
    pub async fn describe(self: &Arc<Self>, speaker: &Speaker, profile: Profile) -> Result<(), Refusal> {
        self.change_own(speaker, Change::Profile(profile), false).await
    }

    /// Who is in `room`, in order of arrival, if one of this node's peers is.
    pub fn who_is_here(&self, room: &RoomId) -> Option<Arc<[(PeerId, Profile)]>> {
        self.hub.lock().room(room).map(Room::roster)
    }

    /// Who is in `room`, in order of arrival.
    pub async fn who_is_in(&self, room: &RoomId) -> Result<Arc<[(PeerId, Profile)]>, Refusal> {
        if let Some(here) = self.who_is_here(room) {
            return Ok(here);
        }
        let seen = self.backplane.look(room, &[]).await?;
        let listed = seen.into_iter().flat_map(|Snapshot { members, .. }| members);
        Ok(listed.filter(|(_, member)| member.listed).map(|(peer, member)| (peer, member.profile)).collect())
    }
}
