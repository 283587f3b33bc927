//! What a node counts. No label ever holds an id.

use std::time::Duration;

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::backplane::Numbers;
use crate::goodbye::Goodbye;
use crate::message::Undelivered;

/// The numbers of one node. Every label value that there can be is there from the start, at zero.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    connections: IntGaugeVec,
    rooms: IntGaugeVec,
    messages: IntCounterVec,
    relay_local: Histogram,
    relay_remote: Histogram,
    undeliverable: IntCounterVec,
    goodbyes: IntCounterVec,
    resumes: IntCounterVec,
    handler_failures: IntCounterVec,
    /// Bytes that wait in all mailboxes, or are not confirmed.
    pub mailbox_bytes: IntGauge,
    /// Letters for peers elsewhere of which nobody has said yet what became of them.
    pub unsettled: IntGauge,
    /// Their bytes.
    pub unsettled_bytes: IntGauge,
    /// Times that a peer was not read for a while, since the way that it fills was nearly full.
    pub held_up: IntCounter,
    /// Rosters that were not sent, since a newer one followed soon.
    pub rosters_held: IntCounter,
    backplane: OfBackplane,
    /// TURN credentials given out.
    pub turn_credentials_issued: IntCounter,
    /// Times that the service for TURN credentials gave none.
    pub turn_service_failures: IntCounter,
    /// Clients that were asked to come again a little later.
    pub turned_away: IntCounter,
}

/// What the backplane has counted and measured.
#[derive(Debug)]
struct OfBackplane {
    up: IntGauge,
    probe: Gauge,
    rebuilds: IntCounter,
    unsettled: IntGauge,
    unsettled_bytes: IntGauge,
    overflowed: IntCounter,
    retransmits: IntCounter,
    missed: IntCounter,
    rejected: IntCounter,
}

/// 50 µs to 10 s.
const RELAY_BUCKETS: [f64; 16] =
    [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How a peer that had been there before came back.
#[derive(Clone, Copy, Debug)]
pub enum Resume {
    /// To the node that it was on.
    Here,
    /// From another node.
    Moved,
    /// It was too late.
    Refused,
}

impl Resume {
    const ALL: [Self; 3] = [Self::Here, Self::Moved, Self::Refused];

    fn label(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Moved => "moved",
            Self::Refused => "refused",
        }
    }
}

/// How a handler failed.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// It panicked.
    Panicked,
    /// It took too long.
    Late,
}

impl Failure {
    const ALL: [Self; 2] = [Self::Panicked, Self::Late];

    fn label(self) -> &'static str {
        match self {
            Self::Panicked => "panicked",
            Self::Late => "late",
        }
    }
}

impl Metrics {
    /// All at zero, for nodes that speak `dialects`.
    pub fn new(dialects: &[&str]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let count = |name, help| count(&registry, name, help);
        let relay = HistogramOpts::new("signal_relay_seconds", "From a frame read to the frame written")
            .buckets(RELAY_BUCKETS.to_vec());
        let relay = register(&registry, HistogramVec::new(relay, &["path"]))?;
        let metrics = Self {
            connections: gauges(&registry, "signal_connections", "Open WebSockets", "dialect")?,
            rooms: gauges(&registry, "signal_rooms", "Rooms with a peer on this node", "dialect")?,
            messages: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("signal_messages_total", "Frames from clients (in) and to them (out)"),
                    &["dialect", "direction"],
                ),
            )?,
            relay_local: relay.with_label_values(&["local"]),
            relay_remote: relay.with_label_values(&["remote"]),
            undeliverable: counters(
                &registry,
                "signal_undeliverable_total",
                "Messages that did not reach their peer",
                "reason",
            )?,
            goodbyes: counters(&registry, "signal_goodbyes_total", "Connections that ended", "reason")?,
            resumes: counters(&registry, "signal_resumes_total", "Peers that came back", "outcome")?,
            handler_failures: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("signal_handler_failures_total", "Messages whose handlers failed at them"),
                    &["type", "reason"],
                ),
            )?,
            mailbox_bytes: gauge(&registry, "signal_mailbox_bytes", "Bytes that wait for peers")?,
            unsettled: gauge(
                &registry,
                "signal_unsettled",
                "Messages for peers elsewhere of which it is not yet known what became of them",
            )?,
            unsettled_bytes: gauge(&registry, "signal_unsettled_bytes", "Their bytes")?,
            held_up: count(
                "signal_held_up_total",
                "Times that a peer was not read for a while, since the way to where it sends was nearly full",
            )?,
            rosters_held: count(
                "signal_rosters_held_total",
                "Changes of who is in a room that were told later, with those that followed",
            )?,
            backplane: OfBackplane::new(&registry)?,
            turn_credentials_issued: count("turn_credentials_issued_total", "TURN credentials given out")?,
            turned_away: count(
                "signal_turned_away_total",
                "Clients that were asked to come again a little later, as too many came at once",
            )?,
            turn_service_failures: count(
                "turn_service_failures_total",
                "Times that the service for TURN credentials gave none",
            )?,
            registry,
        };
        metrics.start_at_zero(dialects);
        count_process(&metrics.registry)?;
        Ok(metrics)
    }

    fn start_at_zero(&self, dialects: &[&str]) {
        for dialect in dialects {
            self.connections.with_label_values(&[*dialect]);
            self.rooms.with_label_values(&[*dialect]);
            self.messages.with_label_values(&[*dialect, "in"]);
            self.messages.with_label_values(&[*dialect, "out"]);
        }
        for why in Undelivered::ALL {
            self.undeliverable.with_label_values(&[why.label()]);
        }
        for goodbye in Goodbye::ALL {
            self.goodbyes.with_label_values(&[goodbye.label()]);
        }
        for resume in Resume::ALL {
            self.resumes.with_label_values(&[resume.label()]);
        }
    }

    /// The numbers as Prometheus reads them.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        let written = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        written.ok().and_then(|()| String::from_utf8(text).ok()).unwrap_or_default()
    }

    /// What the backplane has counted and measured.
    pub fn backplane(&self, is_up: bool, numbers: &Numbers) {
        let follow = |counter: &IntCounter, total: u64| counter.inc_by(total.saturating_sub(counter.get()));
        self.backplane.up.set(i64::from(is_up));
        self.backplane.probe.set(numbers.probe.as_secs_f64());
        follow(&self.backplane.rebuilds, numbers.rebuilds);
        self.backplane.unsettled.set(i64::try_from(numbers.unsettled).unwrap_or(i64::MAX));
        let bytes = i64::try_from(numbers.unsettled_bytes).unwrap_or(i64::MAX);
        self.backplane.unsettled_bytes.set(bytes);
        follow(&self.backplane.overflowed, numbers.overflowed);
        follow(&self.backplane.retransmits, numbers.retransmits);
        follow(&self.backplane.missed, numbers.missed);
        follow(&self.backplane.rejected, numbers.rejected);
    }

    /// One more connection, until the guard is dropped.
    pub fn connected(&self, dialect: &str) -> Connected {
        let gauge = self.connections.with_label_values(&[dialect]);
        gauge.inc();
        Connected {
            gauge,
            messages_in: self.messages.with_label_values(&[dialect, "in"]),
            messages_out: self.messages.with_label_values(&[dialect, "out"]),
        }
    }

    /// How many rooms of `dialect` this node knows.
    pub fn set_rooms(&self, dialect: &str, rooms: usize) {
        self.rooms.with_label_values(&[dialect]).set(i64::try_from(rooms).unwrap_or(i64::MAX));
    }

    /// A frame was written this long after it was read, `elsewhere` or on this node.
    pub fn relayed(&self, took: Duration, elsewhere: bool) {
        let path = if elsewhere { &self.relay_remote } else { &self.relay_local };
        path.observe(took.as_secs_f64());
    }

    /// A message did not reach its peer.
    pub fn undeliverable(&self, why: Undelivered) {
        self.undeliverable.with_label_values(&[why.label()]).inc();
    }

    /// A connection ended.
    pub fn goodbye(&self, why: Goodbye) {
        self.goodbyes.with_label_values(&[why.label()]).inc();
    }

    /// There is a handler for messages of this type.
    pub fn has_handler(&self, kind: &str) {
        for failure in Failure::ALL {
            self.handler_failures.with_label_values(&[kind, failure.label()]);
        }
    }

    /// The handler of messages of this type failed at one.
    pub fn handler_failed(&self, kind: &str, how: Failure) {
        self.handler_failures.with_label_values(&[kind, how.label()]).inc();
    }

    /// A peer came back.
    pub fn resumed(&self, how: Resume) {
        self.resumes.with_label_values(&[how.label()]).inc();
    }
}

impl OfBackplane {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let count = |name, help| count(registry, name, help);
        let gauge = |name, help| gauge(registry, name, help);
        let probe = Gauge::new("signal_backplane_probe_seconds", "How long a frame to this node itself took");
        Ok(Self {
            up: gauge("signal_backplane_up", "Whether this node has its lease in the backplane")?,
            probe: register(registry, probe)?,
            rebuilds: count(
                "signal_backplane_rebuilds_total",
                "Times that the connections to the backplane were made anew",
            )?,
            unsettled: gauge("signal_link_unsettled", "Envelopes for other nodes, not acknowledged")?,
            unsettled_bytes: gauge("signal_link_unsettled_bytes", "Their bytes")?,
            overflowed: count(
                "signal_inbox_overflowed_total",
                "Frames of other nodes that came faster than this one took them, and come again",
            )?,
            retransmits: count("signal_link_retransmits_total", "Frames to other nodes sent again")?,
            missed: count("signal_link_missed_total", "Envelopes of other nodes asked for again")?,
            rejected: count("signal_link_rejected_total", "Frames that no node of ours has sent")?,
        })
    }
}

/// An open connection in the numbers.
#[derive(Debug)]
pub struct Connected {
    gauge: IntGauge,
    /// Frames from it.
    pub messages_in: IntCounter,
    /// Frames to it.
    pub messages_out: IntCounter,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// What the process itself uses, where the system tells.
fn count_process(registry: &Registry) -> Result<(), prometheus::Error> {
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    Ok(())
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let collector = collector?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn count(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    register(registry, IntCounter::new(name, help))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    register(registry, IntGauge::new(name, help))
}

fn gauges(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntGaugeVec, prometheus::Error> {
    register(registry, IntGaugeVec::new(Opts::new(name, help), &[label]))
}

fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), &[label]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_there_before_anything_has_happened_and_a_guard_gives_back_what_it_took() {
        let metrics = Metrics::new(&["camus"]).unwrap();
        for line in [
            "signal_connections{dialect=\"camus\"} 0",
            "signal_messages_total{dialect=\"camus\",direction=\"in\"} 0",
            "signal_goodbyes_total{reason=\"restarting\"} 0",
            "signal_relay_seconds_count{path=\"remote\"} 0",
        ] {
            assert!(metrics.text().contains(line), "{line}\n{}", metrics.text());
        }
        let connected = metrics.connected("camus");
        assert!(metrics.text().contains("signal_connections{dialect=\"camus\"} 1"));
        drop(connected);
        assert!(metrics.text().contains("signal_connections{dialect=\"camus\"} 0"));
    }
}
