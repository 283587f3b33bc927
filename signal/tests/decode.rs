//! Whatever a client sends is a command: each frame of the corpus from which the fuzz targets start.

#[path = "../fuzz/exercise.rs"]
mod exercise;

use std::fs;
use std::path::Path;

/// The protocols, as the directories of the corpus are called.
const PROTOCOLS: &[(&str, &str)] = &[
    ("camus", "camus"),
    ("switchboard_v1", "switchboard.v1"),
    ("peerjs", "peerjs"),
    ("share", "share"),
    ("direct", "direct"),
    ("mesh", "mesh"),
    ("y_webrtc", "y-webrtc"),
];

#[test]
fn the_corpus_of_the_fuzz_targets_is_read_without_harm() {
    for (directory, protocol) in PROTOCOLS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(directory);
        let mut read = 0;
        for entry in fs::read_dir(&corpus).unwrap_or_else(|e| panic!("{}: {e}", corpus.display())) {
            exercise::exercise(protocol, &fs::read(entry.unwrap().path()).unwrap());
            read += 1;
        }
        assert!(read > 0, "{} is empty", corpus.display());
    }
}

#[test]
fn every_protocol_has_its_target() {
    let targets: Vec<_> = PROTOCOLS.iter().map(|(_, protocol)| *protocol).collect();
    for dialect in signal::dialect::names() {
        assert!(targets.contains(&dialect), "{dialect}");
    }
}
