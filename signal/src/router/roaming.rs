//! Connections that are in any number of rooms, or in none: they come and go by what they say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::timeout;

use super::{Router, millis};
use crate::backplane::{Creation, Entry, Refusal};
use crate::chance;
use crate::dialect::Dialect;
use crate::goodbye::Goodbye;
use crate::hub::roamer::Roamer;
use crate::hub::room::Record;
use crate::hub::{Hub, Seated};
use crate::message::{Destination, Event, Frame, NotSeated, Parting, PeerId, RoomId, Seat, Speaker};

/// Names that are tried for a new room. Where a quarter of all names is taken, one in a million finds none.
const NAMES_TRIED: usize = 10;
/// A room that is new to this node is read once more before anything is said there; but not for longer than this.
pub(super) const CATCH_UP: Duration = Duration::from_secs(2);
/// A node that lives says within milliseconds that it has heard something.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);
/// Rooms that a connection leaves at the same time when it ends.
const LEFT_AT_ONCE: usize = 16;

/// How somebody comes in.
struct Coming<'a> {
    room: &'a RoomId,
    peer: &'a PeerId,
    /// What is made if there is no such room.
    create: Creation,
    /// What it hears before anything that is said there.
    welcome: Option<Frame>,
}

impl Router {
    /// A connection that is nowhere yet.
    pub fn open(&self, dialect: &'static dyn Dialect) -> Seated {
        self.hub.lock().open(dialect)
    }

    /// The speaker leaves the room that it is in, and goes to another one: who speaks from now on.
    pub(super) async fn go(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
        to: Destination,
    ) -> Result<Option<Speaker>, Goodbye> {
        let seat = speaker.seat;
        self.go_out(dialect, seat, &speaker.room, Parting::OnPurpose).await;
        let came = match to {
            Destination::Out => {
                self.answer(speaker, dialect.encode(&Event::Out))?;
                return Ok(Some(Roamer::nowhere(dialect, seat)));
            }
            Destination::New(peer) => self.come_into_new_room(dialect, seat, &peer).await,
            Destination::Room { room, peer, written } => {
                let welcome = dialect.encode(&Event::Entered { room: &written, made: false });
                self.come_to_host(dialect, seat, (&room, &peer), welcome).await
            }
        };
        let why = match came {
            Ok(speaker) => return Ok(Some(speaker)),
            Err(Refusal::Unavailable) => Event::Busy,
            Err(Refusal::Taken | Refusal::Superseded) => Event::NotSeated(NotSeated::Taken),
            Err(Refusal::Full) => Event::NotSeated(NotSeated::TooMany),
            Err(Refusal::NoRoom | Refusal::Gone) => Event::NotSeated(NotSeated::NoRoom),
        };
        self.answer(speaker, dialect.encode(&why))?;
        Ok(Some(Roamer::nowhere(dialect, seat)))
    }

    async fn come_into_new_room(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        seat: Seat,
        peer: &PeerId,
    ) -> Result<Speaker, Refusal> {
        for _ in 0..NAMES_TRIED {
            let room = dialect.new_room().ok_or(Refusal::NoRoom)?;
            let record = Record { title: room.name().to_owned(), ..Record::default() };
            match self.backplane.make(&room, record).await {
                Ok(()) => {
                    let welcome = dialect.encode(&Event::Entered { room: room.name(), made: true });
                    let coming = Coming { room: &room, peer, create: Creation::Never, welcome };
                    return self.come_in(dialect, seat, coming).await;
                }
                Err(Refusal::Taken) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::Unavailable)
    }

    /// Into a room that is there as long as its host is.
    async fn come_to_host(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        seat: Seat,
        (room, peer): (&RoomId, &PeerId),
        welcome: Option<Frame>,
    ) -> Result<Speaker, Refusal> {
        if let Some(host) = dialect.customs().host.map(PeerId::new) {
            let seen = self.backplane.look(room, &[]).await?.ok_or(Refusal::NoRoom)?;
            seen.member(&host).ok_or(Refusal::NoRoom)?;
        }
        let coming = Coming { room, peer, create: Creation::Never, welcome };
        self.come_in(dialect, seat, coming).await
    }

    async fn come_in(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        seat: Seat,
        coming: Coming<'_>,
    ) -> Result<Speaker, Refusal> {
        let Coming { room, peer, create, welcome } = coming;
        let entry = Entry {
            peer: peer.clone(),
            made: 0,
            over: None,
            profile: dialect.customs().default_profile.into(),
            listed: true,
            away: false,
            born: None,
            create,
            max_members: self.rules.max_members,
        };
        let snapshot = self.backplane.join(room, entry).await?;
        let claim = snapshot.member(peer).map(|member| member.claim);
        let host = dialect.customs().host.map(PeerId::new);
        let lost_host = host.filter(|host| snapshot.member(host).is_none());
        let seat_it =
            |hub: &mut Hub, snapshot| hub.come_in(seat, (room, peer), snapshot, welcome, chance::now());
        let came = self.come(dialect, (room, peer), snapshot, None, seat_it);
        if came.is_new_here && timeout(CATCH_UP, self.catch_up(room)).await.is_err() {
            self.read_again(room.clone());
        }
        let Some((speaker, held)) = came.seated else {
            if let Some(claim) = claim {
                // Its connection has ended meanwhile.
                self.hub.lock().is_leaving(room, peer, claim, Parting::Dropped);
                self.leave(room, peer, claim, dialect.parting(peer, Parting::Dropped, millis())).await;
            }
            return Err(Refusal::Superseded);
        };
        self.never_arrived(room, peer, held);
        if let Some(host) = lost_host {
            // Since it was looked for.
            for frame in dialect.parting(&host, Parting::Dropped, millis()) {
                let _ = self.answer(&speaker, Some(frame));
            }
        }
        Ok(speaker)
    }

    /// The speaker is in these rooms too. When this returns, what is said there on any node reaches it, by whoever hears what
    /// it says from now on.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
        topics: Vec<RoomId>,
    ) -> Result<(), Goodbye> {
        let most = self.rules.terms.get(dialect.name()).map_or(0, |terms| terms.topics);
        if topics.len() > most {
            return Err(Goodbye::Overloaded);
        }
        for room in &topics {
            let (is_there, places) = {
                let hub = self.hub.lock();
                let places = &hub.roamer(speaker.seat).ok_or(Goodbye::Replaced)?.places;
                (places.contains_key(room), places.len())
            };
            if is_there {
                continue;
            }
            if places >= most {
                return Err(Goodbye::Overloaded);
            }
            // Not by entering it: a topic has no password that somebody might be about to say again.
            let record = Record { title: room.name().to_owned(), ..Record::default() };
            let create = Creation::Again { record, version: 0 };
            let coming = Coming { room, peer: &speaker.peer, create, welcome: None };
            self.come_in(dialect, speaker.seat, coming).await.map_err(|_| Goodbye::Overloaded)?;
        }
        let nodes: BTreeSet<_> = topics.iter().flat_map(|room| self.hub.lock().other_nodes(room)).collect();
        self.have_heard(&nodes, ANSWER_WITHIN).await;
        Ok(())
    }

    /// The speaker leaves these rooms, of those that it is in.
    pub(super) async fn unsubscribe(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
        topics: &[RoomId],
    ) {
        for room in topics {
            self.go_out(dialect, speaker.seat, room, Parting::OnPurpose).await;
        }
    }

    /// The connection at `seat` has ended: it leaves all its rooms.
    pub(super) async fn hang_up(self: &Arc<Self>, dialect: &'static dyn Dialect, seat: Seat, how: Parting) {
        let places = self.hub.lock().roamer(seat).map(|roamer| roamer.places.clone()).unwrap_or_default();
        let leave = |room: RoomId| async move { self.go_out(dialect, seat, &room, how).await };
        stream::iter(places.into_keys()).for_each_concurrent(LEFT_AT_ONCE, leave).await;
        let left = self.hub.lock().hang_up(seat, Goodbye::Closed);
        // Whoever wants to know has heard that it left.
        self.settle(&RoomId::of(dialect.name(), ""), [left.taken, left.waiting].concat());
    }

    async fn go_out(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        seat: Seat,
        room: &RoomId,
        how: Parting,
    ) {
        let gone = {
            let mut hub = self.hub.lock();
            let gone = hub.go_out(seat, room);
            // Should the directory not answer, the next tick tries again.
            gone.inspect(|(peer, claim)| hub.is_leaving(room, peer, *claim, how))
        };
        if let Some((peer, claim)) = gone {
            self.leave(room, &peer, claim, dialect.parting(&peer, how, millis())).await;
        }
    }
}
