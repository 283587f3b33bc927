//! Each protocol, driven on two nodes with its ledger: as they are, while one is killed, and while their Redis comes back
//! empty.

#![cfg(test)]

mod common;

use common::{Drive, Server, Shown};

/// The protocols that a node speaks.
const SPOKEN: &[&str] = &["camus", "peerjs", "share", "direct", "mesh", "y-webrtc"];

/// Short times, so that what takes long is soon over; and nobody is turned away for coming with others.
const SETTINGS: &[(&str, &str)] =
    &[("REDIS__LEASE", "3s"), ("PEERJS__EXPIRE_TIMEOUT", "2s"), ("LIMITS__REGISTRATIONS_PER_MINUTE", "1000")];

struct Cluster {
    redis: Server,
    left: Server,
    right: Server,
}

impl Cluster {
    fn start() -> Self {
        let redis = Server::redis();
        let [left, right] = Server::cluster(&redis, SETTINGS);
        Self { redis, left, right }
    }

    /// All protocols at once; back when in each of them somebody has said something.
    fn driven(&self, name: &str, arguments: &str) -> Vec<Drive> {
        let drives = SPOKEN.iter().map(|dialect| {
            let arguments =
                format!("--dialect {dialect} --peers 8 --rate 100 --warm-up 0s --settle 25s {arguments}");
            Drive::start(&format!("{name}-{dialect}"), &arguments, &[&self.left, &self.right])
        });
        let mut drives: Vec<_> = drives.collect();
        drives.iter_mut().for_each(|drive| drive.says(" s of "));
        drives
    }
}

fn is_accounted_for(shown: &Shown) {
    assert_eq!((shown.code, shown.wrong()), (0, vec![]), "{shown}");
    assert!(shown.count("received") > 0, "{shown}");
}

#[test]
fn two_nodes_carry_all_that_is_said_in_each_protocol() {
    let cluster = Cluster::start();
    for shown in cluster.driven("two", "--for 2s").into_iter().map(Drive::shown) {
        is_accounted_for(&shown);
        assert_eq!(shown.count("sent"), shown.count("received"), "{shown}");
        assert_eq!(shown.report["nodes"].as_array().map(Vec::len), Some(2), "{shown}");
    }
}

#[test]
fn when_a_node_is_killed_each_message_of_each_protocol_is_accounted_for() {
    let cluster = Cluster::start();
    let drives = cluster.driven("killed", "--for 8s");
    drop(cluster.right);
    for shown in drives.into_iter().map(Drive::shown) {
        is_accounted_for(&shown);
        assert!(shown.report["came_back"].as_u64() >= Some(4), "{shown}");
    }
}

#[test]
fn and_when_their_redis_comes_back_empty() {
    let cluster = Cluster::start();
    let drives = cluster.driven("empty", "--for 8s");
    let (_, port) = cluster.redis.url.rsplit_once(':').expect("a port");
    let port = port.to_owned();
    drop(cluster.redis);
    let _redis = Server::redis_at(&port);
    drives.into_iter().map(Drive::shown).for_each(|shown| is_accounted_for(&shown));
}
