//! What is wrong is found, and said: by numbers, by words and by the exit code.

#![cfg(test)]

mod common;

use common::{Server, loadtest};

const FAULTS: &[&str] = &["--drop", "50,60", "--double", "70,80,90", "--swap", "100"];

#[test]
fn exactly_what_a_proxy_did_to_the_messages_of_a_node_is_reported() {
    let node = Server::node(&[]);
    let proxy = node.with_faults(FAULTS);
    let shown = loadtest("faults", "--peers 8 --rate 200 --for 2s --warm-up 0s --settle 2s", &[&proxy]);
    assert_eq!(shown.wrong(), [("lost", 2), ("doubled", 3), ("reordered", 1)], "{shown}");
    assert_eq!((shown.code, shown.count("sent"), shown.count("received")), (1, 400, 398), "{shown}");
    assert!(
        shown.table.contains("Not every message is accounted for: 2 lost, 3 doubled, 1 reordered."),
        "{shown}"
    );
}

#[test]
fn and_to_those_of_a_server_that_only_echoes() {
    let echo = Server::echo();
    let proxy = echo.with_faults(FAULTS);
    let arguments = "--dialect echo --peers 4 --rate 200 --for 2s --warm-up 0s --settle 2s";
    let shown = loadtest("faults-echo", arguments, &[&proxy]);
    assert_eq!(shown.wrong(), [("lost", 2), ("doubled", 3), ("reordered", 1)], "{shown}");
    assert_eq!(shown.code, 1, "{shown}");
}

#[test]
fn where_nobody_is_nothing_can_be_run() {
    let echo = Server::echo();
    let url = echo.url.clone();
    drop(echo);
    let shown = loadtest("nobody", &format!("--peers 4 --url {url}"), &[]);
    assert_eq!(shown.code, 2, "{shown}");
    assert!(shown.errors.contains("4 of 4 peers were not let in"), "{shown}");
    assert!(shown.errors.contains("Connection refused"), "{shown}");
}

#[test]
fn a_refusal_is_told_with_its_status_and_the_servers_own_words() {
    let closed = Server::node(&[("ROOMS__CREATE_ON_ENTRY", "false")]);
    let shown = loadtest("closed", "--peers 4", &[&closed]);
    assert_eq!(shown.code, 2, "{shown}");
    assert!(shown.errors.contains("4 × 404 Not Found: “there is no such room”"), "{shown}");

    let strict = Server::node(&[("LIMITS__ROOMS_PER_MINUTE", "1")]);
    let shown = loadtest("strict", "idle --peers 202 --room 101", &[&strict]);
    assert_eq!(shown.code, 2, "{shown}");
    let why = "room 1 cannot be made: 429 Too Many Requests: “too many rooms made from this address”";
    assert!(shown.errors.contains(why), "{shown}");
}

#[test]
fn wrong_usage_is_told_before_anything_is_done() {
    for (arguments, why) in [
        ("--peers 10", "--peers 10 is no multiple of --room 4: 8 or 12 is"),
        ("--url ftp://example.org", "“ftp://example.org” is no URL of a node"),
        ("--ca /nowhere/ca.pem", "--ca /nowhere/ca.pem:"),
        ("idle --pid 4000000000", "--pid 4000000000: /proc/4000000000/status"),
        ("storm --rate never", "a number is needed"),
        ("--colour", "unexpected argument '--colour'"),
    ] {
        let shown = loadtest("usage", arguments, &[]);
        assert_eq!(shown.code, 2, "{arguments}: {shown}");
        assert!(shown.errors.contains(why), "{arguments}: {shown}");
    }
}
