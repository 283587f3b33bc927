//! What nodes ask each other, and what they answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Router;
use crate::backplane::{Answer, Envelope, Question};
use crate::chance;
use crate::message::{NodeId, Undelivered};

/// A question to other nodes, as long as somebody waits for its answers: the request that asks may break off.
pub(super) struct Ask<'a> {
    router: &'a Router,
    number: u64,
}

impl<'a> Ask<'a> {
    /// A question to so many.
    pub(super) fn open(router: &'a Router, answers: usize) -> (Self, mpsc::Receiver<Answer>) {
        let number = router.next_ask.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(answers);
        router.asks.lock().insert(number, sender);
        (Self { router, number }, receiver)
    }

    /// Puts it to one of them.
    pub(super) fn put(&self, node: &NodeId, question: Question) -> Result<(), Undelivered> {
        self.router.backplane.carry(node, Envelope::Question { number: self.number, question })
    }
}

impl Drop for Ask<'_> {
    fn drop(&mut self) {
        self.router.asks.lock().remove(&self.number);
    }
}

impl Router {
    /// Another node asks.
    pub(super) fn asked(self: &Arc<Self>, by: &NodeId, number: u64, question: Question) {
        let router = self.clone();
        match question {
            Question::Silence { room, peers } => {
                let silence = self.hub.lock().silence(&room, &peers, chance::now());
                let millis = |silence: Duration| u64::try_from(silence.as_millis()).unwrap_or(u64::MAX);
                let silence = silence.into_iter().map(|(peer, silence)| (peer, millis(silence))).collect();
                self.answer_node(by, number, Answer::Silence(silence));
            }
            Question::HaveYouHeard => self.answer_node(by, number, Answer::Yes),
            Question::DoYouStay => {
                let stays = !self.stops.load(Ordering::Relaxed);
                if stays {
                    self.relied_on_by.lock().insert(by.clone());
                }
                self.answer_node(by, number, if stays { Answer::Yes } else { Answer::No });
            }
            Question::Challenge { room, peer } => self.answer_later(by, number, async move {
                Some(if router.challenge(&room, &peer).await { Answer::Yes } else { Answer::No })
            }),
            Question::HaveTheyHeard { room } => self.answer_later(by, number, async move {
                router.they_have_heard(&room).await.then_some(Answer::Yes)
            }),
            Question::Kick { dialect } => self.answer_later(by, number, async move {
                router.kick_here(&dialect).await.then_some(Answer::Yes)
            }),
        }
    }

    /// Answers at once, after all that was said to that node before. Whoever asks does not wait for ever.
    fn answer_node(&self, node: &NodeId, number: u64, answer: Answer) {
        let _ = self.backplane.carry(node, Envelope::Answer { number, answer });
    }

    /// Answers when the answer is known, if it ever is.
    fn answer_later<F>(self: &Arc<Self>, node: &NodeId, number: u64, answer: F)
    where
        F: Future<Output = Option<Answer>> + Send + 'static,
    {
        let (router, node) = (self.clone(), node.clone());
        self.tasks.spawn(async move {
            if let Some(answer) = answer.await {
                router.answer_node(&node, number, answer);
            }
        });
    }

    /// Another node answers.
    pub(super) fn answered(&self, number: u64, answer: Answer) {
        if let Some(waiting) = self.asks.lock().get(&number) {
            let _ = waiting.try_send(answer);
        }
    }
}
