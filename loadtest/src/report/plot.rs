//! The report as one page that needs nothing else.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Value, context};

use super::chart::{Axis, Chart, Plan, Series, seconds, time};
use super::table::{self, grouped, millis, share};
use super::{Line, Report, Row};

/// The page; see its comments for what it is given.
const TEMPLATE: &str = include_str!("plot.html");
/// How high the first chart is, and those below it.
const HEIGHT: f64 = 340.0;
const LOWER: f64 = 200.0;

/// The page. Fails only if its template is wrong.
pub fn page(report: &Report) -> Result<String, minijinja::Error> {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    templates.add_template("page", TEMPLATE)?;
    let charts: Vec<_> = charts(report).iter().flatten().map(Chart::value).collect();
    let ledger = table::ledger_rows(report).into_iter().map(|(name, count, should_be_zero)| {
        let percent = if name == "sent" { String::new() } else { share(count, report.ledger.sent) };
        context! { name, count => grouped(count), percent, wrong => should_be_zero && count > 0 }
    });
    let times = table::time_rows(report).into_iter().map(|(name, line)| {
        let figures = line.figures;
        let values = [figures.p50, figures.p90, figures.p99, figures.p999, figures.max].map(millis).to_vec();
        context! { name, class => class_of(name), count => grouped(figures.count), values }
    });
    let happenings = table::happenings(report).into_iter().flat_map(|(what, counts)| {
        counts
            .iter()
            .map(move |(why, count)| context! { what, why => why.as_str(), count => grouped(*count) })
    });
    templates.get_template("page")?.render(context! {
        scenario => report.scenario,
        what => report.what.as_str(),
        verdict => report.verdict.words.as_str(),
        good => report.verdict.good,
        came_back => report.came_back,
        urls => report.urls.join(", "),
        tiles => tiles(report),
        charts,
        ledger => if report.ledger.sent > 0 { ledger.collect() } else { Vec::new() },
        times => times.collect::<Vec<_>>(),
        happenings => happenings.collect::<Vec<_>>(),
        place => table::place_words(report),
        driver => table::driver_words(report),
        joins => table::joins_words(report),
        memory => table::memory_words(report),
        loads => table::load_words(report),
    })
}

/// The look of a kind of times.
fn class_of(name: &str) -> &'static str {
    match name {
        "one node" | "until seated" => "one",
        "across nodes" => "two",
        "driver's lag" => "own",
        _ => "all",
    }
}

/// Figures in large type.
fn tiles(report: &Report) -> Vec<Value> {
    let tile = |name: &str, value: String, about: &str| context! { name, value, about };
    let mut tiles = Vec::new();
    if report.ledger.sent > 0 {
        let latency = &report.latency.all.figures;
        let received = share(report.ledger.received, report.ledger.sent);
        tiles.push(tile("arrived", received, &format!("of {} messages", grouped(report.ledger.sent))));
        tiles.push(tile("latency, p50", time(latency.p50), "from when it was due"));
        tiles.push(tile("latency, p99", time(latency.p99), &format!("at most {}", time(latency.max))));
        tiles.push(tile("driver's lag, p99", time(report.driver.lag.figures.p99), "part of the latency"));
    } else {
        let joins = &report.joins;
        tiles.push(tile("seated", grouped(joins.seated), &format!("in {:.1} s", joins.took)));
        tiles.push(tile("until seated, p50", time(joins.time.figures.p50), "from connecting"));
        tiles.push(tile("until seated, p99", time(joins.time.figures.p99), "from connecting"));
    }
    if let Some(bytes) = report.bytes_per_connection() {
        tiles.push(tile("memory", format!("{:.1} kB", bytes / 1000.0), "per connection"));
    }
    tiles
}

fn charts(report: &Report) -> [Option<Chart>; 3] {
    if report.ledger.sent == 0 {
        let title = "How long until a peer is seated";
        return [distribution(report, title, "From connecting to the first answer."), None, None];
    }
    let title = "How long a message takes";
    let about = "From the moment at which it was due to its arrival. Further to the right: the slower ones.";
    [distribution(report, title, about), messages(report), latencies(report)]
}

/// A quantile by how many nines it has.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(1e-12).log10()
}

fn distribution(report: &Report, title: &'static str, about: &'static str) -> Option<Chart> {
    let rows = table::time_rows(report);
    let series = rows.iter().filter(|(name, _)| *name != "all").map(|(name, line)| curve(name, line));
    let series: Vec<_> = series.collect();
    let ends = series.iter().filter_map(|series| series.points.last()).map(|point| point.0);
    let end = ends.fold(1.0, f64::max);
    let marks = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999_999];
    let tick = |quantile: f64| (nines(quantile), percent(nines(quantile)));
    Plan {
        title,
        about,
        height: HEIGHT,
        axis: Axis::Millis,
        x: (0.0, end),
        x_ticks: marks.into_iter().map(tick).filter(|(at, _)| *at <= end + 0.01).collect(),
        bands: Vec::new(),
        heading: |at| format!("{} are not above", percent(at)),
    }
    .draw(series)
}

fn curve(name: &str, line: &Line) -> Series {
    let points = line.curve.iter().map(|(quantile, millis)| (nines(*quantile), *millis)).collect();
    Series { name: name.into(), class: class_of(name), filled: false, points }
}

/// So many nines as per cent.
fn percent(nines: f64) -> String {
    // A whole number of nines may have come out a little above it.
    let places = ((nines - 1e-6).ceil() as usize).saturating_sub(2);
    let text = format!("{:.places$}", 100.0 * (1.0 - 10f64.powf(-nines)));
    format!("{text} %")
}

/// The time of a run, from left to right.
fn over_time(report: &Report, title: &'static str, about: &'static str, axis: Axis) -> Plan {
    let (warm_up, end) = (report.warm_up, report.warm_up + report.seconds);
    let length = end.max(eventful(report).len() as f64);
    let bands = [(0.0, warm_up, "warm-up"), (end, length, "after it")];
    Plan {
        title,
        about,
        height: LOWER,
        axis,
        x: (0.0, length),
        x_ticks: seconds(length),
        bands: bands.into_iter().filter(|(from, to, _)| to > from).collect(),
        heading: |at| format!("second {}", at.ceil()),
    }
}

/// The seconds until the last in which something arrived.
fn eventful(report: &Report) -> &[Row] {
    let last = report.timeline.iter().rposition(|row| row.sent > 0 || row.received > 0);
    &report.timeline[..last.map_or(0, |last| last + 1)]
}

fn per_second(report: &Report, name: &str, class: &'static str, value: fn(&Row) -> f64) -> Series {
    let middle = |(second, row)| (f64::from(second) + 0.5, value(row));
    let points = (0u32..).zip(eventful(report)).map(middle).collect();
    Series { name: name.into(), class, filled: false, points }
}

fn messages(report: &Report) -> Option<Chart> {
    let received = per_second(report, "received", "one", |row| row.received as f64);
    let mut series =
        vec![per_second(report, "sent", "own", |row| row.sent as f64), Series { filled: true, ..received }];
    // What comes after the end does not come in whole seconds.
    let end = report.warm_up + report.seconds;
    series.iter_mut().for_each(|series| series.points.retain(|point| point.0 < end));
    let about = "Sent and received, second by second.";
    over_time(report, "Messages per second", about, Axis::Count).draw(series)
}

fn latencies(report: &Report) -> Option<Chart> {
    let about = "Of what arrived in that second, and how late the driver was in it.";
    let mut series = vec![
        per_second(report, "p99", "two", |row| row.p99),
        per_second(report, "p50", "one", |row| row.p50),
        per_second(report, "lag, p99", "own", |row| row.lag),
    ];
    // A second in which nothing came has no latency.
    series.iter_mut().for_each(|series| series.points.retain(|point| point.1 > 0.0));
    over_time(report, "Latency per second", about, Axis::Millis).draw(series)
}
