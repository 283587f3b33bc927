//! What comes from other nodes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{PushInfo, Value};
use tokio::sync::mpsc;

use super::counters::{Counters, add};
use super::supervisor::Ear;
use super::{Inside, keys};
use crate::backplane::Notice;
use crate::backplane::link::{Batch, Incoming};
use crate::message::NodeId;

/// Frames that may wait for this node to take them.
const MAX_FRAMES: usize = 4_096;
/// Their bytes.
const MAX_BYTES: usize = 32 << 20;
/// Nodes of which it is known what they have sent. One that comes when there are more takes the place of the one that
/// has been silent longest.
const MAX_SOURCES: usize = 4_096;

/// What was published for this node and is not yet taken.
pub(super) struct Inbox {
    frames: mpsc::Receiver<Vec<u8>>,
    bytes: Arc<AtomicUsize>,
}

/// An inbox, the ear that fills it, and the nodes that say that they have left.
///
/// The ear lives in the connection, and the connection in [`Inside`]: it may not hold on to that, or a node would go on
/// hearing after its end.
pub(super) fn open(counters: Arc<Counters>) -> (Inbox, Ear, mpsc::Receiver<NodeId>) {
    let (sender, frames) = mpsc::channel(MAX_FRAMES);
    let (left, leaving) = mpsc::channel(MAX_SOURCES);
    let bytes = Arc::new(AtomicUsize::new(0));
    let inbox = Inbox { frames, bytes: bytes.clone() };
    let ear = move |push: PushInfo| {
        let Ok([Value::BulkString(channel), Value::BulkString(payload)]) = <[Value; 2]>::try_from(push.data)
        else {
            return;
        };
        if channel == keys::GONE.as_bytes() {
            // One that is not taken is found without a lease a little later.
            let _ = String::from_utf8(payload).map(|node| left.try_send(NodeId::new(node)));
            return;
        }
        let length = payload.len();
        let fits = bytes.fetch_add(length, Ordering::Relaxed) + length <= MAX_BYTES;
        if !fits || sender.try_send(payload).is_err() {
            bytes.fetch_sub(length, Ordering::Relaxed);
            add(&counters.overflowed, 1);
        }
    };
    (inbox, Arc::new(ear), leaving)
}

#[derive(Default)]
struct Sources {
    known: HashMap<NodeId, (Incoming, u64)>,
    heard: u64,
}

impl Sources {
    fn of(&mut self, node: &NodeId) -> &mut Incoming {
        if self.known.len() >= MAX_SOURCES && !self.known.contains_key(node) {
            let silent = self.known.iter().min_by_key(|(_, (_, heard))| *heard).map(|(node, _)| node.clone());
            silent.and_then(|node| self.known.remove(&node));
        }
        self.heard += 1;
        let (incoming, heard) = self.known.entry(node.clone()).or_default();
        *heard = self.heard;
        incoming
    }
}

impl Inside {
    /// Takes what comes. It may wait for this node: then the inbox fills, and what does not fit is missed and counted.
    pub(super) async fn keep_taking(&self, mut inbox: Inbox) {
        let mut sources = Sources::default();
        while let Some(frame) = inbox.frames.recv().await {
            inbox.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
            let batch = self.seal.open(&frame).and_then(|frame| Batch::decode(frame, &self.me));
            let Some(batch) = batch else {
                add(&self.counters.rejected, 1);
                continue;
            };
            let from = batch.from().clone();
            let received = sources.of(&from).receive(batch);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_sources_the_longest_silent_is_forgotten() {
        let node = |n: usize| NodeId::new(n.to_string());
        let mut sources = Sources::default();
        (0..MAX_SOURCES).for_each(|n| {
            sources.of(&node(n));
        });
        sources.of(&node(0));
        sources.of(&node(MAX_SOURCES));
        assert_eq!(sources.known.len(), MAX_SOURCES);
        assert!(sources.known.contains_key(&node(0)) && !sources.known.contains_key(&node(1)));
    }
}
