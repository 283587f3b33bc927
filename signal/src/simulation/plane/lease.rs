//! Being alive: the lease of this node, and what it finds out when it renews it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::time::timeout_at;

use super::{HEARTBEAT, Plane};
use crate::backplane::pulse::LeaseEnd;
use crate::backplane::{Notice, Refusal};
use crate::chance;
use crate::simulation::world::{Beat, Facts, LEASE};

/// Connecting to Redis takes this time.
const RECONNECT: Duration = Duration::from_millis(5);

/// What this node was told when it registered.
#[derive(Default)]
struct Registration {
    life: Option<u64>,
    epoch: Option<u64>,
    forgotten: bool,
    /// It had its lease before.
    lived: bool,
    /// After a time without a lease: by which connection there is one again, and since when.
    regained: Option<(u64, Instant)>,
}

impl Registration {
    fn is_over(&mut self) {
        self.life = None;
        self.forgotten |= self.epoch.is_some();
    }
}

impl Plane {
    pub(super) async fn keep_lease(self: Arc<Self>) {
        let mut registration = Registration::default();
        loop {
            self.awake().await;
            if self.standing.lock().leaving {
                return;
            }
            let began = chance::now();
            if let Ok(Some(end)) = self.heartbeat(&mut registration).await {
                self.renewed(&mut registration, began, end);
            }
            let next = self.world.instant(self.world.now() + HEARTBEAT);
            let _ = timeout_at(next, self.connected.notified()).await;
        }
    }

    /// What came through the connections of a time without a lease is not taken.
    fn renewed(&self, registration: &mut Registration, began: Instant, end: LeaseEnd) {
        let mut pulse = self.pulse.lock();
        let connection = self.connection.load(Ordering::Relaxed);
        let lasts = |since: Instant| chance::since(since) < LEASE;
        let under_a_lease =
            matches!(registration.regained, Some((old, since)) if old < connection && lasts(since));
        let is_believed = pulse.is_believed(chance::now());
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
            let this = self.this.clone();
            self.world.at(self.world.now() + RECONNECT, move |_| {
                if let Some(this) = this.upgrade() {
                    this.is_connected_again();
                }
            });
        }
    }

    async fn heartbeat(&self, registration: &mut Registration) -> Result<Option<LeaseEnd>, Refusal> {
        let Some(end) = self.beat(registration).await? else { return Ok(None) };
        let me = self.me.clone();
        let (known, epoch) = self.ask(move |facts, _| (facts.nodes.contains(&me), facts.epoch)).await?;
        if registration.epoch.is_some() && epoch != registration.epoch {
            registration.forgotten = true;
            self.ask(Facts::is_lost).await?;
        }
        registration.forgotten |= registration.epoch.is_some() && !known;
        if registration.epoch.is_none() || registration.forgotten {
            self.register(registration).await?;
        }
        Ok(Some(end))
    }

    async fn beat(&self, registration: &mut Registration) -> Result<Option<LeaseEnd>, Refusal> {
        loop {
            let (me, begins) = (self.me.clone(), registration.life.is_none());
            let life = registration.life.unwrap_or_else(|| self.world.chance("lives", RngExt::random));
            match self.ask(move |facts, now| facts.beat(&me, (life, begins), now)).await? {
                Beat::Alive(end) => {
                    registration.life = Some(life);
                    return Ok(Some(end));
                }
                Beat::Forgotten => registration.is_over(),
                Beat::BeingReaped => {
                    registration.is_over();
                    return Ok(None);
                }
            }
        }
    }

    async fn register(&self, registration: &mut Registration) -> Result<(), Refusal> {
        let me = self.me.clone();
        let epoch = self.ask(move |facts, _| facts.register(&me)).await?;
        *self.epoch.lock() = Some(epoch);
        registration.epoch = Some(epoch);
        if registration.forgotten && self.notices.try_send(Notice::Forgotten).is_ok() {
            self.world.note(|| format!("{} finds that it was forgotten", self.me));
            registration.forgotten = false;
            self.pulse.lock().begins_anew(chance::now());
        }
        Ok(())
    }
}
