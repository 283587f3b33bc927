//! Links under every schedule that a bus without memory can give them.

use proptest::prelude::*;

use super::*;
use crate::message::{PeerId, RoomId};

const BOUNDS: Bounds = Bounds { messages: 20_000, bytes: 8 << 20 };

fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

/// The end at `a` of a link to `b`.
fn link() -> Link {
    Link::new(node("a.1"), node("b.1"), 1 << 32, BOUNDS)
}

/// The other end.
fn other_end() -> Link {
    Link::new(node("b.1"), node("a.1"), 1 << 32, BOUNDS)
}

/// An envelope of which no other one is like.
fn numbered(n: usize) -> Envelope {
    Envelope::Roster { room: RoomId::of("camus", "r"), but: PeerId::new(n.to_string()) }
}

fn large(bytes: usize) -> Envelope {
    Envelope::Roster { room: RoomId::of("camus", "r"), but: PeerId::new("x".repeat(bytes)) }
}

fn arrives(frame: &[u8]) -> Batch {
    Batch::decode(frame, &node("b.1")).unwrap()
}

/// What the end at `a` publishes, and somebody hears.
fn published(link: &mut Link, now: Instant) -> Vec<u8> {
    let frame = link.next_frame(now).unwrap();
    link.heard(now);
    frame
}

/// What `to` says to what was published, if it says something within the time for that.
fn answers(to: &mut Link, from: &mut Link, now: Instant) -> bool {
    let Some(frame) = to.next_frame(now + ACK_AFTER) else { return false };
    to.heard(now);
    from.receive(Batch::decode(&frame, &node("a.1")).unwrap(), now + ACK_AFTER);
    true
}

#[test]
fn one_who_was_deaf_goes_back_at_once_and_is_as_patient_as_at_first() {
    let (mut a, now) = (link(), Instant::now());
    a.push(&numbered(1)).unwrap();
    published(&mut a, now);
    for _ in 0..3 {
        a.was_deaf(now);
        published(&mut a, now);
        assert_eq!(a.wake_at(), Some(now + GO_BACK.0));
    }
    let later = now + GO_BACK.0;
    a.next_frame(later).unwrap();
    a.unheard(later);
    a.was_deaf(later);
    published(&mut a, later);
    assert_eq!(a.wake_at(), Some(later + GO_BACK.0), "also if nothing is published that could be repeated");
}

#[test]
fn two_who_were_deaf_at_the_same_time_believe_each_other() {
    let (mut a, mut b, now) = (link(), other_end(), Instant::now());
    a.push(&numbered(1)).unwrap();
    b.receive(arrives(&published(&mut a, now)), now);
    assert!(answers(&mut b, &mut a, now));
    a.push(&numbered(2)).unwrap();
    published(&mut a, now);
    a.was_deaf(now);
    let _lost = published(&mut a, now);
    b.was_deaf(now);
    assert!(answers(&mut b, &mut a, now));
    let again = a.next_frame(now + ACK_AFTER).expect("it goes back at once");
    assert_eq!(b.receive(arrives(&again), now).envelopes, [numbered(2)]);
}

#[test]
fn a_frame_in_flight_is_the_only_one_and_one_that_nobody_heard_goes_again() {
    let (mut a, mut b, now) = (link(), other_end(), Instant::now());
    assert_eq!(a.next_frame(now), None);
    a.push(&numbered(1)).unwrap();
    let frame = a.next_frame(now).unwrap();
    a.push(&numbered(2)).unwrap();
    assert_eq!(a.next_frame(now), None);
    a.unheard(now);
    let again = a.next_frame(now).unwrap();
    assert_eq!(b.receive(arrives(&frame), now).envelopes, [numbered(1)]);
    let second = b.receive(arrives(&again), now);
    assert_eq!((second.envelopes, second.repeated, second.missed), (vec![numbered(2)], 1, 0));
    a.heard(now);
    assert_eq!((a.next_frame(now), a.backlog()), (None, 2), "heard is not acknowledged");
    assert!(answers(&mut b, &mut a, now));
    assert_eq!((a.next_frame(now), a.backlog(), a.wake_at()), (None, 0, None));
    assert!(!answers(&mut b, &mut a, now), "an acknowledgement is not acknowledged");
}

#[test]
fn a_frame_is_bounded_but_one_envelope_always_goes() {
    let (mut a, now) = (link(), Instant::now());
    for n in 0..300 {
        a.push(&numbered(n)).unwrap();
    }
    a.push(&large(200_000)).unwrap();
    a.push(&numbered(301)).unwrap();
    let sizes = [(); 4].map(|()| arrives(&published(&mut a, now)).envelopes.len());
    assert_eq!(sizes, [256, 44, 1, 1]);
}

#[test]
fn what_does_not_fit_is_refused_and_what_was_taken_stays() {
    let (mut a, mut b, now) = (link(), other_end(), Instant::now());
    for n in 0..BOUNDS.messages {
        a.push(&numbered(n)).unwrap();
    }
    assert_eq!(a.push(&numbered(0)), Err(Undelivered::Full));
    let frame = published(&mut a, now);
    assert_eq!(a.push(&numbered(0)), Err(Undelivered::Full), "until it is acknowledged");
    b.receive(arrives(&frame), now);
    answers(&mut b, &mut a, now);
    assert_eq!(a.backlog(), BOUNDS.messages - MAX_FRAME);
    a.push(&numbered(0)).unwrap();

    let mut a = link();
    a.push(&large(BOUNDS.bytes / 2)).unwrap();
    assert_eq!(a.push(&large(BOUNDS.bytes / 2)), Err(Undelivered::Full));
    a.push(&numbered(0)).unwrap();
}

#[test]
fn a_closed_link_gives_back_what_was_not_acknowledged_and_takes_nothing_until_it_is_opened() {
    let (mut a, mut b, now) = (link(), other_end(), Instant::now());
    for n in 0..3 {
        a.push(&numbered(n)).unwrap();
    }
    let lost = published(&mut a, now);
    assert_eq!(a.close(), [numbered(0), numbered(1), numbered(2)]);
    assert_eq!(a.push(&numbered(4)), Err(Undelivered::Unreachable));
    assert_eq!((a.next_frame(now), a.close()), (None, vec![]));
    a.reopen();
    a.push(&numbered(5)).unwrap();
    assert_eq!(b.receive(arrives(&published(&mut a, now)), now).envelopes, [numbered(5)]);
    assert_eq!(b.receive(arrives(&lost), now).envelopes, [], "what was given back does not arrive as well");
}

#[test]
fn a_hole_that_is_told_of_while_a_frame_is_in_flight_is_filled_all_the_same() {
    let (mut a, mut b, now) = (link(), other_end(), Instant::now());
    a.push(&numbered(1)).unwrap();
    let _lost = published(&mut a, now);
    a.push(&numbered(2)).unwrap();
    b.receive(arrives(&published(&mut a, now)), now);
    a.push(&numbered(3)).unwrap();
    let in_flight = a.next_frame(now).unwrap();
    answers(&mut b, &mut a, now);
    a.heard(now);
    b.receive(arrives(&in_flight), now);
    let again = b.receive(arrives(&published(&mut a, now)), now);
    assert_eq!(again.envelopes, [numbered(1), numbered(2), numbered(3)]);
}

#[test]
fn a_hole_is_asked_for_and_filled() {
    let (mut a, mut b, now) = (link(), other_end(), Instant::now());
    a.push(&numbered(1)).unwrap();
    let _lost = published(&mut a, now);
    a.push(&numbered(2)).unwrap();
    let heard = published(&mut a, now);
    let after = b.receive(arrives(&heard), now);
    assert_eq!((after.envelopes, after.missed), (vec![], 1));
    assert_eq!(b.wake_at(), Some(now), "at once");
    answers(&mut b, &mut a, now);
    let again = b.receive(arrives(&published(&mut a, now)), now);
    assert_eq!(again.envelopes, [numbered(1), numbered(2)]);
    assert_eq!(a.repeated_frames(), 1);
}

#[test]
fn a_lost_tail_goes_again_after_a_while_and_then_more_slowly() {
    let (mut a, mut now) = (link(), Instant::now());
    a.push(&numbered(1)).unwrap();
    published(&mut a, now);
    for pause in [300, 600, 1200, 2000, 2000] {
        let pause = Duration::from_millis(pause);
        assert_eq!(a.wake_at(), Some(now + pause));
        assert_eq!(a.next_frame(now + pause - Duration::from_millis(1)), None);
        now += pause;
        assert_eq!(arrives(&published(&mut a, now)).envelopes.len(), 1);
    }
}

#[test]
fn one_that_has_forgotten_what_it_had_is_sent_a_new_stream() {
    let (mut a, mut b, now) = (link(), other_end(), Instant::now());
    a.push(&numbered(1)).unwrap();
    b.receive(arrives(&published(&mut a, now)), now);
    answers(&mut b, &mut a, now);
    let mut b = Link::new(node("b.1"), node("a.1"), 2 << 32, BOUNDS);
    a.push(&numbered(2)).unwrap();
    assert_eq!(b.receive(arrives(&published(&mut a, now)), now).envelopes, []);
    answers(&mut b, &mut a, now);
    assert_eq!(b.receive(arrives(&published(&mut a, now)), now).envelopes, [numbered(2)]);
}

#[test]
fn an_old_frame_that_turns_up_late_has_no_news() {
    let (mut a, mut b, now) = (link(), other_end(), Instant::now());
    // What b says before and after it has had the first envelope.
    a.push(&numbered(1)).unwrap();
    let lost = published(&mut a, now);
    a.push(&numbered(2)).unwrap();
    b.receive(arrives(&published(&mut a, now)), now);
    let old = b.next_frame(now).unwrap();
    b.heard(now);
    b.receive(arrives(&lost), now);
    let new = b.next_frame(now + ACK_AFTER).unwrap();
    let [old, new] = [old, new].map(|frame| Batch::decode(&frame, &node("a.1")).unwrap());
    a.receive(new, now);
    a.receive(old, now);
    assert_eq!((a.next_frame(now), a.backlog()), (None, 1), "it does not go back, nor begin anew");
}

#[test]
fn a_later_stream_begins_anew_and_ends_the_one_before() {
    let now = Instant::now();
    let frame_of = |stream: u64| {
        let mut link = Link::new(node("a.1"), node("b.1"), stream << 32, BOUNDS);
        link.push(&numbered(7)).unwrap();
        link.next_frame(now).unwrap()
    };
    let mut b = other_end();
    assert_eq!(b.receive(arrives(&frame_of(1)), now).envelopes.len(), 1);
    let second = b.receive(arrives(&frame_of(2)), now);
    assert_eq!((second.envelopes.len(), second.missed), (1, 0));
    assert_eq!(b.receive(arrives(&frame_of(1)), now), Received { repeated: 1, ..Received::default() });
}

#[test]
fn a_frame_for_another_node_says_nothing() {
    let mut a = link();
    a.push(&numbered(1)).unwrap();
    assert_eq!(Batch::decode(&a.next_frame(Instant::now()).unwrap(), &node("c.1")), None);
}

#[test]
fn a_seal_is_of_one_key_and_of_one_version() {
    let (ours, theirs) = (Seal::new(&[1; 32]), Seal::new(&[2; 32]));
    let sealed = ours.close(b"frame");
    assert_eq!(ours.open(&sealed), Some(&b"frame"[..]));
    assert_eq!(theirs.open(&sealed), None);
    for at in 0..sealed.len() {
        let mut broken = sealed.clone();
        broken[at] ^= 1;
        assert_eq!(ours.open(&broken), None, "byte {at}");
        assert_eq!(ours.open(&sealed[..at]), None, "first {at} bytes");
    }
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    A,
    B,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It arrives, and its sender knows that somebody heard it.
    Arrives,
    /// It arrives, but the answer to its sender does not come back.
    ArrivesUnanswered,
    /// It arrives twice.
    ArrivesTwice,
    /// Somebody heard it, and it is lost all the same.
    Lost,
    /// Nobody heard it.
    Unheard,
}

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    Push(End),
    /// An end publishes what it has to say, unless it still does.
    Takes(End),
    /// What it publishes meets its fate.
    Lands(End, Fate),
    /// A frame that was published before, lost or not, turns up.
    TurnsUp(prop::sample::Index),
    /// An end may have heard nothing for a while.
    WasDeaf(End),
    /// Time passes; milliseconds.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let end = || prop_oneof![Just(End::A), Just(End::B)];
    let fate = prop_oneof![
        6 => Just(Fate::Arrives),
        1 => Just(Fate::ArrivesUnanswered),
        1 => Just(Fate::ArrivesTwice),
        2 => Just(Fate::Lost),
        1 => Just(Fate::Unheard),
    ];
    let step = prop_oneof![
        4 => end().prop_map(Step::Push),
        6 => end().prop_map(Step::Takes),
        6 => (end(), fate).prop_map(|(end, fate)| Step::Lands(end, fate)),
        1 => any::<prop::sample::Index>().prop_map(Step::TurnsUp),
        1 => end().prop_map(Step::WasDeaf),
        2 => (1..700_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

/// Two ends, what was pushed at each and has come to it, and every frame that ever was.
struct Pair {
    a: Link,
    b: Link,
    pushed: [usize; 2],
    come: [Vec<Envelope>; 2],
    in_flight: [Option<Vec<u8>>; 2],
    frames: Vec<Vec<u8>>,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let (a, b, now) = (link(), other_end(), Instant::now());
        Self { a, b, pushed: [0; 2], come: [vec![], vec![]], in_flight: [None, None], frames: vec![], now }
    }

    fn end(&mut self, end: End) -> &mut Link {
        match end {
            End::A => &mut self.a,
            End::B => &mut self.b,
        }
    }

    fn arrives(&mut self, frame: &[u8]) {
        let now = self.now;
        for (end, name) in [(End::A, "a.1"), (End::B, "b.1")] {
            if let Some(batch) = Batch::decode(frame, &node(name)) {
                let received = self.end(end).receive(batch, now);
                self.come[end as usize].extend(received.envelopes);
            }
        }
    }

    fn takes(&mut self, end: End) {
        let now = self.now;
        if let Some(frame) = self.end(end).next_frame(now) {
            self.in_flight[end as usize] = Some(frame);
        }
    }

    /// Whether something was published.
    fn lands(&mut self, end: End, fate: Fate) -> bool {
        let now = self.now;
        let Some(frame) = self.in_flight[end as usize].take() else { return false };
        let times = match fate {
            Fate::Arrives | Fate::ArrivesUnanswered => 1,
            Fate::ArrivesTwice => 2,
            Fate::Lost | Fate::Unheard => 0,
        };
        (0..times).for_each(|_| self.arrives(&frame));
        match fate {
            Fate::Unheard | Fate::ArrivesUnanswered => self.end(end).unheard(now),
            _ => self.end(end).heard(now),
        }
        self.frames.push(frame);
        true
    }

    fn does(&mut self, step: &Step) {
        match step {
            Step::Push(end) => {
                let number = self.pushed[*end as usize];
                self.end(*end).push(&numbered(number)).unwrap();
                self.pushed[*end as usize] += 1;
            }
            Step::Takes(end) => self.takes(*end),
            Step::Lands(end, fate) => drop(self.lands(*end, *fate)),
            Step::TurnsUp(index) if !self.frames.is_empty() => {
                let frame = index.get(&self.frames).clone();
                self.arrives(&frame);
            }
            Step::TurnsUp(_) => {}
            Step::WasDeaf(end) => {
                let now = self.now;
                self.end(*end).was_deaf(now);
            }
            Step::Wait(milliseconds) => self.now += Duration::from_millis(*milliseconds),
        }
    }

    /// From now on nothing is lost: how many frames it takes until all is acknowledged.
    fn heals(&mut self) -> usize {
        for frames in 0..1_000 {
            let mut went = false;
            for end in [End::A, End::B] {
                self.takes(end);
                went |= self.lands(end, Fate::Arrives);
            }
            if went {
                continue;
            }
            match [self.a.wake_at(), self.b.wake_at()].into_iter().flatten().min() {
                None => return frames,
                Some(at) => self.now = self.now.max(at),
            }
        }
        panic!("the ends never come to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_bus_does_each_envelope_comes_once_and_in_order(steps in steps()) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.does(step);
        }
        pair.heals();
        prop_assert_eq!((pair.a.backlog(), pair.b.backlog()), (0, 0));
        for (from, to) in [(End::A, End::B), (End::B, End::A)] {
            let all: Vec<_> = (0..pair.pushed[from as usize]).map(numbered).collect();
            prop_assert_eq!(&pair.come[to as usize], &all);
        }
    }

    /// One end dies: what it has acknowledged had come, and everything else is given back.
    #[test]
    fn what_a_dead_end_has_not_acknowledged_comes_back(steps in steps()) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.does(step);
        }
        let left = pair.a.close();
        let (pushed, come) = (pair.pushed[0], &pair.come[1]);
        let all: Vec<_> = (0..pushed).map(numbered).collect();
        prop_assert!(come.len() + left.len() >= pushed, "nothing between the two");
        prop_assert_eq!(&all[pushed - left.len()..], &left[..]);
        prop_assert_eq!(&all[..come.len()], &come[..]);
    }

    #[test]
    fn garbage_is_never_a_frame(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let seal = Seal::new(&[7; 32]);
        prop_assert_eq!(seal.open(&bytes), None);
        // Even under our own seal, what is not a batch for this node, or holds no envelopes, delivers nothing.
        let now = Instant::now();
        if let Some(batch) = Batch::decode(&bytes, &node("b.1")) {
            other_end().receive(batch, now);
        }
        let batch = |first, ack| Batch {
            from: node("a.1"), to: node("b.1"), frame: u64::MAX, stream: u64::MAX, first,
            envelopes: vec![bytes.clone().into()], ack,
        };
        let received = other_end().receive(batch(1, None), now);
        prop_assert_eq!(received.envelopes.len() as u64 + received.unknown, 1);
        let ack = Ack { stream: u64::MAX, newest: u64::MAX, missing: true };
        let received = other_end().receive(batch(u64::MAX, Some(ack)), now);
        prop_assert_eq!((received.envelopes, received.missed), (vec![], u64::MAX - 1));
    }

    #[test]
    fn a_truncated_frame_is_not_one(count in 1..20_usize, cut in any::<prop::sample::Index>()) {
        let mut a = link();
        (0..count).for_each(|n| a.push(&numbered(n)).unwrap());
        let frame = a.next_frame(Instant::now()).unwrap();
        prop_assert_eq!(Batch::decode(&frame[..cut.index(frame.len())], &node("b.1")), None);
    }
}
