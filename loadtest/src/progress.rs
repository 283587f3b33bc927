//! How it goes, on standard error: a line that changes, or, where that is no terminal, a line every few seconds.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::ledger::Tally;
use crate::measure::Second;
use crate::report::table::grouped;

/// How often a line is written where lines stay.
const EVERY: Duration = Duration::from_secs(5);

/// Tells a person how it goes.
pub struct Progress {
    bar: Option<ProgressBar>,
    last: Option<Instant>,
    /// Whether it has been said that they talk.
    talks: bool,
}

impl Progress {
    /// On standard error.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(1);
            // It is as it should be, or the tests would say so.
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar
        });
        Self { bar, last: None, talks: false }
    }

    /// So many have come in.
    pub fn joining(&mut self, seated: u64, of: u32, turned_away: u64) {
        let away = if turned_away > 0 { format!(", {turned_away} turned away") } else { String::new() };
        let message = format!("joined {} of {}{away}", grouped(seated), grouped(of));
        self.show(seated, u64::from(of), message);
    }

    /// So much was said after so many seconds.
    pub fn talking(&mut self, seconds: u32, of: Duration, second: &Second, so_far: &Tally) {
        let of = of.as_secs();
        let now = u64::from(seconds + 1);
        let time = if now <= of { format!("{now} s of {of}") } else { "waiting for the rest".into() };
        let mut message = time;
        if so_far.sent > 0 {
            let [sent, received, missing] = [so_far.sent, so_far.received, so_far.missing()].map(grouped);
            let _ = write!(message, " · sent {sent} · received {received} · missing {missing}");
        }
        if second.received > 0 {
            let latency = second.latency();
            let (p99, lag) = (latency.millis_at(0.99), second.lag.millis_at(0.99));
            let _ = write!(message, " · p99 {p99:.2} ms · own lag {lag:.2} ms");
        }
        if !std::mem::replace(&mut self.talks, true) {
            // Whoever waits for that is not made to wait.
            self.last = None;
        }
        self.show(now.min(of), of, message);
    }

    /// The terminal belongs to somebody else again.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&mut self, done: u64, of: u64, message: String) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(of.max(1));
                bar.set_position(done);
                bar.set_message(message);
            }
            None if self.last.is_none_or(|last| last.elapsed() >= EVERY) => {
                self.last = Some(Instant::now());
                // Nobody has to read it.
                let _ = writeln!(std::io::stderr(), "{message}");
            }
            None => {}
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
