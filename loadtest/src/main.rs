//! The program: a scenario, or a protocol's scenes; its report, and whether all is well.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use loadtest::cli::{Cli, Run, Task};
use loadtest::conform::{Audition, conform};
use loadtest::crew::be_one_of_several;
use loadtest::report::{Report, plot, table};
use loadtest::run::run;
use tokio::runtime::{Builder, Runtime};

/// Something was lost, doubled, misrouted, reordered or damaged; or is not as a protocol has it.
const NOT_GOOD: u8 = 1;
/// There is nothing to report.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let done = match Cli::parse().task() {
        Ok(Task::Work) => be_one_of_several().map(|()| true).map_err(|why| why.to_string()),
        Ok(Task::Run(task)) => carry_out(&task),
        Ok(Task::Conform(audition)) => play(&audition),
        Err(why) => Err(why),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => NOT_GOOD.into(),
        Err(why) => {
            // If nobody reads it, the exit code says it.
            let _ = writeln!(io::stderr(), "loadtest: {why}");
            COULD_NOT_RUN.into()
        }
    }
}

/// Runs it, and tells what came of it. Whether that is good.
fn carry_out(task: &Run) -> Result<bool, String> {
    for file in [&task.json, &task.plot].into_iter().flatten() {
        // Before all the work, not after it.
        write(file, "")?;
    }
    let report = runtime()?.block_on(Box::pin(run(task))).map_err(|why| why.to_string())?;
    tell(task, &report)?;
    Ok(report.verdict.good)
}

/// Plays a protocol's scenes, and tells what came of them. Whether that is good.
fn play(audition: &Audition) -> Result<bool, String> {
    let review = runtime()?.block_on(Box::pin(conform(audition))).map_err(|why| why.to_string())?;
    say(&review.to_string())?;
    Ok(review.is_good())
}

fn runtime() -> Result<Runtime, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| format!("no thread to run on: {why}"))
}

fn tell(task: &Run, report: &Report) -> Result<(), String> {
    if let Some(file) = &task.json {
        write(file, &report.json())?;
    }
    if let Some(file) = &task.plot {
        write(file, &plot::page(report).map_err(|why| format!("the page cannot be drawn: {why}"))?)?;
    }
    say(&table::table(report))
}

fn say(text: &str) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|why| why.to_string())
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|why| format!("{}: {why}", file.display()))
}
