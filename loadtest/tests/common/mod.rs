//! What the driver is tested against: real nodes, a real Redis, and the examples of this package.

// Each file of tests is a crate of its own, and needs only some of these.
#![allow(dead_code)]

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nobody waits longer than this for anything.
const DEADLINE: Duration = Duration::from_secs(60);

/// A process that ends with its test.
pub(crate) struct Server {
    child: Child,
    /// Where it is, as it said itself.
    pub(crate) url: String,
}

impl Server {
    /// Starts it, and waits until it says where it is: after `before` in one of its lines, up to the next blank.
    fn start(mut command: Command, before: &str) -> Self {
        let shown = format!("{command:?}");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.unwrap_or_else(|why| panic!("{shown}: {why}"));
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        // Reads on when nobody listens any more: a full pipe would stop the process.
        thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut server = Self { child, url: String::new() };
        let until = Instant::now() + DEADLINE;
        while server.url.is_empty() {
            let line = lines.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("{shown} does not say “{before}”"));
            if let Some((_, rest)) = line.split_once(before) {
                rest.trim_start().split(' ').next().unwrap_or_default().clone_into(&mut server.url);
            }
        }
        server
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// A node; `settings` are names without prefix, and values.
    pub(crate) fn node(settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(signal());
        for (key, _) in env::vars().filter(|(key, _)| key.starts_with("SIGNAL__")) {
            command.env_remove(key);
        }
        let always = [("LISTEN", "127.0.0.1:0"), ("OPS__LISTEN", "127.0.0.1:0"), ("LOG", "warn")];
        for (key, value) in always.iter().chain(settings) {
            command.env(format!("SIGNAL__{key}"), value);
        }
        Self::start(command, "Switchboard is at")
    }

    /// Two nodes, `left` and `right`, with this Redis. Each has found it: whoever comes before that goes to the other one, or
    /// is told that it is busy.
    pub(crate) fn cluster(redis: &Self, settings: &[(&str, &str)]) -> [Self; 2] {
        ["left", "right"].map(|name| {
            let secret = "a secret of the tests, which is long enough";
            let own = [("NODE__NAME", name), ("REDIS__URL", &redis.url), ("SESSION__SECRET", secret)];
            let node = Self::node(&[settings, &own].concat());
            let shown = loadtest("ready", "storm --peers 1 --room 1", &[&node]);
            assert_eq!(shown.code, 0, "{shown}");
            node
        })
    }

    /// A Redis.
    pub(crate) fn redis() -> Self {
        Self::redis_at(&free_port())
    }

    /// A Redis at this port.
    pub(crate) fn redis_at(port: &str) -> Self {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", port]);
        let mut redis = Self::start(command, "Ready to accept ");
        redis.url = format!("redis://127.0.0.1:{port}");
        redis
    }

    /// PeerServer, with these options.
    pub(crate) fn peer_server(options: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new("node");
        command.arg(original("peer/dist/bin/peerjs.js")).args(["--host", "127.0.0.1", "--port", &port]);
        command.args(options);
        let mut server = Self::start(command, "Started PeerServer on ");
        server.url = format!("http://127.0.0.1:{port}");
        server
    }

    /// The signaling server of y-webrtc.
    pub(crate) fn y_webrtc_server() -> Self {
        let port = free_port();
        let mut command = Command::new("node");
        command.arg(original("y-webrtc/bin/server.js")).env("PORT", &port);
        let mut server = Self::start(command, "Signaling server running on ");
        // It says so before it listens.
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect(("127.0.0.1", port.parse().expect("a port"))).is_err() {
            assert!(Instant::now() < until, "the server of y-webrtc does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        server.url = format!("http://127.0.0.1:{port}");
        server
    }

    /// The example `echo`.
    pub(crate) fn echo() -> Self {
        let mut command = Command::new(example("echo"));
        command.arg("127.0.0.1:0");
        Self::start(command, "Echo is at")
    }

    /// The example `faults`, in front of this server.
    pub(crate) fn with_faults(&self, faults: &[&str]) -> Self {
        let (_, address) = self.url.split_once("//").expect("a URL");
        let mut command = Command::new(example("faults"));
        command.args(["--to", address.trim_end_matches('/')]).args(faults);
        Self::start(command, "Faults are at")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> String {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    free.expect("a free port").port().to_string()
}

/// The program of a server whose protocol a node speaks, as it was published.
fn original(program: &str) -> PathBuf {
    let originals = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/originals");
    let program = originals.join("node_modules").join(program);
    assert!(
        program.exists(),
        "{} is not installed: `npm ci --prefix loadtest/tests/originals`",
        program.display()
    );
    program
}

/// What a run of the driver has shown.
pub(crate) struct Shown {
    /// Its exit code.
    pub(crate) code: i32,
    /// Standard output: the table.
    pub(crate) table: String,
    /// Standard error: progress, and what went wrong.
    pub(crate) errors: String,
    /// The report; null if there is none.
    pub(crate) report: Value,
    /// The page; empty if there is none.
    pub(crate) page: String,
}

impl Shown {
    /// A number of the ledger.
    pub(crate) fn count(&self, what: &str) -> u64 {
        self.report["ledger"][what].as_u64().unwrap_or_else(|| panic!("no {what}:\n{self}"))
    }

    /// What should not be there, by its name.
    pub(crate) fn wrong(&self) -> Vec<(&'static str, u64)> {
        let names = ["lost", "doubled", "misrouted", "reordered", "damaged"];
        names.into_iter().map(|name| (name, self.count(name))).filter(|(_, count)| *count > 0).collect()
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}\n{}\n{}", self.code, self.errors, self.table)
    }
}

/// Runs the driver with these arguments.
pub(crate) fn loadtest(name: &str, arguments: &str, urls: &[&Server]) -> Shown {
    Drive::start(name, arguments, urls).shown()
}

/// The driver, running.
pub(crate) struct Drive {
    child: Child,
    errors: BufReader<ChildStderr>,
    told: String,
    json: PathBuf,
    plot: PathBuf,
}

impl Drive {
    /// Starts it with these arguments.
    pub(crate) fn start(name: &str, arguments: &str, urls: &[&Server]) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (json, plot) = (dir.join(format!("{name}.json")), dir.join(format!("{name}.html")));
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command.args(arguments.split_whitespace()).arg("--json").arg(&json).arg("--plot").arg(&plot);
        command.args(urls.iter().flat_map(|server| ["--url", &server.url]));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let errors = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { child, errors, told: String::new(), json, plot }
    }

    /// Waits until it says this, or ends.
    pub(crate) fn says(&mut self, words: &str) {
        while !self.told.contains(words) {
            let read = self.errors.read_line(&mut self.told).expect("it can be read");
            assert!(read > 0, "it never said “{words}”:\n{}", self.told);
        }
    }

    /// Waits for its end, and says what it has shown.
    pub(crate) fn shown(mut self) -> Shown {
        self.errors.read_to_string(&mut self.told).expect("it can be read");
        let output = self.child.wait_with_output().expect("it ends");
        let read = |file: &Path| std::fs::read_to_string(file).unwrap_or_default();
        Shown {
            code: output.status.code().expect("it ends by itself"),
            table: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: self.told,
            report: serde_json::from_str(&read(&self.json)).unwrap_or_default(),
            page: read(&self.plot),
        }
    }
}

/// The directory of this build's programs.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("")
}

fn example(name: &str) -> PathBuf {
    let program = programs().join("examples").join(name);
    assert!(program.exists(), "{} is not built: `cargo build -p loadtest --examples`", program.display());
    program
}

/// The program of a node: what SIGNAL_PROGRAM names, or one that is built as this test is; the driver does not know its
/// crate. Asked for in these words, `cargo test --workspace` has built it already: with examples, all crates have the
/// features that tests need, and none is built once more without them.
fn signal() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = env::var_os("SIGNAL_PROGRAM") {
            return program.into();
        }
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--bins", "--examples"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        // What cargo says to a test of its package makes build scripts run again, and all that depends on them.
        for (key, _) in env::vars()
            .filter(|(key, _)| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| key.starts_with(of)))
        {
            build.env_remove(key);
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo starts");
        assert!(status.success(), "the node cannot be built");
        programs().join("signal")
    })
}
