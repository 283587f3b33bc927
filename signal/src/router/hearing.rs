//! Whether what was said here has been taken in on other nodes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Router;
use super::questions::Ask;
use crate::backplane::Question;
use crate::backplane::pressure::Relief;
use crate::breakage::{Breakage, is_broken};
use crate::hub::Seated;
use crate::message::{NodeId, RoomId};

/// So long a peer that comes here waits for what it has said elsewhere. A node that lives says within milliseconds that all
/// has come where it belongs, unless something was lost on the way and has to go again.
const OLDER_WORDS: Duration = Duration::from_secs(1);
/// Between two looks whether letters still wait for somebody who cannot be found.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Router {
    /// Waits until these nodes, as far as they can be asked, have taken in what this one has told them so far, but not for
    /// longer than `within`; whether all of those have.
    pub(super) async fn have_heard(&self, nodes: &BTreeSet<NodeId>, within: Duration) -> bool {
        if nodes.is_empty() {
            return true;
        }
        let (ask, mut answers) = Ask::open(self, nodes.len());
        let asked = nodes.iter().filter(|node| ask.put(node, Question::HaveYouHeard).is_ok()).count();
        let all = async {
            for _ in 0..asked {
                answers.recv().await;
            }
        };
        timeout(within, all).await.is_ok()
    }

    /// When what a peer says here may be read: if it has come from another node, all that it has said there is to be heard
    /// before that.
    pub fn hears_out(self: &Arc<Self>, seated: &Seated) -> Option<Relief> {
        let (from, room) = (seated.moved_from.clone()?, seated.speaker.room.clone());
        let router = self.clone();
        Some(Box::pin(async move { router.is_heard_out(&from, &room).await }))
    }

    /// Waits until `node` says that all is heard that was said there to those in `room`, but not for one that does not say so.
    async fn is_heard_out(&self, node: &NodeId, room: &RoomId) {
        let (ask, mut answers) = Ask::open(self, 1);
        let question = Question::HaveTheyHeard { room: room.clone() };
        if !is_broken(Breakage::NotHeardOut) && ask.put(node, question).is_ok() {
            let _ = timeout(OLDER_WORDS, answers.recv()).await;
        }
    }

    /// Waits until all that was said through this node to those in `room` is where they are; whether it is.
    pub(super) async fn they_have_heard(&self, room: &RoomId) -> bool {
        let all = async {
            while self.ways.lock().is_on_its_way(room) {
                sleep(LOOK_AGAIN).await;
            }
            let nodes = self.ways.lock().nodes();
            self.have_heard(&nodes, OLDER_WORDS).await
        };
        timeout(OLDER_WORDS, all).await.unwrap_or(false)
    }
}
