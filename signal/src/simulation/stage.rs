//! A schedule, played: nodes with real routers, and peers who use them.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ledger::{Fault, Ledger, Rule};
use super::peer::Peer;
use super::plane::Plane;
use super::schedule::{Event, NODES, Schedule};
use super::world::World;
use crate::chance;
use crate::dialect::{Terms, camus};
use crate::hub::mailbox::Bounds;
use crate::hub::roster::Pace;
use crate::ice::Ice;
use crate::message::{NodeId, RoomId};
use crate::metrics::Metrics;
use crate::router::{Router, Rules};

/// How long a peer may be away.
pub(super) const GRACE: Duration = Duration::from_secs(25);
const TERMS: Terms = Terms {
    ask_after: Some(Duration::from_secs(12)),
    grace: GRACE,
    guest_limit: 0,
    wait_for_name: Duration::ZERO,
    names: 0,
    topics: 0,
};
const MAILBOX: Bounds = Bounds { messages: 24, bytes: 1 << 20 };
const ROSTERS: Pace = Pace { interval: Duration::from_millis(50), bytes_per_second: 1 << 20 };
const UNSETTLED: Bounds = Bounds { messages: 200_000, bytes: 128 << 20 };
const PRESSED_FOR: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_secs(1);

/// When nothing more goes wrong, those who are away come back after this time,
const REUNION: Duration = Duration::from_secs(1);
/// everybody says a last word after this,
const LAST_WORDS: Duration = Duration::from_secs(37);
/// and everything is at rest after this.
const REST: Duration = Duration::from_secs(45);

/// How a schedule went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) faults: Vec<Fault>,
    /// What happened, if that was asked for.
    pub(super) story: Vec<(Duration, String)>,
}

/// One life of a node.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) plane: Arc<Plane>,
    pub(super) router: Arc<Router>,
    stop: CancellationToken,
}

/// Where it is played.
pub(super) struct Stage {
    pub(super) world: Arc<World>,
    pub(super) room: RoomId,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) peers: Mutex<Vec<Peer>>,
    /// By place in [`NODES`]; `None` after a crash.
    nodes: Mutex<Vec<Option<Node>>>,
    lives: Mutex<u32>,
}

/// Plays a schedule; with its story, if `told`.
pub(super) fn play(schedule: &Schedule, told: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { return Outcome::default() };
    runtime.block_on(async {
        let stage = Stage::new(schedule, told);
        tokio::spawn(stage.world.clone().go_on());
        for node in 0..schedule.nodes {
            stage.starts(node);
        }
        // They believe in each other before anything happens.
        sleep_until(stage.world.instant(Duration::from_secs(1))).await;
        stage.clone().goes_through(schedule).await;
        let faults = std::mem::take(&mut stage.ledger.lock().faults);
        stage.world.end();
        Outcome { faults, story: stage.world.story() }
    })
}

fn metrics() -> Arc<Metrics> {
    static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
    METRICS.get_or_init(|| Arc::new(Metrics::new(&[camus::NAME]).unwrap())).clone()
}

fn rules() -> Rules {
    Rules {
        create_on_entry: true,
        max_members: 100,
        mailbox: MAILBOX,
        terms: [(camus::NAME, TERMS)].into(),
        unsettled: UNSETTLED,
        pressed_for: PRESSED_FOR,
        rosters: ROSTERS,
        ice: Ice { stun: Vec::new(), turn: None },
    }
}

impl Stage {
    fn new(schedule: &Schedule, told: bool) -> Arc<Self> {
        Arc::new(Self {
            world: World::new(schedule.seed, told),
            room: camus::room("tea").unwrap(),
            ledger: Mutex::default(),
            peers: Mutex::new((0..schedule.peers).map(Peer::new).collect()),
            nodes: Mutex::new(vec![None; schedule.nodes]),
            lives: Mutex::default(),
        })
    }

    async fn goes_through(self: Arc<Self>, schedule: &Schedule) {
        let begin = self.world.now();
        let mut calm = Duration::ZERO;
        for (at, event) in &schedule.events {
            sleep_until(self.world.instant(begin + *at)).await;
            self.world.note(|| format!("{event}"));
            calm = calm.max(begin + *at + self.happens(event));
        }
        sleep_until(self.world.instant(calm + REUNION)).await;
        self.world.note(|| "from now on nothing goes wrong".into());
        if self.living().is_empty() {
            self.starts(0);
        }
        for peer in 0..schedule.peers {
            let returns = self.world.chance("reunion", |chance| chance.random_bool(0.8));
            if returns {
                self.comes_back(peer);
            }
        }
        sleep_until(self.world.instant(calm + LAST_WORDS)).await;
        let last = self.last_words();
        sleep_until(self.world.instant(calm + REST)).await;
        self.looks_around(&last, schedule);
    }

    /// Does it; how long it lasts.
    fn happens(self: &Arc<Self>, event: &Event) -> Duration {
        let now = self.world.now();
        match *event {
            Event::Says { peer, to } => self.says(peer, to),
            Event::Comes { peer, node } => self.comes(peer, node),
            Event::Drops { peer } => self.drops(peer),
            Event::Vanishes { peer } => self.vanishes(peer),
            Event::Leaves { peer } => self.leaves(peer),
            Event::IsSlow { peer, lasts } => {
                self.peers.lock()[peer].slow_until = now + lasts;
                return lasts;
            }
            Event::Crashes { node } => self.crashes(node),
            Event::Starts { node } => self.starts(node),
            Event::Freezes { node, lasts } => {
                if let Some(node) = self.node(node) {
                    node.plane.freezes(now + lasts);
                }
                return lasts;
            }
            Event::IsCutOff { node, lasts } => {
                if let Some(node) = self.node(node) {
                    self.world.cut(Some(&node.plane.me), now + lasts);
                }
                return lasts;
            }
            Event::RedisIsAway { lasts } => {
                self.world.cut(None, now + lasts);
                return lasts;
            }
            Event::RedisLosesEverything => self.world.wipe(),
            Event::Weather { weather, lasts } => {
                self.world.has_weather(weather, now + lasts);
                return lasts;
            }
        }
        Duration::ZERO
    }

    pub(super) fn node(&self, node: usize) -> Option<Node> {
        self.nodes.lock()[node].clone()
    }

    /// The places of all nodes that run.
    pub(super) fn living(&self) -> Vec<usize> {
        let nodes = self.nodes.lock();
        nodes.iter().enumerate().filter(|(_, node)| node.is_some()).map(|(place, _)| place).collect()
    }

    fn starts(self: &Arc<Self>, place: usize) {
        if self.node(place).is_some() {
            return;
        }
        let life = {
            let mut lives = self.lives.lock();
            *lives += 1;
            *lives
        };
        let (plane, notices) = Plane::start(&self.world, NodeId::new(format!("{}.{life}", NODES[place])));
        let stop = CancellationToken::new();
        let router = Router::start(plane.clone(), notices, rules(), metrics(), TaskTracker::new(), &stop);
        tokio::spawn(keep_time(plane.clone(), router.clone(), stop.clone()));
        self.nodes.lock()[place] = Some(Node { plane, router, stop });
    }

    fn crashes(self: &Arc<Self>, place: usize) {
        let Some(node) = self.nodes.lock()[place].take() else { return };
        node.plane.dies();
        node.stop.cancel();
        self.ledger.lock().dies(&node.plane.me, self.world.now());
        self.connections_break(&node.plane.me);
    }

    /// Whether all is as it should be, when all has come to rest.
    fn looks_around(&self, last: &[(usize, u64)], schedule: &Schedule) {
        let mut ledger = self.ledger.lock();
        let peers = self.peers.lock();
        let living: Vec<_> = self.nodes.lock().iter().flatten().cloned().collect();
        let look = Look { stage: self, peers: &peers, living: &living };
        look.at_members(&mut ledger);
        look.at_nodes(&mut ledger);
        look.at_rosters(&mut ledger);
        look.at_last_words(last, &mut ledger);
        look.at_what_is_left(&mut ledger);
        if schedule.is_calm() {
            ledger.nothing_was_wrong();
        }
        let hopeless = peers.iter().filter(|peer| !peer.is_connected()).map(|peer| peer.id.clone()).collect();
        let misjudged = self.world.misjudged.lock();
        ledger.settle(&hopeless, &misjudged);
    }
}

async fn keep_time(plane: Arc<Plane>, router: Arc<Router>, stop: CancellationToken) {
    let ticks = async {
        loop {
            tokio::time::sleep(TICK).await;
            plane.awake().await;
            router.tick(chance::now());
        }
    };
    let _ = stop.run_until_cancelled(ticks).await;
}

/// One look at everything.
struct Look<'a> {
    stage: &'a Stage,
    peers: &'a [Peer],
    living: &'a [Node],
}

impl Look<'_> {
    /// The directory has those who are connected, where they are; and those who are away, as long as they may be.
    fn at_members(&self, ledger: &mut Ledger) {
        let now = self.stage.world.now();
        let mut members = self.stage.world.directory.members();
        for peer in self.peers {
            let member = members.remove(&(self.stage.room.clone(), peer.id.clone()));
            let id = &peer.id;
            match (peer.newest(), member) {
                (Some(connection), None) => {
                    ledger.fails(
                        Rule::NobodyGone,
                        format!("{id} is connected to {} and no member", connection.node),
                    );
                }
                (Some(connection), Some(member)) if member.node != connection.node || member.away => {
                    let what =
                        format!("{id} is connected to {}, and the directory has {member:?}", connection.node);
                    ledger.fails(Rule::RostersAgree, what);
                }
                (Some(_), Some(_)) => {}
                (None, Some(_)) if peer.left => {
                    ledger.fails(Rule::NoGhosts, format!("{id} has left and is there"));
                }
                (None, Some(member)) if peer.away_for(now) > 2 * GRACE => {
                    let away = peer.away_for(now);
                    ledger.fails(
                        Rule::NoGhosts,
                        format!("{id} is away for {away:?} and still there: {member:?}"),
                    );
                }
                (None, None) if peer.has_come && !peer.said_bye && peer.away_for(now) < GRACE => {
                    let away = peer.away_for(now);
                    ledger.fails(
                        Rule::NobodyGone,
                        format!("{id} is away for {away:?} only, and no member any more"),
                    );
                }
                (None, _) => {}
            }
        }
    }

    /// Each node with a peer knows what the directory has; and a peer is on one node.
    fn at_nodes(&self, ledger: &mut Ledger) {
        let room = &self.stage.room;
        let members = self.stage.world.directory.members();
        let mut seated = BTreeSet::new();
        for node in self.living {
            let me = &node.plane.me;
            for seen in node.router.seen(room) {
                let member = members.get(&(room.clone(), seen.peer.clone()));
                if member.is_none_or(|member| member.node != *me) {
                    let what =
                        format!("node {me} believes to have {}, and the directory has {member:?}", seen.peer);
                    ledger.fails(Rule::NoGhosts, what);
                }
                if seen.connected && !seated.insert(seen.peer.clone()) {
                    ledger.fails(Rule::OneSeat, format!("{} is connected to two nodes", seen.peer));
                }
                let is_mine = |peer: &&Peer| peer.id == seen.peer && peer.is_connected();
                if seen.waiting > 0 && self.peers.iter().any(|peer| is_mine(&peer)) {
                    let what = format!("{} bytes wait for {}, who is connected", seen.waiting, seen.peer);
                    ledger.fails(Rule::NothingLeftBehind, what);
                }
            }
            for peer in self.peers {
                let (known, member) =
                    (node.router.known_member(room, &peer.id), members.get(&(room.clone(), peer.id.clone())));
                if let Some(known) = known
                    && known.as_ref() != member
                {
                    let what =
                        format!("node {me} knows {} as {known:?}, and the directory has {member:?}", peer.id);
                    ledger.fails(Rule::RostersAgree, what);
                }
            }
        }
    }

    /// The last roster that each was shown is the one that there is.
    fn at_rosters(&self, ledger: &mut Ledger) {
        let members = self.stage.world.directory.members();
        let listed = members.iter().filter(|(_, member)| member.listed);
        let listed: BTreeSet<_> = listed.map(|((_, peer), _)| peer.clone()).collect();
        for peer in self.peers.iter().filter(|peer| peer.is_connected()) {
            if peer.roster != listed {
                let what = format!("{} was shown {:?} last, and there are {listed:?}", peer.id, peer.roster);
                ledger.fails(Rule::RostersAgree, what);
            }
        }
    }

    fn at_last_words(&self, last: &[(usize, u64)], ledger: &mut Ledger) {
        for (from, number) in last {
            let from = &self.peers[*from].id;
            for to in self.peers.iter().filter(|to| to.is_connected() && to.id != *from) {
                if !ledger.has_heard(&to.id, from, *number) {
                    let what =
                        format!("{} did not hear #{number}, which {from} said to everybody at last", to.id);
                    ledger.fails(Rule::AsBefore, what);
                }
            }
        }
    }

    fn at_what_is_left(&self, ledger: &mut Ledger) {
        for node in self.living {
            let me = &node.plane.me;
            let unfinished = node.router.unfinished();
            if unfinished > 0 {
                ledger.fails(
                    Rule::NothingLeftBehind,
                    format!("{unfinished} things are unfinished on node {me}"),
                );
            }
            for (to, backlog) in node.plane.backlogs().into_iter().filter(|(_, backlog)| *backlog > 0) {
                ledger.fails(
                    Rule::NothingLeftBehind,
                    format!("{backlog} envelopes wait on node {me} for {to}"),
                );
            }
        }
    }
}
