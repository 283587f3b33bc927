//! For operators and their machines: is it alive, is it ready, what does it count.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Answer, Site, answer, problem};
use crate::router::Router;

/// Whether the node wants to be sent clients.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: AtomicBool,
}

impl Readiness {
    /// The node is to get no new clients from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Ready once the backplane has answered for the first time; when it is away later every node is without it, and
    /// a load balancer that knew would send clients nowhere.
    fn check(&self, router: &Router) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining");
        }
        if router.has_been_up() { Ok(()) } else { Err("starting: the backplane has not answered yet") }
    }
}

/// Answers operators until `stop`.
pub async fn serve(
    site: Arc<Site>,
    readiness: Arc<Readiness>,
    listener: TcpListener,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((io, _)) = accepted else {
            tokio::time::sleep(super::ACCEPT_PAUSE).await;
            continue;
        };
        let (tasks, stop) = (site.tasks.clone(), stop.clone());
        let (site, readiness) = (site.clone(), readiness.clone());
        tasks.spawn(async move {
            let service = service_fn(|request: Request<_>| {
                let answer = route(&site, &readiness, request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(site.settings.socket.head_timeout)
                .serve_connection(TokioIo::new(io), service);
            tokio::select! {
                _ = connection => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

fn route(site: &Site, readiness: &Readiness, method: &Method, path: &str) -> Answer {
    const TEXT: &str = "text/plain; charset=utf-8";
    match (method, path) {
        (&Method::GET | &Method::HEAD, "/live") => answer(StatusCode::OK, TEXT, "alive\n"),
        (&Method::GET | &Method::HEAD, "/ready") => match readiness.check(&site.router) {
            Ok(()) => answer(StatusCode::OK, TEXT, "ready\n"),
            Err(why) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
        },
        (&Method::GET, "/metrics") => {
            answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", site.metrics.text())
        }
        _ => problem(StatusCode::NOT_FOUND, "nothing_here", "here are /live, /ready and /metrics"),
    }
}
