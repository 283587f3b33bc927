//! What a run has shown: figures for people, for programs, and as a picture.

mod chart;
pub mod plot;
pub mod table;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ledger::Tally;
use crate::measure::{Figures, Second};

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What was run, in a sentence.
    pub what: String,
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// The protocol.
    pub dialect: String,
    /// Where the peers were sent.
    pub urls: Vec<String>,
    /// The nodes that they came to.
    pub nodes: Vec<String>,
    /// Peers in all.
    pub peers: u32,
    /// Members of each room.
    pub room: u32,
    /// Messages per second that were asked for.
    pub rate: f64,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Seconds before that.
    pub warm_up: f64,
    /// What became of the messages, those of the warm-up too.
    pub ledger: Tally,
    /// From the intended moment of sending to the arrival, in milliseconds.
    pub latency: Latency,
    /// The driver itself.
    pub driver: Driver,
    /// How the peers came in.
    pub joins: Joins,
    /// What connections cost processes that were watched.
    pub memory: Vec<Memory>,
    /// How busy those were who were watched, while the peers talked; or came in, if that was all.
    pub loads: Vec<Load>,
    /// Why connections ended that were not to end, and how often.
    pub lost_connections: BTreeMap<String, u64>,
    /// Why messages were refused, and how often.
    pub complaints: BTreeMap<String, u64>,
    /// How often a peer came back.
    pub came_back: u64,
    /// Second by second, the warm-up too; what was still awaited comes after it.
    pub timeline: Vec<Row>,
}

/// The judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether all is well.
    pub good: bool,
    /// In words.
    pub words: String,
}

/// Latencies in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// Between peers on one node.
    pub same_node: Line,
    /// Between peers on two.
    pub across_nodes: Line,
    /// Between any.
    pub all: Line,
}

/// One kind of times: figures, and the curve to draw.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Percentiles in milliseconds.
    #[serde(flatten)]
    pub figures: Figures,
    /// Quantiles with milliseconds.
    pub curve: Vec<(f64, f64)>,
}

/// What the driver itself took.
#[derive(Clone, Debug, Serialize)]
pub struct Driver {
    /// Its processes.
    pub processes: usize,
    /// How late it sent, in milliseconds.
    pub lag: Line,
    /// Processor time per message that was sent and received, in microseconds.
    pub cpu_micros_per_message: Option<f64>,
    /// Processors that it kept busy.
    pub processors: f64,
}

/// How the peers came in.
#[derive(Clone, Debug, Serialize)]
pub struct Joins {
    /// How many did.
    pub seated: u64,
    /// How many never did.
    pub outside: u64,
    /// From connecting to being seated, in milliseconds.
    pub time: Line,
    /// Seconds from the first to the last.
    pub took: f64,
    /// How often somebody was turned away, by the server's answer.
    pub refusals: BTreeMap<String, u64>,
    /// Processor time of the driver for each, in microseconds.
    pub cpu_micros: f64,
}

/// What connections cost a process.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// The process.
    pub pid: u32,
    /// Bytes before.
    pub before: u64,
    /// Bytes with all of them.
    pub with_all: u64,
}

/// How busy somebody was.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// A process, or Redis.
    pub who: String,
    /// Processor time in seconds.
    pub used: f64,
    /// Processors kept busy.
    pub processors: f64,
}

impl Report {
    /// Bytes of all watched processes for each connection.
    pub fn bytes_per_connection(&self) -> Option<f64> {
        let grown: f64 = self.memory.iter().map(|memory| memory.with_all as f64 - memory.before as f64).sum();
        (!self.memory.is_empty() && self.joins.seated > 0).then(|| grown / self.joins.seated as f64)
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }
}

/// A second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Row {
    /// Messages sent in it.
    pub sent: u64,
    /// Messages that arrived in it.
    pub received: u64,
    /// Peers seated in it.
    pub seated: u64,
    /// Latency of half of what arrived in it, in milliseconds.
    pub p50: f64,
    /// Latency of 99 of 100.
    pub p99: f64,
    /// The highest latency.
    pub max: f64,
    /// How late 99 of 100 messages were sent.
    pub lag: f64,
}

impl Row {
    /// What came of a second.
    pub fn of(second: &Second) -> Self {
        let latency = second.latency();
        Self {
            sent: second.sent,
            received: second.received,
            seated: second.seated,
            p50: latency.millis_at(0.5),
            p99: latency.millis_at(0.99),
            max: latency.millis_at(1.0),
            lag: second.lag.millis_at(0.99),
        }
    }
}
