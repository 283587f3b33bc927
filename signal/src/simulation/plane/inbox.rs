//! What comes from other nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::Plane;
use crate::backplane::Notice;
use crate::backplane::link::Batch;
use crate::chance;

impl Plane {
    pub(super) async fn keep_taking(self: Arc<Self>, mut inbox: mpsc::UnboundedReceiver<(u64, Vec<u8>)>) {
        while let Some((connection, frame)) = inbox.recv().await {
            self.awake().await;
            let is_stale = connection <= self.stale.load(Ordering::Relaxed);
            if is_stale || !self.pulse.lock().is_believed(chance::now()) {
                continue;
            }
            let Some(batch) = Batch::decode(&frame, &self.me) else { continue };
            let from = batch.from().clone();
            let received = self.line_to(&from).receive(batch);
            for envelope in received.envelopes {
                let _ = self.notices.send(Notice::Arrived { from: from.clone(), envelope }).await;
            }
        }
    }
}
