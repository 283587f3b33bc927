//! A call, and what a handler may ask of it.

use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use super::{Lobby, Problem, Server, User};
use crate::access::admission::Admitted;
use crate::dialect::mesh;
use crate::message::PeerId;

/// A message that is being handled.
#[derive(Debug)]
pub struct Call {
    pub(super) user: User,
    pub(super) kind: MessageType,
    pub(super) target: Option<PeerId>,
    pub(super) payload: Box<RawValue>,
    pub(super) admitted: Arc<Admitted>,
    pub(super) lobby: Lobby,
}

impl Call {
    /// Who says it.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Its type.
    pub fn message_type(&self) -> &MessageType {
        &self.kind
    }

    /// For whom it is, if it says so as it should: `"target": {"id": "…"}`.
    pub fn target(&self) -> Option<&PeerId> {
        self.target.as_ref()
    }

    /// Its payload: a JSON object, as it was written.
    pub fn payload(&self) -> &RawValue {
        &self.payload
    }
}

/// What a handler may have as a parameter: something that a call has, or has not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a handler",
    label = "no extractor",
    note = "extractors are `User`, `Target`, `Payload<T>` (if `T: DeserializeOwned`), `Signed`, `MessageType`, `Admitted`, \
            `Lobby`, `Server`, and every type that implements `FromCall`"
)]
pub trait FromCall: Sized + Send {
    /// Takes it out of `call`. The problem says what the message has not, and what would be right.
    fn from_call(call: &Call) -> impl Future<Output = Result<Self, Problem>> + Send;
}

impl FromCall for User {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        Ok(call.user.clone())
    }
}

/// The type of the message: for handlers of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageType(pub(super) Arc<str>);

impl Deref for MessageType {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromCall for MessageType {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        Ok(call.kind.clone())
    }
}

/// For whom the message is. It need not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(pub PeerId);

impl FromCall for Target {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        let Some(target) = call.target.clone() else {
            let kind = &*call.kind;
            return Err(Problem::new(format!(
                r#"{kind}: no `target` with a string `id`; expected {{"type": "{kind}", "payload": {{…}}, "target": {{"id": "…"}}}}"#
            )));
        };
        Ok(Self(target))
    }
}

/// What the message says, read as a `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload<T>(pub T);

impl<T: DeserializeOwned + Send> FromCall for Payload<T> {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        let read = serde_json::from_str(call.payload.get());
        read.map(Self).map_err(|error| Problem::new(format!("{}: the payload: {error}", &*call.kind)))
    }
}

/// The payload as the protocol's own messages bring it to others: `{"user": {"id", "name"}, …}`, with the caller as its
/// `user`, whatever it has written there, and all other members as they are.
#[derive(Clone, Debug)]
pub struct Signed(pub Box<RawValue>);

impl FromCall for Signed {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        let signed = to_raw_value(&mesh::Signed { user: &call.user, payload: &call.payload });
        signed.map(Self).map_err(|error| Problem::new(format!("{}: the payload: {error}", &*call.kind)))
    }
}

impl FromCall for Admitted {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        Ok((*call.admitted).clone())
    }
}

impl FromCall for Lobby {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        Ok(call.lobby.clone())
    }
}

impl FromCall for Server {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        Ok(call.lobby.server())
    }
}
