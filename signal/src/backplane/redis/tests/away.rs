//! What becomes of nodes whose Redis is away, stands still, or comes back empty.

use super::*;

#[tokio::test]
async fn only_a_malformed_address_is_an_error() {
    assert!(Redis::connect(settings("redis:/\\".to_owned(), "a")).is_err());
    let mut server = Server::start();
    server.kill();
    let a = server.starts("a");
    assert_eq!(a.enters(&room(), "alice").await, Err(Refusal::Unavailable));
    assert!(!a.redis.is_up());
    server.start_again();
    is_up(&a.redis).await;
    a.enters(&room(), "alice").await.unwrap();
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_used_again_and_each_node_is_told_once() {
    let mut server = Server::start();
    let (mut a, mut b) = (server.has("a").await, server.has("b").await);
    a.says_number(&b, 0).unwrap();
    assert_eq!(b.hears_number().await, 0);
    comes_true("the first frame is settled", async || a.redis.backlog() == 0).await;

    server.kill();
    for n in 1..=100 {
        a.says_number(&b, n).unwrap();
    }
    server.start_again();
    let mut forgotten = 0;
    let mut next = 1;
    while next <= 100 || forgotten == 0 {
        match b.hears().await {
            Notice::Forgotten => forgotten += 1,
            Notice::WasDeaf => {}
            Notice::Arrived { envelope, .. } => {
                assert_eq!(envelope, numbered(next));
                next += 1;
            }
            other => panic!("heard {other:?}"),
        }
    }
    assert_eq!(forgotten, 1);
    a.hears_that_it_was_forgotten().await;
    b.says_number(&a, 7).unwrap();
    assert_eq!(a.hears_number().await, 7);
    comes_true("rooms are made again", async || a.enters(&room(), "alice").await.is_ok()).await;
    a.was_not_forgotten();
    b.was_not_forgotten();
    assert!(a.counts(|c| &c.connects) >= 2);
}

#[tokio::test]
async fn connections_that_are_cut_are_rebuilt_with_their_subscription() {
    let server = Server::start();
    let (a, mut b) = (server.has("a").await, server.has("b").await);
    let mut redis = server.connection().await;
    for (round, kind) in ["pubsub", "normal"].into_iter().enumerate() {
        let before = b.counts(|c| &c.connects);
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg(kind).exec_async(&mut redis).await.unwrap();
        comes_true("a new connection", async || b.counts(|c| &c.connects) > before).await;
        a.says_number(&b, round).unwrap();
        assert_eq!(b.hears_number().await, round);
    }
    b.was_not_forgotten();
}

#[tokio::test]
async fn a_subscription_that_is_silently_dead_is_made_anew() {
    let server = Server::start();
    let (a, mut b) = (server.has("a").await, server.has("b").await);
    comes_true("it hears itself", async || b.counts(|c| &c.probe) > 0).await;
    let before = b.counts(|c| &c.connects);
    b.redis.0.wire.goes_deaf(&keys::inbox(b.redis.node())).await;
    a.says_number(&b, 1).unwrap();
    comes_true("new connections", async || b.counts(|c| &c.connects) > before).await;
    assert_eq!(b.hears_number().await, 1);
    let probes = b.counts(|c| &c.probes);
    comes_true("it hears itself again", async || b.counts(|c| &c.probes) > probes).await;
    b.was_not_forgotten();
}

/// Faults that lose what Redis has already said yes to: whatever is lost goes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_connections_are_cut_again_and_again() {
    const NUMBERS: usize = 5_000;
    let server = Server::start();
    let (mut a, mut b) = (server.has("a").await, server.has("b").await);
    let mut redis = server.connection().await;
    let cut = tokio::spawn(async move {
        for kind in ["pubsub", "normal"].into_iter().cycle() {
            sleep(Duration::from_millis(100)).await;
            let mut kill = redis::cmd("CLIENT");
            // Our own connection is one of those that are cut.
            let _ =
                kill.arg("KILL").arg("TYPE").arg(kind).arg("SKIPME").arg("yes").exec_async(&mut redis).await;
        }
    });
    for n in 0..NUMBERS {
        a.says_number(&b, n).unwrap();
        b.says_number(&a, n).unwrap();
        if n % 200 == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }
    for n in 0..NUMBERS {
        assert_eq!((b.hears_number().await, a.hears_number().await), (n, n));
    }
    cut.abort();
    assert!(a.counts(|c| &c.connects) > 2, "something was cut");
    comes_true("all is acknowledged", async || a.redis.backlog() + b.redis.backlog() == 0).await;
    a.was_not_forgotten();
    b.was_not_forgotten();
}

/// It may name them again as soon as their nodes have heard of it.
#[tokio::test]
async fn whom_a_redis_does_not_name_that_has_just_lost_everything_is_not_known_to_be_gone() {
    let server = Server::start();
    let long = Duration::from_secs(60);
    let pace = Pace { heartbeat: long, lease: 4 * long, fence: 3 * long, ..PACE };
    let (a, _notices) = Redis::connect(RedisSettings { pace, ..settings(server.url(), "a") }).unwrap();
    is_up(&a).await;
    assert_eq!((a.look(&room(), &[]).await, a.look_out(&room(), long).await), (Ok(None), Ok(None)));
    let mut redis = server.connection().await;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    assert_eq!(a.look(&room(), &[]).await, Err(Refusal::Unavailable));
    assert_eq!(a.look_out(&room(), long).await, Err(Refusal::Unavailable));
}

#[tokio::test]
async fn a_redis_that_lost_everything_but_its_connections_is_noticed() {
    let server = Server::start();
    let (mut a, mut b) = (server.has("a").await, server.has("b").await);
    let mut redis = server.connection().await;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    a.hears_that_it_was_forgotten().await;
    b.hears_that_it_was_forgotten().await;
    let nodes: usize = redis.hlen(keys::NODES).await.unwrap();
    assert_eq!(nodes, 2);
}

/// A room with a password is about to be written again by the node that has its member: meanwhile nobody makes an open
/// one of its name.
#[tokio::test]
async fn after_redis_has_lost_everything_no_room_is_made_by_entering_it_for_a_while() {
    let server = Server::start();
    let (mut a, b) = (server.has("a").await, server.has("b").await);
    let record = Record { made: 7, password: Some("a hash".into()), ..Record::default() };
    let again =
        Entry { made: 7, create: Creation::Again { record: record.clone(), version: 0 }, ..entry("alice") };
    a.redis.join(&room(), again.clone()).await.unwrap();
    let mut redis = server.connection().await;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    assert_eq!(b.enters(&room(), "eve").await, Err(Refusal::Unavailable), "before anybody has noticed");
    assert_eq!(
        b.redis.make(&room(), Record::default()).await,
        Err(Refusal::Unavailable),
        "not on purpose either"
    );
    a.hears_that_it_was_forgotten().await;
    is_up(&b.redis).await;
    assert_eq!(b.enters(&room(), "eve").await, Err(Refusal::Unavailable), "it may be about to come back");
    comes_true("it comes back", async || a.redis.join(&room(), again.clone()).await.is_ok()).await;
    comes_true("b is back too", async || b.redis.look(&room(), &[]).await.is_ok()).await;
    let seen = b.redis.look(&room(), &[]).await.unwrap().unwrap();
    assert_eq!((seen.record, seen.members.len()), (record, 1));
    let other = RoomId::of("camus", "other");
    comes_true("then rooms are made again", async || b.enters(&other, "eve").await.is_ok()).await;
    assert_eq!(b.enters(&room(), "eve").await, Err(Refusal::NoRoom), "hers is not a pass for this room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stands_still_is_refused_in_time_and_kills_nobody() {
    let server = Server::start();
    let (a, mut b) = (server.has("a").await, server.has("b").await);
    b.enters(&room(), "bob").await.unwrap();
    server.stands_still();
    let asked = Instant::now();
    assert_eq!(a.enters(&room(), "alice").await, Err(Refusal::Unavailable));
    assert!(asked.elapsed() < PACE.deadline + Duration::from_millis(500));
    timeout(DEADLINE, a.redis.up().wait_for(|up| !*up)).await.unwrap().unwrap();
    let asked = Instant::now();
    assert_eq!(a.enters(&room(), "carol").await, Err(Refusal::Unavailable));
    assert!(asked.elapsed() < Duration::from_millis(500), "what is known to be away is not waited for");
    server.goes_on();

    is_up(&b.redis).await;
    a.says_number(&b, 1).unwrap();
    assert_eq!(b.hears_number().await, 1);
    is_up(&a.redis).await;
    let members = a.redis.look(&room(), &[]).await.unwrap().unwrap().members;
    let bob = members.iter().find(|(peer, _)| *peer == PeerId::new("bob")).unwrap();
    assert_eq!((&bob.1.node, bob.1.away), (b.redis.node(), false), "bob's node lived all the time");
    b.was_not_forgotten();
}

/// Faults 11 and 12: the node that sent them may be dead to the others by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_up_for_longer_than_the_lease_changes_nothing() {
    let server = Server::start();
    let pace = Pace { deadline: Duration::from_secs(4), ..PACE };
    let (redis, notices) = Redis::connect(RedisSettings { pace, ..settings(server.url(), "a") }).unwrap();
    let a = Peer { redis, notices };
    is_up(&a.redis).await;
    let claim = claim_of(&a.enters(&room(), "alice").await.unwrap(), "alice");
    let (room, alice) = (room(), PeerId::new("alice"));
    server.stands_still();
    let (left, named, ()) = tokio::join!(
        a.redis.leave(&room, &alice, claim, Departure::ForGood),
        a.redis.change(&room, &alice, claim, Change::Profile("Zoe".into())),
        async {
            sleep(PACE.lease + Duration::from_millis(500)).await;
            server.goes_on();
        },
    );
    assert_eq!((left, named), (Err(Refusal::Unavailable), Err(Refusal::Unavailable)));
    comes_true("it is up again", async || a.redis.look(&room, &[]).await.is_ok()).await;
    let seen = a.redis.look(&room, &[]).await.unwrap().unwrap();
    assert_eq!((Claim(seen.version), claim_of(&seen, "alice")), (claim, claim));
}

/// More than three quarters of what a link keeps.
fn fills(a: &Peer, b: &Peer) {
    for number in 0..=BOUNDS.link.messages * 3 / 4 {
        a.says_number(b, number).unwrap();
    }
}

#[tokio::test]
async fn those_who_fill_a_link_wait_until_it_is_half_empty() {
    let server = Server::start();
    let (a, mut b) = (server.has("a").await, server.has("b").await);
    let to = b.redis.node().clone();
    assert!(a.redis.relief(&to).is_none());
    fills(&a, &b);
    let relief = a.redis.relief(&to).expect("the link is nearly full");
    let hears = async {
        loop {
            b.hears().await;
        }
    };
    timeout(BOUNDS.patience, async { tokio::select!(() = relief => {}, () = hears => {}) })
        .await
        .expect("it moves, and there is room before their patience ends");
    assert!(a.redis.backlog() <= BOUNDS.link.messages / 2, "{}", a.redis.backlog());
    assert!(a.redis.relief(&to).is_none());
}

#[tokio::test]
async fn those_who_fill_a_link_that_does_not_move_do_not_wait_for_long() {
    let mut server = Server::start();
    let (a, b) = (server.has("a").await, server.has("b").await);
    server.kill();
    fills(&a, &b);
    let relief = a.redis.relief(b.redis.node()).expect("the link is nearly full");
    timeout(DEADLINE, relief).await.expect("it is of no use to wait any longer");
    assert!(a.redis.relief(b.redis.node()).is_none(), "what does not fit is told");
}

#[tokio::test]
async fn what_waits_for_a_redis_that_is_away_is_bounded() {
    let mut server = Server::start();
    let (a, b) = (server.has("a").await, server.has("b").await);
    server.kill();
    let taken = (0..30_000).take_while(|n| a.says_number(&b, *n).is_ok()).count();
    assert_eq!(taken, BOUNDS.link.messages);
    assert_eq!(a.says_number(&b, 0), Err(Undelivered::Full));
    assert_eq!(a.redis.backlog(), taken);
}

#[tokio::test]
async fn tls_needs_nothing_that_is_not_there() {
    let mut server = Server::start();
    server.kill();
    let url = server.url().replace("redis://", "rediss://");
    let (ear, lost): (supervisor::Ear, _) = (Arc::new(|_, _| ()), Arc::new(Notify::new()));
    let wire = supervisor::Wire::new(&url, Tls::default()).unwrap();
    let attempt = async move { wire.connect(&[String::new(), String::new()], &ear, &lost).await.is_err() };
    let refused = timeout(DEADLINE, tokio::spawn(attempt)).await.unwrap();
    assert!(refused.expect("a panic would end the supervisor"));
}

#[tokio::test]
async fn who_leaves_while_redis_is_away_gives_back_what_it_could_not_carry() {
    let mut server = Server::start();
    let b = server.has("b").await;
    let pace = Pace { flush: Duration::from_millis(200), deadline: Duration::from_millis(300), ..PACE };
    let (redis, notices) = Redis::connect(RedisSettings { pace, ..settings(server.url(), "a") }).unwrap();
    let mut a = Peer { redis, notices };
    is_up(&a.redis).await;
    server.kill();
    a.says_number(&b, 1).unwrap();
    assert_eq!(timeout(DEADLINE, a.redis.close()).await.unwrap(), Err(Refusal::Unavailable));
    assert!(matches!(a.hears().await, Notice::Gone(node) if node == *b.redis.node()));
    assert_eq!(a.redis.take_back(b.redis.node()), [numbered(1)]);
    assert_eq!(a.says_number(&b, 2), Err(Undelivered::Unreachable));
}

/// Whoever sent it may have given it to somebody else.
#[tokio::test]
async fn a_node_without_a_lease_takes_nothing_that_came_before_it_has_new_connections() {
    let server = Server::start();
    let pace = Pace { probe: Duration::from_secs(60), ..PACE };
    let (redis, notices) = Redis::connect(RedisSettings { pace, ..settings(server.url(), "b") }).unwrap();
    let (a, mut b) = (server.has("a").await, Peer { redis, notices });
    is_up(&b.redis).await;
    a.says_number(&b, 0).unwrap();
    assert_eq!(b.hears_number().await, 0);
    let connection = b.redis.0.wire.number();
    b.redis.0.pulse.lock().stop();
    a.says_number(&b, 1).unwrap();
    assert_eq!(b.hears_number().await, 1, "it goes again, as nobody has given b up");
    assert!(b.redis.0.wire.number() > connection && b.redis.0.stale.load(Ordering::Relaxed) == connection);
    assert!(b.counts(|counters| &counters.repeated) == 0, "what came before was not taken");
    is_up(&b.redis).await;
    b.was_not_forgotten();
}

/// Nobody has anything to say to it, by which it would find out.
#[tokio::test]
async fn a_node_that_has_its_lease_again_asks_for_what_it_did_not_take() {
    let server = Server::start();
    let (a, mut b) = (server.has("a").await, server.has("b").await);
    a.says_number(&b, 0).unwrap();
    assert_eq!(b.hears_number().await, 0);
    comes_true("it is acknowledged", async || a.redis.backlog() == 0).await;
    let published = b.counts(|c| &c.published);
    b.redis.0.pulse.lock().stop();
    comes_true("it asks", async || b.counts(|c| &c.published) > published).await;
    assert!(b.redis.is_up());
}

#[tokio::test]
async fn a_master_that_became_a_replica_is_not_believed() {
    let server = Server::start();
    let a = server.has("a").await;
    let mut redis = server.connection().await;
    let before = a.counts(|c| &c.connects);
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").exec_async(&mut redis).await.unwrap();
    timeout(DEADLINE, a.redis.up().wait_for(|up| !*up)).await.unwrap().unwrap();
    comes_true("the address is tried again", async || a.counts(|c| &c.connects) > before + 1).await;
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut redis).await.unwrap();
    is_up(&a.redis).await;
    a.enters(&room(), "alice").await.unwrap();
}
