//! The program over real sockets, and what coturn says to its credentials.
#![cfg(test)]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(10);
const KEY: &str = "the key of the scenes";
const SECRET: &str = "s3cr3t";
const URIS: &str = "turn:127.0.0.1:3478?transport=udp";

/// A process of the program. It ends with this.
struct Service {
    process: Child,
    address: SocketAddr,
    ops: SocketAddr,
}

impl Service {
    fn start(more: &[(&str, &str)]) -> Self {
        let always = [
            ("LISTEN", "127.0.0.1:0"),
            ("OPS__LISTEN", "127.0.0.1:0"),
            ("TURN__URLS", URIS),
            ("TURN__SECRET", SECRET),
            ("KEYS", "another key of the scenes,the key of the scenes"),
            ("DRAIN__WAIT", "0s"),
            ("LOG", "trace"),
        ];
        let variables = always.iter().chain(more).map(|(name, value)| (format!("TURN_AUTH__{name}"), value));
        let mut process = Command::new(env!("CARGO_BIN_EXE_turn-auth"))
            .envs(variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, told) = channel();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let address = |name: &str| {
            let line = told.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("waited for {name}"));
            let (_, rest) = line.split_once("http://").unwrap();
            assert!(line.starts_with(name), "{line}");
            rest.split('/').next().unwrap().parse().unwrap()
        };
        let (address, ops) = (address("Credentials are at"), address("Metrics are at"));
        Self { process, address, ops }
    }

    async fn get(&self, path: &str) -> Reply {
        exchange(self.address, &format!("GET {path} HTTP/1.1\r\n"), "").await
    }

    async fn post(&self, path: &str, form: &str) -> Reply {
        let head = format!(
            "POST {path} HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
            form.len()
        );
        exchange(self.address, &head, form).await
    }

    async fn reports(&self, path: &str) -> Reply {
        exchange(self.ops, &format!("GET {path} HTTP/1.1\r\n"), "").await
    }

    async fn has_counted(&self, line: &str) {
        let text = self.reports("/metrics").await.body;
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }

    /// Ends it; all that it has logged.
    fn last_log(mut self) -> String {
        self.process.kill().unwrap();
        let mut log = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn is_refusal(&self, status: u16, word: &str) {
        assert_eq!((self.status, self.json()["error"].as_str()), (status, Some(word)), "{self:?}");
        assert!(self.json()["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
}

async fn exchange(address: SocketAddr, head: &str, body: &str) -> Reply {
    let exchange = async {
        let mut wire = TcpStream::connect(address).await.unwrap();
        let request = format!("{head}host: {address}\r\nconnection: close\r\n\r\n{body}");
        wire.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        wire.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_lowercase(), body: body.to_owned() }
    };
    tokio::time::timeout(DEADLINE, exchange).await.expect("an answer in time")
}

fn encoded(text: &str) -> String {
    text.replace(' ', "%20")
}

#[tokio::test]
async fn who_has_a_key_gets_credentials_however_it_is_shown() {
    let service = Service::start(&[]);
    let key = encoded(KEY);
    let replies = [
        service.get(&format!("/?service=turn&username=ada&key={key}")).await,
        service.get(&format!("/?service=turn&username=ada&api={key}")).await,
        service.post("/", &format!("service=turn&username=ada&key={key}")).await,
        service.post("/?service=turn", &format!("username=ada&api={key}")).await,
        // What Janus says, by GET and by POST.
        service.get(&format!("/?service=turn&api={key}&key={key}&username=ada")).await,
        service.post("/", &format!("service=turn&api={key}&key={key}&username=ada")).await,
        exchange(
            service.address,
            &format!("GET /?service=turn&username=ada HTTP/1.1\r\nauthorization: Bearer {KEY}\r\n"),
            "",
        )
        .await,
    ];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for reply in replies {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.head.contains("cache-control: no-store"), "{reply:?}");
        let grant = reply.json();
        assert_eq!((&grant["ttl"], &grant["uris"]), (&json!(21_600), &json!([URIS])));
        let (expiry, name) = grant["username"].as_str().unwrap().split_once(':').unwrap();
        assert_eq!(name, "ada");
        assert!((now + 21_590..=now + 21_610).contains(&expiry.parse().unwrap()), "{expiry}");
        let signed = turn_auth::credentials(
            &turn_auth::Secret::new(SECRET),
            "ada",
            expiry.parse::<u64>().unwrap(),
            Duration::ZERO,
        );
        assert_eq!(grant["password"], json!(signed.credential));
    }
    service.has_counted("turn_credentials_issued_total 7").await;
}

#[tokio::test]
async fn who_has_no_key_gets_nothing_and_cannot_guess_one() {
    let service = Service::start(&[("LIMITS__REQUESTS_PER_MINUTE", "4")]);
    service.get("/?service=turn&username=ada").await.is_refusal(401, "no_key");
    for _ in 0..3 {
        service.get("/?service=turn&username=ada&key=swordfish").await.is_refusal(403, "wrong_key");
    }
    let waits = service.get("/?service=turn&username=ada&key=swordfish").await;
    waits.is_refusal(429, "too_many");
    let right = service.get(&format!("/?service=turn&key={}", encoded(KEY))).await;
    assert_eq!(right.status, 200, "a neighbour's guesses lock nobody out");
    assert!(waits.head.contains("retry-after: "), "{waits:?}");
    service.has_counted("turn_requests_refused_total{reason=\"wrong_key\"} 3").await;
    service.has_counted("turn_credentials_issued_total 1").await;
    assert!(!service.last_log().contains("swordfish"));
}

#[tokio::test]
async fn in_development_nobody_needs_a_key() {
    let service = Service::start(&[("KEYS", ""), ("DEVELOPMENT", "true")]);
    let grant = service.get("/?service=turn").await.json();
    assert!(grant["username"].as_str().unwrap().bytes().all(|b| b.is_ascii_digit()), "nameless: {grant}");
}

#[tokio::test]
async fn a_time_to_live_stays_within_its_bounds() {
    let service = Service::start(&[("TURN__MIN_TTL", "5m"), ("TURN__MAX_TTL", "8h")]);
    for (wish, given) in [("1", 300), ("600", 600), ("99999999", 28_800)] {
        let reply = service.get(&format!("/?service=turn&ttl={wish}&key={}", encoded(KEY))).await;
        assert_eq!(reply.json()["ttl"], json!(given), "{wish}");
    }
    for wish in ["-1", "soon", "1.5", "99999999999999999999999"] {
        let path = format!("/?service=turn&ttl={wish}&key={}", encoded(KEY));
        service.get(&path).await.is_refusal(400, "ttl");
    }
}

#[tokio::test]
async fn what_is_not_asked_for_is_refused_in_json() {
    let service = Service::start(&[("ORIGINS", "https://app.example")]);
    let key = encoded(KEY);
    for query in ["", "&service=stun", "&service="] {
        service.get(&format!("/?key={key}{query}")).await.is_refusal(400, "service");
    }
    service.get("/credentials").await.is_refusal(404, "nothing_here");
    exchange(service.address, "DELETE / HTTP/1.1\r\n", "").await.is_refusal(405, "method_not_allowed");
    service.post("/", &"x".repeat(100_000)).await.is_refusal(413, "too_large");
    let foreign = "GET /?service=turn HTTP/1.1\r\norigin: https://two.example\r\n";
    exchange(service.address, foreign, "").await.is_refusal(403, "forbidden");
    let listed = format!("GET /?service=turn&key={key} HTTP/1.1\r\norigin: https://app.example\r\n");
    let listed = exchange(service.address, &listed, "").await;
    assert!(listed.head.contains("access-control-allow-origin: https://app.example"), "{listed:?}");
}

#[tokio::test]
async fn operators_see_that_it_lives_and_nothing_secret_is_logged() {
    let service = Service::start(&[]);
    assert_eq!(service.reports("/live").await.status, 200);
    assert_eq!(service.reports("/ready").await.status, 200);
    let grant = service.get(&format!("/?service=turn&username=ada&key={}", encoded(KEY))).await.json();
    assert_eq!(service.get("/metrics").await.status, 404, "not where everybody may look");
    let log = service.last_log();
    for secret in [KEY, &encoded(KEY), SECRET, grant["password"].as_str().unwrap()] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// A TURN server with the service's secret. It ends with this.
struct Coturn {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Coturn {
    fn start(secret: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("turn-auth-{}-{port}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let process = Command::new("turnserver")
            .current_dir(&folder)
            .args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--realm=scenes", "--use-auth-secret"])
            .args(["--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers", "--fingerprint", "-n"])
            .args(["--pidfile=turn.pid", "--log-file=stdout", "--userdb=turn.db", "--min-port=40000"])
            .args([format!("--listening-port={port}"), format!("--static-auth-secret={secret}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn is installed: `make parts`");
        let deadline = std::time::Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(std::time::Instant::now() < deadline, "coturn listens");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, port, folder }
    }

    async fn takes(&self, grant: &Value) -> bool {
        let status = tokio::process::Command::new("turnutils_uclient")
            .args(["-y", "-n", "1", "-c", "-p", &self.port.to_string()])
            .args(["-u", grant["username"].as_str().unwrap(), "-w", grant["password"].as_str().unwrap()])
            .arg("127.0.0.1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        tokio::time::timeout(DEADLINE, status).await.expect("an answer of coturn").unwrap().success()
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn coturn_takes_what_it_gives_and_nothing_that_was_changed() {
    let (service, coturn) = (Service::start(&[]), Coturn::start(SECRET));
    let key = encoded(KEY);
    let grant = service.get(&format!("/?service=turn&username=ada&key={key}")).await.json();
    assert!(coturn.takes(&grant).await);
    let nameless = service.get(&format!("/?service=turn&key={key}")).await.json();
    assert!(coturn.takes(&nameless).await, "without a name too");
    let mut changed = grant.clone();
    changed["username"] = json!(grant["username"].as_str().unwrap().replace("ada", "bob"));
    assert!(!coturn.takes(&changed).await);
}
