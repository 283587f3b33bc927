//! What a program of its own adds to the mesh protocol: async functions, registered for types of messages.
//!
//! A handler's parameters are [extractors](FromCall), in any order and up to six: [`User`] (who says it), [`Target`] (for
//! whom), [`Payload<T>`](Payload) (what, as a type of yours), [`MessageType`], [`Admitted`] (what the
//! [admission](crate::access::admission) has said of the caller), [`Lobby`] (to speak in the caller's name), [`Server`]
//! (to speak in the server's), or a type of yours. It returns `()` or a `Result<(), Problem>`, and the compiler checks all
//! of it. State of your own goes into a closure.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use signal::handlers::{Limits, Lobby, Payload, Problem, User};
//! use signal::node::Node;
//! use signal::settings::Settings;
//!
//! #[derive(Deserialize)]
//! struct Wave {
//!     hands: u8,
//! }
//!
//! #[derive(Serialize)]
//! struct Waved {
//!     user: User,
//!     hands: u8,
//! }
//!
//! async fn wave(user: User, Payload(wave): Payload<Wave>, lobby: Lobby) -> Result<(), Problem> {
//!     if wave.hands > 2 {
//!         return Err(Problem::new(format!("{} hands are too many; right would be 1 or 2", wave.hands)));
//!     }
//!     lobby.tell_others("WAVE", &Waved { user, hands: wave.hands }).await
//! }
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let few = Limits { payload_bytes: 100, ..Limits::default() };
//! let node = Node::builder(Settings::default()).register_handler_with(&["WAVE"], few, wave).start().await?;
//! node.server().tell_everyone("NEWS", &serde_json::json!({ "text": "We are open." })).await?;
//! # node.drain().await;
//! # Ok(())
//! # }
//! ```
//!
//! Messages of one connection are handled one after the other, in their order; connections do not wait for each other. What
//! a handler sends goes the way of all messages: to any node, in order, and with the same promise.
//!
//! What is not a handler does not compile:
//!
//! ```compile_fail
//! async fn wave(hands: u8) {}
//! signal::node::Node::builder(Default::default()).register_handler(&["WAVE"], wave);
//! ```

mod call;
mod handler;
mod lobby;
mod mesh;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use house::visitors::Tries;
use serde_json::value::RawValue;

use crate::access::admission::Admitted;
use crate::dialect::mesh::error;
use crate::goodbye::Goodbye;
use crate::message::{Command, Destination, NotSeated, PeerId, Speaker};
use crate::router::Router;
use handler::{Entry, Registered};

pub use crate::dialect::mesh::User;
pub use call::{Call, FromCall, MessageType, Payload, Signed, Target};
pub use handler::{Handler, Outcome};
pub use lobby::{Lobby, Server};

/// What one handler may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take, its turn included. After that it is dropped at its next `await`, and its caller is told. Its
    /// caller's next messages wait for it so long.
    pub deadline: Duration,
    /// Bytes of a payload, at most; a larger one is answered with `ERROR`. What the setting `max_message_bytes` forbids
    /// never comes here.
    pub payload_bytes: usize,
    /// How many of its calls run at once on this node, at most; the others wait for their turn.
    pub at_once: usize,
}

impl Default for Limits {
    /// 10 s; any payload; as many at once as there are callers.
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), payload_bytes: usize::MAX, at_once: usize::MAX }
    }
}

/// Why a message is not answered as its sender wishes: it is told so with `{"type": "ERROR", "payload": {"message"}}`, and
/// its connection stays open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(Why);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Told(String),
    /// The connection ends, or has ended.
    Ends(Goodbye),
}

impl Problem {
    /// One that `message` explains: what is wrong, and what would be right.
    pub fn new(message: impl Into<String>) -> Self {
        Self(Why::Told(message.into()))
    }
}

impl From<Goodbye> for Problem {
    fn from(goodbye: Goodbye) -> Self {
        Self(Why::Ends(goodbye))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Told(message) => f.write_str(message),
            Why::Ends(goodbye) => f.write_str(goodbye.label()),
        }
    }
}

impl std::error::Error for Problem {}

/// Two handlers want the same messages, or one wants none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Which messages, and who.
    #[error(
        "the message type `{kind}` is registered twice: by {first} and by {second}; right would be one of them"
    )]
    Twice {
        /// The type.
        kind: String,
        /// The function that was registered first.
        first: &'static str,
        /// The other one.
        second: &'static str,
    },
    /// Who.
    #[error("{0} is registered for no message type; right would be one or more")]
    Nothing(&'static str),
}

/// A call that goes on; or the end of its connection: why.
pub type Running = Pin<Box<dyn Future<Output = Result<(), Goodbye>> + Send>>;

/// The handlers of a node, by the types of the messages that they are for.
#[derive(Default)]
pub struct Handlers {
    by_type: BTreeMap<Arc<str>, Arc<dyn Entry>>,
}

impl Handlers {
    /// Registers `handler` for messages of these types. Fails if one of them has a handler already, or there is none.
    pub fn register<H, Extractors>(
        &mut self,
        types: &[&str],
        limits: Limits,
        handler: H,
    ) -> Result<(), RegistrationError>
    where
        H: Handler<Extractors>,
        Extractors: 'static,
    {
        let entry = Arc::new(Registered::new(limits, handler));
        if types.is_empty() {
            return Err(RegistrationError::Nothing(entry.name()));
        }
        for kind in types {
            if let Some(first) = self.by_type.insert((*kind).into(), entry.clone()) {
                let (kind, first, second) = ((*kind).to_owned(), first.name(), entry.name());
                return Err(RegistrationError::Twice { kind, first, second });
            }
        }
        Ok(())
    }

    /// The protocol's own handlers, for the types for which there is no other one.
    pub(crate) fn with_the_protocols_own(mut self) -> Result<Self, RegistrationError> {
        let own = mesh::handlers()?;
        own.by_type.into_iter().for_each(|(kind, entry)| {
            self.by_type.entry(kind).or_insert(entry);
        });
        Ok(self)
    }

    /// The types of the messages for which there is a handler.
    pub(crate) fn types(&self) -> impl Iterator<Item = &str> {
        self.by_type.keys().map(|kind| &**kind)
    }

    fn nobody_handles(&self, kind: &str) -> String {
        let known: Vec<_> = self.types().collect();
        format!("Unknown message type: {kind}; right would be one of {}", known.join(", "))
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_type.keys()).finish()
    }
}

/// A connection's way to the handlers, and to rooms that are made for it.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Who is there.
    pub handlers: Arc<Handlers>,
    /// What the admission has said of whoever comes to it.
    pub admitted: Arc<Admitted>,
    /// From where that one comes.
    pub address: IpAddr,
    /// Rooms made, by address.
    pub rooms_made: Arc<Tries<IpAddr>>,
}

impl Desk {
    /// Why whoever comes to it does not get what it asks for, if that is too much for its address; what it gets is counted.
    pub fn refuses(&self, command: &Command, now: Instant) -> Option<NotSeated> {
        let makes_room = matches!(command, Command::Go(Destination::New(_)));
        (makes_room && self.rooms_made.allow(self.address, now).is_err()).then_some(NotSeated::TooManyMade)
    }

    /// Calls the handler of a message that `speaker` has said, and that was read at `read`.
    pub fn call(
        &self,
        router: &Arc<Router>,
        speaker: &Speaker,
        (kind, payload, target): (&str, Box<RawValue>, Option<PeerId>),
        read: Instant,
    ) -> Result<Option<Running>, Goodbye> {
        let profile = router.hear(speaker, read)?;
        let Some((kind, entry)) = self.handlers.by_type.get_key_value(kind) else {
            router.reply(speaker, error(&self.handlers.nobody_handles(kind)))?;
            return Ok(None);
        };
        let lobby = Lobby::new(router.clone(), speaker.clone(), read);
        let user = User::new(speaker.peer.clone(), profile);
        let (kind, admitted) = (MessageType(kind.clone()), self.admitted.clone());
        Ok(Some(entry.clone().call(Call { user, kind, target, payload, admitted, lobby })))
    }
}
