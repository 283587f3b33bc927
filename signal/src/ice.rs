//! Which STUN and TURN servers a peer may use, and with which credentials.

pub mod service;

use std::sync::Arc;
use std::time::Duration;

use crate::message::{IceServer, PeerId};
use service::Service;

/// The servers that a node names to its peers.
#[derive(Debug)]
pub struct Ice {
    /// `stun:` and `stuns:` URLs.
    pub stun: Vec<String>,
    /// Who signs the credentials for TURN, if there is any.
    pub turn: Option<Turn>,
}

/// Who signs the credentials for TURN.
#[derive(Debug)]
pub enum Turn {
    /// This node.
    Here(Signer),
    /// A service that is asked over HTTP.
    Service(Arc<Service>),
}

/// What this node signs with: a secret that it shares with the TURN servers.
#[derive(Debug)]
pub struct Signer {
    /// `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// The shared secret.
    pub secret: turn_auth::Secret,
    /// How long a credential is good for.
    pub ttl: Duration,
}

impl Ice {
    /// The servers for `peer` at `now` (seconds since 1970): STUN first, `turn:` before `turns:`, nothing that is
    /// empty. Without TURN while the service for its credentials is away.
    pub async fn servers(&self, peer: &PeerId, now: u64) -> Vec<IceServer> {
        let turn = match &self.turn {
            None => None,
            Some(Turn::Here(signer)) => Some(signer.sign(peer, now)),
            Some(Turn::Service(service)) => service.ask(peer).await,
        };
        let stun = (!self.stun.is_empty()).then(|| IceServer::Stun { urls: self.stun.clone() });
        stun.into_iter().chain(turn).collect()
    }
}

impl Signer {
    fn sign(&self, peer: &PeerId, now: u64) -> IceServer {
        let credentials = turn_auth::credentials(&self.secret, peer.as_str(), now, self.ttl);
        turn(self.urls.clone(), credentials.username, credentials.credential)
    }
}

fn turn(mut urls: Vec<String>, username: String, credential: String) -> IceServer {
    urls.sort_by_key(|url| url.starts_with("turns:"));
    IceServer::Turn { urls, username, credential }
}
