//! What a handler is, and how it is called: in its turn, in time, and so that it ends nothing but itself.

use std::any::type_name;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Call, FromCall, Limits, Problem, Running};
use crate::metrics::Failure;

/// An async function whose parameters are extractors.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler",
    label = "no handler",
    note = "a handler is an async function (or a closure that returns a future) of up to six parameters, all of them \
            extractors (see `FromCall`), that returns `()` or `Result<(), Problem>`, and whose future is `Send`"
)]
pub trait Handler<Extractors>: Send + Sync + 'static {
    /// Handles `call`.
    fn handle(&self, call: &Call) -> impl Future<Output = Result<(), Problem>> + Send;
}

/// What a handler returns.
#[diagnostic::on_unimplemented(
    message = "a handler does not return `{Self}`",
    note = "it returns `()` or `Result<(), Problem>`"
)]
pub trait Outcome {
    /// What its caller is told, if anything.
    fn outcome(self) -> Result<(), Problem>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), Problem> {
        Ok(())
    }
}

impl Outcome for Result<(), Problem> {
    fn outcome(self) -> Result<(), Problem> {
        self
    }
}

macro_rules! handlers_of {
    ($($extractor:ident)*) => {
        impl<F, Fut, R, $($extractor),*> Handler<($($extractor,)*)> for F
        where
            F: Fn($($extractor),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send,
            R: Outcome,
            $($extractor: FromCall,)*
        {
            #[allow(non_snake_case, unused_variables, reason = "one name for a type and its value; none is used of none")]
            async fn handle(&self, call: &Call) -> Result<(), Problem> {
                $(let $extractor = $extractor::from_call(call).await?;)*
                self($($extractor),*).await.outcome()
            }
        }
    };
}

handlers_of!();
handlers_of!(A);
handlers_of!(A B);
handlers_of!(A B C);
handlers_of!(A B C D);
handlers_of!(A B C D E);
handlers_of!(A B C D E G);

/// A handler, whatever its parameters.
pub(super) trait Entry: Send + Sync {
    /// The path of its function.
    fn name(&self) -> &'static str;

    /// Handles `call`, and tells its caller what goes wrong.
    fn call(self: Arc<Self>, call: Call) -> Running;
}

/// A handler with its limits.
pub(super) struct Registered<H, Extractors> {
    handler: H,
    limits: Limits,
    turns: Option<Semaphore>,
    extractors: PhantomData<fn(Extractors)>,
}

impl<H: Handler<Extractors>, Extractors> Registered<H, Extractors> {
    pub(super) fn new(limits: Limits, handler: H) -> Self {
        let turns = (limits.at_once < Semaphore::MAX_PERMITS).then(|| Semaphore::new(limits.at_once));
        Self { handler, limits, turns, extractors: PhantomData }
    }

    async fn handle(&self, call: &Call) -> Result<(), Problem> {
        let (kind, Limits { deadline, payload_bytes, .. }) = (&*call.kind, self.limits);
        let size = call.payload.get().len();
        if size > payload_bytes {
            return Err(Problem::new(format!(
                "{kind}: the payload has {size} bytes; right would be {payload_bytes} at most"
            )));
        }
        match timeout(deadline, AssertUnwindSafe(self.handle_in_turn(call)).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                tracing::error!(handler = self.name(), kind, "a handler panicked; its caller is told");
                call.lobby.failed(kind, Failure::Panicked);
                Err(Problem::new(format!("{kind}: the server failed at it")))
            }
            Err(_) => {
                tracing::warn!(
                    handler = self.name(),
                    kind,
                    ?deadline,
                    "a handler took too long; its caller is told"
                );
                call.lobby.failed(kind, Failure::Late);
                Err(Problem::new(format!(
                    "{kind}: the server has not done it within {deadline:?}, and gave up"
                )))
            }
        }
    }

    async fn handle_in_turn(&self, call: &Call) -> Result<(), Problem> {
        let _turn = match &self.turns {
            // It is never closed.
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        self.handler.handle(call).await
    }

    fn name(&self) -> &'static str {
        type_name::<H>()
    }
}

impl<H: Handler<Extractors>, Extractors: 'static> Entry for Registered<H, Extractors> {
    fn name(&self) -> &'static str {
        Registered::name(self)
    }

    fn call(self: Arc<Self>, call: Call) -> Running {
        Box::pin(async move {
            match self.handle(&call).await {
                Ok(()) => Ok(()),
                Err(problem) => call.lobby.refuse(&problem),
            }
        })
    }
}
