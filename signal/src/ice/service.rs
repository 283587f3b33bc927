//! Credentials for TURN from a service (`turn-auth`, or another that speaks "A REST API For Access To TURN Services").

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use moka::Expiry;
use moka::future::Cache;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::message::{IceServer, PeerId};
use crate::metrics::Metrics;

/// The service has this long for an answer: who waits could be calling over STUN already.
const PATIENCE: Duration = Duration::from_secs(2);
/// After a failure it is left alone for this long, and everybody is answered at once, without TURN.
const REST: Duration = Duration::from_secs(1);
/// Bytes of an answer, at most.
const MAX_ANSWER: usize = 16 * 1024;
/// Peers whose credentials are kept, at most.
const MAX_KEPT: u64 = 100_000;
/// An answer that says nothing of its time is believed to last this long, in seconds.
const SHORT: u64 = 600;

/// The service, with what it has given of late.
pub struct Service {
    uri: Uri,
    key: String,
    ttl: Duration,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// By peer, and for half of their time: whoever is given credentials has the other half to use them.
    given: Cache<PeerId, Arc<Grant>>,
    away_since: Mutex<Option<Instant>>,
    metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// What the service answers.
#[derive(Deserialize)]
struct Grant {
    username: String,
    password: String,
    #[serde(default)]
    ttl: Option<u64>,
    uris: Vec<String>,
}

impl Grant {
    /// What a browser would throw at is left out: one such URL, and there would be no call at all.
    fn with_turn_alone(mut self) -> Result<Self, Failure> {
        self.uris.retain(|uri| uri.starts_with("turn:") || uri.starts_with("turns:"));
        if self.uris.is_empty() { Err(Failure::NoServer) } else { Ok(self) }
    }
}

struct HalfOfItsTime;

impl Expiry<PeerId, Arc<Grant>> for HalfOfItsTime {
    fn expire_after_create(&self, _: &PeerId, grant: &Arc<Grant>, _: Instant) -> Option<Duration> {
        Some(Duration::from_secs(grant.ttl.unwrap_or(SHORT)) / 2)
    }
}

/// Why the service gave nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer in {PATIENCE:?}")]
    Late,
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is not {{username, password, ttl, uris}}: {0}")]
    Nonsense(serde_json::Error),
    #[error("it names no TURN server")]
    NoServer,
    #[error("{0}")]
    Connection(String),
}

impl Service {
    /// The service at `uri`, asked with `key` for credentials that last for `ttl`.
    pub fn new(uri: Uri, key: String, ttl: Duration, metrics: Arc<Metrics>) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(PATIENCE));
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        let given = Cache::builder().max_capacity(MAX_KEPT).expire_after(HalfOfItsTime).build();
        Self { uri, key, ttl, client, given, away_since: Mutex::default(), metrics }
    }

    /// A TURN server for `peer`, with credentials that are good for at least half of their time; none while the service
    /// is away. Who asks twice at once is one who asks.
    pub async fn ask(&self, peer: &PeerId) -> Option<IceServer> {
        let granted = self.given.try_get_with_by_ref(peer, self.fetch(peer)).await.ok()?;
        Some(super::turn(granted.uris.clone(), granted.username.clone(), granted.password.clone()))
    }

    async fn fetch(&self, peer: &PeerId) -> Result<Arc<Grant>, ()> {
        if self.away_since.lock().is_some_and(|since| since.elapsed() < REST) {
            return Err(());
        }
        let answer = tokio::time::timeout(PATIENCE, self.request(peer)).await.unwrap_or(Err(Failure::Late));
        let was_away = match &answer {
            Ok(_) => self.away_since.lock().take(),
            Err(_) => self.away_since.lock().replace(Instant::now()),
        };
        match answer {
            Ok(grant) => {
                if was_away.is_some() {
                    tracing::info!(service = %self.uri, "TURN credentials are given out again");
                }
                Ok(Arc::new(grant))
            }
            Err(error) => {
                self.metrics.turn_service_failures.inc();
                if was_away.is_none() {
                    tracing::warn!(%error, service = %self.uri, "no TURN credentials: peers are told of STUN alone");
                }
                Err(())
            }
        }
    }

    async fn request(&self, peer: &PeerId) -> Result<Grant, Failure> {
        let broken = |error: &dyn std::error::Error| {
            // The innermost says what happened: the others that it was a request.
            let mut innermost = error;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            Failure::Connection(innermost.to_string())
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("service", "turn")
            .append_pair("username", peer.as_str())
            .append_pair("ttl", &self.ttl.as_secs().to_string())
            .append_pair("key", &self.key)
            .finish();
        let request = Request::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Full::from(form))
            .map_err(|error| broken(&error))?;
        let answer = self.client.request(request).await.map_err(|error| broken(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(Failure::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Failure::Connection(error.to_string()))?;
        serde_json::from_slice::<Grant>(&body.to_bytes()).map_err(Failure::Nonsense)?.with_turn_alone()
    }
}
