//! Which pages of other hosts may read an answer (Fetch, "CORS protocol"), for what takes no cookie for a proof.

use std::time::Duration;

use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, StatusCode};

use crate::http::{Answer, answer, problem};
use crate::visitors;

/// How long a browser may remember what it was told.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Who asks, as far as it matters to who may read the answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Asker {
    /// A page, and all pages may; or no page at all.
    Anybody,
    /// A page of this host, or one in `origins`.
    Listed(HeaderValue),
    /// A page that is not in `origins`, though there are some.
    Foreign,
}

impl Asker {
    /// Whoever sent these headers, where the setting is `origins`.
    pub fn of(headers: &HeaderMap, origins: &[String]) -> Self {
        match headers.get(header::ORIGIN) {
            Some(origin) if !origins.is_empty() => {
                let listed = visitors::origin_may_use_cookies(headers, origins);
                if listed { Self::Listed(origin.clone()) } else { Self::Foreign }
            }
            _ => Self::Anybody,
        }
    }

    /// The answer with what the browser needs to hand it to the page.
    pub fn may_read(self, mut answer: Answer) -> Answer {
        let headers = answer.headers_mut();
        let origin = match self {
            Self::Anybody => HeaderValue::from_static("*"),
            Self::Listed(origin) => origin,
            Self::Foreign => return answer,
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        answer
    }
}

/// The answer to a page that is not in `origins`.
pub fn foreign() -> Answer {
    problem(StatusCode::FORBIDDEN, "forbidden", "this origin is not in the setting `origins`")
}

/// The answer to a browser that asks before it sends JSON.
pub fn preflight() -> Answer {
    let mut answer = answer(StatusCode::NO_CONTENT, "text/plain", "");
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("content-type, authorization"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(REMEMBERED.as_secs()));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(origin: Option<&'static str>, origins: &[&str]) -> Asker {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("call.example"))]);
        headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
        Asker::of(&headers, &origins.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn with_no_origins_listed_every_page_may_read() {
        assert_eq!(asker(Some("https://app.example"), &[]), Asker::Anybody);
        assert_eq!(asker(Some("null"), &[]), Asker::Anybody);
        let answer = Asker::Anybody.may_read(preflight());
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    }

    #[test]
    fn with_some_listed_only_they_and_this_host_may() {
        let origins = ["https://app.example"];
        for page in ["https://app.example", "https://call.example"] {
            let answer = asker(Some(page), &origins).may_read(preflight());
            assert_eq!(answer.headers()["access-control-allow-origin"], page);
        }
        assert_eq!(asker(None, &origins), Asker::Anybody, "a program is no page");
        let foreign = asker(Some("https://two.example"), &origins);
        assert_eq!(foreign, Asker::Foreign);
        assert!(!foreign.may_read(preflight()).headers().contains_key("access-control-allow-origin"));
    }
}
