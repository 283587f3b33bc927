//! Which STUN and TURN servers a peer may use, and with which credentials.

use std::time::Duration;

use crate::message::{IceServer, PeerId};

/// The servers that a node names to its peers.
#[derive(Debug)]
pub struct Ice {
    /// `stun:` and `stuns:` URLs.
    pub stun: Vec<String>,
    /// TURN servers, if there are any.
    pub turn: Option<Turn>,
}

/// TURN servers that share a secret with this node.
#[derive(Debug)]
pub struct Turn {
    /// `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// The shared secret.
    pub secret: turn_auth::Secret,
    /// How long a credential is good for.
    pub ttl: Duration,
}

impl Ice {
    /// The servers for `peer` at `now` (seconds since 1970): STUN first, `turn:` before `turns:`, nothing that is
    /// empty.
    pub fn servers(&self, peer: &PeerId, now: u64) -> Vec<IceServer> {
        let stun = (!self.stun.is_empty()).then(|| IceServer::Stun { urls: self.stun.clone() });
        let turn = self.turn.as_ref().map(|turn| turn.server(peer, now));
        stun.into_iter().chain(turn).collect()
    }
}

impl Turn {
    fn server(&self, peer: &PeerId, now: u64) -> IceServer {
        let mut urls = self.urls.clone();
        urls.sort_by_key(|url| url.starts_with("turns:"));
        let credentials = turn_auth::credentials(&self.secret, peer.as_str(), now, self.ttl);
        IceServer::Turn { urls, username: credentials.username, credential: credentials.credential }
    }
}
