//! Answers over HTTP, and the bodies of requests.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use tokio::time::timeout;

/// A whole answer: nothing here is long enough to be streamed.
pub type Answer = Response<Full<Bytes>>;

/// The kind of plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Bytes in the body of a request, at most.
const MAX_BODY: usize = 64 * 1024;

/// An answer of the media type `kind`.
pub fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// An answer in JSON.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    answer(status, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

/// What went wrong, for programs.
#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
    message: &'a str,
}

/// What went wrong, as `{error, message}`: a word for programs, and a sentence for people.
pub fn problem(status: StatusCode, error: &str, message: &str) -> Answer {
    json(status, &Problem { error, message })
}

/// The answer, with when to ask again.
pub fn retry_after(mut answer: Answer, after: Duration) -> Answer {
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    answer
}

/// The body of a request, or what to answer instead: too long, too slow, broken.
pub async fn body(request: Request<Incoming>, deadline: Duration) -> Result<Bytes, Answer> {
    let whole = timeout(deadline, Limited::new(request.into_body(), MAX_BODY).collect());
    match whole.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "the body has more than 64 KiB, or broke off",
        )),
        Err(_) => Err(problem(StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not come in time")),
    }
}
