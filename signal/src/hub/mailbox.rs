//! What waits for a peer, and what happens when too much does.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::goodbye::Goodbye;
use crate::message::{Frame, PeerId, Seat};

/// A frame that waits for its peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The finished frame.
    pub frame: Frame,
    /// Who is told if it never arrives; `None` if nobody is.
    pub from: Option<PeerId>,
    /// When it was read from its sender's socket, if that is measured.
    #[serde(skip)]
    pub read: Option<Read>,
}

impl Letter {
    /// A frame from the server itself: nobody is told if it never arrives.
    pub fn from_server(frame: Frame) -> Self {
        Self { frame, from: None, read: None }
    }
}

/// When a frame was read, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// When; for a frame from another node, that node's part is set back from the moment of arrival.
    pub at: Instant,
    /// Whether another node did.
    pub elsewhere: bool,
}

/// How much may wait for one peer.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Frames.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// Too much waits already; the letter was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A peer's outgoing queue: the hub puts in, the one connection that has the peer takes out. Nobody ever waits for room
/// in it: what does not fit is refused, and whoever sent it is told.
#[derive(Debug)]
pub struct Mailbox {
    inside: Mutex<Inside>,
    bounds: Bounds,
}

#[derive(Debug, Default)]
struct Inside {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// Nothing is taken out while it is shut, but for answers to the peer's own words.
    shut: bool,
    answers: Vec<Frame>,
    seat: Option<Seat>,
    goodbye: Option<Goodbye>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Waiting {
    Letter(Letter),
    /// Who is in the room. State: only the newest is kept, and it counts against no bound.
    Roster(Frame),
}

impl Mailbox {
    /// An empty mailbox that is open.
    pub fn new(bounds: Bounds) -> Self {
        Self { inside: Mutex::default(), bounds }
    }

    /// Puts a letter in. Refused with [`Full`] when it would go over the bounds; a letter of which nobody would be told,
    /// such as the news that a message was not delivered, may go over them once more.
    pub fn push(&self, letter: Letter) -> Result<(), Full> {
        let mut inside = self.inside.lock();
        let bytes = inside.bytes + letter.frame.len();
        let times = if letter.from.is_some() { 1 } else { 2 };
        if inside.letters() >= times * self.bounds.messages || bytes > times * self.bounds.bytes {
            return Err(Full);
        }
        inside.bytes = bytes;
        inside.waiting.push_back(Waiting::Letter(letter));
        inside.wake();
        Ok(())
    }

    /// Puts in who is in the room; an older roster that still waits is taken out.
    pub fn push_roster(&self, frame: Frame) {
        let mut inside = self.inside.lock();
        inside.waiting.retain(|waiting| matches!(waiting, Waiting::Letter(_)));
        inside.waiting.push_back(Waiting::Roster(frame));
        inside.wake();
    }

    /// Puts in an answer to what the peer itself has just said. While the mailbox is shut it goes ahead of all that
    /// waits.
    pub fn answer(&self, frame: Frame) -> Result<(), Full> {
        let mut inside = self.inside.lock();
        if !inside.shut {
            drop(inside);
            return self.push(Letter::from_server(frame));
        }
        inside.answers.push(frame);
        inside.wake();
        Ok(())
    }

    /// Puts older letters back, ahead of all that waits. They were accepted already, so they may go over the bounds once
    /// more; what goes over twice the bounds, the oldest first, is given back.
    #[must_use]
    pub fn put_back(&self, mut letters: Vec<Letter>) -> Vec<Letter> {
        let mut inside = self.inside.lock();
        while let Some(letter) = letters.pop() {
            let bytes = inside.bytes + letter.frame.len();
            if inside.letters() >= 2 * self.bounds.messages || bytes > 2 * self.bounds.bytes {
                letters.push(letter);
                break;
            }
            inside.bytes = bytes;
            inside.waiting.push_front(Waiting::Letter(letter));
        }
        inside.wake();
        letters
    }

    /// Takes out all letters that wait, oldest first. A roster is forgotten: where they go there is a newer one.
    pub fn empty(&self) -> Vec<Letter> {
        self.inside.lock().empty()
    }

    /// From now on nothing is taken out.
    pub fn shut(&self) {
        self.inside.lock().shut = true;
    }

    /// From now on what waits is taken out.
    pub fn open(&self) {
        let mut inside = self.inside.lock();
        inside.shut = false;
        inside.wake();
    }

    /// Gives the mailbox to a connection; the one that had it will be told that it was replaced.
    pub fn give_to(&self, seat: Seat) {
        let mut inside = self.inside.lock();
        inside.seat = Some(seat);
        inside.goodbye = None;
        inside.wake();
    }

    /// Sends the connection away, after it has written what may be taken out.
    pub fn dismiss(&self, goodbye: Goodbye) {
        let mut inside = self.inside.lock();
        inside.goodbye = Some(goodbye);
        inside.wake();
    }

    /// The peer is not here any more: takes out what waits, and sends the connection away after it has written
    /// `last_words`.
    pub fn close(&self, last_words: Option<Frame>, goodbye: Goodbye) -> Vec<Letter> {
        let mut inside = self.inside.lock();
        let held = inside.empty();
        inside.answers.extend(last_words);
        inside.goodbye = Some(goodbye);
        inside.wake();
        held
    }

    /// Ready as soon as the connection at `seat` no longer has the peer.
    pub fn poll_lost(&self, seat: Seat, cx: &mut Context<'_>) -> Poll<()> {
        let mut inside = self.inside.lock();
        if inside.seat != Some(seat) || inside.goodbye == Some(Goodbye::Replaced) {
            return Poll::Ready(());
        }
        inside.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next frames for the connection at `seat`, into the empty `batch`: `Ok`, or the end: why.
    pub fn poll_take(
        &self,
        seat: Seat,
        batch: &mut Vec<Letter>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Goodbye>> {
        let mut inside = self.inside.lock();
        if inside.seat != Some(seat) {
            return Poll::Ready(Err(Goodbye::Replaced));
        }
        batch.extend(inside.answers.drain(..).map(Letter::from_server));
        if !inside.shut {
            inside.bytes = 0;
            batch.extend(inside.waiting.drain(..).map(Waiting::into_letter));
        }
        if !batch.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if let Some(goodbye) = inside.goodbye {
            return Poll::Ready(Err(goodbye));
        }
        inside.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.inside.lock().bytes
    }
}

impl Waiting {
    fn into_letter(self) -> Letter {
        match self {
            Self::Letter(letter) => letter,
            Self::Roster(frame) => Letter::from_server(frame),
        }
    }
}

impl Inside {
    fn letters(&self) -> usize {
        let rosters = self.waiting.iter().filter(|waiting| matches!(waiting, Waiting::Roster(_))).count();
        self.waiting.len() - rosters
    }

    fn empty(&mut self) -> Vec<Letter> {
        self.bytes = 0;
        let letter = |waiting| match waiting {
            Waiting::Letter(letter) => Some(letter),
            Waiting::Roster(_) => None,
        };
        std::mem::take(&mut self.waiting).into_iter().filter_map(letter).collect()
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const SEAT: Seat = Seat(1);

    fn mailbox(messages: usize, bytes: usize) -> Mailbox {
        let mailbox = Mailbox::new(Bounds { messages, bytes });
        mailbox.give_to(SEAT);
        mailbox
    }

    fn letter(text: &str) -> Letter {
        Letter { frame: Frame::new(text.into()), from: Some(PeerId::new("bob")), read: None }
    }

    fn take_as(mailbox: &Mailbox, seat: Seat) -> Poll<Result<String, Goodbye>> {
        let mut batch = Vec::new();
        let taken = mailbox.poll_take(seat, &mut batch, &mut Context::from_waker(Waker::noop()));
        taken.map_ok(|()| {
            let texts = batch.iter().map(|letter| letter.frame.to(&PeerId::new("")));
            texts.map(|text| String::from_utf8(text.to_vec()).unwrap()).collect::<Vec<_>>().join(" ")
        })
    }

    fn take(mailbox: &Mailbox) -> Poll<Result<String, Goodbye>> {
        take_as(mailbox, SEAT)
    }

    #[test]
    fn letters_come_out_in_order_and_all_at_once() {
        let mailbox = mailbox(9, 99);
        for text in ["a", "b", "c"] {
            mailbox.push(letter(text)).unwrap();
        }
        assert_eq!(take(&mailbox), Poll::Ready(Ok("a b c".into())));
        assert_eq!(take(&mailbox), Poll::Pending);
        assert_eq!(mailbox.bytes(), 0);
    }

    #[test]
    fn a_letter_over_the_bounds_is_refused_and_what_waits_stays() {
        let by_count = mailbox(2, 99);
        by_count.push(letter("a")).unwrap();
        by_count.push(letter("b")).unwrap();
        assert_eq!(by_count.push(letter("c")), Err(Full));
        assert_eq!(take(&by_count), Poll::Ready(Ok("a b".into())));
        by_count.push(letter("d")).unwrap();

        let by_bytes = mailbox(9, 3);
        by_bytes.push(letter("aa")).unwrap();
        assert_eq!(by_bytes.push(letter("bb")), Err(Full));
        by_bytes.push(letter("b")).unwrap();
    }

    #[test]
    fn the_news_that_a_message_was_not_delivered_has_room_in_a_full_mailbox() {
        let mailbox = mailbox(2, 99);
        let news = || Letter { from: None, ..letter("not delivered") };
        mailbox.push(letter("a")).unwrap();
        mailbox.push(letter("b")).unwrap();
        assert_eq!(mailbox.push(letter("c")), Err(Full));
        mailbox.push(news()).unwrap();
        mailbox.push(news()).unwrap();
        assert_eq!(mailbox.push(news()), Err(Full), "but not for ever");
    }

    #[test]
    fn of_rosters_only_the_newest_waits_and_it_counts_against_no_bound() {
        let mailbox = mailbox(1, 1);
        mailbox.push_roster(Frame::new("old roster".into()));
        mailbox.push_roster(Frame::new("roster".into()));
        assert_eq!(take(&mailbox), Poll::Ready(Ok("roster".into())));
        mailbox.push_roster(Frame::new("with bob".into()));
        mailbox.push(letter("a")).unwrap();
        mailbox.push_roster(Frame::new("newer".into()));
        assert_eq!(
            take(&mailbox),
            Poll::Ready(Ok("a newer".into())),
            "it comes after the news that it knows of"
        );
    }

    #[test]
    fn while_it_is_shut_only_answers_come_out_and_they_come_first() {
        let mailbox = mailbox(9, 99);
        mailbox.shut();
        mailbox.push(letter("held")).unwrap();
        assert_eq!(take(&mailbox), Poll::Pending);
        mailbox.answer(Frame::new("pong".into())).unwrap();
        assert_eq!(take(&mailbox), Poll::Ready(Ok("pong".into())));
        mailbox.open();
        assert_eq!(take(&mailbox), Poll::Ready(Ok("held".into())));
    }

    #[test]
    fn what_was_not_written_goes_back_to_the_front_and_over_the_bounds_once() {
        let mailbox = mailbox(2, 9);
        mailbox.push(letter("c")).unwrap();
        mailbox.push(letter("d")).unwrap();
        assert_eq!(mailbox.put_back(vec![letter("a"), letter("b")]), []);
        assert_eq!(mailbox.put_back(vec![letter("x"), letter("y")]), [letter("x"), letter("y")]);
        assert_eq!(mailbox.bytes(), 4);
        assert_eq!(take(&mailbox), Poll::Ready(Ok("a b c d".into())));
    }

    #[test]
    fn a_connection_notices_at_once_that_it_has_lost_its_peer() {
        let mailbox = mailbox(9, 99);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(mailbox.poll_lost(SEAT, &mut context), Poll::Pending);
        mailbox.give_to(Seat(2));
        assert_eq!(mailbox.poll_lost(SEAT, &mut context), Poll::Ready(()));
    }

    #[test]
    fn the_old_connection_gets_nothing_more_and_hears_why() {
        let mailbox = mailbox(9, 99);
        mailbox.push(letter("a")).unwrap();
        mailbox.give_to(Seat(2));
        assert_eq!(take(&mailbox), Poll::Ready(Err(Goodbye::Replaced)));
        assert_eq!(take_as(&mailbox, Seat(2)), Poll::Ready(Ok("a".into())));
    }

    #[test]
    fn the_last_words_are_written_before_the_goodbye() {
        let mailbox = mailbox(9, 99);
        mailbox.push(letter("last")).unwrap();
        mailbox.dismiss(Goodbye::Restarting);
        assert_eq!(take(&mailbox), Poll::Ready(Ok("last".into())));
        assert_eq!(take(&mailbox), Poll::Ready(Err(Goodbye::Restarting)));
    }

    #[test]
    fn a_closed_mailbox_gives_back_what_waited() {
        let mailbox = mailbox(9, 99);
        mailbox.push(letter("held")).unwrap();
        assert_eq!(mailbox.close(Some(Frame::new("bye".into())), Goodbye::Removed), [letter("held")]);
        assert_eq!(take(&mailbox), Poll::Ready(Ok("bye".into())));
        assert_eq!(take(&mailbox), Poll::Ready(Err(Goodbye::Removed)));
    }
}
