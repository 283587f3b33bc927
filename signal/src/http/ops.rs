//! What a node says of itself to operators, and to other nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use house::ops::{Report, Word};

use super::neighbours;
use crate::metrics::Metrics;
use crate::router::Router;

/// Where a node says whether it has the backplane: what others ask that have not.
pub(super) const BACKPLANE: &str = "/backplane";

/// Whether the node wants to be sent clients, and what it counts.
#[derive(Clone)]
pub struct Readiness {
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    draining: Arc<AtomicBool>,
    /// Other nodes have the backplane, and this one has not.
    cut_off: Arc<AtomicBool>,
}

impl Readiness {
    /// That of a node that is not draining.
    pub fn new(router: Arc<Router>, metrics: Arc<Metrics>) -> Self {
        Self { router, metrics, draining: Arc::default(), cut_off: Arc::default() }
    }

    /// Finds out, for ever, whether the node is cut off from what others have.
    pub async fn keep_asking(self) {
        neighbours::keep_asking(self.router, self.cut_off).await;
    }

    /// The node is to get no new clients from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl Report for Readiness {
    /// Ready once the backplane has answered for the first time. When it is away later a node is not ready if it knows
    /// of another one that has it: that one is the better place. If none has, a load balancer that knew would send
    /// clients nowhere.
    fn ready(&self) -> Word {
        if self.draining.load(Ordering::Relaxed) {
            Err("draining")
        } else if !self.router.has_been_up() {
            Err("starting: the backplane has not answered yet")
        } else if self.router.backplane().is_up() {
            Ok("ready")
        } else if self.cut_off.load(Ordering::Relaxed) {
            Err("cut off: other nodes have the backplane, and this one has not")
        } else {
            Ok("ready, and degraded: this node has no backplane, and knows of no other node that has")
        }
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }

    fn more(&self, path: &str) -> Option<Word> {
        let is_up = self.router.backplane().is_up();
        (path == BACKPLANE).then_some(if is_up { Ok("up") } else { Err("away") })
    }
}
