//! The scenarios against real nodes: what they do, and what they say of it.

#![cfg(test)]

mod common;

use common::{Server, loadtest};

#[test]
fn calls_on_one_node_from_two_processes() {
    let node = Server::node(&[]);
    let shown = loadtest(
        "calls",
        "--peers 12 --room 3 --rate 300 --for 2s --warm-up 1s --processes 2 --sources 2",
        &[&node],
    );
    assert_eq!((shown.code, shown.count("sent"), shown.count("received")), (0, 900, 900), "{shown}");
    assert!(shown.table.contains("Each message is accounted for."), "{shown}");
    let latency = &shown.report["latency"];
    assert!((590..=610).contains(&latency["same_node"]["count"].as_u64().unwrap()), "{latency}");
    assert_eq!(latency["across_nodes"]["count"], 0);
    assert!(shown.report["driver"]["lag"]["p99"].as_f64().unwrap() > 0.0);
    assert!(shown.report["driver"]["cpu_micros_per_message"].as_f64().unwrap() > 0.0);
    assert_eq!(shown.report["driver"]["processes"], 2);
    assert!(shown.errors.contains(" of 12\n"), "{shown}");
}

#[test]
fn calls_over_two_nodes_are_measured_apart() {
    let redis = Server::redis();
    let [left, right] = Server::cluster(&redis, &[]);
    let arguments = format!("--peers 8 --room 4 --rate 400 --for 2s --warm-up 0s --redis {}", redis.url);
    let shown = loadtest("nodes", &arguments, &[&left, &right]);
    assert_eq!((shown.code, shown.count("received"), shown.wrong()), (0, 800, vec![]), "{shown}");
    let nodes: Vec<_> = shown.report["nodes"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert!(nodes[0].contains("left") && nodes[1].contains("right"), "{nodes:?}");
    let of = |kind: &str| shown.report["latency"][kind]["count"].as_u64().unwrap();
    // In a room of four, with two on each node, each has one beside it and two elsewhere.
    assert_eq!(of("same_node") + of("across_nodes"), 800);
    assert!((230..=300).contains(&of("same_node")), "{}", of("same_node"));
    assert!(shown.table.contains("across nodes") && shown.table.contains("Redis: 0."), "{shown}");
}

#[test]
fn the_page_needs_nothing_else() {
    let echo = Server::echo();
    let shown = loadtest("page", "--dialect echo --peers 4 --rate 200 --for 2s --warm-up 0s", &[&echo]);
    assert_eq!(shown.code, 0, "{shown}");
    assert!(shown.page.contains("<svg") && shown.page.contains("Each message is accounted for."));
    // A name of SVG is no address that anybody asks.
    let page = shown.page.replace("http://www.w3.org/2000/svg", "").replace(&echo.url, "");
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn idle_connections_are_weighed() {
    let node = Server::node(&[("CAMUS__PING_AFTER", "1s"), ("SOCKET__PING_INTERVAL", "1s")]);
    let shown = loadtest("idle", &format!("idle --peers 400 --for 3s --pid {}", node.pid()), &[&node]);
    assert_eq!(shown.code, 0, "{shown}");
    assert!(shown.table.contains("kB per connection"), "{shown}");
    let memory = &shown.report["memory"][0];
    assert!(memory["with_all"].as_u64() > memory["before"].as_u64(), "{memory}");
    assert!(shown.table.contains("Every connection was held."), "{shown}");
}

#[test]
fn a_storm_is_timed_from_connecting_to_being_seated() {
    let node = Server::node(&[]);
    let arguments = format!("storm --peers 200 --rate 200 --pid {}", node.pid());
    let shown = loadtest("storm", &arguments, &[&node]);
    assert_eq!((shown.code, shown.report["joins"]["time"]["count"].as_u64()), (0, Some(200)), "{shown}");
    assert!(shown.report["joins"]["took"].as_f64().unwrap() > 0.9, "{shown}");
    assert!(shown.table.contains("until seated") && shown.table.contains("µs for each join"), "{shown}");
    assert!(shown.report["loads"][0]["used"].as_f64().unwrap() > 0.0, "{shown}");
}

#[test]
fn one_speaks_to_a_large_room() {
    let node = Server::node(&[]);
    let shown = loadtest("room", "room --peers 150 --rate 10 --for 2s --warm-up 0s", &[&node]);
    assert_eq!((shown.code, shown.count("sent"), shown.wrong()), (0, 20 * 150, vec![]), "{shown}");
}

#[test]
fn who_goes_away_and_comes_back_has_missed_nothing() {
    let node = Server::node(&[]);
    let arguments = "churn --peers 8 --rate 200 --leave 4 --away 300ms --for 3s --warm-up 0s";
    let shown = loadtest("churn", arguments, &[&node]);
    assert_eq!((shown.code, shown.wrong()), (0, vec![]), "{shown}");
    assert!(shown.report["came_back"].as_u64().unwrap() > 0, "{shown}");
    assert_eq!(shown.count("sent") + shown.count("unsent"), 600, "{shown}");
    assert!(shown.report["lost_connections"].as_object().unwrap().is_empty(), "{shown}");
}

#[test]
fn what_does_not_fit_into_a_mailbox_is_told_and_not_lost() {
    let node = Server::node(&[("MAILBOX__MESSAGES", "30")]);
    let arguments = "churn --peers 4 --rate 300 --leave 1 --away 1s --for 3s --warm-up 0s";
    let shown = loadtest("told", arguments, &[&node]);
    assert_eq!((shown.code, shown.wrong()), (0, vec![]), "{shown}");
    assert!(shown.count("told") > 0, "{shown}");
}
