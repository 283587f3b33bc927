//! To speak: in the name of whoever calls, or in the server's own.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{Problem, User, Why};
use crate::dialect::mesh::{BUSY, Mesh, error, frame, lobby, profile};
use crate::goodbye::Goodbye;
use crate::message::{Frame, PeerId, Receipt, RoomId, Speaker, To};
use crate::metrics::Failure;
use crate::router::Router;

/// The room that the caller is in, with everybody who speaks mesh on any node. What is told through it is told in the
/// caller's name: in order with all else that it says, to each once; and it is told, by `CLIENTS` with `gone`, whom a
/// message for one user did not reach.
///
/// Each of these waits, as the caller itself does, while too much is on its way to where it goes. A lobby that is kept for
/// longer than the call speaks for its caller still, also when that one has gone.
#[derive(Clone)]
pub struct Lobby {
    router: Arc<Router>,
    speaker: Speaker,
    read: Instant,
}

impl Lobby {
    pub(super) fn new(router: Arc<Router>, speaker: Speaker, read: Instant) -> Self {
        Self { router, speaker, read }
    }

    /// Answers the caller. A payload has to be a JSON object.
    pub async fn answer(&self, kind: &str, payload: &impl Serialize) -> Result<(), Problem> {
        Ok(self.router.reply(&self.speaker, frame(kind, &object(kind, payload)?))?)
    }

    /// Tells one user.
    pub async fn tell(&self, to: &PeerId, kind: &str, payload: &impl Serialize) -> Result<(), Problem> {
        self.carry(&To::Peer(to.clone()), frame(kind, &object(kind, payload)?)).await;
        Ok(())
    }

    /// Tells everybody but the caller.
    pub async fn tell_others(&self, kind: &str, payload: &impl Serialize) -> Result<(), Problem> {
        self.carry(&To::Others, frame(kind, &object(kind, payload)?)).await;
        Ok(())
    }

    /// Tells everybody, the caller too.
    pub async fn tell_everyone(&self, kind: &str, payload: &impl Serialize) -> Result<(), Problem> {
        self.carry(&To::Everyone, frame(kind, &object(kind, payload)?)).await;
        Ok(())
    }

    /// Everybody who is here, in order of arrival.
    pub async fn users(&self) -> Result<Vec<User>, Problem> {
        self.server().users().await
    }

    /// The caller is called this from now on, or nothing. Fails while the directory of a cluster is away.
    pub async fn rename(&self, name: Option<&str>) -> Result<User, Problem> {
        let profile = profile(name);
        if self.router.hear(&self.speaker, self.read)? != profile {
            let described = self.router.describe(&self.speaker, profile.clone()).await;
            described.map_err(|_| Problem::new(BUSY))?;
        }
        Ok(User::new(self.speaker.peer.clone(), profile))
    }

    /// To speak in the server's name.
    pub fn server(&self) -> Server {
        Server { router: self.router.clone(), room: self.speaker.room.clone() }
    }

    /// A message to all concerns nobody in particular, so nobody is told whom it did not reach: who does not take it is sent
    /// away.
    pub(super) async fn carry(&self, to: &To, frame: Frame) {
        let receipt = if matches!(to, To::Peer(_)) { Receipt::TellSender } else { Receipt::Drop };
        let relief = self.router.say(&self.speaker, (to, frame), receipt, self.read);
        if let Some(relief) = relief {
            relief.await;
        }
    }

    /// Its handler failed at this message.
    pub(super) fn failed(&self, kind: &str, how: Failure) {
        self.router.handler_failed(kind, how);
    }

    /// Tells the caller why not; or ends its connection.
    pub(super) fn refuse(&self, problem: &Problem) -> Result<(), Goodbye> {
        match &problem.0 {
            Why::Told(message) => self.router.reply(&self.speaker, error(message)),
            Why::Ends(goodbye) => Err(*goodbye),
        }
    }
}

impl fmt::Debug for Lobby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lobby").field("caller", &self.speaker.peer).finish_non_exhaustive()
    }
}

/// The server itself, to speak in its own name: from a handler, or from anywhere in your program
/// ([`Node::server`](crate::node::Node::server)). It reaches users on every node; nobody is told whom it did not reach.
#[derive(Clone)]
pub struct Server {
    router: Arc<Router>,
    room: RoomId,
}

impl Server {
    pub(crate) fn new(router: Arc<Router>) -> Self {
        Self { router, room: lobby() }
    }

    /// Tells one user. A payload has to be a JSON object.
    pub async fn tell(&self, to: &PeerId, kind: &str, payload: &impl Serialize) -> Result<(), Problem> {
        self.announce(&To::Peer(to.clone()), kind, payload).await
    }

    /// Tells everybody on all nodes.
    pub async fn tell_everyone(&self, kind: &str, payload: &impl Serialize) -> Result<(), Problem> {
        self.announce(&To::Everyone, kind, payload).await
    }

    /// Everybody who is there, in order of arrival. Fails if nobody is on this node and the directory is away.
    pub async fn users(&self) -> Result<Vec<User>, Problem> {
        let members = self.router.who_is_in(&self.room).await.map_err(|_| Problem::new(BUSY))?;
        Ok(members.iter().map(|(peer, profile)| User::new(peer.clone(), profile.clone())).collect())
    }

    async fn announce(&self, to: &To, kind: &str, payload: &impl Serialize) -> Result<(), Problem> {
        let payload = object(kind, payload)?;
        let announced = self.router.say_as_server(&Mesh, &self.room, (to, kind, &payload)).await;
        // It is no connection of anybody's that would end by this.
        if let Some(relief) = announced.map_err(|_| Problem::new(BUSY))? {
            relief.await;
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// A payload as it goes onto a wire.
fn object(kind: &str, payload: &impl Serialize) -> Result<Box<RawValue>, Problem> {
    let wrong = |why: &str| {
        tracing::error!(kind, why, "a handler's payload is no JSON object");
        Problem::new(format!("{kind}: the server failed at it"))
    };
    let payload = to_raw_value(payload).map_err(|error| wrong(&error.to_string()))?;
    if payload.get().starts_with('{') { Ok(payload) } else { Err(wrong("no object")) }
}
