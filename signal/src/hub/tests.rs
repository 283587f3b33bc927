//! Rooms and sessions, told as what happens in them. No socket, no clock.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::mailbox::{Bounds, Left, Letter};
use super::room::{Member, News, Record, Room, Snapshot};
use super::roster::Pace;
use super::{Due, HAND_OVER, Hub, Put, Seated, Told};
use crate::dialect::camus::{self, Camus};
use crate::dialect::mesh::{self, Mesh};
use crate::dialect::share::{self, Share};
use crate::dialect::{Dialect, Terms};
use crate::goodbye::Goodbye;
use crate::message::{Claim, Event, Frame, NodeId, Parting, PeerId, RoomId, Speaker, Undelivered};

const ASK: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(90);
const INTERVAL: Duration = Duration::from_millis(50);

fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

fn peer(name: &str) -> PeerId {
    PeerId::new(name)
}

fn room() -> RoomId {
    camus::room("r").unwrap()
}

fn hub() -> Hub {
    let terms = Terms {
        ask_after: Some(ASK),
        grace: GRACE,
        guest_limit: 0,
        wait_for_name: Duration::ZERO,
        names: 0,
        topics: 0,
    };
    let rosters = Pace { interval: INTERVAL, bytes_per_second: 1 << 20 };
    let while_connected = Terms { ask_after: None, grace: Duration::MAX, ..terms };
    let terms = [(camus::NAME, terms), (share::NAME, while_connected), (mesh::NAME, while_connected)].into();
    Hub::new(node("here"), Bounds { messages: 9, bytes: 999 }, terms, rosters)
}

fn member(on: &str, claim: u64) -> Member {
    let (node, claim) = (node(on), Claim(claim));
    Member { node, claim, born: claim.0, listed: true, away: false, profile: "Major Tom".into() }
}

fn snapshot(version: u64, members: &[(&str, Member)]) -> Snapshot {
    let members = members.iter().map(|(name, member)| (peer(name), member.clone())).collect();
    let record = Record::default();
    Snapshot { version, began: 0, record, members, gone: Vec::new(), awaited_by: Vec::new() }
}

fn letter(text: &str) -> Letter {
    Letter { from: Some(peer("bob")), ..Letter::from_server(Frame::new(text.into())) }
}

/// Alice sits down here, by claim `version`; `moved` if another node has had her.
fn alice_enters(hub: &mut Hub, version: u64, moved: bool, now: Instant) -> Seated {
    let seen = snapshot(version, &[("alice", member("here", version))]);
    hub.seat(&Camus, &room(), &peer("alice"), seen, moved, now)
}

fn hears(seated: &Seated) -> Poll<Result<String, Goodbye>> {
    let mut batch = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    let taken = seated.mailbox.poll_take(seated.speaker.seat, &mut batch, &mut context);
    let text = |letter: &Letter| String::from_utf8(letter.frame.to(&peer("alice")).to_vec()).unwrap();
    taken.map_ok(|_| batch.iter().map(text).collect::<Vec<_>>().join(" "))
}

fn heard(text: &str) -> Poll<Result<String, Goodbye>> {
    Poll::Ready(Ok(text.into()))
}

#[test]
fn nobody_is_gone_because_the_directory_forgot_until_the_time_for_it_is_over() {
    let start = Instant::now();
    let shown = |began, version, names: &[&'static str]| {
        let members: Vec<_> = names.iter().map(|name| (*name, member("there", version))).collect();
        Snapshot { began, ..snapshot(version, &members) }
    };
    let room = || Room::new(&Camus, shown(5, 9, &["alice", "bob"]));
    let names = |room: &Room| {
        let known = ["alice", "bob", "carol"].into_iter();
        known.filter(|name| room.member(&peer(name)).is_some()).collect::<Vec<_>>()
    };
    for is_told in [false, true] {
        let mut lost = room();
        if is_told {
            lost.is_forgotten();
        }
        assert!(lost.replace(shown(100, 101, &["alice"]), start));
        assert_eq!(names(&lost), ["alice", "bob"], "he may be about to be written again");
        assert!(lost.replace(shown(100, 102, &["alice", "carol"]), start));
        assert_eq!(names(&lost), ["alice", "bob", "carol"], "as before");
        assert!(lost.replace(shown(100, 103, &["alice"]), start));
        assert_eq!(names(&lost), ["alice", "bob"], "carol was written since, and has left");
        assert!(!lost.ends_recall(start + Duration::from_secs(14)));
        let over = start + Duration::from_secs(15);
        assert!(lost.ends_recall(over));
        assert!(!lost.ends_recall(over + Duration::from_secs(1)), "once");
        assert!(lost.replace(shown(100, 103, &["alice"]), over), "this is news");
        assert_eq!(names(&lost), ["alice"]);
    }
    let mut lost = room();
    assert!(lost.replace(shown(100, 101, &["alice"]), start));
    assert!(lost.is_recalled());
    assert!(lost.replace(shown(100, 102, &["alice", "bob"]), start));
    assert!(!lost.is_recalled(), "all of them are back");

    let mut whole = room();
    whole.is_forgotten();
    assert!(whole.replace(shown(5, 11, &["alice", "carol"]), start));
    assert_eq!(names(&whole), ["alice", "carol"], "it was never lost");
    assert!(!whole.is_recalled());
}

#[test]
fn a_letter_goes_to_a_peer_here_or_to_its_node_or_nowhere() {
    let mut hub = hub();
    let seen = snapshot(2, &[("alice", member("here", 2)), ("carol", member("there", 1))]);
    let alice = hub.seat(&Camus, &room(), &peer("alice"), seen, false, Instant::now());
    assert_eq!(hub.put(&room(), &peer("alice"), letter("hello")), Put::Taken);
    assert_eq!(hub.put(&room(), &peer("carol"), letter("x")), Put::On(node("there"), letter("x")));
    assert_eq!(hub.put(&room(), &peer("nobody"), letter("x")), Put::Nowhere(letter("x")));
    assert_eq!(
        hub.put(&camus::room("other").unwrap(), &peer("alice"), letter("x")),
        Put::Nowhere(letter("x"))
    );
    assert_eq!(hears(&alice), heard("hello"));
}

#[test]
fn the_old_connection_cannot_throw_out_the_new_one() {
    let (mut hub, now) = (hub(), Instant::now());
    let old = alice_enters(&mut hub, 1, false, now);
    let new = alice_enters(&mut hub, 2, false, now);
    assert_eq!(hears(&old), Poll::Ready(Err(Goodbye::Replaced)));
    assert_eq!(hub.heard(&old.speaker, now), Err(Goodbye::Replaced));
    assert_eq!(hub.park(&old.speaker), None);
    assert_eq!(hub.heard(&new.speaker, now), Ok(false));
}

#[test]
fn what_another_node_held_comes_before_what_is_newer_also_through_a_second_connection() {
    let (mut hub, now) = (hub(), Instant::now());
    let first = alice_enters(&mut hub, 2, true, now);
    assert_eq!(hub.put(&room(), &peer("alice"), letter("new")), Put::Taken);
    assert_eq!(hears(&first), Poll::Pending, "older ones are on their way");
    hub.handed_over(&room(), &peer("alice"), vec![letter("one")], false).unwrap();
    let second = alice_enters(&mut hub, 3, false, now);
    hub.handed_over(&room(), &peer("alice"), vec![letter("two"), letter("three")], true).unwrap();
    assert_eq!(hears(&second), heard("one two three new"));
}

#[test]
fn a_node_that_hands_nothing_over_is_not_waited_for_for_ever() {
    let (mut hub, now) = (hub(), Instant::now());
    let alice = alice_enters(&mut hub, 2, true, now);
    hub.handed_over(&room(), &peer("alice"), vec![letter("old")], false).unwrap();
    assert_eq!(hub.put(&room(), &peer("alice"), letter("new")), Put::Taken);
    hub.tick(now + HAND_OVER);
    assert_eq!(hears(&alice), heard("old new"));
}

#[test]
fn a_peer_that_is_adopted_again_is_held_by_the_newest_claim() {
    let (mut hub, now) = (hub(), Instant::now());
    let alice = alice_enters(&mut hub, 5, false, now);
    hub.park(&alice.speaker).unwrap();
    hub.adopt(&Camus, &room(), &peer("alice"), snapshot(9, &[("alice", member("here", 9))]), now);
    assert_eq!(hub.superseded(&room(), now), []);
    assert_eq!(hub.tick(now + GRACE), [Due::Remove(room(), peer("alice"), Claim(9))]);
    assert_eq!(
        hub.is_to_leave(&room(), &peer("alice"), Claim(5), now + GRACE),
        None,
        "an old claim ends nothing"
    );
}

#[test]
fn a_peer_that_went_elsewhere_is_let_go_with_what_waits_for_it() {
    let (mut hub, now) = (hub(), Instant::now());
    let alice = alice_enters(&mut hub, 1, false, now);
    assert_eq!(hub.put(&room(), &peer("alice"), letter("held")), Put::Taken);
    assert_eq!(hub.apply(&room(), 2, &peer("alice"), Some(member("there", 2))), News::Applied);
    assert_eq!(hub.superseded(&room(), now), [(peer("alice"), Some(node("there")))]);
    let left = hub.dismiss(&room(), &peer("alice"), None, Goodbye::Replaced);
    assert_eq!(left, Left { taken: Vec::new(), waiting: vec![letter("held")] });
    assert_eq!(hears(&alice), Poll::Ready(Err(Goodbye::Replaced)));
    assert_eq!(hub.put(&room(), &peer("alice"), letter("late")), Put::On(node("there"), letter("late")));
    hub.forget_if_empty(&room());
    assert!(hub.room(&room()).is_none());
}

/// Its node ends its membership, and tells the others: also of what the directory did without an answer.
#[test]
fn a_peer_whose_time_is_over_is_not_let_go_for_being_no_member_any_more() {
    let (mut hub, now) = (hub(), Instant::now());
    alice_enters(&mut hub, 1, false, now);
    assert_eq!(hub.apply(&room(), 2, &peer("alice"), None), News::Applied);
    assert_eq!(hub.superseded(&room(), now + GRACE), []);
    assert_eq!(hub.superseded(&room(), now), [(peer("alice"), None)]);
    hub.is_leaving(&room(), &peer("alice"), Claim(1), Parting::OnPurpose);
    assert_eq!(hub.superseded(&room(), now), []);
}

#[test]
fn who_is_silent_is_asked_once_and_then_removed_and_who_answers_is_not() {
    let (mut hub, now) = (hub(), Instant::now());
    let alice = alice_enters(&mut hub, 1, false, now);
    assert_eq!(hub.tick(now + ASK), [Due::Ask(room(), peer("alice"))]);
    assert_eq!(hub.tick(now + ASK), []);
    hub.heard(&alice.speaker, now + ASK).unwrap();
    assert_eq!(hub.tick(now + GRACE), [Due::Ask(room(), peer("alice"))]);
    assert_eq!(hub.tick(now + ASK + GRACE), [Due::Remove(room(), peer("alice"), Claim(1))]);
}

#[test]
fn while_this_node_stood_still_nobody_was_silent() {
    let (mut hub, now) = (hub(), Instant::now());
    let alice = alice_enters(&mut hub, 1, false, now);
    let (late, later) = (GRACE * 3, now + GRACE * 3);
    hub.stood_still(late);
    assert_eq!(hub.tick(later), []);
    assert_eq!(hub.heard_at(&room(), &peer("alice")), Some(now), "nor was anybody heard");
    assert_eq!(hub.tick(later + ASK), [Due::Ask(room(), peer("alice"))]);
    assert_eq!(hub.tick(later + GRACE), [Due::Remove(room(), peer("alice"), Claim(1))]);
    hub.heard(&alice.speaker, later).unwrap();
    assert_eq!(hub.tick(later + ASK), [Due::Ask(room(), peer("alice"))], "what was excused is over");
}

#[test]
fn while_this_node_stood_still_what_is_handed_over_was_on_its_way() {
    let (mut hub, now) = (hub(), Instant::now());
    let alice = alice_enters(&mut hub, 1, false, now);
    hub.expect_hand_over(&room(), &peer("alice"), now);
    assert_eq!(hub.put(&room(), &peer("alice"), letter("new")), Put::Taken);
    hub.stood_still(HAND_OVER * 3);
    hub.tick(now + HAND_OVER * 3);
    assert!(hears(&alice).is_pending(), "it still is");
    hub.handed_over(&room(), &peer("alice"), vec![letter("old")], true).unwrap();
    assert_eq!(hears(&alice), heard("old new"));
}

#[test]
fn news_is_applied_in_its_order_and_a_gap_is_noticed() {
    let (mut hub, now) = (hub(), Instant::now());
    alice_enters(&mut hub, 1, false, now);
    let bob_comes =
        |hub: &mut Hub, version| hub.apply(&room(), version, &peer("bob"), Some(member("there", version)));
    assert_eq!(bob_comes(&mut hub, 1), News::Old);
    assert_eq!(bob_comes(&mut hub, 2), News::Applied);
    assert_eq!(bob_comes(&mut hub, 4), News::Gap);
    assert_eq!(
        hub.room(&room()).unwrap().member(&peer("bob")).unwrap().claim,
        Claim(4),
        "the newest word is the best"
    );
    assert!(hub.replace(&room(), snapshot(4, &[("alice", member("here", 1))]), now));
    assert_eq!(hub.room(&room()).unwrap().roster().len(), 1);
    assert!(!hub.replace(&room(), snapshot(3, &[]), now), "older than what is known");
}

#[test]
fn the_roster_goes_to_those_who_have_said_something() {
    let (mut hub, now) = (hub(), Instant::now());
    let silent = Member { listed: false, ..member("here", 2) };
    let members = [("alice", member("here", 1)), ("bob", silent)];
    let alice = hub.seat(&Camus, &room(), &peer("alice"), snapshot(2, &members), false, now);
    let bob = hub.seat(&Camus, &room(), &peer("bob"), snapshot(2, &members), false, now);
    hub.tell_roster(&room(), None, now);
    let Poll::Ready(Ok(roster)) = hears(&alice) else { panic!("no roster") };
    assert!(roster.contains("\"id\":\"alice\"") && !roster.contains("\"id\":\"bob\""), "{roster}");
    assert_eq!(hears(&bob), Poll::Pending);
}

#[test]
fn many_changes_are_told_as_one_roster_and_the_last_one_is_told() {
    let (mut hub, start) = (hub(), Instant::now());
    let alice = alice_enters(&mut hub, 1, false, start);
    let knows = |alice: &Seated| match hears(alice) {
        Poll::Ready(Ok(roster)) => roster.matches("\"id\":").count(),
        _ => 0,
    };
    let mut told = 0;
    for version in 2..=101 {
        let now = start + Duration::from_millis(version);
        let newcomer = peer(&format!("peer {version}"));
        hub.apply(&room(), version, &newcomer, Some(member("there", version)));
        hub.tell_roster(&room(), None, now);
        hub.tell_rosters(now);
        let known = knows(&alice);
        assert!(known == 0 || known == version as usize, "what is told is the truth");
        told += usize::from(known > 0);
    }
    assert_eq!(told, 2, "in the time of two");
    let next = hub.tell_rosters(start + Duration::from_millis(101)).expect("one is still to come");
    assert_eq!((hub.tell_rosters(next), knows(&alice)), (None, 101));
    assert_eq!((hub.tell_rosters(next + INTERVAL), knows(&alice)), (None, 0), "nothing has changed since");
}

#[test]
fn who_came_and_went_without_word_of_it_is_known_when_the_room_is_read() {
    let (mut hub, now) = (hub(), Instant::now());
    alice_enters(&mut hub, 1, false, now);
    hub.take_missed(&room());
    hub.apply(&room(), 2, &peer("bob"), Some(member("there", 2)));
    assert_eq!(hub.take_missed(&room()), [], "there was word of him");
    let read = [("alice", member("here", 1)), ("carol", member("there", 4))];
    hub.replace(&room(), snapshot(4, &read), now);
    let missed = [(peer("bob"), None), (peer("carol"), Some(node("there")))];
    assert_eq!(hub.take_missed(&room()), missed);
    assert_eq!(hub.take_missed(&room()), [], "once");
}

#[test]
fn who_left_and_came_back_without_word_of_it_is_known_by_the_time_of_coming() {
    let (mut hub, now) = (hub(), Instant::now());
    alice_enters(&mut hub, 1, false, now);
    let alice = ("alice", member("here", 1));
    hub.apply(&room(), 2, &peer("bob"), Some(member("there", 2)));
    let moved = Member { born: 2, ..member("elsewhere", 3) };
    hub.replace(&room(), snapshot(3, &[alice.clone(), ("bob", moved)]), now);
    assert_eq!(hub.take_missed(&room()), [], "he has only moved");
    hub.replace(&room(), snapshot(5, &[alice.clone(), ("bob", member("there", 5))]), now);
    let both = [(peer("bob"), None), (peer("bob"), Some(node("there")))];
    assert_eq!(hub.take_missed(&room()), both);

    hub.replace(&room(), snapshot(6, std::slice::from_ref(&alice)), now);
    hub.replace(&room(), snapshot(7, &[alice.clone(), ("bob", member("there", 7))]), now);
    assert_eq!(hub.take_missed(&room()), both, "also if the room was read in between");
    let carol = ("carol", member("there", 8));
    hub.replace(&room(), snapshot(8, &[alice.clone(), ("bob", member("there", 7)), carol]), now);
    hub.replace(&room(), snapshot(9, &[alice, ("bob", member("there", 7))]), now);
    assert_eq!(hub.take_missed(&room()), [], "who came and went meanwhile was never there");

    let alice = Member { born: 1, ..member("here", 101) };
    let written = [("alice", alice.clone()), ("bob", Member { born: 7, ..member("there", 102) })];
    hub.replace(&room(), Snapshot { began: 100, ..snapshot(102, &written) }, now);
    assert_eq!(hub.take_missed(&room()), [], "who is written again after a loss was there all the time");
    let written = [("alice", alice), ("bob", member("there", 104))];
    hub.replace(&room(), Snapshot { began: 100, ..snapshot(104, &written) }, now);
    assert_eq!(hub.take_missed(&room()), both, "who came back after it was not");
}

#[test]
fn whoever_was_heard_of_is_not_missed_in_what_was_read_before() {
    let (mut hub, now) = (hub(), Instant::now());
    alice_enters(&mut hub, 1, false, now);
    let alice = ("alice", member("here", 1));
    hub.apply(&room(), 2, &peer("bob"), Some(member("there", 2)));
    assert_eq!(hub.apply(&room(), 4, &peer("bob"), Some(member("elsewhere", 4))), News::Gap);
    assert_eq!(hub.apply(&room(), 3, &peer("bob"), None), News::Old, "he had left before that");
    hub.replace(&room(), snapshot(3, &[alice.clone(), ("bob", member("there", 2))]), now);
    assert_eq!(hub.room(&room()).unwrap().member(&peer("bob")), Some(&member("elsewhere", 4)));
    assert_eq!(hub.apply(&room(), 6, &peer("carol"), Some(member("there", 6))), News::Gap);
    hub.replace(&room(), snapshot(5, &[alice]), now);
    assert_eq!(hub.take_missed(&room()), [(peer("bob"), None)], "but not she, who came later");
    assert!(hub.room(&room()).unwrap().member(&peer("carol")).is_some());
}

#[test]
fn whoever_was_heard_to_leave_is_not_in_what_was_read_before() {
    let (mut hub, now) = (hub(), Instant::now());
    alice_enters(&mut hub, 1, false, now);
    let alice = ("alice", member("here", 1));
    hub.apply(&room(), 2, &peer("bob"), Some(member("there", 2)));
    assert_eq!(hub.apply(&room(), 4, &peer("bob"), None), News::Gap);
    let carol = ("carol", member("there", 3));
    hub.replace(&room(), snapshot(3, &[alice.clone(), ("bob", member("there", 2)), carol.clone()]), now);
    assert!(hub.room(&room()).unwrap().member(&peer("bob")).is_none());
    assert_eq!(hub.take_missed(&room()), [(peer("carol"), Some(node("there")))], "and not he");
    hub.replace(&room(), snapshot(4, &[alice.clone(), carol.clone()]), now);
    assert_eq!(hub.take_missed(&room()), []);
    hub.replace(&room(), snapshot(5, &[alice, carol, ("bob", member("there", 5))]), now);
    assert_eq!(hub.take_missed(&room()), [(peer("bob"), Some(node("there")))], "he has come back");
}

#[test]
fn who_asks_is_answered_at_once() {
    let (mut hub, now) = (hub(), Instant::now());
    let alice = alice_enters(&mut hub, 1, false, now);
    hub.tell_roster(&room(), None, now);
    assert!(hears(&alice).is_ready());
    hub.apply(&room(), 2, &peer("bob"), Some(member("there", 2)));
    assert_eq!(hub.tell_roster(&room(), None, now), Told::Later);
    hub.answer_roster(&alice.speaker).unwrap();
    let Poll::Ready(Ok(roster)) = hears(&alice) else { panic!("no roster") };
    assert!(roster.contains("\"id\":\"bob\""), "{roster}");
}

#[test]
fn a_peer_that_the_directory_forgot_is_not_gone_before_it_is_claimed_again() {
    let (mut hub, now) = (hub(), Instant::now());
    let both = [("alice", member("here", 1)), ("bob", member("here", 2))];
    hub.seat(&Camus, &room(), &peer("alice"), snapshot(1, &both[..1]), false, now);
    hub.seat(&Camus, &room(), &peer("bob"), snapshot(2, &both), false, now);
    let shown = |version, members: &[(&str, Member)]| Snapshot { began: 100, ..snapshot(version, members) };
    hub.adopt(&Camus, &room(), &peer("bob"), shown(101, &[("bob", member("here", 101))]), now);
    assert_eq!(hub.superseded(&room(), now), [], "alice's claim is older than the room");
    let again = [("bob", member("here", 101)), ("alice", member("here", 102))];
    hub.adopt(&Camus, &room(), &peer("alice"), shown(102, &again), now);
    hub.replace(&room(), shown(103, &[("bob", member("here", 101))]), now);
    assert_eq!(hub.superseded(&room(), now), [(peer("alice"), None)], "and now it is of its time");

    hub.is_forgotten();
    hub.replace(&room(), shown(104, &[("bob", member("there", 104))]), now);
    assert_eq!(hub.superseded(&room(), now), [], "they are both claimed first");
}

/// A connection of share, where hers is one of any number of rooms.
fn share_room(name: &str) -> RoomId {
    RoomId::of(share::NAME, name)
}

/// The connection of `seated` is Alice in `name`, by claim `version`; what was held for an Alice before her.
fn comes_in(
    hub: &mut Hub,
    seated: &Seated,
    name: &str,
    version: u64,
    now: Instant,
) -> (Speaker, Vec<Letter>) {
    let seen = snapshot(version, &[("alice", member("here", version))]);
    hub.come_in(seated.speaker.seat, (&share_room(name), &peer("alice")), seen, None, now).unwrap()
}

#[test]
fn whoever_gets_a_name_before_the_leave_of_the_one_before_is_answered_keeps_it() {
    let (mut hub, now) = (hub(), Instant::now());
    let first = hub.open(&Share);
    comes_in(&mut hub, &first, "a", 1, now);
    let (_, claim) = hub.go_out(first.speaker.seat, &share_room("a")).unwrap();
    hub.is_leaving(&share_room("a"), &peer("alice"), claim, Parting::Dropped);
    assert_eq!(hub.put(&share_room("a"), &peer("alice"), letter("for the first")), Put::Taken);

    let second = hub.open(&Share);
    let (_, held) = comes_in(&mut hub, &second, "a", 3, now);
    assert_eq!(held, [letter("for the first")], "its sender is told");
    assert_eq!(hub.is_to_leave(&share_room("a"), &peer("alice"), Claim(3), now), None);
    hub.put(&share_room("a"), &peer("alice"), letter("for the second"));
    assert_eq!(hears(&second), heard("for the second"));
    assert_eq!(hears(&first), Poll::Pending);
}

#[test]
fn who_has_lost_one_room_says_nothing_there_and_loses_nothing_of_another() {
    let (mut hub, now) = (hub(), Instant::now());
    let seated = hub.open(&Share);
    let (in_a, _) = comes_in(&mut hub, &seated, "a", 1, now);
    let (in_b, _) = comes_in(&mut hub, &seated, "b", 1, now);
    hub.put(&share_room("b"), &peer("alice"), letter("in b"));
    let left = hub.dismiss(&share_room("a"), &peer("alice"), None, Goodbye::Replaced);
    assert_eq!(left, Left::default(), "what was said in b is none of a's");
    assert_eq!(hub.heard(&in_a, now), Err(Goodbye::Replaced));
    assert_eq!(hub.heard(&in_b, now), Ok(false));
    assert_eq!(hears(&seated), heard("in b"));
    assert_eq!(hears(&seated), Poll::Ready(Err(Goodbye::Replaced)));
    hub.go_out(seated.speaker.seat, &share_room("b")).unwrap();
    assert_eq!(hub.hang_up(seated.speaker.seat, Goodbye::Closed).taken, [letter("in b")]);
    assert_eq!(hub.connected().count(), 0);
}

#[test]
fn who_is_told_of_a_large_room_has_no_less_space_for_what_waits() {
    let mut hub = hub();
    let names: Vec<_> = (0..1000).map(|n| format!("peer-{n}")).collect();
    let members: Vec<_> = names.iter().map(|name| (&**name, member("here", 1))).collect();
    let (lobby, alice) = (mesh::lobby(), peer("peer-0"));
    let seated = hub.seat(&Mesh, &lobby, &alice, snapshot(1, &members), false, Instant::now());
    for n in 0..9 {
        let nobody = peer(&format!("nobody-{n}"));
        let gone = Event::Undelivered { to: &nobody, why: Undelivered::Absent, id: None };
        let told = Letter::from_server(Mesh.encode(&gone).unwrap());
        assert_eq!(hub.put(&lobby, &alice, told), Put::Taken, "{n}");
    }
    assert!(seated.mailbox.bytes() < 999, "{} bytes wait", seated.mailbox.bytes());
}
