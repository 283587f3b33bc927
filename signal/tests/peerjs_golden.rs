//! A node beside PeerServer 1.0.2: what was done to that one is done to this, and what is answered differently is listed
//! here with its reason. Nothing else is.
//!
//! The transcript is the real server's, started with path `/myapp`, discovery, a concurrent limit of 4, an alive timeout
//! of 4 s and an expire timeout of 3 s.
#![cfg(test)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;

use common::{Browser, House, PeerJs, Settings, scenes};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const TRANSCRIPT: &str = include_str!("golden/peerjs_server_1.0.2.txt");

const AS_THERE: Settings<'_> = &[
    ("PEERJS__PATH", "/myapp/"),
    ("PEERJS__DISCOVERY", "true"),
    ("PEERJS__CONCURRENT_LIMIT", "4"),
    ("PEERJS__ALIVE_TIMEOUT", "4s"),
    ("PEERJS__EXPIRE_TIMEOUT", "3s"),
];

scenes!(one_node, AS_THERE; a_node_answers_as_peer_server_but_for_what_is_listed_here);

/// What is answered differently on purpose.
struct Difference {
    /// In which section of the transcript.
    section: &'static str,
    /// A line of PeerServer's; empty if it says nothing there.
    theirs: &'static str,
    /// Ours in its place; empty if we say nothing there.
    ours: &'static str,
    /// The reason.
    _why: &'static str,
}

const fn differs(
    section: &'static str,
    theirs: &'static str,
    ours: &'static str,
    why: &'static str,
) -> Difference {
    Difference { section, theirs, ours, _why: why }
}

const CODE: &str = "every goodbye of ours has a code, so that whoever looks into it learns why";
const SILENT: &str = "the same, and this one says that the client was silent";
const NOTHING_THERE: &str =
    "where nothing is, nothing is: PeerServer's WebSocket library answers for any path";
const TAKEOVER: &str = "PeerServer's clients wait for an OPEN in reconnect() for ever, and the old socket speaks on \
    in the name of the new one";
const OWN_PAGE: &str = "a node's own page is there: rooms for people";

const DIFFERENCES: &[Difference] = &[
    differs("", "GET / 404 text/html; charset=utf-8", "GET / 200 text/html; charset=utf-8", OWN_PAGE),
    differs(
        "",
        "GET /myapp/WRONGKEY/id 200 text/html; charset=utf-8 ID",
        "GET /myapp/WRONGKEY/id 401 text/plain; charset=utf-8 Invalid key provided",
        "PeerServer gives out ids under any key, and the client learns only later that its key is wrong",
    ),
    differs(
        "",
        "POST /myapp/peerjs/id 404 text/html; charset=utf-8",
        "POST /myapp/peerjs/id 405 application/json",
        "there is something at this address, but not for this method",
    ),
    differs(
        "",
        "OPTIONS /myapp/peerjs/id 204 for https://app.example by GET,HEAD,PUT,PATCH,POST,DELETE with x-foo",
        "OPTIONS /myapp/peerjs/id 204 for https://app.example by GET, POST with content-type, authorization",
        "a page may do what is answered here, and not more",
    ),
    differs("missing params", "noid CLOSE 1005", "noid CLOSE 1008", CODE),
    differs("bad key", "badkey CLOSE 1005", "badkey CLOSE 1008", CODE),
    differs("bad path", "badpath ERR 400", "badpath ERR 404", NOTHING_THERE),
    differs("bad path", "noprefix ERR 400", "noprefix ERR 404", NOTHING_THERE),
    differs("bad path", "trail ERR 400", "trail ERR 404", NOTHING_THERE),
    differs("A taken", "A2bad CLOSE 1005", "A2bad CLOSE 1008", CODE),
    differs("A resume same token", "", "A3 <- {\"type\":\"OPEN\"}", TAKEOVER),
    differs("A resume same token", "A state 1", "A CLOSE 4001", TAKEOVER),
    differs(
        "old socket A still sends as alice",
        "B <- {\"type\":\"ANSWER\",\"src\":\"alice\",\"dst\":\"bob\",\"payload\":{\"y\":2}}",
        "",
        TAKEOVER,
    ),
    differs(
        "LEAVE without dst from bob",
        "A3 <- {\"type\":\"OFFER\",\"src\":\"bob\",\"dst\":\"alice\",\"payload\":{\"afterleave\":1}}",
        "",
        "who has given up its name does not speak in it: somebody else may have it by now",
    ),
    differs("concurrent limit 4", "L3 CLOSE 1005", "L3 CLOSE 1008", CODE),
    differs("concurrent limit 4", "L4 CLOSE 1005", "L4 CLOSE 1008", CODE),
    differs("alive timeout", "L0 CLOSE 1005", "L0 CLOSE 4004", SILENT),
    differs("alive timeout", "L1 CLOSE 1005", "L1 CLOSE 4004", SILENT),
    differs("alive timeout", "L2 CLOSE 1005", "L2 CLOSE 4004", SILENT),
    differs("alive timeout", "A3 CLOSE 1005", "A3 CLOSE 4004", SILENT),
];

/// What was heard: by section, then by who heard it, in order.
type Heard = BTreeMap<(String, String), Vec<String>>;

async fn a_node_answers_as_peer_server_but_for_what_is_listed_here(house: &mut House) {
    let mut theirs = read(TRANSCRIPT);
    let mut ours = Stage::new(house).play().await;
    for difference in DIFFERENCES {
        apply(&mut theirs, difference);
    }
    for heard in [&mut theirs, &mut ours] {
        // Two queues end at the same time, in no order.
        heard.entry(("queue to nobody".to_owned(), "B".to_owned())).or_default().sort();
    }
    let keys: std::collections::BTreeSet<_> = theirs.keys().chain(ours.keys()).cloned().collect();
    let mut unlisted = String::new();
    for key in keys {
        let nothing = Vec::new();
        let (theirs, ours) = (theirs.get(&key).unwrap_or(&nothing), ours.get(&key).unwrap_or(&nothing));
        if theirs != ours {
            let _ =
                write!(unlisted, "\n{key:?}\n  theirs, with our differences: {theirs:#?}\n  ours: {ours:#?}");
        }
    }
    assert!(unlisted.is_empty(), "differences that are not listed:{unlisted}");
}

/// Writes ours in the place of theirs.
fn apply(heard: &mut Heard, difference: &Difference) {
    let Difference { section, theirs, ours, .. } = *difference;
    let key = |line: &str| (section.to_owned(), who(line).to_owned());
    let place = if theirs.is_empty() {
        0
    } else {
        let lines = heard.get_mut(&key(theirs)).unwrap_or_else(|| panic!("nobody hears {theirs:?}"));
        let place = lines.iter().position(|line| line == theirs);
        let place = place.unwrap_or_else(|| panic!("{theirs:?} is not heard; these are: {lines:#?}"));
        lines.remove(place);
        place
    };
    if !ours.is_empty() {
        let lines = heard.entry(key(ours)).or_default();
        lines.insert(place.min(lines.len()), ours.to_owned());
    }
    heard.retain(|_, lines| !lines.is_empty());
}

/// Who heard a line; for an answer to a request nobody in particular.
fn who(line: &str) -> &str {
    let first = line.split(' ').next().unwrap_or_default();
    if ["GET", "POST", "OPTIONS", "HEAD"].contains(&first) { "" } else { first }
}

/// The transcript, without times and the server's own log.
fn read(transcript: &str) -> Heard {
    let mut heard = Heard::new();
    let mut section = String::new();
    for line in transcript.lines() {
        if let Some(title) = line.strip_prefix("-- ") {
            // Times and remarks follow the title.
            title.split(['(', ';', ':']).next().unwrap_or_default().trim().clone_into(&mut section);
            continue;
        }
        let line = line.trim();
        let line =
            line.split_once(' ').filter(|(time, _)| time.starts_with('+')).map_or(line, |(_, rest)| rest);
        if line.starts_with("[srv") {
            continue;
        }
        let is_answer = who(line).is_empty();
        if is_answer && line.starts_with("GET /myapp/peerjs/peers") && !section.is_empty() {
            heard.entry((section.clone(), String::new())).or_default().push(answer(line));
        } else if is_answer {
            heard.entry((String::new(), String::new())).or_default().push(answer(line));
        } else if let Some(line) = event(line) {
            heard.entry((section.clone(), who(&line).to_owned())).or_default().push(line);
        }
    }
    heard
}

/// `GET /path?query 200 {headers} "body"` as [`Stage::asks`] writes it.
fn answer(line: &str) -> String {
    let mut parts = line.splitn(4, ' ');
    let mut part = || parts.next().unwrap_or_default();
    let (method, path, status, rest) = (part(), part(), part(), part());
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let headers = values.next().and_then(Result::ok).unwrap_or_default();
    // A long body is cut off in the transcript.
    let body = values.next().and_then(Result::ok).unwrap_or_default();
    let header = |name: &str| headers[name].as_str().unwrap_or_default().to_owned();
    write_answer(method, path, status.parse().unwrap_or_default(), header, body.as_str().unwrap_or_default())
}

/// What of an answer is compared. The text of a page that says that nothing is there is for people.
fn write_answer(
    method: &str,
    path: &str,
    status: u16,
    header: impl Fn(&str) -> String,
    body: &str,
) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let mut line = format!("{method} {path} {status}");
    if method == "OPTIONS" {
        let allow = |what: &str| header(&format!("access-control-allow-{what}"));
        let _ = write!(line, " for {} by {} with {}", allow("origin"), allow("methods"), allow("headers"));
        return line;
    }
    let kind = header("content-type");
    let _ = write!(line, " {}", kind.replace("application/json; charset=utf-8", "application/json"));
    let is_id = body.len() == 36 && body.matches('-').count() == 4;
    match (status, kind.as_str()) {
        _ if is_id => line.push_str(" ID"),
        (200 | 401, kind) if !kind.starts_with("text/html") => drop(write!(line, " {body}")),
        _ => {}
    }
    line
}

/// `NAME <- TXT {…}`, `NAME CLOSE code`, `NAME ERR …`, `NAME state 1`, `old NAME readyState 1`.
fn event(line: &str) -> Option<String> {
    if line.ends_with("CLOSE 1006") {
        // A client's own word for an upgrade that was refused.
        return None;
    }
    let status =
        |(name, rest): (&str, &str)| format!("{name} ERR {}", rest.rsplit(' ').next().unwrap_or_default());
    Some(match line {
        _ if line.contains(" <- TXT ") => line.replace(" <- TXT ", " <- "),
        _ if line.contains(" ERR ") => status(line.split_once(" ERR ")?),
        _ if line.starts_with("old ") => line.replace("old ", "").replace("readyState", "state"),
        _ => line.trim().to_owned(),
    })
}

/// The same once more, with a node.
struct Stage {
    browser: Browser,
    section: &'static str,
    clients: BTreeMap<&'static str, (PeerJs, &'static str)>,
    heard: Heard,
}

impl Stage {
    fn new(house: &House) -> Self {
        let browser = house.browser("Alice");
        Self { browser, section: "", clients: BTreeMap::new(), heard: Heard::new() }
    }

    fn notes(&mut self, name: &str, line: String) {
        self.heard.entry((self.section.to_owned(), name.to_owned())).or_default().push(line);
    }

    async fn asks(&mut self, method: &str, path: &str, origin: Option<&str>) {
        self.browser.origin = origin.map(str::to_owned);
        let reply = self.browser.asks_by(method, path).await;
        self.browser.origin = None;
        let header = |name: &str| reply.header(name).to_owned();
        let line = write_answer(method, path, reply.status, header, &reply.body);
        self.notes("", line);
    }

    /// `name` asks to be `id`.
    async fn opens(&mut self, name: &'static str, id: &'static str, token: &str) {
        let path = format!("/myapp/peerjs?key=peerjs&id={id}&token={token}&version=1.5.4");
        self.knocks(name, id, &path).await;
    }

    async fn knocks(&mut self, name: &'static str, id: &'static str, path: &str) {
        let client = PeerJs::knocks(&self.browser, path).await;
        self.clients.insert(name, (client, id));
        self.hears(name).await;
    }

    async fn is_not_there(&mut self, name: &str, path: &str) {
        let refused = self.browser.knocks(path).await.unwrap_err();
        self.notes(name, format!("{name} ERR {}", refused.status));
    }

    async fn says(&mut self, name: &str, text: &str) {
        self.clients.get_mut(name).expect("it is there").0.says(text).await;
    }

    /// The next thing that `name` hears; whether it was not the end.
    async fn hears(&mut self, name: &'static str) -> bool {
        let heard = self.clients.get_mut(name).expect("it is there").0.hears_or_ends().await;
        let goes_on = heard.is_ok();
        match heard {
            Ok(text) => self.notes(name, format!("{name} <- {text}")),
            Err(code) => {
                self.clients.remove(name);
                self.notes(name, format!("{name} CLOSE {}", code.unwrap_or(1005)));
            }
        }
        goes_on
    }

    /// What `name` has heard until everything is done that it, and then everybody, has said.
    async fn settles(&mut self, names: &[&'static str]) {
        for name in names.iter().chain(names) {
            let (client, id) = self.clients.get_mut(name).expect("it is there");
            client.tells(id, "OFFER", json!("settled")).await;
            let settled = format!(r#"{{"type":"OFFER","src":"{id}","dst":"{id}","payload":"settled"}}"#);
            loop {
                let (client, _) = self.clients.get_mut(name).expect("it is there");
                let heard = client.hears_or_ends().await.expect("it is connected");
                if heard == settled {
                    break;
                }
                self.notes(name, format!("{name} <- {heard}"));
            }
        }
    }

    async fn play(mut self) -> Heard {
        Box::pin(self.http()).await;
        Box::pin(self.doors()).await;
        Box::pin(self.messages()).await;
        Box::pin(self.endings()).await;
        self.heard
    }

    async fn http(&mut self) {
        let app = Some("https://app.example");
        self.asks("GET", "/myapp", None).await;
        self.asks("GET", "/myapp/", None).await;
        self.asks("GET", "/", None).await;
        self.asks("GET", "/myapp/peerjs/id?ts=1&version=1.5.4", app).await;
        self.asks("GET", "/myapp/WRONGKEY/id", None).await;
        self.asks("GET", "/myapp/peerjs/peers", None).await;
        self.asks("GET", "/myapp/peerjs/peerjs", None).await;
        self.asks("POST", "/myapp/peerjs/id", None).await;
        self.asks("OPTIONS", "/myapp/peerjs/id", app).await;
        self.asks("HEAD", "/myapp/peerjs/id", None).await;
    }

    async fn doors(&mut self) {
        self.section = "missing params";
        self.knocks("noid", "", "/myapp/peerjs").await;
        self.hears("noid").await;
        self.section = "bad key";
        self.knocks("badkey", "", "/myapp/peerjs?key=x&id=a&token=t").await;
        self.hears("badkey").await;
        self.section = "bad path";
        self.is_not_there("badpath", "/myapp/other?key=peerjs&id=a&token=t").await;
        self.is_not_there("noprefix", "/peerjs?key=peerjs&id=a&token=t").await;
        self.is_not_there("trail", "/myapp/peerjs/?key=peerjs&id=a&token=t").await;
        self.section = "A ok";
        self.opens("A", "alice", "t1").await;
        self.section = "A taken";
        self.opens("A2bad", "alice", "t2").await;
        self.hears("A2bad").await;
        self.section = "A resume same token";
        self.opens("A3", "alice", "t1").await;
        self.hears("A").await;
    }

    async fn messages(&mut self) {
        self.section = "B";
        self.opens("B", "bob", "tb").await;
        self.says("B", r#"{"type":"OFFER","dst":"alice","payload":{"x":1}}"#).await;
        self.settles(&["B", "A3"]).await;
        self.section = "old socket A still sends as alice";
        self.settles(&["B"]).await;
        self.section = "unknown type / OPEN / no payload / LEAVE with dst / EXPIRE";
        for kind in ["FOO", "OPEN", "CANDIDATE", "LEAVE", "EXPIRE"] {
            self.says("B", &format!(r#"{{"type":"{kind}","dst":"alice"}}"#)).await;
        }
        self.settles(&["B", "A3"]).await;
        self.section = "binary frame with json";
        let binary = Message::binary(r#"{"type":"OFFER","dst":"alice","payload":{"bin":1}}"#);
        self.clients.get_mut("B").expect("it is there").0.sends(binary).await;
        self.settles(&["B", "A3"]).await;
        self.section = "invalid json";
        for odd in ["{oops", "null", "123"] {
            self.says("B", odd).await;
        }
        self.settles(&["B", "A3"]).await;
        self.notes("B", "B state 1".into());
        self.section = "queue to carol then carol connects";
        for (kind, n) in [("OFFER", 1), ("CANDIDATE", 2)] {
            self.says("B", &format!(r#"{{"type":"{kind}","dst":"carol","payload":{{"n":{n}}}}}"#)).await;
        }
        self.settles(&["B"]).await;
        self.opens("C", "carol", "tc").await;
        self.hears("C").await;
        self.hears("C").await;
        self.settles(&["C"]).await;
        self.section = "queue to nobody";
        for (kind, dst) in [("OFFER", "nobody"), ("CANDIDATE", "nobody"), ("OFFER", "nobody2")] {
            self.says("B", &format!(r#"{{"type":"{kind}","dst":"{dst}","payload":1}}"#)).await;
        }
        self.hears("B").await;
        self.hears("B").await;
        self.settles(&["B"]).await;
    }

    async fn endings(&mut self) {
        self.section = "close carol";
        self.clients.get_mut("C").expect("it is there").0.sends(Message::Close(None)).await;
        self.hears("C").await;
        self.settles(&["A3", "B"]).await;
        self.section = "LEAVE without dst from bob";
        self.says("B", r#"{"type":"LEAVE"}"#).await;
        self.says("B", r#"{"type":"OFFER","dst":"alice","payload":{"afterleave":1}}"#).await;
        self.clients.get_mut("B").expect("it is there").0.answers_a_ping().await;
        self.notes("B", "B state 1".into());
        self.settles(&["A3"]).await;
        self.asks("GET", "/myapp/peerjs/peers", None).await;
        self.section = "concurrent limit 4";
        for (name, id) in [("L0", "l0"), ("L1", "l1"), ("L2", "l2")] {
            self.opens(name, id, "tl").await;
        }
        for (name, id) in [("L3", "l3"), ("L4", "l4")] {
            self.opens(name, id, "tl").await;
            self.hears(name).await;
        }
        self.section = "alive timeout";
        self.says("A3", r#"{"type":"OFFER","dst":"bob","payload":1}"#).await;
        for name in ["A3", "L0", "L1", "L2"] {
            while self.hears(name).await {}
        }
    }
}
