//! The program of a node: flags and settings, a node, signals, drain.

use std::process::ExitCode;

use house::program;
use signal::node::Node;
use signal::settings::Settings;

fn main() -> ExitCode {
    program::run(|settings: &Settings| settings.log.clone(), run)
}

async fn run(settings: Settings) -> Result<(), String> {
    let cluster = settings.redis.url.as_ref().map(ToString::to_string);
    let node = Node::start(settings).await.map_err(|error| error.to_string())?;
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
