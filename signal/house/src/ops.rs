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

/// Yes or no, in words: a line of an answer with 200, or with 503.
pub type Word = Result<&'static str, &'static str>;

/// What a program says of itself.
pub trait Report: Clone + Send + Sync + 'static {
    /// Whether it wants to be sent clients; if not, why.
    fn ready(&self) -> Word;
    /// Its numbers, as Prometheus reads them.
    fn metrics(&self) -> String;
    /// What this program alone is asked, at `path`; `None` if nothing.
    fn more(&self, _path: &str) -> Option<Word> {
        None
    }
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
        (&Method::GET | &Method::HEAD, "/ready") => said(report.ready()),
        (&Method::GET | &Method::HEAD, "/metrics") => {
            answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", report.metrics())
        }
        (&Method::GET | &Method::HEAD, path) if let Some(word) = report.more(path) => said(word),
        _ => problem(StatusCode::NOT_FOUND, "nothing_here", "here are /live, /ready and /metrics"),
    }
}

fn said(word: Word) -> Answer {
    match word {
        Ok(yes) => answer(StatusCode::OK, TEXT, format!("{yes}\n")),
        Err(no) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{no}\n")),
    }
}
