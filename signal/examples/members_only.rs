//! A node that asks a service of somebody's own who may come in, before it opens a WebSocket of any protocol.
//!
//! `MEMBERS_URL=http://127.0.0.1:8090/me cargo run --release -p signal --example members_only`
//!
//! The service gets the visitor's own `Cookie` and `Authorization`, as if the visitor had asked itself, and answers
//!
//! - 200 with `{"name": "Ada"}`: come in; in the mesh protocol that is the visitor's name,
//! - 401: who are you?
//! - 403: not you.
//!
//! With any other answer, or none within 2 s, nobody comes in: the visitor is told to try again (503).

use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, COOKIE};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use signal::access::admission::{Admitted, Arrival, NotAdmitted};
use signal::node::{Builder, Node};
use signal::settings::Settings;

/// How long the service may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes that it may answer.
const MAX_ANSWER: usize = 16 * 1024;

#[derive(Deserialize)]
struct Member {
    name: String,
}

/// The service.
#[derive(Clone)]
struct Members {
    client: Client<HttpConnector, Empty<Bytes>>,
    url: Uri,
}

fn main() -> ExitCode {
    let url = std::env::var("MEMBERS_URL").unwrap_or_else(|_| "http://127.0.0.1:8090/me".into());
    match url.parse() {
        Ok(url) => signal::program::run(|settings| node(settings, url)),
        Err(why) => {
            eprintln!(
                "MEMBERS_URL: `{url}` is no URL ({why}); right would be like `http://127.0.0.1:8090/me`"
            );
            ExitCode::FAILURE
        }
    }
}

/// The node, for members of the service at `url`.
pub(crate) fn node(settings: Settings, url: Uri) -> Builder {
    let members = Members { client: Client::builder(TokioExecutor::new()).build_http(), url };
    Node::builder(settings).admission_within(PATIENCE, move |arrival| {
        let members = members.clone();
        async move { members.may_come_in(&arrival).await }
    })
}

impl Members {
    async fn may_come_in(&self, arrival: &Arrival) -> Result<Admitted, NotAdmitted> {
        let answer = self.ask(arrival).await.map_err(|_| NotAdmitted::Unavailable)?;
        match answer.status() {
            StatusCode::OK => {
                let member: Member =
                    serde_json::from_slice(answer.body()).map_err(|_| NotAdmitted::Unavailable)?;
                Ok(Admitted { name: Some(member.name) })
            }
            StatusCode::UNAUTHORIZED => Err(NotAdmitted::Unknown),
            StatusCode::FORBIDDEN => Err(NotAdmitted::Forbidden),
            _ => Err(NotAdmitted::Unavailable),
        }
    }

    async fn ask(
        &self,
        arrival: &Arrival,
    ) -> Result<Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::get(self.url.clone()).body(Empty::new())?;
        for name in [COOKIE, AUTHORIZATION] {
            for value in arrival.headers.get_all(&name) {
                request.headers_mut().append(&name, value.clone());
            }
        }
        let (head, body) = self.client.request(request).await?.into_parts();
        Ok(Response::from_parts(head, Limited::new(body, MAX_ANSWER).collect().await?.to_bytes()))
    }
}
