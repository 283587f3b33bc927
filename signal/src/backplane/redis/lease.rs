//! Being alive: the lease of this node, and what it finds out when it renews it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::time::sleep;
use tracing::{info, warn};

use super::{Inside, keys};
use crate::backplane::pulse::LeaseEnd;
use crate::backplane::{Notice, Refusal};

/// A life is remembered for this many leases without heartbeats: a node that was cut off for longer has its peers
/// claimed again, whether or not anybody has taken them over.
const LIFE: u32 = 360;

/// What this node was told when it registered.
#[derive(Default)]
struct Registration {
    epoch: Option<String>,
    /// Which one it is; `None` before the first, and when it was ended by others.
    life: Option<u64>,
    /// It was taken for dead, or Redis has lost everything, and the node does not know yet.
    forgotten: bool,
    /// It had its lease before.
    lived: bool,
    /// The last connection through which it was asked which Redis this is.
    connection: u64,
    /// The Redis' own name for this run of its process.
    run: Option<String>,
    /// After a time without a lease: by which connection there is one again, and since when.
    regained: Option<(u64, Instant)>,
}

impl Registration {
    /// Others have ended it, or it is gone with everything else.
    fn is_over(&mut self) {
        self.life = None;
        self.forgotten |= self.epoch.is_some();
    }
}

impl Inside {
    /// Renews the lease, for ever.
    pub(super) async fn keep_lease(&self) {
        let mut registration = Registration::default();
        loop {
            let reconnected = self.wire.watch();
            let began = Instant::now();
            let beat = self.heartbeat(&mut registration).await;
            if let Ok(Some(end)) = beat {
                self.renewed(&mut registration, began, end);
            }
            self.tell_whether_up();
            // What was refused is tried again soon: there is not much time until the node is fenced.
            let pause = if beat.is_ok() { self.pace.heartbeat } else { self.pace.heartbeat / 4 };
            tokio::select! {
                () = sleep(pause) => {}
                () = reconnected => {}
            }
        }
    }

    /// The lease was renewed. If there was a time without one, others may have given up on this node, and have sent
    /// elsewhere what was on its way here. So whatever comes through the connections of that time is not taken, and the
    /// node does not come back to life before it has new ones, made under a lease that keeps the others from giving up.
    /// Then it asks for what has not come.
    fn renewed(&self, registration: &mut Registration, began: Instant, end: LeaseEnd) {
        let mut pulse = self.pulse.lock();
        let connection = self.wire.number();
        let lasts = |since: Instant| since.elapsed() < self.pace.lease;
        let under_a_lease =
            matches!(registration.regained, Some((old, since)) if old < connection && lasts(since));
        let is_believed = pulse.is_believed(Instant::now());
        if is_believed || under_a_lease || !registration.lived {
            registration.lived = true;
            registration.regained = None;
            pulse.renewed(began, end);
            drop(pulse);
            if !is_believed {
                self.hears_again();
            }
        } else {
            registration.regained = Some((connection, began));
            self.stale.store(connection, Ordering::Relaxed);
            let _ = self.wire.condemn();
        }
    }

    /// One heartbeat. `None` while others are still taking over the peers of this node, which they took for dead.
    async fn heartbeat(&self, registration: &mut Registration) -> Result<Option<LeaseEnd>, Refusal> {
        let Some(end) = self.beat(registration).await? else { return Ok(None) };
        let mut look = redis::pipe();
        look.hgetall(keys::NODES).get(keys::EPOCH);
        let (nodes, epoch): (BTreeMap<String, String>, Option<String>) =
            self.ask_all(self.deadline(), &look).await?;
        if registration.epoch.is_some() && epoch != registration.epoch {
            registration.forgotten = true;
            self.say_what_is_lost().await?;
        }
        registration.forgotten |= self.is_another_redis(registration).await?;
        *self.neighbours.lock() = self.neighbours_in(&nodes);
        registration.forgotten |= registration.epoch.is_some() && !nodes.contains_key(self.me.as_str());
        if registration.epoch.is_none() || registration.forgotten {
            self.register(registration).await?;
        }
        Ok(Some(end))
    }

    /// Whether this is another Redis than before, or one that was started anew: a replica that was promoted may not know
    /// the last that its master was told.
    async fn is_another_redis(&self, registration: &mut Registration) -> Result<bool, Refusal> {
        let connection = self.wire.number();
        if registration.connection == connection {
            return Ok(false);
        }
        let about: String = self.ask(self.deadline(), redis::cmd("INFO").arg("server")).await?;
        let run = about.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::to_owned);
        registration.connection = connection;
        let was = std::mem::replace(&mut registration.run, run);
        Ok(was.is_some() && was != registration.run)
    }

    fn neighbours_in(&self, nodes: &BTreeMap<String, String>) -> Vec<String> {
        let others = nodes.iter().filter(|(node, _)| **node != self.me.as_str());
        others.filter_map(|(_, about)| keys::address_in(about).map(str::to_owned)).collect()
    }

    /// Renews the lease; or begins a new life with it, if the one before was ended by others.
    async fn beat(&self, registration: &mut Registration) -> Result<Option<LeaseEnd>, Refusal> {
        loop {
            let began = Instant::now();
            let (lease, life) = (self.pace.lease.as_millis(), registration.life);
            let mut beat = self.scripts.heartbeat.key(keys::lease(&self.me));
            beat.key(keys::reaper(&self.me)).key(keys::life(&self.me)).arg(lease.to_string());
            let new_life = life.unwrap_or_else(rand::random);
            beat.arg(new_life).arg((lease * u128::from(LIFE)).to_string()).arg(u8::from(life.is_none()));
            let (word, end): (String, u64) = self.run(self.deadline(), &beat).await?;
            // Of this one command: as long as an envelope takes to Redis and on to another node.
            let taken = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.counters.round_trip.store(taken, Ordering::Relaxed);
            match &*word {
                "alive" => {
                    registration.life = Some(new_life);
                    return Ok(Some(LeaseEnd(end)));
                }
                "forgotten" => registration.is_over(),
                _ => {
                    registration.is_over();
                    return Ok(None);
                }
            }
        }
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
        let says = keys::about(env!("CARGO_PKG_VERSION"), self.address.as_deref());
        register.hset(keys::NODES, self.me.as_str(), says).ignore();
        let (epoch,): (String,) = self.ask_all(self.deadline(), register.get(keys::EPOCH)).await?;
        registration.epoch = Some(epoch.clone());
        if !registration.forgotten {
            info!(node = %self.me, "in the cluster");
        } else if self.notices.try_send(Notice::Forgotten).is_ok() {
            warn!(node = %self.me, "the others had forgotten this node; in the cluster again");
            registration.forgotten = false;
            // What the others know of each other is as new as what they know of this node.
            self.pulse.lock().begins_anew(Instant::now());
        } else {
            // Nothing that the directory says is believed before the node knows that it was lost.
            return Ok(());
        }
        *self.epoch.lock() = Some(epoch);
        Ok(())
    }

    /// Gives up the lease, and says so. A node that may have peers stays on the list of nodes until they are reaped.
    pub(super) async fn resign(&self) -> Result<(), Refusal> {
        let by = self.deadline();
        let mut give_up = redis::pipe();
        give_up.exists(keys::index(&self.me)).del(&[keys::lease(&self.me), keys::life(&self.me)]).ignore();
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
