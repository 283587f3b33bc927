//! Whether other nodes have the backplane, when this one has not: each asks two of those that it last knew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::seq::IteratorRandom;
use tokio::time::{sleep, timeout};

use super::ops::BACKPLANE;
use crate::backplane::Backplane;
use crate::router::Router;

/// How often a node that is cut off asks.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);
/// How many are asked: one may be dead, or cut off as well.
const ASKED: usize = 2;

/// Keeps `cut_off` true while this node is without a backplane that another one has.
pub(super) async fn keep_asking(router: Arc<Router>, cut_off: Arc<AtomicBool>) {
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    loop {
        let is_alone = !router.backplane().is_up() && any_has_it(&client, router.backplane()).await;
        let was_alone = cut_off.swap(is_alone, Ordering::Relaxed);
        match (was_alone, is_alone) {
            (false, true) => tracing::warn!("cut off: other nodes have the backplane; not ready"),
            (true, false) => tracing::info!("not cut off any more"),
            _ => {}
        }
        sleep(ASK_EVERY).await;
    }
}

async fn any_has_it(client: &Client<HttpConnector, Empty<Bytes>>, backplane: &dyn Backplane) -> bool {
    let asked = backplane.neighbours().into_iter().sample(&mut rand::rng(), ASKED);
    let has_it = asked.iter().map(async |door| {
        let Ok(uri) = format!("http://{door}{BACKPLANE}").parse::<Uri>() else { return false };
        let answer = timeout(ANSWER, client.get(uri)).await;
        matches!(answer, Ok(Ok(answer)) if answer.status() == StatusCode::OK)
    });
    join_all(has_it).await.contains(&true)
}
