//! Links under every schedule that a bus without memory can give them.

use proptest::prelude::*;

use super::*;
use crate::message::{PeerId, RoomId};

fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

fn outgoing(stream: u64) -> Outgoing {
    Outgoing::new(node("a.1"), node("b.1"), stream)
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

#[test]
fn a_frame_in_flight_is_the_only_one() {
    let mut link = outgoing(1);
    assert_eq!(link.next_frame(), None);
    link.push(&numbered(1)).unwrap();
    let frame = link.next_frame().unwrap();
    link.push(&numbered(2)).unwrap();
    assert_eq!(link.next_frame(), None);
    link.not_heard();
    let again = link.next_frame().unwrap();
    let mut incoming = Incoming::default();
    assert_eq!(incoming.receive(arrives(&frame)).envelopes, [numbered(1)]);
    let second = incoming.receive(arrives(&again));
    assert_eq!((second.envelopes, second.repeated, second.missed), (vec![numbered(2)], 1, 0));
    link.sent();
    assert_eq!((link.next_frame(), link.backlog()), (None, 0));
}

#[test]
fn a_frame_is_bounded_but_one_envelope_always_goes() {
    let mut link = outgoing(1);
    for n in 0..100 {
        link.push(&numbered(n)).unwrap();
    }
    link.push(&large(200_000)).unwrap();
    link.push(&numbered(101)).unwrap();
    let mut sizes = Vec::new();
    while let Some(frame) = link.next_frame() {
        sizes.push(arrives(&frame).envelopes.len());
        link.sent();
    }
    assert_eq!(sizes, [64, 36, 1, 1]);
}

#[test]
fn what_does_not_fit_is_refused_and_what_was_taken_stays() {
    let mut link = outgoing(1);
    for n in 0..MAX_WAITING {
        link.push(&numbered(n)).unwrap();
    }
    assert_eq!(link.push(&numbered(0)), Err(Undelivered::Full));
    link.next_frame().unwrap();
    link.sent();
    assert_eq!(link.backlog(), MAX_WAITING - MAX_FRAME);
    link.push(&numbered(0)).unwrap();

    let mut link = outgoing(1);
    link.push(&large(MAX_WAITING_BYTES / 2)).unwrap();
    assert_eq!(link.push(&large(MAX_WAITING_BYTES / 2)), Err(Undelivered::Full));
    link.push(&numbered(0)).unwrap();
    link.next_frame().unwrap();
    link.sent();
    link.push(&large(MAX_WAITING_BYTES / 2)).unwrap();
}

#[test]
fn a_closed_link_gives_back_what_it_has_not_carried_and_takes_nothing() {
    let mut link = outgoing(1);
    for n in 0..3 {
        link.push(&numbered(n)).unwrap();
    }
    link.next_frame().unwrap();
    assert_eq!(link.close(), [numbered(0), numbered(1), numbered(2)]);
    assert_eq!(link.push(&numbered(4)), Err(Undelivered::Unreachable));
    assert_eq!((link.next_frame(), link.close()), (None, vec![]));
}

#[test]
fn a_hole_is_seen_and_what_comes_too_late_is_not_delivered() {
    let mut link = outgoing(1);
    link.push(&numbered(1)).unwrap();
    let lost = link.next_frame().unwrap();
    link.sent();
    link.push(&numbered(2)).unwrap();
    let heard = link.next_frame().unwrap();
    let mut incoming = Incoming::default();
    let after = incoming.receive(arrives(&heard));
    assert_eq!((after.envelopes, after.missed), (vec![numbered(2)], 1));
    let late = incoming.receive(arrives(&lost));
    assert_eq!((late.envelopes, late.repeated, late.missed), (vec![], 1, 0));
}

#[test]
fn a_later_stream_begins_anew_and_ends_the_one_before() {
    let frame_of = |stream| {
        let mut link = outgoing(stream);
        link.push(&numbered(7)).unwrap();
        link.next_frame().unwrap()
    };
    let mut incoming = Incoming::default();
    assert_eq!(incoming.receive(arrives(&frame_of(1))).envelopes.len(), 1);
    let second = incoming.receive(arrives(&frame_of(2)));
    assert_eq!((second.envelopes.len(), second.missed), (1, 0));
    assert_eq!(incoming.receive(arrives(&frame_of(1))), Received { repeated: 1, ..Received::default() });
}

#[test]
fn a_frame_for_another_node_says_nothing() {
    let mut link = outgoing(1);
    link.push(&numbered(1)).unwrap();
    assert_eq!(Batch::decode(&link.next_frame().unwrap(), &node("c.1")), None);
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

/// What may happen on the way.
#[derive(Clone, Debug)]
enum Step {
    Push,
    /// The frame is published and heard.
    Heard,
    /// It is heard, but the answer does not come back: it goes again.
    HeardUnanswered,
    /// It is not heard.
    Lost,
    /// An old frame turns up again.
    Echo(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Push),
        2 => Just(Step::Heard),
        1 => Just(Step::HeardUnanswered),
        1 => Just(Step::Lost),
        1 => any::<prop::sample::Index>().prop_map(Step::Echo),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #[test]
    fn any_schedule_delivers_in_order_and_once(steps in steps()) {
        let (mut link, mut incoming) = (outgoing(3), Incoming::default());
        let (mut pushed, mut echoes, mut heard) = (0, Vec::<Vec<u8>>::new(), Vec::new());
        let mut hear = |frame: &Vec<u8>, incoming: &mut Incoming| {
            let received = incoming.receive(arrives(frame));
            heard.extend(received.envelopes);
            received.missed
        };
        for step in steps.into_iter().chain(vec![Step::Heard; 400 / MAX_FRAME + 1]) {
            match step {
                Step::Push => {
                    link.push(&numbered(pushed)).unwrap();
                    pushed += 1;
                    continue;
                }
                Step::Echo(index) => {
                    if !echoes.is_empty() {
                        prop_assert_eq!(hear(index.get(&echoes[..]), &mut incoming), 0);
                    }
                    continue;
                }
                Step::Heard | Step::HeardUnanswered | Step::Lost => {}
            }
            let Some(frame) = link.next_frame() else { continue };
            if !matches!(step, Step::Lost) {
                prop_assert_eq!(hear(&frame, &mut incoming), 0);
                echoes.push(frame);
            }
            if matches!(step, Step::Heard) { link.sent() } else { link.not_heard() }
        }
        prop_assert_eq!(link.backlog(), 0);
        prop_assert_eq!(heard, (0..pushed).map(numbered).collect::<Vec<_>>());
    }

    #[test]
    fn garbage_is_never_a_frame(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let seal = Seal::new(&[7; 32]);
        prop_assert_eq!(seal.open(&bytes), None);
        // Even under our own seal, what is not a batch for this node, or holds no envelopes, delivers nothing.
        if let Some(batch) = Batch::decode(&bytes, &node("b.1")) {
            Incoming::default().receive(batch);
        }
        let batch = Batch {
            from: node("a.1"), to: node("b.1"), stream: u64::MAX, first: u64::MAX, envelopes: vec![bytes.into()],
        };
        let received = Incoming::default().receive(batch);
        prop_assert_eq!(received.envelopes.len() as u64 + received.unknown, 1);
    }

    #[test]
    fn a_truncated_frame_is_not_one(count in 1..20_usize, cut in any::<prop::sample::Index>()) {
        let mut link = outgoing(1);
        (0..count).for_each(|n| link.push(&numbered(n)).unwrap());
        let frame = link.next_frame().unwrap();
        prop_assert_eq!(Batch::decode(&frame[..cut.index(frame.len())], &node("b.1")), None);
    }
}
