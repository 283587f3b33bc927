//! Who may come in, as the program says that a node is a part of: it is asked before a WebSocket of any protocol is
//! opened, and not by cookies or tokens of ours.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use cookie::Cookie;
use futures_util::FutureExt;
use hyper::header::{self, HeaderMap};
use tokio::time::timeout;

/// Somebody who asks for a WebSocket.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The protocol that is spoken there: `camus`, `peerjs`, `mesh` and so on.
    pub dialect: &'static str,
    /// The path of the request, as it was written.
    pub path: String,
    /// Its query, without the question mark; empty if there is none.
    pub query: String,
    /// Its headers: cookies, `Authorization`, `Origin`.
    pub headers: HeaderMap,
    /// Where it comes from; behind a proxy of `trusted_proxies`, what that says.
    pub address: IpAddr,
}

impl Arrival {
    /// The value of the cookie `name`.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies = lines.flat_map(Cookie::split_parse).flatten();
        cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
    }

    /// The token of `Authorization: Bearer` (RFC 6750, 2.1).
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }
}

/// Somebody may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// What it is called from its first moment on, whatever it says itself. Only the mesh protocol asks for this; in the
    /// others names are a part of what the client asks for.
    pub name: Option<String>,
}

/// Somebody may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAdmitted {
    /// It has not shown who it is: 401.
    Unknown,
    /// It has, and may not: 403.
    Forbidden,
    /// That cannot be found out just now: 503 with `Retry-After`.
    Unavailable,
}

type Answer = Pin<Box<dyn Future<Output = Result<Admitted, NotAdmitted>> + Send>>;

/// Asks for each who comes whether it may.
pub struct Admission {
    ask: Box<dyn Fn(Arrival) -> Answer + Send + Sync>,
    deadline: Duration,
}

impl Admission {
    /// Asks `ask`. One that does not answer within `deadline`, or panics, lets nobody in: that is
    /// [`NotAdmitted::Unavailable`].
    pub fn new<F, Fut>(deadline: Duration, ask: F) -> Self
    where
        F: Fn(Arrival) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Admitted, NotAdmitted>> + Send + 'static,
    {
        Self { ask: Box::new(move |arrival| Box::pin(ask(arrival))), deadline }
    }

    /// Whether it may.
    pub async fn admit(&self, arrival: Arrival) -> Result<Admitted, NotAdmitted> {
        let asking = AssertUnwindSafe(async { (self.ask)(arrival).await }).catch_unwind();
        match timeout(self.deadline, asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                tracing::error!("the admission panicked, and lets nobody in by that");
                Err(NotAdmitted::Unavailable)
            }
            Err(_) => {
                tracing::warn!(deadline = ?self.deadline, "the admission has not answered, and lets nobody in by that");
                Err(NotAdmitted::Unavailable)
            }
        }
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admission").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hyper::header::HeaderValue;

    use super::*;

    fn arrival(headers: &[(&'static str, &'static str)]) -> Arrival {
        let mut arrival = Arrival {
            dialect: "mesh",
            path: "/mesh".into(),
            query: String::new(),
            headers: HeaderMap::new(),
            address: Ipv4Addr::LOCALHOST.into(),
        };
        for (name, value) in headers {
            arrival.headers.append(*name, HeaderValue::from_static(value));
        }
        arrival
    }

    #[test]
    fn cookies_and_bearer_tokens_are_found() {
        let ada =
            arrival(&[("cookie", "a=1; session=ada"), ("cookie", "b=2"), ("authorization", "bearer t0ken")]);
        assert_eq!(ada.cookie("session").as_deref(), Some("ada"));
        assert_eq!(ada.cookie("b").as_deref(), Some("2"));
        assert_eq!(ada.cookie("c"), None);
        assert_eq!(ada.bearer(), Some("t0ken"));
        assert_eq!(arrival(&[("authorization", "Basic YTpi")]).bearer(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_or_panics_lets_nobody_in() {
        let deadline = Duration::from_secs(5);
        let silent = Admission::new(deadline, async |_| std::future::pending().await);
        assert_eq!(silent.admit(arrival(&[])).await, Err(NotAdmitted::Unavailable));
        let broken = Admission::new(deadline, async |_| panic!("on purpose"));
        assert_eq!(broken.admit(arrival(&[])).await, Err(NotAdmitted::Unavailable));
        let open = Admission::new(deadline, async |_| Ok(Admitted::default()));
        assert_eq!(open.admit(arrival(&[])).await, Ok(Admitted::default()));
    }
}
