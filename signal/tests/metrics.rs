//! What operators see: every number moves when what it counts happens, and none tells who it was.

use std::time::Duration;

use crate::common::{Browser, House, Node, PLAIN, PeerJs, ROOM, SERVER, Settings, scenes};
use serde_json::json;

const WITH_TURN: Settings<'_> = &[
    ("TURN__URLS", "turn:relay.example:3478"),
    ("TURN__SECRET", "s3cr3t"),
    ("CAMUS__GRACE", "3s"),
    ("CAMUS__PING_AFTER", "1s"),
    ("SOCKET__PING_INTERVAL", "250ms"),
    ("SOCKET__PING_TIMEOUT", "5s"),
];

scenes!(both, WITH_TURN; every_number_moves_when_what_it_counts_happens);
scenes!(both, PLAIN; an_idle_node_says_that_it_is_well);
scenes!(both, SHORT; the_same_numbers_move_for_peerjs_clients);
scenes!(one_node, PLAIN; metrics_are_for_operators_alone);

const SHORT: Settings<'_> = &[("PEERJS__EXPIRE_TIMEOUT", "500ms"), ("PEERJS__ALIVE_TIMEOUT", "2s")];

async fn is_more(node: &Node, names: &[&str]) {
    for name in names {
        node.counts(name, |value| value > 0.0).await;
    }
}

async fn every_number_moves_when_what_it_counts_happens(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let (hers, his) = (house.node_of("Alice"), house.node_of("Bob"));
    let together = hers.address == his.address;
    is_more(hers, &["signal_connections{dialect=\"camus\"}", "signal_rooms{dialect=\"camus\"}"]).await;

    alice.says(&bob.id, "text", json!("hello")).await;
    bob.hears("text").await;
    alice.says(ROOM, "text", json!("hello, all")).await;
    bob.hears("text").await;
    let path = if together { "local" } else { "remote" };
    is_more(his, &[&format!("signal_relay_seconds_count{{path=\"{path}\"}}")]).await;
    is_more(hers, &["signal_relay_seconds_sum{path=\"local\"}"]).await;
    for direction in ["in", "out"] {
        let name = format!("signal_messages_total{{dialect=\"camus\",direction=\"{direction}\"}}");
        is_more(hers, &[&name]).await;
        is_more(his, &[&name]).await;
    }

    for name in ["Ada", "Grace", "Joan"] {
        alice.says(SERVER, "profile", json!({ "username": name })).await;
    }
    is_more(hers, &["signal_rosters_held_total"]).await;

    alice.asks("get-ice-servers").await;
    alice.hears("ice-servers").await;
    hers.counts("turn_credentials_issued_total", |issued| (issued - 1.0).abs() < 0.1).await;

    alice.says("nobody", "text", json!(1)).await;
    alice.is_told("nobody").await;
    is_more(hers, &["signal_undeliverable_total{reason=\"absent\"}"]).await;

    bob.drops().await;
    alice.says(&bob.id, "text", json!("held")).await;
    is_more(his, &["signal_goodbyes_total{reason=\"broken\"}", "signal_mailbox_bytes"]).await;
    bob.comes_back().await;
    bob.hears("text").await;
    is_more(his, &["signal_resumes_total{outcome=\"here\"}"]).await;
    his.counts("signal_mailbox_bytes", |bytes| bytes == 0.0).await;
    if !together {
        bob.drops().await;
        bob.comes_back_through(hers).await;
        is_more(hers, &["signal_resumes_total{outcome=\"moved\"}"]).await;
        bob.drops().await;
        bob.comes_back_through(his).await;
    }
    bob.drops().await;
    alice.says(&bob.id, "text", json!("never heard")).await;
    alice.is_told(&bob.id).await;
    is_more(his, &["signal_undeliverable_total{reason=\"expired\"}"]).await;
    assert_eq!(bob.tries_to_come_back().await.unwrap_err().status, 403);
    is_more(his, &["signal_resumes_total{outcome=\"refused\"}"]).await;

    alice.asks("bye").await;
    alice.is_sent_away(1000).await;
    is_more(hers, &["signal_goodbyes_total{reason=\"left\"}"]).await;
    for node in [hers, his] {
        node.counts("signal_connections{dialect=\"camus\"}", |open| open == 0.0).await;
        node.counts("signal_rooms{dialect=\"camus\"}", |rooms| rooms == 0.0).await;
        tells_of_nobody(node, &[&alice.id, &bob.id, "capsule", "Alice", "Bob"]).await;
    }
}

async fn the_same_numbers_move_for_peerjs_clients(house: &mut House) {
    let mut alice = PeerJs::of(house, "Alice").await;
    let mut bob = PeerJs::of(house, "Bob").await;
    let (hers, his) = (house.node_of("Alice"), house.node_of("Bob"));
    let together = hers.address == his.address;
    is_more(hers, &["signal_connections{dialect=\"peerjs\"}", "signal_rooms{dialect=\"peerjs\"}"]).await;
    alice.tells("bob", "OFFER", json!(1)).await;
    bob.hears(r#"{"type":"OFFER","src":"alice","dst":"bob","payload":1}"#).await;
    let path = if together { "local" } else { "remote" };
    is_more(his, &[&format!("signal_relay_seconds_count{{path=\"{path}\"}}")]).await;
    is_more(hers, &["signal_messages_total{dialect=\"peerjs\",direction=\"in\"}"]).await;
    is_more(his, &["signal_messages_total{dialect=\"peerjs\",direction=\"out\"}"]).await;

    alice.tells("nobody", "OFFER", json!(1)).await;
    alice.hears(r#"{"type":"EXPIRE","src":"nobody","dst":"alice"}"#).await;
    is_more(hers, &["signal_undeliverable_total{reason=\"expired\"}"]).await;
    let mut eve = PeerJs::asks(&house.browser("Bob"), "alice", "another").await;
    eve.is_refused(r#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#).await;
    is_more(his, &["signal_goodbyes_total{reason=\"not_seated\"}"]).await;
    let mut again = PeerJs::gets(&house.browser("Bob"), "alice", "token-of-Alice").await;
    assert_eq!(alice.is_sent_away().await, Some(4001));
    is_more(hers, &["signal_goodbyes_total{reason=\"replaced\"}"]).await;
    let outcome = if together { "here" } else { "moved" };
    is_more(his, &[&format!("signal_resumes_total{{outcome=\"{outcome}\"}}")]).await;
    assert_eq!(again.is_sent_away().await, Some(4004));
    is_more(his, &["signal_goodbyes_total{reason=\"silent\"}"]).await;
    for node in [hers, his] {
        node.counts("signal_connections{dialect=\"peerjs\"}", |open| open == 0.0).await;
        node.counts("signal_rooms{dialect=\"peerjs\"}", |names| names == 0.0).await;
        tells_of_nobody(node, &["alice", "bob", "nobody", "token-of"]).await;
    }
}

async fn tells_of_nobody(node: &Node, names: &[&str]) {
    let text = Browser::at(node.ops).get("/metrics").await.body;
    for name in names {
        assert!(!text.contains(name), "{name} is in the metrics");
    }
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for name in samples.filter_map(|line| line.split(['{', ' ']).next()) {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_explained = [Some(name), family].into_iter().flatten().any(|family| {
            text.contains(&format!("# HELP {family} ")) && text.contains(&format!("# TYPE {family} "))
        });
        assert!(is_explained, "{name} has no help");
    }
}

async fn an_idle_node_says_that_it_is_well(house: &mut House) {
    let node = house.node_of("Bob");
    let mut operator = Browser::at(node.ops);
    for path in ["/live", "/ready"] {
        assert_eq!(operator.get(path).await.status, 200, "{path}");
    }
    let reply = operator.get("/metrics").await;
    assert!(reply.header("content-type").starts_with("text/plain"), "{}", reply.header("content-type"));
    is_more(node, &["signal_backplane_up", "process_resident_memory_bytes", "process_open_fds"]).await;
    for name in
        ["signal_backplane_probe_seconds", "signal_connections{dialect=\"camus\"}", "signal_mailbox_bytes"]
    {
        assert!(
            operator.get("/metrics").await.body.contains(&format!("\n{name} ")),
            "{name} is there from the start"
        );
    }
    let buckets = operator.get("/metrics").await.body;
    let edges = |path: &str| {
        let before = format!("signal_relay_seconds_bucket{{path=\"{path}\",le=\"");
        buckets.lines().filter_map(|line| line.strip_prefix(&before)?.split('"').next()).collect::<Vec<_>>()
    };
    for path in ["local", "remote"] {
        let edges = edges(path);
        assert_eq!((edges.first(), edges.last()), (Some(&"0.00005"), Some(&"+Inf")), "{edges:?}");
        assert_eq!(edges.iter().rev().nth(1), Some(&"10"));
    }
    if house.node_of("Alice").address != node.address {
        node.counts("signal_backplane_probe_seconds", |seconds| {
            seconds > 0.0 && seconds < Duration::from_secs(5).as_secs_f64()
        })
        .await;
    }
}

async fn metrics_are_for_operators_alone(house: &mut House) {
    let mut stranger = house.browser("Alice");
    for path in ["/metrics", "/live", "/ready"] {
        assert_eq!(stranger.get(path).await.status, 404, "{path}");
    }
    let mut operator = Browser::at(house.node_of("Alice").ops);
    for path in ["/", "/room/capsule", "/api/rooms", "/nothing"] {
        assert_eq!(operator.get(path).await.status, 404, "{path}");
    }
}
