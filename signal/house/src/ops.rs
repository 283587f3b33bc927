//! The operators' door: is it alive, is it ready, what does it count.

use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::{Answer, TEXT, answer, problem};
use crate::listener::{self, Rules};

/// Operators' connections at once, at most: theirs are few, and a flood of them is somebody else's.
const CONNECTIONS: usize = 256;

/// What a program says of itself.
pub trait Report: Clone + Send + Sync + 'static {
    /// Whether it wants to be sent clients; if not, why.
    fn ready(&self) -> Result<(), &'static str>;
    /// Its numbers, as Prometheus reads them.
    fn metrics(&self) -> String;
}

/// Answers operators until `stop`.
pub async fn serve(
    listener: TcpListener,
    head_timeout: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
    report: impl Report,
) {
    let rules = Rules { connections: CONNECTIONS, head_timeout, tls: None };
    listener::serve(listener, rules, tasks, stop, move |request, _| {
        let answer = route(&report, request.method(), request.uri().path());
        async move { answer }
    })
    .await;
}

fn route(report: &impl Report, method: &Method, path: &str) -> Answer {
    match (method, path) {
        (&Method::GET | &Method::HEAD, "/live") => answer(StatusCode::OK, TEXT, "alive\n"),
        (&Method::GET | &Method::HEAD, "/ready") => match report.ready() {
            Ok(()) => answer(StatusCode::OK, TEXT, "ready\n"),
            Err(why) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
        },
        (&Method::GET | &Method::HEAD, "/metrics") => {
            answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", report.metrics())
        }
        _ => problem(StatusCode::NOT_FOUND, "nothing_here", "here are /live, /ready and /metrics"),
    }
}
