//! What comes from other nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use redis::{PushInfo, Value};
use tokio::sync::mpsc;

use super::counters::{Counters, add};
use super::probe::Echo;
use super::supervisor::Ear;
use super::{Inside, keys};
use crate::backplane::Notice;
use crate::backplane::link::Batch;
use crate::hub::mailbox::Bounds;
use crate::message::NodeId;

/// Farewells that may wait to be taken.
const MAX_LEAVING: usize = 4_096;

/// What was published for this node and is not yet taken.
pub(super) struct Inbox {
    /// With the number of the connection that they came through.
    frames: mpsc::Receiver<(u64, Vec<u8>)>,
    bytes: Arc<AtomicUsize>,
}

/// An inbox, the ear that fills it, and the nodes that say that they have left.
///
/// The ear lives in the connection, and the connection in [`Inside`]: it may not hold on to that, or a node would go on
/// hearing after its end.
pub(super) fn open(
    bounds: Bounds,
    counters: Arc<Counters>,
    echo: Echo,
) -> (Inbox, Ear, mpsc::Receiver<NodeId>) {
    let (sender, frames) = mpsc::channel(bounds.messages);
    let (left, leaving) = mpsc::channel(MAX_LEAVING);
    let bytes = Arc::new(AtomicUsize::new(0));
    let inbox = Inbox { frames, bytes: bytes.clone() };
    let ear = move |connection, push: PushInfo| {
        let Ok([Value::BulkString(channel), Value::BulkString(payload)]) = <[Value; 2]>::try_from(push.data)
        else {
            return;
        };
        if channel == keys::GONE.as_bytes() {
            // One that is not taken is found without a lease a little later.
            let _ = String::from_utf8(payload).map(|node| left.try_send(NodeId::new(node)));
            return;
        }
        if echo.hears(&payload) {
            return;
        }
        let length = payload.len();
        let fits = bytes.fetch_add(length, Ordering::Relaxed) + length <= bounds.bytes;
        if !fits || sender.try_send((connection, payload)).is_err() {
            bytes.fetch_sub(length, Ordering::Relaxed);
            add(&counters.overflowed, 1);
        }
    };
    (inbox, Arc::new(ear), leaving)
}

impl Inside {
    /// Whether what came through a connection is for this life of this node. Without a lease it is not taken, nor if it
    /// may have been on its way while there was none: whoever sent it has it still, or has given it to somebody else.
    fn may_take(&self, connection: u64) -> bool {
        connection > self.stale.load(Ordering::Relaxed) && self.pulse.lock().is_believed(Instant::now())
    }

    /// Takes what comes. It may wait for this node: then the inbox fills, and what does not fit is asked for again.
    pub(super) async fn keep_taking(self: Arc<Self>, mut inbox: Inbox) {
        while let Some((connection, frame)) = inbox.frames.recv().await {
            inbox.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
            if !self.may_take(connection) {
                continue;
            }
            let batch = self.seal.open(&frame).and_then(|frame| Batch::decode(frame, &self.me));
            let Some(batch) = batch else {
                add(&self.counters.rejected, 1);
                continue;
            };
            let from = batch.from().clone();
            let received = self.receive(&from, batch);
            add(&self.counters.repeated, received.repeated);
            add(&self.counters.missed, received.missed);
            add(&self.counters.rejected, received.unknown);
            for envelope in received.envelopes {
                if self.notices.send(Notice::Arrived { from: from.clone(), envelope }).await.is_err() {
                    return;
                }
            }
        }
    }
}
