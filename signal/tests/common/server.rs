//! A Redis of a house's own. It ends with the house.

use std::io::{BufRead, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use super::DEADLINE;

/// A Redis of the house's own.
pub(super) struct Redis {
    pub(super) child: Child,
    pub(super) port: u16,
    /// What it writes to.
    file: Option<PathBuf>,
}

/// What a Redis says when it is up.
const READY: &str = "Ready to accept connections";

impl Redis {
    pub(super) fn start() -> Self {
        Self::start_with(&[], READY)
    }

    /// The same, with more to say to it; it is up when it has said `ready`.
    pub(super) fn start_with(options: &[&str], ready: &str) -> Self {
        // Somebody else may take the port between the asking and the starting.
        (0..5)
            .find_map(|_| Self::run(free_port(), options, ready))
            .expect("redis-server starts on one of five free ports")
    }

    pub(super) fn start_at(port: u16) -> Option<Self> {
        Self::run(port, &[], READY)
    }

    /// One that watches the Redis at `port`, and makes its replica the master when it is gone.
    pub(super) fn sentinel_of(port: u16) -> Self {
        let name = format!("switchboard-sentinel-{port}.conf");
        let file = std::env::temp_dir().join(name);
        let watch = format!(
            "sentinel monitor main 127.0.0.1 {port} 1\nsentinel down-after-milliseconds main 1000\n\
             sentinel failover-timeout main 3000\n"
        );
        std::fs::write(&file, watch).expect("room for a file");
        let path = file.to_str().expect("a path").to_owned();
        let mut sentinel = Self::start_with(&[&path, "--sentinel"], "+slave");
        sentinel.file = Some(file);
        sentinel
    }

    fn run(port: u16, options: &[&str], ready: &str) -> Option<Self> {
        let mut command = Command::new("redis-server");
        let port_option = port.to_string();
        // Not what another one has left where this runs.
        let snapshot = format!("switchboard-scenes-{port}.rdb");
        let mut own = vec!["--bind", "127.0.0.1", "--port", &port_option, "--dbfilename", &snapshot];
        if !options.contains(&"--sentinel") {
            own.extend(["--save", "", "--appendonly", "no", "--enable-debug-command", "local"]);
            // A replica that writes nothing to disk either.
            own.extend(["--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"]);
        }
        command.args(options).args(own);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn();
        let mut child =
            child.expect("there is no redis-server here: `apt-get install redis-server` brings it");
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let redis = Self { child, port, file: None };
        let until = Instant::now() + DEADLINE;
        while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(ready) {
                return Some(redis);
            }
        }
        None
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.file.take().map(std::fs::remove_file);
    }
}

/// A port that nobody listens on, and that the system does not give to anybody's connection meanwhile either.
pub(super) fn free_port() -> u16 {
    let ports = std::iter::repeat_with(|| rand::random_range(10_000..30_000));
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.take(100).find(is_free).expect("a free port")
}

/// What a process says.
pub(super) fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in std::io::BufReader::new(pipe).lines().map_while(Result::ok) {
            // Read on when nobody listens any more: a full pipe would stop the process.
            let _ = sender.send(line);
        }
    });
    lines
}
