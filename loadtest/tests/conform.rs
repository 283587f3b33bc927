//! The scenes of the protocols, with nodes and with the servers whose protocols they were.

#![cfg(test)]

mod common;

use std::process::{Command, Stdio};
use std::thread;

use common::Server;

/// The protocols that a node speaks.
const SPOKEN: &[&str] = &["camus", "peerjs", "share", "direct", "mesh", "y-webrtc"];

/// What a node is told, so that scenes which need it are played.
const SETTINGS: &[&str] = &[
    "ice.stun=stun:127.0.0.1:3478",
    "turn.urls=turn:127.0.0.1:3478",
    "turn.secret=a secret of the tests",
    "peerjs.discovery=true",
    "direct.trust_name=false",
    "ops.token=an operator of the tests",
];

/// What another one is told: the scenes that need something else are played with it.
const OTHER_SETTINGS: &[&str] = &[
    "peerjs.discovery=false",
    "peerjs.concurrent_limit=2",
    "peerjs.alive_timeout=3s",
    "direct.trust_name=true",
    "ops.token=",
];

/// The same in PeerServer's words.
const ITS_OPTIONS: &[&str] = &["--allow_discovery"];
const ITS_OTHER_OPTIONS: &[&str] = &["--concurrent_limit", "2", "--alive_timeout", "3000"];

const PATIENCE: &str = "20s";

/// What a run has shown.
struct Shown {
    code: i32,
    told: String,
}

impl Shown {
    /// The names of the scenes that have this mark.
    fn marked(&self, mark: &str) -> Vec<&str> {
        let names = self.told.lines().filter_map(|line| line.strip_prefix("  ")?.strip_prefix(mark));
        names.map(str::trim).collect()
    }

    fn is_good(&self) {
        assert_eq!(self.code, 0, "{}", self.told);
        assert!(self.marked("✗").is_empty(), "{}", self.told);
    }
}

/// Plays scenes with these servers, which have these settings.
fn conform(dialect: &str, servers: &[&Server], with: &[&str], more: &[&str]) -> Shown {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    // Longer than a cluster takes to let anybody in when its Redis came back empty.
    command.args(["conform", "--dialect", dialect, "--patience", PATIENCE]).args(more);
    command.args(servers.iter().flat_map(|server| ["--url", &server.url]));
    command.args(with.iter().flat_map(|setting| ["--with", setting]));
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = text(&output.stdout) + &text(&output.stderr);
    Shown { code: output.status.code().expect("it ends by itself"), told }
}

/// Starts something with these settings.
fn with<T>(settings: &[&str], start: impl FnOnce(&[(&str, &str)]) -> T) -> T {
    let settings = settings.iter().filter_map(|setting| setting.split_once('='));
    let settings: Vec<_> =
        settings.map(|(key, value)| (key.to_uppercase().replace('.', "__"), value)).collect();
    let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    start(&settings)
}

/// Plays the scenes of all protocols at once.
fn all(servers: &[&Server], with: &[&str]) -> Vec<(&'static str, Shown)> {
    thread::scope(|scope| {
        let plays =
            SPOKEN.iter().map(|dialect| (*dialect, scope.spawn(|| conform(dialect, servers, with, &[]))));
        let plays: Vec<_> = plays.collect();
        plays.into_iter().map(|(dialect, play)| (dialect, play.join().expect("it is played"))).collect()
    })
}

#[test]
fn a_node_speaks_each_protocol() {
    let (one, other) = (with(SETTINGS, Server::node), with(OTHER_SETTINGS, Server::node));
    for (dialect, shown) in all(&[&one], SETTINGS) {
        shown.is_good();
        let missing = shown.marked("–");
        if !missing.is_empty() {
            let missing: Vec<_> = missing.iter().flat_map(|name| ["--scene", name]).collect();
            let shown = conform(dialect, &[&other], OTHER_SETTINGS, &missing);
            shown.is_good();
            assert!(shown.marked("–").is_empty(), "no node of this test can play these:\n{}", shown.told);
        }
    }
}

#[test]
fn two_nodes_do_with_peers_apart() {
    let redis = Server::redis();
    let [left, right] = with(SETTINGS, |settings| Server::cluster(&redis, settings));
    all(&[&left, &right], SETTINGS).iter().for_each(|(_, shown)| shown.is_good());
}

#[test]
fn and_when_their_redis_came_back_empty() {
    let redis = Server::redis();
    // With a shorter lease it is sooner known that all are there again.
    let settings = [SETTINGS, &["redis.lease=5s"]].concat();
    let [left, right] = with(&settings, |settings| Server::cluster(&redis, settings));
    let (_, port) = redis.url.rsplit_once(':').expect("a port");
    let port = port.to_owned();
    drop(redis);
    let _redis = Server::redis_at(&port);
    for node in [&left, &right] {
        conform("peerjs", &[node], &[], &["--scene", "To oneself works"]).is_good();
    }
    all(&[&left, &right], SETTINGS).iter().for_each(|(_, shown)| shown.is_good());
}

#[test]
fn peer_server_differs_in_what_is_listed_and_in_nothing_else() {
    let (one, other) = (Server::peer_server(ITS_OPTIONS), Server::peer_server(ITS_OTHER_OPTIONS));
    let shown = conform("peerjs", &[&one], SETTINGS, &["--original"]);
    shown.is_good();
    assert!(shown.told.contains("as listed, and in no other."), "{}", shown.told);
    assert!(shown.marked("≠").contains(&"With its token a name is taken over"), "{}", shown.told);

    let missing: Vec<_> = shown.marked("–").iter().flat_map(|name| ["--scene", name]).collect();
    let shown = conform("peerjs", &[&other], OTHER_SETTINGS, &[&["--original"], missing.as_slice()].concat());
    shown.is_good();
    assert!(shown.marked("–").is_empty(), "{}", shown.told);
}

#[test]
fn the_server_of_y_webrtc_differs_in_what_is_listed_and_in_nothing_else() {
    let shown = conform("y-webrtc", &[&Server::y_webrtc_server()], &[], &["--original"]);
    shown.is_good();
    assert!(shown.told.contains("differs in 3 of them, as listed, and in no other."), "{}", shown.told);
    assert!(shown.marked("–").is_empty(), "{}", shown.told);
}

#[test]
fn what_is_not_as_it_should_be_is_told_with_what_came_in_its_place() {
    // As if it were one of ours.
    let server = Server::peer_server(&[]);
    let shown =
        conform("peerjs", &[&server], &[], &["--scene", "A name that somebody has", "--scene", "To oneself"]);
    assert_eq!(shown.code, 1, "{}", shown.told);
    assert_eq!(shown.marked("✗"), ["A name that somebody has is taken"]);
    assert_eq!(shown.marked("✓"), ["To oneself works"]);
    for words in [
        "the contract   the id is free in the whole cluster",
        "expected       mallory is closed with 1008",
        "came           the end of the connection, without a code",
        "1 as it should be, 1 not, 0 not played.",
    ] {
        assert!(shown.told.contains(words), "{words}:\n{}", shown.told);
    }
}

#[test]
fn what_was_not_played_is_not_good() {
    let server = Server::peer_server(&[]);
    let shown = conform("peerjs", &[&server], &[], &["--scene", "Who is connected is told where"]);
    assert_eq!((shown.code, shown.marked("–").len()), (1, 1), "{}", shown.told);
    assert!(shown.told.contains("not played: it needs --with peerjs.discovery=true"), "{}", shown.told);
}

#[test]
fn wrong_usage_is_told_with_what_would_be_right() {
    for (dialect, more, why) in [
        ("hula", &[] as &[&str], "[possible values: camus, peerjs, share, direct, mesh, y-webrtc]"),
        ("camus", &["--scene", "a duel"], "--scene a duel: no scene of camus has that in its name"),
        ("camus", &["--original"], "--original: nothing is written about one in the scenes of camus"),
        ("camus", &["--url", "ftp://example.org"], "“ftp://example.org” is no URL of a node"),
    ] {
        let shown = conform(dialect, &[], &[], more);
        assert_eq!(shown.code, 2, "{}", shown.told);
        assert!(shown.told.contains(why), "{}", shown.told);
    }
}
