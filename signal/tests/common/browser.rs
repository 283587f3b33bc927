//! Somebody's browser: pages, forms and cookies, and where it knocks with a WebSocket.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::client::{Pass, Wire};
use super::{Node, within};

/// A browser, or a program that asks like one.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    /// Whose it is.
    pub(crate) name: String,
    /// The node that it asks.
    pub(crate) address: SocketAddr,
    /// The ops listener of that node.
    pub(crate) ops: SocketAddr,
    /// What it shows as `Authorization: Bearer`, if anything.
    pub(crate) bearer: Option<String>,
    /// What it sends as `Origin`, if anything.
    pub(crate) origin: Option<String>,
    /// The subprotocol that its WebSockets ask for, if any.
    pub(crate) subprotocol: Option<String>,
    cookies: Vec<Cookie>,
}

#[derive(Clone, Debug, PartialEq)]
struct Cookie {
    name: String,
    value: String,
    path: String,
}

impl Browser {
    pub(super) fn new(name: &str, node: &Node) -> Self {
        Self { name: name.to_owned(), ops: node.ops, ..Self::at(node.address) }
    }

    /// One that asks at `address`.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            name: "Somebody".into(),
            address,
            ops: address,
            bearer: None,
            origin: None,
            subprotocol: None,
            cookies: Vec::new(),
        }
    }

    /// Asks another node from now on.
    pub(crate) fn turns_to(&mut self, node: &Node) {
        (self.address, self.ops) = (node.address, node.ops);
    }

    /// `GET path`.
    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.ask("GET", path, None).await
    }

    /// Asks with any method, and sends nothing.
    pub(crate) async fn asks_by(&mut self, method: &str, path: &str) -> Reply {
        self.ask(method, path, None).await
    }

    /// Asks whether a page may send JSON to `path`, as a browser does for pages of other hosts.
    pub(crate) async fn asks_beforehand(&mut self, path: &str) -> Reply {
        self.ask("OPTIONS", path, None).await
    }

    /// Sends a form.
    pub(crate) async fn posts_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.ask("POST", path, Some(("application/x-www-form-urlencoded", &form))).await
    }

    /// Sends JSON, as a program does.
    pub(crate) async fn posts(&mut self, path: &str, value: Value) -> Reply {
        self.posts_text(path, &value.to_string()).await
    }

    /// Sends what may be JSON.
    pub(crate) async fn posts_text(&mut self, path: &str, text: &str) -> Reply {
        self.ask("POST", path, Some(("application/json", text))).await
    }

    /// Opens the page of `room`.
    pub(crate) async fn opens(&mut self, room: &str) -> Page {
        let reply = self.get(&format!("/room/{room}")).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.page()
    }

    /// Makes a room; its slug.
    pub(crate) async fn makes_room(&mut self, room: Value) -> String {
        let reply = self.posts("/api/rooms", room).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["slug"].as_str().expect("a slug").to_owned()
    }

    /// Asks to enter `room`, and may.
    pub(crate) async fn gets_into(mut self, room: &str, with: Value) -> Pass {
        let reply = self.asks_for(room, with).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let answer = reply.json();
        let member = |name: &str| answer[name].as_str().expect("a string").to_owned();
        Pass { id: member("id"), token: member("token"), room: room.to_owned(), browser: self }
    }

    /// Asks to enter `room`.
    pub(crate) async fn asks_for(&mut self, room: &str, with: Value) -> Reply {
        self.posts(&format!("/api/rooms/{room}/clients"), with).await
    }

    /// Knocks at `path` with a WebSocket: the wire, or why there is none.
    pub(crate) async fn knocks(&self, path: &str) -> Result<Wire, Reply> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().expect("an address");
        let origin = self.origin.iter().map(|origin| ("origin", origin.clone()));
        let subprotocol = self.subprotocol.iter().map(|name| ("sec-websocket-protocol", name.clone()));
        let cookie = self.cookie_for(path).map(|cookie| ("cookie", cookie));
        for (name, value) in origin.chain(subprotocol).chain(cookie) {
            request.headers_mut().insert(name, value.parse().expect("a header"));
        }
        let stream = TcpStream::connect(self.address).await.expect("the node listens");
        stream.set_nodelay(true).expect("a living socket");
        match within("an answer to the upgrade", Box::pin(client_async(request, stream))).await {
            Ok((wire, response)) => {
                assert!(response.headers().contains_key("x-served-by"), "the node does not say who it is");
                Ok(wire)
            }
            Err(Error::Http(response)) => {
                let header = |(name, value): (&_, &_)| text_of(name, value);
                Err(Reply {
                    status: response.status().as_u16(),
                    headers: response.headers().iter().map(header).collect(),
                    body: String::from_utf8_lossy(response.body().as_deref().unwrap_or_default())
                        .into_owned(),
                })
            }
            Err(error) => panic!("{path}: no upgrade and no answer: {error}"),
        }
    }

    /// Knocks at the room with the cookie.
    pub(crate) async fn knocks_at(&self, room: &str) -> Result<Wire, Reply> {
        self.knocks(&format!("/room/{room}/ws")).await
    }

    /// The cookie that goes with `path`, as somebody else could send it.
    pub(crate) fn cookie_for(&self, path: &str) -> Option<String> {
        let fits = |cookie: &&Cookie| {
            let below = |rest: &str| rest.is_empty() || rest.starts_with(['/', '?']);
            cookie.path == "/" || path.strip_prefix(&cookie.path).is_some_and(below)
        };
        let pairs: Vec<_> = self
            .cookies
            .iter()
            .filter(fits)
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Writes a cookie of the page's own, or over the server's.
    pub(crate) fn writes_cookie(&mut self, name: &str, value: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
        self.cookies.push(Cookie { name: name.into(), value: value.into(), path: "/".into() });
    }

    /// The value of a cookie; empty if there is none.
    pub(crate) fn cookie(&self, name: &str) -> &str {
        self.cookies.iter().find(|cookie| cookie.name == name).map_or("", |cookie| &cookie.value)
    }

    /// Changes the value of every cookie, as an attacker would.
    pub(crate) fn tampers(&mut self, mut with: impl FnMut(&str) -> String) {
        for cookie in &mut self.cookies {
            cookie.value = with(&cookie.value);
        }
    }

    /// Sends all its cookies to the paths under `path` from now on.
    pub(crate) fn moves_cookies_to(&mut self, path: &str) {
        for cookie in &mut self.cookies {
            path.clone_into(&mut cookie.path);
        }
    }

    async fn ask(&mut self, method: &str, path: &str, body: Option<(&str, &str)>) -> Reply {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        let mut add = |name: &str, value: &str| request.push_str(&format!("{name}: {value}\r\n"));
        if let Some(cookie) = self.cookie_for(path) {
            add("cookie", &cookie);
        }
        if let Some(origin) = &self.origin {
            add("origin", origin);
        }
        if let Some(token) = &self.bearer {
            add("authorization", &format!("Bearer {token}"));
        }
        if let Some((kind, body)) = body {
            add("content-type", kind);
            add("content-length", &body.len().to_string());
        }
        request.push_str("\r\n");
        request.push_str(body.map_or("", |(_, body)| body));
        let reply = within(path, exchange(self.address, &request)).await;
        for cookie in reply.all("set-cookie").filter_map(cookie) {
            self.cookies.retain(|old| (&old.name, &old.path) != (&cookie.name, &cookie.path));
            self.cookies.push(cookie);
        }
        reply
    }
}

async fn exchange(address: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(address).await.expect("the node listens");
    stream.write_all(request.as_bytes()).await.expect("the node reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the node answers");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) =
        text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request}\nis answered with {text:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let header = |line: &str| line.split_once(':').map(|(name, value)| text_of(name, value.trim()));
    Reply {
        status: status.expect("a status"),
        headers: lines.filter_map(header).collect(),
        body: body.to_owned(),
    }
}

fn text_of(name: impl ToString, value: impl AsRef<[u8]>) -> (String, String) {
    (name.to_string().to_ascii_lowercase(), String::from_utf8_lossy(value.as_ref()).into_owned())
}

fn cookie(line: &str) -> Option<Cookie> {
    let mut parts = line.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let path = parts.find_map(|part| part.strip_prefix("Path="))?;
    Some(Cookie { name: name.into(), value: value.into(), path: path.into() })
}

/// What an HTTP request was answered with.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
}

impl Reply {
    /// A header; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All headers of a name.
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Whether it is a page for people.
    pub(crate) fn is_page(&self) -> bool {
        self.header("content-type").starts_with("text/html")
    }

    /// The room's client.
    pub(crate) fn page(&self) -> Page {
        assert!(self.is_page(), "{self:?}");
        Page { id: self.attribute("data-id"), token: self.attribute("data-token") }
    }

    fn attribute(&self, name: &str) -> String {
        let rest = self.body.split_once(&format!("{name}=\"")).map(|(_, rest)| rest);
        let value = rest.and_then(|rest| rest.split('"').next());
        value.unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }

    /// Fails unless it says in JSON that it could not be done.
    pub(crate) fn is_refusal(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        let answer = self.json();
        for member in ["error", "message"] {
            assert!(
                answer[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member} in {}",
                self.body
            );
        }
        assert_eq!(answer, json!({ "error": answer["error"], "message": answer["message"] }));
    }
}

/// What a room's page tells its script.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The client's id.
    pub(crate) id: String,
    /// Its token.
    pub(crate) token: String,
}
