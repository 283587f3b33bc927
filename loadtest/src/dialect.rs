//! What a protocol is to the driver: how to get in, how to say something to a peer, how to read what comes.

mod camus;
mod direct;
mod echo;
mod mesh;
mod peerjs;
mod share;
mod y_webrtc;

use std::borrow::Cow;

use futures_util::future::LocalBoxFuture;
use hyper::HeaderMap;

use crate::connect::{Door, NotIn};
use crate::schedule::Word;

/// What opens a WebSocket, again and again, and the address that its peer then has.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The path to open, with its query.
    pub path: String,
    /// What to show there: cookies.
    pub headers: HeaderMap,
    /// What others call this peer.
    pub address: String,
}

/// A peer that wants to get in.
#[derive(Clone, Debug, Default)]
pub struct Newcomer {
    /// The run that it belongs to.
    pub run: u32,
    /// Its number.
    pub peer: u32,
    /// The number of its room.
    pub room: u32,
    /// Members of the room.
    pub members: u32,
    /// Whether it asks who is there.
    pub asks_for_roster: bool,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// The peer with this address.
    Peer(&'a str),
    /// Everybody in the room.
    Room,
}

/// What a frame from the server says.
#[derive(Debug, PartialEq)]
pub enum Heard<'a> {
    /// A peer said something.
    Said {
        /// Its address, as the server has it.
        from: Cow<'a, str>,
        /// Its payload; empty if there is none in it.
        payload: &'a str,
    },
    /// The first answer: from now on this peer is in the room.
    Seated,
    /// The same, and others call this peer so.
    SeatedAs(String),
    /// The same: this peer has opened a room, which is called so.
    Opened(String),
    /// This peer is not in its room, or not any more, and why: it has to come again.
    Out(String),
    /// The server wants this to be sent back.
    Ping(String),
    /// A message to this peer could not be delivered.
    Told(String),
    /// What was said to this peer before, and has not arrived, could not be delivered; to whom is not always said.
    ToldOfAll(Option<String>),
    /// The server did not take something, and why.
    Refused(String),
    /// Nothing that matters here.
    Other,
}

/// To whom peers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// A peer hears only itself.
    ToItself,
    /// To one peer.
    ToPeer,
    /// To one peer, or to all in the room.
    ToPeerOrRoom,
    /// To all in the room.
    ToRoom,
}

/// What a protocol is like.
#[derive(Clone, Copy, Debug)]
pub struct Customs {
    /// To whom peers speak.
    pub speech: Says,
    /// Whether who speaks to a room hears it too.
    pub room_hears_speaker: bool,
    /// Whether the first of a room opens it, and the others speak with that one only.
    pub has_host: bool,
    /// Whether who has gone is still a member for a while, and is told later what it was to be told.
    pub keeps_places: bool,
    /// Whether nothing is kept for who is not there, and nobody told.
    pub forgets: bool,
}

impl Customs {
    /// One peer speaks to another; who has gone is gone.
    pub const PLAIN: Self = Self {
        speech: Says::ToPeer,
        room_hears_speaker: false,
        has_host: false,
        keeps_places: false,
        forgets: false,
    };
}

/// A protocol.
pub trait Dialect: Sync {
    /// Its name, for `--dialect`.
    fn name(&self) -> &'static str;

    /// What it is like.
    fn customs(&self) -> Customs {
        Customs::PLAIN
    }

    /// Makes a room before anybody comes, if this one does not make itself.
    fn prepare<'a>(&'a self, first: &'a Newcomer, door: Door<'a>) -> LocalBoxFuture<'a, Result<(), NotIn>> {
        let _ = (first, door);
        Box::pin(async { Ok(()) })
    }

    /// Asks to be let in.
    fn knock<'a>(&'a self, who: &'a Newcomer, door: Door<'a>) -> LocalBoxFuture<'a, Result<Pass, NotIn>>;

    /// What to say first; the last of it is answered by something that is [`Heard::Seated`] or the like. `room` is the room's
    /// name where a host has opened it.
    fn greetings(&self, who: &Newcomer, room: &str) -> Vec<String>;

    /// A frame in which `who` says `payload`, which needs no escapes in JSON.
    fn say(&self, who: &Newcomer, to: To<'_>, word: Word, payload: &str) -> String;

    /// What a frame says.
    fn hear<'a>(&self, frame: &'a str) -> Heard<'a>;
}

/// All of them.
pub const DIALECTS: &[&dyn Dialect] = &[
    &camus::Camus,
    &peerjs::Peerjs,
    &share::Share,
    &direct::Direct,
    &mesh::Mesh,
    &y_webrtc::YWebrtc,
    &echo::Echo,
];

/// The name of a peer where peers choose theirs: no other run has it.
fn name_of(who: &Newcomer) -> String {
    format!("load-{:08x}-{}", who.run, who.peer)
}

/// The name of a room where whoever comes chooses it: no other run has it.
fn room_of(who: &Newcomer) -> String {
    format!("load-{:08x}-{}", who.run, who.room)
}

/// The one of this name.
pub fn named(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.name() == name)
}
