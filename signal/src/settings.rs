//! What a node can be told, as one struct. Each field is a row of the [table], and how they are given and checked is
//! the same for every program of the [house](house::settings).

mod node_address;
mod peerjs_place;
mod redis_url;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use house::settings::{Program, Secret, bytes, duration, nets, uri};
use house::tls::TlsSettings;
use hyper::Uri;
use ipnet::IpNet;
use serde::Deserialize;

pub use redis_url::RedisUrl;
pub use table::NODE;

/// All that a node can be told. The fields are named and explained by `signal config --defaults`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Settings {
    pub listen: SocketAddr,
    pub web: Option<PathBuf>,
    pub log: String,
    pub threads: usize,
    #[serde(deserialize_with = "bytes")]
    pub max_message_bytes: usize,
    #[serde(deserialize_with = "nets")]
    pub trusted_proxies: Vec<IpNet>,
    pub origins: Vec<String>,
    pub tls: TlsSettings,
    pub ops: Ops,
    pub redis: Redis,
    pub node: Node,
    pub ice: Ice,
    pub turn: Turn,
    pub rooms: Rooms,
    pub session: Session,
    pub drain: Drain,
    pub camus: Camus,
    pub peerjs: Peerjs,
    pub direct: Direct,
    pub mesh: Mesh,
    pub socket: Socket,
    pub mailbox: Mailbox,
    pub links: Links,
    pub unsettled: Unsettled,
    pub limits: Limits,
}

/// The operator's listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Ops {
    pub listen: SocketAddr,
    pub token: Option<Secret>,
}

/// What makes nodes a cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Redis {
    pub url: Option<RedisUrl>,
    pub tls_ca: Option<PathBuf>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
}

/// Who this node is to the others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Node {
    pub name: Option<String>,
    pub address: Option<String>,
}

/// STUN servers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Ice {
    pub stun: Vec<String>,
}

/// TURN servers, and who signs credentials for them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Turn {
    pub urls: Vec<String>,
    pub secret: Option<Secret>,
    #[serde(deserialize_with = "uri")]
    pub auth_url: Option<Uri>,
    pub auth_key: Option<Secret>,
    #[serde(deserialize_with = "duration")]
    pub ttl: Duration,
}

/// Rooms, whatever their dialect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Rooms {
    pub create_on_entry: bool,
    #[serde(deserialize_with = "duration")]
    pub empty_for: Duration,
    pub max_members: u32,
    #[serde(deserialize_with = "duration")]
    pub roster_interval: Duration,
    #[serde(deserialize_with = "bytes")]
    pub roster_bytes_per_second: usize,
}

/// Cookies and tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Session {
    pub secret: Option<Secret>,
    pub previous_secret: Option<Secret>,
    #[serde(deserialize_with = "duration")]
    pub ttl: Duration,
}

/// Leaving on purpose.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Drain {
    #[serde(deserialize_with = "duration")]
    pub wait: Duration,
    #[serde(deserialize_with = "duration")]
    pub spread: Duration,
}

/// The dialect `camus`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Camus {
    #[serde(deserialize_with = "duration")]
    pub ping_after: Duration,
    #[serde(deserialize_with = "duration")]
    pub grace: Duration,
    #[serde(rename = "static")]
    pub static_dir: Option<PathBuf>,
    pub guest_limit: u32,
}

/// The dialect `peerjs`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Peerjs {
    pub path: String,
    pub key: String,
    pub discovery: bool,
    #[serde(deserialize_with = "duration")]
    pub alive_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub expire_timeout: Duration,
    pub concurrent_limit: usize,
}

/// The dialect `direct`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Direct {
    #[serde(deserialize_with = "duration")]
    pub registration: Duration,
    pub trust_name: bool,
}

/// The dialect `mesh`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Mesh {
    pub at_root: bool,
}

/// One connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Socket {
    #[serde(deserialize_with = "duration")]
    pub ping_interval: Duration,
    #[serde(deserialize_with = "duration")]
    pub ping_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub receipt_after: Duration,
    #[serde(deserialize_with = "duration")]
    pub write_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub head_timeout: Duration,
}

/// What waits for one peer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Mailbox {
    pub messages: usize,
    #[serde(deserialize_with = "bytes")]
    pub bytes: usize,
}

/// What is under way between nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Links {
    pub messages: usize,
    #[serde(deserialize_with = "bytes")]
    pub bytes: usize,
    #[serde(deserialize_with = "duration")]
    pub patience: Duration,
    pub inbox_frames: usize,
    #[serde(deserialize_with = "bytes")]
    pub inbox_bytes: usize,
}

/// What is kept until its receiver has confirmed it, or waits for somebody who is looked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Unsettled {
    pub messages: usize,
    #[serde(deserialize_with = "bytes")]
    pub bytes: usize,
}

/// How much anybody may.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Limits {
    pub connections: usize,
    pub arriving: usize,
    pub topics: usize,
    pub messages_per_second: u32,
    pub message_burst: u32,
    #[serde(deserialize_with = "bytes")]
    pub bytes_per_second: usize,
    #[serde(deserialize_with = "bytes")]
    pub byte_burst: usize,
    pub password_attempts: u32,
    pub rooms_per_minute: u32,
    pub registrations_per_minute: u32,
}

impl house::settings::Settings for Settings {
    const PROGRAM: &'static Program = &NODE;

    fn log(&self) -> &str {
        &self.log
    }

    fn threads(&self) -> usize {
        self.threads
    }

    fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.turn.urls.is_empty() && self.turn.secret.is_none() {
            found.push(
                "turn.secret: missing; turn.urls need it: what the TURN servers have as static-auth-secret"
                    .into(),
            );
        }
        if self.turn.auth_url.is_some() && !self.turn.urls.is_empty() {
            found.push(
                "turn.auth_url: set, and so are turn.urls; right would be one of them: the service names its own servers"
                    .into(),
            );
        }
        if self.turn.auth_key.is_some() && self.turn.auth_url.is_none() {
            found.push("turn.auth_url: missing; turn.auth_key is of no use without it".into());
        }
        found.extend(self.tls.contradictions());
        found.extend(self.redis.contradictions());
        if self.redis.url.is_some() && self.session.secret.is_none() {
            found.push(format!(
                "session.secret: missing; redis.url needs it, the same on all nodes. A fresh one to paste:\n    \
                 SIGNAL__SESSION__SECRET={}",
                URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
            ));
        }
        found
    }
}

impl Redis {
    fn contradictions(&self) -> Option<String> {
        let files = [
            ("redis.tls_ca", &self.tls_ca),
            ("redis.tls_cert", &self.tls_cert),
            ("redis.tls_key", &self.tls_key),
        ];
        let given = files.into_iter().find_map(|(name, file)| file.as_ref().map(|_| name))?;
        match (&self.tls_cert, &self.tls_key) {
            _ if !self.url.as_ref().is_some_and(RedisUrl::has_tls) => Some(format!(
                "{given}: of no use without TLS; right would be a redis.url with `rediss://` or `rediss+sentinel://`"
            )),
            (Some(_), None) => Some("redis.tls_key: missing; redis.tls_cert needs it".into()),
            (None, Some(_)) => Some("redis.tls_cert: missing; redis.tls_key needs it".into()),
            _ => None,
        }
    }
}

impl Default for Settings {
    /// The defaults of the table.
    fn default() -> Self {
        house::settings::defaults()
    }
}

#[cfg(test)]
mod tests;
