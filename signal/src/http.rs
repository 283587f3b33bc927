//! The routes, and the upgrade to a WebSocket.

mod direct;
mod neighbours;
pub mod ops;
mod pages;
mod passes;
mod peerjs;
mod rooms;
mod upgrade;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use house::cors;
use house::http::{Answer, TEXT, answer, problem, retry_after};
use house::listener::{Slot, Visitor};
use house::visitors::{self, Tries};
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::access::admission::Admission;
use crate::access::{Passes, Share};
use crate::backplane::Refusal;
use crate::dialect::mesh::Mesh;
use crate::dialect::{self, Dialect};
use crate::handlers::Handlers;
use crate::message::RoomId;
use crate::metrics::Metrics;
use crate::router::Router;
use crate::settings::Settings;
use crate::socket::Manners;

pub use pages::Pages;

/// What the routes need to answer.
pub struct Site {
    /// Where messages go.
    pub router: Arc<Router>,
    /// Signs and reads passes.
    pub passes: Passes,
    /// What people see.
    pub pages: Pages,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What a connection goes by.
    pub manners: Arc<Manners>,
    /// Where connections live on after their request.
    pub tasks: TaskTracker,
    /// Passwords tried, by address and room.
    pub password_tries: Tries<(IpAddr, RoomId)>,
    /// Rooms made, by address.
    pub rooms_made: Arc<Tries<IpAddr>>,
    /// Names registered, by address.
    pub registrations: Tries<IpAddr>,
    /// A turn to come in. When many come at once, those who are here are not to wait for all of them.
    pub arriving: Arc<Semaphore>,
    /// What messages ask for that are for handlers.
    pub handlers: Arc<Handlers>,
    /// Who is asked for each WebSocket whether it may be opened, if anybody is.
    pub admission: Option<Admission>,
    /// What the operator wants.
    pub settings: Settings,
    routes: matchit::Router<Route>,
    served_by: HeaderValue,
}

/// Where a path leads.
#[derive(Clone, Copy)]
enum Route {
    Home,
    PublicRooms,
    Try,
    ToHome,
    Room,
    ToRoom,
    Asset,
    ClientModule,
    CamusStatic,
    ApiRooms,
    ApiClients,
    Socket(&'static dyn Dialect),
    PeerjsHome,
    PeerjsId,
    PeerjsPeers,
    DirectRegister,
    DirectUser,
    DirectKick,
    DirectHealth,
}

impl Route {
    /// Whether pages of other hosts may use it: nothing there is answered by who a cookie says one is.
    fn is_for_pages_elsewhere(self) -> bool {
        matches!(
            self,
            Self::Asset
                | Self::ClientModule
                | Self::ApiRooms
                | Self::ApiClients
                | Self::PeerjsHome
                | Self::PeerjsId
                | Self::PeerjsPeers
        )
    }

    /// Whether its answers name the one origin that may read them, even where any may.
    fn names_its_asker(self) -> bool {
        matches!(self, Self::PeerjsHome | Self::PeerjsId | Self::PeerjsPeers)
    }
}

const ROUTES: &[(&str, Route)] = &[
    ("/", Route::Home),
    ("/public", Route::PublicRooms),
    ("/try", Route::Try),
    ("/chat", Route::ToHome),
    ("/room/{name}", Route::Room),
    ("/chat/{name}", Route::Room),
    ("/room/{name}/", Route::ToRoom),
    ("/chat/{name}/", Route::ToRoom),
    ("/web/{*file}", Route::Asset),
    ("/client.js", Route::ClientModule),
    ("/client.d.ts", Route::ClientModule),
    ("/static/{*file}", Route::CamusStatic),
    ("/api/rooms", Route::ApiRooms),
    ("/v1/register", Route::DirectRegister),
    ("/v1/user", Route::DirectUser),
    ("/v1/kick-active-users", Route::DirectKick),
    ("/healthcheck", Route::DirectHealth),
    ("/api/rooms/{name}/clients", Route::ApiClients),
];

/// Everything of a [`Site`] that is not made of the rest.
pub struct Parts {
    /// Where messages go.
    pub router: Arc<Router>,
    /// Signs and reads passes.
    pub passes: Passes,
    /// What people see.
    pub pages: Pages,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where connections live on after their request.
    pub tasks: TaskTracker,
    /// What messages ask for that are for handlers.
    pub handlers: Handlers,
    /// Who is asked for each WebSocket whether it may be opened, if anybody is.
    pub admission: Option<Admission>,
    /// What the operator wants.
    pub settings: Settings,
}

impl Site {
    /// The site of the node `name`. Fails if two protocols want the same path.
    pub fn new(parts: Parts, name: &str) -> Result<Self, matchit::InsertError> {
        let Parts { router, passes, pages, metrics, tasks, handlers, admission, settings } = parts;
        let mut routes = matchit::Router::new();
        for (path, route) in ROUTES {
            routes.insert(*path, *route)?;
        }
        for row in dialect::DIALECTS {
            routes.insert(path_of(row, &settings), Route::Socket(row.dialect))?;
        }
        for (path, route) in peerjs::routes(&settings.peerjs) {
            routes.insert(path, route)?;
        }
        Ok(Self {
            router,
            passes,
            pages,
            metrics,
            tasks,
            manners: Arc::new(manners(&settings)),
            password_tries: Tries::new(settings.limits.password_attempts),
            rooms_made: Arc::new(Tries::new(settings.limits.rooms_per_minute)),
            registrations: Tries::new(settings.limits.registrations_per_minute),
            arriving: Arc::new(Semaphore::new(settings.limits.arriving.min(Semaphore::MAX_PERMITS))),
            handlers: Arc::new(handlers),
            admission,
            settings,
            routes,
            served_by: HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("signal")),
        })
    }

    /// Answers a request that came over one of the node's connections.
    pub async fn answer(self: Arc<Self>, mut request: Request<Incoming>, visitor: Visitor) -> Answer {
        let address =
            visitors::client_address(visitor.address, request.headers(), &self.settings.trusted_proxies);
        if visitor.secure {
            // As if a proxy of ours had ended the TLS: from here on it is one thing.
            request.headers_mut().insert(passes::FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        let mut answer = self.route(request, address, visitor.slot).await;
        let headers = answer.headers_mut();
        headers.insert(HeaderName::from_static("x-served-by"), self.served_by.clone());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        answer
    }

    async fn route(self: &Arc<Self>, request: Request<Incoming>, address: IpAddr, slot: Slot) -> Answer {
        let path = request.uri().path().to_owned();
        let Ok(found) = self.routes.at(&path) else { return self.nothing_here() };
        let name = decoded(found.params.get("name").or(found.params.get("file")).unwrap_or_default());
        // The answer to HEAD is that to GET; hyper leaves out its body.
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        if !found.value.is_for_pages_elsewhere() {
            return self.answer_to(*found.value, &method, request, &name, address, slot).await;
        }
        let origin = request.headers().get(header::ORIGIN).cloned();
        let answer = match (cors::Asker::of(request.headers(), &self.settings.origins), method) {
            (cors::Asker::Foreign, _) => return cors::foreign(),
            (asker, Method::OPTIONS) => asker.may_read(cors::preflight()),
            (asker, method) => {
                let answer = self.answer_to(*found.value, &method, request, &name, address, slot).await;
                asker.may_read(answer)
            }
        };
        match origin.filter(|_| found.value.names_its_asker()) {
            Some(origin) => peerjs::reflect(answer, origin),
            None => answer,
        }
    }

    async fn answer_to(
        self: &Arc<Self>,
        route: Route,
        method: &Method,
        request: Request<Incoming>,
        name: &str,
        address: IpAddr,
        slot: Slot,
    ) -> Answer {
        let path = request.uri().path();
        match (route, method) {
            (Route::Home, &Method::GET)
                if self.settings.mesh.at_root && upgrade::is_asked_for(request.headers()) =>
            {
                self.upgrade(request, &Mesh, name, (address, slot)).await
            }
            (Route::Home, &Method::GET) => self.home(None).await,
            (Route::Home, &Method::POST) => self.make_room_from_form(request, address).await,
            (Route::PublicRooms, &Method::GET) => self.public_rooms_page().await,
            (Route::Try, &Method::GET) => self.pages.trial(&self.settings),
            (Route::ToHome, &Method::GET) => redirect(StatusCode::TEMPORARY_REDIRECT, "/"),
            (Route::ToRoom, _) => redirect_with_query(path.trim_end_matches('/'), request.uri().query()),
            (Route::Room, &Method::GET) => self.room_page(&request, name, None, address).await,
            (Route::Room, &Method::POST) => self.room_page_by_form(request, name, address).await,
            (Route::Asset, &Method::GET) => self.pages.asset(name, request.headers()),
            (Route::ClientModule, &Method::GET) => {
                self.pages.asset(path.trim_start_matches('/'), request.headers())
            }
            (Route::CamusStatic, &Method::GET) => self.camus_static(name).await,
            (Route::ApiRooms, &Method::GET) => self.list_rooms().await,
            (Route::ApiRooms, &Method::POST) => self.make_room(request, address).await,
            (Route::ApiClients, &Method::POST) => self.make_client(request, name, address).await,
            (Route::PeerjsHome, &Method::GET) => peerjs::home(),
            (Route::PeerjsId, &Method::GET) => self.peerjs_id(name),
            (Route::PeerjsPeers, &Method::GET) => self.peerjs_peers(name).await,
            (Route::DirectRegister, &Method::POST) => self.direct_register(request, address).await,
            (Route::DirectUser, &Method::GET) => self.direct_user(request.headers()).await,
            (Route::DirectKick, &Method::GET) => self.direct_kick(request.headers()).await,
            (Route::DirectHealth, &Method::GET) => answer(StatusCode::OK, TEXT, "success"),
            (Route::Socket(dialect), &Method::GET) => {
                self.upgrade(request, dialect, name, (address, slot)).await
            }
            (_, method) => problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                &format!("{method} is not answered here"),
            ),
        }
    }

    fn nothing_here(&self) -> Answer {
        self.problem_page(StatusCode::NOT_FOUND, "Nothing here", "There is no page at this address.")
    }
}

/// Where a protocol is spoken, as the settings have it.
fn path_of(row: &dialect::Row, settings: &Settings) -> String {
    let below = if row.path.starts_with('/') { "" } else { &settings.peerjs.path };
    format!("{below}{}", row.path)
}

fn manners(settings: &Settings) -> Manners {
    Manners {
        ping_interval: settings.socket.ping_interval,
        ping_timeout: settings.socket.ping_timeout,
        receipt_after: settings.socket.receipt_after,
        write_timeout: settings.socket.write_timeout,
        max_message_bytes: settings.max_message_bytes,
        share: Share {
            messages_per_second: settings.limits.messages_per_second,
            message_burst: settings.limits.message_burst,
            bytes_per_second: whole(settings.limits.bytes_per_second),
            byte_burst: whole(settings.limits.byte_burst),
        },
    }
}

fn whole(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A part of a path, with its `%xx` resolved; what is not UTF-8 then names nothing.
fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

fn redirect(status: StatusCode, to: &str) -> Answer {
    let mut answer = answer(status, TEXT, Bytes::new());
    if let Ok(to) = HeaderValue::from_str(to) {
        answer.headers_mut().insert(header::LOCATION, to);
    }
    answer
}

/// The page's address is another one, for good.
fn redirect_with_query(to: &str, query: Option<&str>) -> Answer {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    redirect(StatusCode::PERMANENT_REDIRECT, &format!("{to}{query}"))
}

/// How long a client is to wait before it asks again what could not be answered now: each another time, so that those who
/// were told so together do not come again together.
fn a_little_later() -> Duration {
    Duration::from_secs(rand::random_range(1..=3))
}

/// Status, word and sentence for what the directory refused.
fn refusal(refusal: Refusal) -> (StatusCode, &'static str, &'static str) {
    match refusal {
        Refusal::Taken => (StatusCode::CONFLICT, "taken", "a room of that name exists already"),
        Refusal::NoRoom => (StatusCode::NOT_FOUND, "no_room", "there is no such room"),
        Refusal::Full => (StatusCode::IM_A_TEAPOT, "full", "Guest limit already reached"),
        Refusal::Gone | Refusal::Superseded => (
            StatusCode::FORBIDDEN,
            "gone",
            "this id is no longer in the room, or never was in this one: get another",
        ),
        Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "busy", "try again in a few seconds"),
    }
}

fn refused(why: Refusal) -> Answer {
    let (status, error, message) = refusal(why);
    let answer = problem(status, error, message);
    if why == Refusal::Unavailable { retry_after(answer, a_little_later()) } else { answer }
}
