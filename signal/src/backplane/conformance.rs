//! What a backplane is: these scenes, played to each of them.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::{Backplane, Change, Creation, Delivery, Departure, Entry, Envelope, Lifetimes, Notice, Refusal};
use crate::hub::mailbox::Letter;
use crate::hub::room::{Record, Snapshot};
use crate::message::{Claim, Frame, NodeId, PeerId, RoomId, Undelivered};

/// How long a scene waits for what must come.
const DEADLINE: Duration = Duration::from_secs(10);
/// What a scene's cluster is started with.
pub(crate) const LIFETIMES: Lifetimes =
    Lifetimes { empty_room: Duration::from_millis(600), gone: Duration::from_secs(60) };

/// Some nodes on a backplane of their own.
pub(crate) trait Cluster: Sized {
    /// A cluster without nodes, whose directory keeps things as long as [`LIFETIMES`] say.
    async fn start() -> Self;

    /// Starts a node.
    async fn node(&self, name: &str) -> Node;
}

/// A node of a scene. Dropping it is dying without a word.
pub(crate) struct Node {
    /// What is tested.
    pub(crate) backplane: Box<dyn Backplane>,
    /// What it tells.
    pub(crate) notices: Receiver<Notice>,
}

impl Node {
    async fn hears(&mut self) -> Notice {
        timeout(DEADLINE, self.notices.recv())
            .await
            .expect("no notice in time")
            .expect("the backplane is gone")
    }

    async fn hears_from(&mut self, node: &NodeId) -> Envelope {
        match self.hears().await {
            Notice::Arrived { from, envelope } if from == *node => envelope,
            other => panic!("expected an envelope from {node}, heard {other:?}"),
        }
    }

    /// The next peer that this node has taken over, with its room; whatever is said before of the node that had it.
    async fn adopts(&mut self) -> (Snapshot, String) {
        loop {
            match self.hears().await {
                Notice::Gone(_) => {}
                Notice::Adopted { peer, snapshot, .. } => return (snapshot, peer.to_string()),
                other => panic!("expected an adoption, heard {other:?}"),
            }
        }
    }

    async fn enters(&self, room: &RoomId, name: &str) -> Snapshot {
        self.backplane.join(room, entry(name)).await.unwrap()
    }

    async fn looks(&self, room: &RoomId) -> Option<Snapshot> {
        self.backplane.look(room, &[]).await.unwrap()
    }
}

fn peer(name: &str) -> PeerId {
    PeerId::new(name)
}

fn room(name: &str) -> RoomId {
    RoomId::of("camus", name)
}

/// A wish to enter a room that is made by entering it.
fn entry(name: &str) -> Entry {
    Entry {
        peer: peer(name),
        made: 0,
        over: None,
        profile: "Major Tom".into(),
        listed: true,
        away: false,
        born: None,
        create: Creation::ByEntering(Record { title: "by entering".into(), ..Record::default() }),
        max_members: 1000,
    }
}

/// What `made` was made with.
fn record(made: u64) -> Record {
    Record {
        made,
        title: format!("Room {made}"),
        limit: 2,
        password: Some("$argon2id$…".into()),
        public: true,
    }
}

fn claim_of(snapshot: &Snapshot, name: &str) -> Claim {
    snapshot.member(&peer(name)).unwrap().claim
}

fn letter_to(name: &str, text: &str) -> Envelope {
    Envelope::Deliver(Delivery {
        room: room("r"),
        to: peer(name),
        letter: Letter {
            from: Some(peer("alice")),
            ..Letter::from_server(Frame::around_receiver("{\"to\":\"", &format!("\",\"text\":\"{text}\"}}")))
        },
        spent: Duration::ZERO,
    })
}

pub(crate) async fn a_registered_name_is_its_owners_as_long_as_it_is_seen<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let (name, long, short) = (room("alice"), Duration::from_secs(60), Duration::from_millis(200));
    let register =
        async |node: &Node, owner, lasts| node.backplane.register(&name, owner, lasts).await.unwrap();
    assert!(!register(&a, None, long).await, "nobody's");
    assert!(register(&a, Some("alice"), long).await);
    assert!(!register(&b, Some("eve"), long).await);
    assert!(register(&b, Some("alice"), long).await && register(&b, None, short).await);
    let ended = async {
        while !register(&a, Some("eve"), long).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, ended).await.expect("a time that is over");
    assert!(!register(&b, Some("alice"), long).await);
}

pub(crate) async fn a_room_is_made_once_and_keeps_what_it_was_made_with<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    assert_eq!(a.looks(&room("r")).await, None);
    a.backplane.make(&room("r"), record(7)).await.unwrap();
    assert_eq!(b.backplane.make(&room("r"), record(8)).await, Err(Refusal::Taken));
    let seen = b.looks(&room("r")).await.unwrap();
    assert_eq!((seen.version, seen.record, seen.members.len()), (seen.began, record(7), 0));
}

pub(crate) async fn each_change_raises_the_version_and_claims_only_grow<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let r = room("r");
    let first = a.enters(&r, "alice").await;
    let (began, alice) = (first.began, claim_of(&first, "alice"));
    assert_eq!((first.version, alice), (began + 1, Claim(began + 1)));
    let second = b.enters(&r, "bob").await;
    let bob = claim_of(&second, "bob");
    assert_eq!((second.began, second.version, bob), (began, began + 2, Claim(began + 2)));
    assert_eq!(second.members.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["alice", "bob"]);
    assert_eq!(second.member(&peer("alice")).unwrap().node, *a.backplane.node());
    let named = Change::Profile("Ted".into());
    assert_eq!(a.backplane.change(&r, &peer("alice"), alice, named).await, Ok(began + 3));
    assert_eq!(a.backplane.change(&r, &peer("alice"), alice, Change::Away).await, Ok(began + 4));
    assert_eq!(b.backplane.leave(&r, &peer("bob"), bob, Departure::ForGood).await, Ok(began + 5));
    let last = b.looks(&r).await.unwrap();
    let alice = last.member(&peer("alice")).unwrap();
    assert_eq!((last.version, &*alice.profile, alice.away), (began + 5, "Ted", true));
    assert_eq!(last.members.len(), 1);
}

pub(crate) async fn a_peer_is_taken_over_by_whoever_names_its_newest_claim<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let r = room("r");
    a.enters(&r, "zoe").await;
    let entered = a.enters(&r, "alice").await;
    let alice = claim_of(&entered, "alice");
    a.backplane.change(&r, &peer("alice"), alice, Change::Profile("Alice".into())).await.unwrap();
    assert_eq!(b.backplane.join(&r, entry("alice")).await, Err(Refusal::Superseded), "she is there already");
    let over = |claim| Entry { over: Some(claim), ..entry("alice") };
    let moved = b.backplane.join(&r, over(alice)).await.unwrap();
    let member = moved.member(&peer("alice")).unwrap();
    assert_eq!((&member.node, &*member.profile, member.born), (b.backplane.node(), "Alice", entered.version));
    assert!(member.claim > alice);
    assert_eq!(a.backplane.join(&r, over(alice)).await, Err(Refusal::Superseded));
    assert_eq!(a.backplane.change(&r, &peer("alice"), alice, Change::Away).await, Err(Refusal::Superseded));
    assert_eq!(
        a.backplane.leave(&r, &peer("alice"), alice, Departure::ForGood).await,
        Err(Refusal::Superseded)
    );
    assert_eq!(
        a.backplane.join(&r, Entry { over: Some(Claim(9)), ..entry("eve") }).await,
        Err(Refusal::Superseded)
    );
    assert_eq!(a.looks(&r).await.unwrap(), moved, "who has lost a peer changes nothing");
}

pub(crate) async fn who_is_taken_over_is_listed_if_it_was_or_is_to_be<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let unlisted = Entry { listed: false, ..entry("alice") };
    let mut claim = claim_of(&a.backplane.join(&room("r"), unlisted).await.unwrap(), "alice");
    for (listed, is_listed) in [(false, false), (true, true), (false, true)] {
        let over = Entry { listed, over: Some(claim), ..entry("alice") };
        let seen = b.backplane.join(&room("r"), over).await.unwrap();
        claim = claim_of(&seen, "alice");
        assert_eq!(seen.member(&peer("alice")).unwrap().listed, is_listed);
    }
}

pub(crate) async fn a_full_room_takes_back_its_own_and_nobody_else<C: Cluster>() {
    let cluster = C::start().await;
    let a = cluster.node("a").await;
    let r = room("r");
    a.backplane.make(&r, record(7)).await.unwrap();
    let with_pass = |name: &str| Entry { made: 7, create: Creation::Never, ..entry(name) };
    a.backplane.join(&r, with_pass("alice")).await.unwrap();
    let full = a.backplane.join(&r, with_pass("bob")).await.unwrap();
    assert_eq!(a.backplane.join(&r, with_pass("carol")).await, Err(Refusal::Full));
    let over = Some(claim_of(&full, "bob"));
    a.backplane.join(&r, Entry { over, ..with_pass("bob") }).await.unwrap();

    let small = Entry { max_members: 1, ..entry("alice") };
    a.backplane.join(&room("small"), small.clone()).await.unwrap();
    let second = Entry { peer: peer("bob"), ..small };
    assert_eq!(
        a.backplane.join(&room("small"), second).await,
        Err(Refusal::Full),
        "a room without limit has one"
    );
}

pub(crate) async fn a_pass_opens_the_room_that_it_was_made_for<C: Cluster>() {
    let cluster = C::start().await;
    let a = cluster.node("a").await;
    let r = room("r");
    assert_eq!(
        a.backplane.join(&r, Entry { create: Creation::Never, ..entry("alice") }).await,
        Err(Refusal::NoRoom)
    );
    a.backplane.make(&r, record(7)).await.unwrap();
    for made in [0, 6] {
        assert_eq!(a.backplane.join(&r, Entry { made, ..entry("alice") }).await, Err(Refusal::NoRoom));
    }
    a.backplane.join(&r, Entry { made: 7, ..entry("alice") }).await.unwrap();
}

pub(crate) async fn who_has_left_is_not_taken_back<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let r = room("r");
    let claim = claim_of(&a.enters(&r, "alice").await, "alice");
    a.enters(&r, "bob").await;
    a.backplane.leave(&r, &peer("alice"), claim, Departure::ForGood).await.unwrap();
    assert_eq!(b.backplane.join(&r, entry("alice")).await, Err(Refusal::Gone));
    let asked = [peer("bob"), peer("alice"), peer("carol")];
    assert_eq!(b.backplane.look(&r, &asked).await.unwrap().unwrap().gone, [peer("alice")]);
}

pub(crate) async fn who_leaves_freely_may_be_followed_by_anybody<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let r = room("r");
    let first = claim_of(&a.enters(&r, "alice").await, "alice");
    a.backplane.leave(&r, &peer("alice"), first, Departure::Free).await.unwrap();
    let again = b.backplane.join(&r, Entry { profile: "another".into(), ..entry("alice") }).await.unwrap();
    assert_eq!(&*again.member(&peer("alice")).unwrap().profile, "another");
    assert!(claim_of(&again, "alice") > first, "who held it before can do nothing to whoever does now");
    let late = a.backplane.leave(&r, &peer("alice"), first, Departure::Free).await;
    assert_eq!(late, Err(Refusal::Superseded));
}

pub(crate) async fn whoever_looks_out_is_named_to_the_one_who_comes<C: Cluster>() {
    const LASTS: Duration = Duration::from_secs(5);
    let cluster = C::start().await;
    let (a, b, c) = (cluster.node("a").await, cluster.node("b").await, cluster.node("c").await);
    let r = room("r");
    for node in [&a, &b, &a] {
        assert_eq!(node.backplane.look_out(&r, LASTS).await, Ok(None));
    }
    let away = Entry { away: true, ..entry("zoe") };
    assert!(c.backplane.join(&r, away).await.unwrap().awaited_by.is_empty(), "she is not there");
    let mut named = c.enters(&r, "alice").await.awaited_by;
    named.sort();
    assert_eq!(named, [a.backplane.node().clone(), b.backplane.node().clone()]);
    assert!(c.enters(&r, "bob").await.awaited_by.is_empty(), "they have been told");
    let seen = a.backplane.look_out(&r, LASTS).await.unwrap().unwrap();
    assert_eq!(seen.members.len(), 3);
    assert!(c.enters(&r, "carol").await.awaited_by.is_empty(), "who has found somebody looks out no more");
}

pub(crate) async fn a_look_out_is_over_after_its_time<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let waited = async {
        let mut name = 0;
        loop {
            name += 1;
            let r = room(&name.to_string());
            a.backplane.look_out(&r, Duration::from_millis(1)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            if b.enters(&r, "alice").await.awaited_by.is_empty() {
                return;
            }
        }
    };
    timeout(DEADLINE, waited).await.expect("a look-out has to end");
}

pub(crate) async fn everybody_of_a_dialect_is_known_on_every_node<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.enters(&room("r"), "alice").await;
    b.enters(&room("s"), "bob").await;
    let claim = claim_of(&b.enters(&room("s"), "carol").await, "carol");
    b.enters(&RoomId::of("peerjs", "dave"), "dave").await;
    b.backplane.leave(&room("s"), &peer("carol"), claim, Departure::Free).await.unwrap();
    for node in [&a, &b] {
        assert_eq!(node.backplane.peers("camus").await.unwrap(), [peer("alice"), peer("bob")]);
    }
}

pub(crate) async fn an_empty_room_ends_and_one_with_members_does_not<C: Cluster>() {
    let cluster = C::start().await;
    let a = cluster.node("a").await;
    let (kept, left) = (room("kept"), room("left"));
    a.backplane.make(&kept, Record { limit: 0, ..record(7) }).await.unwrap();
    a.backplane.join(&kept, Entry { made: 7, ..entry("alice") }).await.unwrap();
    let claim = claim_of(&a.enters(&left, "bob").await, "bob");
    let last = a.backplane.leave(&left, &peer("bob"), claim, Departure::ForGood).await.unwrap();
    assert!(a.looks(&left).await.is_some(), "it has its time");
    let ended = async {
        while a.looks(&left).await.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, ended).await.expect("an empty room has to end");
    assert!(a.looks(&kept).await.is_some());
    let fresh = a.enters(&left, "bob").await;
    assert_eq!(
        (fresh.members.len(), fresh.version),
        (1, fresh.began + 1),
        "a room made anew remembers nothing"
    );
    assert!(fresh.began > last, "but what was before is older");
}

pub(crate) async fn a_room_goes_on_above_whatever_somebody_remembers_of_it<C: Cluster>() {
    const AHEAD: u64 = 1_000_000;
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let r = room("r");
    let again = |name: &str, version: u64| {
        let create = Creation::Again { record: Record::default(), version };
        Entry { create, ..entry(name) }
    };
    let made = a.enters(&r, "alice").await;
    let known = b.backplane.join(&r, again("bob", made.version)).await.unwrap();
    assert_eq!((known.began, known.version), (made.began, made.version + 1), "nothing is missing");
    let newest = known.version + AHEAD;
    let lost = b.backplane.join(&r, again("carol", newest)).await.unwrap();
    assert_eq!((lost.began, claim_of(&lost, "carol")), (newest + 1, Claim(newest + 2)), "the newest is lost");
    assert_eq!(lost.members.len(), 3, "and what is there is not");
    let newest = lost.version + AHEAD;
    let other = a.backplane.join(&room("other"), again("alice", newest)).await.unwrap();
    assert_eq!(
        (other.began, other.version),
        (newest + 1, newest + 2),
        "all is lost, and the clock went back"
    );
}

pub(crate) async fn who_is_claimed_again_comes_when_it_first_came<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let r = room("r");
    let alice = a.enters(&r, "alice").await.version;
    let bob = b.enters(&r, "bob").await.version;
    // In a room of which the directory knows nothing; the later one is the first that is claimed.
    let r = room("forgotten");
    let again = |name: &str, born| {
        let create = Creation::Again { record: Record::default(), version: bob };
        Entry { born: Some(born), create, ..entry(name) }
    };
    b.backplane.join(&r, again("bob", bob)).await.unwrap();
    let claimed = a.backplane.join(&r, again("alice", alice)).await.unwrap();
    assert_eq!(claimed.member(&peer("alice")).unwrap().born, alice);
    let newcomer = a.enters(&r, "carol").await;
    let members: Vec<_> = newcomer.members.iter().map(|(peer, _)| peer.as_str()).collect();
    assert_eq!(members, ["alice", "bob", "carol"]);
    // Who is a member has come when the directory says.
    let over = Some(claim_of(&newcomer, "carol"));
    let carol = a.backplane.join(&r, Entry { over, ..again("carol", alice) }).await.unwrap();
    assert_eq!(carol.member(&peer("carol")).unwrap().born, newcomer.version);
}

pub(crate) async fn public_rooms_are_listed_by_title<C: Cluster>() {
    let cluster = C::start().await;
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    a.backplane.make(&room("two"), record(2)).await.unwrap();
    a.backplane.make(&room("one"), record(1)).await.unwrap();
    a.backplane.make(&room("hidden"), Record { public: false, ..record(3) }).await.unwrap();
    a.backplane.join(&room("two"), Entry { made: 2, ..entry("alice") }).await.unwrap();
    let listed = b.backplane.public_rooms("camus").await.unwrap();
    let listed: Vec<_> = listed.iter().map(|one| (one.room.name(), one.record.made, one.members)).collect();
    assert_eq!(listed, [("one", 1, 0), ("two", 2, 1)]);
    assert!(b.backplane.public_rooms("share").await.unwrap().is_empty());
}

pub(crate) async fn envelopes_arrive_in_order_and_once<C: Cluster>() {
    const MANY: usize = 2_000;
    let cluster = C::start().await;
    let (a, mut b) = (cluster.node("a").await, cluster.node("b").await);
    let to = b.backplane.node().clone();
    for n in 0..MANY {
        a.backplane.carry(&to, letter_to("bob", &n.to_string())).unwrap();
    }
    for n in 0..MANY {
        assert_eq!(b.hears_from(a.backplane.node()).await, letter_to("bob", &n.to_string()));
    }
    let nobody = NodeId::new("nobody.00000000");
    let refused = a.backplane.carry(&nobody, letter_to("bob", "hello"));
    assert!(matches!(refused, Ok(()) | Err(Undelivered::Unreachable)));
    if refused.is_ok() {
        let mut a = a;
        assert!(matches!(a.hears().await, Notice::Gone(node) if node == nobody));
        assert_eq!(a.backplane.take_back(&nobody), [letter_to("bob", "hello")]);
    }
}

pub(crate) async fn the_peers_of_a_node_that_dies_are_taken_over_by_one_other<C: Cluster>() {
    let cluster = C::start().await;
    let (a, mut b, mut c) = (cluster.node("a").await, cluster.node("b").await, cluster.node("c").await);
    let r = room("r");
    let born = a.enters(&r, "alice").await.version;
    let before = b.enters(&r, "bob").await;
    drop(a);
    let ((adopted, peers), heir) = tokio::select! {
        adopted = b.adopts() => (adopted, b.backplane.node().clone()),
        adopted = c.adopts() => (adopted, c.backplane.node().clone()),
    };
    assert_eq!(peers, "alice");
    let alice = adopted.member(&peer("alice")).unwrap();
    assert_eq!((&alice.node, alice.away, alice.born), (&heir, true, born));
    assert_eq!(alice.claim.0, before.version + 1);
    assert_eq!(b.looks(&r).await.unwrap(), adopted, "nobody else's membership was touched");
}

pub(crate) async fn whoever_takes_a_peer_over_hears_who_had_it_before<C: Cluster>() {
    let cluster = C::start().await;
    let (mut a, b) = (cluster.node("a").await, cluster.node("b").await);
    let first = claim_of(&a.enters(&room("r"), "alice").await, "alice");
    b.backplane.join(&room("r"), Entry { over: Some(first), ..entry("alice") }).await.unwrap();
    drop(b);
    let had_by = loop {
        match a.hears().await {
            Notice::Gone(_) => {}
            Notice::Adopted { had_by, .. } => break had_by,
            other => panic!("expected an adoption, heard {other:?}"),
        }
    };
    assert_eq!(had_by.as_ref(), Some(a.backplane.node()));
}

pub(crate) async fn a_node_that_leaves_hands_its_peers_on_at_once<C: Cluster>() {
    let cluster = C::start().await;
    let (a, mut b) = (cluster.node("a").await, cluster.node("b").await);
    a.enters(&room("r"), "alice").await;
    a.backplane.close().await.unwrap();
    let (_, adopted) = b.adopts().await;
    assert_eq!(adopted, "alice");
}

/// All scenes as tests on one kind of cluster.
macro_rules! conforms {
    ($cluster:ty: $($scene:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $scene() {
            $crate::backplane::conformance::$scene::<$cluster>().await;
        })*
    };
    ($cluster:ty) => {
        $crate::backplane::conformance::conforms! { $cluster:
            a_room_is_made_once_and_keeps_what_it_was_made_with
            a_registered_name_is_its_owners_as_long_as_it_is_seen
            each_change_raises_the_version_and_claims_only_grow
            a_peer_is_taken_over_by_whoever_names_its_newest_claim
            who_is_taken_over_is_listed_if_it_was_or_is_to_be
            a_full_room_takes_back_its_own_and_nobody_else
            a_pass_opens_the_room_that_it_was_made_for
            who_has_left_is_not_taken_back
            who_leaves_freely_may_be_followed_by_anybody
            whoever_looks_out_is_named_to_the_one_who_comes
            a_look_out_is_over_after_its_time
            everybody_of_a_dialect_is_known_on_every_node
            an_empty_room_ends_and_one_with_members_does_not
            a_room_goes_on_above_whatever_somebody_remembers_of_it
            who_is_claimed_again_comes_when_it_first_came
            public_rooms_are_listed_by_title
            envelopes_arrive_in_order_and_once
            the_peers_of_a_node_that_dies_are_taken_over_by_one_other
            whoever_takes_a_peer_over_hears_who_had_it_before
            a_node_that_leaves_hands_its_peers_on_at_once
        }
    };
}
pub(crate) use conforms;
