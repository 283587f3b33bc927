//! What an operator asks of all nodes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Router;
use super::questions::Ask;
use crate::backplane::{Question, Refusal};
use crate::goodbye::Goodbye;
use crate::message::Undelivered;

/// How long a node has to send its connections away and to say so.
const KICK_DEADLINE: Duration = Duration::from_secs(3);
/// Between two looks whether they are gone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Router {
    /// Sends every connection of `dialect` away, on every node; done when their names are free. Refuses with
    /// [`Refusal::Unavailable`] if a node has not said in time that it has done so.
    pub async fn kick(self: &Arc<Self>, dialect: &str) -> Result<(), Refusal> {
        let others = self.backplane.others().await?;
        let (ask, mut answers) = Ask::open(self, others.len().max(1));
        let mut told = 0;
        for node in others {
            match ask.put(&node, Question::Kick { dialect: dialect.to_owned() }) {
                Ok(()) => told += 1,
                // A node that is gone has no connections.
                Err(Undelivered::Unreachable) => {}
                Err(_) => return Err(Refusal::Unavailable),
            }
        }
        if !self.kick_here(dialect).await {
            return Err(Refusal::Unavailable);
        }
        let all = async {
            for _ in 0..told {
                answers.recv().await;
            }
        };
        timeout(KICK_DEADLINE, all).await.map_err(|_| Refusal::Unavailable)
    }

    /// Sends this node's connections of `dialect` away; whether they are gone.
    pub(super) async fn kick_here(&self, dialect: &str) -> bool {
        let kicked = self.hub.lock().kick(dialect, Goodbye::Kicked);
        let gone = async {
            while self.hub.lock().has_any(&kicked) {
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(KICK_DEADLINE / 2, gone).await.is_ok()
    }
}
