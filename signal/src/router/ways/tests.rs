//! Letters on their way, told as what becomes of nodes. No socket, no clock.

use std::cell::RefCell;
use std::collections::BTreeSet;

use parking_lot::Mutex;

use super::finding::{LOOK_EVERY, LOOK_FOR};
use super::*;
use crate::backplane::{Backplane, Change, DeliveryToAll, Departure, Entry, Listing, Numbers, Wait};
use crate::hub::mailbox::Mark;
use crate::hub::room::{Record, Snapshot};
use crate::message::{Claim, Frame};

const BOUNDS: Bounds = Bounds { messages: 200_000, bytes: 128 << 20 };

/// A backplane that carries by writing down. Nothing else is asked of it.
#[derive(Default)]
struct Wire {
    me: Option<NodeId>,
    carried: Mutex<Vec<(NodeId, Envelope)>>,
    gone: Mutex<BTreeSet<NodeId>>,
    full: Mutex<bool>,
    left: Mutex<Vec<Envelope>>,
}

impl Wire {
    /// What was carried since the last time, as `node: letters`.
    fn carried(&self) -> Vec<String> {
        let text = |letter: &Letter| {
            let (PeerId { .. }, frame) = (peer("x"), letter.frame.to(&peer("x")));
            String::from_utf8(frame.to_vec()).unwrap()
        };
        let mut carried = Vec::new();
        for (node, envelope) in self.carried.lock().drain(..) {
            carried.push(match envelope {
                Envelope::Deliver(one) => format!("{node}: {} for {}", text(&one.letter), one.to),
                Envelope::DeliverAll(all) => format!("{node}: {} for {:?}", text(&all.letter), all.to),
                Envelope::HandOver { held, .. } => {
                    format!("{node}: {}", held.iter().map(text).collect::<Vec<_>>().join(" "))
                }
                Envelope::PassedOn { to, steps } => {
                    let steps = steps.iter().map(|step| format!("{} {}", step.number, step.hops));
                    format!("{node}: passed on to {to}: {}", steps.collect::<Vec<_>>().join(", "))
                }
                other => panic!("carried {other:?}"),
            });
        }
        carried
    }

    fn dies(&self, node: &NodeId) {
        self.gone.lock().insert(node.clone());
    }
}

impl Backplane for Wire {
    fn node(&self) -> &NodeId {
        self.me.as_ref().unwrap()
    }
    fn is_up(&self) -> bool {
        true
    }
    fn others(&self) -> Wait<'_, Vec<NodeId>> {
        unreachable!()
    }
    fn register<'a>(&'a self, _: &'a RoomId, _: Option<&'a str>, _: Duration) -> Wait<'a, bool> {
        unreachable!()
    }
    fn numbers(&self) -> Numbers {
        Numbers::default()
    }
    fn make<'a>(&'a self, _: &'a RoomId, _: Record) -> Wait<'a, ()> {
        unreachable!()
    }
    fn look<'a>(&'a self, _: &'a RoomId, _: &'a [PeerId]) -> Wait<'a, Option<Snapshot>> {
        unreachable!()
    }
    fn look_out<'a>(&'a self, _: &'a RoomId, _: Duration) -> Wait<'a, Option<Snapshot>> {
        unreachable!()
    }
    fn peers<'a>(&'a self, _: &'a str) -> Wait<'a, Vec<PeerId>> {
        unreachable!()
    }
    fn public_rooms<'a>(&'a self, _: &'a str) -> Wait<'a, Vec<Listing>> {
        unreachable!()
    }
    fn join<'a>(&'a self, _: &'a RoomId, _: Entry) -> Wait<'a, Snapshot> {
        unreachable!()
    }
    fn change<'a>(&'a self, _: &'a RoomId, _: &'a PeerId, _: Claim, _: Change) -> Wait<'a, u64> {
        unreachable!()
    }
    fn leave<'a>(&'a self, _: &'a RoomId, _: &'a PeerId, _: Claim, _: Departure) -> Wait<'a, u64> {
        unreachable!()
    }
    fn carry(&self, to: &NodeId, envelope: Envelope) -> Result<(), Undelivered> {
        if self.gone.lock().contains(to) {
            return Err(Undelivered::Unreachable);
        }
        if *self.full.lock() {
            return Err(Undelivered::Full);
        }
        self.carried.lock().push((to.clone(), envelope));
        Ok(())
    }
    fn take_back(&self, _: &NodeId) -> Vec<Envelope> {
        std::mem::take(&mut *self.left.lock())
    }
    fn close(&self) -> Wait<'_, ()> {
        unreachable!()
    }
}

fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

fn peer(name: &str) -> PeerId {
    PeerId::new(name)
}

fn room() -> RoomId {
    RoomId::of("camus", "r")
}

fn letter(text: &str) -> Letter {
    Letter { from: Some(peer("alice")), ..Letter::from_server(Frame::new(text.into())) }
}

fn for_bob(text: &str) -> Delivery {
    Delivery { room: room(), to: peer("bob"), letter: letter(text), spent: Duration::ZERO }
}

fn step(number: u64, hops: u32) -> Step {
    Step { number, hops }
}

fn bob() -> Address {
    (room(), peer("bob"))
}

/// What node `a` has under way, with its wire to `b`, `c` and `d`.
struct Scene {
    ways: Ways,
    wire: Wire,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        let wire = Wire { me: Some(node("a")), ..Wire::default() };
        Self { ways: Ways::new(node("a"), BOUNDS), wire, now: Instant::now() }
    }

    /// Alice says something to Bob, who is believed to be on `on`.
    fn says(&mut self, text: &str, on: &str) {
        self.ways.send(Some(&node(on)), for_bob(text), self.now, &self.wire).unwrap();
    }

    /// Bob was looked for: what went into his mailbox here, and what was given up.
    fn finds(&mut self, found: Found) -> (Vec<String>, Vec<(String, Undelivered)>) {
        let put = RefCell::new(Vec::new());
        let text =
            |delivery: &Delivery| String::from_utf8(delivery.letter.frame.to(&peer("bob")).to_vec()).unwrap();
        let refused = self.ways.found(&bob(), &found, Duration::ZERO, self.now, &self.wire, |delivery| {
            put.borrow_mut().push(text(delivery));
            Placed::Taken
        });
        (put.into_inner(), refused.iter().map(|(delivery, why)| (text(delivery), *why)).collect())
    }

    fn is_over(&self) {
        assert_eq!((self.ways.len(), self.ways.bytes()), (0, 0));
        assert!(self.ways.rooms.is_empty() && self.ways.copies.is_empty() && self.ways.sought.is_empty());
    }
}

#[test]
fn a_letter_is_kept_until_it_is_settled() {
    let mut scene = Scene::new();
    scene.says("one", "b");
    scene.says("two", "b");
    assert_eq!(scene.wire.carried(), ["b: one for bob", "b: two for bob"]);
    scene.ways.settled([2], scene.now);
    assert_eq!(scene.ways.len(), 1);
    assert!(scene.ways.lead_to(&room(), &peer("bob")));
    scene.ways.settled([1, 1, 7], scene.now);
    scene.is_over();
}

#[test]
fn what_a_dead_node_had_goes_to_where_its_peer_is_now_before_all_that_is_newer() {
    let mut scene = Scene::new();
    for text in ["one", "two", "three"] {
        scene.says(text, "b");
    }
    scene.ways.settled([2], scene.now);
    scene.wire.carried();
    scene.wire.dies(&node("b"));
    // Nobody has said yet that it is gone: the next letter finds out.
    scene.says("four", "b");
    assert_eq!(scene.ways.due(scene.now), [bob()]);
    scene.says("five", "c");
    assert_eq!(scene.wire.carried(), Vec::<String>::new(), "newer ones wait behind older ones");
    assert_eq!(scene.finds(Found::On(node("c"))), (vec![], vec![]));
    assert_eq!(
        scene.wire.carried(),
        ["c: one for bob", "c: three for bob", "c: four for bob", "c: five for bob"]
    );
    scene.says("six", "c");
    assert_eq!(scene.wire.carried(), ["c: six for bob"]);
}

#[test]
fn what_a_dead_node_had_is_put_into_a_mailbox_here_if_its_peer_was_taken_over() {
    let mut scene = Scene::new();
    scene.says("one", "b");
    scene.ways.lost(&node("b"), Vec::new(), scene.now);
    assert!(scene.ways.lead_to(&room(), &peer("bob")), "a newer one may not go straight into the mailbox");
    assert_eq!(scene.finds(Found::Here), (vec!["one".into()], vec![]));
    scene.is_over();
}

#[test]
fn what_comes_back_goes_before_what_waits_for_it() {
    let mut scene = Scene::new();
    scene.says("one", "b");
    scene.says("two", "b");
    // Bob comes to this node.
    scene.ways.wait(for_bob("three"), scene.now, scene.now).unwrap();
    assert!(scene.ways.has_older(&room(), &peer("bob"), 2), "the first is still on b");
    assert!(scene.ways.take_home(2, scene.now).is_some());
    scene.ways.wait_at_home(for_bob("two"), 2, scene.now);
    assert!(!scene.ways.has_older(&room(), &peer("bob"), 1));
    assert!(scene.ways.take_home(1, scene.now).is_some());
    assert!(scene.ways.take_home(1, scene.now).is_none(), "once");
    scene.ways.wait_at_home(for_bob("one"), 1, scene.now);
    assert_eq!(scene.finds(Found::Here), (["one", "two", "three"].map(String::from).into(), vec![]));
    scene.is_over();

    // He has gone on when they come, the older one first.
    scene.ways.wait(for_bob("three"), scene.now, scene.now).unwrap();
    scene.ways.wait_at_home(for_bob("one"), 3, scene.now);
    scene.ways.wait_at_home(for_bob("two"), 4, scene.now);
    assert_eq!(scene.finds(Found::Here), (["one", "two", "three"].map(String::from).into(), vec![]));
    scene.is_over();
}

#[test]
fn while_a_peer_moves_newer_letters_wait_for_older_ones() {
    let mut scene = Scene::new();
    scene.says("one", "b");
    scene.says("two", "c");
    assert_eq!(scene.wire.carried(), ["b: one for bob"]);
    assert_eq!(scene.finds(Found::On(node("c"))), (vec![], vec![]), "the older one may still be on b");
    assert_eq!(scene.wire.carried(), Vec::<String>::new());
    scene.ways.held(&node("c"), &[step(1, 1)], scene.now);
    assert_eq!(scene.ways.due(scene.now), [bob()]);
    scene.finds(Found::On(node("c")));
    assert_eq!(scene.wire.carried(), ["c: two for bob"]);

    scene.wire.dies(&node("c"));
    scene.ways.lost(&node("c"), Vec::new(), scene.now);
    scene.finds(Found::On(node("d")));
    assert_eq!(scene.wire.carried(), ["d: one for bob", "d: two for bob"], "both were there");
}

#[test]
fn a_node_that_hands_nothing_over_is_not_waited_for_until_its_lease_ends() {
    let mut scene = Scene::new();
    scene.says("one", "b");
    scene.ways.moved(&bob(), &node("c"), scene.now);
    scene.says("two", "c");
    scene.wire.carried();
    assert_eq!(scene.finds(Found::On(node("c"))), (vec![], vec![]));
    assert_eq!(scene.wire.carried(), Vec::<String>::new());
    scene.now += HAND_OVER;
    scene.finds(Found::On(node("c")));
    assert_eq!(scene.wire.carried(), ["c: one for bob", "c: two for bob"]);
    scene.ways.settled([2, 3], scene.now);
    scene.is_over();

    // The same, though nothing newer is said.
    scene.says("three", "c");
    scene.ways.moved(&bob(), &node("a"), scene.now);
    assert_eq!(scene.ways.awaits_next_due(), Some(scene.now + HAND_OVER));
    scene.now += HAND_OVER;
    assert_eq!(scene.finds(Found::Here), (vec!["three".into()], vec![]));
    scene.is_over();
}

#[test]
fn one_who_comes_here_from_elsewhere_hears_older_letters_first() {
    let mut scene = Scene::new();
    scene.says("one", "b");
    assert!(scene.ways.lead_to(&room(), &peer("bob")));
    scene.ways.wait(for_bob("two"), scene.now, scene.now).unwrap();
    assert_eq!(scene.finds(Found::Here), (vec![], vec![]), "b is going to hand the older one over");
    // It has come, with its mark.
    scene.ways.settled([1], scene.now);
    assert_eq!(scene.finds(Found::Here), (vec!["two".into()], vec![]));
    scene.is_over();
}

#[test]
fn a_frame_for_several_is_settled_by_each_of_them() {
    let mut scene = Scene::new();
    let to = ["bob", "carol", "dave"].map(peer).to_vec();
    let all = DeliveryToAll { room: room(), to, letter: letter("hello"), spent: Duration::ZERO };
    scene.says("older", "c");
    scene.wire.carried();
    assert_eq!(scene.ways.send_to_all(&node("b"), all, scene.now, &scene.wire), []);
    assert_eq!(scene.wire.carried(), [r#"b: hello for [PeerId(carol), PeerId(dave)]"#], "bob has moved");
    scene.ways.settled([2], scene.now);
    assert!(!scene.ways.lead_to(&room(), &peer("carol")));
    scene.ways.lost(&node("b"), Vec::new(), scene.now);
    let due: BTreeSet<_> = scene.ways.due(scene.now).into_iter().map(|(_, peer)| peer).collect();
    assert_eq!(due, [peer("bob"), peer("dave")].into());
}

#[test]
fn a_full_link_gives_the_letter_back_and_keeps_nothing() {
    let mut scene = Scene::new();
    *scene.wire.full.lock() = true;
    let refused = scene.ways.send(Some(&node("b")), for_bob("one"), scene.now, &scene.wire);
    assert_eq!(refused, Err((for_bob("one"), Undelivered::Full)));
    let to = ["bob", "carol"].map(peer).to_vec();
    let all = DeliveryToAll { room: room(), to, letter: letter("hello"), spent: Duration::ZERO };
    assert_eq!(scene.ways.send_to_all(&node("b"), all, scene.now, &scene.wire).len(), 2);
    scene.is_over();
}

#[test]
fn a_letter_whose_copy_is_elsewhere_is_passed_on_and_comes_back_if_it_did_not_arrive() {
    let mut scene = Scene::new();
    let mark = Some(Mark { node: node("d"), number: 7, hops: 0 });
    let passed = Delivery { letter: Letter { mark, ..letter("one") }, ..for_bob("one") };
    scene.ways.send(Some(&node("b")), passed.clone(), scene.now, &scene.wire).unwrap();
    assert_eq!(scene.wire.carried(), ["d: passed on to b: 7 1", "b: one for bob"]);
    scene.is_over();
    scene.ways.lost(&node("b"), vec![Envelope::Deliver(passed)], scene.now);
    scene.finds(Found::On(node("c")));
    let carried = scene.wire.carried.lock().pop().unwrap().1;
    let Envelope::Deliver(Delivery { letter, .. }) = carried else { panic!("carried {carried:?}") };
    assert_eq!(letter.mark.unwrap().number, 7, "the copy is still where it was");
}

#[test]
fn if_whoever_keeps_the_copy_of_a_letter_is_gone_who_passes_it_on_keeps_one() {
    let mut scene = Scene::new();
    let mark = Some(Mark { node: node("d"), number: 7, hops: 0 });
    let passed = Delivery { letter: Letter { mark, ..letter("one") }, ..for_bob("one") };
    scene.wire.dies(&node("d"));
    scene.ways.send(Some(&node("b")), passed, scene.now, &scene.wire).unwrap();
    assert_eq!(scene.wire.carried(), ["b: one for bob"]);
    let owed = Envelope::Settled { numbers: vec![7] };
    assert_eq!(scene.ways.take_words(), [(node("d"), owed)], "should it live after all");
    scene.ways.lost(&node("b"), Vec::new(), scene.now);
    scene.finds(Found::On(node("c")));
    assert_eq!(scene.wire.carried(), ["c: one for bob"]);
}

#[test]
fn a_letter_that_was_passed_on_is_lost_with_either_of_the_two_until_it_is_known_to_have_come() {
    for (dies, comes_back) in [("b", true), ("c", true), ("d", false)] {
        let mut scene = Scene::new();
        scene.says("one", "b");
        scene.ways.passed_on(&node("b"), &node("c"), &[step(1, 1)], scene.now);
        scene.ways.lost(&node(dies), Vec::new(), scene.now);
        assert_eq!(scene.ways.due(scene.now).contains(&bob()), comes_back, "{dies} dies");
    }
    for (dies, comes_back) in [("b", false), ("c", true)] {
        let mut scene = Scene::new();
        scene.says("one", "b");
        scene.ways.held(&node("c"), &[step(1, 1)], scene.now);
        scene.ways.passed_on(&node("b"), &node("c"), &[step(1, 1)], scene.now);
        scene.ways.held(&node("b"), &[step(1, 0)], scene.now);
        scene.ways.lost(&node(dies), Vec::new(), scene.now);
        assert_eq!(
            scene.ways.due(scene.now).contains(&bob()),
            comes_back,
            "{dies} dies, and older word came later"
        );
    }
}

#[test]
fn what_a_stopped_node_has_left_comes_before_what_was_sent_there() {
    let mut scene = Scene::new();
    scene.says("three", "b");
    scene.says("four", "b");
    scene.ways.wait(for_bob("five"), scene.now, scene.now).unwrap();
    scene.wire.carried();
    let left = vec![for_bob("one"), for_bob("two")];
    assert_eq!(scene.ways.inherit(&node("b"), &bob(), left, scene.now), []);
    scene.ways.lost(&node("b"), Vec::new(), scene.now);
    let heard = ["one", "two", "three", "four", "five"].map(String::from);
    assert_eq!(scene.finds(Found::Here), (heard.into(), vec![]));
    scene.is_over();
}

#[test]
fn while_a_letter_is_passed_on_no_newer_one_overtakes_it() {
    let mut scene = Scene::new();
    scene.says("one", "b");
    scene.ways.passed_on(&node("b"), &node("c"), &[step(1, 1)], scene.now);
    scene.says("two", "c");
    assert_eq!(scene.wire.carried(), ["b: one for bob"]);
    scene.ways.held(&node("c"), &[step(1, 1)], scene.now);
    scene.finds(Found::On(node("c")));
    assert_eq!(scene.wire.carried(), ["c: two for bob"]);
}

#[test]
fn what_is_handed_over_is_kept_like_any_other_letter() {
    let mut scene = Scene::new();
    let theirs = Letter { mark: Some(Mark { node: node("d"), number: 7, hops: 0 }), ..letter("theirs") };
    let held = vec![letter("ours"), theirs];
    let to = (&room(), &peer("bob"));
    let refused = scene.ways.hand_over(&node("b"), to, held.clone(), true, scene.now, &scene.wire);
    assert_eq!(refused, []);
    assert_eq!(scene.wire.carried(), ["d: passed on to b: 7 1", "b: ours theirs"]);
    assert_eq!(scene.ways.len(), 1, "of theirs there is a copy already");
    scene.ways.settled([1], scene.now);
    scene.is_over();

    scene.wire.dies(&node("b"));
    assert_eq!(scene.ways.hand_over(&node("b"), to, held, true, scene.now, &scene.wire), []);
    scene.finds(Found::On(node("c")));
    assert_eq!(
        scene.wire.carried(),
        ["d: passed on to b: 7 1", "c: ours for bob", "d: passed on to c: 7 2", "c: theirs for bob"]
    );
}

#[test]
fn a_sender_who_wants_to_know_hears_once_that_its_letter_is_safe() {
    let mut scene = Scene::new();
    let named = |delivery: Delivery, name: &str| Delivery {
        letter: Letter { name: Some(name.into()), ..delivery.letter },
        ..delivery
    };
    for name in ["1", "2", "3"] {
        scene.ways.send(Some(&node("b")), named(for_bob("x"), name), scene.now, &scene.wire).unwrap();
    }
    let safe = |name: &str| (room(), peer("alice"), name.into());
    assert_eq!(scene.ways.held(&node("b"), &[step(1, 0)], scene.now), [safe("1")], "it has come to b");
    assert_eq!(scene.ways.settled([1, 2], scene.now), [safe("2")], "and that is known already");
    scene.ways.held(&node("b"), &[step(3, 0)], scene.now);
    scene.ways.lost(&node("b"), Vec::new(), scene.now);
    scene.finds(Found::On(node("c")));
    assert_eq!(scene.ways.held(&node("c"), &[step(4, 0)], scene.now), [], "also if it has to go again");
}

#[test]
fn who_cannot_be_found_for_long_is_given_up_and_who_is_absent_at_once() {
    let mut scene = Scene::new();
    scene.ways.wait(for_bob("one"), scene.now, scene.now).unwrap();
    assert_eq!(scene.finds(Found::Unknown), (vec![], vec![]));
    assert_eq!(scene.ways.awaits_next_due(), Some(scene.now + LOOK_EVERY));
    scene.now += LOOK_FOR;
    assert_eq!(scene.finds(Found::Unknown), (vec![], vec![("one".into(), Undelivered::Unreachable)]));
    scene.is_over();
    scene.ways.wait(for_bob("two"), scene.now, scene.now).unwrap();
    assert_eq!(scene.finds(Found::Nowhere), (vec![], vec![("two".into(), Undelivered::Absent)]));
    scene.is_over();
    scene.ways.wait(for_bob("three"), scene.now, scene.now).unwrap();
    assert_eq!(scene.ways.give_up(scene.now), [for_bob("three")]);
    scene.is_over();
}

#[test]
fn what_waits_behind_older_letters_has_its_own_time() {
    let mut scene = Scene::new();
    scene.ways.wait(for_bob("one"), scene.now, scene.now).unwrap();
    scene.now += LOOK_FOR / 2;
    scene.ways.wait(for_bob("two"), scene.now, scene.now).unwrap();
    scene.now += LOOK_FOR / 2;
    assert_eq!(scene.finds(Found::Unknown), (vec![], vec![("one".into(), Undelivered::Unreachable)]));
    scene.now += LOOK_FOR / 2;
    assert_eq!(scene.finds(Found::Unknown), (vec![], vec![("two".into(), Undelivered::Unreachable)]));
    scene.is_over();
}

#[test]
fn an_absent_one_is_waited_for_where_its_protocol_does() {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut scene = Scene::new();
    let found = |scene: &mut Scene| {
        scene.ways.found(&bob(), &Found::Nowhere, PATIENCE, scene.now, &scene.wire, |_| unreachable!())
    };
    scene.ways.wait(for_bob("one"), scene.now, scene.now).unwrap();
    assert_eq!(found(&mut scene), []);
    scene.now += PATIENCE;
    assert_eq!(found(&mut scene), [(for_bob("one"), Undelivered::Expired)]);
    scene.is_over();
}
