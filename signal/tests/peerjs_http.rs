//! What PeerJS clients ask for by HTTP, and where.

use crate::common::{House, PeerJs, Settings, scenes, until};
use serde_json::json;

const PLAIN: Settings<'_> = &[];
const ELSEWHERE: Settings<'_> =
    &[("PEERJS__PATH", "/my/app/"), ("PEERJS__KEY", "secret"), ("PEERJS__DISCOVERY", "true")];
const LISTED: Settings<'_> = &[("ORIGINS", "https://app.example")];
const NARROW: Settings<'_> = &[("LIMITS__ARRIVING", "1")];
const ROOMY: Settings<'_> = &[("PEERJS__KEY", "room"), ("ROOMS__CREATE_ON_ENTRY", "false")];

scenes!(one_node, PLAIN;
    an_id_is_for_whoever_asks_and_no_two_are_the_same,
    a_wrong_key_is_told,
    nobody_is_told_who_is_there_unless_the_operator_wants_it,
    the_nodes_own_pages_stay_where_they_are,
);
scenes!(both, ELSEWHERE; the_path_and_the_key_are_the_operators, everybody_is_listed_on_every_node);
scenes!(one_node, NARROW; who_is_sent_away_and_does_not_go_keeps_nobody_out);
scenes!(one_node, LISTED; only_pages_of_listed_origins_get_a_name);
scenes!(one_node, ROOMY; a_key_may_be_the_name_of_a_page, names_need_no_rooms_that_are_made_by_entering);

async fn an_id_is_for_whoever_asks_and_no_two_are_the_same(house: &mut House) {
    let mut browser = house.browser("Alice");
    browser.origin = Some("https://app.example".into());
    let mut ids = Vec::new();
    for _ in 0..3 {
        let reply = browser.get("/peerjs/id?ts=1700000000000.5&version=1.5.5").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/html; charset=utf-8"));
        assert_eq!(reply.header("access-control-allow-origin"), "https://app.example");
        assert!(reply.header("vary").to_lowercase().contains("origin"));
        let hyphens: Vec<_> = reply.body.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!((reply.body.len(), &hyphens[..], &reply.body[14..15]), (36, &[8, 13, 18, 23][..], "4"));
        ids.push(reply.body);
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    PeerJs::gets(&browser, &ids[0], "t").await;
    let reply = browser.asks_by("OPTIONS", "/peerjs/id").await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, "https://app.example"));
}

async fn a_wrong_key_is_told(house: &mut House) {
    let mut browser = house.browser("Alice");
    browser.origin = Some("https://app.example".into());
    for path in ["/other/id", "/other/peers", "/PEERJS/id"] {
        let reply = browser.get(path).await;
        assert_eq!((reply.status, &*reply.body), (401, "Invalid key provided"), "{path}");
        assert!(reply.header("content-type").starts_with("text/plain"));
        assert_eq!(reply.header("access-control-allow-origin"), "https://app.example");
    }
}

async fn who_is_sent_away_and_does_not_go_keeps_nobody_out(house: &mut House) {
    let eve = house.browser("Eve");
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(eve.knocks("/peerjs?key=wrong&id=eve&token=t").await.expect("a socket"));
        PeerJs::gets(&house.browser("Alice"), "alice", "t").await;
    }
}

async fn nobody_is_told_who_is_there_unless_the_operator_wants_it(house: &mut House) {
    let mut browser = house.browser("Alice");
    let reply = browser.get("/peerjs/peers").await;
    assert_eq!((reply.status, &*reply.body), (401, "Unauthorized"));
    assert!(reply.header("content-type").starts_with("text/plain"));
}

async fn the_nodes_own_pages_stay_where_they_are(house: &mut House) {
    let mut browser = house.browser("Alice");
    for path in ["/", "/public", "/room/id", "/room/peers", "/client.js"] {
        let reply = browser.get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_ne!(reply.header("content-type"), "application/json", "{path}");
    }
    assert_eq!(browser.get("/peerjs").await.status, 426, "a WebSocket is there");
}

async fn the_path_and_the_key_are_the_operators(house: &mut House) {
    let mut browser = house.browser("Alice");
    for path in ["/my/app/", "/my/app"] {
        let reply = browser.get(path).await;
        assert_eq!((reply.status, &reply.json()["name"]), (200, &json!("PeerJS Server")));
    }
    assert_eq!(browser.get("/my/app/secret/id").await.status, 200);
    assert_eq!(browser.get("/my/app/peerjs/id").await.status, 401);
    assert_eq!(browser.get("/peerjs/id").await.status, 404);
    let mut alice = PeerJs::knocks(&browser, "/my/app/peerjs?key=secret&id=alice&token=t").await;
    alice.is_seated().await.expect("it is the key");
    assert_eq!(browser.knocks("/peerjs?key=secret&id=alice&token=t").await.unwrap_err().status, 404);
}

async fn everybody_is_listed_on_every_node(house: &mut House) {
    let path = |id: &str| format!("/my/app/peerjs?key=secret&id={id}&token=t");
    let mut alice = PeerJs::knocks(&house.browser("Alice"), &path("alice")).await;
    let mut bob = PeerJs::knocks(&house.browser("Bob"), &path("b%20o/b")).await;
    for client in [&mut alice, &mut bob] {
        client.is_seated().await.expect("nobody else wants it");
    }
    for name in ["Alice", "Bob"] {
        let reply = house.browser(name).get("/my/app/secret/peers").await;
        assert_eq!((reply.status, reply.json()), (200, json!(["alice", "b o/b"])));
    }
    alice.closes().await;
    until("her to be missed", async || {
        house.browser("Bob").get("/my/app/secret/peers").await.json() == json!(["b o/b"])
    })
    .await;
}

async fn only_pages_of_listed_origins_get_a_name(house: &mut House) {
    let mut browser = house.browser("Alice");
    for (origin, may) in
        [(None, true), (Some("https://app.example"), true), (Some("https://two.example"), false)]
    {
        browser.origin = origin.map(str::to_owned);
        let status = if may { 200 } else { 403 };
        assert_eq!(browser.get("/peerjs/id").await.status, status, "{origin:?}");
        let knocked = browser.knocks("/peerjs?key=peerjs&id=alice&token=t").await;
        assert_eq!(knocked.map_err(|refused| refused.status).err(), (!may).then_some(403), "{origin:?}");
    }
}

async fn a_key_may_be_the_name_of_a_page(house: &mut House) {
    let mut browser = house.browser("Alice");
    assert_eq!(browser.get("/room/id").await.body.len(), 36);
    assert_eq!(browser.get("/room/kitchen").await.status, 404, "a page says that there is no such room");
}

async fn names_need_no_rooms_that_are_made_by_entering(house: &mut House) {
    let mut alice = PeerJs::knocks(&house.browser("Alice"), "/peerjs?key=room&id=alice&token=t").await;
    alice.is_seated().await.expect("it is free");
}
