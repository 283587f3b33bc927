//! From a URL to a wire: addresses to come from, TLS, requests, the WebSocket handshake; and why it did not work.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;

use crate::plan::Trust;

/// A connection, with TLS or without.
pub type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;
/// A WebSocket on one.
pub type Socket = WebSocketStream<Wire>;

/// What a connection reads and writes at once. tungstenite's own default is 128 KiB per connection.
const BUFFER: usize = 4 * 1024;
/// Bytes of a server's words that are repeated to a person, at most.
const MAX_WORDS: usize = 200;

/// Why a peer was not let in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotIn {
    /// The server said no.
    #[error("{status}{}", in_quotes(.words))]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its own words, shortened.
        words: String,
        /// When to ask again.
        retry_after: Option<Duration>,
    },
    /// There was no answer in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Late(Duration),
    /// It did not work.
    #[error("{0}")]
    Broken(String),
}

fn in_quotes(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": “{words}”") }
}

impl From<io::Error> for NotIn {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Why a node cannot be reached at all.
#[derive(Debug, thiserror::Error)]
pub enum BadTarget {
    /// It is not a URL of a node.
    #[error("“{0}” is no URL of a node: it should look like http://127.0.0.1:8080 or wss://example.org")]
    Url(String),
    /// Its name leads nowhere.
    #[error("{host} has no address: {why}")]
    Name {
        /// The name.
        host: String,
        /// What went wrong.
        why: io::Error,
    },
    /// The authorities cannot be read.
    #[error("--ca {file}: {why}")]
    Authority {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
}

/// One of the nodes.
#[derive(Debug)]
struct Target {
    /// Host and port, as a request names them.
    authority: String,
    address: SocketAddr,
    /// The name that its certificate has to have, if it speaks TLS.
    tls: Option<ServerName<'static>>,
    /// What the paths begin with.
    prefix: String,
}

impl Target {
    async fn find(url: &str) -> Result<Self, BadTarget> {
        let bad = || BadTarget::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let secure = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?.to_string();
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let found = tokio::net::lookup_host((host.clone(), port)).await;
        let mut found = found.map_err(|why| BadTarget::Name { host: host.clone(), why })?;
        // Nodes listen to IPv4 unless told otherwise, while `localhost` may be IPv6 first.
        let first = found.next();
        let address = found.find(SocketAddr::is_ipv4).filter(|_| first.is_some_and(|first| first.is_ipv6()));
        let address = address.or(first).ok_or_else(bad)?;
        let tls = secure.then(|| ServerName::try_from(host)).transpose().map_err(|_| bad())?;
        Ok(Self { authority, address, tls, prefix: uri.path().trim_end_matches('/').to_owned() })
    }
}

/// Where the nodes are, and how to come to them.
pub struct Doors {
    targets: Vec<Target>,
    sources: u8,
    tls: TlsConnector,
    patience: Duration,
}

/// What a request was answered with.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Doors {
    /// Finds the nodes at `urls`. Peers come to them from `sources` addresses, and wait for `patience` for an answer.
    pub async fn find(
        urls: &[String],
        trust: &Trust,
        sources: u8,
        patience: Duration,
    ) -> Result<Self, BadTarget> {
        let mut targets = Vec::new();
        for url in urls {
            targets.push(Target::find(url).await?);
        }
        let tls = TlsConnector::from(Arc::new(trusting(trust)?));
        Ok(Self { targets, sources, tls, patience })
    }

    /// The door of the node `at` for `peer`.
    pub fn door(&self, at: usize, peer: u32) -> Door<'_> {
        let target = &self.targets[at];
        let may_choose = target.address.ip().is_loopback() && target.address.is_ipv4() && self.sources > 1;
        let number = u8::try_from(peer % u32::from(self.sources.max(1))).unwrap_or_default();
        let source = may_choose.then(|| Ipv4Addr::new(127, 0, 0, 1 + number).into());
        Door { doors: self, target, source }
    }
}

/// A node as one peer comes to it.
#[derive(Clone, Copy)]
pub struct Door<'a> {
    doors: &'a Doors,
    target: &'a Target,
    source: Option<IpAddr>,
}

impl Door<'_> {
    /// Sends a request with JSON, or nothing, in it. An answer that is an error is one here.
    pub async fn post(&self, path: &str, json: Option<String>) -> Result<Reply, NotIn> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let reply = self.ask(Method::POST, path, headers, json.unwrap_or_default().into()).await?;
        if reply.status.is_success() {
            Ok(reply)
        } else {
            Err(refused(reply.status, &reply.headers, &reply.body))
        }
    }

    /// Sends a request; the answer is whatever it is.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, NotIn> {
        self.in_time(async {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(self.wire().await?))
                    .await
                    .map_err(broken)?;
            let uri = format!("{}{path}", self.target.prefix);
            let mut request =
                Request::builder().method(method).uri(uri).body(Full::new(body)).map_err(broken)?;
            *request.headers_mut() = headers;
            request.headers_mut().insert(HOST, self.target.authority.parse().map_err(broken)?);
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            let exchange = async {
                let answer = sender.send_request(request).await.map_err(broken)?;
                let (head, body) = answer.into_parts();
                let body = body.collect().await.map_err(broken)?.to_bytes();
                Ok(Reply { status: head.status, headers: head.headers, body })
            };
            let (reply, _) = tokio::join!(exchange, connection);
            reply
        })
        .await
    }

    /// Opens a WebSocket; also the name of the node that it leads to.
    pub async fn websocket(&self, path: &str, headers: HeaderMap) -> Result<(Socket, String), NotIn> {
        self.in_time(async {
            let url = format!("ws://{}{}{path}", self.target.authority, self.target.prefix);
            let mut request = url.into_client_request().map_err(broken)?;
            request.headers_mut().extend(headers);
            let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
            let opened = client_async_with_config(request, self.wire().await?, Some(config)).await;
            let (socket, answer) = opened.map_err(not_upgraded)?;
            let name = answer.headers().get("x-served-by").and_then(|name| name.to_str().ok());
            Ok((socket, name.unwrap_or(&self.target.authority).to_owned()))
        })
        .await
    }

    async fn in_time<T>(&self, attempt: impl Future<Output = Result<T, NotIn>>) -> Result<T, NotIn> {
        let patience = self.doors.patience;
        timeout(patience, Box::pin(attempt)).await.unwrap_or(Err(NotIn::Late(patience)))
    }

    async fn wire(&self) -> Result<Wire, NotIn> {
        let address = self.target.address;
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(match &self.target.tls {
            None => Either::Left(stream),
            Some(name) => Either::Right(Box::new(self.doors.tls.connect(name.clone(), stream).await?)),
        })
    }
}

fn broken(error: impl std::error::Error) -> NotIn {
    let mut why = error.to_string();
    if let Some(source) = error.source() {
        why = format!("{why}: {source}");
    }
    NotIn::Broken(why)
}

fn not_upgraded(error: WsError) -> NotIn {
    match error {
        WsError::Http(answer) => {
            let body = answer.body().as_deref().unwrap_or_default();
            refused(answer.status(), answer.headers(), body)
        }
        error => broken(error),
    }
}

fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> NotIn {
    NotIn::Refused { status, words: words(body), retry_after: retry_after(headers) }
}

/// When to ask again.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    seconds.map(Duration::from_secs)
}

/// What a server says for people: a `message` or an `error` in JSON, or its text as it is.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let member = |name| json.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let words = member("message").or_else(|| member("error")).unwrap_or_else(|| text.trim().to_owned());
    words.chars().take(MAX_WORDS).collect()
}

fn trusting(trust: &Trust) -> Result<ClientConfig, BadTarget> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|why| BadTarget::Authority { file: String::new(), why: why.to_string() })?;
    Ok(match trust {
        Trust::Web => {
            let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::File(file) => builder.with_root_certificates(authorities(file)?).with_no_client_auth(),
        Trust::Anybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(anybody::Anybody(provider)))
            .with_no_client_auth(),
    })
}

fn authorities(file: &Path) -> Result<RootCertStore, BadTarget> {
    let bad = |why: String| BadTarget::Authority { file: file.display().to_string(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|why| bad(why.to_string()))? {
        roots.add(certificate.map_err(|why| bad(why.to_string()))?).map_err(|why| bad(why.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("there is no certificate in it; a PEM file with one is needed".into()));
    }
    Ok(roots)
}

/// `--insecure`: every certificate is good, as long as whoever shows it has its key.
mod anybody {
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct Anybody(pub(super) Arc<CryptoProvider>);

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}
