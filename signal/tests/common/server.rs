//! A Redis of a house's own, with whoever watches it. They end with the house.

use std::io::{BufRead, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use redis::{ClientTlsConfig, TlsCertificates};

use super::DEADLINE;

/// A Redis of the house's own, or a Sentinel.
pub(super) struct Redis {
    pub(super) child: Child,
    pub(super) port: u16,
    lines: Receiver<String>,
    said: Vec<String>,
    guard: Option<Guard>,
    /// What it writes to.
    file: Option<PathBuf>,
}

/// What a Redis says when it is up.
const READY: &str = "Ready to accept connections";
/// What a replica says when it has everything.
const COMPLETE: &str = "Finished with success";
/// What a Sentinel says when it has found a replica, and when it has found another Sentinel.
const FOUND: (&str, &str) = ("+slave ", "+sentinel ");

impl Redis {
    pub(super) fn start() -> Self {
        Self::start_with(None, &[], READY)
    }

    /// One that lets nobody in without a certificate and a password, and speaks nothing but TLS.
    pub(super) fn guarded(guard: &Guard) -> Self {
        Self::start_with(Some(guard), &[], READY)
    }

    /// One that has all that this one has, and what comes to it.
    pub(super) fn replica(&self) -> Self {
        let port = self.port.to_string();
        Self::start_with(self.guard.as_ref(), &["--replicaof", "127.0.0.1", &port], COMPLETE)
    }

    /// So many that watch it, and make its replica the master when it is gone. They know of each other.
    pub(super) fn sentinels(&self, count: usize) -> Vec<Self> {
        let mut sentinels: Vec<_> = (0..count).map(|_| self.sentinel(count / 2 + 1)).collect();
        for sentinel in &mut sentinels {
            assert!(sentinel.has_said(FOUND.1, count - 1), "Sentinels find each other: {:?}", sentinel.said);
        }
        sentinels
    }

    fn sentinel(&self, quorum: usize) -> Self {
        let name = format!("switchboard-sentinel-{:016x}.conf", rand::random::<u64>());
        let file = std::env::temp_dir().join(name);
        let mut watch = format!(
            "sentinel monitor main 127.0.0.1 {} {quorum}\nsentinel down-after-milliseconds main 1000\n\
             sentinel failover-timeout main 3000\n",
            self.port
        );
        if self.guard.is_some() {
            watch
                .push_str(&format!("sentinel auth-pass main {PASSWORD}\nrequirepass {SENTINELS_PASSWORD}\n"));
        }
        std::fs::write(&file, watch).expect("room for a file");
        let path = file.to_str().expect("a path").to_owned();
        let mut sentinel = Self::start_with(self.guard.as_ref(), &[&path, "--sentinel"], FOUND.0);
        sentinel.file = Some(file);
        sentinel
    }

    /// Starts it with more to say to it; it is up when it has said `ready`.
    fn start_with(guard: Option<&Guard>, options: &[&str], ready: &str) -> Self {
        // Somebody else may take the port between the asking and the starting.
        (0..5)
            .find_map(|_| Self::run(free_port(), guard, options, ready))
            .expect("redis-server starts on one of five free ports")
    }

    pub(super) fn start_at(port: u16) -> Option<Self> {
        Self::run(port, None, &[], READY)
    }

    fn run(port: u16, guard: Option<&Guard>, options: &[&str], ready: &str) -> Option<Self> {
        let mut command = Command::new("redis-server");
        // Not what another one has left where this runs.
        let snapshot = format!("switchboard-scenes-{port}.rdb");
        let port_option = port.to_string();
        command.args(options).args(["--bind", "127.0.0.1", "--dbfilename", &snapshot]);
        match guard {
            None => command.args(["--port", &port_option]),
            Some(guard) => command.args(["--port", "0", "--tls-port", &port_option]).args(guard.options()),
        };
        if !options.contains(&"--sentinel") {
            command.args(["--save", "", "--appendonly", "no", "--enable-debug-command", "local"]);
            // A replica that writes nothing to disk either.
            command.args(["--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"]);
            if guard.is_some() {
                command.args(["--requirepass", PASSWORD, "--masterauth", PASSWORD]);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn();
        let mut child =
            child.expect("there is no redis-server here: `apt-get install redis-server` brings it");
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let guard = guard.cloned();
        let mut redis = Self { child, port, lines, said: Vec::new(), guard, file: None };
        redis.has_said(ready, 1).then_some(redis)
    }

    /// Waits until it has said this so many times; whether it has, in time.
    fn has_said(&mut self, words: &str, times: usize) -> bool {
        let until = Instant::now() + DEADLINE;
        while self.said.iter().filter(|line| line.contains(words)).count() < times {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(_) => return false,
            }
        }
        true
    }

    /// Where it is, and the password that it wants.
    pub(super) fn url(&self) -> String {
        match &self.guard {
            None => format!("redis://127.0.0.1:{}", self.port),
            Some(_) => format!("rediss://:{PASSWORD}@127.0.0.1:{}", self.port),
        }
    }

    /// The way to it, for somebody who may come in.
    pub(super) fn client(&self) -> redis::Client {
        match &self.guard {
            None => redis::Client::open(self.url()),
            Some(guard) => redis::Client::build_with_tls(self.url(), guard.certificates()),
        }
        .expect("a URL")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.file.take().map(std::fs::remove_file);
    }
}

/// What a guarded Redis wants to hear from whoever comes.
pub(super) const PASSWORD: &str = "the-password-of-the-Redis";
/// And its Sentinels: with characters that have to be written otherwise in a URL.
const SENTINELS_PASSWORD: &str = "that/of?its&Sentinels";

/// The certificates of a house that lets nobody in without one: all parts have the same.
#[derive(Clone)]
pub(super) struct Guard(Arc<Folder>);

/// A folder that is gone when this is.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Guard {
    pub(super) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("switchboard-guard-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).expect("room for a folder");
        let guard = Self(Arc::new(Folder(folder)));
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "the scenes' authority");
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"));
        let issuer = issuer.expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        let cert = params.signed_by(&key, &issuer).expect("a certificate");
        for (name, pem) in [("ca", issuer.pem()), ("cert", cert.pem()), ("key", key.serialize_pem())] {
            std::fs::write(guard.file(name), pem).expect("room for a file");
        }
        guard
    }

    /// The file of `ca`, `cert` or `key`.
    pub(super) fn file(&self, name: &str) -> String {
        self.0.0.join(format!("{name}.pem")).to_str().expect("a path").to_owned()
    }

    fn options(&self) -> Vec<String> {
        let files = [("--tls-ca-cert-file", "ca"), ("--tls-cert-file", "cert"), ("--tls-key-file", "key")];
        let mut options: Vec<_> =
            files.into_iter().flat_map(|(option, name)| [option.to_owned(), self.file(name)]).collect();
        options.extend(["--tls-replication".to_owned(), "yes".to_owned()]);
        options
    }

    fn certificates(&self) -> TlsCertificates {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read = |name| std::fs::read(self.file(name)).expect("it was written");
        let client_tls = Some(ClientTlsConfig { client_cert: read("cert"), client_key: read("key") });
        TlsCertificates { client_tls, root_cert: Some(read("ca")) }
    }

    /// What nodes are told to come to the Redis that these Sentinels watch.
    pub(super) fn settings(&self, sentinels: &[Redis]) -> Vec<(&'static str, String)> {
        let hosts: Vec<_> = sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        let mut url = format!("rediss+sentinel://:{PASSWORD}@{}/main?sentinel_password=", hosts.join(","));
        url.extend(form_urlencoded::byte_serialize(SENTINELS_PASSWORD.as_bytes()));
        vec![
            ("REDIS__URL", url),
            ("REDIS__TLS_CA", self.file("ca")),
            ("REDIS__TLS_CERT", self.file("cert")),
            ("REDIS__TLS_KEY", self.file("key")),
        ]
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
