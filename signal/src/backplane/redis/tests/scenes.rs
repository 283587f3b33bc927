//! What nodes do to each other, and others to them, while Redis is well.

use std::task::Poll;

use super::*;
use crate::backplane::link::Link;

#[tokio::test]
async fn a_members_profile_may_say_anything() {
    let server = Server::start();
    let a = server.has("a").await;
    let profile = "| 1|2|\n|\u{0}\u{1f600}";
    a.redis.join(&room(), Entry { profile: profile.into(), ..entry("alice") }).await.unwrap();
    let seen = a.redis.look(&room(), &[]).await.unwrap().unwrap();
    assert_eq!(&*seen.members[0].1.profile, profile);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_peer_of_a_dead_node_is_adopted_by_exactly_one_of_the_others() {
    let server = Server::start();
    let (a, mut b, mut c) = (server.has("a").await, server.has("b").await, server.has("c").await);
    let dead = a.redis.node().clone();
    for n in 0..200 {
        a.enters(&RoomId::of("camus", &format!("room {}", n % 20)), &format!("peer {n}")).await.unwrap();
    }
    drop(a);
    let mut adopted = BTreeSet::new();
    while adopted.len() < 200 {
        let (notice, heir) = tokio::select! {
            notice = b.hears() => (notice, b.redis.node()),
            notice = c.hears() => (notice, c.redis.node()),
        };
        let Notice::Adopted { room, peer, snapshot, .. } = notice else { panic!("heard {notice:?}") };
        assert_eq!(snapshot.member(&peer).unwrap().node, *heir);
        assert_eq!(snapshot.version, claim_of(&snapshot, peer.as_str()).0);
        assert!(adopted.insert((room, peer)), "adopted twice");
    }
    let mut redis = server.connection().await;
    comes_true("the dead node is forgotten", async || {
        !redis.hexists::<_, _, bool>(keys::NODES, dead.as_str()).await.unwrap()
            && !redis.exists::<_, bool>(&[keys::index(&dead)][..]).await.unwrap()
            && !redis.exists::<_, bool>(&[keys::reaper(&dead)][..]).await.unwrap()
    })
    .await;
    assert!(b.notices.try_recv().is_err() && c.notices.try_recv().is_err());
}

#[tokio::test]
async fn the_index_knows_who_is_here_and_nobody_else() {
    let server = Server::start();
    let (a, b) = (server.has("a").await, server.has("b").await);
    let mut redis = server.connection().await;
    let mut indexed =
        async |node: &Peer| -> usize { redis.scard(keys::index(node.redis.node())).await.unwrap() };

    let first = claim_of(&a.enters(&room(), "alice").await.unwrap(), "alice");
    let bob = claim_of(&a.enters(&room(), "bob").await.unwrap(), "bob");
    assert_eq!(a.enters(&room(), "alice").await, Err(Refusal::Superseded));
    assert_eq!(indexed(&a).await, 2, "a refused join leaves the membership that there is");

    let over = Entry { over: Some(first), ..entry("alice") };
    let moved = claim_of(&b.redis.join(&room(), over).await.unwrap(), "alice");
    assert_eq!((indexed(&a).await, indexed(&b).await), (1, 1));
    let back = Entry { over: Some(moved), ..entry("alice") };
    let back = claim_of(&a.redis.join(&room(), back).await.unwrap(), "alice");
    assert_eq!((indexed(&a).await, indexed(&b).await), (2, 0));
    a.redis.leave(&room(), &PeerId::new("alice"), back, Departure::ForGood).await.unwrap();
    a.redis.leave(&room(), &PeerId::new("bob"), bob, Departure::ForGood).await.unwrap();
    assert_eq!(indexed(&a).await, 0);
}

#[tokio::test]
async fn a_room_that_has_ended_leaves_nothing_behind() {
    let server = Server::start();
    let a = server.has("a").await;
    let mut redis = server.connection().await;
    let public = Record { made: 1, public: true, ..Record::default() };
    a.redis.make(&RoomId::of("camus", "public"), public).await.unwrap();
    let claim = claim_of(&a.enters(&room(), "alice").await.unwrap(), "alice");
    a.redis.leave(&room(), &PeerId::new("alice"), claim, Departure::ForGood).await.unwrap();
    comes_true("only the lease, the life, the nodes and the epoch are left", async || {
        redis::cmd("DBSIZE").query_async::<u64>(&mut redis).await.unwrap() == 4
    })
    .await;
    a.redis.close().await.unwrap();
    assert_eq!(redis.keys::<_, Vec<String>>("*").await.unwrap(), [keys::EPOCH]);
}

#[tokio::test]
async fn scripts_that_redis_has_forgotten_are_not_missed() {
    let server = Server::start();
    let a = server.has("a").await;
    let mut redis = server.connection().await;
    for name in ["alice", "bob"] {
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut redis).await.unwrap();
        a.enters(&room(), name).await.unwrap();
    }
    assert_eq!(a.redis.look(&room(), &[]).await.unwrap().unwrap().members.len(), 2);
}

#[tokio::test]
async fn what_is_not_ours_is_counted_and_changes_nothing() {
    let server = Server::start();
    let (a, mut b) = (server.has("a").await, server.has("b").await);
    let to = b.redis.node().clone();
    let mut redis = server.connection().await;
    let forged = {
        let mut link = Link::new(a.redis.node().clone(), to.clone(), 1, BOUNDS.link);
        link.push(&numbered(66)).unwrap();
        link.next_frame(std::time::Instant::now()).unwrap()
    };
    let garbage = [
        vec![],
        b"hello".to_vec(),
        forged.clone(),
        Seal::new(&[8; 32]).close(&forged),
        Seal::new(&[7; 32]).close(b"?"),
    ];
    for bytes in &garbage {
        redis.publish::<_, _, ()>(keys::inbox(&to), bytes).await.unwrap();
        redis.publish::<_, _, ()>(keys::GONE, bytes).await.unwrap();
    }
    redis.publish::<_, _, ()>(keys::GONE, to.as_str()).await.unwrap();
    a.says_number(&b, 1).unwrap();
    assert_eq!(b.hears_number().await, 1);
    assert_eq!(b.counts(|counters| &counters.rejected), garbage.len() as u64);
    assert_eq!(b.counts(|counters| &counters.missed), 0);
    assert!(a.redis.is_up() && b.redis.is_up() && b.notices.try_recv().is_err());
}

#[tokio::test]
async fn a_frame_that_is_played_again_is_heard_once() {
    let server = Server::start();
    let (a, mut b) = (server.has("a").await, server.has("b").await);
    let mut redis = server.connection().await;
    let mut link = Link::new(a.redis.node().clone(), b.redis.node().clone(), 1, BOUNDS.link);
    link.push(&numbered(1)).unwrap();
    let frame = Seal::new(&[7; 32]).close(&link.next_frame(std::time::Instant::now()).unwrap());
    for _ in 0..3 {
        redis.publish::<_, _, ()>(keys::inbox(b.redis.node()), &frame).await.unwrap();
    }
    assert_eq!(b.hears_number().await, 1);
    comes_true("the others are counted", async || b.counts(|counters| &counters.repeated) == 2).await;
    assert!(b.notices.try_recv().is_err());
}

#[tokio::test]
async fn a_node_that_leaves_carries_what_it_was_given() {
    let server = Server::start();
    let (a, mut b) = (server.has("a").await, server.has("b").await);
    for n in 0..1_000 {
        a.says_number(&b, n).unwrap();
    }
    a.redis.close().await.unwrap();
    assert_eq!(a.redis.backlog(), 0);
    for n in 0..1_000 {
        assert_eq!(b.hears_number().await, n);
    }
    assert_eq!(a.says_number(&b, 0), Err(Undelivered::Unreachable));
    assert_eq!(a.enters(&room(), "alice").await, Err(Refusal::Unavailable));
    a.redis.close().await.unwrap();
}

#[tokio::test]
async fn what_a_dead_node_did_not_get_comes_back_and_no_more_is_taken() {
    let server = Server::start();
    let (mut a, b) = (server.has("a").await, server.has("b").await);
    let dead = b.redis.node().clone();
    drop(b);
    let mut redis = server.connection().await;
    let mut hearing = redis::cmd("PUBSUB");
    hearing.arg("NUMSUB").arg(keys::inbox(&dead));
    comes_true("the dead node hears nothing", async || {
        hearing.query_async::<(String, u64)>(&mut redis).await.unwrap().1 == 0
    })
    .await;
    for n in 0..3 {
        a.redis.carry(&dead, numbered(n)).unwrap();
    }
    assert!(matches!(a.hears().await, Notice::Gone(node) if node == dead));
    assert_eq!(a.redis.carry(&dead, numbered(4)), Err(Undelivered::Unreachable));
    assert_eq!(a.redis.take_back(&dead), [0, 1, 2].map(numbered));
    assert_eq!(a.redis.take_back(&dead), [], "once");
}

#[tokio::test]
async fn a_node_that_was_reaped_alive_is_told_when_it_is_over() {
    let server = Server::start();
    let mut a = server.has("a").await;
    let mut redis = server.connection().await;
    redis.set::<_, _, ()>(keys::reaper(a.redis.node()), "somebody").await.unwrap();
    redis.del::<_, ()>(keys::lease(a.redis.node())).await.unwrap();
    timeout(DEADLINE, a.redis.up().wait_for(|up| !*up)).await.unwrap().unwrap();
    assert_eq!(a.enters(&room(), "alice").await, Err(Refusal::Unavailable));
    assert!(a.notices.try_recv().is_err(), "not while it is being reaped");
    redis.hdel::<_, _, ()>(keys::NODES, a.redis.node().as_str()).await.unwrap();
    redis.del::<_, ()>(keys::reaper(a.redis.node())).await.unwrap();
    a.hears_that_it_was_forgotten().await;
    is_up(&a.redis).await;
    a.enters(&room(), "alice").await.unwrap();
    a.was_not_forgotten();
}

/// What comes of `future`, if it is ready when it was asked so often.
async fn within_polls<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for _ in 0..polls {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(value) = polled {
            return Some(value);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Whoever began to reap it may have died over it: what counts is that somebody began.
#[tokio::test]
async fn a_node_that_was_reaped_halfway_is_told() {
    let server = Server::start();
    let mut a = server.has("a").await;
    let mut redis = server.connection().await;
    redis.del::<_, ()>(keys::lease(a.redis.node())).await.unwrap();
    redis.del::<_, ()>(keys::life(a.redis.node())).await.unwrap();
    a.hears_that_it_was_forgotten().await;
    is_up(&a.redis).await;
    a.was_not_forgotten();
}

#[tokio::test]
async fn a_node_without_a_lease_is_in_no_index() {
    let server = Server::start();
    let a = server.has("a").await;
    let mut redis = server.connection().await;
    let by = a.redis.0.deadline();
    let hold = a.redis.0.holds.next();
    a.redis.0.index(by, &room(), &PeerId::new("alice"), hold.number).await.unwrap();
    redis.del::<_, ()>(keys::lease(a.redis.node())).await.unwrap();
    let late = a.redis.0.index(by, &room(), &PeerId::new("bob"), hold.number).await;
    assert_eq!(late, Err(Refusal::Unavailable));
    assert_eq!(redis.scard::<_, usize>(keys::index(a.redis.node())).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_nobody_waits_for_any_more_leaves_no_ghost() {
    const MANY: u32 = 60;
    let server = Server::start();
    let mut a = server.has("a").await;
    let (mut known, mut cut_off) = (BTreeSet::new(), 0);
    for n in 0..MANY {
        let name = format!("peer {n}");
        match within_polls(10 * n, a.enters(&room(), &name)).await {
            Some(entered) => assert!(entered.is_ok() && known.insert(PeerId::new(name))),
            None => cut_off += 1,
        }
    }
    assert!(cut_off > 0, "the first is not even begun");
    let mut redis = server.connection().await;
    comes_true("all members are known, and no one else is in the index", async || {
        while let Ok(notice) = a.notices.try_recv() {
            let Notice::Adopted { peer, .. } = notice else { panic!("heard {notice:?}") };
            assert!(known.insert(peer), "known before");
        }
        let members = a.redis.look(&room(), &[]).await.unwrap().map(|room| room.members).unwrap_or_default();
        let members: BTreeSet<_> = members.into_iter().map(|(peer, _)| peer).collect();
        let indexed: usize = redis.scard(keys::index(a.redis.node())).await.unwrap();
        members == known && indexed == known.len()
    })
    .await;
}

/// Who asks again is told that the peer is not there: by which hold it was, nobody knows any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leave_whose_answer_is_lost_leaves_nothing_in_the_index() {
    const MANY: u32 = 60;
    let server = Server::start();
    let (a, room, mut cut_off) = (server.has("a").await, room(), 0);
    for n in 0..MANY {
        let peer = PeerId::new(format!("peer {n}"));
        let claim = claim_of(&a.enters(&room, peer.as_str()).await.unwrap(), peer.as_str());
        let left = within_polls(10 * n, a.redis.leave(&room, &peer, claim, Departure::Free)).await;
        cut_off += u32::from(left.is_none());
    }
    assert!(cut_off > 0, "the first is not even begun");
    let mut redis = server.connection().await;
    let [_, members, ..] = keys::room(&room);
    comes_true("the index names the members and nobody else", async || {
        let members: BTreeSet<String> = redis.hkeys(&members).await.unwrap();
        let index: Vec<String> = redis.smembers(keys::index(a.redis.node())).await.unwrap();
        let indexed = index.iter().map(|entry| keys::parse_membership(entry).unwrap().1.as_str().to_owned());
        indexed.collect::<BTreeSet<_>>() == members
    })
    .await;
}

#[tokio::test]
async fn what_is_under_way_is_not_swept_out_of_the_index() {
    let server = Server::start();
    let a = server.has("a").await;
    let (inside, mut redis) = (&a.redis.0, server.connection().await);
    a.enters(&room(), "alice").await.unwrap();
    let hold = inside.holds.next();
    inside.index(inside.deadline(), &room(), &PeerId::new("bob"), hold.number).await.unwrap();
    let mut swept = async || {
        inside.sweep(&mut sweep::Sweep::default()).await.unwrap();
        redis.scard::<_, usize>(keys::index(&inside.me)).await.unwrap()
    };
    assert_eq!(swept().await, 2);
    drop(hold);
    assert_eq!(swept().await, 1, "bob has not come, and alice is here");
}

#[tokio::test]
async fn a_public_room_that_is_made_again_while_it_is_taken_off_the_list_stays_on_it() {
    let server = Server::start();
    let a = server.has("a").await;
    let ended = RoomId::of("camus", "ended");
    let public = Record { made: 1, public: true, ..Record::default() };
    a.redis.make(&room(), public.clone()).await.unwrap();
    let mut redis = server.connection().await;
    redis.hset::<_, _, _, ()>(keys::public("camus"), ended.as_str(), "").await.unwrap();
    let inside = &a.redis.0;
    inside.delist(inside.deadline(), "camus", &[ended, room()]).await.unwrap();
    let listed: Vec<String> = redis.hkeys(keys::public("camus")).await.unwrap();
    assert_eq!(listed, [room().as_str()]);
}
