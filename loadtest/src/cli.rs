//! The command line: scenarios and their options, checked and made into a [`Task`].

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};

use crate::conform::{Audition, SCRIPTS};
use crate::crew::WORKER;
use crate::dialect::{self, Says};
use crate::machine;
use crate::plan::{Churn, Joins, Plan, Speech, Traffic, Trust};
use crate::schedule::CANDIDATE_BYTES;
use crate::stamp::{MAX_BYTES, STAMP_BYTES};
use crate::watch::Watch;

/// Connections from one address, at most: a client's ports are some 28 000, and each join takes two for a moment.
const PER_SOURCE: u32 = 20_000;
/// Addresses of 127.0.0.0/8 that are used at most.
const MOST_SOURCES: u32 = 200;
/// Peers at most: numbers of peers are sent with 32 bits, and every one is a task.
const MOST_PEERS: u32 = 1_000_000;

const EXAMPLES: &str = "\
Examples:
  One node, a hundred peers, ten seconds:
      loadtest

  Two nodes, 2 000 peers in rooms of 4 with their members on both, and a picture:
      loadtest --url http://127.0.0.1:8081 --url http://127.0.0.1:8082 \\
          --peers 2000 --rate 5000 --for 60s --plot load.html

  What an idle connection costs the process 4711:
      loadtest idle --peers 5000 --pid 4711

  How busy two nodes and their Redis are with 10 000 messages a second, all of them across nodes:
      loadtest --url http://127.0.0.1:8081 --url http://127.0.0.1:8082 --peers 400 --room 2 --rate 10000 \\
          --pid 4711 --pid 4712 --redis redis://127.0.0.1:6379

  What the driver itself costs, and how late it is, against a server that does nothing:
      cargo run --release -p loadtest --example echo
      loadtest --dialect echo --url ws://127.0.0.1:9000 --peers 2000 --rate 5000

What is counted:
  Every message carries its number, its sender, its receiver and the moment at which it was due. The schedule is fixed
  before the first is sent, and latency is measured from the moment at which a message was due, so a server that makes
  the driver wait cannot hide it. `lag` is how late the driver itself was.

  lost         sent, and neither arrived nor accounted for below
  doubled      arrived again, on the same connection
  repeated     arrived again after the receiver had come back: it could not be known that it had
  misrouted    arrived at somebody else, or under another name
  reordered    arrived after a younger one of the same two peers
  damaged      arrived with other bytes
  told         the server told the sender that it could not be delivered
  refused      the server did not take it
  cut          was not there yet when its sender's connection ended, and never came: the sender knows that it cannot know
  missed       was said while its receiver was not connected, in a protocol that keeps nothing (y-webrtc)
  unsent       due while its sender had no connection

Exit code:
  0  each message is accounted for
  1  something was lost, doubled, misrouted, reordered or damaged; or connections that should have been made or held
     were not
  2  it could not run

A node's own limits, and settings to raise for a test that needs more:
  limits.messages_per_second, limits.bytes_per_second    what one peer may send: 200 and 512 KiB
  rooms.max_members                                      members of one room: 1000
  limits.rooms_per_minute                                rooms of more than 100, and of share, from one address: 60
  limits.registrations_per_minute                        names of direct from one address: 60
  limits.connections, and the descriptors of its process";

const CONFORM_EXAMPLES: &str = "\
Examples:
  A node, with peers of the PeerJS protocol:
      loadtest conform --dialect peerjs

  Two nodes, with those who talk apart, and a setting that some scenes need:
      loadtest conform --dialect peerjs --url http://127.0.0.1:8081 --url http://127.0.0.1:8082 \\
          --with peerjs.discovery=true

  The original server, and what of it we do otherwise, with the reasons:
      npx peer --port 9000
      loadtest conform --dialect peerjs --original --url http://127.0.0.1:9000

What is told of each scene:
  ✓  all is as it should be
  ≠  the original does otherwise, as is written in the scene; and why we do not
  ✗  the first thing that is not as it should be, and what came in its place
  –  not played, as it needs a setting (--with)

Exit code:
  0  all that was played is as it should be
  1  something is not, or nothing was played
  2  it could not be tried

The scenes are in loadtest/conform, a file for each protocol.";

/// Thousands of simulated peers with a ledger of every message, and pictures of the latencies.
///
/// Without the name of a scenario, `calls` is run.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    scenario: Option<Scenario>,
    #[command(flatten)]
    calls: Calls,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Everybody calls everybody in their room: an offer, an answer, ten candidates, and again.
    Calls(Calls),
    /// Connections that only answer pings; with --pid, what they cost.
    Idle(Idle),
    /// Many join at once, or at a rate: how long until each is seated, how many are turned away.
    Storm(Storm),
    /// One speaks to a room of a thousand.
    Room(Room),
    /// Calls, while peers go away and come back.
    Churn(Churning),
    /// Whether a server speaks a protocol: who says what, who must hear what, and who must not, scene by scene.
    #[command(after_help = CONFORM_EXAMPLES)]
    Conform(Conform),
    /// One of several processes.
    #[command(name = WORKER, hide = true)]
    Worker,
}

#[derive(Args, Debug)]
struct Where {
    /// Where a node is; several times for several: those who talk are spread over them.
    #[arg(long, default_value = "http://127.0.0.1:8080", help_heading = "Where")]
    url: Vec<String>,
    /// Believe certificates that the authority in this PEM file has signed.
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    ca: Option<PathBuf>,
    /// Believe every certificate.
    #[arg(long, conflicts_with = "ca", help_heading = "Where")]
    insecure: bool,
}

impl Where {
    fn trust(&self) -> Trust {
        match (self.insecure, &self.ca) {
            (true, _) => Trust::Anybody,
            (false, Some(file)) => Trust::File(file.clone()),
            (false, None) => Trust::Web,
        }
    }
}

#[derive(Args, Debug)]
struct Common {
    #[command(flatten)]
    place: Where,
    /// The protocol: camus, peerjs, share, direct, mesh or y-webrtc; or echo for a server that sends everything back.
    #[arg(long, default_value = "camus", help_heading = "Where")]
    dialect: String,
    /// Processes to run in; as many as their descriptors require, if not said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "How")]
    processes: Option<u32>,
    /// Addresses 127.0.0.1, 127.0.0.2, … to come from, to a node on this machine; as many as their ports require, if
    /// not said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MOST_SOURCES as i64), help_heading = "How")]
    sources: Option<u8>,
    /// Handshakes under way at once; in a storm all, if not said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "How")]
    connects: Option<u32>,
    /// How long one handshake may take.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration, help_heading = "How")]
    handshake_timeout: Duration,
    /// A process on this machine: how busy it is while the peers talk, or come in; and its memory, if they are idle.
    #[arg(long, value_name = "PID", help_heading = "Report")]
    pid: Vec<u32>,
    /// The nodes' Redis (redis://…): how busy it is.
    #[arg(long, value_name = "URL", help_heading = "Report")]
    redis: Option<String>,
    /// Write the report to this file, as JSON.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,
    /// Draw the report into this file, one HTML page that needs nothing else.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    plot: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Crowd {
    /// Peers; a multiple of --room.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PEERS)))]
    peers: u32,
    /// Members of each room.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    room: u32,
}

#[derive(Args, Debug)]
struct Times {
    /// How long to measure.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    length: Duration,
    /// How long to talk before that: its messages are in the ledger, but their latencies are not counted.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// How long to wait at the end for what is missing.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    settle: Duration,
}

#[derive(Args, Debug)]
struct Calls {
    #[command(flatten)]
    crowd: Crowd,
    /// Messages per second, of all peers.
    #[arg(long, value_name = "MESSAGES", default_value_t = 500.0, value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Idle {
    #[command(flatten)]
    crowd: Crowd,
    /// How long to stay.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    length: Duration,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Storm {
    #[command(flatten)]
    crowd: Crowd,
    /// Joins per second; all at once, if not said.
    #[arg(long, value_name = "JOINS", value_parser = rate)]
    rate: Option<f64>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Room {
    /// Peers in the room.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=i64::from(MOST_PEERS)))]
    peers: u32,
    /// Messages per second that the speaker says.
    #[arg(long, value_name = "MESSAGES", default_value_t = 10.0, value_parser = rate)]
    rate: f64,
    /// Bytes of each.
    #[arg(long, default_value_t = CANDIDATE_BYTES)]
    bytes: usize,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Churning {
    #[command(flatten)]
    crowd: Crowd,
    /// Messages per second, of all peers.
    #[arg(long, value_name = "MESSAGES", default_value_t = 500.0, value_parser = rate)]
    rate: f64,
    /// How many peers go away each second.
    #[arg(long, value_name = "PEERS", default_value_t = 5.0, value_parser = rate)]
    leave: f64,
    /// How long each stays away.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    away: Duration,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Conform {
    #[command(flatten)]
    place: Where,
    /// The protocol.
    #[arg(long, default_value = "camus", value_parser = dialects_with_scenes(), help_heading = "Where")]
    dialect: String,
    /// The server is the protocol's original: what it is known to do otherwise is expected, and listed with our reason.
    #[arg(long)]
    original: bool,
    /// A setting that the server has; several times for several. Scenes that need one are not played without it.
    #[arg(long, value_name = "SETTING=VALUE")]
    with: Vec<String>,
    /// Play only scenes with this in their names; several times for several.
    #[arg(long, value_name = "PART OF A NAME")]
    scene: Vec<String>,
    /// How long to wait for anything.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    patience: Duration,
}

fn dialects_with_scenes() -> PossibleValuesParser {
    SCRIPTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().into()
}

impl Conform {
    fn audition(self) -> Audition {
        Audition {
            trust: self.place.trust(),
            urls: self.place.url,
            dialect: self.dialect,
            patience: self.patience,
            is_original: self.original,
            with: self.with,
            scenes: self.scene,
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "a number is needed".to_owned())?;
    if number.is_finite() && (0.001..=10_000_000.0).contains(&number) {
        Ok(number)
    } else {
        Err("a number above zero is needed, how many per second".into())
    }
}

/// What the program is to do.
#[derive(Debug)]
pub enum Task {
    /// Be one process of a run.
    Work,
    /// Run a scenario.
    Run(Box<Run>),
    /// Play the scenes of a protocol.
    Conform(Audition),
}

/// A scenario, ready to be run.
#[derive(Debug)]
pub struct Run {
    /// Its name.
    pub scenario: &'static str,
    /// What it is, in a sentence.
    pub what: String,
    /// The whole plan.
    pub plan: Plan,
    /// In so many processes.
    pub processes: u32,
    /// The part of the plan's length that is not measured.
    pub warm_up: Duration,
    /// Whether it is over once everybody has come in.
    pub only_joins: bool,
    /// Whom to watch meanwhile.
    pub watch: Watch,
    /// Where to write the report.
    pub json: Option<PathBuf>,
    /// Where to draw it.
    pub plot: Option<PathBuf>,
}

impl Cli {
    /// What is asked for, or what is wrong with it.
    pub fn task(self) -> Result<Task, String> {
        let run = match self.scenario.unwrap_or(Scenario::Calls(self.calls)) {
            Scenario::Worker => return Ok(Task::Work),
            Scenario::Conform(conform) => return Ok(Task::Conform(conform.audition())),
            Scenario::Calls(calls) => calls.run()?,
            Scenario::Idle(idle) => idle.run()?,
            Scenario::Storm(storm) => storm.run()?,
            Scenario::Room(room) => room.run()?,
            Scenario::Churn(churn) => churn.run()?,
        };
        Ok(Task::Run(Box::new(run)))
    }
}

/// Handshakes under way at once, if nobody says how many.
const CONNECTS: u32 = 64;

impl Common {
    /// A run in which nothing is said yet.
    fn run(self, scenario: &'static str, crowd: &Crowd) -> Result<Run, String> {
        let Some(dialect) = dialect::named(&self.dialect) else {
            let names: Vec<_> = dialect::DIALECTS.iter().map(|dialect| dialect.name()).collect();
            return Err(format!("--dialect {}: there are {}", self.dialect, names.join(", ")));
        };
        let speech = dialect.customs().speech;
        if scenario == "room" && !matches!(speech, Says::ToPeerOrRoom | Says::ToRoom) {
            return Err(format!(
                "--dialect {}: nobody speaks to a whole room there; with camus and y-webrtc they do",
                self.dialect
            ));
        }
        let is_alone = speech == Says::ToItself;
        let room = if is_alone { 1 } else { crowd.room };
        if !crowd.peers.is_multiple_of(room) {
            let (fewer, more) = (crowd.peers / room * room, crowd.peers.div_ceil(room) * room);
            return Err(format!(
                "--peers {} is no multiple of --room {room}: {fewer} or {more} is",
                crowd.peers
            ));
        }
        if room == 1 && !is_alone && scenario != "idle" && scenario != "storm" {
            return Err("--room 1: nobody is there to talk to; 2 or more are needed".into());
        }
        let most = u32::try_from(machine::connections_per_process()).unwrap_or(u32::MAX);
        let processes = self.processes.unwrap_or_else(|| crowd.peers.div_ceil(most).max(1));
        let sources = crowd.peers.div_ceil(PER_SOURCE).clamp(1, MOST_SOURCES);
        let trust = self.place.trust();
        let plan = Plan {
            run: rand::random(),
            dialect: self.dialect,
            urls: self.place.url,
            trust,
            sources: self.sources.unwrap_or(u8::try_from(sources).unwrap_or(u8::MAX)),
            peers: crowd.peers,
            room,
            rooms: 0..crowd.peers / room,
            asks_for_roster: true,
            joins: Joins {
                at_once: self.connects.unwrap_or(CONNECTS),
                rate: None,
                handshake_timeout: self.handshake_timeout,
            },
            traffic: None,
            churn: None,
            length: Duration::ZERO,
            settle: Duration::ZERO,
        };
        Ok(Run {
            scenario,
            what: String::new(),
            plan,
            processes,
            warm_up: Duration::ZERO,
            only_joins: false,
            watch: Watch { pids: self.pid, redis: self.redis },
            json: self.json,
            plot: self.plot,
        })
    }
}

impl Run {
    /// The processes whose memory is looked at: what connections cost is seen when nothing else happens.
    pub fn weighed(&self) -> &[u32] {
        if self.scenario == "idle" { &self.watch.pids } else { &[] }
    }

    fn saying(mut self, traffic: Traffic, times: &Times) -> Self {
        self.warm_up = times.warm_up;
        self.plan.traffic = Some(traffic);
        self.plan.length = times.warm_up + times.length;
        self.plan.settle = times.settle;
        self
    }

    fn described(mut self, what: impl FnOnce(&Plan) -> String) -> Self {
        self.what = what(&self.plan);
        self
    }
}

fn crowd(plan: &Plan) -> String {
    let (peers, rooms) = (plan.peers, plan.rooms_in_all());
    match plan.room {
        1 => format!("{peers} peers, each by itself"),
        room if rooms == 1 => format!("{room} peers in one room"),
        room => format!("{peers} peers in {rooms} rooms of {room}"),
    }
}

fn span(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(time)
}

impl Calls {
    fn run(self) -> Result<Run, String> {
        let Self { crowd: peers, rate, times, common } = self;
        let run = common.run("calls", &peers)?;
        let traffic = Traffic { rate, speech: Speech::Calls };
        let said = format!("{rate} messages/s for {}", span(times.length));
        Ok(run.saying(traffic, &times).described(|plan| format!("{}, {said}", crowd(plan))))
    }
}

impl Idle {
    fn run(self) -> Result<Run, String> {
        let Self { crowd: peers, length, common } = self;
        let mut run = common.run("idle", &peers)?;
        run.plan.length = length;
        Ok(run.described(|plan| format!("{}, silent for {}", crowd(plan), span(length))))
    }
}

impl Storm {
    fn run(self) -> Result<Run, String> {
        let Self { crowd: peers, rate, common } = self;
        let at_once = common.connects;
        let mut run = common.run("storm", &peers)?;
        run.only_joins = true;
        run.plan.joins.rate = rate;
        run.plan.joins.at_once = at_once.unwrap_or(peers.peers);
        let how = match (rate, at_once) {
            (Some(rate), _) => format!("{rate} joins/s"),
            (None, Some(connects)) => format!("{connects} at a time"),
            (None, None) => "all at once".into(),
        };
        Ok(run.described(|plan| format!("{}, {how}", crowd(plan))))
    }
}

impl Room {
    fn run(self) -> Result<Run, String> {
        let Self { peers, rate, bytes, times, common } = self;
        if !(STAMP_BYTES..=MAX_BYTES).contains(&bytes) {
            return Err(format!("--bytes {bytes}: {STAMP_BYTES} to {MAX_BYTES} are possible"));
        }
        let mut run = common.run("room", &Crowd { peers, room: peers })?;
        // What is measured is the speech: not the rosters, which a large room is told for a while after the last has come.
        run.plan.asks_for_roster = false;
        let traffic = Traffic { rate, speech: Speech::Address(bytes) };
        let said = format!("one says {rate} messages/s of {bytes} bytes to all for {}", span(times.length));
        Ok(run.saying(traffic, &times).described(|plan| format!("{}, {said}", crowd(plan))))
    }
}

impl Churning {
    fn run(self) -> Result<Run, String> {
        let Self { crowd: peers, rate, leave, away, times, common } = self;
        let mut run = common.run("churn", &peers)?;
        run.plan.churn = Some(Churn { rate: leave, away });
        let traffic = Traffic { rate, speech: Speech::Calls };
        let said = format!("{rate} messages/s for {}", span(times.length));
        let gone = format!("{leave} leave each second for {}", span(away));
        Ok(run.saying(traffic, &times).described(|plan| format!("{}, {said}; {gone}", crowd(plan))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(line: &str) -> Result<Run, String> {
        let cli = Cli::try_parse_from(std::iter::once("loadtest").chain(line.split_whitespace()));
        match cli.map_err(|why| why.to_string())?.task()? {
            Task::Run(run) => Ok(*run),
            Task::Work | Task::Conform(_) => Err("no scenario".into()),
        }
    }

    #[test]
    fn calls_are_run_when_nothing_is_named() {
        for line in ["--peers 8 --rate 10 --for 1s", "calls --peers 8 --rate 10 --for 1s"] {
            let run = task(line).unwrap();
            assert_eq!((run.scenario, run.plan.peers, run.plan.rooms.clone()), ("calls", 8, 0..2));
            assert_eq!(run.what, "8 peers in 2 rooms of 4, 10 messages/s for 1s");
            assert_eq!(run.plan.length, Duration::from_secs(3));
        }
    }

    #[test]
    fn each_scenario_says_what_it_is() {
        let what = |line: &str| task(line).unwrap().what;
        assert_eq!(what("idle --peers 8 --room 1"), "8 peers, each by itself, silent for 10s");
        assert_eq!(what("storm --peers 8"), "8 peers in 2 rooms of 4, all at once");
        assert_eq!(what("storm --peers 8 --rate 2"), "8 peers in 2 rooms of 4, 2 joins/s");
        assert_eq!(
            what("room --peers 9"),
            "9 peers in one room, one says 10 messages/s of 200 bytes to all for 10s"
        );
        assert_eq!(
            what("churn --peers 4"),
            "4 peers in one room, 500 messages/s for 10s; 5 leave each second for 2s"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let why = |line: &str| task(line).unwrap_err();
        assert_eq!(why("--peers 10"), "--peers 10 is no multiple of --room 4: 8 or 12 is");
        assert_eq!(
            why("--dialect hula"),
            "--dialect hula: there are camus, peerjs, share, direct, mesh, y-webrtc, echo"
        );
        assert_eq!(
            why("room --dialect echo"),
            "--dialect echo: nobody speaks to a whole room there; with camus and y-webrtc they do"
        );
        assert_eq!(why("--room 1"), "--room 1: nobody is there to talk to; 2 or more are needed");
        assert!(why("--rate 0").contains("a number above zero"), "{}", why("--rate 0"));
        assert!(why("room --bytes 3").starts_with("--bytes 3: 71 to "), "{}", why("room --bytes 3"));
    }

    #[test]
    fn scenes_are_played_with_any_number_of_servers() {
        let line = "loadtest conform --dialect peerjs --url http://a --url http://b --with x=y --scene one --original";
        let task = Cli::try_parse_from(line.split(' ')).unwrap().task().unwrap();
        let Task::Conform(audition) = task else { panic!("not {task:?}") };
        assert_eq!(
            (audition.dialect.as_str(), audition.urls.len(), audition.is_original),
            ("peerjs", 2, true)
        );
        assert_eq!((audition.with, audition.scenes), (vec!["x=y".to_owned()], vec!["one".to_owned()]));
    }

    #[test]
    fn many_connections_come_from_several_addresses_and_processes() {
        let run = task("idle --peers 60000").unwrap();
        assert_eq!(run.plan.sources, 3);
        assert_eq!(task("--peers 8 --processes 2 --sources 4").unwrap().processes, 2);
    }
}
