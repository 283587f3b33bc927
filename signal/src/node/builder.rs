//! What a program says of its node before it starts.

use std::time::Duration;

use super::{Node, StartError};
use crate::access::admission::{Admission, Admitted, Arrival, NotAdmitted};
use crate::handlers::{Handler, Handlers, Limits, RegistrationError};
use crate::settings::Settings;

/// How long an admission may take, if nothing else is said.
const ADMISSION_DEADLINE: Duration = Duration::from_secs(5);

/// A node that is about to start: with these settings, and what a program adds to them.
#[derive(Debug)]
#[must_use = "it does not start by itself"]
pub struct Builder {
    pub(super) settings: Settings,
    pub(super) handlers: Result<Handlers, RegistrationError>,
    pub(super) admission: Option<Admission>,
}

impl Builder {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, handlers: Ok(Handlers::default()), admission: None }
    }

    /// Has `handler` called for each message of these types of the [mesh protocol](crate::dialect::mesh), in place of the
    /// protocol's own if it has one for them. See [`handlers`](crate::handlers) for what a handler is.
    ///
    /// Another one for the same type is a [`StartError::Handlers`].
    pub fn register_handler<H, Extractors>(self, types: &[&str], handler: H) -> Self
    where
        H: Handler<Extractors>,
        Extractors: 'static,
    {
        self.register_handler_with(types, Limits::default(), handler)
    }

    /// The same, within `limits`.
    pub fn register_handler_with<H, Extractors>(mut self, types: &[&str], limits: Limits, handler: H) -> Self
    where
        H: Handler<Extractors>,
        Extractors: 'static,
    {
        self.handlers = self.handlers.and_then(|mut handlers| {
            handlers.register(types, limits, handler)?;
            Ok(handlers)
        });
        self
    }

    /// Has `ask` asked for each WebSocket, of every protocol, whether it may be opened: after what the protocol itself wants
    /// to see (a pass, a key, an origin), and before anybody is in a room or has a name. It has 5 s; one that has not
    /// answered by then, or panics, lets nobody in (503).
    ///
    /// It is not asked for pages and the HTTP API.
    pub fn admission<F, Fut>(self, ask: F) -> Self
    where
        F: Fn(Arrival) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Admitted, NotAdmitted>> + Send + 'static,
    {
        self.admission_within(ADMISSION_DEADLINE, ask)
    }

    /// The same, within `deadline`. Those who wait for it count among `limits.arriving`.
    pub fn admission_within<F, Fut>(mut self, deadline: Duration, ask: F) -> Self
    where
        F: Fn(Arrival) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Admitted, NotAdmitted>> + Send + 'static,
    {
        self.admission = Some(Admission::new(deadline, ask));
        self
    }

    /// Starts the node, which listens when this returns.
    pub async fn start(self) -> Result<Node, StartError> {
        // Settings are large, and whoever awaits this is not to be as large.
        Box::pin(Node::put_together(self)).await
    }
}
