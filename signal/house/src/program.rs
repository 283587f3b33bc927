//! How a program begins and ends.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::settings::{Cli, Program, Settings, load};

/// Runs a program from its command line to its exit code: answers what is asked about its settings, or else logs to
/// standard error and has the threads that they say, and runs `body`, whose error is told to a person.
pub fn run<S: Settings, F: Future<Output = Result<(), String>>>(body: impl FnOnce(S) -> F) -> ExitCode {
    let cli = Cli::from_command_line(S::PROGRAM);
    if let Some(done) = cli.config_command::<S>() {
        return done;
    }
    let settings = match load::<S>(&cli) {
        Ok(settings) => settings,
        Err(error) => return fail(S::PROGRAM, &error.to_string()),
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(settings.log()))
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    let runtime = match runtime(settings.threads()) {
        Ok(runtime) => runtime,
        Err(error) => return fail(S::PROGRAM, &format!("no threads to run on: {error}")),
    };
    match runtime.block_on(body(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(S::PROGRAM, &why),
    }
}

/// With so many threads; 0 for as many as there are processors.
fn runtime(threads: usize) -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build()
}

/// Says a few lines to a person; other programs read them too.
pub fn say(lines: &[String]) {
    let mut out = io::stdout().lock();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}

/// Where a person on this machine finds what listens on `address`: `http://localhost:8080`.
pub fn url(address: SocketAddr, secure: bool) -> String {
    let scheme = if secure { "https" } else { "http" };
    match address {
        _ if address.ip().is_unspecified() => format!("{scheme}://localhost:{}", address.port()),
        _ => format!("{scheme}://{address}"),
    }
}

/// Until the process gets SIGTERM or SIGINT.
pub async fn until_told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn fail(program: &Program, why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{}: {why}", program.name);
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_as_many_threads_as_it_was_told() {
        let workers = |threads| runtime(threads).unwrap().metrics().num_workers();
        assert_eq!((workers(1), workers(3)), (1, 3));
        assert_eq!(workers(0), std::thread::available_parallelism().unwrap().get());
    }
}
