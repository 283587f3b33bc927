//! Every file here is a module of one program: what they share is compiled once, and while a scene of one file waits,
//! those of others are played.
#![cfg(test)]

mod common;

mod camus_away;
mod camus_bad_frames;
mod camus_ice;
mod camus_messages;
mod camus_nodes;
mod camus_order;
mod camus_pages;
mod camus_passes;
mod camus_pings;
mod camus_programs;
mod camus_v1;
mod camus_web_app;
mod decode;
mod direct;
mod documents;
mod extending;
mod faults_clients;
mod faults_nodes;
mod faults_redis;
mod imports;
mod mesh;
mod metrics;
mod odd_frames;
mod peerjs_http;
mod peerjs_messages;
mod peerjs_names;
mod peerjs_nodes;
mod promise;
mod share;
mod tls;
mod turn_service;
mod y_webrtc;

use std::fs;
use std::path::Path;

#[test]
fn no_file_is_left_out() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "all") else { continue };
        let is_named = include_str!("all.rs").lines().any(|line| line == format!("mod {module};"));
        assert!(is_named, "all.rs does not have `mod {module};`");
    }
}
