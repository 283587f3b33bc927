//! From a request to a WebSocket (RFC 6455, 4.2): who asks is known before it is answered.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use house::http::{Answer, problem};
use house::listener::{Slot, Wire};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::direct::Claimant;
use super::passes::new_id;
use super::{Site, refused};
use crate::access;
use crate::access::admission::{Admitted, Arrival, NotAdmitted};
use crate::backplane::Refusal;
use crate::dialect::{Dialect, Door, Knock, mesh, own_room};
use crate::goodbye::Goodbye;
use crate::handlers::Desk;
use crate::hub::Seated;
use crate::message::{Event, Frame, NotSeated, Parting, PeerId, RoomId, Speaker};
use crate::router::Wish;
use crate::socket::{self, Socket};

/// A client that has been answered has this long to see it.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(10);

impl Site {
    pub(super) async fn upgrade(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
        dialect: &'static dyn Dialect,
        name: &str,
        (address, slot): (IpAddr, Slot),
    ) -> Answer {
        let accept = match accept_key(request.headers()) {
            Ok(accept) => accept,
            Err(answer) => return answer,
        };
        let query = request.uri().query().unwrap_or_default();
        let knock = Knock { name, query, key: &self.settings.peerjs.key };
        let Some(door) = dialect.door(&knock) else { return refused(Refusal::NoRoom) };
        let visit = match self.visit(request.headers(), door) {
            Ok(visit) => visit,
            Err(answer) => return answer,
        };
        let renewed = match &visit {
            Visit::Prove(Some(claimant)) => {
                let mut renewed = Answer::default();
                self.set_identity(&mut renewed, claimant, Self::came_securely(request.headers()));
                std::mem::take(renewed.headers_mut())
            }
            _ => HeaderMap::new(),
        };
        // Who hung up while this node stood still has come elsewhere, and is not to be thrown out there: a look at the line
        // ends this request then.
        yield_now().await;
        let Ok(turn) = self.arriving.clone().try_acquire_owned() else {
            self.metrics.turned_away.inc();
            return refused(Refusal::Unavailable);
        };
        let admitted = match self.may_come(&request, dialect, address).await {
            Ok(admitted) => admitted,
            Err(why) => return not_admitted(why),
        };
        let (dialect, subprotocol) = flavour(dialect, request.headers());
        let upgrade = hyper::upgrade::on(&mut request);
        let (entered, answer) = oneshot::channel();
        let site = self.clone();
        // In a task of its own, since a request ends when its client hangs up, and nobody may be left halfway in.
        self.tasks.spawn(async move {
            // A task is as large as the largest of its moments: what is over soon is kept apart.
            let who = (admitted, address);
            let socket = Box::pin(site.open_socket(upgrade, dialect, (visit, who), (entered, turn))).await;
            if let Some(mut socket) = socket {
                socket.serve().await;
            }
            drop(slot);
        });
        match answer.await {
            Ok(Ok(())) => {
                let mut answer = switch_protocols(&accept, subprotocol);
                answer.headers_mut().extend(renewed);
                answer
            }
            Ok(Err(why)) => refused(why),
            Err(_) => refused(Refusal::Unavailable),
        }
    }

    /// What the program says to it that this node is a part of; it need not say anything.
    async fn may_come(
        &self,
        request: &Request<Incoming>,
        dialect: &'static dyn Dialect,
        address: IpAddr,
    ) -> Result<Admitted, NotAdmitted> {
        let Some(admission) = &self.admission else { return Ok(Admitted::default()) };
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let arrival = Arrival {
            dialect: dialect.name(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: request.headers().clone(),
            address,
        };
        admission.admit(arrival).await
    }

    /// What the connection is, and goes by: for who wants to know.
    fn greet(&self, dialect: &'static dyn Dialect, made: u64, seated: &Seated) {
        let Speaker { room, peer, .. } = &seated.speaker;
        let own = self.pass_for(room, made, None, peer.clone(), None);
        let session = Event::Session {
            token: &self.passes.sign(&own),
            ping_interval: self.settings.socket.ping_interval,
            grace: self.settings.camus.grace,
            max_message_bytes: self.settings.max_message_bytes,
            resumed: seated.resumed,
        };
        if let Some(frame) = dialect.encode(&session) {
            seated.mailbox.greet(frame);
        }
    }

    async fn open_socket(
        self: Arc<Self>,
        upgrade: OnUpgrade,
        dialect: &'static dyn Dialect,
        (visit, (admitted, address)): (Visit, (Admitted, IpAddr)),
        (entered, turn): (oneshot::Sender<Result<(), Refusal>>, OwnedSemaphorePermit),
    ) -> Option<Socket<Wire>> {
        let welcome = match self.welcome(dialect, visit, &admitted).await {
            Ok(welcome) => welcome,
            Err(why) => {
                let _ = entered.send(Err(why));
                return None;
            }
        };
        // What follows waits for the client, which may take its time.
        drop(turn);
        // A client that has hung up meanwhile is one whose upgrade fails.
        let _ = entered.send(Ok(()));
        let upgraded = timeout(UPGRADE_DEADLINE, upgrade).await;
        let stream = match upgraded.ok().and_then(Result::ok).and_then(unwrap) {
            Some((io, read)) => Some(socket::accept(io, read, &self.manners).await),
            None => {
                self.metrics.goodbye(Goodbye::Broken);
                None
            }
        };
        match (welcome, stream) {
            (Welcome::Seated(seated), Some(stream)) => {
                let (router, manners) = (self.router.clone(), self.manners.clone());
                let (handlers, rooms_made) = (self.handlers.clone(), self.rooms_made.clone());
                let desk = Desk { handlers, admitted: Arc::new(admitted), address, rooms_made };
                return Some(Socket::new(
                    stream,
                    dialect,
                    seated,
                    router,
                    desk,
                    manners,
                    self.metrics.clone(),
                ));
            }
            (Welcome::Seated(seated), None) => {
                self.router.gone(dialect, &seated.speaker, Parting::Dropped).await;
            }
            (Welcome::TurnedAway(words, goodbye), Some(stream)) => {
                self.metrics.goodbye(goodbye);
                socket::turn_away(stream, words, goodbye, &self.manners).await;
            }
            (Welcome::TurnedAway(..), None) => {}
        }
        None
    }

    /// What a connection comes for, as far as its request shows that it may.
    fn visit(&self, headers: &HeaderMap, door: Door) -> Result<Visit, Answer> {
        match door {
            Door::Room { room, token } => {
                Ok(Visit::Enter(self.pass(headers, &room, token.as_deref())?.into()))
            }
            Door::Name { peer, token } => {
                self.listed_origin(headers)?;
                Ok(Visit::Claim(peer, token))
            }
            Door::Guest { room } => {
                self.listed_origin(headers)?;
                Ok(Visit::Arrive(room))
            }
            Door::Open => {
                self.listed_origin(headers)?;
                Ok(Visit::Roam)
            }
            Door::Registered => match self.foreign_to_cookies(headers) {
                Some(foreign) => Err(foreign),
                None => Ok(Visit::Prove(self.claimant(headers))),
            },
            Door::Shut(words) => Ok(Visit::TurnAway(words)),
        }
    }

    /// Gives a connection its seat, or the words with which it is sent away; or refuses it without a socket.
    async fn welcome(
        &self,
        dialect: &'static dyn Dialect,
        visit: Visit,
        admitted: &Admitted,
    ) -> Result<Welcome, Refusal> {
        let seated = match visit {
            Visit::Enter(wish) => {
                let seated = self.router.enter(dialect, &wish).await?;
                if dialect.customs().announces_session {
                    self.greet(dialect, wish.made, &seated);
                }
                return Ok(Welcome::Seated(seated));
            }
            Visit::Arrive(room) => {
                let profile = match &admitted.name {
                    Some(name) => mesh::profile(Some(name)),
                    None => dialect.customs().default_profile.into(),
                };
                let seated = self.router.arrive(dialect, (&room, &new_id()), profile).await?;
                return Ok(Welcome::Seated(seated));
            }
            Visit::Roam => return Ok(Welcome::Seated(self.router.open(dialect))),
            Visit::TurnAway(words) => return Ok(Welcome::TurnedAway(Some(words), Goodbye::NotSeated)),
            Visit::Prove(claimant) => {
                let known = match &claimant {
                    Some(claimant) => self.is_registered(claimant).await?,
                    None => false,
                };
                let Some(claimant) = claimant.filter(|_| known) else {
                    return Ok(Welcome::TurnedAway(None, Goodbye::Unauthenticated));
                };
                match self.router.claim(dialect, claimant.peer, "".into()).await {
                    Err(Refusal::Taken) => {
                        return Ok(Welcome::TurnedAway(None, Goodbye::AlreadyConnected));
                    }
                    claimed => claimed,
                }
            }
            Visit::Claim(peer, token) => {
                let proof = access::fingerprint(&own_room(dialect.name(), &peer), &token);
                self.router.claim(dialect, peer, proof).await
            }
        };
        let (why, refusal) = match seated {
            Ok(seated) => return Ok(Welcome::Seated(seated)),
            Err(refusal @ Refusal::Taken) => (NotSeated::Taken, refusal),
            Err(refusal @ Refusal::Full) => (NotSeated::TooMany, refusal),
            Err(refusal) => return Err(refusal),
        };
        let words = dialect.encode(&Event::NotSeated(why)).ok_or(refusal)?;
        Ok(Welcome::TurnedAway(Some(words), Goodbye::NotSeated))
    }
}

/// What a connection comes for.
enum Visit {
    /// A place in a room.
    Enter(Wish),
    /// A place in this room as somebody new.
    Arrive(RoomId),
    /// This name, with this token.
    Claim(PeerId, String),
    /// No place yet.
    Roam,
    /// The name that it has registered, if its cookies prove one.
    Prove(Option<Claimant>),
    /// Nothing that it gets: these are the words for it.
    TurnAway(Frame),
}

/// What it gets.
enum Welcome {
    /// A seat.
    Seated(Seated),
    /// A socket on which these are the only words, and why.
    TurnedAway(Option<Frame>, Goodbye),
}

/// The dialect as it is spoken with the first of the offered subprotocols that it knows (RFC 6455, 4.2.2), and that one's
/// name.
fn flavour(
    dialect: &'static dyn Dialect,
    headers: &HeaderMap,
) -> (&'static dyn Dialect, Option<HeaderValue>) {
    let offers =
        headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offers = offers.flat_map(|value| value.split(',')).map(str::trim);
    let known = |name| Some((dialect.subprotocol(name)?, HeaderValue::from_str(name).ok()));
    offers.find_map(known).unwrap_or((dialect, None))
}

/// The connection itself, and what was read from it after the request.
fn unwrap(upgraded: Upgraded) -> Option<(Wire, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<Wire>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

fn not_admitted(why: NotAdmitted) -> Answer {
    let (status, error, message) = match why {
        NotAdmitted::Unknown => (StatusCode::UNAUTHORIZED, "unknown", "this node has to know who you are"),
        NotAdmitted::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "you may not come in here"),
        NotAdmitted::Unavailable => return refused(Refusal::Unavailable),
    };
    problem(status, error, message)
}

/// Whether a WebSocket is asked for, and not a page.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    has(headers, header::UPGRADE, "websocket")
}

fn has(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}

/// The answer to the client's key, or why this is no WebSocket handshake.
fn accept_key(headers: &HeaderMap) -> Result<String, Answer> {
    if !is_asked_for(headers) || !has(headers, header::CONNECTION, "upgrade") {
        let mut answer = problem(
            StatusCode::UPGRADE_REQUIRED,
            "not_a_websocket",
            "this address speaks WebSocket (RFC 6455)",
        );
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return Err(answer);
    }
    if !has(headers, header::SEC_WEBSOCKET_VERSION, "13") {
        let mut answer =
            problem(StatusCode::UPGRADE_REQUIRED, "version", "Sec-WebSocket-Version has to be 13");
        answer.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(answer);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let key =
        key.ok_or_else(|| problem(StatusCode::BAD_REQUEST, "key", "Sec-WebSocket-Key has to be 16 bytes"))?;
    Ok(derive_accept_key(key.as_bytes()))
}

fn switch_protocols(accept: &str, subprotocol: Option<HeaderValue>) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}
