//! Hearing oneself: what this node publishes to its own inbox has to come back.
//!
//! A subscription can be dead on a connection that answers, and then everything looks well but that nobody is heard any
//! more. No answer to a command shows that; only a frame that takes the whole way does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use super::counters::add;
use super::{Inside, keys};
use crate::chance;

/// What probes begin with, and no frame: those begin with a seal.
const MARK: &[u8] = b"switchboard probe ";
/// After so many probes in a row that did not come back both connections are made anew.
const LOST: u32 = 2;

/// Hears probes.
#[derive(Clone)]
pub(super) struct Echo(Arc<watch::Sender<u64>>);

impl Echo {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Whether what came through the subscription was a probe.
    pub(super) fn hears(&self, payload: &[u8]) -> bool {
        let Some(number) = payload.strip_prefix(MARK) else { return false };
        if let Ok(number) = <[u8; 8]>::try_from(number) {
            self.0.send_replace(u64::from_be_bytes(number));
        }
        true
    }
}

impl Inside {
    /// Probes the bus, for ever.
    pub(super) async fn keep_probing(&self, echo: Echo) {
        let mut clock = interval(self.pace.probe);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lost = 0;
        loop {
            clock.tick().await;
            let reconnected = self.wire.watch();
            let taken = tokio::select! {
                taken = chance::in_time(self.pace.probe, self.probe(&echo)) => taken.flatten(),
                () = reconnected => {
                    lost = 0;
                    continue;
                }
            };
            let Some(taken) = taken else {
                lost += 1;
                if lost == LOST && self.wire.condemn() {
                    warn!(
                        "this node does not hear what it publishes: the connections to Redis are made anew"
                    );
                }
                lost %= LOST;
                continue;
            };
            lost = 0;
            let taken = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
            self.counters.probe.store(taken, Ordering::Relaxed);
        }
    }

    /// How long one probe took to Redis and back through the subscription.
    async fn probe(&self, echo: &Echo) -> Option<Duration> {
        let number = rand::random::<u64>();
        let mut heard = echo.0.subscribe();
        let began = Instant::now();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(keys::inbox(&self.me)).arg([MARK, &number.to_be_bytes()].concat());
        let _: u64 = self.ask(self.deadline(), &publish).await.ok()?;
        heard.wait_for(|heard| *heard == number).await.ok()?;
        add(&self.counters.probes, 1);
        Some(began.elapsed())
    }
}
