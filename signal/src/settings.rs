//! What a node can be told: one struct, from defaults, a file, the environment and flags, in that order.
//!
//! Every setting is a row of the [table](table::TABLE), which names it, explains it and says what it may be. All
//! problems of a start are found at once, and told to a person with the key, where it was set, the value (unless that
//! may be secret), what is wrong and what would be right.

mod cli;
mod kind;
mod layers;
mod secret;
mod show;
mod table;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::Config;
use ipnet::IpNet;
use serde::Deserialize;

pub use cli::{Ask, Cli, Flags};
pub use secret::{RedisUrl, Secret};

/// All that a node can be told. The fields are named and explained by `signal config --defaults`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Settings {
    pub listen: SocketAddr,
    pub web: Option<PathBuf>,
    pub log: String,
    #[serde(deserialize_with = "kind::bytes")]
    pub max_message_bytes: usize,
    #[serde(deserialize_with = "kind::nets")]
    pub trusted_proxies: Vec<IpNet>,
    pub origins: Vec<String>,
    pub ops: Ops,
    pub redis: Redis,
    pub node: Node,
    pub ice: Ice,
    pub turn: Turn,
    pub rooms: Rooms,
    pub session: Session,
    pub drain: Drain,
    pub camus: Camus,
    pub socket: Socket,
    pub mailbox: Mailbox,
    pub limits: Limits,
}

/// The operator's listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Ops {
    pub listen: SocketAddr,
}

/// What makes nodes a cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Redis {
    pub url: Option<RedisUrl>,
}

/// Who this node is to the others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Node {
    pub name: Option<String>,
}

/// STUN servers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Ice {
    pub stun: Vec<String>,
}

/// TURN servers, which share a secret with the nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Turn {
    pub urls: Vec<String>,
    pub secret: Option<Secret>,
    #[serde(deserialize_with = "kind::duration")]
    pub ttl: Duration,
}

/// Rooms, whatever their dialect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Rooms {
    pub create_on_entry: bool,
    #[serde(deserialize_with = "kind::duration")]
    pub empty_for: Duration,
    pub max_members: u32,
}

/// Cookies and tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Session {
    pub secret: Option<Secret>,
    pub previous_secret: Option<Secret>,
    #[serde(deserialize_with = "kind::duration")]
    pub ttl: Duration,
}

/// Leaving on purpose.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Drain {
    #[serde(deserialize_with = "kind::duration")]
    pub wait: Duration,
    #[serde(deserialize_with = "kind::duration")]
    pub spread: Duration,
}

/// The dialect `camus`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Camus {
    #[serde(deserialize_with = "kind::duration")]
    pub ping_after: Duration,
    #[serde(deserialize_with = "kind::duration")]
    pub grace: Duration,
    #[serde(rename = "static")]
    pub static_dir: Option<PathBuf>,
    pub guest_limit: u32,
}

/// One connection.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Socket {
    #[serde(deserialize_with = "kind::duration")]
    pub ping_interval: Duration,
    #[serde(deserialize_with = "kind::duration")]
    pub ping_timeout: Duration,
    #[serde(deserialize_with = "kind::duration")]
    pub write_timeout: Duration,
    #[serde(deserialize_with = "kind::duration")]
    pub head_timeout: Duration,
}

/// What waits for one peer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Mailbox {
    pub messages: usize,
    #[serde(deserialize_with = "kind::bytes")]
    pub bytes: usize,
}

/// How much anybody may.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Limits {
    pub connections: usize,
    pub messages_per_second: u32,
    pub message_burst: u32,
    #[serde(deserialize_with = "kind::bytes")]
    pub bytes_per_second: usize,
    #[serde(deserialize_with = "kind::bytes")]
    pub byte_burst: usize,
    pub password_attempts: u32,
    pub rooms_per_minute: u32,
}

/// Why a node does not start, for a person: a line for each problem.
#[derive(Debug)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are wrong:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// What is in force for this process: its environment counts, and the files that the settings name are read.
    pub fn load(cli: &Cli) -> Result<Self, SettingsError> {
        Ok(Self::gather(cli.flags(), std::env::vars_os())?.1)
    }

    /// What is in force with these flags in this environment, both with where each value is from and as a struct.
    fn gather(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Config, Self), SettingsError> {
        let (config, mut problems) = layers::gather(flags, environment);
        problems.extend(layers::wrong_values(&config));
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
        let settings = config.clone().try_deserialize::<Self>();
        let settings = settings.map_err(|error| SettingsError(vec![error.to_string()]))?;
        match settings.contradictions() {
            none if none.is_empty() => Ok((config, settings)),
            some => Err(SettingsError(some)),
        }
    }

    /// What is wrong though each value by itself is right.
    fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.turn.urls.is_empty() && self.turn.secret.is_none() {
            found.push(
                "turn.secret: missing; turn.urls need it: what the TURN servers have as static-auth-secret"
                    .into(),
            );
        }
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

impl Default for Settings {
    /// The defaults of the table.
    #[expect(clippy::expect_used, reason = "nothing but the table goes in, and a test deserializes it")]
    fn default() -> Self {
        layers::defaults().try_deserialize().expect("the table and the struct agree")
    }
}

#[cfg(test)]
mod tests;
