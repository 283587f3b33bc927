//! The program of a node: flags and settings, a node, signals, drain. Yours, if you build one on this library.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use signal::handlers::{Lobby, Signed};
//! use signal::node::{Builder, Node};
//! use signal::settings::Settings;
//!
//! fn main() -> ExitCode {
//!     signal::program::run(node)
//! }
//!
//! fn node(settings: Settings) -> Builder {
//!     Node::builder(settings).register_handler(&["SHOUT"], shout)
//! }
//!
//! async fn shout(Signed(said): Signed, lobby: Lobby) {
//!     let _ = lobby.tell_everyone("SHOUT", &said).await;
//! }
//! ```

use std::process::ExitCode;

use house::program;

use crate::node::{Builder, Node};
use crate::settings::Settings;

/// Runs a node from the process's command line to its exit code: what there is to set comes from flags, the environment
/// and a file, `build` says what else the node has, and it serves until the process is told to stop.
pub fn run(build: impl FnOnce(Settings) -> Builder) -> ExitCode {
    program::run(|settings| serve(settings, build))
}

async fn serve(settings: Settings, build: impl FnOnce(Settings) -> Builder) -> Result<(), String> {
    let cluster = settings.redis.url.as_ref().map(ToString::to_string);
    let node = build(settings).start().await.map_err(|error| error.to_string())?;
    introduce(&node, cluster.as_deref());
    program::until_told_to_stop().await;
    tokio::select! {
        () = node.drain() => {}
        () = program::until_told_to_stop() => {}
    }
    Ok(())
}

fn introduce(node: &Node, cluster: Option<&str>) {
    let who = match cluster {
        None => "alone (in memory)".to_owned(),
        Some(redis) => format!("in a cluster (node {}, {redis})", node.id()),
    };
    program::say(&[
        format!("Switchboard is at   {}/", program::url(node.address, node.secure)),
        format!("Metrics are at      {}/metrics", program::url(node.ops_address, false)),
        format!("This node is        {who}"),
    ]);
}
