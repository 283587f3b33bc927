//! share, as it is played: its rooms are numbered, where else chance would name them.

use std::cell::Cell;

use crate::dialect::share::{self, Share};
use crate::dialect::{Customs, Dialect, Door, Knock};
use crate::message::{Command, Event, Frame, Parting, PeerId, RoomId, Speaker, To};

thread_local! {
    static ROOMS: Cell<u64> = const { Cell::new(0) };
}

/// Its protocol.
pub(super) struct Hosted;

/// The next room is the first one.
pub(super) fn begin_anew() {
    ROOMS.set(0);
}

/// The host of each room.
pub(super) fn host() -> PeerId {
    PeerId::new(Share.customs().host.unwrap())
}

impl Dialect for Hosted {
    fn new_room(&self) -> Option<RoomId> {
        ROOMS.set(ROOMS.get() + 1);
        Some(RoomId::of(share::NAME, &ROOMS.get().to_string()))
    }

    fn name(&self) -> &'static str {
        Share.name()
    }

    fn customs(&self) -> &Customs {
        Share.customs()
    }

    fn door(&self, knock: &Knock<'_>) -> Option<Door> {
        Share.door(knock)
    }

    fn decode(&self, speaker: &Speaker, text: &str) -> Command {
        Share.decode(speaker, text)
    }

    fn decode_binary(&self, speaker: &Speaker, bytes: &[u8]) -> Command {
        Share.decode_binary(speaker, bytes)
    }

    fn encode(&self, event: &Event<'_>) -> Option<Frame> {
        Share.encode(event)
    }

    fn arrival(&self, peer: &PeerId) -> Vec<Frame> {
        Share.arrival(peer)
    }

    fn parting(&self, peer: &PeerId, how: Parting, at: u64) -> Vec<Frame> {
        Share.parting(peer, how, at)
    }

    fn concerns(&self, peer: &PeerId) -> To {
        Share.concerns(peer)
    }
}
