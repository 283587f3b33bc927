//! Peers for whom something waits: they are looked for in the directory until they are found, or until that is given up.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::timeout_at;

use super::Router;
use super::ways::{Address, Found, Placed};
use crate::backplane::Delivery;
use crate::chance;
use crate::dialect::{self, Names};
use crate::hub::Put;
use crate::message::{NodeId, PeerId, RoomId};

/// How much longer than messages wait for a name whoever gets it is asked to say so.
const LOOK_OUT_MORE: Duration = Duration::from_secs(2);
/// After a loss, so long whom the directory does not name is believed to be missing there. Longer than rooms are not made by
/// entering them: who comes back as somebody new is there by then.
const NOBODY_IS_GONE_FOR: Duration = Duration::from_secs(20);
/// Peers that are looked for at the same time.
pub(super) const LOOKS_AT_ONCE: usize = 64;

impl Router {
    /// Somebody may have to be looked for.
    pub(super) fn stir(&self) {
        if self.ways.lock().is_due_sooner() {
            self.seek.notify_one();
        }
    }

    /// Somebody is there for whom messages may be waiting.
    pub(super) fn appeared(&self, room: &RoomId, peer: &PeerId) {
        self.ways.lock().appeared(&(room.clone(), peer.clone()), chance::now());
        self.stir();
    }

    /// A peer is on `node` by now.
    pub(super) fn moved(&self, room: &RoomId, peer: &PeerId, node: &NodeId) {
        let mut ways = self.ways.lock();
        if ways.lead_to(room, peer) {
            ways.moved(&(room.clone(), peer.clone()), node, chance::now());
            drop(ways);
            self.stir();
        }
    }

    /// `node` is gone: what it has not settled is looked after.
    pub(super) fn lost(&self, node: &NodeId) {
        self.ways.lock().lost(node, self.backplane.take_back(node), chance::now());
        self.stir();
    }

    /// How long a message for somebody in `room` waits if nobody is there.
    pub(super) fn wait_for_name(&self, room: &RoomId) -> Duration {
        self.rules.terms.get(room.dialect()).map_or(Duration::ZERO, |terms| terms.wait_for_name)
    }

    /// Asks the directory where a peer is now, and sends what waits for it there.
    async fn look_for(&self, address: &Address) {
        let patience = self.wait_for_name(&address.0);
        let seen = if patience.is_zero() {
            self.backplane.look(&address.0, &[]).await
        } else {
            self.backplane.look_out(&address.0, patience + LOOK_OUT_MORE).await
        };
        let found = match seen {
            // Those who are here go on without the directory.
            Err(_) if self.hub.lock().claim(&address.0, &address.1).is_some() => Found::Here,
            Err(_) => Found::Unknown,
            // Whoever sent this was in it, and cannot be told either before it is there again.
            Ok(None) if !is_name(&address.0) && patience.is_zero() => Found::Unknown,
            Ok(seen) => match seen.as_ref().and_then(|seen| seen.member(&address.1)) {
                Some(member) if member.node == *self.backplane.node() => Found::Here,
                Some(member) => Found::On(member.node.clone()),
                // It, or whoever sent this, may be about to be written again, or to come back.
                None if self.may_miss_somebody() && self.is_missed_at_once(address, patience) => {
                    Found::Unknown
                }
                None => Found::Nowhere,
            },
        };
        let put = |delivery: &Delivery| match self.hub.lock().put(
            &delivery.room,
            &delivery.to,
            delivery.letter.clone(),
        ) {
            Put::Taken => Placed::Taken,
            Put::Full(_) => Placed::Full,
            Put::On(..) | Put::Nowhere(_) => Placed::Gone,
        };
        let (now, backplane) = (chance::now(), &*self.backplane);
        let refused = self.ways.lock().found(address, &found, patience, now, backplane, put);
        if patience.is_zero() {
            self.refuse(refused);
        } else {
            self.refuse_once(refused);
        }
        self.stir();
    }

    /// Whether what is next for this peer does not wait until somebody has its name.
    fn is_missed_at_once(&self, address: &Address, patience: Duration) -> bool {
        patience.is_zero() || self.ways.lock().next_is_word(address)
    }

    /// Whether the directory may have lost somebody of late who is not gone.
    pub(super) fn may_miss_somebody(&self) -> bool {
        self.forgotten.lock().is_some_and(|forgotten| chance::since(forgotten) < NOBODY_IS_GONE_FOR)
    }
}

/// Whether the room is a name: then it is there as long as somebody has it.
fn is_name(room: &RoomId) -> bool {
    dialect::named(room.dialect()).is_some_and(|dialect| dialect.customs().names == Names::OfCluster)
}

/// Looks for peers for whom something waits, until the router is gone.
pub(super) async fn seek(router: Weak<Router>) {
    while let Some(strong) = router.upgrade() {
        let (due, next) = {
            let mut ways = strong.ways.lock();
            (ways.due(chance::now()), ways.awaits_next_due())
        };
        for address in due {
            let router = strong.clone();
            strong.tasks.spawn(async move {
                // So many at the same time that the heartbeat does not wait behind them.
                let _turn = router.looking.acquire().await;
                router.look_for(&address).await;
            });
        }
        let stirred = strong.seek.clone();
        drop(strong);
        match next {
            Some(next) => drop(timeout_at(next.into(), stirred.notified()).await),
            None => stirred.notified().await,
        }
    }
}
