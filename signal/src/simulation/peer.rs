//! Peers: they come, speak, listen, are cut off and come back, as clients do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::hosted::host;
use super::ledger::{Hearing, Rule};
use super::schedule::PEERS;
use super::socket::{Socket, Word};
use super::stage::{GRACE, Node, Stage};
use super::tongue::{Message, Told, Tongue};
use crate::backplane::Refusal;
use crate::goodbye::Goodbye;
use crate::hub::Seated;
use crate::message::{NodeId, Parting, PeerId, Profile, Receipt};
use crate::router::Wish;

/// A client that is not let in by then tries elsewhere.
const CONNECT: Duration = Duration::from_secs(3);
/// One who was told that the server is busy asks again after this time.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Somebody with a client.
pub(super) struct Peer {
    /// As whom it comes.
    pub(super) id: PeerId,
    /// Tells it from others who want the same name.
    pub(super) proof: Profile,
    /// Those that it has not closed, and knows of no reason why they should be; oldest first.
    connections: Vec<Connection>,
    /// Those that it has lost, and of which no node knows.
    lost: Vec<Connection>,
    /// The number of its newest attempt to connect.
    attempt: u64,
    /// When an attempt that it had given up was last let in.
    let_in_late: Option<Duration>,
    /// Whether it wants to be connected.
    wants: bool,
    pub(super) has_come: bool,
    pub(super) left: bool,
    /// It has said goodbye, and need not have been heard.
    pub(super) said_bye: bool,
    /// It was told that it is no longer in the room.
    removed: bool,
    /// When a node last heard it.
    pub(super) seen: Duration,
    pub(super) slow_until: Duration,
    /// What it has said and is not known to be safe, if it wants to know: it says that again on each new connection.
    pub(super) unsafe_yet: BTreeMap<u64, Message>,
    /// The ids of what it has heard, where messages have some: it does not hear them twice.
    heard: BTreeSet<String>,
    /// Who is there, as it was shown last.
    pub(super) roster: BTreeSet<PeerId>,
}

/// A client's end of a connection.
pub(super) struct Connection {
    number: u64,
    pub(super) node: NodeId,
    words: mpsc::UnboundedSender<Word>,
    /// Whether it was shown who is there, or that it has its name.
    greeted: bool,
}

impl Connection {
    pub(super) fn says(&self, word: Word) {
        let _ = self.words.send(word);
    }
}

impl Peer {
    pub(super) fn new(id: PeerId, place: usize) -> Self {
        Self {
            id,
            proof: PEERS[place].into(),
            connections: Vec::new(),
            lost: Vec::new(),
            attempt: 0,
            let_in_late: None,
            wants: false,
            has_come: false,
            left: false,
            said_bye: false,
            removed: false,
            seen: Duration::ZERO,
            slow_until: Duration::ZERO,
            unsafe_yet: BTreeMap::new(),
            heard: BTreeSet::new(),
            roster: BTreeSet::new(),
        }
    }

    /// Its newest connection, if it may speak on it.
    pub(super) fn newest(&self) -> Option<&Connection> {
        self.connections.last().filter(|connection| connection.greeted)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.newest().is_some()
    }

    /// How long nobody has heard it, if it has no connection.
    pub(super) fn away_for(&self, now: Duration) -> Duration {
        if self.connections.is_empty() { now.saturating_sub(self.seen) } else { Duration::ZERO }
    }

    pub(super) fn connection(&mut self, number: u64) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.number == number)
    }

    fn hangs_up(&mut self) {
        self.wants = false;
        self.lost.append(&mut self.connections);
        // What is being attempted is not waited for.
        self.attempt += 1;
    }

    /// It asks the same again in a moment; if it is `outside`, it does not speak before it is answered.
    fn asks_again(&mut self, number: u64, outside: bool) {
        let Some(connection) = self.connection(number) else { return };
        connection.greeted &= !outside;
        let words = connection.words.clone();
        tokio::spawn(async move {
            sleep(ASK_AGAIN).await;
            let _ = words.send(Word::Greet);
        });
    }

    /// It may speak on this connection; what is not known to be safe goes before all that is new.
    fn is_greeted(&mut self, number: u64) {
        let again: Vec<_> = self.unsafe_yet.values().cloned().collect();
        if let Some(connection) = self.connection(number)
            && !std::mem::replace(&mut connection.greeted, true)
        {
            again.into_iter().for_each(|message| connection.says(Word::Says(message)));
        }
    }
}

/// What peers do.
impl Stage {
    /// The number of what it says, if it may speak.
    pub(super) fn says(&self, peer: usize, to: Option<usize>, receipt: Receipt) -> Option<u64> {
        let to = self.tongue.addressee(peer, to).map(|to| self.tongue.name(to, self.crowd));
        let mut peers = self.peers.lock();
        let peer = &mut peers[peer];
        peer.newest()?;
        let number = self.ledger.lock().next_number(&peer.id);
        let message = Message { number, to, receipt };
        if self.tongue == Tongue::Numbered {
            peer.unsafe_yet.insert(number, message.clone());
        }
        peer.newest()?.says(Word::Says(message));
        Some(number)
    }

    pub(super) fn comes(self: &Arc<Self>, peer: usize, node: usize) {
        let attempt = {
            let mut peers = self.peers.lock();
            let peer = &mut peers[peer];
            if peer.left || peer.removed {
                return;
            }
            peer.wants = true;
            peer.attempt += 1;
            peer.attempt
        };
        tokio::spawn(self.clone().connect(peer, node, attempt));
    }

    pub(super) fn comes_back(self: &Arc<Self>, peer: usize) {
        let is_there = !self.peers.lock()[peer].connections.is_empty();
        let living = self.living();
        if living.is_empty() {
            return self.tries_again(peer);
        }
        let node = self.world.chance(PEERS[peer], |chance| living[chance.random_range(0..living.len())]);
        if !is_there {
            self.comes(peer, node);
        }
    }

    pub(super) fn drops(&self, peer: usize) {
        let mut peers = self.peers.lock();
        for connection in &peers[peer].connections {
            connection.says(Word::Close);
        }
        peers[peer].hangs_up();
    }

    pub(super) fn vanishes(&self, peer: usize) {
        self.peers.lock()[peer].hangs_up();
    }

    pub(super) fn leaves(&self, peer: usize) {
        let is_heard = {
            let mut peers = self.peers.lock();
            let connection = peers[peer].newest();
            let is_heard = connection.map(|connection| connection.says(Word::Bye)).is_some();
            peers[peer].said_bye |= is_heard && self.tongue.holds_for_those_away();
            is_heard
        };
        // Who has given up its name, or its room, has no more use for the socket.
        if is_heard && !self.tongue.holds_for_those_away() {
            self.drops(peer);
        }
    }

    /// A node is there no more: its clients notice.
    pub(super) fn connections_break(self: &Arc<Self>, node: &NodeId) {
        let places = 0..self.peers.lock().len();
        for place in places {
            let broken = {
                let mut peers = self.peers.lock();
                let peer = &mut peers[place];
                let before = peer.connections.len();
                let mut ledger = self.ledger.lock();
                let all = peer.connections.iter().chain(&peer.lost);
                for connection in all.filter(|connection| connection.node == *node) {
                    ledger.ends((place, connection.number), self.world.now());
                }
                peer.connections.retain(|connection| connection.node != *node);
                let broken = peer.connections.len() < before;
                broken && peer.connections.is_empty() && peer.wants
            };
            if broken {
                self.tries_again(place);
            }
        }
    }

    /// In a moment, through any node.
    fn tries_again(self: &Arc<Self>, peer: usize) {
        let stage = self.clone();
        let attempt = self.peers.lock()[peer].attempt;
        let pause = self.world.chance(PEERS[peer], |chance| chance.random_range(100..1_200));
        tokio::spawn(async move {
            sleep(Duration::from_millis(pause)).await;
            let goes_on = {
                let peers = stage.peers.lock();
                let peer = &peers[peer];
                peer.wants && peer.attempt == attempt && peer.connections.is_empty()
            };
            if goes_on {
                stage.comes_back(peer);
            }
        });
    }

    async fn connect(self: Arc<Self>, place: usize, node: usize, attempt: u64) {
        let Some(node) = self.node(node) else { return self.tries_again(place) };
        let (id, proof) = {
            let peers = self.peers.lock();
            (peers[place].id.clone(), peers[place].proof.clone())
        };
        let entered = timeout(CONNECT, async {
            node.plane.awake().await;
            self.knocks(&node, &id, proof).await
        });
        match entered.await {
            Ok(Ok(seated)) => self.clone().serve(place, attempt, &node, seated).await,
            Ok(Err(Refusal::Gone)) => self.is_refused_for_good(place),
            // Somebody else has its name; it does not wait for that to change.
            Ok(Err(Refusal::Taken)) => self.does_not_get(place, &id),
            Ok(Err(refusal)) => {
                self.world.note(|| format!("{id} is not let in by {}: {refusal}", node.plane.me));
                self.tries_again(place);
            }
            Err(_) => self.tries_again(place),
        }
    }

    /// A name is taken as long as a node has a connection that has it.
    fn does_not_get(&self, place: usize, name: &PeerId) {
        self.world.note(|| format!("{} does not get the name {name}: it is taken", PEERS[place]));
        self.peers.lock()[place].wants = false;
        let mut ledger = self.ledger.lock();
        if ledger.peaceful && !ledger.is_connected(name) {
            ledger.fails(Rule::NoGhosts, format!("{name} has no connection, and the name is taken"));
        }
    }

    /// Asks a node for a seat.
    pub(super) async fn knocks(&self, node: &Node, id: &PeerId, proof: Profile) -> Result<Seated, Refusal> {
        let dialect = self.tongue.dialect();
        match self.tongue {
            Tongue::Names => node.router.claim(dialect, id.clone(), proof).await,
            Tongue::Rooms | Tongue::Numbered => {
                let (room, candidates) = (self.home(id), vec![id.clone()]);
                node.router.enter(dialect, &Wish { room, made: 0, candidates, profile: None }).await
            }
            Tongue::Hosted => Ok(node.router.open(dialect)),
        }
    }

    fn is_refused_for_good(&self, place: usize) {
        let now = self.world.now();
        let mut peers = self.peers.lock();
        let peer = &mut peers[place];
        peer.removed = true;
        peer.wants = false;
        let id = &peer.id;
        self.world.note(|| format!("{id} may not come back"));
        if !peer.said_bye && peer.away_for(now) < GRACE {
            let what = format!("{id} may not come back, and was away for {:?} only", peer.away_for(now));
            self.ledger.lock().fails(Rule::NobodyGone, what);
        }
    }

    /// The client's end of a connection that a node has just taken; `None` if the client has given it up.
    fn is_connected(
        &self,
        place: usize,
        attempt: u64,
        node: &NodeId,
    ) -> Option<mpsc::UnboundedReceiver<Word>> {
        let (words, spoken) = mpsc::unbounded_channel();
        let mut peers = self.peers.lock();
        let peer = &mut peers[place];
        if peer.attempt != attempt {
            peer.let_in_late = Some(self.world.now());
            return None;
        }
        let _ = words.send(Word::Greet);
        if self.tongue == Tongue::Hosted {
            // Two of one name are not let into a room.
            peer.connections.iter().for_each(|older| older.says(Word::Close));
            peer.lost.append(&mut peer.connections);
        }
        peer.connections.push(Connection { number: attempt, node: node.clone(), words, greeted: false });
        (peer.has_come, peer.seen) = (true, self.world.now());
        self.ledger.lock().connects((place, attempt), &peer.id, node, peer.seen);
        self.world.note(|| match PEERS[place] {
            name if name == peer.id.as_str() => format!("{name} is connected to {node}"),
            name => format!("{name} is connected to {node}, as {}", peer.id),
        });
        Some(spoken)
    }

    async fn serve(self: Arc<Self>, place: usize, number: u64, node: &Node, seated: Seated) {
        let dialect = self.tongue.dialect();
        let Some(words) = self.is_connected(place, number, &node.plane.me) else {
            node.plane.awake().await;
            return node.router.gone(dialect, &seated.speaker, Parting::Dropped).await;
        };
        let mut socket = Socket::new(self.clone(), (place, number), node, seated, words);
        let goodbye = socket.serve().await;
        node.plane.awake().await;
        node.router.gone(dialect, &socket.seated.speaker, Parting::Dropped).await;
        self.connection_ends(place, number, goodbye);
    }

    fn connection_ends(self: &Arc<Self>, place: usize, number: u64, goodbye: Goodbye) {
        let is_held_for = self.tongue.holds_for_those_away();
        let comes_back = {
            let mut peers = self.peers.lock();
            let peer = &mut peers[place];
            let id = peer.id.clone();
            self.ledger.lock().ends((place, number), self.world.now());
            if peer.connection(number).is_none() {
                return;
            }
            self.world.note(|| format!("a connection of {} ends: {}", PEERS[place], goodbye.label()));
            let was_newest = peer.connections.last().is_some_and(|newest| newest.number == number);
            peer.connections.retain(|connection| connection.number != number);
            match goodbye {
                Goodbye::Left => {
                    (peer.left, peer.wants) = (true, false);
                    self.ledger.lock().leaves(&id, self.world.now());
                }
                Goodbye::Removed => {
                    (peer.removed, peer.wants) = (is_held_for, !is_held_for);
                    if !peer.said_bye {
                        let what = format!("{id} was connected, and told that it was away for too long");
                        self.ledger.lock().fails(Rule::NobodyGone, what);
                    }
                }
                // Who leaves, and whose node has no answer to that, is no member either.
                Goodbye::Replaced if peer.attempt == number && !peer.said_bye => {
                    self.is_replaced(place, number, peer.let_in_late);
                }
                _ => {}
            }
            was_newest && peer.connections.is_empty() && peer.wants && peer.attempt == number
        };
        if comes_back {
            self.tries_again(place);
        }
    }

    /// A client that has not come again is replaced, which happens to those only whose node was taken for dead, of whom
    /// Redis knew nothing any more, or of whom an attempt before was let in when they had given it up.
    fn is_replaced(&self, place: usize, number: u64, let_in_late: Option<Duration>) {
        let mut ledger = self.ledger.lock();
        let began = ledger.began((place, number));
        if !self
            .world
            .misjudged
            .lock()
            .iter()
            .chain(&*self.wiped.lock())
            .chain(&let_in_late)
            .any(|at| *at >= began)
        {
            let what =
                format!("{} was connected to a living node, and somebody else got the place", PEERS[place]);
            ledger.fails(Rule::NobodyGone, what);
        }
    }

    /// What a client does with a frame.
    pub(super) fn reads(&self, place: usize, number: u64, frame: &[u8]) {
        let now = self.world.now();
        let mut peers = self.peers.lock();
        let peer = &mut peers[place];
        let id = peer.id.clone();
        // Written to a client that is not there any more.
        if peer.connection(number).is_none() {
            return;
        }
        match self.tongue.read(frame) {
            Told::Open => peer.is_greeted(number),
            Told::Roster(roster) => {
                peer.roster = roster;
                peer.is_greeted(number);
            }
            Told::Message { id: Some(message), .. } if !peer.heard.insert(message.clone()) => {}
            Told::Message { from, number: said, .. } => {
                self.world.note(|| format!("{id} hears #{said} of {from}"));
                let hearing = Hearing { number: said, at: now, connection: (place, number) };
                self.ledger.lock().hears(&id, &from, hearing);
            }
            Told::NotDelivered { to, number } => {
                self.world.note(|| match number {
                    Some(number) => format!("{id} is told that #{number} did not reach {to}"),
                    None => format!("{id} is told that something did not reach {to}"),
                });
                self.ledger.lock().is_told(&id, &to, number, now);
            }
            Told::Accepted(number) => {
                self.world.note(|| format!("{id} is told that #{number} is safe"));
                peer.unsafe_yet.remove(&number);
            }
            Told::NotDeliveredToSomebody => {
                self.world.note(|| format!("{id} is told that something did not reach somebody"));
                let mut ledger = self.ledger.lock();
                self.names().iter().for_each(|to| ledger.is_told(&id, to, None, now));
            }
            Told::RoomIsOpen(name) => {
                self.world.note(|| format!("{id} has opened room {name}"));
                *self.opened.lock() = name;
                peer.is_greeted(number);
            }
            Told::HostIsGone => {
                self.world.note(|| format!("{id} is told that there is no host"));
                self.ledger.lock().is_told(&id, &host(), None, now);
                peer.asks_again(number, true);
            }
            Told::Busy => peer.asks_again(number, self.tongue == Tongue::Hosted),
            Told::AreYouThere => peer.connection(number).into_iter().for_each(|line| line.says(Word::Noted)),
            Told::HasLeft(gone) => {
                if peers.iter().any(|peer| peer.id == gone && !peer.said_bye) {
                    let what = format!("{id} was told that {gone} has left, who did not say so");
                    self.ledger.lock().fails(Rule::NobodyGone, what);
                }
            }
            Told::Nothing => {}
        }
    }
}
