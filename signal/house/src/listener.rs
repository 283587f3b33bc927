//! A listener: connections, plain or with TLS, and the requests on them.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::Answer;
use crate::tls::Tls;

/// Bytes of a request's head, at most.
const MAX_HEAD: usize = 16 * 1024;
/// After the listener refused to accept (no descriptors left, say), it is left alone for this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection's place among those that there is room for; free when the last of its holders is gone.
pub type Slot = Arc<OwnedSemaphorePermit>;

/// Why a listener is not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (setting `{setting}`): {why}")]
pub struct ListenError {
    setting: &'static str,
    address: SocketAddr,
    why: io::Error,
}

/// Listens on `address`, which the setting `setting` names.
pub async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|why| ListenError { setting, address, why })
}

/// What connections go by.
#[derive(Debug)]
pub struct Rules {
    /// Connections at once, at most; more wait until one ends.
    pub connections: usize,
    /// How long the handshake of TLS and the head of a request may take, each.
    pub head_timeout: Duration,
    /// What TLS is spoken with; without it connections are plain.
    pub tls: Option<Tls>,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The other end of the connection.
    pub address: IpAddr,
    /// Whether the connection itself has TLS.
    pub secure: bool,
    /// The connection's place: whoever goes on with it after the request keeps a clone.
    pub slot: Slot,
}

/// Accepts connections until `stop`; those that are open then end with the request that they are in.
pub async fn serve<S, F>(
    listener: TcpListener,
    rules: Rules,
    tasks: TaskTracker,
    stop: CancellationToken,
    service: S,
) where
    S: Fn(Request<Incoming>, Visitor) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(rules.connections));
    let rules = Arc::new(rules);
    let mut told = false;
    loop {
        let accept = async { (slot(&free, rules.connections, &mut told).await, listener.accept().await) };
        let (slot, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = accept => accepted,
        };
        match (slot, accepted) {
            (None, _) => return,
            (Some(slot), Ok((io, peer))) => {
                let connection = connection(io, peer, slot, rules.clone(), stop.clone(), service.clone());
                tasks.spawn(connection);
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A place for one more connection, as soon as there is one.
async fn slot(free: &Arc<Semaphore>, all: usize, told: &mut bool) -> Option<Slot> {
    if let Ok(slot) = free.clone().try_acquire_owned() {
        // One that was just freed is no end of it.
        *told &= free.available_permits() < all / 10;
        return Some(Arc::new(slot));
    }
    if !std::mem::replace(told, true) {
        tracing::warn!(connections = all, "as many connections as there may be: new ones wait");
    }
    free.clone().acquire_owned().await.ok().map(Arc::new)
}

async fn connection<S, F>(
    io: TcpStream,
    peer: SocketAddr,
    slot: Slot,
    rules: Arc<Rules>,
    stop: CancellationToken,
    service: S,
) where
    S: Fn(Request<Incoming>, Visitor) -> F,
    F: Future<Output = Answer>,
{
    let _ = io.set_nodelay(true);
    let wire = match &rules.tls {
        None => Wire::Plain(io),
        Some(tls) => match timeout(rules.head_timeout, Box::pin(tls.accept(io))).await {
            Ok(Ok(io)) => Wire::Tls(Box::new(io)),
            Ok(Err(error)) => return tracing::debug!(%error, "no TLS came about"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        },
    };
    let visitor = Visitor { address: peer.ip(), secure: rules.tls.is_some(), slot };
    let service = service_fn(|request| {
        let answer = service(request, visitor.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(rules.head_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(wire), service)
        .with_upgrades();
    let mut connection = Box::pin(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// What a connection's bytes go over.
#[derive(Debug)]
pub enum Wire {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, into),
            Self::Tls(io) => Pin::new(io).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, parts),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }
}
