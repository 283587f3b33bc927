//! Histograms of times, and what is counted in a second.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use serde::{Deserialize, Serialize};

/// What a histogram holds at most; longer times count as this.
const LONGEST: Duration = Duration::from_secs(3600);

/// Many times, in microseconds, each to three digits.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        let mut histogram = Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are allowed"));
        histogram.auto(true);
        Self(histogram)
    }
}

impl Times {
    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.min(LONGEST).as_micros()).unwrap_or(u64::MAX);
        // It grows as it has to.
        let _ = self.0.record(micros);
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        // It grows as it has to, so everything fits.
        let _ = self.0.add(&other.0);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time below which this part of them is; in milliseconds.
    pub fn millis_at(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// What a table says of them.
    pub fn figures(&self) -> Figures {
        Figures {
            count: self.count(),
            p50: self.millis_at(0.5),
            p90: self.millis_at(0.9),
            p99: self.millis_at(0.99),
            p999: self.millis_at(0.999),
            max: self.0.max() as f64 / 1000.0,
        }
    }

    /// Points of the distribution for drawing: quantiles that come nearer and nearer to 1, as far as so many values
    /// say anything, each with its milliseconds.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        const STEPS_PER_DECADE: u32 = 24;
        if self.count() == 0 {
            return Vec::new();
        }
        let decades = (self.count() as f64).log10();
        let steps = (decades * f64::from(STEPS_PER_DECADE)).floor() as u32;
        let quantile = |step: u32| 1.0 - 10f64.powf(-f64::from(step) / f64::from(STEPS_PER_DECADE));
        let mut points: Vec<_> =
            (0..=steps).map(|step| (quantile(step), self.millis_at(quantile(step)))).collect();
        points.dedup_by(|next, last| next.0 <= last.0);
        points
    }
}

impl Serialize for Times {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&self.0, &mut bytes).map_err(serde::ser::Error::custom)?;
        to.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        let histogram = Deserializer::new().deserialize(&mut bytes.as_slice());
        let mut histogram: Histogram<u64> = histogram.map_err(serde::de::Error::custom)?;
        histogram.auto(true);
        Ok(Self(histogram))
    }
}

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Of how many values.
    pub count: u64,
    /// Half of them are not above this.
    pub p50: f64,
    /// 90 of 100.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

/// What a process counted in one second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Second {
    /// Messages sent.
    pub sent: u64,
    /// Messages that arrived.
    pub received: u64,
    /// Messages that were told or refused.
    pub sent_back: u64,
    /// Peers that were seated for the first time.
    pub seated: u64,
    /// Latency between peers on one node.
    pub same: Times,
    /// Latency between peers on two nodes.
    pub across: Times,
    /// How late the driver sent.
    pub lag: Times,
    /// From connecting to being seated.
    pub joins: Times,
}

impl Second {
    /// Adds what another process counted in the same second, or what was counted in another one.
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.sent_back += other.sent_back;
        self.seated += other.seated;
        self.same.add(&other.same);
        self.across.add(&other.across);
        self.lag.add(&other.lag);
        self.joins.add(&other.joins);
    }

    /// Latency between any two peers.
    pub fn latency(&self) -> Times {
        let mut all = self.same.clone();
        all.add(&self.across);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: impl IntoIterator<Item = u64>) -> Times {
        let mut times = Times::default();
        millis.into_iter().for_each(|millis| times.record(Duration::from_millis(millis)));
        times
    }

    #[test]
    fn percentiles_are_what_they_say() {
        let figures = times(1..=1000).figures();
        assert_eq!(figures.count, 1000);
        for (is, should) in [(figures.p50, 500.0), (figures.p99, 990.0), (figures.max, 1000.0)] {
            assert!((is - should).abs() <= should / 500.0, "{is} is not {should}");
        }
    }

    #[test]
    fn what_another_process_counted_adds_up_on_its_way_as_text() {
        let (mut one, other) = (times(1..=500), times(501..=1000));
        let text = serde_json::to_string(&other).unwrap();
        one.add(&serde_json::from_str(&text).unwrap());
        assert_eq!(one.figures(), times(1..=1000).figures());
    }

    #[test]
    fn a_curve_ends_where_the_values_end() {
        let curve = times(1..=1000).curve();
        assert_eq!(curve.first().map(|point| point.0), Some(0.0));
        let (quantile, millis) = *curve.last().unwrap();
        assert!(quantile > 0.998 && quantile < 1.0 && millis > 990.0, "{quantile} {millis}");
        assert!(times([]).curve().is_empty());
    }
}
