//! The answer to "may I use a relay?" ("A REST API For Access To TURN Services",
//! `draft-uberti-behave-turn-rest-00`), over real connections.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use house::cors::{self, Asker};
use house::http::{Answer, body, json, problem, retry_after};
use house::listener::{self, ListenError, Rules, Visitor, listen};
use house::ops::{self, Report, Word};
use house::tls::TlsError;
use house::visitors::{Tries, client_address};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::keys::Keys;
use crate::metrics::{Metrics, Refused};
use crate::settings::Settings;
use crate::{Secret, credentials};

/// A stopping service waits this long for answers that are on their way.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no TLS with these files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Two numbers want the same name.
    #[error("a fault of this build: {0}")]
    Build(#[from] prometheus::Error),
    /// There is nothing to sign with.
    #[error("turn.secret: missing")]
    NoSecret,
}

/// A running service.
pub struct Service {
    /// Where credentials are asked for.
    pub address: SocketAddr,
    /// Whether with TLS.
    pub secure: bool,
    /// Where operators reach it.
    pub ops_address: SocketAddr,
    desk: Arc<Desk>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Service {
    /// Starts the service, which listens when this returns.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let listener = listen("listen", settings.listen).await?;
        let ops_listener = listen("ops.listen", settings.ops.listen).await?;
        let address = listener.local_addr().unwrap_or(settings.listen);
        let ops_address = ops_listener.local_addr().unwrap_or(settings.ops.listen);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let tls = settings.tls.start(&tasks, &stop)?;
        let secure = tls.is_some();
        let head_timeout = settings.limits.head_timeout;
        let rules = Rules { connections: settings.limits.connections, head_timeout, tls };
        let desk = Arc::new(Desk::new(settings)?);
        let answer = {
            let desk = desk.clone();
            move |request, visitor| desk.clone().answer(request, visitor)
        };
        tasks.spawn(listener::serve(listener, rules, tasks.clone(), stop.clone(), answer));
        let report = Desks(desk.clone());
        tasks.spawn(ops::serve(ops_listener, head_timeout, tasks.clone(), stop.clone(), report));
        Ok(Self { address, secure, ops_address, desk, tasks, stop })
    }

    /// Leaves on purpose: no longer ready, then no new connections, then the end of what is being answered.
    pub async fn drain(self) {
        self.desk.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(self.desk.settings.drain.wait).await;
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(FAREWELL, self.tasks.wait()).await;
    }
}

/// Where requests are answered.
struct Desk {
    settings: Settings,
    secret: Secret,
    keys: Keys,
    requests: Tries<IpAddr>,
    metrics: Metrics,
    draining: AtomicBool,
}

/// What a client is told.
#[derive(Debug, PartialEq, Serialize)]
struct Grant<'a> {
    username: String,
    password: String,
    ttl: u64,
    uris: &'a [String],
}

/// What a client asks for; what it does not say is empty.
#[derive(Debug, Default, PartialEq)]
struct Ask<'a> {
    service: Cow<'a, str>,
    username: Cow<'a, str>,
    key: Cow<'a, str>,
    ttl: Cow<'a, str>,
}

impl<'a> Ask<'a> {
    /// Reads one part of a request, a query or a form, over what was read before.
    fn and(mut self, part: &'a [u8]) -> Self {
        for (name, value) in form_urlencoded::parse(part) {
            match &*name {
                "service" => self.service = value,
                "username" => self.username = value,
                // Janus says both, and others one or the other.
                "key" | "api" => self.key = value,
                "ttl" => self.ttl = value,
                _ => {}
            }
        }
        self
    }
}

type Refusal = (Refused, Answer);

impl Desk {
    fn new(settings: Settings) -> Result<Self, StartError> {
        let secret = settings.turn.secret.as_ref().ok_or(StartError::NoSecret)?;
        Ok(Self {
            secret: Secret::new(secret.expose()),
            keys: Keys::new(settings.keys.iter().map(house::settings::Secret::expose)),
            requests: Tries::new(settings.limits.requests_per_minute),
            metrics: Metrics::new()?,
            draining: AtomicBool::new(false),
            settings,
        })
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, visitor: Visitor) -> Answer {
        let asker = Asker::of(request.headers(), &self.settings.origins);
        let answered = match (request.method(), &asker) {
            (_, Asker::Foreign) => Err((Refused::Origin, cors::foreign())),
            (&Method::OPTIONS, _) => Ok(cors::preflight()),
            _ => self.grant(request, visitor.address).await,
        };
        let mut answer = answered.unwrap_or_else(|(why, answer)| {
            self.metrics.refused(why);
            answer
        });
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        asker.may_read(answer)
    }

    async fn grant(&self, request: Request<Incoming>, peer: IpAddr) -> Result<Answer, Refusal> {
        let address = client_address(peer, request.headers(), &self.settings.trusted_proxies);
        if request.uri().path() != "/" {
            return Err(bad(StatusCode::NOT_FOUND, "nothing_here", "credentials are at /?service=turn"));
        }
        let form = match *request.method() {
            Method::GET => false,
            Method::POST => true,
            _ => {
                return Err(bad(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method_not_allowed",
                    "right would be GET or POST",
                ));
            }
        };
        let query = request.uri().query().unwrap_or_default().to_owned();
        let bearer = bearer(request.headers()).map(str::to_owned);
        let form = if form {
            body(request, self.settings.limits.head_timeout)
                .await
                .map_err(|answer| (Refused::Request, answer))?
        } else {
            Default::default()
        };
        let mut ask = Ask::default().and(query.as_bytes()).and(&form);
        if let Some(key) = bearer {
            ask.key = key.into();
        }
        self.admit(&ask.key, address)?;
        self.sign(&ask)
    }

    /// Whether one who shows `key` may ask.
    fn admit(&self, key: &str, address: IpAddr) -> Result<(), Refusal> {
        let now = Instant::now();
        // Who has a key may ask as often as it has clients: a node that was restarted has thousands at once.
        if self.keys.know(key) {
            return Ok(());
        }
        let allowed = self.requests.allow(address, now);
        allowed.map_err(|wait| too_many("too many requests from this address", wait))?;
        if self.settings.development {
            return Ok(());
        }
        if key.is_empty() {
            let missing = problem(
                StatusCode::UNAUTHORIZED,
                "no_key",
                "an API key is needed: `key=`, `api=`, or `Authorization: Bearer`",
            );
            return Err((Refused::NoKey, missing));
        }
        Err((Refused::WrongKey, problem(StatusCode::FORBIDDEN, "wrong_key", "nobody has this API key")))
    }

    fn sign(&self, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        if ask.service != "turn" {
            return Err(bad(
                StatusCode::BAD_REQUEST,
                "service",
                "`service` is not `turn`, the only one that there is: right would be ?service=turn",
            ));
        }
        let turn = &self.settings.turn;
        let ttl = match &*ask.ttl {
            "" => turn.ttl,
            wish => match wish.parse() {
                Ok(seconds) => Duration::from_secs(seconds).clamp(turn.min_ttl, turn.max_ttl),
                Err(_) => {
                    return Err(bad(StatusCode::BAD_REQUEST, "ttl", "`ttl` is no whole number of seconds"));
                }
            },
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let signed = credentials(&self.secret, &ask.username, now, ttl);
        self.metrics.issued.inc();
        let grant = Grant {
            username: signed.username,
            password: signed.credential,
            ttl: ttl.as_secs(),
            uris: &turn.urls,
        };
        Ok(json(StatusCode::OK, &grant))
    }
}

/// For operators.
#[derive(Clone)]
struct Desks(Arc<Desk>);

impl Report for Desks {
    fn ready(&self) -> Word {
        if self.0.draining.load(Ordering::Relaxed) { Err("draining") } else { Ok("ready") }
    }

    fn metrics(&self) -> String {
        self.0.metrics.text()
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

fn bad(status: StatusCode, error: &str, message: &str) -> Refusal {
    (Refused::Request, problem(status, error, message))
}

fn too_many(message: &str, wait: Duration) -> Refusal {
    (Refused::TooMany, retry_after(problem(StatusCode::TOO_MANY_REQUESTS, "too_many", message), wait))
}
