//! camus: the door for programs, which is JSON.

use crate::common::{self, House, PLAIN, Settings, scenes};
use serde_json::{Value, json};

const WITH_ORIGINS: Settings<'_> = &[("ORIGINS", "https://app.example")];
const MANAGED: Settings<'_> = &[("ROOMS__CREATE_ON_ENTRY", "false")];
const STRICT: Settings<'_> = &[("LIMITS__PASSWORD_ATTEMPTS", "3")];

scenes!(both, PLAIN;
    a_program_makes_a_room,
    a_program_lists_the_public_rooms,
    a_program_gets_an_id_a_token_and_a_cookie,
    a_password_opens_the_room_and_nothing_else_does,
    a_token_keeps_its_id_as_long_as_that_may_come_back,
    a_username_is_what_the_others_see,
);

scenes!(one_node, PLAIN; a_page_of_any_host_may_use_the_client_module_and_the_api);
scenes!(one_node, WITH_ORIGINS; with_origins_listed_only_their_pages_may);
scenes!(both, PLAIN; a_password_opens_no_room_that_is_not_there);
scenes!(both, MANAGED; a_program_gets_into_no_room_that_nobody_made);
scenes!(one_node, STRICT;
    who_tries_too_many_passwords_has_to_wait,
    passwords_that_are_tried_at_the_same_moment_are_counted_too,
);
scenes!(one_node, PLAIN; what_is_not_asked_for_is_refused_in_json);

async fn a_password_opens_no_room_that_is_not_there(house: &mut House) {
    let mut alice = house.browser("Alice");
    alice.asks_for("vault", json!({ "password": "sesame" })).await.is_refusal(404);
    assert_eq!(alice.asks_for("vault", json!({ "password": "" })).await.status, 201, "none is none");
}

const OPEN_TO_PAGES: [&str; 5] =
    ["/client.js", "/client.d.ts", "/web/style.css", "/api/rooms", "/api/rooms/capsule/clients"];

async fn a_page_of_any_host_may_use_the_client_module_and_the_api(house: &mut House) {
    let mut page = house.browser("Alice");
    page.origin = Some("https://app.example".into());
    for path in OPEN_TO_PAGES {
        let asked = page.asks_beforehand(path).await;
        assert_eq!(asked.status, 204, "{path}");
        assert_eq!(asked.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(asked.header("access-control-allow-headers"), "content-type, authorization", "{path}");
        assert_eq!(page.get(path).await.header("access-control-allow-origin"), "*", "{path}");
    }
    let answer = page.asks_for("capsule", json!({})).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (201, "*"));
    for path in ["/", "/room/capsule"] {
        assert_eq!(page.get(path).await.header("access-control-allow-origin"), "", "{path}");
        assert_eq!(page.asks_beforehand(path).await.status, 405, "{path}");
    }
}

async fn with_origins_listed_only_their_pages_may(house: &mut House) {
    let mut page = house.browser("Alice");
    for path in OPEN_TO_PAGES {
        page.origin = Some("https://app.example".into());
        let asked = page.asks_beforehand(path).await;
        assert_eq!(asked.header("access-control-allow-origin"), "https://app.example", "{path}");
        page.origin = Some("https://two.example".into());
        page.asks_beforehand(path).await.is_refusal(403);
        page.get(path).await.is_refusal(403);
        page.origin = None;
        assert_ne!(page.get(path).await.status, 403, "{path}");
    }
    page.origin = Some("https://two.example".into());
    page.asks_for("capsule", json!({})).await.is_refusal(403);
}

async fn a_program_makes_a_room(house: &mut House) {
    let [mut alice, mut bob] = [house.browser("Alice"), house.browser("Bob")];
    let made = alice.posts("/api/rooms", json!({ "name": "Excellent  Adventure, Part Ⅱ" })).await;
    assert_eq!(made.status, 201);
    let slug = made.json()["slug"].as_str().expect("a slug").to_owned();
    assert_eq!(made.json(), json!({ "slug": slug }));
    assert!(slug.starts_with("excellent-adventure-part"), "{slug}");
    bob.posts("/api/rooms", json!({ "name": "excellent adventure part Ⅱ" })).await.is_refusal(409);
    bob.opens(&slug).await;
    for name in ["", " ", "?!", "---"] {
        bob.posts("/api/rooms", json!({ "name": name })).await.is_refusal(400);
    }
}

async fn a_program_lists_the_public_rooms(house: &mut House) {
    let [mut alice, mut bob] = [house.browser("Alice"), house.browser("Bob")];
    assert_eq!(bob.get("/api/rooms").await.json(), json!({ "rooms": [] }));
    alice.makes_room(json!({ "name": "Beta", "public": true, "guest_limit": 0, "password": "x" })).await;
    alice.makes_room(json!({ "name": "Alpha", "public": true })).await;
    alice.makes_room(json!({ "name": "Gamma", "public": false })).await;
    alice.makes_room(json!({ "name": "Delta" })).await;
    let mut client = house.enters("Alice", "alpha").await;
    let row = |slug: &str, name: &str, guests: u32, limit: u32, password: bool| json!({ "slug": slug, "name": name, "guests": guests, "guest_limit": limit, "password": password });
    let beta = row("beta", "Beta", 0, 0, true);
    assert_eq!(
        bob.get("/api/rooms").await.json(),
        json!({ "rooms": [row("alpha", "Alpha", 1, 100, false), beta] })
    );
    client.drops().await;
    assert_eq!(bob.get("/api/rooms").await.json()["rooms"][0]["guests"], 1, "one who is away is in the room");
    client.comes_back().await;
    client.asks("bye").await;
    client.is_sent_away(1000).await;
    assert_eq!(bob.get("/api/rooms").await.json()["rooms"][0]["guests"], 0);
}

async fn a_program_gets_an_id_a_token_and_a_cookie(house: &mut House) {
    let mut browser = house.browser("Alice");
    let reply = browser.asks_for("capsule", json!({})).await;
    assert_eq!(reply.status, 201);
    let answer = reply.json();
    assert_eq!(answer, json!({ "id": answer["id"], "token": answer["token"] }));
    assert!(reply.header("set-cookie").contains("Path=/room/capsule"));

    let by_cookie = common::Client::by_cookie(&browser, "capsule").await;
    assert_eq!(answer["id"], by_cookie.id);

    let pass = house.browser("Bob").gets_into("capsule", json!({})).await;
    assert_ne!(answer["id"], pass.id, "every asking makes a new id");
    let mut without_cookies = pass.clone();
    without_cookies.browser = common::Browser::at(pass.browser.address);
    let mut client = without_cookies.connects().await;
    client.checks_in().await;
}

async fn a_password_opens_the_room_and_nothing_else_does(house: &mut House) {
    house.browser("Alice").makes_room(json!({ "name": "capsule", "password": "protein pills" })).await;
    let mut bob = house.browser("Bob");
    for with in
        [json!({}), json!({ "password": null }), json!({ "password": "" }), json!({ "password": "pills" })]
    {
        bob.asks_for("capsule", with).await.is_refusal(401);
    }
    assert_eq!(bob.cookie_for("/room/capsule/ws"), None);
    let pass = bob.gets_into("capsule", json!({ "password": "protein pills" })).await;
    let mut other = pass.clone();
    other.room = "capsule-2".into();
    assert_eq!(other.knocks().await.unwrap_err().status, 403);
    pass.connects().await.checks_in().await;
}

async fn a_token_keeps_its_id_as_long_as_that_may_come_back(house: &mut House) {
    house.browser("Alice").makes_room(json!({ "name": "capsule", "password": "x" })).await;
    let pass = house.browser("Alice").gets_into("capsule", json!({ "password": "x" })).await;
    let ask = async |token: &str| house.browser("Bob").asks_for("capsule", json!({ "token": token })).await;
    let again = ask(&pass.token).await;
    assert_eq!((again.status, &again.json()["id"]), (201, &json!(pass.id)), "it was never used, and may be");

    let mut alice = pass.clone().connects().await;
    alice.checks_in().await;
    assert_eq!(ask(&pass.token).await.json()["id"], json!(pass.id));
    alice.drops().await;
    assert_eq!(ask(&pass.token).await.json()["id"], json!(pass.id));
    alice.comes_back().await;
    alice.asks("bye").await;
    alice.is_sent_away(1000).await;

    let anew = ask(&pass.token).await;
    assert_eq!(anew.status, 201, "no password is needed a second time: {anew:?}");
    assert_ne!(anew.json()["id"], json!(pass.id));
    let token = anew.json()["token"].as_str().expect("a token").to_owned();
    house.browser("Bob").knocks(&format!("/room/capsule/ws?token={token}")).await.expect("a wire");

    for forged in ["", "x", &pass.token[1..], &format!("{}A", pass.token)] {
        ask(forged).await.is_refusal(403);
    }
    let elsewhere = house.browser("Alice").gets_into("elsewhere", json!({})).await;
    ask(&elsewhere.token).await.is_refusal(403);
}

async fn a_username_is_what_the_others_see(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    for (given, seen) in
        [(json!("Ted \"Theodore\" Logan"), "Ted \"Theodore\" Logan"), (json!(""), "Major Tom")]
    {
        let pass = house.browser("Bob").gets_into("capsule", json!({ "username": given })).await;
        let mut bob = pass.connects().await;
        bob.introduces_herself().await;
        alice.sees(&["Alice", seen]).await;
        bob.asks("bye").await;
        alice.sees(&["Alice"]).await;
    }
}

async fn a_program_gets_into_no_room_that_nobody_made(house: &mut House) {
    let mut bob = house.browser("Bob");
    for room in ["capsule", "UPPER", "a%2Fb", "%00"] {
        bob.asks_for(room, json!({})).await.is_refusal(404);
    }
    let slug = house.browser("Alice").makes_room(json!({ "name": "capsule" })).await;
    bob.gets_into(&slug, json!({})).await.connects().await.checks_in().await;
}

async fn who_tries_too_many_passwords_has_to_wait(house: &mut House) {
    for name in ["capsule", "another"] {
        house.browser("Alice").makes_room(json!({ "name": name, "password": "x" })).await;
    }
    let mut bob = house.browser("Bob");
    for _ in 0..3 {
        bob.asks_for("capsule", json!({ "password": "y" })).await.is_refusal(401);
    }
    let late = bob.asks_for("capsule", json!({ "password": "x" })).await;
    late.is_refusal(429);
    let wait: u32 = late.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    let page = bob.posts_form("/room/capsule", &[("password", "x")]).await;
    assert!(page.status == 429 && page.is_page() && !page.header("retry-after").is_empty(), "{page:?}");
    assert_eq!(bob.asks_for("another", json!({ "password": "x" })).await.status, 201);
}

async fn passwords_that_are_tried_at_the_same_moment_are_counted_too(house: &mut House) {
    let carols: Vec<_> = (0..30).map(|_| house.browser("Carol")).collect();
    house.browser("Alice").makes_room(json!({ "name": "capsule", "password": "x" })).await;
    let guesses = carols
        .into_iter()
        .map(async |mut carol| carol.asks_for("capsule", json!({ "password": "y" })).await.status);
    let said = futures_util::future::join_all(guesses).await;
    let tried = said.iter().filter(|status| **status == 401).count();
    assert_eq!(tried, 3, "{said:?}");
    assert!(said.iter().all(|status| matches!(status, 401 | 429)), "{said:?}");
}

async fn what_is_not_asked_for_is_refused_in_json(house: &mut House) {
    let mut bob = house.browser("Bob");
    let bad: [&str; 8] = [
        "{",
        "[]",
        "7",
        "\"x\"",
        r#"{"name":7}"#,
        r#"{"name":"a","public":"Yes"}"#,
        r#"{"name":"a","guest_limit":-1}"#,
        "\u{0}",
    ];
    for text in bad {
        bob.posts_text("/api/rooms", text).await.is_refusal(400);
    }
    for text in ["{", "[]", r#"{"password":7}"#, r#"{"username":[]}"#, r#"{"token":1}"#] {
        bob.posts_text("/api/rooms/capsule/clients", text).await.is_refusal(400);
    }
    let long = json!({ "name": "x".repeat(1_000_000) });
    let refused = bob.posts("/api/rooms", long).await;
    assert!(matches!(refused.status, 400 | 413), "{}", refused.status);
    assert_eq!(bob.get("/api/rooms").await.json()["rooms"], Value::Array(vec![]));
    assert_eq!(bob.get("/api/rooms/capsule/clients").await.status, 405);
}
