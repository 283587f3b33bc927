//! The protocol's own handlers. A program that registers one for the same type puts it in the place of ours.

use serde::{Deserialize, Serialize};

use super::{Call, FromCall, Handlers, Limits, Lobby, Payload, Problem, RegistrationError, Target, User};
use crate::access::admission::Admitted;
use crate::dialect::mesh::{CLIENTS, Clients, Signed, try_frame};
use crate::message::{Frame, To};

/// Characters of a user's name, at most: it is in every list of all.
const MAX_NAME: usize = 100;

pub(super) fn handlers() -> Result<Handlers, RegistrationError> {
    let mut handlers = Handlers::default();
    handlers.register(&["CONFIRM_ID"], Limits::default(), confirm_id)?;
    handlers.register(&["JOIN"], Limits::default(), join)?;
    handlers.register(&["OFFER", "ANSWER", "CANDIDATE"], Limits::default(), relay)?;
    handlers.register(&[CLIENTS], Limits::default(), clients)?;
    Ok(handlers)
}

#[derive(Deserialize)]
struct Introduction {
    name: Option<String>,
}

#[derive(Serialize)]
struct About {
    user: User,
}

/// A user says what it is called. Whom the admission has named keeps that name.
async fn confirm_id(
    admitted: Admitted,
    Payload(said): Payload<Introduction>,
    lobby: Lobby,
) -> Result<(), Problem> {
    if said.name.as_ref().is_some_and(|name| name.chars().count() > MAX_NAME) {
        return Err(Problem::new(format!("CONFIRM_ID: the name has more than {MAX_NAME} characters")));
    }
    let user = lobby.rename(admitted.name.or(said.name).as_deref()).await?;
    lobby.answer("CONFIRM_ID", &About { user }).await
}

async fn join(user: User, lobby: Lobby) -> Result<(), Problem> {
    lobby.tell_others("JOIN", &About { user }).await
}

/// What the caller says, as its target reads it: encoded in one pass.
struct Relayed(Frame);

impl FromCall for Relayed {
    async fn from_call(call: &Call) -> Result<Self, Problem> {
        let (user, kind, payload) = (call.user(), &**call.message_type(), call.payload());
        let frame = try_frame(kind, &Signed { user, payload });
        frame.map(Self).map_err(|error| Problem::new(format!("{kind}: the payload: {error}")))
    }
}

async fn relay(Target(to): Target, Relayed(frame): Relayed, lobby: Lobby) {
    lobby.carry(&To::Peer(to), frame).await;
}

async fn clients(lobby: Lobby) -> Result<(), Problem> {
    lobby.answer(CLIENTS, &Clients { clients: lobby.users().await?, gone: None }).await
}
