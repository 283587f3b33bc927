//! Peers: they come, speak, listen, are cut off and come back, as clients do.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until, timeout};

use super::ledger::{Rule, Said};
use super::schedule::PEERS;
use super::stage::{GRACE, Node, Stage};
use crate::backplane::Refusal;
use crate::chance;
use crate::dialect::camus::Camus;
use crate::goodbye::Goodbye;
use crate::hub::Seated;
use crate::hub::mailbox::Letter;
use crate::message::{Command, NodeId, Parting, PeerId, Receipt, To};
use crate::router::Wish;

/// A client that is not let in by then tries elsewhere.
const CONNECT: Duration = Duration::from_secs(3);
/// Who is silent for so long is pinged, and has as long again to answer.
const PING: Duration = Duration::from_secs(5);
/// What is written takes this time to arrive,
const WIRE: Duration = Duration::from_millis(20);
/// and after this time it is asked whether it has.
const RECEIPT: Duration = Duration::from_secs(1);
/// One who was told that the server is busy asks again after this time.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Somebody with a client.
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// Those that it has not closed, and knows of no reason why they should be; oldest first.
    connections: Vec<Connection>,
    /// Those that it has lost, and of which no node knows.
    lost: Vec<Connection>,
    /// The number of its newest attempt to connect.
    attempt: u64,
    /// Whether it wants to be connected.
    wants: bool,
    pub(super) has_come: bool,
    pub(super) left: bool,
    /// It has said goodbye, and need not have been heard.
    pub(super) said_bye: bool,
    /// It was told that it is no longer in the room.
    removed: bool,
    /// When a node last heard it.
    seen: Duration,
    pub(super) slow_until: Duration,
    said: u64,
    /// Who is there, as it was shown last.
    pub(super) roster: BTreeSet<PeerId>,
}

/// A client's end of a connection.
pub(super) struct Connection {
    number: u64,
    pub(super) node: NodeId,
    words: mpsc::UnboundedSender<Word>,
    /// Whether it was shown who is there.
    greeted: bool,
}

/// What a client sends.
enum Word {
    Greet,
    Says(u64, Option<usize>),
    Noted,
    /// So many letters have arrived.
    Pong(u64),
    Bye,
    Close,
}

/// What a client is sent.
#[derive(Deserialize)]
struct Frame<'a> {
    sender: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct RoomInfo<'a> {
    #[serde(borrow)]
    clients: Vec<Listed<'a>>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    id: &'a str,
}

impl Peer {
    pub(super) fn new(place: usize) -> Self {
        Self {
            id: PeerId::new(PEERS[place]),
            connections: Vec::new(),
            lost: Vec::new(),
            attempt: 0,
            wants: false,
            has_come: false,
            left: false,
            said_bye: false,
            removed: false,
            seen: Duration::ZERO,
            slow_until: Duration::ZERO,
            said: 0,
            roster: BTreeSet::new(),
        }
    }

    /// Its newest connection, if it was shown who is there on it.
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

    fn connection(&mut self, number: u64) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.number == number)
    }

    fn hangs_up(&mut self) {
        self.wants = false;
        self.lost.append(&mut self.connections);
        // What is being attempted is not waited for.
        self.attempt += 1;
    }
}

/// What peers do.
impl Stage {
    pub(super) fn says(&self, peer: usize, to: Option<usize>) {
        let mut peers = self.peers.lock();
        let peer = &mut peers[peer];
        if peer.is_connected() {
            peer.said += 1;
            let said = peer.said;
            let _ = peer.connections.last().map(|connection| connection.words.send(Word::Says(said, to)));
        }
    }

    pub(super) fn last_words(&self) -> Vec<(usize, u64)> {
        let places = 0..self.peers.lock().len();
        let speak = |peer: usize| {
            let connected = self.peers.lock()[peer].is_connected();
            connected.then(|| {
                self.says(peer, None);
                (peer, self.peers.lock()[peer].said)
            })
        };
        places.filter_map(speak).collect()
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
        let node = self.world.chance(PEERS[peer], |chance| living[chance.random_range(0..living.len())]);
        if !is_there {
            self.comes(peer, node);
        }
    }

    pub(super) fn drops(&self, peer: usize) {
        let mut peers = self.peers.lock();
        for connection in &peers[peer].connections {
            let _ = connection.words.send(Word::Close);
        }
        peers[peer].hangs_up();
    }

    pub(super) fn vanishes(&self, peer: usize) {
        self.peers.lock()[peer].hangs_up();
    }

    pub(super) fn leaves(&self, peer: usize) {
        let mut peers = self.peers.lock();
        if let Some(connection) = peers[peer].newest() {
            let _ = connection.words.send(Word::Bye);
            peers[peer].said_bye = true;
        }
    }

    /// A node has crashed: its clients notice.
    pub(super) fn connections_break(self: &Arc<Self>, node: &NodeId) {
        let places = 0..self.peers.lock().len();
        for place in places {
            let broken = {
                let mut peers = self.peers.lock();
                let peer = &mut peers[place];
                let before = peer.connections.len();
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
            let living = stage.living();
            if living.is_empty() {
                return stage.tries_again(peer);
            }
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
        let id = self.peers.lock()[place].id.clone();
        let Some(node) = self.node(node) else { return self.tries_again(place) };
        let (room, candidates) = (self.room.clone(), vec![id.clone()]);
        let wish = Wish { room, made: 0, candidates, profile: None };
        let entered = timeout(CONNECT, async {
            node.plane.awake().await;
            node.router.enter(&Camus, &wish).await
        });
        match entered.await {
            Ok(Ok(seated)) => self.clone().serve(place, attempt, &node, seated).await,
            Ok(Err(Refusal::Gone)) => self.is_refused_for_good(place),
            Ok(Err(refusal)) => {
                self.world.note(|| format!("{id} is not let in by {}: {refusal}", node.plane.me));
                self.tries_again(place);
            }
            Err(_) => self.tries_again(place),
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
            return None;
        }
        let _ = words.send(Word::Greet);
        peer.connections.push(Connection { number: attempt, node: node.clone(), words, greeted: false });
        (peer.has_come, peer.seen) = (true, self.world.now());
        self.ledger.lock().connects(&peer.id, attempt, peer.seen);
        self.world.note(|| format!("{} is connected to {node}", peer.id));
        Some(spoken)
    }

    async fn serve(self: Arc<Self>, place: usize, number: u64, node: &Node, seated: Seated) {
        let Some(words) = self.is_connected(place, number, &node.plane.me) else {
            node.plane.awake().await;
            return node.router.gone(&Camus, &seated.speaker, Parting::Dropped).await;
        };
        let now = self.world.now();
        let mut socket = Socket {
            stage: self.clone(),
            place,
            number,
            node,
            seated,
            words,
            batch: Vec::new(),
            arrives: now,
            written: 0,
            confirmed: 0,
            ask_at: None,
            heard: now,
            pinged: None,
        };
        let goodbye = loop {
            if let Err(goodbye) = socket.turn().await {
                break goodbye;
            }
        };
        node.plane.awake().await;
        node.router.gone(&Camus, &socket.seated.speaker, Parting::Dropped).await;
        self.connection_ends(place, number, goodbye);
    }

    fn connection_ends(self: &Arc<Self>, place: usize, number: u64, goodbye: Goodbye) {
        let comes_back = {
            let mut peers = self.peers.lock();
            let peer = &mut peers[place];
            let id = peer.id.clone();
            if peer.connection(number).is_none() {
                return;
            }
            self.world.note(|| format!("a connection of {id} ends: {}", goodbye.label()));
            let was_newest = peer.connections.last().is_some_and(|newest| newest.number == number);
            peer.connections.retain(|connection| connection.number != number);
            match goodbye {
                Goodbye::Left => {
                    (peer.left, peer.wants) = (true, false);
                    self.ledger.lock().leaves(&id, self.world.now());
                }
                Goodbye::Removed => {
                    (peer.removed, peer.wants) = (true, false);
                    if !peer.said_bye {
                        let what = format!("{id} was connected, and told that it was away for too long");
                        self.ledger.lock().fails(Rule::NobodyGone, what);
                    }
                }
                _ => {}
            }
            was_newest && peer.connections.is_empty() && peer.wants && peer.attempt == number
        };
        if comes_back {
            self.tries_again(place);
        }
    }

    fn reads(&self, place: usize, number: u64, frame: &[u8]) {
        let now = self.world.now();
        let mut peers = self.peers.lock();
        let peer = &mut peers[place];
        let id = peer.id.clone();
        // Written to a client that is not there any more.
        if peer.connection(number).is_none() {
            return;
        }
        let Ok(frame) = serde_json::from_slice::<Frame<'_>>(frame) else { return };
        match frame.kind {
            "chat" => {
                let (from, said) = (PeerId::new(frame.sender), frame.data.get().parse().unwrap_or_default());
                self.world.note(|| format!("{id} hears #{said} of {from}"));
                self.ledger.lock().hears(&id, &from, said, number, now);
            }
            "room-info" => {
                let Ok(info) = serde_json::from_str::<RoomInfo<'_>>(frame.data.get()) else { return };
                peer.roster = info.clients.into_iter().map(|client| PeerId::new(client.id)).collect();
                if let Some(connection) = peer.connection(number) {
                    connection.greeted = true;
                }
            }
            "error" => {
                let text = frame.data.get().trim_matches('"');
                self.world.note(|| format!("{id} is told: {text}"));
                let of = text.split_once("client ").and_then(|(_, after)| after.split(' ').next());
                if let Some(of) = of {
                    self.ledger.lock().is_told(&id, &PeerId::new(of), now);
                } else if let Some(connection) = peer.connection(number) {
                    let words = connection.words.clone();
                    tokio::spawn(async move {
                        sleep(ASK_AGAIN).await;
                        let _ = words.send(Word::Greet);
                    });
                }
            }
            "ping" => {
                let _ = peer.connection(number).map(|connection| connection.words.send(Word::Noted));
            }
            "bye" if PEERS.contains(&frame.sender) => {
                let gone = peers.iter().find(|peer| peer.id.as_str() == frame.sender);
                if gone.is_some_and(|gone| !gone.said_bye) {
                    let what = format!("{id} was told that {} has left, who did not say so", frame.sender);
                    self.ledger.lock().fails(Rule::NobodyGone, what);
                }
            }
            _ => {}
        }
    }
}

/// A node's end of a connection: as `socket` has it.
struct Socket<'a> {
    stage: Arc<Stage>,
    place: usize,
    number: u64,
    node: &'a Node,
    seated: Seated,
    words: mpsc::UnboundedReceiver<Word>,
    batch: Vec<Letter>,
    /// When the last that was written arrives.
    arrives: Duration,
    /// How many letters were written, and how many are known to have arrived.
    written: u64,
    confirmed: u64,
    /// When it is to be asked what has arrived.
    ask_at: Option<Duration>,
    heard: Duration,
    pinged: Option<Duration>,
}

impl Socket<'_> {
    async fn turn(&mut self) -> Result<(), Goodbye> {
        let plane = &self.node.plane;
        plane.awake().await;
        let alarm = self.pinged.unwrap_or(self.heard) + PING;
        let alarm = self.stage.world.instant(self.ask_at.map_or(alarm, |at| at.min(alarm)));
        let (seated, batch) = (&self.seated, &mut self.batch);
        tokio::select! {
            biased;
            taken = poll_fn(|cx| seated.mailbox.poll_take(seated.speaker.seat, batch, cx)) => {
                let count = taken?;
                plane.awake().await;
                self.write(count);
                Ok(())
            }
            word = self.words.recv() => {
                plane.awake().await;
                self.read(word.unwrap_or(Word::Close)).await
            }
            () = sleep_until(alarm) => {
                plane.awake().await;
                self.look_at_the_clock()
            }
        }
    }

    /// What is written arrives in order, after a moment, if the client is still there, and when it reads again.
    fn write(&mut self, count: u64) {
        let now = self.stage.world.now();
        for letter in std::mem::take(&mut self.batch) {
            let frame = letter.frame.to(&self.seated.speaker.peer);
            let (stage, place, number) = (self.stage.clone(), self.place, self.number);
            self.sends(move || stage.reads(place, number, &frame));
        }
        self.written = count;
        if count > self.confirmed && self.pinged.is_none() {
            self.ask_at.get_or_insert(now + RECEIPT);
        }
    }

    fn sends(&mut self, arrive: impl FnOnce() + Send + 'static) {
        let world = &self.stage.world;
        let slow_until = self.stage.peers.lock()[self.place].slow_until;
        self.arrives = self.arrives.max(slow_until).max(world.now() + WIRE);
        world.at(self.arrives, move |_| arrive());
    }

    fn look_at_the_clock(&mut self) -> Result<(), Goodbye> {
        let now = self.stage.world.now();
        match self.pinged {
            Some(pinged) if pinged + PING <= now => return Err(Goodbye::Silent),
            Some(_) => {}
            None => {
                let (stage, place, number, count) =
                    (self.stage.clone(), self.place, self.number, self.written);
                self.sends(move || {
                    let mut peers = stage.peers.lock();
                    let connection = peers[place].connection(number);
                    let _ = connection.map(|connection| connection.words.send(Word::Pong(count)));
                });
                self.pinged = Some(now);
            }
        }
        self.ask_at = None;
        Ok(())
    }

    fn pong(&mut self, count: u64) -> Result<(), Goodbye> {
        self.confirmed = count;
        if self.written > count {
            self.ask_at = Some(self.stage.world.now() + RECEIPT);
        }
        self.node.router.confirmed(&self.seated.speaker, count)
    }

    async fn read(&mut self, word: Word) -> Result<(), Goodbye> {
        if !matches!(word, Word::Close) {
            self.heard = self.stage.world.now();
            self.stage.peers.lock()[self.place].seen = self.heard;
        }
        if matches!(word, Word::Pong(_)) {
            self.pinged = None;
        }
        let now = chance::now();
        let command = match word {
            Word::Greet => Command::Roster,
            Word::Noted => Command::Noted,
            Word::Pong(count) => return self.pong(count),
            Word::Bye => Command::Leave,
            Word::Close => return Err(Goodbye::Closed),
            Word::Says(number, to) => return self.take(number, to).await,
        };
        self.node.router.act(&Camus, &self.seated.speaker, command, now).await.map(drop)
    }

    /// Of these, whom this node believes elsewhere than the directory does.
    fn misplaced(&self, peers: &BTreeSet<PeerId>) -> BTreeSet<PeerId> {
        let room = &self.stage.room;
        let members = self.stage.world.directory.members();
        let right = |peer: &PeerId| {
            let known = self.node.router.known_member(room, peer).flatten();
            known.map(|known| known.node)
                == members.get(&(room.clone(), peer.clone())).map(|member| member.node.clone())
        };
        peers.iter().filter(|peer| !right(peer)).cloned().collect()
    }

    /// Takes a message from its sender.
    async fn take(&mut self, number: u64, to: Option<usize>) -> Result<(), Goodbye> {
        let speaker = &self.seated.speaker;
        let (stage, from) = (&self.stage, speaker.peer.clone());
        let to = to.map(|to| PeerId::new(PEERS[to]));
        let receivers = match &to {
            Some(to) => BTreeSet::from([to.clone()]),
            None => self.node.router.everyone(&stage.room),
        };
        stage.world.note(|| {
            let whom = to.as_ref().map_or("everybody", |to| to.as_str());
            format!("{from} says #{number} to {whom}, to node {}", self.node.plane.me)
        });
        let said = Said {
            from: from.clone(),
            number,
            at: stage.world.now(),
            by: self.node.plane.me.clone(),
            misplaced: self.misplaced(&receivers),
            to: receivers,
        };
        stage.ledger.lock().says(said);
        let payload = RawValue::from_string(number.to_string()).ok();
        let to = to.map_or(To::Everyone, To::Peer);
        let command =
            Command::Tell { to, kind: "chat".into(), payload, receipt: Receipt::TellSender, id: None };
        let acted = self.node.router.act(&Camus, speaker, command, chance::now()).await;
        if acted.is_err() {
            stage.ledger.lock().was_refused(&from, number);
        }
        acted.map(drop)
    }
}
