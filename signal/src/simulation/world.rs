//! What nodes live in: one time, a bus that forgets, and a Redis that may be away, late, or empty.
//!
//! Whatever is on its way (a command to Redis, its effect, a frame on the bus) is an action that is due at a moment; they
//! are done one after the other. Chance has a source of its own for each pair of nodes, so that one event more or less in
//! a schedule leaves the rest of it as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep_until, timeout_at};

use super::plane::Plane;
use crate::backplane::memory::Bus;
use crate::backplane::pulse::LeaseEnd;
use crate::backplane::{Lifetimes, Refusal};
use crate::chance;
use crate::message::NodeId;

/// How long a node is believed without heartbeats.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// A command without an answer is given up after this time.
const DEADLINE: Duration = Duration::from_secs(2);
/// After Redis has lost everything, how long no room is made by entering it.
const QUIET: Duration = Duration::from_secs(15);
const LIFETIMES: Lifetimes =
    Lifetimes { empty_room: Duration::from_secs(60), gone: Duration::from_secs(3_600) };

type Action = Box<dyn FnOnce(&Arc<World>) + Send>;

/// What becomes of commands and frames for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weather {
    /// In a hundred, so many are lost.
    pub(super) lost: u32,
    /// In a hundred, so many frames come twice.
    pub(super) twice: u32,
    /// They take up to so many milliseconds.
    pub(super) late: u64,
}

/// The world.
pub(super) struct World {
    /// Rooms and members.
    pub(super) directory: Bus,
    /// When others took a node for dead that lived.
    pub(super) misjudged: Mutex<Vec<Duration>>,
    /// What happens, if somebody wants to read it.
    story: Option<Mutex<Vec<(Duration, String)>>>,
    seed: u64,
    start: Instant,
    inside: Mutex<Inside>,
    stirred: Notify,
}

#[derive(Default)]
struct Inside {
    due: BTreeMap<(Duration, u64), Action>,
    actions: u64,
    chances: BTreeMap<String, SmallRng>,
    weather: (Duration, Weather),
    away_until: Duration,
    cut_until: BTreeMap<NodeId, Duration>,
    /// When the last command of each node gets to Redis: on one connection none overtakes another.
    queued: BTreeMap<NodeId, Duration>,
    living: BTreeMap<NodeId, Arc<Plane>>,
    facts: Facts,
}

/// What is in Redis beside the rooms.
#[derive(Default)]
pub(super) struct Facts {
    leases: BTreeMap<NodeId, Duration>,
    lives: BTreeMap<NodeId, u64>,
    reapers: BTreeMap<NodeId, (NodeId, Duration)>,
    /// All that live or have still to be reaped.
    pub(super) nodes: BTreeSet<NodeId>,
    /// Another one says that everything was lost.
    pub(super) epoch: Option<u64>,
    epochs: u64,
    lost_until: Duration,
}

/// What is done with a frame or a command.
enum Fate {
    Arrives(Duration),
    /// It is carried out at that moment, and nobody hears of it.
    Unanswered(Duration),
    Lost,
}

impl World {
    pub(super) fn new(seed: u64, told: bool) -> Arc<Self> {
        Arc::new(Self {
            directory: Bus::new(LIFETIMES),
            misjudged: Mutex::default(),
            story: told.then(Mutex::default),
            seed,
            start: chance::now(),
            inside: Mutex::default(),
            stirred: Notify::new(),
        })
    }

    /// How long the world has been there.
    pub(super) fn now(&self) -> Duration {
        chance::since(self.start)
    }

    pub(super) fn instant(&self, at: Duration) -> tokio::time::Instant {
        (self.start + at).into()
    }

    /// Something has happened.
    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        if let Some(story) = &self.story {
            story.lock().push((self.now(), what()));
        }
    }

    pub(super) fn story(&self) -> Vec<(Duration, String)> {
        self.story.as_ref().map(|story| std::mem::take(&mut *story.lock())).unwrap_or_default()
    }

    /// Something that `whose` chance decides.
    pub(super) fn chance<T>(&self, whose: &str, decide: impl FnOnce(&mut SmallRng) -> T) -> T {
        self.inside.lock().chance(self.seed, whose, decide)
    }

    /// Does what is due, for ever.
    pub(super) async fn go_on(self: Arc<Self>) {
        loop {
            let next = {
                let mut inside = self.inside.lock();
                let now = self.now();
                match inside.due.first_entry() {
                    Some(first) if first.key().0 <= now => Ok(first.remove()),
                    Some(first) => Err(Some(first.key().0)),
                    None => Err(None),
                }
            };
            match next {
                Ok(action) => action(&self),
                Err(Some(at)) => drop(timeout_at(self.instant(at), self.stirred.notified()).await),
                Err(None) => self.stirred.notified().await,
            }
        }
    }

    pub(super) fn at(&self, when: Duration, action: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let mut inside = self.inside.lock();
        inside.actions += 1;
        let key = (when, inside.actions);
        inside.due.insert(key, Box::new(action));
        if inside.due.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.stirred.notify_one();
        }
    }

    /// Nothing refers to anything any more.
    pub(super) fn end(&self) {
        let mut inside = self.inside.lock();
        inside.due.clear();
        inside.living.clear();
    }

    pub(super) fn lives(&self, plane: &Arc<Plane>) {
        self.inside.lock().living.insert(plane.me.clone(), plane.clone());
    }

    pub(super) fn is_taken_for_dead(&self, node: &NodeId) {
        if self.inside.lock().living.contains_key(node) {
            self.misjudged.lock().push(self.now());
        }
    }

    pub(super) fn dies(&self, node: &NodeId) {
        self.inside.lock().living.remove(node);
    }

    /// A node says that it leaves; whoever hears it need not wait for the end of its lease.
    pub(super) fn tell_of_leaving(&self, node: &NodeId) {
        let living: Vec<_> = self.inside.lock().living.values().cloned().collect();
        for plane in living.iter().filter(|plane| plane.me != *node) {
            plane.hears_of_leaving(node.clone());
        }
    }

    pub(super) fn has_weather(&self, weather: Weather, until: Duration) {
        self.inside.lock().weather = (until, weather);
    }

    /// Redis is away from all nodes, or from one. Who was cut off is connected again afterwards.
    pub(super) fn cut(self: &Arc<Self>, node: Option<&NodeId>, until: Duration) {
        let mut inside = self.inside.lock();
        match node {
            None => inside.away_until = inside.away_until.max(until),
            Some(node) => {
                inside.cut_until.insert(node.clone(), until);
            }
        }
        drop(inside);
        let node = node.cloned();
        self.at(until, move |world| {
            let living: Vec<_> = world.inside.lock().living.values().cloned().collect();
            let cut = living.iter().filter(|plane| node.as_ref().is_none_or(|node| plane.me == *node));
            cut.for_each(|plane| plane.is_connected_again());
        });
    }

    /// Redis loses everything.
    pub(super) fn wipe(&self) {
        let mut inside = self.inside.lock();
        inside.facts = Facts { epochs: inside.facts.epochs, ..Facts::default() };
        self.directory.wipe();
    }

    /// Asks Redis for what `act` does there, atomically; `Unavailable` if there is no answer in time. A command that timed
    /// out has not failed: it may have been carried out, or may still be.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        me: &NodeId,
        act: impl FnOnce(&mut Facts, Duration) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let by = self.instant(self.now() + DEADLINE);
        let (answer, answered) = oneshot::channel();
        let carry_out = move |world: &Arc<Self>| {
            let now = world.now();
            act(&mut world.inside.lock().facts, now)
        };
        match self.fate_of_command(me) {
            Fate::Arrives(at) => self.at(at, move |world| drop(answer.send(carry_out(world)))),
            Fate::Unanswered(at) => self.at(at, move |world| drop(carry_out(world))),
            Fate::Lost => {}
        }
        if let Ok(Ok(answer)) = timeout_at(by, answered).await {
            return Ok(answer);
        }
        sleep_until(by).await;
        Err(Refusal::Unavailable)
    }

    fn fate_of_command(&self, me: &NodeId) -> Fate {
        let now = self.now();
        let mut inside = self.inside.lock();
        let (away, weather) = (inside.away_until(me), inside.weather(now));
        let (late, dice, half) = inside.chance(self.seed, me.as_str(), |chance| {
            (
                chance.random_range(1..=weather.late.max(1)),
                chance.random_range(0..100),
                chance.random_bool(0.5),
            )
        });
        let earliest = inside.queued.get(me).copied().unwrap_or_default();
        let at = earliest.max(away.max(now) + Duration::from_millis(late));
        if away > now || dice < weather.lost {
            if half {
                return Fate::Lost;
            }
            inside.queued.insert(me.clone(), at);
            return Fate::Unanswered(at);
        }
        inside.queued.insert(me.clone(), at);
        Fate::Arrives(at)
    }

    /// Publishes a frame for `to`: how many have heard it, as far as Redis knows.
    pub(super) async fn publish(
        self: &Arc<Self>,
        me: &NodeId,
        to: &NodeId,
        frame: Vec<u8>,
    ) -> Result<u64, Refusal> {
        let (world, me_too, to) = (self.clone(), me.clone(), to.clone());
        self.ask(me, move |_, now| (now, world, me_too, to, frame))
            .await
            .map(|(now, world, me, to, frame)| world.spread(now, &me, to, frame))
    }

    fn spread(&self, now: Duration, me: &NodeId, to: NodeId, frame: Vec<u8>) -> u64 {
        let mut inside = self.inside.lock();
        if !inside.living.contains_key(&to) {
            return 0;
        }
        let is_cut = inside.away_until(&to) > now;
        let weather = inside.weather(now);
        let whose = format!("{me}>{to}");
        let (dice, twice, late, later) = inside.chance(self.seed, &whose, |chance| {
            let late = 1..=weather.late.max(1);
            (
                chance.random_range(0..100),
                chance.random_range(0..100),
                chance.random_range(late.clone()),
                chance.random_range(late),
            )
        });
        drop(inside);
        if is_cut {
            // Redis need not have noticed yet that nobody listens any more.
            return u64::from(dice < 50);
        }
        if dice < weather.lost {
            return 1;
        }
        let times = if twice < weather.twice { 2 } else { 1 };
        for late in [late, later].into_iter().take(times) {
            let (to, frame) = (to.clone(), frame.clone());
            self.at(now + Duration::from_millis(late), move |world| {
                let plane = world.inside.lock().living.get(&to).cloned();
                if let Some(plane) = plane {
                    plane.hears(frame);
                }
            });
        }
        1
    }
}

impl Inside {
    fn chance<T>(&mut self, seed: u64, whose: &str, decide: impl FnOnce(&mut SmallRng) -> T) -> T {
        if let Some(chance) = self.chances.get_mut(whose) {
            return decide(chance);
        }
        let own =
            whose.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let chance = self.chances.entry(whose.to_owned());
        decide(chance.or_insert_with(|| SmallRng::seed_from_u64(own)))
    }

    fn away_until(&self, node: &NodeId) -> Duration {
        self.cut_until.get(node).copied().unwrap_or_default().max(self.away_until)
    }

    fn weather(&self, now: Duration) -> Weather {
        let (until, weather) = self.weather;
        if now < until { weather } else { Weather::default() }
    }
}

/// As `backplane/redis/scripts` have it.
impl Facts {
    /// Renews the lease of a node that is not being reaped, and was not since it began its life.
    pub(super) fn beat(&mut self, node: &NodeId, life: (u64, bool), now: Duration) -> Beat {
        if self.reapers.get(node).is_some_and(|(_, until)| *until > now) {
            return Beat::BeingReaped;
        }
        if !life.1 && self.lives.get(node) != Some(&life.0) {
            return Beat::Forgotten;
        }
        self.lives.insert(node.clone(), life.0);
        self.leases.insert(node.clone(), now + LEASE);
        Beat::Alive(lease_end(now + LEASE))
    }

    /// This node is one of all, in this epoch.
    pub(super) fn register(&mut self, node: &NodeId) -> u64 {
        self.nodes.insert(node.clone());
        if self.epoch.is_none() {
            self.epochs += 1;
            self.epoch = Some(self.epochs);
        }
        self.epochs
    }

    pub(super) fn is_alive(&self, node: &NodeId, now: Duration) -> bool {
        self.leases.get(node).is_some_and(|end| *end > now)
    }

    /// Everything was lost a short time ago; said once.
    pub(super) fn is_lost(&mut self, now: Duration) {
        if self.lost_until <= now {
            self.lost_until = now + QUIET;
        }
    }

    pub(super) fn has_lost_everything(&self, epoch: Option<u64>, now: Duration) -> bool {
        self.lost_until > now || epoch != self.epoch
    }

    /// The claim to reap a dead node; one at a time has it.
    pub(super) fn claim_reaping(&mut self, dead: &NodeId, reaper: &NodeId, now: Duration) -> bool {
        let taken = self.reapers.get(dead).is_some_and(|(other, until)| other != reaper && *until > now);
        if self.is_alive(dead, now) || taken {
            return false;
        }
        self.lives.remove(dead);
        self.reapers.insert(dead.clone(), (reaper.clone(), now + LEASE));
        true
    }

    /// All peers of a dead node are taken over.
    pub(super) fn bury(&mut self, dead: &NodeId, reaper: &NodeId, now: Duration) {
        self.nodes.remove(dead);
        if self.reapers.get(dead).is_some_and(|(has, until)| has == reaper && *until > now) {
            self.reapers.remove(dead);
        }
    }

    /// Gives up the lease.
    pub(super) fn resign(&mut self, node: &NodeId) {
        self.leases.remove(node);
        self.lives.remove(node);
    }
}

/// What a heartbeat finds out.
pub(super) enum Beat {
    Alive(LeaseEnd),
    BeingReaped,
    Forgotten,
}

fn lease_end(at: Duration) -> LeaseEnd {
    LeaseEnd(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
}
