//! Being alive: the lease of this node, and what it finds out when it renews it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::{info, warn};

use super::{Inside, keys};
use crate::backplane::{Notice, Refusal};

/// What this node knows of its own standing.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When the last good heartbeat began.
    last: Option<Instant>,
    /// Since when there was no long pause between them.
    steady_since: Option<Instant>,
}

impl Pulse {
    fn good(&mut self, began: Instant, lease: Duration) {
        let paused = self.last.is_none_or(|last| began.duration_since(last) > lease / 2);
        if paused {
            self.steady_since = Some(began);
        }
        self.last = Some(began);
    }

    /// Whether the others still believe in this node.
    pub(super) fn is_within(&self, lease: Duration) -> bool {
        self.last.is_some_and(|last| last.elapsed() < lease)
    }

    /// Whether a node without lease is dead: if Redis was away from this one for long, it was from all of them, and
    /// each of them has a lease's time to renew its own.
    pub(super) fn may_judge(&self, lease: Duration) -> bool {
        self.is_within(lease) && self.steady_since.is_some_and(|since| since.elapsed() >= lease)
    }

    /// This node is no longer in the cluster.
    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }
}

/// What this node was told when it registered.
#[derive(Default)]
struct Registration {
    epoch: Option<String>,
    /// It was taken for dead, or Redis has lost everything, and the node does not know yet.
    forgotten: bool,
}

impl Inside {
    /// Renews the lease, for ever.
    pub(super) async fn keep_lease(&self) {
        let mut registration = Registration::default();
        loop {
            let reconnected = self.wire.watch();
            let began = Instant::now();
            if let Ok(true) = self.heartbeat(&mut registration).await {
                self.pulse.lock().good(began, self.pace.lease);
            }
            self.tell_whether_up();
            tokio::select! {
                () = sleep(self.pace.heartbeat) => {}
                () = reconnected => {}
            }
        }
    }

    /// One heartbeat. `false` while others are still taking over the peers of this node, which they took for dead.
    async fn heartbeat(&self, registration: &mut Registration) -> Result<bool, Refusal> {
        let (by, began) = (self.deadline(), Instant::now());
        let lease = self.pace.lease.as_millis().to_string();
        let mut beat = self.scripts.heartbeat.key(keys::lease(&self.me));
        let lives: bool = self.run(by, beat.key(keys::reaper(&self.me)).arg(lease)).await?;
        // Of this one command: as long as an envelope takes to Redis and on to another node.
        let taken = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counters.round_trip.store(taken, Ordering::Relaxed);
        if !lives {
            registration.forgotten |= registration.epoch.is_some();
            return Ok(false);
        }
        let mut look = redis::pipe();
        look.hexists(keys::NODES, self.me.as_str()).get(keys::EPOCH);
        let (known, epoch): (bool, Option<String>) = self.ask_all(by, &look).await?;
        if registration.epoch.is_some() && epoch != registration.epoch {
            registration.forgotten = true;
            self.say_what_is_lost().await?;
        }
        registration.forgotten |= registration.epoch.is_some() && !known;
        if registration.epoch.is_none() || registration.forgotten {
            self.register(registration).await?;
        }
        Ok(true)
    }

    /// Redis is empty, and this node was there before it was: rooms that are not there may be about to come back. Said
    /// once, by the first that notices, before anything else is.
    async fn say_what_is_lost(&self) -> Result<(), Refusal> {
        let quiet = self.pace.quiet.as_millis().to_string();
        let mut say = redis::cmd("SET");
        self.ask(self.deadline(), say.arg(keys::LOST).arg(1).arg("NX").arg("PX").arg(quiet)).await
    }

    async fn register(&self, registration: &mut Registration) -> Result<(), Refusal> {
        let mut register = redis::pipe();
        register.set_nx(keys::EPOCH, format!("{:016x}", rand::random::<u64>())).ignore();
        register.hset(keys::NODES, self.me.as_str(), env!("CARGO_PKG_VERSION")).ignore();
        let (epoch,): (String,) = self.ask_all(self.deadline(), register.get(keys::EPOCH)).await?;
        *self.epoch.lock() = Some(epoch.clone());
        registration.epoch = Some(epoch);
        if !registration.forgotten {
            info!(node = %self.me, "in the cluster");
        } else if self.notices.try_send(Notice::Forgotten).is_ok() {
            warn!(node = %self.me, "the others had forgotten this node; in the cluster again");
            registration.forgotten = false;
            // What the others know of each other is as new as what they know of this node.
            self.pulse.lock().stop();
        }
        Ok(())
    }

    /// Gives up the lease, and says so. A node that may have peers stays on the list of nodes until they are reaped.
    pub(super) async fn resign(&self) -> Result<(), Refusal> {
        let by = self.deadline();
        let mut give_up = redis::pipe();
        give_up.exists(keys::index(&self.me)).del(keys::lease(&self.me)).ignore();
        let (has_peers,): (bool,) = self.ask_all(by, &give_up).await?;
        let mut say_so = redis::pipe();
        if !has_peers {
            say_so.hdel(keys::NODES, self.me.as_str());
        }
        self.ask_all(by, say_so.publish(keys::GONE, self.me.as_str())).await
    }

    pub(super) fn tell_whether_up(&self) {
        let up = self.is_up();
        self.up.send_if_modified(|was| std::mem::replace(was, up) != up);
    }
}
