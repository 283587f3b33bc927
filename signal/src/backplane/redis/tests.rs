//! The contract, and what a Redis can do to it, on a real `redis-server`.

mod server;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::AsyncCommands;
use tokio::time::{sleep, timeout};

use super::*;
use crate::backplane::Creation;
use crate::backplane::conformance::{Cluster, LIFETIMES, Node, conforms};
use server::Server;

const DEADLINE: Duration = Duration::from_secs(10);

/// Fast, so that a death is noticed in a second.
const PACE: Pace = Pace {
    heartbeat: Duration::from_millis(200),
    lease: Duration::from_secs(1),
    fence: Duration::from_millis(700),
    probe: Duration::from_millis(300),
    deadline: Duration::from_secs(2),
    flush: Duration::from_secs(5),
    quiet: Duration::from_secs(2),
};

const BOUNDS: AllBounds = AllBounds {
    link: Bounds { messages: 20_000, bytes: 8 << 20 },
    patience: Duration::from_secs(2),
    inbox: Bounds { messages: 4_096, bytes: 32 << 20 },
};

fn settings(url: String, name: &str) -> RedisSettings {
    let node = NodeId::new(format!("{name}.{:08x}", rand::random::<u32>()));
    RedisSettings {
        url,
        tls: Tls::default(),
        node,
        address: None,
        key: [7; 32],
        lifetimes: LIFETIMES,
        pace: PACE,
        bounds: BOUNDS,
    }
}

async fn is_up(redis: &Redis) {
    timeout(DEADLINE, redis.up().wait_for(|up| *up)).await.expect("not up in time").unwrap();
}

/// Asks until the answer is yes.
async fn comes_true(what: &str, mut asked: impl AsyncFnMut() -> bool) {
    let truth = async {
        while !asked().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, truth).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

impl Cluster for Server {
    async fn start() -> Self {
        Self::start()
    }

    async fn node(&self, name: &str) -> Node {
        let (redis, notices) = Redis::connect(settings(self.url(), name)).unwrap();
        is_up(&redis).await;
        Node { backplane: Box::new(redis), notices }
    }
}

conforms!(Server);

/// A node of a scene that only this backplane can play.
struct Peer {
    redis: Redis,
    notices: mpsc::Receiver<Notice>,
}

impl Server {
    fn starts(&self, name: &str) -> Peer {
        let (redis, notices) = Redis::connect(settings(self.url(), name)).unwrap();
        Peer { redis, notices }
    }

    async fn has(&self, name: &str) -> Peer {
        let peer = self.starts(name);
        is_up(&peer.redis).await;
        peer
    }
}

impl Peer {
    async fn hears(&mut self) -> Notice {
        timeout(DEADLINE, self.notices.recv()).await.expect("no notice in time").unwrap()
    }

    /// The next envelope's number, whatever else is said before it.
    async fn hears_number(&mut self) -> usize {
        loop {
            if let Notice::Arrived { envelope: Envelope::Roster { but, .. }, .. } = self.hears().await {
                return but.as_str().parse().unwrap();
            }
        }
    }

    async fn hears_that_it_was_forgotten(&mut self) {
        while !matches!(self.hears().await, Notice::Forgotten) {}
    }

    /// All that it was told and has not heard yet is that it could hear nothing for a while.
    fn was_not_forgotten(&mut self) {
        while let Ok(notice) = self.notices.try_recv() {
            assert!(matches!(notice, Notice::WasDeaf), "heard {notice:?}");
        }
    }

    fn says_number(&self, to: &Self, n: usize) -> Result<(), Undelivered> {
        self.redis.carry(to.redis.node(), numbered(n))
    }

    async fn enters(&self, room: &RoomId, name: &str) -> Result<Snapshot, Refusal> {
        self.redis.join(room, entry(name)).await
    }

    fn counts(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        counter(self.redis.counters()).load(Ordering::Relaxed)
    }
}

fn numbered(n: usize) -> Envelope {
    Envelope::Roster { room: room(), but: PeerId::new(n.to_string()) }
}

fn room() -> RoomId {
    RoomId::of("camus", "r")
}

fn entry(name: &str) -> Entry {
    Entry {
        peer: PeerId::new(name),
        made: 0,
        over: None,
        profile: "Major|Tom".into(),
        listed: true,
        away: false,
        born: None,
        create: Creation::ByEntering(Record::default()),
        max_members: 1_000,
    }
}

fn claim_of(snapshot: &Snapshot, name: &str) -> Claim {
    snapshot.member(&PeerId::new(name)).unwrap().claim
}

mod away;
mod scenes;
