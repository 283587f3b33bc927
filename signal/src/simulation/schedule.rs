//! What is done to a cluster, and when: made of a seed.

use std::fmt;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::tongue::Tongue;
use super::world::Weather;

/// What the peers are called.
pub(super) const PEERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// What the nodes are called.
pub(super) const NODES: [&str; 4] = ["a", "b", "c", "d"];

/// One story, before it is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) seed: u64,
    pub(super) tongue: Tongue,
    pub(super) nodes: usize,
    pub(super) peers: usize,
    /// In order.
    pub(super) events: Vec<(Duration, Event)>,
}

/// What happens. Peers and nodes by their place in [`PEERS`] and [`NODES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// To one, or to everybody.
    Says {
        peer: usize,
        to: Option<usize>,
    },
    /// That it ends what it had with that one: of no use to one who is not there, and then nobody is told.
    TakesLeave {
        peer: usize,
        of: usize,
    },
    /// It connects, whether or not it has a connection.
    Comes {
        peer: usize,
        node: usize,
    },
    /// It closes its socket.
    Drops {
        peer: usize,
    },
    /// Its network is gone; its node learns of it by its silence.
    Vanishes {
        peer: usize,
    },
    /// It says goodbye; or gives up its name, where that is its own in the cluster.
    Leaves {
        peer: usize,
    },
    /// It reads nothing.
    IsSlow {
        peer: usize,
        lasts: Duration,
    },
    Crashes {
        node: usize,
    },
    /// In a new life.
    Starts {
        node: usize,
    },
    /// It is told to stop, and its next life begins after a while, whether or not this one is over.
    Restarts {
        node: usize,
        after: Duration,
    },
    Freezes {
        node: usize,
        lasts: Duration,
    },
    /// It cannot reach Redis.
    IsCutOff {
        node: usize,
        lasts: Duration,
    },
    RedisIsAway {
        lasts: Duration,
    },
    RedisLosesEverything,
    Weather {
        weather: Weather,
        lasts: Duration,
    },
}

impl Schedule {
    /// The schedule of this seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed);
        let nodes = chance.random_range(2..=3);
        let peers = chance.random_range(2..=PEERS.len());
        let mut schedule = Self { seed, tongue: Tongue::of(seed), nodes, peers, events: Vec::new() };
        for peer in 0..peers {
            let at = Duration::from_millis(chance.random_range(0..500));
            schedule.events.push((at, Event::Comes { peer, node: chance.random_range(0..nodes) }));
        }
        let mut at = 500;
        // How wild it is: some schedules have no faults at all.
        let wild = [0, 10, 25, 40][chance.random_range(0..4)];
        for _ in 0..chance.random_range(8..32) {
            at += [chance.random_range(0..20), chance.random_range(0..400), chance.random_range(0..3_000)]
                [chance.random_range(0..3)];
            let event = if chance.random_range(0..100) < wild {
                schedule.fault(&mut chance)
            } else {
                schedule.ordinary(&mut chance, wild > 0 || schedule.tongue == Tongue::Names)
            };
            schedule.events.push((Duration::from_millis(at), event));
        }
        schedule.events.sort_by_key(|(at, _)| *at);
        schedule
    }

    /// Whether nothing goes wrong in it: everybody comes once, and has been let in before anybody speaks.
    pub(super) fn is_calm(&self) -> bool {
        let (coming, speaking) = self.events.split_at(self.peers.min(self.events.len()));
        let has_come = coming.last().map_or(Duration::ZERO, |(at, _)| *at) + Duration::from_millis(20);
        // Who waits for a host may come at any time.
        self.tongue != Tongue::Hosted
            && coming.iter().all(|(_, event)| matches!(event, Event::Comes { .. }))
            && speaking.iter().all(|(at, event)| {
                *at > has_come && matches!(event, Event::Says { .. } | Event::TakesLeave { .. })
            })
    }

    /// Whether nobody and nothing fails in it: peers come, speak and hang up.
    pub(super) fn is_peaceful(&self) -> bool {
        let is_ordinary = |event: &Event| {
            matches!(
                event,
                Event::Says { .. } | Event::TakesLeave { .. } | Event::Comes { .. } | Event::Drops { .. }
            )
        };
        self.events.iter().all(|(_, event)| is_ordinary(event))
    }

    /// When some node cannot hear the others.
    pub(super) fn deafness(&self) -> Vec<(Duration, Duration)> {
        let lasts = |event: &Event| match event {
            Event::Freezes { lasts, .. } | Event::IsCutOff { lasts, .. } | Event::RedisIsAway { lasts } => {
                Some(*lasts)
            }
            _ => None,
        };
        let events = self.events.iter();
        events.filter_map(|(at, event)| lasts(event).map(|lasts| (*at, *at + lasts))).collect()
    }

    fn ordinary(&self, chance: &mut SmallRng, moves: bool) -> Event {
        let peer = chance.random_range(0..self.peers);
        let other = (peer + chance.random_range(1..self.peers)) % self.peers;
        let node = chance.random_range(0..self.nodes);
        match chance.random_range(0..100) {
            0..25 if self.tongue == Tongue::Names => Event::TakesLeave { peer, of: other },
            80..90 if moves && self.tongue == Tongue::Names => Event::Drops { peer },
            85..90 if moves => Event::Drops { peer },
            90..100 if moves => Event::Comes { peer, node },
            0..25 => Event::Says { peer, to: None },
            _ => Event::Says { peer, to: Some(other) },
        }
    }

    fn fault(&self, chance: &mut SmallRng) -> Event {
        let (peer, node) = (chance.random_range(0..self.peers), chance.random_range(0..self.nodes));
        let lasts = [chance.random_range(100..2_000), chance.random_range(2_000..15_000)];
        let lasts = Duration::from_millis(lasts[chance.random_range(0..2)]);
        match chance.random_range(0..100) {
            0..9 => Event::Crashes { node },
            9..15 => Event::Restarts { node, after: lasts },
            15..30 => Event::Starts { node },
            30..42 => Event::Freezes { node, lasts },
            42..54 => Event::IsCutOff { node, lasts },
            54..60 => Event::RedisIsAway { lasts },
            60..64 => Event::RedisLosesEverything,
            64..78 => {
                let (lost, twice) = (chance.random_range(0..60), chance.random_range(0..60));
                Event::Weather { weather: Weather { lost, twice, late: chance.random_range(1..300) }, lasts }
            }
            78..86 => Event::Vanishes { peer },
            86..92 => Event::IsSlow { peer, lasts },
            92..95 => Event::Leaves { peer },
            _ => Event::Drops { peer },
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Says { peer, to: None } => write!(f, "{} speaks to everybody", PEERS[*peer]),
            Self::Says { peer, to: Some(to) } => write!(f, "{} speaks to {}", PEERS[*peer], PEERS[*to]),
            Self::TakesLeave { peer, of } => write!(f, "{} takes leave of {}", PEERS[*peer], PEERS[*of]),
            Self::Comes { peer, node } => write!(f, "{} comes through node {}", PEERS[*peer], NODES[*node]),
            Self::Drops { peer } => write!(f, "{} closes the socket", PEERS[*peer]),
            Self::Vanishes { peer } => write!(f, "{}'s network is gone", PEERS[*peer]),
            Self::Leaves { peer } => write!(f, "{} leaves", PEERS[*peer]),
            Self::IsSlow { peer, lasts } => write!(f, "{} reads nothing for {lasts:?}", PEERS[*peer]),
            Self::Crashes { node } => write!(f, "node {} crashes", NODES[*node]),
            Self::Starts { node } => write!(f, "node {} starts again", NODES[*node]),
            Self::Restarts { node, after } => {
                write!(f, "node {} is told to stop, and starts again after {after:?}", NODES[*node])
            }
            Self::Freezes { node, lasts } => write!(f, "node {} freezes for {lasts:?}", NODES[*node]),
            Self::IsCutOff { node, lasts } => {
                write!(f, "node {} cannot reach Redis for {lasts:?}", NODES[*node])
            }
            Self::RedisIsAway { lasts } => write!(f, "Redis is away for {lasts:?}"),
            Self::RedisLosesEverything => write!(f, "Redis loses everything"),
            Self::Weather { weather: Weather { lost, twice, late }, lasts } => {
                write!(f, "for {lasts:?} {lost} % is lost, {twice} % comes twice, up to {late} ms late")
            }
        }
    }
}
