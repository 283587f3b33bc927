//! What the peers of one process have in common. They run on one thread, so nothing here is locked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};

use crate::clock::Clock;
use crate::connect::Doors;
use crate::dialect::Dialect;
use crate::ledger::{Excuse, Ledger};
use crate::measure::Second;
use crate::plan::{Plan, Speech, Traffic};
use crate::schedule::Schedule;
use crate::stamp::Stamp;

/// What everybody is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Coming in.
    Joining,
    /// Talking, and then waiting for what is still under way.
    Talking {
        /// Since this time.
        since: Duration,
        /// What is due after so long is not said any more.
        length: Duration,
    },
    /// Going home.
    Leaving,
}

/// What a peer is woken by.
#[derive(Debug, Default)]
pub struct Bell {
    /// Rings when something of the following has changed, or a message is due.
    pub rings: Notify,
    /// Go away, and come back after so long.
    pub go_away: Cell<Option<Duration>>,
}

/// Where a peer is.
#[derive(Clone, Debug, Default)]
pub struct Seat {
    /// What others call it.
    pub address: String,
    /// Its node, by the place of its name in [`Happenings::nodes`].
    pub node: usize,
    /// Whether it is connected.
    pub is_there: bool,
}

/// What happened besides messages, by its words.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Happenings {
    /// Names of nodes that peers were connected to.
    pub nodes: Vec<String>,
    /// Answers to those who were not let in, and how often.
    pub refusals: BTreeMap<String, u64>,
    /// Why connections ended that were not to end, and how often.
    pub lost_connections: BTreeMap<String, u64>,
    /// How often the server did not take a message, and why.
    pub complaints: BTreeMap<String, u64>,
    /// Peers that never got in.
    pub outside: u64,
    /// How often a peer came back.
    pub came_back: u64,
}

impl Happenings {
    /// Adds those of another process.
    pub fn add(&mut self, other: Self) {
        for name in other.nodes {
            self.node(name);
        }
        for (counts, others) in [
            (&mut self.refusals, other.refusals),
            (&mut self.lost_connections, other.lost_connections),
            (&mut self.complaints, other.complaints),
        ] {
            for (why, count) in others {
                *counts.entry(why).or_default() += count;
            }
        }
        self.outside += other.outside;
        self.came_back += other.came_back;
    }

    /// The place of a node's name.
    pub fn node(&mut self, name: String) -> usize {
        self.nodes.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.nodes.push(name);
            self.nodes.len() - 1
        })
    }
}

/// Counts one more of these words.
pub fn count(counts: &mut BTreeMap<String, u64>, why: impl Into<String>) {
    *counts.entry(why.into()).or_default() += 1;
}

/// What the peers of a process have in common.
pub struct Floor {
    /// What they are to do.
    pub plan: Plan,
    /// How they speak.
    pub dialect: &'static dyn Dialect,
    /// Where they go.
    pub doors: Doors,
    /// What time it is.
    pub clock: Clock,
    /// What they do now.
    pub phase: Cell<Phase>,
    /// Handshakes that may still begin.
    pub handshakes: Semaphore,
    /// One for each peer that is seated, or never will be.
    pub arrivals: Semaphore,
    /// What was sent, and what became of it.
    pub ledger: RefCell<Ledger>,
    /// What this second brought.
    pub second: RefCell<Second>,
    /// What else happened.
    pub happenings: RefCell<Happenings>,
    bells: Vec<Bell>,
    /// What each room is called by its host, while it is there.
    rooms: Vec<watch::Sender<Option<String>>>,
    seats: RefCell<Vec<Seat>>,
}

impl Floor {
    /// A floor on which nobody is yet.
    pub fn new(plan: Plan, dialect: &'static dyn Dialect, doors: Doors) -> Self {
        let peers = plan.share().len();
        let at_once = (f64::from(plan.joins.at_once) * plan.part()).ceil().max(1.0) as usize;
        Self {
            dialect,
            doors,
            clock: Clock::start(),
            phase: Cell::new(Phase::Joining),
            handshakes: Semaphore::new(at_once),
            arrivals: Semaphore::new(0),
            ledger: RefCell::new(Ledger::new(plan.run)),
            second: RefCell::default(),
            happenings: RefCell::default(),
            bells: (0..peers).map(|_| Bell::default()).collect(),
            rooms: plan.rooms.clone().map(|_| watch::Sender::new(None)).collect(),
            seats: RefCell::new(vec![Seat::default(); peers]),
            plan,
        }
    }

    fn place(&self, peer: u32) -> usize {
        (peer - self.plan.share().start) as usize
    }

    /// The bell of one of this process's peers.
    pub fn bell(&self, peer: u32) -> &Bell {
        &self.bells[self.place(peer)]
    }

    /// Everybody does something else from now on.
    pub fn turn_to(&self, phase: Phase) {
        self.phase.set(phase);
        for bell in &self.bells {
            bell.rings.notify_one();
        }
    }

    /// A peer sits at this address on this node.
    pub fn seat(&self, peer: u32, address: &str, node: String) {
        let node = self.happenings.borrow_mut().node(node);
        self.seats.borrow_mut()[self.place(peer)] =
            Seat { address: address.to_owned(), node, is_there: true };
    }

    /// A peer that is there is called so from now on.
    pub fn name(&self, peer: u32, address: &str) {
        address.clone_into(&mut self.seats.borrow_mut()[self.place(peer)].address);
    }

    /// A peer hears what is said to it from now on.
    pub fn listens(&self, peer: u32) {
        if self.dialect.customs().forgets {
            self.excuse_what_it_missed(peer);
        }
    }

    /// A peer has no connection any more; `is_lost` if that was not its own wish.
    pub fn unseat(&self, peer: u32, is_lost: bool) {
        self.seats.borrow_mut()[self.place(peer)].is_there = false;
        if self.phase.get() == Phase::Leaving {
            // What is missing by now is lost.
            return;
        }
        let customs = self.dialect.customs();
        if customs.has_host && self.is_host(peer) {
            self.room(peer).send_replace(None);
        }
        if is_lost || !customs.keeps_places {
            let mut ledger = self.ledger.borrow_mut();
            self.plan.members(peer).for_each(|to| ledger.excuse(peer, to, Excuse::Cut));
        }
        if customs.forgets {
            self.excuse_what_it_missed(peer);
        }
    }

    fn excuse_what_it_missed(&self, peer: u32) {
        let mut ledger = self.ledger.borrow_mut();
        self.plan.members(peer).for_each(|from| ledger.excuse(from, peer, Excuse::Missed));
    }

    /// Whether a peer is the first of its room, which opens it where that is somebody's to do.
    pub fn is_host(&self, peer: u32) -> bool {
        self.plan.members(peer).start == peer
    }

    /// The room of a peer, as its host calls it.
    pub fn room(&self, peer: u32) -> &watch::Sender<Option<String>> {
        &self.rooms[(self.plan.room_of(peer) - self.plan.rooms.start) as usize]
    }

    /// Whether a peer is connected.
    pub fn is_there(&self, peer: u32) -> bool {
        self.seats.borrow()[self.place(peer)].is_there
    }

    /// How many are connected.
    pub fn present(&self) -> usize {
        self.seats.borrow().iter().filter(|seat| seat.is_there).count()
    }

    /// What others call a peer.
    pub fn with_address<T>(&self, peer: u32, then: impl FnOnce(&str) -> T) -> T {
        then(&self.seats.borrow()[self.place(peer)].address)
    }

    /// When speakers speak, if any do.
    pub fn schedule(&self) -> Option<Schedule> {
        let Traffic { rate, speech } = self.plan.traffic?;
        let speakers = match speech {
            Speech::Calls => self.plan.peers,
            Speech::Address(_) => self.plan.rooms_in_all(),
        };
        Some(Schedule { speakers, rate })
    }

    /// The turn that a peer has among the speakers; none if it only listens.
    pub fn turn_of(&self, peer: u32) -> Option<u32> {
        match self.plan.traffic?.speech {
            Speech::Calls => Some(peer),
            Speech::Address(_) => (peer == self.plan.members(peer).start).then(|| self.plan.room_of(peer)),
        }
    }

    /// A message is there, at a peer, on that one's so many-eth connection. It is written into the ledger, and its latency measured.
    pub fn arrived(&self, (at, visit): (u32, u32), from_address: &str, stamp: &Stamp, is_whole: bool) {
        let seats = self.seats.borrow();
        let seat_of = |peer: u32| seats.get(peer.checked_sub(self.plan.share().start)? as usize);
        let sender = seat_of(stamp.from);
        let is_sender = sender.is_some_and(|sender| sender.address == from_address);
        if !self.ledger.borrow_mut().arrived((at, visit), stamp, is_sender, is_whole) {
            return;
        }
        let latency = self.clock.now().saturating_sub(Duration::from_nanos(stamp.due));
        let mut second = self.second.borrow_mut();
        second.received += 1;
        if sender.map(|seat| seat.node) == seat_of(at).map(|seat| seat.node) {
            second.same.record(latency);
        } else {
            second.across.record(latency);
        }
    }

    fn member_at(&self, peer: u32, address: &str) -> Option<u32> {
        self.plan.members(peer).find(|member| self.with_address(*member, |known| known == address))
    }

    /// The server told a peer that what it had said to this address, and had not arrived, could not be delivered.
    pub fn told_of_all(&self, peer: u32, address: Option<&str>) {
        let to = address.and_then(|address| self.member_at(peer, address));
        // Whoever it was for is not named, or has another address by now: it may have been any.
        let whom = to.map_or(self.plan.members(peer), |to| to..to + 1);
        let mut ledger = self.ledger.borrow_mut();
        whom.for_each(|to| ledger.excuse(peer, to, Excuse::Told));
    }

    /// The server told a peer that a message to this address could not be delivered.
    pub fn told(&self, peer: u32, address: &str) {
        let to = self.member_at(peer, address);
        self.second.borrow_mut().sent_back += 1;
        match to {
            Some(to) => self.ledger.borrow_mut().told(peer, to),
            // Whoever it was for has another address by now.
            None => self.ledger.borrow_mut().refused(),
        }
    }

    /// The server did not take a message.
    pub fn refused(&self, why: &str) {
        self.second.borrow_mut().sent_back += 1;
        self.ledger.borrow_mut().refused();
        count(&mut self.happenings.borrow_mut().complaints, why);
    }
}
