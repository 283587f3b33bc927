//! A schedule, played: nodes with real routers, and peers who use them.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::hosted::begin_anew;
use super::ledger::{Fault, Ledger, Rule};
use super::peer::Peer;
use super::plane::Plane;
use super::schedule::{Event, NODES, Schedule};
use super::socket::PING;
use super::tongue::Tongue;
use super::world::{LEASE, World};
use crate::backplane::{Backplane, Refusal};
use crate::chance;
use crate::dialect::{self, Terms, camus, peerjs, share};
use crate::hub::mailbox::Bounds;
use crate::hub::room::Member;
use crate::hub::roster::Pace;
use crate::ice::Ice;
use crate::message::{NodeId, PeerId, Receipt, RoomId};
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
/// The same of one whose name is its own in the cluster.
const NAMES: Terms =
    Terms { ask_after: None, guest_limit: 1, wait_for_name: Duration::from_secs(5), names: 100, ..TERMS };
/// The same of one who is in a room as long as its socket lives.
const HOSTED: Terms = Terms { ask_after: None, grace: Duration::MAX, ..TERMS };
/// A name is free for others after this time, whatever became of the connection that had it.
const FREE: Duration = Duration::from_secs(LEASE.as_secs() + 2 + 2 * PING.as_secs());
/// A node that stops keeps what it holds for so long, for others to fetch it.
const LINGER: Duration = Duration::from_secs(10);
const MAILBOX: Bounds = Bounds { messages: 24, bytes: 1 << 20 };
const ROSTERS: Pace = Pace { interval: Duration::from_millis(50), bytes_per_second: 1 << 20 };
const UNSETTLED: Bounds = Bounds { messages: 200_000, bytes: 128 << 20 };
const PRESSED_FOR: Duration = Duration::from_secs(3);
/// Nodes believe in each other before anything happens.
const BEGIN: Duration = Duration::from_secs(1);
/// Of what was not heard when a node was deaf there is nothing left after this time.
const AFTERWARDS: Duration = Duration::from_secs(2);
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
    pub(super) tongue: Tongue,
    /// How many clients there are.
    pub(super) crowd: usize,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) peers: Mutex<Vec<Peer>>,
    /// What the room is called that its host has opened last, where hosts do.
    pub(super) opened: Mutex<String>,
    /// When Redis has lost everything.
    pub(super) wiped: Mutex<Vec<Duration>>,
    /// By place in [`NODES`]; `None` after a crash, or when it stops.
    nodes: Mutex<Vec<Option<Node>>>,
    lives: Mutex<u32>,
}

/// Plays a schedule; with its story, if `told`.
pub(super) fn play(schedule: &Schedule, told: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { return Outcome::default() };
    begin_anew();
    runtime.block_on(async {
        let stage = Stage::new(schedule, told);
        tokio::spawn(stage.world.clone().go_on());
        for node in 0..schedule.nodes {
            stage.starts(node);
        }
        sleep_until(stage.world.instant(BEGIN)).await;
        stage.clone().goes_through(schedule).await;
        let faults = std::mem::take(&mut stage.ledger.lock().faults);
        stage.world.end();
        Outcome { faults, story: stage.world.story() }
    })
}

fn metrics() -> Arc<Metrics> {
    static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
    METRICS
        .get_or_init(|| Arc::new(Metrics::new(&dialect::names().into_iter().collect::<Vec<_>>()).unwrap()))
        .clone()
}

fn rules() -> Rules {
    Rules {
        create_on_entry: true,
        max_members: 100,
        mailbox: MAILBOX,
        terms: [(camus::NAME, TERMS), (peerjs::NAME, NAMES), (share::NAME, HOSTED)].into(),
        unsettled: UNSETTLED,
        pressed_for: PRESSED_FOR,
        rosters: ROSTERS,
        ice: Ice { stun: Vec::new(), turn: None },
    }
}

impl Stage {
    fn new(schedule: &Schedule, told: bool) -> Arc<Self> {
        let (tongue, crowd) = (schedule.tongue, schedule.peers);
        let peers = (0..crowd).map(|place| Peer::new(tongue.name(place, crowd), place));
        Arc::new(Self {
            world: World::new(schedule.seed, told),
            tongue,
            crowd,
            ledger: Mutex::new(Ledger::new(tongue, schedule.is_peaceful())),
            peers: Mutex::new(peers.collect()),
            opened: Mutex::default(),
            wiped: Mutex::default(),
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
        if self.tongue == Tongue::Names {
            self.strangers_knock().await;
        }
    }

    /// Everybody who is connected says something: to everybody, or to all of whom it knows.
    fn last_words(&self) -> Vec<LastWord> {
        let all: Vec<_> = match self.tongue {
            Tongue::Rooms | Tongue::Numbered => vec![None],
            Tongue::Names | Tongue::Hosted => (0..self.crowd).map(Some).collect(),
        };
        let words = (0..self.crowd).flat_map(|from| all.iter().map(move |to| (from, *to)));
        let words = words.filter(|(from, to)| self.tongue.addressee(*from, *to) == *to);
        let say = |(from, to)| {
            let number = self.says(from, to, Receipt::TellSender)?;
            Some(LastWord { from, to: to.map(|to| self.tongue.name(to, self.crowd)), number })
        };
        words.filter_map(say).collect()
    }

    /// Whether somebody else gets a name that nobody has, and only that.
    async fn strangers_knock(&self) {
        for name in self.names() {
            let node = self.living().first().and_then(|place| self.node(*place));
            let Some(node) = node else { return };
            let got = self.knocks(&node, &name, "a stranger".into()).await;
            let is_held = self.peers.lock().iter().any(|peer| peer.id == name && peer.is_connected());
            let mut ledger = self.ledger.lock();
            match got {
                Err(Refusal::Taken) if is_held => {}
                Ok(_) if !is_held => {}
                Ok(_) => {
                    ledger.fails(Rule::OneSeat, format!("{name} is connected, and a stranger gets the name"));
                }
                Err(why) => {
                    ledger.fails(Rule::NoGhosts, format!("a stranger does not get the name {name}: {why}"));
                }
            }
        }
    }

    /// The room in which that peer is, or is to be.
    pub(super) fn home(&self, peer: &PeerId) -> RoomId {
        self.tongue.home(peer, &self.opened.lock())
    }

    /// What the client at this place asks first.
    pub(super) fn greeting(&self, place: usize) -> String {
        self.tongue.greeting(&self.tongue.name(place, self.crowd), &self.opened.lock())
    }

    /// The names of all, each once.
    pub(super) fn names(&self) -> BTreeSet<PeerId> {
        (0..self.crowd).map(|place| self.tongue.name(place, self.crowd)).collect()
    }

    /// Does it; how long it lasts.
    fn happens(self: &Arc<Self>, event: &Event) -> Duration {
        let now = self.world.now();
        match *event {
            Event::Says { peer, to } => drop(self.says(peer, to, Receipt::TellSender)),
            Event::TakesLeave { peer, of } => drop(self.says(peer, Some(of), Receipt::Drop)),
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
            Event::Restarts { node, after } => {
                self.restarts(node, after);
                return after;
            }
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
            Event::RedisLosesEverything => {
                self.wiped.lock().push(now);
                self.world.wipe();
            }
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

    fn restarts(self: &Arc<Self>, place: usize, after: Duration) {
        let Some(node) = self.nodes.lock()[place].take() else { return };
        tokio::spawn(self.clone().stops(node));
        let stage = self.clone();
        tokio::spawn(async move {
            sleep(after).await;
            stage.starts(place);
        });
    }

    /// As `Node::drain` has it, when no more connections are accepted.
    async fn stops(self: Arc<Self>, node: Node) {
        let Node { plane, router, stop } = node;
        let by = self.world.now() + LINGER;
        loop {
            plane.awake().await;
            router.send_everybody_away(Duration::ZERO).await;
            if !router.holds_anything() || self.world.now() >= by {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        let all_left = router.give_up_what_is_held().await;
        let resigned = plane.close().await;
        self.ledger.lock().stops(&plane.me);
        if !all_left || resigned.is_err() {
            // What it could not say, or leave to anybody, is lost with it.
            self.ledger.lock().dies(&plane.me, self.world.now());
        }
        self.world.note(|| match resigned {
            Ok(()) => format!("node {} has stopped", plane.me),
            Err(_) => format!("node {} has stopped, and could not say everything", plane.me),
        });
        stop.cancel();
        plane.dies();
        self.connections_break(&plane.me);
    }

    /// Whether all is as it should be, when all has come to rest.
    fn looks_around(&self, last: &[LastWord], schedule: &Schedule) {
        let mut ledger = self.ledger.lock();
        let peers = self.peers.lock();
        let living: Vec<_> = self.nodes.lock().iter().flatten().cloned().collect();
        let look = Look { stage: self, peers: &peers, living: &living };
        look.at_members(&mut ledger);
        look.at_nodes(&mut ledger);
        if self.tongue.holds_for_those_away() {
            look.at_rosters(&mut ledger);
        }
        look.at_last_words(last, &mut ledger);
        look.at_what_is_left(&mut ledger);
        if schedule.is_calm() {
            ledger.nothing_was_wrong();
        }
        let is_there = |id: &PeerId| peers.iter().any(|peer| peer.id == *id && peer.is_connected());
        let hopeless = self.names().into_iter().filter(|id| !is_there(id)).collect();
        let misjudged = self.world.misjudged.lock();
        let deaf = schedule.deafness().into_iter();
        let deaf: Vec<_> = deaf.map(|(from, to)| (BEGIN + from, BEGIN + to + AFTERWARDS)).collect();
        ledger.settle(&hopeless, &misjudged, &deaf);
    }
}

async fn keep_time(plane: Arc<Plane>, router: Arc<Router>, stop: CancellationToken) {
    let ticks = async {
        loop {
            sleep(TICK).await;
            let due = chance::now();
            plane.awake().await;
            router.tick(due);
        }
    };
    let _ = stop.run_until_cancelled(ticks).await;
}

/// What somebody has said at last: to everybody, or to one.
struct LastWord {
    from: usize,
    to: Option<PeerId>,
    number: u64,
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
        let mut members = self.stage.world.directory.members();
        for id in self.stage.names() {
            let connected = self.peers.iter().filter(|peer| peer.id == id && peer.is_connected());
            let member = members.remove(&(self.stage.home(&id), id.clone()));
            match (connected.collect::<Vec<_>>().as_slice(), member) {
                ([], member) => {
                    let all = self.peers.iter().filter(|peer| peer.id == id);
                    let last = all.max_by_key(|peer| peer.seen);
                    last.into_iter().for_each(|last| self.at_one_away(last, member.as_ref(), ledger));
                }
                ([peer], member) => self.at_one_connected(peer, member.as_ref(), ledger),
                (several, _) => {
                    let what = format!("{} clients are connected as {id}", several.len());
                    ledger.fails(Rule::OneSeat, what);
                }
            }
        }
        for ((room, peer), member) in members {
            let what = format!("{peer} is in {room}, where it has no reason to be: {member:?}");
            ledger.fails(Rule::NoGhosts, what);
        }
    }

    fn at_one_connected(&self, peer: &Peer, member: Option<&Member>, ledger: &mut Ledger) {
        let (id, Some(connection)) = (&peer.id, peer.newest()) else { return };
        let Some(member) = member else {
            let what = format!("{id} is connected to {} and no member", connection.node);
            return ledger.fails(Rule::NobodyGone, what);
        };
        let is_its_own = self.stage.tongue != Tongue::Names || member.profile == peer.proof;
        if member.node != connection.node || member.away || !is_its_own {
            let what = format!("{id} is connected to {}, and the directory has {member:?}", connection.node);
            ledger.fails(Rule::RostersAgree, what);
        }
        let unsafe_yet = peer.unsafe_yet.keys().collect::<Vec<_>>();
        if !unsafe_yet.is_empty() && self.peers.iter().all(|peer| peer.is_connected() || peer.left) {
            let what = format!("{id} was never told what became of {unsafe_yet:?}");
            ledger.fails(Rule::NothingLeftBehind, what);
        }
    }

    fn at_one_away(&self, peer: &Peer, member: Option<&Member>, ledger: &mut Ledger) {
        let (id, away) = (&peer.id, peer.away_for(self.stage.world.now()));
        let is_held_for = self.stage.tongue.holds_for_those_away();
        match member {
            Some(_) if peer.left => ledger.fails(Rule::NoGhosts, format!("{id} has left and is there")),
            Some(member) if away > if is_held_for { 2 * GRACE } else { FREE } => {
                let what = format!("{id} is away for {away:?} and still there: {member:?}");
                ledger.fails(Rule::NoGhosts, what);
            }
            None if is_held_for && peer.has_come && !peer.said_bye && away < GRACE => {
                let what = format!("{id} is away for {away:?} only, and no member any more");
                ledger.fails(Rule::NobodyGone, what);
            }
            _ => {}
        }
    }

    /// Each node with a peer knows what the directory has; and a peer is on one node.
    fn at_nodes(&self, ledger: &mut Ledger) {
        let members = self.stage.world.directory.members();
        let names = self.stage.names();
        let homes: BTreeSet<_> = names.iter().map(|name| self.stage.home(name)).collect();
        let mut seated = BTreeSet::new();
        for node in self.living {
            for room in &homes {
                self.at_sessions(node, room, &mut seated, ledger);
            }
            let me = &node.plane.me;
            for peer in &names {
                let room = self.stage.home(peer);
                let known = node.router.known_member(&room, peer);
                let member = members.get(&(room, peer.clone()));
                if let Some(known) = known
                    && known.as_ref() != member
                {
                    let what =
                        format!("node {me} knows {peer} as {known:?}, and the directory has {member:?}");
                    ledger.fails(Rule::RostersAgree, what);
                }
            }
        }
    }

    fn at_sessions(&self, node: &Node, room: &RoomId, seated: &mut BTreeSet<PeerId>, ledger: &mut Ledger) {
        let members = self.stage.world.directory.members();
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

    fn at_last_words(&self, last: &[LastWord], ledger: &mut Ledger) {
        for LastWord { from, to, number } in last {
            let from = &self.peers[*from].id;
            let meant = |peer: &&Peer| peer.id != *from && to.as_ref().is_none_or(|to| peer.id == *to);
            for to in self.peers.iter().filter(meant).filter(|peer| peer.is_connected()) {
                if !ledger.has_heard(&to.id, from, *number) {
                    let what = format!("{} did not hear #{number}, which {from} said to it at last", to.id);
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
