//! What the service counts. No label ever holds a name or a key.

use prometheus::{Encoder, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

/// Why no credentials were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The request could not be understood.
    Request,
    /// There was no key.
    NoKey,
    /// Nobody has that key.
    WrongKey,
    /// Too many requests from one address.
    TooMany,
    /// A page of another origin asked.
    Origin,
}

impl Refused {
    const ALL: [Self; 5] = [Self::Request, Self::NoKey, Self::WrongKey, Self::TooMany, Self::Origin];

    fn label(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::NoKey => "no_key",
            Self::WrongKey => "wrong_key",
            Self::TooMany => "too_many",
            Self::Origin => "origin",
        }
    }
}

/// The numbers of one service. Every label value that there can be is there from the start, at zero.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Credentials given out.
    pub issued: IntCounter,
    refused: IntCounterVec,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let issued = IntCounter::new("turn_credentials_issued_total", "TURN credentials given out")?;
        let refused = Opts::new("turn_requests_refused_total", "Requests that were given no credentials");
        let refused = IntCounterVec::new(refused, &["reason"])?;
        registry.register(Box::new(issued.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        for why in Refused::ALL {
            refused.with_label_values(&[why.label()]);
        }
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, issued, refused })
    }

    /// A request was given no credentials.
    pub fn refused(&self, why: Refused) {
        self.refused.with_label_values(&[why.label()]).inc();
    }

    /// The numbers as Prometheus reads them.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let written = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        written.ok().and_then(|()| String::from_utf8(text).ok()).unwrap_or_default()
    }
}
