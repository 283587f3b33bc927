//! What a protocol is to the driver: how to get in, how to say something to a peer, how to read what comes.

mod camus;
mod echo;

use std::borrow::Cow;

use futures_util::future::LocalBoxFuture;

use crate::connect::{Door, NotIn};
use crate::schedule::Word;

/// What opens a WebSocket, again and again, and the address that its peer then has.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The path to open, with its query.
    pub path: String,
    /// What others call this peer.
    pub address: String,
}

/// A peer that wants to get in.
#[derive(Clone, Debug)]
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
    /// The server wants this to be sent back.
    Ping(String),
    /// A message to this peer could not be delivered.
    Told(String),
    /// The server did not take something, and why.
    Refused(String),
    /// Nothing that matters here.
    Other,
}

/// A protocol.
pub trait Dialect: Sync {
    /// Its name, for `--dialect`.
    fn name(&self) -> &'static str;

    /// Whether a peer hears only itself.
    fn is_alone(&self) -> bool {
        false
    }

    /// Whether who speaks to a room hears it too.
    fn room_hears_speaker(&self) -> bool {
        false
    }

    /// Makes a room before anybody comes, if this one does not make itself.
    fn prepare<'a>(&'a self, first: &'a Newcomer, door: Door<'a>) -> LocalBoxFuture<'a, Result<(), NotIn>> {
        let _ = (first, door);
        Box::pin(async { Ok(()) })
    }

    /// Asks to be let in.
    fn knock<'a>(&'a self, who: &'a Newcomer, door: Door<'a>) -> LocalBoxFuture<'a, Result<Pass, NotIn>>;

    /// What to say first; it is answered by something that is [`Heard::Seated`].
    fn greetings(&self, who: &Newcomer) -> Vec<String>;

    /// A frame that says `payload`, which needs no escapes in JSON.
    fn say(&self, to: To<'_>, word: Word, payload: &str) -> String;

    /// What a frame says.
    fn hear<'a>(&self, frame: &'a str) -> Heard<'a>;
}

/// All of them.
pub const DIALECTS: &[&dyn Dialect] = &[&camus::Camus, &echo::Echo];

/// The one of this name.
pub fn named(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.name() == name)
}
