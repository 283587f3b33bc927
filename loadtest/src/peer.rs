//! One peer: it comes in, says what is due, writes down what it hears, and comes back if it is thrown out.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::connect::{NotIn, Socket};
use crate::dialect::{Heard, Newcomer, Pass, Says, To};
use crate::floor::{Floor, Phase, count};
use crate::ledger::Excuse;
use crate::plan::Speech;
use crate::schedule::{Word, listener};
use crate::stamp::{EVERYONE, STAMP_BYTES, Stamp};

/// How often a newcomer asks when it is told to come later.
const TRIES: u32 = 6;
/// Nobody waits longer than this for being let in later.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How long to wait for the other end's part of a goodbye when something may still come before it.
const FAREWELL: Duration = Duration::from_secs(5);
/// The same, when nothing is expected any more.
const SHORT_FAREWELL: Duration = Duration::from_millis(500);
/// Who is thrown out comes back after this long, and some more, by chance.
const BACK_AFTER: Duration = Duration::from_millis(100);

/// Why a connection is over.
enum Over {
    /// This peer goes home.
    Left,
    /// It goes away, and comes back after so long.
    Away(Duration),
    /// It was thrown out.
    Lost(String),
}

/// What a frame changes for a peer.
enum Standing {
    /// It is in.
    In,
    /// It is not, or not any more, and why.
    Out(String),
}

enum Turn {
    Read(Option<Result<Message, Error>>),
    Rung,
}

/// One peer.
pub struct Peer {
    floor: Rc<Floor>,
    who: Newcomer,
    pass: Option<Pass>,
    /// How often it has come in, or tried to.
    visits: u32,
    /// How many of its messages are done with.
    done: u64,
}

impl Peer {
    /// The peer of this number.
    pub fn new(floor: Rc<Floor>, peer: u32) -> Self {
        let plan = &floor.plan;
        let who = Newcomer {
            run: plan.run,
            peer,
            room: plan.room_of(peer),
            members: plan.room,
            asks_for_roster: plan.asks_for_roster,
        };
        Self { floor, who, pass: None, visits: 0, done: 0 }
    }

    /// Its whole life, from the moment at which it is to come.
    pub async fn live(mut self, come_at: Duration) {
        let floor = self.floor.clone();
        sleep(come_at.saturating_sub(floor.clock.now())).await;
        let entered = self.first_visit().await;
        if entered.is_none() {
            floor.happenings.borrow_mut().outside += 1;
            if floor.is_host(self.who.peer) {
                // Nobody need wait for a room that is never opened.
                floor.room(self.who.peer).send_replace(Some(String::new()));
            }
        }
        floor.arrivals.add_permits(1);
        let mut socket = entered;
        while let Some(mut wire) = socket.take() {
            let over = self.stay(&mut wire).await;
            floor.unseat(self.who.peer, matches!(over, Over::Lost(_)));
            let pause = match over {
                Over::Left => return self.say_goodbye(&mut wire, SHORT_FAREWELL).await,
                Over::Away(pause) => {
                    self.say_goodbye(&mut wire, FAREWELL).await;
                    pause
                }
                Over::Lost(why) => {
                    count(&mut floor.happenings.borrow_mut().lost_connections, why);
                    BACK_AFTER.mul_f64(1.0 + 4.0 * rand::random::<f64>())
                }
            };
            drop(wire);
            sleep(pause).await;
            socket = self.come_back().await;
        }
    }

    /// Comes in for the first time, in one of the places for that, and says how long it took.
    async fn first_visit(&mut self) -> Option<Socket> {
        let floor = self.floor.clone();
        self.room_is_open().await;
        let _permit = floor.handshakes.acquire().await.ok()?;
        let came = floor.clock.now();
        for _ in 0..TRIES {
            match self.enter().await {
                Ok(socket) => {
                    let mut second = floor.second.borrow_mut();
                    second.seated += 1;
                    second.joins.record(floor.clock.now() - came);
                    return Some(socket);
                }
                Err(why) => {
                    count(&mut floor.happenings.borrow_mut().refusals, why.to_string());
                    sleep(when_to_try_again(&why)?).await;
                }
            }
        }
        None
    }

    /// Comes back as who it was; as somebody new if that is over.
    async fn come_back(&mut self) -> Option<Socket> {
        let floor = self.floor.clone();
        while floor.phase.get() != Phase::Leaving {
            self.room_is_open().await;
            let permit = floor.handshakes.acquire().await;
            let entered = self.enter().await;
            drop(permit);
            match entered {
                Ok(socket) => {
                    floor.happenings.borrow_mut().came_back += 1;
                    return Some(socket);
                }
                Err(why) => {
                    count(&mut floor.happenings.borrow_mut().refusals, why.to_string());
                    if matches!(&why, NotIn::Refused { status, .. } if [403, 404].contains(&status.as_u16()))
                    {
                        self.pass = None;
                    }
                    sleep(when_to_try_again(&why).unwrap_or(BACK_AFTER * 5)).await;
                }
            }
        }
        None
    }

    /// Who is not the host of its room cannot come in before that one.
    async fn room_is_open(&self) {
        if self.floor.dialect.customs().has_host && !self.floor.is_host(self.who.peer) {
            // The floor holds the other end.
            let _ = self.floor.room(self.who.peer).subscribe().wait_for(Option::is_some).await;
        }
    }

    /// One attempt, until the server has answered the first word. The next one is made at the next node.
    async fn enter(&mut self) -> Result<Socket, NotIn> {
        let floor = self.floor.clone();
        let door = floor.doors.door(floor.plan.url_of(self.who.peer, self.visits), self.who.peer);
        self.visits += 1;
        let pass = match self.pass.take() {
            Some(pass) => pass,
            None => floor.dialect.knock(&self.who, door).await?,
        };
        let pass = self.pass.insert(pass).clone();
        let (mut socket, node) = door.websocket(&pass.path, pass.headers).await?;
        floor.seat(self.who.peer, &pass.address, node);
        let patience = floor.plan.joins.handshake_timeout;
        let seated = timeout(patience, self.greet(&mut socket)).await.unwrap_or(Err(NotIn::Late(patience)));
        match seated {
            Ok(()) => floor.listens(self.who.peer),
            Err(_) => floor.unseat(self.who.peer, true),
        }
        seated.map(|()| socket)
    }

    async fn greet(&self, socket: &mut Socket) -> Result<(), NotIn> {
        let room = self.floor.room(self.who.peer).borrow().clone().unwrap_or_default();
        for greeting in self.floor.dialect.greetings(&self.who, &room) {
            socket.feed(Message::text(greeting)).await.map_err(|why| NotIn::Broken(why.to_string()))?;
        }
        socket.flush().await.map_err(|why| NotIn::Broken(why.to_string()))?;
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(frame))) => match self.hear(&frame, socket) {
                    Some(Standing::In) => return Ok(()),
                    Some(Standing::Out(why)) => return Err(NotIn::Broken(why)),
                    None => {}
                },
                Some(Ok(Message::Close(frame))) => return Err(NotIn::Broken(closed(frame))),
                Some(Ok(_)) => {}
                Some(Err(why)) => return Err(NotIn::Broken(why.to_string())),
                None => return Err(NotIn::Broken("the connection ended".into())),
            }
        }
    }

    /// Says and hears, until the connection is over.
    async fn stay(&mut self, socket: &mut Socket) -> Over {
        self.skip_what_is_past();
        let floor = self.floor.clone();
        let bell = floor.bell(self.who.peer);
        loop {
            let turn = tokio::select! {
                () = bell.rings.notified() => Turn::Rung,
                message = next(socket) => Turn::Read(message),
            };
            match turn {
                Turn::Rung => {
                    if floor.phase.get() == Phase::Leaving {
                        return Over::Left;
                    }
                    if let Some(pause) = bell.go_away.take() {
                        return Over::Away(pause);
                    }
                    if let Err(why) = self.say_what_is_due(socket) {
                        return Over::Lost(why.to_string());
                    }
                }
                Turn::Read(Some(Ok(Message::Text(frame)))) => {
                    if let Some(Standing::Out(why)) = self.hear(&frame, socket) {
                        return Over::Lost(why);
                    }
                }
                Turn::Read(Some(Ok(Message::Close(frame)))) => return Over::Lost(closed(frame)),
                Turn::Read(Some(Ok(_))) => {}
                Turn::Read(Some(Err(why))) => return Over::Lost(why.to_string()),
                Turn::Read(None) => return Over::Lost("it ended".into()),
            }
        }
    }

    /// Takes in a frame, and says what it changes for this peer.
    fn hear(&self, frame: &str, socket: &mut Socket) -> Option<Standing> {
        let floor = &self.floor;
        match floor.dialect.hear(frame) {
            Heard::Said { from, payload } => match Stamp::read(payload) {
                Some((stamp, is_whole)) => {
                    floor.arrived((self.who.peer, self.visits), &from, &stamp, is_whole);
                }
                None => floor.ledger.borrow_mut().strange(),
            },
            Heard::Ping(answer) => {
                // If it cannot be said, the connection is over, which is heard next.
                let _ = Pin::new(socket).start_send(Message::text(answer));
            }
            Heard::Told(address) => floor.told(self.who.peer, &address),
            Heard::ToldOfAll(address) => floor.told_of_all(self.who.peer, address.as_deref()),
            Heard::Refused(why) => floor.refused(&why),
            Heard::Seated => return Some(Standing::In),
            Heard::SeatedAs(address) => {
                floor.name(self.who.peer, &address);
                return Some(Standing::In);
            }
            Heard::Opened(room) => {
                floor.room(self.who.peer).send_replace(Some(room));
                return Some(Standing::In);
            }
            Heard::Out(why) => return Some(Standing::Out(why)),
            Heard::Other => {}
        }
        None
    }

    /// The time at which the next message is due, if there is one.
    fn next_due(&self) -> Option<Duration> {
        let Phase::Talking { since, length } = self.floor.phase.get() else { return None };
        let (schedule, turn) = (self.floor.schedule()?, self.floor.turn_of(self.who.peer)?);
        let due = schedule.due(turn, self.done);
        (due < length).then_some(since + due)
    }

    /// What was due while there was no connection was not sent.
    fn skip_what_is_past(&mut self) {
        let now = self.floor.clock.now();
        let mut skipped = 0;
        while self.next_due().is_some_and(|due| due < now) {
            self.done += 1;
            skipped += 1;
        }
        self.floor.ledger.borrow_mut().unsent(skipped);
    }

    fn say_what_is_due(&mut self, socket: &mut Socket) -> Result<(), Error> {
        while let Some(due) = self.next_due() {
            let now = self.floor.clock.now();
            if due > now {
                break;
            }
            self.say(due, socket)?;
            self.done += 1;
            self.floor.second.borrow_mut().lag.record(now - due);
        }
        Ok(())
    }

    /// Says the next message. It is written when the connection takes it.
    fn say(&self, due: Duration, socket: &mut Socket) -> Result<(), Error> {
        let (floor, me) = (&self.floor, self.who.peer);
        let due = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        let stamp = |to, seq| Stamp { run: floor.plan.run, from: me, to, seq, due };
        let listeners: Vec<u32>;
        let frame = match floor.plan.traffic.map(|traffic| traffic.speech) {
            Some(Speech::Address(bytes)) => {
                listeners = self.room_that_listens();
                let seq = listeners.first().map_or(0, |to| floor.ledger.borrow().next(me, *to));
                let payload = stamp(EVERYONE, seq).payload(bytes.max(STAMP_BYTES));
                floor.dialect.say(&self.who, To::Room, Word::Text, &payload)
            }
            Some(Speech::Calls) | None if floor.dialect.customs().speech == Says::ToRoom => {
                listeners = self.room_that_listens();
                let seq = listeners.first().map_or(0, |to| floor.ledger.borrow().next(me, *to));
                let word = Word::of_call(seq);
                floor.dialect.say(&self.who, To::Room, word, &stamp(EVERYONE, seq).payload(word.bytes()))
            }
            Some(Speech::Calls) | None => {
                let to = self.listener();
                listeners = vec![to];
                let seq = floor.ledger.borrow().next(me, to);
                let word = Word::of_call(seq);
                let payload = stamp(to, seq).payload(word.bytes());
                floor.with_address(to, |address| {
                    floor.dialect.say(&self.who, To::Peer(address), word, &payload)
                })
            }
        };
        Pin::new(socket).start_send(Message::text(frame))?;
        floor.second.borrow_mut().sent += listeners.len() as u64;
        let mut ledger = floor.ledger.borrow_mut();
        for to in listeners {
            ledger.sent(me, to);
            if floor.dialect.customs().forgets && !floor.is_there(to) {
                ledger.excuse(me, to, Excuse::Missed);
            }
        }
        Ok(())
    }

    /// Who hears what is said to the room.
    fn room_that_listens(&self) -> Vec<u32> {
        let (me, customs) = (self.who.peer, self.floor.dialect.customs());
        self.floor.plan.members(me).filter(|to| *to != me || customs.room_hears_speaker).collect()
    }

    /// To whom the next message goes: the others in the room, one after the other.
    fn listener(&self) -> u32 {
        let me = self.who.peer;
        let (members, customs) = (self.floor.plan.members(me), self.floor.dialect.customs());
        if customs.speech == Says::ToItself {
            return me;
        }
        if customs.has_host && me != members.start {
            return members.start;
        }
        let others = members.len() as u32 - 1;
        members.start + (me - members.start + 1 + listener(self.done, others)) % (others + 1)
    }

    /// Closes the connection, and takes in what comes before its end.
    async fn say_goodbye(&self, socket: &mut Socket, patience: Duration) {
        let _ = timeout(patience, async {
            if socket.close(None).await.is_err() {
                return;
            }
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(frame) = message {
                    self.hear(&frame, socket);
                }
            }
        })
        .await;
    }
}

/// Writes what waits to be written, and reads, both as they come: who only did one of them could wait for a server that
/// waits for the other.
async fn next(socket: &mut Socket) -> Option<Result<Message, Error>> {
    poll_fn(|cx| {
        if let Poll::Ready(Err(why)) = Pin::new(&mut *socket).poll_flush(cx) {
            return Poll::Ready(Some(Err(why)));
        }
        Pin::new(&mut *socket).poll_next(cx)
    })
    .await
}

fn closed(frame: Option<tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> String {
    match frame {
        Some(frame) => format!("closed with {} {}", u16::from(frame.code), frame.reason),
        None => "closed without a code".into(),
    }
}

/// When to ask again; `None` if it makes no sense.
fn when_to_try_again(why: &NotIn) -> Option<Duration> {
    match why {
        NotIn::Refused { retry_after, .. } => retry_after.filter(|wait| *wait <= LONGEST_WAIT),
        NotIn::Late(_) | NotIn::Broken(_) => Some(BACK_AFTER * 5),
    }
}
