//! Here, or elsewhere? The only place that knows.
//!
//! A command of one of this node's peers comes in ([`Router::act`]). What follows from it:
//!
//! - `telling`: a message is encoded once, for all whom it is for;
//! - `delivering`: it goes into a mailbox here, on to the node that has its peer, or waits; `ways` has the rules by which
//!   it stays in order and is not lost with another node;
//! - `seeking`: a peer for which something waits is looked for;
//! - `settling`: it has arrived, or its sender is told; `receipts` has what other nodes are told of theirs, `acceptance`
//!   what senders wait to hear;
//! - `entrance`: a peer comes, goes, is away, or moves between nodes;
//! - `guests`: somebody new comes into a room that is always there, and handlers speak for those who are in it;
//! - `roaming`: a connection comes into rooms and leaves them by what it says;
//! - `names`: a peer gets, gives up or loses a name that is its own in the whole cluster;
//! - `operator`: what an operator asks of all nodes;
//! - `questions`: what nodes ask each other, and what they answer;
//! - `hearing`: whether what was said through one node has come where it belongs, before more is said through another;
//! - `bequest`: a node stops, and leaves what it holds to another one;
//! - `news`: what other nodes say, and what becomes of this node's peers by it.

mod acceptance;
mod bequest;
mod delivering;
mod entrance;
mod guests;
mod hearing;
#[cfg(test)]
mod inspection;
mod names;
mod news;
mod operator;
mod questions;
mod receipts;
mod roaming;
mod seeking;
mod settling;
mod telling;
mod ways;

use std::collections::BTreeMap;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backplane::pressure::Relief;
use crate::backplane::{Answer, Backplane, Change, Changed, Envelope, Notice, Refusal};
use crate::chance;
use crate::dialect::{self, AllTerms, Dialect};
use crate::goodbye::Goodbye;
use crate::hub::mailbox::Bounds;
use crate::hub::room::Room;
use crate::hub::roster::Pace;
use crate::hub::{Due, Hub};
use crate::ice::{Ice, Turn};
use crate::message::{Claim, Command, Event, Frame, IceServer, NodeId, PeerId, Profile, RoomId, Speaker, To};
use crate::metrics::Metrics;
use acceptance::Acceptances;
pub use entrance::Wish;
use receipts::Receipts;
use ways::Ways;

/// What a router goes by.
#[derive(Debug)]
pub struct Rules {
    /// Whether entering a room that does not exist makes it.
    pub create_on_entry: bool,
    /// Members of any room, at most.
    pub max_members: u32,
    /// How much may wait for one peer.
    pub mailbox: Bounds,
    /// What is decided for each dialect.
    pub terms: AllTerms,
    /// How much may be under way to peers on other nodes, or wait for them.
    pub unsettled: Bounds,
    /// How long those who fill that are not read.
    pub pressed_for: Duration,
    /// How often a room is told who is in it.
    pub rosters: Pace,
    /// The STUN and TURN servers.
    pub ice: Ice,
}
/// A node that is taken for dead and is not will have found that out after this time, and reads its rooms again.
const UNSAID_FOR: Duration = Duration::from_secs(60);
/// Words that may wait for nodes that cannot be reached; then the oldest is forgotten.
const MAX_UNSAID: usize = 20_000;

/// What comes after a frame.
#[derive(Default)]
pub struct Next {
    /// The way that the speaker fills is nearly full: when its next frame may be read.
    pub relief: Option<Relief>,
    /// Who speaks from now on, if the connection has gone to another room.
    pub speaker: Option<Speaker>,
}

/// The one place that knows where a message goes next.
pub struct Router {
    hub: Mutex<Hub>,
    backplane: Arc<dyn Backplane>,
    rules: Rules,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    /// Locked before the hub, never after it.
    ways: Mutex<Ways>,
    /// Somebody is to be looked for.
    seek: Arc<Notify>,
    receipts: Arc<Receipts>,
    acceptances: Mutex<Acceptances>,
    /// Until when to try to say what to whom.
    unsaid: Mutex<Vec<(Instant, NodeId, Envelope)>>,
    /// Peers that are to hear, within that time, that they have missed something.
    missed: Mutex<BTreeMap<(NodeId, RoomId, PeerId), Instant>>,
    /// The ways may not be nearly full any more.
    relieved: Arc<Notify>,
    /// A turn to ask the directory where somebody is.
    looking: Semaphore,
    /// A room is to be told later who is in it.
    untold: Arc<Notify>,
    /// What other nodes said for a while was not heard.
    deaf: Arc<Notify>,
    been_up: AtomicBool,
    /// When this node, or all of them, were last found to be forgotten.
    forgotten: Mutex<Option<Instant>>,
    /// Nodes that stop, and were told that this one stays.
    relied_on_by: Mutex<BTreeSet<NodeId>>,
    /// This node stops, and keeps nothing for others any more.
    stops: AtomicBool,
    /// It has given up what it held.
    has_given_up: AtomicBool,
    /// Names whose connections are being asked whether they are still there.
    challenged: Mutex<HashSet<RoomId>>,
    /// Held while peers are being removed.
    removing: Arc<Semaphore>,
    asks: Mutex<HashMap<u64, mpsc::Sender<Answer>>>,
    next_ask: AtomicU64,
}

/// Milliseconds since 1970.
fn millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Router {
    /// A router on `backplane`, whose notices are followed by tasks of `tasks` until `stop`.
    pub fn start(
        backplane: Arc<dyn Backplane>,
        notices: mpsc::Receiver<Notice>,
        rules: Rules,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let hub = Hub::new(backplane.node().clone(), rules.mailbox, rules.terms.clone(), rules.rosters);
        let ways = Ways::new(backplane.node().clone(), rules.unsettled);
        let router = Arc::new(Self {
            hub: Mutex::new(hub),
            backplane,
            rules,
            metrics,
            tasks,
            ways: Mutex::new(ways),
            seek: Arc::default(),
            receipts: Arc::default(),
            acceptances: Mutex::default(),
            unsaid: Mutex::default(),
            missed: Mutex::default(),
            relieved: Arc::default(),
            looking: Semaphore::new(seeking::LOOKS_AT_ONCE),
            untold: Arc::default(),
            deaf: Arc::default(),
            been_up: AtomicBool::new(false),
            forgotten: Mutex::default(),
            relied_on_by: Mutex::default(),
            stops: AtomicBool::new(false),
            has_given_up: AtomicBool::new(false),
            challenged: Mutex::default(),
            removing: Arc::new(Semaphore::new(1)),
            asks: Mutex::default(),
            next_ask: AtomicU64::new(0),
        });
        let follow = news::follow(Arc::downgrade(&router), notices);
        router.tasks.spawn(stop.clone().run_until_cancelled_owned(follow));
        let seek = seeking::seek(Arc::downgrade(&router));
        router.tasks.spawn(stop.clone().run_until_cancelled_owned(seek));
        let give_receipts = receipts::give_receipts(Arc::downgrade(&router));
        router.tasks.spawn(stop.clone().run_until_cancelled_owned(give_receipts));
        let show_rosters = news::show_rosters(Arc::downgrade(&router));
        router.tasks.spawn(stop.clone().run_until_cancelled_owned(show_rosters));
        let make_up = news::make_up_for_deafness(Arc::downgrade(&router));
        router.tasks.spawn(stop.clone().run_until_cancelled_owned(make_up));
        router
    }

    /// What this node knows in common with others.
    pub fn backplane(&self) -> &dyn Backplane {
        &*self.backplane
    }

    /// Whether entering a room that does not exist makes it.
    pub fn creates_on_entry(&self) -> bool {
        self.rules.create_on_entry
    }

    /// Whether the backplane has ever answered.
    pub fn has_been_up(&self) -> bool {
        self.been_up.fetch_or(self.backplane.is_up(), Ordering::Relaxed) || self.backplane.is_up()
    }

    /// Does what `speaker` asks for, with a frame that was read at `read`. Fails if the connection no longer has the peer: nothing can be done in the name
    /// of one who was replaced.
    pub async fn act(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
        command: Command,
        read: Instant,
    ) -> Result<Next, Goodbye> {
        let mut next = Next::default();
        let first_word = self.hub.lock().heard(speaker, read)?;
        if first_word && self.list(speaker).await.is_err() {
            return self.answer(speaker, dialect.encode(&Event::Busy)).map(|()| next);
        }
        match command {
            Command::Tell { to, kind, payload, receipt, id } => {
                let message = (&to, &*kind, payload.as_deref());
                next.relief = match (&to, id) {
                    (To::Topic(topic), _) => self.tell_topic(dialect, speaker, topic, message, read).await?,
                    (_, Some(id)) => self.tell_named(dialect, speaker, message, receipt, id, read)?,
                    (_, None) => self.tell(dialect, speaker, message, receipt, None, read),
                };
            }
            Command::Go(to) => next.speaker = self.go(dialect, speaker, to).await?,
            Command::Subscribe(topics) => self.subscribe(dialect, speaker, topics).await?,
            Command::Unsubscribe(topics) => self.unsubscribe(dialect, speaker, &topics).await,
            Command::Rename(profile) => self.rename(dialect, speaker, profile).await?,
            Command::Roster => self.roster(speaker)?,
            Command::IceServers => self.ice_servers(dialect, speaker).await?,
            Command::Leave => return self.bye(dialect, speaker).await.map(|()| next),
            Command::Release => return self.release(dialect, speaker).await.map(|()| next),
            Command::Answer(frame) => self.answer(speaker, Some(frame))?,
            // Whose protocol has handlers is asked by its socket what they do.
            Command::Call { .. } | Command::Noted => {}
        }
        if first_word {
            let mut hub = self.hub.lock();
            let session = hub.session(speaker)?;
            session.coming = false;
            session.shut_or_open();
        }
        Ok(next)
    }

    /// The speaker has received the first `count` letters that were ever taken out of its mailbox.
    pub fn confirmed(&self, speaker: &Speaker, count: u64) -> Result<(), Goodbye> {
        let letters = self.hub.lock().confirmed(speaker, count, chance::now())?;
        self.settle(&speaker.room, letters);
        Ok(())
    }

    /// A sign of life that was no frame: a pong.
    pub fn heard(&self, speaker: &Speaker) -> Result<(), Goodbye> {
        self.hub.lock().heard(speaker, chance::now()).map(|_| ())
    }

    /// Answers the speaker. One who does not read the answers to its own questions is sent away.
    fn answer(&self, speaker: &Speaker, frame: Option<Frame>) -> Result<(), Goodbye> {
        let Some(frame) = frame else { return Ok(()) };
        self.hub.lock().mailbox(speaker)?.answer(frame).map_err(|_| Goodbye::Slow)
    }

    /// Tells the speaker its servers; in a moment of their own, if a service has to be asked for credentials: what else
    /// it says and hears does not wait for that.
    async fn ice_servers(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
    ) -> Result<(), Goodbye> {
        if !matches!(self.rules.ice.turn, Some(Turn::Service(_))) {
            return self.name_ice_servers(dialect, speaker).await;
        }
        let (router, speaker) = (self.clone(), speaker.clone());
        self.tasks.spawn(async move {
            if let Err(goodbye) = router.name_ice_servers(dialect, &speaker).await
                && let Ok(session) = router.hub.lock().session(&speaker)
            {
                session.mailbox.dismiss(goodbye);
            }
        });
        Ok(())
    }

    async fn name_ice_servers(
        &self,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
    ) -> Result<(), Goodbye> {
        let servers = self.rules.ice.servers(&speaker.peer, millis() / 1000).await;
        let turn = servers.iter().any(|server| matches!(server, IceServer::Turn { .. }));
        self.metrics.turn_credentials_issued.inc_by(u64::from(turn));
        self.answer(speaker, dialect.encode(&Event::IceServers(&servers)))
    }

    /// The others may know of the speaker from now on.
    async fn list(self: &Arc<Self>, speaker: &Speaker) -> Result<(), Refusal> {
        self.change_own(speaker, Change::Listed, false).await
    }

    async fn rename(
        self: &Arc<Self>,
        dialect: &'static dyn Dialect,
        speaker: &Speaker,
        profile: Profile,
    ) -> Result<(), Goodbye> {
        match self.change_own(speaker, Change::Profile(profile), true).await {
            Ok(()) => Ok(()),
            // Somebody else may have the peer by now, which is heard in other ways; or the directory has lost it, and it is
            // about to be written again.
            Err(_) => self.answer(speaker, dialect.encode(&Event::Busy)),
        }
    }

    async fn change_own(
        self: &Arc<Self>,
        speaker: &Speaker,
        change: Change,
        roster: bool,
    ) -> Result<(), Refusal> {
        let claim = self.hub.lock().session(speaker).map_err(|_| Refusal::Superseded)?.claim;
        self.change(&speaker.room, &speaker.peer, claim, change, roster).await
    }

    /// Changes a membership that this node holds: in the directory, here, and for the others.
    async fn change(
        self: &Arc<Self>,
        room: &RoomId,
        peer: &PeerId,
        claim: Claim,
        change: Change,
        roster: bool,
    ) -> Result<(), Refusal> {
        let version = self.backplane.change(room, peer, claim, change.clone()).await?;
        let (nodes, member) = {
            let hub = self.hub.lock();
            (hub.other_nodes(room), hub.room(room).and_then(|room| room.member(peer)).cloned())
        };
        if let Some(mut member) = member.filter(|member| member.claim == claim) {
            change.make_to(&mut member);
            let (room, peer) = (room.clone(), peer.clone());
            self.publish(
                nodes,
                Changed { room, version, peer, member: Some(member), frames: Vec::new(), roster },
            );
        }
        Ok(())
    }

    /// A change that this node has made in the directory: known here, and told to `nodes`.
    fn publish(self: &Arc<Self>, nodes: BTreeSet<NodeId>, changed: Changed) {
        for node in &nodes {
            self.tell_node(node.clone(), Envelope::Changed(changed.clone()));
        }
        let known = self.hub.lock().room(&changed.room).map(Room::version);
        if known.is_some_and(|version| version + 1 < changed.version) {
            self.tell_those_unknown(nodes, changed.clone());
        }
        self.changed(changed);
    }

    /// Tells another node some news; later, if it cannot be told now.
    fn tell_node(&self, node: NodeId, news: Envelope) {
        if self.backplane.carry(&node, news.clone()).is_err() {
            self.say_later(chance::now(), [(node, news)]);
        }
    }

    /// Not letters, but word of something, for nodes that cannot be reached: they may be alive all the same.
    fn say_later(&self, now: Instant, words: impl IntoIterator<Item = (NodeId, Envelope)>) {
        let mut unsaid = self.unsaid.lock();
        for (node, word) in words {
            match word {
                Envelope::Settled { numbers } => self.receipts.keep(node, numbers),
                Envelope::Missed { room, peer } => self.note_missed(&node, &room, [&peer]),
                word => unsaid.push((now + UNSAID_FOR, node, word)),
            }
        }
        let too_many = unsaid.len().saturating_sub(MAX_UNSAID);
        unsaid.drain(..too_many);
    }

    /// These peers on `node` did not get something, of which it is told soon: of the many things that one may miss at once, one
    /// is enough.
    fn note_missed<'a>(&self, node: &NodeId, room: &RoomId, peers: impl IntoIterator<Item = &'a PeerId>) {
        let (mut missed, until) = (self.missed.lock(), chance::now() + UNSAID_FOR);
        for peer in peers.into_iter().take(MAX_UNSAID.saturating_sub(missed.len())) {
            missed.entry((node.clone(), room.clone(), peer.clone())).or_insert(until);
        }
    }

    /// Says what could not be said, unless that is too long ago.
    fn say_now(&self, now: Instant) {
        let returned = self.ways.lock().take_words();
        self.say_later(now, returned);
        let unsaid = std::mem::take(&mut *self.unsaid.lock());
        let still = unsaid
            .into_iter()
            .filter(|(until, node, word)| *until > now && self.backplane.carry(node, word.clone()).is_err());
        let still: Vec<_> = still.collect();
        self.unsaid.lock().extend(still);
        self.missed.lock().retain(|(node, room, peer), until| {
            let missed = Envelope::Missed { room: room.clone(), peer: peer.clone() };
            self.backplane.carry(node, missed).is_err() && *until > now
        });
        self.receipts.give_again(|node, numbers| self.gives(node, numbers));
    }

    fn roster(&self, speaker: &Speaker) -> Result<(), Goodbye> {
        let nodes = {
            let mut hub = self.hub.lock();
            let is_newcomer = hub.answer_roster(speaker)?;
            is_newcomer.then(|| hub.other_nodes(&speaker.room))
        };
        let Some(nodes) = nodes else { return Ok(()) };
        for node in nodes {
            let (room, but) = (speaker.room.clone(), speaker.peer.clone());
            self.tell_node(node, Envelope::Roster { room, but });
        }
        self.show_roster(&speaker.room, Some(&speaker.peer));
        Ok(())
    }

    /// Looks after this node's peers: asks those that are silent, removes those that are gone. `was_due`: when that was to
    /// happen, which may be a while ago if this node stood still.
    pub fn tick(self: &Arc<Self>, was_due: Instant) {
        let now = chance::now();
        let due = {
            let mut hub = self.hub.lock();
            if let Some(late) = chance::stood_still(was_due) {
                hub.stood_still(late);
            }
            hub.tick(now)
        };
        let mut leaving = Vec::new();
        for due in due {
            match due {
                Due::Ask(room, peer) => self.ask(&room, &peer),
                Due::Read(room) => self.read_again(room),
                Due::Remove(room, peer, claim) => leaving.push((room, peer, claim)),
                Due::GiveBack(room, peer, held) => self.never_arrived(&room, &peer, held),
            }
        }
        self.say_now(now);
        self.measure();
        // The directory may be slow, and time goes on. Who is not removed now is due again.
        if let (false, Ok(turn)) = (leaving.is_empty(), self.removing.clone().try_acquire_owned()) {
            let router = self.clone();
            self.tasks.spawn(async move {
                for (room, peer, claim) in leaving {
                    router.remove(&room, &peer, claim).await;
                }
                drop(turn);
            });
        }
    }

    fn ask(&self, room: &RoomId, peer: &PeerId) {
        let Some(dialect) = dialect::named(room.dialect()) else { return };
        let Some(frame) = dialect.encode(&Event::AreYouThere { at: millis() }) else { return };
        self.hub.lock().ask(room, peer, frame);
    }

    fn measure(&self) {
        let hub = self.hub.lock();
        for dialect in dialect::names() {
            let rooms = hub.rooms().filter(|(room, _)| room.dialect() == dialect).count();
            self.metrics.set_rooms(dialect, rooms);
        }
        let bytes = hub.bytes();
        drop(hub);
        self.metrics.mailbox_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let (letters, bytes) = {
            let ways = self.ways.lock();
            (ways.len(), ways.bytes())
        };
        self.metrics.unsettled.set(i64::try_from(letters).unwrap_or(i64::MAX));
        self.metrics.unsettled_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let _ = self.has_been_up();
        self.metrics.backplane(self.backplane.is_up(), &self.backplane.numbers());
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("node", self.backplane.node()).finish_non_exhaustive()
    }
}
