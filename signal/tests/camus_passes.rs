//! camus: what a cookie and a token prove, to whom, and which of its ids a browser gets.

use std::time::{Duration, Instant};

use crate::common::{self, Browser, Client, House, PLAIN, ROOM, SERVER, Settings, scenes, until};
use serde_json::json;

const SHORT_LIVED: Settings<'_> = &[("SESSION__TTL", "2s")];
const WITH_ORIGINS: Settings<'_> = &[("ORIGINS", "https://app.example,https://two.example:8443")];
const TALKATIVE: Settings<'_> = &[("LOG", "trace")];

scenes!(both, PLAIN;
    without_a_pass_nobody_comes_in,
    no_byte_of_a_pass_can_be_changed,
    a_pass_opens_its_own_room_alone,
    a_page_of_another_origin_cannot_use_the_cookie,
    two_tabs_are_two_clients,
    a_tab_gets_its_own_id_back_by_its_token,
    a_socket_takes_the_newest_id_without_a_living_socket,
    when_all_ids_have_sockets_the_one_silent_longest_is_taken_over,
    the_same_id_twice_the_older_connection_goes,
    a_cookie_whose_newest_id_has_left_is_good_for_the_others,
);

scenes!(both, SHORT_LIVED; a_pass_ends);
scenes!(one_node, WITH_ORIGINS; listed_origins_may_use_the_cookie_and_others_may_use_nothing);
scenes!(one_node, TALKATIVE; no_token_and_no_payload_is_ever_logged);

async fn without_a_pass_nobody_comes_in(house: &mut House) {
    let _alice = house.enters("Alice", "capsule").await;
    let stranger = house.browser("Bob");
    for query in ["", "?token=", "?token", "?tokens=x", "?token=%00", "?token=ä"] {
        let refused = stranger.knocks(&format!("/room/capsule/ws{}", query.replace('ä', "%C3%A4"))).await;
        refused.unwrap_err().is_refusal(403);
    }
    let long = "A".repeat(8_000);
    stranger.knocks(&format!("/room/capsule/ws?token={long}")).await.unwrap_err().is_refusal(403);
}

async fn no_byte_of_a_pass_can_be_changed(house: &mut House) {
    let pass = house.browser("Alice").gets_into("capsule", json!({})).await;
    for at in (0..pass.token.len()).step_by(7) {
        let mut bytes = pass.token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(bytes).expect("text");
        let refused = house.browser("Bob").knocks(&format!("/room/capsule/ws?token={forged}")).await;
        assert_eq!(refused.unwrap_err().status, 403, "byte {at}");
    }
    let changes: [fn(&str) -> String; 4] = [
        |value| format!("{value}A"),
        |value| value[..value.len() - 2].into(),
        |_| String::new(),
        str::to_uppercase,
    ];
    for change in changes {
        let mut forger = pass.browser.clone();
        forger.tampers(change);
        assert_eq!(forger.knocks_at("capsule").await.unwrap_err().status, 403);
    }
    pass.connects().await.checks_in().await;
}

async fn a_pass_opens_its_own_room_alone(house: &mut House) {
    let mut maker = house.browser("Alice");
    maker.makes_room(json!({ "name": "vault", "password": "x" })).await;
    maker.makes_room(json!({ "name": "capsule" })).await;
    let pass = house.browser("Bob").gets_into("capsule", json!({})).await;
    for other in ["vault", "somewhere"] {
        let path = format!("/room/{other}/ws?token={}", pass.token);
        assert_eq!(pass.browser.knocks(&path).await.unwrap_err().status, 403);
        let mut browser = pass.browser.clone();
        browser.moves_cookies_to(&format!("/room/{other}"));
        assert_eq!(browser.knocks_at(other).await.unwrap_err().status, 403);
    }
    let mut browser = pass.browser.clone();
    browser.moves_cookies_to("/room/vault");
    assert!(!browser.get("/room/vault").await.body.contains("data-token"));
}

async fn a_page_of_another_origin_cannot_use_the_cookie(house: &mut House) {
    let pass = house.browser("Alice").gets_into("capsule", json!({})).await;
    let mut browser = pass.browser.clone();
    let own = format!("http://{}", browser.address);
    let foreign = [
        "null",
        "https://evil.example",
        "http://127.0.0.1",
        &format!("http://{}.evil.example", browser.address.ip()),
        &format!("http://evil.example:{}", browser.address.port()),
        &format!("{own}.evil.example"),
        &format!("http://127.0.0.1:{}", browser.address.port() - 1),
        "",
    ];
    for origin in foreign {
        browser.origin = Some(origin.to_owned());
        let refused = browser.knocks_at("capsule").await;
        assert_eq!(refused.expect_err(origin).status, 403, "{origin}");
        let mut everywhere = browser.clone();
        everywhere.moves_cookies_to("/api/rooms/capsule");
        everywhere.asks_for("capsule", json!({})).await.is_refusal(403);
    }
    browser.origin = Some(own);
    browser.knocks_at("capsule").await.expect("a wire for a page of this node");
    browser.origin = None;
    browser.knocks_at("capsule").await.expect("a wire for a program, which has no origin");
    // A token is not sent by a browser on its own: whoever has it may use it anywhere.
    let mut elsewhere = Browser::at(browser.address);
    elsewhere.origin = Some("https://app.example".into());
    let by_token = elsewhere.knocks(&format!("/room/capsule/ws?token={}", pass.token)).await;
    by_token.expect("a wire for a page elsewhere that has a token");
}

async fn listed_origins_may_use_the_cookie_and_others_may_use_nothing(house: &mut House) {
    let pass = house.browser("Alice").gets_into("capsule", json!({})).await;
    let mut browser = pass.browser.clone();
    for origin in ["https://app.example", "https://two.example:8443"] {
        browser.origin = Some(origin.into());
        browser.knocks_at("capsule").await.expect("a wire");
    }
    for origin in ["http://app.example", "https://app.example:8443", "https://two.example", "null"] {
        browser.origin = Some(origin.into());
        assert_eq!(browser.knocks_at("capsule").await.expect_err(origin).status, 403);
    }
}

async fn two_tabs_are_two_clients(house: &mut House) {
    let mut browser = house.browser("Alice");
    let [first, second] = [browser.opens("capsule").await, browser.opens("capsule").await];
    let mut tabs = Vec::new();
    for node in ["Alice", "Bob"] {
        browser.turns_to(house.node_of(node));
        tabs.push(Client::by_cookie(&browser, "capsule").await);
    }
    let [one, two] = &mut tabs[..] else { unreachable!("two tabs") };
    assert_eq!(one.id, second.id, "the newest first");
    assert_eq!(two.id, first.id);
    two.introduces_herself().await;
    one.hears("room-info").await;
    one.says(ROOM, "text", json!(1)).await;
    assert_eq!(two.hears("text").await.sender, second.id);
    one.hears("text").await;
}

async fn a_tab_gets_its_own_id_back_by_its_token(house: &mut House) {
    let mut browser = house.browser("Alice");
    let mut tabs = Vec::new();
    for _ in 0..2 {
        let page = browser.opens("capsule").await;
        let pass =
            common::Pass { id: page.id, token: page.token, room: "capsule".into(), browser: browser.clone() };
        let mut tab = pass.connects().await;
        tab.checks_in().await;
        tabs.push(tab);
    }
    for tab in &mut tabs {
        tab.drops().await;
    }
    browser.opens("capsule").await;
    for tab in &mut tabs {
        tab.pass.browser = browser.clone();
        tab.comes_back_through(house.node_of("Bob")).await;
        // Fails if the pong is for another id.
        tab.checks_in().await;
    }
}

async fn a_socket_takes_the_newest_id_without_a_living_socket(house: &mut House) {
    let mut browser = house.browser("Alice");
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(browser.opens("capsule").await.id);
    }
    let _newest = Client::by_cookie(&browser, "capsule").await;
    let mut middle = Client::by_cookie(&browser, "capsule").await;
    assert_eq!(middle.id, ids[1]);
    middle.drops().await;
    browser.turns_to(house.node_of("Bob"));
    let mut again = Client::by_cookie(&browser, "capsule").await;
    assert_eq!(again.id, ids[1], "it is away: newer than the one that was never used");
    assert_eq!(Client::by_cookie(&browser, "capsule").await.id, ids[0]);
    again.checks_in().await;
}

async fn when_all_ids_have_sockets_the_one_silent_longest_is_taken_over(house: &mut House) {
    let mut browser = house.browser("Alice");
    for _ in 0..2 {
        browser.opens("capsule").await;
    }
    let mut newer = Client::by_cookie(&browser, "capsule").await;
    browser.turns_to(house.node_of("Bob"));
    let mut older = Client::by_cookie(&browser, "capsule").await;
    talks_for_a_while(&mut newer).await;
    let mut taken = Client::by_cookie(&browser, "capsule").await;
    assert_eq!(taken.id, older.id);
    older.is_sent_away(4001).await;
    newer.checks_in().await;
    browser.turns_to(house.node_of("Alice"));
    talks_for_a_while(&mut taken).await;
    assert_eq!(Client::by_cookie(&browser, "capsule").await.id, newer.id);
    newer.is_sent_away(4001).await;
    taken.checks_in().await;
}

/// For longer than two nodes may differ in what they take for the same moment.
async fn talks_for_a_while(client: &mut Client) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(300) {
        client.checks_in().await;
    }
}

async fn the_same_id_twice_the_older_connection_goes(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    for node in [house.node_of("Bob"), house.other_node("Bob")] {
        let mut pass = bob.pass.clone();
        pass.browser.turns_to(node);
        let mut again = pass.connects().await;
        bob.is_sent_away(4001).await;
        // The farewell of the old connection takes nobody else with it.
        again.checks_in().await;
        alice.says(&again.id, "text", json!(1)).await;
        again.hears("text").await;
        again.says(&alice.id, "text", json!(2)).await;
        alice.hears("text").await;
        alice.has_not_heard("bye");
        alice.has_not_heard("error");
        alice.finds(&["Alice", "Bob"]).await;
        bob = again;
    }
}

async fn a_cookie_whose_newest_id_has_left_is_good_for_the_others(house: &mut House) {
    let mut browser = house.browser("Alice");
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(browser.opens("capsule").await.id);
    }
    for id in ids.iter().rev() {
        let mut client = Client::by_cookie(&browser, "capsule").await;
        assert_eq!(&client.id, id);
        client.says(SERVER, "bye", json!(1)).await;
        client.is_sent_away(1000).await;
    }
    assert_eq!(browser.knocks_at("capsule").await.unwrap_err().status, 403);
    let page = browser.opens("capsule").await;
    assert_eq!(Client::by_cookie(&browser, "capsule").await.id, page.id);
}

async fn a_pass_ends(house: &mut House) {
    house.browser("Alice").makes_room(json!({ "name": "capsule" })).await;
    let pass = house.browser("Bob").gets_into("capsule", json!({})).await;
    let mut client = pass.clone().connects().await;
    client.checks_in().await;
    let is_over = async || pass.knocks().await.is_err_and(|refused| refused.status == 403);
    until("the pass to end", is_over).await;
    assert_eq!(pass.browser.knocks_at("capsule").await.unwrap_err().status, 403);
    house.browser("Bob").asks_for("capsule", json!({ "token": pass.token })).await.is_refusal(403);
}

async fn no_token_and_no_payload_is_ever_logged(house: &mut House) {
    house.browser("Alice").makes_room(json!({ "name": "capsule", "password": "protein pills" })).await;
    let pass = house.browser("Alice").gets_into("capsule", json!({ "password": "protein pills" })).await;
    let cookie = pass.browser.cookie_for("/room/capsule/ws").expect("a cookie");
    let mut alice = pass.clone().connects().await;
    let id = alice.id.clone();
    alice.says(&id, "offer", json!({ "sdp": "v=0 a-secret-fingerprint" })).await;
    alice.hears("offer").await;
    alice.writes("{\"receiver\":\"a-secret-receiver\"").await;
    alice.hears("error").await;
    alice.drops().await;
    alice.comes_back().await;
    let forged = format!("{}x", pass.token);
    let refused = pass.browser.knocks(&format!("/room/capsule/ws?token={forged}")).await;
    assert_eq!(refused.unwrap_err().status, 403);
    let log = house.last_log_of("Alice");
    assert!(!log.is_empty(), "a node that logs nothing proves nothing");
    for secret in [&pass.token, &cookie, "protein pills", "a-secret", "the scenes' secret"] {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
}
