//! A house: the nodes of a scene, and their Redis. All of it ends with the house, whatever becomes of the scene.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::server::{Guard, Redis, free_port, lines_of};
use super::{Browser, Client, DEADLINE, Page, Proxy, until, until_at_last};

/// Names of settings, without their prefix, and values.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

/// What every node of every house is told; a scene's own settings come after it.
const ALWAYS: Settings<'_> = &[
    ("LISTEN", "127.0.0.1:0"),
    ("OPS__LISTEN", "127.0.0.1:0"),
    ("SESSION__SECRET", "the scenes' secret, which is long enough"),
    ("ICE__STUN", ""),
    ("LOG", "debug"),
    ("DRAIN__WAIT", "0s"),
    ("DRAIN__SPREAD", "0s"),
];

/// After a fault, Redis is as it should be in this time.
const CLEAN: Duration = Duration::from_secs(30);

/// The nodes of a scene. Alice, Carol and Eve are on the first, Bob and Dave on the last.
pub(crate) struct House {
    nodes: Vec<Node>,
    redis: Option<Redis>,
    /// What may become the master.
    standby: Option<Redis>,
    /// Who says which one it is.
    sentinels: Vec<Redis>,
    /// The line from each node to the Redis, if it is not their own.
    lines: Vec<Proxy>,
    settings: Vec<(String, String)>,
}

impl House {
    /// One node, in memory.
    pub(crate) async fn one_node(settings: Settings<'_>) -> Self {
        Self::open(None, &["a"], false, settings)
    }

    /// Two nodes and a Redis.
    pub(crate) async fn two_nodes(settings: Settings<'_>) -> Self {
        Self::open_on(Redis::start(), false, settings).await
    }

    /// A Redis, for nodes of the scene's own.
    pub(crate) async fn redis_alone() -> Self {
        Self::open(Some(Redis::start()), &[], false, &[])
    }

    /// Where the Redis is.
    pub(crate) fn redis_url(&self) -> String {
        self.redis.as_ref().expect("there is one").url()
    }

    /// The same, each node with a line to Redis that may be a bad one.
    pub(crate) async fn bad_lines(settings: Settings<'_>) -> Self {
        let house = Self::open_on(Redis::start(), true, settings).await;
        for node in &house.nodes {
            node.counts("signal_backplane_up", |up| up == 1.0).await;
        }
        house
    }

    /// Two nodes, a Redis with a replica, and a Sentinel that watches them.
    pub(crate) async fn watched_redis(settings: Settings<'_>) -> Self {
        let master = Redis::start();
        let standby = master.replica();
        let sentinels = master.sentinels(1);
        let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinels[0].port);
        let settings: Vec<_> = settings.iter().copied().chain([("REDIS__URL", &*url)]).collect();
        let house = Self::open_on(master, false, &settings).await;
        Self { standby: Some(standby), sentinels, ..house }
    }

    /// The same with three Sentinels, where nobody hears anything without a certificate and a password.
    pub(crate) async fn guarded_redis(settings: Settings<'_>) -> Self {
        let guard = Guard::new();
        let master = Redis::guarded(&guard);
        let standby = master.replica();
        let sentinels = master.sentinels(3);
        let own = guard.settings(&sentinels);
        let own = own.iter().map(|(key, value)| (*key, value.as_str()));
        let settings: Vec<_> = settings.iter().copied().chain(own).collect();
        let house = Self::open_on(master, false, &settings).await;
        Self { standby: Some(standby), sentinels, ..house }
    }

    /// Two nodes and a Redis, where each process may have thousands of connections.
    pub(crate) async fn wide_nodes(settings: Settings<'_>) -> Self {
        // A process that is started has what this one has.
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to its maximum");
        Self::two_nodes(settings).await
    }

    /// Ends the master, without a word; its replica is what there is.
    pub(crate) fn loses_the_master(&mut self) {
        self.redis = self.standby.take();
    }

    async fn open_on(redis: Redis, bad_lines: bool, settings: Settings<'_>) -> Self {
        let house = Self::open(Some(redis), &["a", "b"], bad_lines, settings);
        for node in &house.nodes {
            node.is_ready().await;
        }
        house
    }

    fn open(redis: Option<Redis>, names: &[&str], bad_lines: bool, settings: Settings<'_>) -> Self {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut all: Vec<_> = ALWAYS.iter().map(own).collect();
        all.extend(redis.as_ref().map(|redis| ("REDIS__URL".to_owned(), redis.url())));
        all.extend(settings.iter().map(own));
        let line = |redis: &Redis| Proxy::to(SocketAddr::from((Ipv4Addr::LOCALHOST, redis.port)));
        let lines: Vec<_> = redis
            .iter()
            .filter(|_| bad_lines)
            .flat_map(|redis| names.iter().map(move |_| line(redis)))
            .collect();
        let mut house =
            Self { nodes: Vec::new(), redis, standby: None, sentinels: Vec::new(), lines, settings: all };
        house.nodes =
            (0..names.len()).map(|place| Node::start(names[place], &house.settings_at(place))).collect();
        house
    }

    /// What the node at this place is told.
    fn settings_at(&self, place: usize) -> Vec<(String, String)> {
        let url = self.lines.get(place).map(|line| format!("redis://{}", line.address));
        let mut settings = self.settings.clone();
        if let Some(url) = url {
            // Who may be cut off has neighbours whom it can ask.
            let door = format!("127.0.0.1:{}", free_port());
            let own = [("REDIS__URL", url), ("OPS__LISTEN", door.clone()), ("NODE__ADDRESS", door)];
            settings.extend(own.map(|(key, value)| (key.to_owned(), value)));
        }
        settings
    }

    /// The line from the node of `name` to Redis.
    pub(crate) fn line_of(&self, name: &str) -> &Proxy {
        self.lines.get(self.place_of(name)).expect("a house of bad lines")
    }

    /// The node where `name` is.
    pub(crate) fn node_of(&self, name: &str) -> &Node {
        &self.nodes[self.place_of(name)]
    }

    fn place_of(&self, name: &str) -> usize {
        usize::from(name.as_bytes()[0] - b'A') % self.nodes.len()
    }

    /// The node where `name` is not, if there is another one.
    pub(crate) fn other_node(&self, name: &str) -> &Node {
        &self.nodes[(self.place_of(name) + 1) % self.nodes.len()]
    }

    /// Ends the node where `name` is, without a word.
    pub(crate) fn loses_the_node_of(&mut self, name: &str) {
        let place = self.place_of(name);
        self.nodes[place].kill();
    }

    /// Starts a node anew where the one of `name` was, and waits until it is ready.
    pub(crate) async fn restarts_the_node_of(&mut self, name: &str) {
        self.starts_the_node_of(name);
        self.node_of(name).is_ready().await;
    }

    /// Starts a node anew where the one of `name` was.
    pub(crate) fn starts_the_node_of(&mut self, name: &str) {
        let place = self.place_of(name);
        self.nodes[place] = Node::start(["a", "b"][place], &self.settings_at(place));
    }

    /// The process of the node where `name` is stands still.
    pub(crate) fn freezes_the_node_of(&self, name: &str) {
        signal(&self.node_of(name).child, "STOP");
    }

    /// It goes on.
    pub(crate) fn wakes_the_node_of(&self, name: &str) {
        signal(&self.node_of(name).child, "CONT");
    }

    /// The Redis stands still.
    pub(crate) fn freezes_redis(&self) {
        signal(&self.redis.as_ref().expect("there is one").child, "STOP");
    }

    /// It goes on.
    pub(crate) fn wakes_redis(&self) {
        signal(&self.redis.as_ref().expect("there is one").child, "CONT");
    }

    /// Asks the Redis something, on a connection of its own; the answer.
    pub(crate) async fn asks_redis<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = self.redis.as_ref().expect("there is one").client();
        // A Redis that is made to sleep answers when it is awake.
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let wire = client.get_multiplexed_async_connection_with_config(&patient).await;
        let mut wire = wire.expect("it listens");
        let mut command = redis::cmd(words[0]);
        let answer = command.arg(&words[1..]).query_async(&mut wire).await;
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The full name of the node where `name` is, as the others know it.
    pub(crate) async fn id_of(&self, name: &str) -> String {
        Browser::at(self.node_of(name).address).get("/").await.header("x-served-by").to_owned()
    }

    /// A connection to the Redis of the scene's own, for when there may be no more of them.
    pub(crate) async fn wire_to_redis(&self) -> redis::aio::MultiplexedConnection {
        let client = self.redis.as_ref().expect("there is one").client();
        client.get_multiplexed_async_connection().await.expect("it listens")
    }

    /// How many keys there are when nobody is anywhere.
    pub(crate) fn keys_of_an_empty_house(&self) -> u64 {
        // Each node's lease and life, the nodes, the epoch.
        self.nodes.len() as u64 * 2 + 2
    }

    /// The one checker: in Redis, exactly these are in `room`, each on the node that she is connected to, and those who
    /// are away on any. Then all leave, and nothing is left behind.
    pub(crate) async fn is_as_it_should_be(&self, room: &str, here: Vec<Client>, away: Vec<Client>) {
        let key = format!("sg:{{r:camus/{room}}}:m");
        until_at_last(CLEAN, "Redis to know who is where", async || {
            let members: BTreeMap<String, String> = self.asks_redis(&["HGETALL", &key]).await;
            let is_at = |client: &Client| {
                let fields: Vec<_> = members.get(&client.id)?.split('|').collect();
                Some((fields[5].split('.').next()?.to_owned(), fields[3] == "1"))
            };
            let node = |client: &Client| {
                self.nodes.iter().find(|node| node.address == client.pass.browser.address).expect("a node")
            };
            members.len() == here.len() + away.len()
                && here.iter().all(|client| is_at(client) == Some((node(client).name.clone(), false)))
                && away.iter().all(|client| is_at(client).is_some_and(|(_, away)| away))
        })
        .await;
        for mut client in here {
            client.asks("bye").await;
            client.is_sent_away(1000).await;
        }
        for client in away {
            // She comes back for no longer than it takes to say so.
            let mut again = client.pass.clone().connects().await;
            again.asks("bye").await;
            again.is_sent_away(1000).await;
        }
        until_at_last(CLEAN, "Redis to be as empty as it was", async || {
            self.asks_redis::<u64>(&["DBSIZE"]).await == self.keys_of_an_empty_house()
        })
        .await;
    }

    /// Asks the node where `name` is to stop.
    pub(crate) fn asks_the_node_to_stop(&self, name: &str) {
        self.node_of(name).asks_to_stop();
    }

    /// Waits until the node where `name` is has stopped.
    pub(crate) async fn sees_the_node_stop(&mut self, name: &str) -> ExitStatus {
        let place = self.place_of(name);
        self.nodes[place].has_stopped().await
    }

    /// Ends the Redis, without a word.
    pub(crate) fn loses_redis(&mut self) {
        self.redis = None;
    }

    /// Starts a Redis with nothing in it where the one was that is lost.
    pub(crate) fn finds_redis_empty(&mut self) {
        let url = self.settings.iter().find(|(key, _)| key == "REDIS__URL").map(|(_, url)| url.as_str());
        let port = url.and_then(|url| url.rsplit(':').next()).and_then(|port| port.parse().ok());
        self.redis = Redis::start_at(port.expect("there was one"));
        assert!(self.redis.is_some(), "it starts where it was");
    }

    /// Cuts all connections of a kind (`pubsub`, `normal`) to Redis; how many there were.
    pub(crate) async fn cuts_connections(&self, kind: &str) -> u64 {
        self.asks_redis(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await
    }

    /// The names of all keys in Redis; none without one.
    pub(crate) async fn keys(&self) -> Vec<String> {
        if self.redis.is_some() { self.asks_redis(&["KEYS", "*"]).await } else { Vec::new() }
    }

    /// Ends the node of `name`; all that it has logged.
    pub(crate) fn last_log_of(&mut self, name: &str) -> String {
        let place = self.place_of(name);
        self.nodes[place].last_log()
    }

    /// A browser of `name`, who has not been anywhere yet.
    pub(crate) fn browser(&self, name: &str) -> Browser {
        Browser::new(name, self.node_of(name))
    }

    /// The page of `room` in a new browser of Alice.
    pub(crate) async fn page(&self, room: &str) -> (Browser, Page) {
        let mut browser = self.browser("Alice");
        let page = browser.opens(room).await;
        (browser, page)
    }

    /// `name` enters `room` and asks what the web client asks.
    pub(crate) async fn enters(&self, name: &str, room: &str) -> Client {
        let mut client = self.knocks(name, room).await;
        client.introduces_herself().await;
        client
    }

    /// `name` is connected to `room`, and has not said anything yet.
    pub(crate) async fn knocks(&self, name: &str, room: &str) -> Client {
        let pass = self.browser(name).gets_into(room, serde_json::json!({ "username": name })).await;
        pass.connects().await
    }

    /// They enter `room` one after the other, until all see each other.
    pub(crate) async fn meet<const N: usize>(&self, names: [&str; N], room: &str) -> [Client; N] {
        let mut there: Vec<Client> = Vec::new();
        for (arrived, name) in names.iter().enumerate() {
            let newcomer = Box::pin(self.enters(name, room)).await;
            for client in &mut there {
                client.sees(&names[..=arrived]).await;
            }
            there.push(newcomer);
        }
        there.try_into().unwrap_or_else(|_| unreachable!("one client for each name"))
    }
}

/// A process of the program.
pub(crate) struct Node {
    name: String,
    child: Child,
    log: Arc<Mutex<String>>,
    log_is_read: Option<thread::JoinHandle<()>>,
    /// What it said on the terminal.
    pub(crate) greeting: Vec<String>,
    /// Where its page is.
    pub(crate) address: SocketAddr,
    /// Where its metrics are.
    pub(crate) ops: SocketAddr,
}

impl Node {
    fn start(name: &str, settings: &[(String, String)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_signal"));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SIGNAL__")) {
            command.env_remove(key);
        }
        command.env("SIGNAL__NODE__NAME", name);
        command.envs(settings.iter().map(|(key, value)| (format!("SIGNAL__{key}"), value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let lines = lines_of(child.stdout.take().expect("it is piped"));
        let log = Arc::new(Mutex::new(String::new()));
        let log_is_read = keep(child.stderr.take().expect("it is piped"), log.clone());
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut node = Self {
            name: name.to_owned(),
            child,
            log,
            log_is_read: Some(log_is_read),
            greeting: Vec::new(),
            address: nowhere,
            ops: nowhere,
        };
        let until = Instant::now() + DEADLINE;
        while node.greeting.len() < 3 {
            let line = lines.recv_timeout(until.saturating_duration_since(Instant::now()));
            node.greeting.push(line.expect("three lines that say where the node is"));
        }
        node.address = address_in(&node.greeting[0], "Switchboard is at");
        node.ops = address_in(&node.greeting[1], "Metrics are at");
        assert!(node.greeting[2].starts_with("This node is"), "{}", node.greeting[2]);
        node
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn is_ready(&self) {
        let mut operator = Browser::at(self.ops);
        until("the node to be ready", async || operator.get("/ready").await.status == 200).await;
    }

    /// The value of a metric, which is named with its labels; 0 if it is not there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        metric(self.ops, name).await
    }

    /// Waits until a metric has the value that `is` takes.
    pub(crate) async fn counts(&self, name: &str, is: impl Fn(f64) -> bool) {
        until(name, async || is(self.metric(name).await)).await;
    }

    /// Whether it has logged this by now.
    pub(crate) fn has_logged(&self, words: &str) -> bool {
        self.log.lock().expect("nobody panics with it").contains(words)
    }

    /// Ends it without a word.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn asks_to_stop(&self) {
        signal(&self.child, "TERM");
    }

    async fn has_stopped(&mut self) -> ExitStatus {
        until("the node to end", async || self.child.try_wait().is_ok_and(|status| status.is_some())).await;
        self.child.wait().expect("it has ended")
    }

    /// Ends it; all that it has logged.
    pub(crate) fn last_log(&mut self) -> String {
        self.kill();
        self.log_is_read.take().map(thread::JoinHandle::join);
        self.log.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let log = self.last_log();
        if thread::panicking() {
            eprintln!(
                "--- node {} said ---\n{}\n{log}--- end of node {} ---",
                self.name,
                self.greeting.join("\n"),
                self.name
            );
        }
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status();
    assert!(sent.is_ok_and(|status| status.success()), "there is a process to send {name} to");
}

/// The value of a metric of the node whose ops listener is at `ops`.
pub(super) async fn metric(ops: SocketAddr, name: &str) -> f64 {
    let text = Browser::at(ops).get("/metrics").await.body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a metric is a number"))
}

fn address_in(line: &str, before: &str) -> SocketAddr {
    let url = line.strip_prefix(before).map(str::trim_start).and_then(|rest| rest.strip_prefix("http://"));
    let host = url.and_then(|rest| rest.split('/').next()).map(|host| host.replace("localhost", "127.0.0.1"));
    host.and_then(|host| host.parse().ok()).unwrap_or_else(|| panic!("no address in {line:?}"))
}

fn keep(pipe: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in std::io::BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("nobody panics with it");
            log.push_str(&line);
            log.push('\n');
        }
    })
}
