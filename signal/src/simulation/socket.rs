//! A node's end of a connection: as `socket` has it, but that receipts are asked for by time alone.

use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout_at};

use super::ledger::Said;
use super::stage::{Node, Stage};
use super::tongue::{Message, Tongue};
use crate::backplane::pressure::Relief;
use crate::chance;
use crate::goodbye::Goodbye;
use crate::hub::Seated;
use crate::hub::mailbox::Letter;
use crate::message::{Command, PeerId};

/// Who is silent for so long is pinged, and has as long again to answer.
pub(super) const PING: Duration = Duration::from_secs(5);
/// What is written takes this time to arrive,
const WIRE: Duration = Duration::from_millis(20);
/// and after this time it is asked whether it has.
const RECEIPT: Duration = Duration::from_secs(1);
/// One who is sent away has this long to say what it has received.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a client sends.
pub(super) enum Word {
    Greet,
    Says(Message),
    Noted,
    /// So many letters have arrived.
    Pong(u64),
    Bye,
    Close,
}

/// A node's end of a connection.
pub(super) struct Socket<'a> {
    stage: Arc<Stage>,
    /// Whose, and which of its connections.
    place: usize,
    number: u64,
    node: &'a Node,
    pub(super) seated: Seated,
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
    /// Nothing is read before that.
    held_up: Option<Relief>,
    /// It has given up its name, and nothing that it says is heard.
    nameless: bool,
}

impl<'a> Socket<'a> {
    pub(super) fn new(
        stage: Arc<Stage>,
        (place, number): (usize, u64),
        node: &'a Node,
        seated: Seated,
        words: mpsc::UnboundedReceiver<Word>,
    ) -> Self {
        let now = stage.world.now();
        let held_up = node.router.hears_out(&seated);
        Self {
            stage,
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
            held_up,
            nameless: false,
        }
    }

    /// Until it ends, and why.
    pub(super) async fn serve(&mut self) -> Goodbye {
        let goodbye = loop {
            if let Err(goodbye) = self.turn().await {
                break goodbye;
            }
        };
        if goodbye == Goodbye::Restarting {
            let by = self.stage.world.instant(self.stage.world.now() + FAREWELL);
            let _ = timeout_at(by, self.prepare_to_part()).await;
        }
        goodbye
    }

    async fn turn(&mut self) -> Result<(), Goodbye> {
        let plane = &self.node.plane;
        plane.awake().await;
        let alarm = self.pinged.unwrap_or(self.heard) + PING;
        let alarm = self.stage.world.instant(self.ask_at.map_or(alarm, |at| at.min(alarm)));
        let is_held_up = self.held_up.is_some();
        let (seated, batch) = (&self.seated, &mut self.batch);
        tokio::select! {
            biased;
            taken = poll_fn(|cx| seated.mailbox.poll_take(seated.speaker.seat, batch, cx)) => {
                let count = taken?;
                plane.awake().await;
                self.write(count);
                Ok(())
            }
            () = relief(&mut self.held_up) => {
                self.held_up = None;
                Ok(())
            }
            word = self.words.recv(), if !is_held_up => {
                plane.awake().await;
                self.read(word.unwrap_or(Word::Close)).await
            }
            () = sleep_until(alarm) => {
                plane.awake().await;
                self.look_at_the_clock()
            }
        }
    }

    /// One who comes back to another node is not to hear again what it has just heard.
    async fn prepare_to_part(&mut self) -> Result<(), Goodbye> {
        while self.confirmed < self.written {
            if self.pinged.is_none() {
                self.ping();
            }
            let word = self.words.recv().await.unwrap_or(Word::Close);
            self.node.plane.awake().await;
            self.read(word).await?;
        }
        Ok(())
    }

    /// What is written arrives in order, after a moment, if the client is still there, and when it reads again.
    fn write(&mut self, count: u64) {
        let now = self.stage.world.now();
        let dialect = self.stage.tongue.dialect();
        for letter in std::mem::take(&mut self.batch) {
            let frame = dialect.write(&letter.frame, &self.seated.speaker.peer, letter.number);
            let (stage, place, number) = (self.stage.clone(), self.place, self.number);
            self.sends(move || stage.reads(place, number, &frame));
        }
        self.written = count;
        if count > self.confirmed && self.pinged.is_none() {
            self.ask_at.get_or_insert(now + self.receipt_after());
        }
    }

    fn receipt_after(&self) -> Duration {
        let hurries = self.stage.tongue.dialect().customs().hurries_receipts;
        if hurries { Duration::ZERO } else { RECEIPT }
    }

    fn sends(&mut self, arrive: impl FnOnce() + Send + 'static) {
        let world = &self.stage.world;
        let slow_until = self.stage.peers.lock()[self.place].slow_until;
        self.arrives = self.arrives.max(slow_until).max(world.now() + WIRE);
        world.at(self.arrives, move |_| arrive());
    }

    fn look_at_the_clock(&mut self) -> Result<(), Goodbye> {
        match self.pinged {
            Some(pinged) if pinged + PING <= self.stage.world.now() => return Err(Goodbye::Silent),
            Some(_) => {}
            None => self.ping(),
        }
        self.ask_at = None;
        Ok(())
    }

    fn ping(&mut self) {
        let (stage, place, number, count) = (self.stage.clone(), self.place, self.number, self.written);
        self.sends(move || {
            let mut peers = stage.peers.lock();
            peers[place].connection(number).into_iter().for_each(|line| line.says(Word::Pong(count)));
        });
        self.pinged = Some(self.stage.world.now());
    }

    fn pong(&mut self, count: u64) -> Result<(), Goodbye> {
        self.confirmed = count;
        if self.written > count {
            self.ask_at = Some(self.stage.world.now() + self.receipt_after());
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
        let tongue = self.stage.tongue;
        if matches!(word, Word::Close) {
            return Err(Goodbye::Closed);
        }
        if self.nameless {
            return Ok(());
        }
        let text = match word {
            Word::Greet => self.stage.greeting(self.place),
            Word::Noted => tongue.sign_of_life().into(),
            Word::Bye => tongue.farewell().into(),
            Word::Pong(count) => return self.pong(count),
            Word::Says(message) => return self.take(&message).await,
            Word::Close => return Err(Goodbye::Closed),
        };
        let (dialect, speaker) = (tongue.dialect(), &self.seated.speaker);
        let command = dialect.decode(speaker, &text);
        self.nameless = matches!(command, Command::Release);
        let next = self.node.router.act(dialect, speaker, command, chance::now()).await?;
        if let Some(speaker) = next.speaker {
            self.seated.speaker = speaker;
        }
        Ok(())
    }

    /// Of these, whom this node believes elsewhere than the directory does.
    fn misplaced(&self, peers: &BTreeSet<PeerId>) -> BTreeSet<PeerId> {
        let members = self.stage.world.directory.members();
        let right = |peer: &PeerId| {
            let room = self.stage.home(peer);
            let known = self.node.router.known_member(&room, peer);
            let there = members.get(&(room, peer.clone())).map(|member| &member.node);
            known.is_none_or(|known| known.as_ref().map(|known| &known.node) == there)
        };
        peers.iter().filter(|peer| !right(peer)).cloned().collect()
    }

    /// Takes a message from its sender.
    async fn take(&mut self, message: &Message) -> Result<(), Goodbye> {
        let (stage, speaker, by) = (&self.stage, &self.seated.speaker, &self.node.plane.me);
        let (from, number) = (stage.peers.lock()[self.place].id.clone(), message.number);
        let to = match &message.to {
            Some(to) => BTreeSet::from([to.clone()]),
            None => self.node.router.everyone(&speaker.room),
        };
        stage.world.note(|| {
            let whom = message.to.as_ref().map_or("everybody", |to| to.as_str());
            format!("{from} says #{number} to {whom}, to node {by}")
        });
        let said = Said {
            from: from.clone(),
            number,
            at: stage.world.now(),
            by: by.clone(),
            connection: (self.place, self.number),
            receipt: message.receipt,
            misplaced: self.misplaced(&to),
            to,
        };
        stage.ledger.lock().says(said);
        let dialect = stage.tongue.dialect();
        let command = dialect.decode(speaker, &stage.tongue.write(message));
        let acted = self.node.router.act(dialect, speaker, command, chance::now()).await;
        // Who keeps what is not safe says it again.
        if acted.is_err() && stage.tongue != Tongue::Numbered {
            stage.ledger.lock().was_refused(&from, number);
        }
        acted.map(drop)
    }
}

async fn relief(held_up: &mut Option<Relief>) {
    match held_up {
        Some(relief) => relief.await,
        None => pending().await,
    }
}
