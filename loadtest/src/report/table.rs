//! The report as a table for a terminal.

use std::fmt::Write;

use super::{Line, Load, Report};
use crate::measure::Figures;

/// A number in groups of three digits.
pub fn grouped(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A share as per cent, exact enough to show one in a million.
pub fn share(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".into();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if part == whole {
        "100 %".into()
    } else if (0.01..=99.99).contains(&percent) {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.5} %")
    }
}

/// The rows of the ledger that say something: name, number, whether it should be zero.
pub fn ledger_rows(report: &Report) -> Vec<(&'static str, u64, bool)> {
    let tally = &report.ledger;
    let always = [
        ("sent", tally.sent, false),
        ("received", tally.received, false),
        ("lost", tally.lost, true),
        ("doubled", tally.doubled, true),
        ("misrouted", tally.misrouted, true),
        ("reordered", tally.reordered, true),
        ("damaged", tally.damaged, true),
        ("told", tally.told, false),
        ("refused", tally.refused, false),
    ];
    let sometimes = [
        ("repeated", tally.repeated, false),
        ("cut", tally.cut, false),
        ("missed", tally.missed, false),
        ("told wrongly", tally.told_wrongly, false),
        ("unsent", tally.unsent, false),
    ];
    always.into_iter().chain(sometimes.into_iter().filter(|(_, count, _)| *count > 0)).collect()
}

/// The kinds of times that there are any of, by name.
pub fn time_rows(report: &Report) -> Vec<(&'static str, &Line)> {
    let latency = &report.latency;
    let several = latency.same_node.figures.count > 0 && latency.across_nodes.figures.count > 0;
    let mut rows = vec![("one node", &latency.same_node), ("across nodes", &latency.across_nodes)];
    if several {
        rows.push(("all", &latency.all));
    }
    rows.push(("driver's lag", &report.driver.lag));
    if report.ledger.sent == 0 {
        rows.push(("until seated", &report.joins.time));
    }
    rows.retain(|(_, line)| line.figures.count > 0);
    rows
}

/// Milliseconds, with as many places as say something.
pub fn millis(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => grouped(value.round() as u64),
    }
}

/// What the driver took, in a sentence; and a warning if much of what was measured is its own.
pub fn driver_words(report: &Report) -> String {
    let driver = &report.driver;
    let processes = match driver.processes {
        1 => "one process".to_owned(),
        several => format!("{several} processes"),
    };
    let cost = match driver.cpu_micros_per_message {
        Some(micros) => format!(
            "{micros:.0} µs of processor time for each message sent and received, {:.2} processors busy",
            driver.processors
        ),
        None => format!("{:.0} µs of processor time for each join", report.joins.cpu_micros),
    };
    let (lag, latency) = (driver.lag.figures.p99, report.latency.all.figures.p99);
    let warning = if lag > 1.0 && lag > latency / 2.0 {
        "; it was late itself, so the slow messages are more its doing than the server's"
    } else {
        ""
    };
    format!("{processes}, {cost}{warning}")
}

/// How the peers came in, in a sentence.
pub fn joins_words(report: &Report) -> String {
    let joins = &report.joins;
    let per_second = joins.seated as f64 / joins.took.max(0.001);
    let mut words = format!(
        "{} in {:.1} s ({} per second), half of them within {} ms, all within {} ms",
        grouped(joins.seated),
        joins.took,
        grouped(per_second.round() as u64),
        millis(joins.time.figures.p50),
        millis(joins.time.figures.max),
    );
    if joins.outside > 0 {
        let _ = write!(words, "; {} never got in", grouped(joins.outside));
    }
    words
}

/// What a connection costs, in a sentence.
pub fn memory_words(report: &Report) -> Option<String> {
    let bytes = report.bytes_per_connection()?;
    let each = report.memory.iter().map(|memory| {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        format!("process {} from {:.1} to {:.1} MB", memory.pid, mb(memory.before), mb(memory.with_all))
    });
    Some(format!("{:.1} kB per connection: {}", bytes / 1000.0, each.collect::<Vec<_>>().join(", ")))
}

/// How busy those were who were watched, a sentence each.
pub fn load_words(report: &Report) -> Vec<String> {
    let (count, what) = match report.ledger.sent {
        0 => (report.joins.seated, "join"),
        sent => (sent, "message"),
    };
    let words = |load: &Load| {
        let micros = load.used * 1e6 / count.max(1) as f64;
        format!("{}: {:.3} processors, {micros:.2} µs for each {what}", load.who, load.processors)
    };
    report.loads.iter().map(words).collect()
}

/// Where it was, in a sentence.
pub fn place_words(report: &Report) -> String {
    let nodes = match report.nodes.as_slice() {
        [] => "nobody was reached".to_owned(),
        [one] => format!("one node: {one}"),
        several => format!("{} nodes: {}", several.len(), several.join(", ")),
    };
    format!("{}, {nodes}", report.dialect)
}

/// The whole table.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = draw(report, &mut out);
    out
}

fn draw(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n{}: {}", report.scenario, report.what)?;
    writeln!(out, "{}", place_words(report))?;
    if report.ledger.sent > 0 {
        writeln!(out)?;
        for (name, count, should_be_zero) in ledger_rows(report) {
            let mark = if should_be_zero && count > 0 { "  ←" } else { "" };
            let percent = if name == "sent" { String::new() } else { share(count, report.ledger.sent) };
            writeln!(out, "  {name:<14}{:>14}{percent:>14}{mark}", grouped(count))?;
        }
    }
    let rows = time_rows(report);
    if !rows.is_empty() {
        writeln!(
            out,
            "\n  {:<14}{:>14}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "milliseconds", "of", "p50", "p90", "p99", "p99.9", "max"
        )?;
    }
    for (name, line) in rows {
        let Figures { count, p50, p90, p99, p999, max } = line.figures;
        write!(out, "  {name:<14}{:>14}", grouped(count))?;
        [p50, p90, p99, p999, max].iter().try_for_each(|value| write!(out, "{:>9}", millis(*value)))?;
        writeln!(out)?;
    }
    writeln!(out, "\n  {:<14}{}", "driver", driver_words(report))?;
    writeln!(out, "  {:<14}{}", "joins", joins_words(report))?;
    if let Some(words) = memory_words(report) {
        writeln!(out, "  {:<14}{words}", "memory")?;
    }
    for words in load_words(report) {
        writeln!(out, "  {:<14}{words}", "busy")?;
    }
    if report.came_back > 0 {
        writeln!(out, "  {:<14}{} times", "came back", grouped(report.came_back))?;
    }
    for (what, counts) in happenings(report) {
        for (why, count) in counts {
            writeln!(out, "  {what:<14}{} × {why}", grouped(*count))?;
        }
    }
    writeln!(out, "\n{}", report.verdict.words)
}

/// What happened besides: a name, and counts of words.
pub fn happenings(report: &Report) -> [(&'static str, &std::collections::BTreeMap<String, u64>); 3] {
    [
        ("turned away", &report.joins.refusals),
        ("thrown out", &report.lost_connections),
        ("refused", &report.complaints),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0u64, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!([0.2123, 12.345, 1234.5].map(millis), ["0.21", "12.3", "1 235"]);
        assert_eq!(share(0, 5), "0 %");
        assert_eq!(share(5, 5), "100 %");
        assert_eq!(share(1, 1000), "0.10 %");
        assert_eq!(share(3, 1_000_000), "0.00030 %");
    }
}
