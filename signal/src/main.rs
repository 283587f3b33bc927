//! The program of a node: flags and settings, a node, signals, drain.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use signal::node::Node;
use signal::settings::{Cli, Settings};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::from_command_line();
    if let Some(done) = cli.config_command() {
        return done;
    }
    match Settings::load(&cli) {
        Ok(settings) => run(settings),
        Err(error) => fail(&error.to_string()),
    }
}

fn run(settings: Settings) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::new(&settings.log);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no threads to run on: {error}")),
    };
    runtime.block_on(async {
        let cluster = settings.redis.url.as_ref().map(ToString::to_string);
        match Node::start(settings).await {
            Ok(node) => {
                introduce(&node, cluster.as_deref());
                until_told_to_stop().await;
                tokio::select! {
                    () = node.drain() => {}
                    () = until_told_to_stop() => {}
                }
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error.to_string()),
        }
    })
}

/// Three lines for a person; other programs read them too.
fn introduce(node: &Node, cluster: Option<&str>) {
    let host =
        if node.address.ip().is_unspecified() { "localhost".into() } else { node.address.ip().to_string() };
    let host = if node.address.is_ipv6() && host != "localhost" { format!("[{host}]") } else { host };
    let who = match cluster {
        None => "alone (in memory)".to_owned(),
        Some(redis) => format!("in a cluster (node {}, {redis})", node.id()),
    };
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "Switchboard is at   http://{host}:{}/", node.address.port());
    let _ = writeln!(out, "Metrics are at      http://{}/metrics", node.ops_address);
    let _ = writeln!(out, "This node is        {who}");
    let _ = out.flush();
}

async fn until_told_to_stop() {
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

fn fail(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "signal: {why}");
    ExitCode::FAILURE
}
