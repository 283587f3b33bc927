//! What is known not to be kept yet, each with a sentence. To be emptied.

use super::ledger::Said;
use super::peer::Peer;
use crate::message::PeerId;

/// Whether it is known why this message got lost.
pub(super) fn excuses(peers: &[Peer], said: &Said, to: &PeerId) -> bool {
    was_written_to_nobody(peers, said, to) || was_written_to_nobody(peers, said, &said.from)
}

/// What a node has written to a client that was gone already, or held in its memory when it crashed, is lost.
fn was_written_to_nobody(peers: &[Peer], said: &Said, to: &PeerId) -> bool {
    let receiver = peers.iter().find(|peer| peer.id == *to);
    receiver.is_some_and(|receiver| {
        receiver.cut.iter().any(|cut| *cut >= said.at.saturating_sub(super::stage::GRACE))
    })
}
