//! The program: a scenario, its report, and whether all is well.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use loadtest::cli::{Cli, Run, Task};
use loadtest::crew::be_one_of_several;
use loadtest::report::{Report, plot, table};
use loadtest::run::run;

/// Something was lost, doubled, misrouted, reordered or damaged.
const NOT_GOOD: u8 = 1;
/// There is nothing to report.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let done = match Cli::parse().task() {
        Ok(Task::Work) => be_one_of_several().map(|()| true).map_err(|why| why.to_string()),
        Ok(Task::Run(task)) => carry_out(&task),
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| format!("no thread to run on: {why}"))?;
    let report = runtime.block_on(Box::pin(run(task))).map_err(|why| why.to_string())?;
    tell(task, &report)?;
    Ok(report.verdict.good)
}

fn tell(task: &Run, report: &Report) -> Result<(), String> {
    if let Some(file) = &task.json {
        write(file, &report.json())?;
    }
    if let Some(file) = &task.plot {
        write(file, &plot::page(report).map_err(|why| format!("the page cannot be drawn: {why}"))?)?;
    }
    io::stdout().write_all(table::table(report).as_bytes()).map_err(|why| why.to_string())
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|why| format!("{}: {why}", file.display()))
}
