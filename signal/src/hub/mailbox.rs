//! What waits for a peer, and what happens when too much does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::goodbye::Goodbye;
use crate::message::{Frame, NodeId, PeerId, Seat};

/// A frame that waits for its peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The finished frame.
    pub frame: Frame,
    /// Who is told if it never arrives; `None` if nobody is.
    pub from: Option<PeerId>,
    /// Tells it from all others, also when it comes a second time; 0 for what the server itself says.
    pub number: u64,
    /// What its sender calls it, if it wants to hear that it was accepted.
    pub name: Option<Arc<str>>,
    /// Whether its sender has heard that, as far as this node knows.
    #[serde(skip)]
    pub accepted: bool,
    /// Who keeps a copy until it hears what became of this one; `None` if nobody does.
    pub mark: Option<Mark>,
    /// Whether it is word of what became of a letter that its receiver has sent. It takes the place of that one, which was
    /// counted when it was accepted, and is counted by itself.
    pub is_word: bool,
    /// When it was read from its sender's socket, if that is measured.
    #[serde(skip)]
    pub read: Option<Read>,
}

impl Letter {
    /// A frame from the server itself: nobody is told if it never arrives.
    pub fn from_server(frame: Frame) -> Self {
        let (from, name, mark, read) = (None, None, None, None);
        Self { frame, from, number: 0, name, accepted: false, mark, is_word: false, read }
    }

    /// Word from the server itself, for the sender of a letter, of what became of that.
    pub fn word(frame: Frame) -> Self {
        Self { is_word: true, ..Self::from_server(frame) }
    }
}

/// Names the copy of a letter that another node keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// That node.
    pub node: NodeId,
    /// Its number there.
    pub number: u64,
    /// How often the letter has been passed on from one node to another.
    pub hops: u32,
}

impl Mark {
    /// How far the letter has come, for whoever keeps the copy.
    pub fn step(&self) -> Step {
        Step { number: self.number, hops: self.hops }
    }
}

/// How far a letter has come of which another node keeps a copy: word of that may overtake older word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The copy's number.
    pub number: u64,
    /// How often the letter has been passed on from one node to another.
    pub hops: u32,
}

/// When a frame was read, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// When; for a frame from another node, that node's part is set back from the moment of arrival.
    pub at: Instant,
    /// Whether another node did.
    pub elsewhere: bool,
}

/// How much may wait, or does.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Messages.
    pub messages: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// For each message that may wait for a peer so many of its own may have been refused of which it is to hear.
const WORDS: usize = 16;

/// Too much waits already; the letter was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A peer's outgoing queue: the hub puts in, the one connection that has the peer takes out. Nobody ever waits for room
/// in it: what does not fit is refused, and whoever sent it is told.
///
/// What was taken out is kept until the other end of the connection has confirmed it: a socket takes bytes that nobody
/// will ever read. Frames of a WebSocket are in order, so the pong to a ping that was written after a letter is a receipt
/// for it (RFC 6455, 5.5.3). When the connection ends without one, or another one takes the peer, the letters wait again.
#[derive(Debug)]
pub struct Mailbox {
    inside: Mutex<Inside>,
    bounds: Bounds,
}

#[derive(Debug, Default)]
struct Inside {
    waiting: VecDeque<Waiting>,
    has_roster: bool,
    /// How many of what waits are word of the peer's own letters.
    words: usize,
    bytes: usize,
    /// Taken out and not confirmed, oldest first.
    taken: VecDeque<Letter>,
    taken_bytes: usize,
    /// How many letters the connection that has it has taken out.
    count: u64,
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
    /// An answer to what the peer itself has said, or a question: nobody misses it who is not there any more.
    Answer(Frame),
    /// Who is in the room. State: only the newest is kept, and it counts against no bound.
    Roster(Frame),
}

/// What a mailbox still had when it was closed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Taken out and not confirmed: it may have arrived.
    pub taken: Vec<Letter>,
    /// Never taken out.
    pub waiting: Vec<Letter>,
}

impl Mailbox {
    /// An empty mailbox that is open.
    pub fn new(bounds: Bounds) -> Self {
        Self { inside: Mutex::default(), bounds }
    }

    /// Puts a letter in. Given back when what waits would go over the bounds, or all that is not confirmed over twice as
    /// much; a letter of which nobody would be told may go over them once more. Word of the peer's own letters is counted by
    /// itself, and may be many times as much: one who reads can have so many refused at once.
    pub fn push(&self, letter: Letter) -> Result<(), Letter> {
        let mut inside = self.inside.lock();
        let bytes = inside.bytes + letter.frame.len();
        let times = if letter.from.is_some() { 1 } else { 2 };
        let Bounds { messages, bytes: most } = self.bounds;
        let all = (inside.letters() + inside.taken.len(), bytes + inside.taken_bytes);
        let are_many = if letter.is_word {
            inside.words >= WORDS * messages
        } else {
            inside.letters() >= times * messages || all.0 >= (times + 1) * messages
        };
        if are_many || bytes > times * most || all.1 > (times + 1) * most {
            return Err(letter);
        }
        inside.words += usize::from(letter.is_word);
        inside.bytes = bytes;
        inside.waiting.push_back(Waiting::Letter(letter));
        inside.wake();
        Ok(())
    }

    /// Puts in who is in the room; an older roster that still waits is taken out.
    pub fn push_roster(&self, frame: Frame) {
        let mut inside = self.inside.lock();
        if std::mem::replace(&mut inside.has_roster, true) {
            inside.waiting.retain(|waiting| !matches!(waiting, Waiting::Roster(_)));
        }
        inside.waiting.push_back(Waiting::Roster(frame));
        inside.wake();
    }

    /// Puts in an answer to what the peer itself has just said, or a question whether it is there. While the mailbox is
    /// shut it goes ahead of all that waits.
    pub fn answer(&self, frame: Frame) -> Result<(), Full> {
        let mut inside = self.inside.lock();
        if inside.shut {
            inside.answers.push(frame);
        } else {
            let bytes = inside.bytes + frame.len();
            if inside.letters() >= 2 * self.bounds.messages || bytes > 2 * self.bounds.bytes {
                return Err(Full);
            }
            inside.bytes = bytes;
            inside.waiting.push_back(Waiting::Answer(frame));
        }
        inside.wake();
        Ok(())
    }

    /// Puts older letters back, ahead of all that waits. They were accepted already, so they may go over the bounds once
    /// more; what goes over twice the bounds, the oldest first, is given back.
    #[must_use]
    pub fn put_back(&self, letters: Vec<Letter>) -> Vec<Letter> {
        let mut inside = self.inside.lock();
        inside.wake();
        inside.put_back(letters, self.bounds)
    }

    /// Nobody has the peer any more: what was taken out and not confirmed waits again, ahead of all that does already.
    pub fn hold(&self) {
        self.inside.lock().hold();
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

    /// Gives the mailbox to a connection; the one that had it will be told that it was replaced, and what that one has
    /// not confirmed waits again.
    pub fn give_to(&self, seat: Seat) {
        let mut inside = self.inside.lock();
        inside.hold();
        // A connection owes no receipt for what another one has taken.
        inside.count = 0;
        inside.seat = Some(seat);
        inside.goodbye = None;
        // They answer what the one before has said.
        inside.answers.clear();
        inside.wake();
    }

    /// Sends the connection away, after it has written what may be taken out.
    pub fn dismiss(&self, goodbye: Goodbye) {
        let mut inside = self.inside.lock();
        inside.goodbye = Some(goodbye);
        inside.wake();
    }

    /// The peer is not here any more: takes out what is left, and sends the connection away after it has written
    /// `last_words`.
    pub fn close(&self, last_words: Option<Frame>, goodbye: Goodbye) -> Left {
        let mut inside = self.inside.lock();
        inside.taken_bytes = 0;
        let left = Left { taken: std::mem::take(&mut inside.taken).into(), waiting: inside.empty() };
        inside.answers.extend(last_words);
        inside.goodbye = Some(goodbye);
        inside.wake();
        left
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

    /// The next frames for the connection at `seat`, into the empty `batch`: how many letters it has taken so far, for
    /// [`Self::confirm`], or the end: why. Nothing new is given to one that has not confirmed for too long.
    pub fn poll_take(
        &self,
        seat: Seat,
        batch: &mut Vec<Letter>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64, Goodbye>> {
        let mut inside = self.inside.lock();
        if inside.seat != Some(seat) {
            return Poll::Ready(Err(Goodbye::Replaced));
        }
        batch.extend(inside.answers.drain(..).map(Letter::from_server));
        let Bounds { messages, bytes } = self.bounds;
        if !inside.shut && inside.taken.len() < messages && inside.taken_bytes < bytes {
            inside.take(batch);
        }
        if !batch.is_empty() {
            return Poll::Ready(Ok(inside.count));
        }
        if let Some(goodbye) = inside.goodbye {
            return Poll::Ready(Err(goodbye));
        }
        inside.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The connection at `seat` has received the first `count` letters that it has taken out: those of them that were
    /// not known to have arrived.
    pub fn confirm(&self, seat: Seat, count: u64) -> Vec<Letter> {
        let mut inside = self.inside.lock();
        if inside.seat != Some(seat) {
            return Vec::new();
        }
        let oldest = inside.count - inside.taken.len() as u64;
        let arrived = usize::try_from(count.min(inside.count).saturating_sub(oldest)).unwrap_or_default();
        let letters: Vec<_> = inside.taken.drain(..arrived).collect();
        inside.taken_bytes -= letters.iter().map(|letter| letter.frame.len()).sum::<usize>();
        if inside.taken.is_empty() {
            // Most connections are silent most of the time.
            inside.taken = VecDeque::new();
        }
        if arrived > 0 {
            inside.wake();
        }
        letters
    }

    /// Puts in what a connection is to hear before anything else.
    pub fn greet(&self, frame: Frame) {
        let mut inside = self.inside.lock();
        inside.answers.insert(0, frame);
        inside.wake();
    }

    /// Bytes that wait, or are not confirmed.
    pub fn bytes(&self) -> usize {
        let inside = self.inside.lock();
        inside.bytes + inside.taken_bytes
    }
}

impl Inside {
    fn letters(&self) -> usize {
        self.waiting.len() - usize::from(self.has_roster) - self.words
    }

    fn take(&mut self, batch: &mut Vec<Letter>) {
        (self.bytes, self.words, self.has_roster) = (0, 0, false);
        for waiting in self.waiting.drain(..) {
            match waiting {
                Waiting::Letter(letter) => {
                    self.count += 1;
                    self.taken_bytes += letter.frame.len();
                    self.taken.push_back(letter.clone());
                    batch.push(letter);
                }
                Waiting::Answer(frame) | Waiting::Roster(frame) => batch.push(Letter::from_server(frame)),
            }
        }
    }

    fn hold(&mut self) {
        self.bytes += std::mem::take(&mut self.taken_bytes);
        for letter in std::mem::take(&mut self.taken).into_iter().rev() {
            self.words += usize::from(letter.is_word);
            // How long it took was measured when it was written.
            self.waiting.push_front(Waiting::Letter(Letter { read: None, ..letter }));
        }
    }

    fn put_back(&mut self, letters: Vec<Letter>, bounds: Bounds) -> Vec<Letter> {
        let mut too_much = Vec::new();
        for letter in letters.into_iter().rev() {
            let bytes = self.bytes + letter.frame.len();
            let are_many = if letter.is_word {
                self.words >= WORDS * bounds.messages
            } else {
                // What is older than one that does not fit does not overtake it.
                self.letters() >= 2 * bounds.messages || !too_much.is_empty()
            };
            if are_many || bytes > 2 * bounds.bytes {
                too_much.push(letter);
                continue;
            }
            self.words += usize::from(letter.is_word);
            self.bytes = bytes;
            self.waiting.push_front(Waiting::Letter(letter));
        }
        too_much.reverse();
        too_much
    }

    fn empty(&mut self) -> Vec<Letter> {
        (self.bytes, self.words, self.has_roster) = (0, 0, false);
        let letter = |waiting| match waiting {
            Waiting::Letter(letter) => Some(letter),
            Waiting::Answer(_) | Waiting::Roster(_) => None,
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
        Letter { from: Some(PeerId::new("bob")), ..Letter::from_server(Frame::new(text.into())) }
    }

    fn take_as(mailbox: &Mailbox, seat: Seat) -> Poll<Result<String, Goodbye>> {
        let mut batch = Vec::new();
        let taken = mailbox.poll_take(seat, &mut batch, &mut Context::from_waker(Waker::noop()));
        taken.map_ok(|_| {
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
        assert_eq!(mailbox.bytes(), 3, "until it is known that they have arrived");
        mailbox.confirm(SEAT, 3);
        assert_eq!(mailbox.bytes(), 0);
    }

    #[test]
    fn what_was_taken_and_not_confirmed_waits_again_for_the_next_connection() {
        let mailbox = mailbox(9, 99);
        for text in ["a", "b", "c"] {
            mailbox.push(letter(text)).unwrap();
        }
        assert_eq!(take(&mailbox), Poll::Ready(Ok("a b c".into())));
        mailbox.confirm(SEAT, 1);
        mailbox.push(letter("d")).unwrap();
        mailbox.give_to(Seat(2));
        assert_eq!(take_as(&mailbox, Seat(2)), Poll::Ready(Ok("b c d".into())));
        assert_eq!(mailbox.confirm(SEAT, 99), [], "an old connection confirms nothing");
        mailbox.confirm(Seat(2), 99);
        mailbox.hold();
        assert_eq!(take_as(&mailbox, Seat(2)), Poll::Pending);
    }

    #[test]
    fn whoever_keeps_a_copy_is_named_when_its_letter_is_confirmed() {
        let mailbox = mailbox(9, 99);
        let mark = |number| Mark { node: NodeId::new("a.1"), number, hops: 0 };
        for number in 1..=3 {
            mailbox.push(Letter { mark: Some(mark(number)), ..letter("x") }).unwrap();
        }
        mailbox.push(letter("of this node")).unwrap();
        assert!(take(&mailbox).is_ready());
        let confirmed = |count| -> Vec<Mark> {
            mailbox.confirm(SEAT, count).into_iter().filter_map(|letter| letter.mark).collect()
        };
        assert_eq!(confirmed(2), [mark(1), mark(2)]);
        assert_eq!(confirmed(2), [], "once");
        assert_eq!(confirmed(4), [mark(3)]);
    }

    #[test]
    fn one_who_confirms_nothing_gets_no_more_and_whoever_writes_to_it_is_told() {
        let mailbox = mailbox(2, 99);
        for text in ["a", "b"] {
            mailbox.push(letter(text)).unwrap();
        }
        assert_eq!(take(&mailbox), Poll::Ready(Ok("a b".into())));
        for text in ["c", "d"] {
            mailbox.push(letter(text)).unwrap();
        }
        assert_eq!(take(&mailbox), Poll::Pending);
        assert_eq!(mailbox.push(letter("e")), Err(letter("e")));
        mailbox.confirm(SEAT, 1);
        assert_eq!(take(&mailbox), Poll::Ready(Ok("c d".into())));
    }

    #[test]
    fn who_comes_again_and_again_and_confirms_nothing_does_not_make_it_grow() {
        let mailbox = mailbox(2, 99);
        let mut taken = 0;
        for seat in 2..20 {
            while mailbox.push(letter("x")).is_ok() {
                taken += 1;
            }
            mailbox.give_to(Seat(seat));
            assert!(take_as(&mailbox, Seat(seat)).is_ready());
        }
        assert_eq!(taken, 4, "twice as many as may wait");
    }

    #[test]
    fn answers_and_rosters_are_of_the_moment_and_not_kept() {
        let mailbox = mailbox(9, 99);
        mailbox.answer(Frame::new("pong".into())).unwrap();
        mailbox.push_roster(Frame::new("roster".into()));
        assert_eq!(take(&mailbox), Poll::Ready(Ok("pong roster".into())));
        mailbox.give_to(Seat(2));
        assert_eq!(take_as(&mailbox, Seat(2)), Poll::Pending);
    }

    #[test]
    fn a_letter_over_the_bounds_is_refused_and_what_waits_stays() {
        let by_count = mailbox(2, 99);
        by_count.push(letter("a")).unwrap();
        by_count.push(letter("b")).unwrap();
        assert_eq!(by_count.push(letter("c")), Err(letter("c")));
        assert_eq!(take(&by_count), Poll::Ready(Ok("a b".into())));
        by_count.push(letter("d")).unwrap();

        let by_bytes = mailbox(9, 3);
        by_bytes.push(letter("aa")).unwrap();
        assert_eq!(by_bytes.push(letter("bb")), Err(letter("bb")));
        by_bytes.push(letter("b")).unwrap();
    }

    #[test]
    fn what_nobody_would_be_told_of_has_room_in_a_full_mailbox_but_not_for_ever() {
        let mailbox = mailbox(2, 99);
        let news = || Letter { from: None, ..letter("bob is here") };
        mailbox.push(letter("a")).unwrap();
        mailbox.push(letter("b")).unwrap();
        assert_eq!(mailbox.push(letter("c")), Err(letter("c")));
        mailbox.push(news()).unwrap();
        mailbox.push(news()).unwrap();
        assert_eq!(mailbox.push(news()), Err(news()));
    }

    #[test]
    fn for_word_of_what_became_of_its_own_letters_there_is_room_when_there_is_none_for_others() {
        let mailbox = mailbox(2, 999);
        let word = || Letter::word(Frame::new("not delivered".into()));
        mailbox.push(letter("a")).unwrap();
        let old = [letter("1"), word(), letter("2"), letter("3"), letter("4"), word()];
        assert_eq!(mailbox.put_back(old.to_vec()), [letter("1")]);
        for _ in 2..2 * WORDS {
            mailbox.push(word()).unwrap();
        }
        assert_eq!(mailbox.push(word()), Err(word()), "but not for ever");
        assert_eq!(mailbox.push(letter("b")), Err(letter("b")));
        let heard = |seat| {
            let Poll::Ready(Ok(heard)) = take_as(&mailbox, seat) else { panic!("nothing") };
            heard.matches("not delivered").count()
        };
        assert_eq!(heard(SEAT), 2 * WORDS);
        mailbox.give_to(Seat(2));
        assert_eq!(heard(Seat(2)), 2 * WORDS, "it is kept until it is known to have arrived");
        mailbox.confirm(Seat(2), 99);
        mailbox.push(word()).unwrap();
        mailbox.push(letter("b")).unwrap();
        mailbox.answer(Frame::new("pong".into())).unwrap();
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
        mailbox.push(letter("written")).unwrap();
        assert!(take(&mailbox).is_ready());
        mailbox.push(letter("held")).unwrap();
        let left = mailbox.close(Some(Frame::new("bye".into())), Goodbye::Removed);
        assert_eq!(left, Left { taken: vec![letter("written")], waiting: vec![letter("held")] });
        assert_eq!(take(&mailbox), Poll::Ready(Ok("bye".into())));
        assert_eq!(take(&mailbox), Poll::Ready(Err(Goodbye::Removed)));
    }
}
