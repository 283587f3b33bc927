//! A node: its parts put together, started, and stopped without leaving anybody behind.

mod builder;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use house::listener::{self, ListenError, listen};
use house::ops;
use house::tls::TlsError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Passes, derive_key};
use crate::backplane::memory::Bus;
use crate::backplane::redis::{self, Redis};
use crate::backplane::{Backplane, Lifetimes, Notice};
use crate::dialect::{self, AllTerms, Terms, camus, direct, mesh, peerjs, share, y_webrtc};
use crate::handlers::{RegistrationError, Server};
use crate::http::ops::Readiness;
use crate::http::{Pages, Parts, Site};
use crate::hub::mailbox::Bounds;
use crate::hub::roster::Pace;
use crate::ice::service::Service;
use crate::ice::{Ice, Signer, Turn};
use crate::message::NodeId;
use crate::metrics::Metrics;
use crate::router::{Router, Rules};
use crate::settings::Settings;

pub use builder::Builder;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no TLS with these files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The setting `redis.url` names no Redis.
    #[error("setting `redis.url`: {0}")]
    Redis(String),
    /// There is no TLS to Redis with these files.
    #[error(transparent)]
    RedisTls(#[from] redis::BadFile),
    /// A type of messages has two handlers, or a handler has none.
    #[error("register_handler: {0}")]
    Handlers(#[from] RegistrationError),
    /// Two parts want the same name.
    #[error("a fault of this build: {0}")]
    Build(String),
}

/// A running node.
pub struct Node {
    /// Where clients reach it.
    pub address: SocketAddr,
    /// Whether they reach it with TLS.
    pub secure: bool,
    /// Where operators reach it.
    pub ops_address: SocketAddr,
    id: NodeId,
    site: Arc<Site>,
    readiness: Readiness,
    accepting: CancellationToken,
    stopping: CancellationToken,
    connections: TaskTracker,
    alone: bool,
}

/// A node that is alone waits this long for its clients to have read the last of it.
const FAREWELL: Duration = Duration::from_secs(1);
/// After everybody was sent away, how long their messages are kept for them to be fetched from another node.
const LINGER: Duration = Duration::from_secs(10);

impl Node {
    /// A node that is about to start.
    pub fn builder(settings: Settings) -> Builder {
        Builder::new(settings)
    }

    /// Starts one as it is shipped, which listens when this returns.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        Self::builder(settings).start().await
    }

    async fn put_together(builder: Builder) -> Result<Self, StartError> {
        let Builder { settings, handlers, admission } = builder;
        let handlers = handlers?.with_the_protocols_own()?;
        let listener = listen("listen", settings.listen).await?;
        let ops_listener = listen("ops.listen", settings.ops.listen).await?;
        let address = listener.local_addr().unwrap_or(settings.listen);
        let ops_address = ops_listener.local_addr().unwrap_or(settings.ops.listen);

        let name = settings.node.name.clone().unwrap_or_else(host_name);
        let id = NodeId::new(format!("{name}.{:08x}", rand::random::<u32>()));
        let secret = settings.session.secret.as_ref().map(|secret| secret.expose().as_bytes().to_vec());
        let secret = secret.unwrap_or_else(|| rand::random::<[u8; 32]>().to_vec());
        let metrics = Arc::new(metrics()?);
        handlers.types().for_each(|kind| metrics.has_handler(kind));
        let (connections, stopping) = (TaskTracker::new(), CancellationToken::new());

        let (backplane, notices) = backplane(&settings, id.clone(), &secret).await?;
        let rules = rules(&settings, &metrics);
        let tick = tick(&rules.terms);
        let router =
            Router::start(backplane, notices, rules, metrics.clone(), connections.clone(), &stopping);
        connections.spawn(keep_time(router.clone(), tick, stopping.clone()));

        let previous = settings.session.previous_secret.as_ref().map(|secret| secret.expose().as_bytes());
        let passes = Passes::new(&secret, previous);
        let pages = Pages::new(settings.web.clone());
        let alone = settings.redis.url.is_none();
        let tls = settings.tls.start(&connections, &stopping)?;
        let secure = tls.is_some();
        let rules = listener::Rules {
            connections: settings.limits.connections,
            head_timeout: settings.socket.head_timeout,
            tls,
        };
        let readiness = Readiness::new(router.clone(), metrics.clone());
        let tasks = connections.clone();
        let parts = Parts { router, passes, pages, metrics, tasks, handlers, admission, settings };
        let site = Arc::new(Site::new(parts, id.as_str()).map_err(|e| StartError::Build(e.to_string()))?);

        let ask = readiness.clone().keep_asking();
        connections.spawn(stopping.clone().run_until_cancelled_owned(ask));
        let accepting = CancellationToken::new();
        let ops = ops::serve(
            ops_listener,
            rules.head_timeout,
            connections.clone(),
            stopping.clone(),
            readiness.clone(),
        );
        connections.spawn(ops);
        let answer = {
            let site = site.clone();
            move |request, visitor| site.clone().answer(request, visitor)
        };
        let serve = listener::serve(listener, rules, connections.clone(), accepting.clone(), answer);
        connections.spawn(serve);
        Ok(Self {
            address,
            secure,
            ops_address,
            id,
            site,
            readiness,
            accepting,
            stopping,
            connections,
            alone,
        })
    }

    /// This life of this node.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// To speak to those who are connected by the mesh protocol, in the server's own name.
    pub fn server(&self) -> Server {
        Server::new(self.site.router.clone())
    }

    /// Leaves on purpose: no longer ready, then no new connections, then everybody is sent away, each at a moment of
    /// its own, and finds another node that fetches what is held here; then the cluster is left. A node that is alone
    /// has nobody to send them to, and does it at once.
    pub async fn drain(self) {
        let drain = &self.site.settings.drain;
        let router = &self.site.router;
        self.readiness.drain();
        if !self.alone {
            tokio::time::sleep(drain.wait).await;
        }
        self.accepting.cancel();
        router.send_everybody_away(if self.alone { Duration::ZERO } else { drain.spread }).await;
        let deadline = Instant::now() + if self.alone { FAREWELL } else { LINGER };
        while (if self.alone { router.has_connections() } else { router.holds_anything() })
            && Instant::now() < deadline
        {
            // Who was just about to enter is sent away too.
            router.send_everybody_away(Duration::ZERO).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if !router.give_up_what_is_held().await && !self.alone {
            tracing::warn!("no other node stays: what waited here goes no further");
        }
        if let Err(error) = router.backplane().close().await {
            tracing::warn!(%error, "left the cluster without a word: the others will notice in a few seconds");
        }
        self.stopping.cancel();
        self.connections.close();
        let _ = tokio::time::timeout(Duration::from_secs(2), self.connections.wait()).await;
    }
}

async fn keep_time(router: Arc<Router>, every: Duration, stop: CancellationToken) {
    let mut clock = tokio::time::interval(every);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            due = clock.tick() => router.tick(due.into_std()),
            () = stop.cancelled() => return,
        }
    }
}

/// To add a backplane: its line.
async fn backplane(
    settings: &Settings,
    node: NodeId,
    secret: &[u8],
) -> Result<(Arc<dyn Backplane>, tokio::sync::mpsc::Receiver<Notice>), StartError> {
    let lifetimes = Lifetimes { empty_room: settings.rooms.empty_for, gone: settings.session.ttl };
    let Some(url) = &settings.redis.url else {
        let (memory, notices) = Bus::new(lifetimes).connect(node);
        return Ok((Arc::new(memory), notices));
    };
    let key = derive_key(secret, "switchboard frames between nodes 1");
    let files = &settings.redis;
    let tls =
        redis::Tls { ca: files.tls_ca.clone(), cert: files.tls_cert.clone(), key: files.tls_key.clone() };
    tls.check()?;
    let redis = redis::RedisSettings {
        url: url.expose().to_owned(),
        tls,
        node,
        key,
        lifetimes,
        address: settings.node.address.clone(),
        pace: redis::Pace::of_lease(settings.redis.lease),
        bounds: redis::AllBounds {
            link: Bounds { messages: settings.links.messages, bytes: settings.links.bytes },
            patience: settings.links.patience,
            inbox: Bounds { messages: settings.links.inbox_frames, bytes: settings.links.inbox_bytes },
        },
    };
    let (redis, notices) = Redis::connect(redis).map_err(|e| StartError::Redis(e.to_string()))?;
    Ok((Arc::new(redis), notices))
}

fn metrics() -> Result<Metrics, StartError> {
    let dialects: Vec<_> = dialect::names().into_iter().collect();
    Metrics::new(&dialects).map_err(|e| StartError::Build(e.to_string()))
}

fn rules(settings: &Settings, metrics: &Arc<Metrics>) -> Rules {
    Rules {
        create_on_entry: settings.rooms.create_on_entry,
        max_members: settings.rooms.max_members,
        mailbox: Bounds { messages: settings.mailbox.messages, bytes: settings.mailbox.bytes },
        terms: terms(settings),
        unsettled: Bounds { messages: settings.unsettled.messages, bytes: settings.unsettled.bytes },
        pressed_for: settings.links.patience,
        rosters: Pace {
            interval: settings.rooms.roster_interval,
            bytes_per_second: settings.rooms.roster_bytes_per_second,
        },
        ice: Ice { stun: settings.ice.stun.clone(), turn: turn(settings, metrics) },
    }
}

fn terms(settings: &Settings) -> AllTerms {
    let camus = Terms {
        ask_after: Some(settings.camus.ping_after),
        grace: settings.camus.grace,
        guest_limit: settings.camus.guest_limit,
        wait_for_name: Duration::ZERO,
        names: 0,
        topics: 0,
    };
    let peerjs = Terms {
        ask_after: None,
        grace: settings.peerjs.alive_timeout,
        guest_limit: 1,
        wait_for_name: settings.peerjs.expire_timeout,
        names: settings.peerjs.concurrent_limit,
        topics: 0,
    };
    // Who is in a room as long as its socket lives is looked after by that.
    let while_connected = Terms {
        ask_after: None,
        grace: Duration::MAX,
        guest_limit: 0,
        wait_for_name: Duration::ZERO,
        names: settings.limits.connections,
        topics: settings.limits.topics,
    };
    let connected = [direct::NAME, mesh::NAME, share::NAME, y_webrtc::NAME];
    let connected = connected.map(|name| (name, while_connected));
    connected.into_iter().chain([(camus::NAME, camus), (peerjs::NAME, peerjs)]).collect()
}

/// How often peers are looked after: some times within the shortest silence that means anything.
fn tick(terms: &AllTerms) -> Duration {
    let silences = terms.values().flat_map(|terms| terms.ask_after.into_iter().chain([terms.grace]));
    (silences.min().unwrap_or_default() / 8).clamp(Duration::from_millis(50), Duration::from_secs(1))
}

/// Who signs credentials for TURN: a service that the settings name, or this node.
fn turn(settings: &Settings, metrics: &Arc<Metrics>) -> Option<Turn> {
    let turn = &settings.turn;
    if let Some(uri) = &turn.auth_url {
        let key = turn.auth_key.as_ref().map(|key| key.expose().to_owned()).unwrap_or_default();
        return Some(Turn::Service(Arc::new(Service::new(uri.clone(), key, turn.ttl, metrics.clone()))));
    }
    let secret = turn.secret.as_ref().filter(|_| !turn.urls.is_empty())?;
    let secret = turn_auth::Secret::new(secret.expose());
    Some(Turn::Here(Signer { urls: turn.urls.clone(), secret, ttl: turn.ttl }))
}

/// The machine's name, as far as an id may hold it.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let name: String = name.chars().filter(fits).take(32).collect();
    if name.is_empty() { "node".into() } else { name }
}
