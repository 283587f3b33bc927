//! Numbers to shapes: scales, ticks and lines, for SVG of a fixed size.

use std::fmt::Write;

use minijinja::{Value, context};
use serde::Serialize;

/// Size of a chart, and the room around its lines for what is written there.
const WIDTH: f64 = 880.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 112.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 30.0;
/// Lines of text need so much from each other.
const LINE: f64 = 15.0;
/// A band that is narrower than this has no place for its label.
const LABEL: f64 = 56.0;

/// Where a value is drawn.
#[derive(Clone, Copy, Debug)]
struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
    is_log: bool,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let place = |value: f64| if self.is_log { value.max(self.from).log10() } else { value };
        let (from, to) = (place(self.from), place(self.to));
        self.start + (place(value) - from) / (to - from) * (self.end - self.start)
    }
}

/// A tick of an axis.
#[derive(Debug)]
struct Tick {
    at: f64,
    label: String,
}

/// One line.
#[derive(Debug)]
struct Drawn {
    name: String,
    class: &'static str,
    path: String,
    area: String,
    end_x: f64,
    end_y: f64,
    label_y: f64,
}

/// A part of the time, marked.
#[derive(Debug)]
struct Band {
    from: f64,
    width: f64,
    label: &'static str,
}

/// What a pointer shows at one place: a heading, and each line's value.
#[derive(Debug, Serialize)]
struct Hover {
    x: f64,
    heading: String,
    values: Vec<(String, &'static str, String)>,
}

/// A chart, ready to be drawn.
#[derive(Debug)]
pub(super) struct Chart {
    title: &'static str,
    about: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    lines: Vec<Drawn>,
    bands: Vec<Band>,
    hover: Vec<Hover>,
}

impl Chart {
    /// As the page's template wants it.
    pub(super) fn value(&self) -> Value {
        let Self { title, about, width, height, left, right, top, bottom, .. } = *self;
        let tick = |tick: &Tick| context! { at => tick.at, label => tick.label.as_str() };
        let band = |band: &Band| context! { from => band.from, width => band.width, label => band.label };
        let line = |line: &Drawn| {
            let Drawn { class, end_x, end_y, label_y, .. } = *line;
            let (name, path, area) = (line.name.as_str(), line.path.as_str(), line.area.as_str());
            context! { name, class, path, area, end_x, end_y, label_y }
        };
        context! {
            title, about, width, height, left, right, top, bottom,
            x_ticks => self.x_ticks.iter().map(tick).collect::<Vec<_>>(),
            y_ticks => self.y_ticks.iter().map(tick).collect::<Vec<_>>(),
            bands => self.bands.iter().map(band).collect::<Vec<_>>(),
            lines => self.lines.iter().map(line).collect::<Vec<_>>(),
            hover => serde_json::to_string(&self.hover).unwrap_or_default(),
        }
    }
}

/// Values of one kind.
pub(super) struct Series {
    /// What they are.
    pub(super) name: String,
    /// How they look, by a class of the page.
    pub(super) class: &'static str,
    /// Whether what is below is filled.
    pub(super) filled: bool,
    /// Where they are.
    pub(super) points: Vec<(f64, f64)>,
}

/// The vertical axis.
pub(super) enum Axis {
    /// Milliseconds, each decade as high as the next.
    Millis,
    /// Counts, from zero.
    Count,
}

/// How a chart is made.
pub(super) struct Plan {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) height: f64,
    pub(super) axis: Axis,
    /// The horizontal axis, from and to.
    pub(super) x: (f64, f64),
    /// Values of it, with what is written there.
    pub(super) x_ticks: Vec<(f64, String)>,
    /// Parts of it that are marked.
    pub(super) bands: Vec<(f64, f64, &'static str)>,
    /// What is written over the values at a place of it.
    pub(super) heading: fn(f64) -> String,
}

impl Plan {
    /// Draws it; nothing if there is nothing to draw.
    pub(super) fn draw(self, mut series: Vec<Series>) -> Option<Chart> {
        series.retain(|series| !series.points.is_empty());
        let values = || series.iter().flat_map(|series| series.points.iter().map(|point| point.1));
        let highest = values().fold(0.0, f64::max);
        let lowest = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if series.is_empty() || highest <= 0.0 {
            return None;
        }
        let bottom = self.height - BOTTOM;
        let x = Scale { from: self.x.0, to: self.x.1, start: LEFT, end: WIDTH - RIGHT, is_log: false };
        let (from, to, ticks) = match self.axis {
            Axis::Millis => decades(lowest, highest),
            Axis::Count => counts(highest),
        };
        let y = Scale { from, to, start: bottom, end: TOP, is_log: matches!(self.axis, Axis::Millis) };
        let mut lines: Vec<_> = series.iter().map(|series| drawn(series, x, y)).collect();
        part_labels(&mut lines, bottom);
        let band = |(from, to, label): &(f64, f64, &'static str)| {
            let (from, width) = (x.at(*from), x.at(*to) - x.at(*from));
            Band { from, width, label: if width < LABEL { "" } else { label } }
        };
        Some(Chart {
            title: self.title,
            about: self.about,
            width: WIDTH,
            height: self.height,
            left: LEFT,
            right: WIDTH - RIGHT,
            top: TOP,
            bottom,
            x_ticks: self.x_ticks.into_iter().map(|(value, label)| Tick { at: x.at(value), label }).collect(),
            y_ticks: ticks.into_iter().map(|(value, label)| Tick { at: y.at(value), label }).collect(),
            bands: self.bands.iter().map(band).collect(),
            hover: hover(&series, x, &self.axis, self.heading),
            lines,
        })
    }
}

fn drawn(series: &Series, x: Scale, y: Scale) -> Drawn {
    let mut path = String::new();
    for (place, (at, value)) in series.points.iter().enumerate() {
        let letter = if place == 0 { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(path, "{letter}{:.1} {:.1}", x.at(*at), y.at(*value));
    }
    let first = series.points.first().map_or(x.start, |point| x.at(point.0));
    let (end_x, end_y) =
        series.points.last().map_or((x.start, y.start), |point| (x.at(point.0), y.at(point.1)));
    let area = if series.filled { format!("{path}V{:.1}H{first:.1}Z", y.start) } else { String::new() };
    Drawn { name: series.name.clone(), class: series.class, path, area, end_x, end_y, label_y: end_y }
}

/// Moves labels so that none lies on another.
fn part_labels(lines: &mut [Drawn], bottom: f64) {
    let mut order: Vec<_> = lines.iter_mut().collect();
    order.sort_by(|one, other| one.end_y.total_cmp(&other.end_y));
    let mut free = TOP;
    for line in &mut order {
        line.label_y = line.end_y.max(free);
        free = line.label_y + LINE;
    }
    let mut free = bottom;
    for line in order.iter_mut().rev() {
        line.label_y = line.label_y.min(free);
        free = line.label_y - LINE;
    }
}

fn hover(series: &[Series], x: Scale, axis: &Axis, heading: fn(f64) -> String) -> Vec<Hover> {
    let longest = series.iter().max_by_key(|series| series.points.len());
    let points = longest.map(|series| series.points.as_slice()).unwrap_or_default();
    let value_at = |series: &Series, at: f64| {
        let value = series.points.iter().find(|point| (point.0 - at).abs() < 1e-9)?.1;
        let shown = match axis {
            Axis::Millis => time(value),
            Axis::Count => super::table::grouped(value as u64),
        };
        Some((series.name.clone(), series.class, shown))
    };
    let row = |(at, _): &(f64, f64)| Hover {
        x: x.at(*at),
        heading: heading(*at),
        values: series.iter().filter_map(|series| value_at(series, *at)).collect(),
    };
    points.iter().map(row).collect()
}

type Ticks = Vec<(f64, String)>;

/// The decades around the values, and what to write at them.
fn decades(lowest: f64, highest: f64) -> (f64, f64, Ticks) {
    let (first, mut last) = (lowest.max(0.001).log10().floor(), highest.log10().ceil());
    if last <= first {
        last = first + 1.0;
    }
    let few = last - first <= 2.0;
    let steps: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = (first as i32..=last as i32)
        .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
    let (from, to) = (10f64.powf(first), 10f64.powf(last));
    (from, to, decades.filter(|value| *value <= to * 1.001).map(|value| (value, time(value))).collect())
}

/// Round numbers from zero to the highest value.
fn counts(highest: f64) -> (f64, f64, Ticks) {
    let step = round_step(highest / 4.0);
    let steps = (highest * 1.05 / step).ceil();
    let ticks = (0..=steps as u32).map(|nth| f64::from(nth) * step);
    (0.0, steps * step, ticks.map(|value| (value, super::table::grouped(value as u64))).collect())
}

/// 1, 2 or 5 times a power of ten, not below `step`, nor below one.
fn round_step(step: f64) -> f64 {
    let decade = 10f64.powf(step.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * decade)
        .into_iter()
        .find(|round| *round >= step)
        .unwrap_or(decade)
}

/// Ticks for so many seconds.
pub(super) fn seconds(length: f64) -> Ticks {
    const STEPS: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
    let step = STEPS.into_iter().find(|step| length / step <= 12.0).unwrap_or(7200.0);
    (0..=(length / step) as u32)
        .map(|nth| (f64::from(nth) * step, format!("{} s", f64::from(nth) * step)))
        .collect()
}

/// Milliseconds as a person says them.
pub(super) fn time(millis: f64) -> String {
    match millis {
        millis if millis >= 1000.0 => format!("{} s", significant(millis / 1000.0)),
        millis if millis >= 0.1 => format!("{} ms", significant(millis)),
        millis => format!("{} µs", significant(millis * 1000.0)),
    }
}

/// Three digits that say something.
fn significant(value: f64) -> String {
    let places = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[&[(f64, f64)]]) -> Option<Chart> {
        let plan = Plan {
            title: "",
            about: "",
            height: 200.0,
            axis: Axis::Millis,
            x: (0.0, 10.0),
            x_ticks: seconds(10.0),
            bands: vec![(0.0, 2.0, "warm-up")],
            heading: |at| at.to_string(),
        };
        let series = |points: &&[(f64, f64)]| Series {
            name: "it".into(),
            class: "one",
            filled: false,
            points: points.to_vec(),
        };
        plan.draw(points.iter().map(series).collect())
    }

    #[test]
    fn lines_stay_in_the_picture_and_labels_apart() {
        let chart = chart(&[&[(0.0, 0.3), (10.0, 90.0)], &[(0.0, 0.3), (10.0, 91.0)]]).unwrap();
        let [one, other] = chart.lines.as_slice() else { panic!("two lines") };
        assert!((one.end_x - chart.right).abs() < 0.01 && one.end_y > chart.top);
        assert!((one.label_y - other.label_y).abs() >= LINE);
        assert_eq!(chart.y_ticks[0].label, "0.1 ms");
        assert_eq!(chart.hover[1].values.len(), 2);
    }

    #[test]
    fn without_values_there_is_nothing_to_draw() {
        assert!(chart(&[&[]]).is_none());
        assert!(chart(&[&[(1.0, 0.0)]]).is_none());
    }

    #[test]
    fn times_and_steps_are_round() {
        assert_eq!(
            [0.052, 0.5, 12.34, 99.0, 1500.0].map(time),
            ["52 µs", "0.5 ms", "12.3 ms", "99 ms", "1.5 s"]
        );
        assert_eq!([0.3, 3.0, 1250.0].map(round_step), [1.0, 5.0, 2000.0]);
        assert_eq!(seconds(60.0).len(), 13);
    }
}
