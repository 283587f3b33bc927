//! What a node says of itself to operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use house::ops::Report;

use crate::metrics::Metrics;
use crate::router::Router;

/// Whether the node wants to be sent clients, and what it counts.
#[derive(Clone)]
pub struct Readiness {
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    draining: Arc<AtomicBool>,
}

impl Readiness {
    /// That of a node that is not draining.
    pub fn new(router: Arc<Router>, metrics: Arc<Metrics>) -> Self {
        Self { router, metrics, draining: Arc::default() }
    }

    /// The node is to get no new clients from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl Report for Readiness {
    /// Ready once the backplane has answered for the first time; when it is away later every node is without it, and
    /// a load balancer that knew would send clients nowhere.
    fn ready(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining");
        }
        if self.router.has_been_up() { Ok(()) } else { Err("starting: the backplane has not answered yet") }
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }
}
