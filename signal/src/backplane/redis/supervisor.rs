//! The connections to Redis: rebuilt for ever, and never believed for longer than they answer.
//!
//! There are two, so that a flood of envelopes for this node, which makes Redis cut off its subscription, does not
//! take the commands with it. They live and die together: a connection is whole or it is rebuilt whole, with its
//! subscription, and a new connection is announced to whoever [`watches`](Wire::watch) it, so that the lease is
//! renewed at once. The crate's own `ConnectionManager` is not used for this: after a long outage it stays
//! deaf until somebody sends a command.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::{TcpSettings, socket2};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion, PushInfo,
    PushKind, RedisError, RedisResult,
};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use super::counters::{Counters, add};
use super::sentinel::Sentinels;
use super::tls::Tls;
use crate::chance;

/// A connection that was suspected answers a `PING` in this time, or is rebuilt.
const PROOF: Duration = Duration::from_secs(1);
/// A connection is made in this time, or tried again.
const CONNECT: Duration = Duration::from_secs(2);
/// Pauses between attempts to connect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Commands that may wait to be written.
const PIPELINE: usize = 4_096;

/// Takes what comes through the subscription of the connection with that number; never waits.
pub(super) type Ear = Arc<dyn Fn(u64, PushInfo) + Send + Sync>;

/// Pauses that double up to a limit, each shortened by chance so that those who wait together do not come together.
pub(super) struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new((shortest, longest): (Duration, Duration)) -> Self {
        Self { shortest, longest, next: shortest }
    }

    pub(super) fn reset(&mut self) {
        self.next = self.shortest;
    }

    pub(super) async fn pause(&mut self) {
        sleep(self.next.mul_f64(rand::random_range(0.5..1.0))).await;
        self.next = (self.next * 2).min(self.longest);
    }
}

/// The way to Redis, which is there or not.
pub(super) struct Wire {
    place: Place,
    tls: Tls,
    connections: watch::Sender<Option<Connections>>,
    /// Counts attempts to connect.
    number: AtomicU64,
    suspected: Notify,
    condemned: Notify,
}

/// Where it is.
enum Place {
    At(Box<ConnectionInfo>),
    /// Wherever these say that the master is.
    Behind(Sentinels),
}

#[derive(Clone)]
pub(super) struct Connections {
    commands: MultiplexedConnection,
    inbox: MultiplexedConnection,
}

/// Makes connections that notice when nobody is at their other end.
fn client(info: ConnectionInfo, tls: &Tls) -> RedisResult<Client> {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(3))
        .with_interval(Duration::from_secs(1))
        .with_retries(3);
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    // Without it a half-open connection goes unnoticed for most of a minute, and what was "timed out" on it may
    // still arrive that late.
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(Duration::from_secs(5));
    let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    tls.client(info.set_tcp_settings(tcp).set_redis_settings(resp3))
}

impl Wire {
    /// The way to the Redis at `url`; nothing is connected yet. Fails if the URL is malformed.
    pub(super) fn new(url: &str, tls: Tls) -> RedisResult<Self> {
        let place = match Sentinels::parse(url) {
            None => Place::At(Box::new(url.into_connection_info()?)),
            Some(Ok(sentinels)) => Place::Behind(sentinels),
            Some(Err(why)) => Err(RedisError::from((ErrorKind::InvalidClientConfig, "its URL", why)))?,
        };
        Ok(Self {
            place,
            tls,
            connections: watch::Sender::new(None),
            number: AtomicU64::new(0),
            suspected: Notify::new(),
            condemned: Notify::new(),
        })
    }

    /// The connection for commands, as soon as there is one.
    pub(super) async fn commands(&self) -> MultiplexedConnection {
        let mut connections = self.connections.subscribe();
        let there = connections.wait_for(Option::is_some).await;
        match there.ok().and_then(|there| there.as_ref().map(|there| there.commands.clone())) {
            Some(commands) => commands,
            // Cannot be: this is the sender's own method.
            None => std::future::pending().await,
        }
    }

    /// Tells of connections that are made and lost.
    pub(super) fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut connections = self.connections.subscribe();
        connections.mark_unchanged();
        async move {
            let _ = connections.changed().await;
        }
    }

    /// The number of the latest connection; each is larger than the one before.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// A command was not answered in time, or with an error that is not its own.
    pub(super) fn suspect(&self) {
        self.suspected.notify_one();
    }

    /// What is connected is not where facts are kept any more: a master that has become a replica takes no writes, but
    /// still answers and publishes. Or what comes through the subscription is not heard. Both connections are made
    /// anew, if there are any.
    pub(super) fn condemn(&self) -> bool {
        let connected = self.connections.borrow().is_some();
        if connected {
            self.condemned.notify_one();
        }
        connected
    }

    /// Ends a subscription and says nothing of it to anybody.
    #[cfg(test)]
    pub(super) async fn goes_deaf(&self, channel: &str) {
        let connections = self.connections.borrow().clone();
        connections.unwrap().inbox.unsubscribe(channel).await.unwrap();
    }

    /// Keeps the connections; `ear` hears what is published on `channels`. They are looked at every `check`.
    pub(super) async fn keep(&self, channels: [String; 2], ear: Ear, check: Duration, counters: &Counters) {
        let mut backoff = Backoff::new(RECONNECT);
        let mut told = false;
        loop {
            let lost = Arc::new(Notify::new());
            match chance::in_time(CONNECT, Box::pin(self.connect(&channels, &ear, &lost))).await {
                Some(Ok(connections)) => {
                    add(&counters.connects, 1);
                    told = false;
                    self.connections.send_replace(Some(connections.clone()));
                    self.until_broken(&connections, &lost, check).await;
                    warn!("the connection to Redis is lost");
                    self.connections.send_replace(None);
                    backoff.reset();
                }
                Some(Err(error)) if !told => {
                    warn!(%error, "Redis is away; trying again for ever");
                    told = true;
                }
                None if !told => {
                    warn!("Redis does not answer; trying again for ever");
                    told = true;
                }
                _ => {}
            }
            backoff.pause().await;
        }
    }

    pub(super) async fn connect(
        &self,
        channels: &[String; 2],
        ear: &Ear,
        lost: &Arc<Notify>,
    ) -> RedisResult<Connections> {
        let place = match &self.place {
            Place::At(place) => (**place).clone(),
            Place::Behind(sentinels) => sentinels.find_master(&self.tls).await?,
        };
        let client = client(place, &self.tls)?;
        self.number.fetch_add(1, Ordering::Relaxed);
        let commands = self.open(&client, None, lost).await?;
        let mut inbox = self.open(&client, Some(ear.clone()), lost).await?;
        inbox.subscribe(channels).await?;
        info!("connected to Redis at {}", client.get_connection_info().addr());
        Ok(Connections { commands, inbox })
    }

    async fn open(
        &self,
        client: &Client,
        ear: Option<Ear>,
        lost: &Arc<Notify>,
    ) -> RedisResult<MultiplexedConnection> {
        let (lost, number) = (lost.clone(), self.number());
        let hear = move |push: PushInfo| {
            match (&push.kind, &ear) {
                (PushKind::Disconnection, _) => lost.notify_one(),
                (PushKind::Message, Some(ear)) => ear(number, push),
                _ => {}
            }
            Ok::<(), redis::aio::SendError>(())
        };
        // Deadlines are the callers': an answer that is late for one is no reason to forget the command.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE)
            .set_push_sender(hear);
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn until_broken(&self, connections: &Connections, lost: &Notify, check: Duration) {
        loop {
            tokio::select! {
                () = lost.notified() => return,
                () = self.condemned.notified() => return,
                () = self.suspected.notified() => {}
                () = sleep(check) => {}
            }
            if !connections.answer().await {
                return;
            }
        }
    }
}

impl Connections {
    async fn answer(&self) -> bool {
        let ping = redis::cmd("PING");
        let (mut commands, mut inbox) = (self.commands.clone(), self.inbox.clone());
        let both = async {
            let answers =
                tokio::join!(ping.query_async::<()>(&mut commands), ping.query_async::<()>(&mut inbox));
            answers.0.is_ok() && answers.1.is_ok()
        };
        chance::in_time(PROOF, both).await.unwrap_or(false)
    }
}
