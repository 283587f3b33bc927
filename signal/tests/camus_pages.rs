//! camus: the door for people, which is pages, forms and cookies.

use crate::common::{self, Browser, Client, House, PLAIN, Reply, Settings, scenes, until};
use serde_json::{Value, json};

const MANAGED: Settings<'_> = &[("ROOMS__CREATE_ON_ENTRY", "false")];
const FORGETFUL: Settings<'_> = &[("ROOMS__CREATE_ON_ENTRY", "false"), ("ROOMS__EMPTY_FOR", "1s")];

scenes!(both, PLAIN;
    every_get_makes_a_new_id,
    a_page_keeps_nothing,
    the_cookie_is_for_this_browser_and_this_room,
    the_old_address_of_a_room_still_works,
    a_form_makes_a_room_and_leads_into_it,
    a_name_that_is_taken_or_has_no_slug_is_told_in_the_page,
    public_rooms_are_listed_and_others_are_not,
    a_room_with_a_password_shows_a_form,
    a_full_room_is_a_teapot,
    entering_a_room_makes_it,
);

scenes!(both, MANAGED; a_room_that_nobody_made_is_not_there);
scenes!(both, FORGETFUL; a_room_with_nobody_in_it_is_removed);
scenes!(one_node, MANAGED; rooms_in_memory_end_with_the_process);
scenes!(one_node, PLAIN; redirects, every_answer_says_who_gave_it_and_every_page_what_it_may_load);

fn is_an_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A browser at the node of each of them: Alice makes, Bob is on the other node if there is one.
fn browsers(house: &House) -> [Browser; 2] {
    [house.browser("Alice"), house.browser("Bob")]
}

async fn every_get_makes_a_new_id(house: &mut House) {
    let (mut browser, first) = house.page("capsule").await;
    let second = browser.opens("capsule").await;
    let stranger = house.browser("Bob").opens("capsule").await;
    for id in [&first.id, &second.id, &stranger.id] {
        assert!(is_an_id(id), "{id}");
    }
    assert!(first.id != second.id && first.id != stranger.id && second.id != stranger.id);
    let form = browser.posts_form("/room/capsule", &[("whatever", "1")]).await;
    assert_eq!(form.status, 200);
    assert!(is_an_id(&form.page().id) && form.page().id != second.id);
}

async fn a_page_keeps_nothing(house: &mut House) {
    let [mut alice, mut bob] = browsers(house);
    let page = alice.opens("nowhere-yet").await;
    alice.opens("nowhere-yet").await;
    let slug = bob.makes_room(json!({ "name": "Nowhere yet", "public": true, "guest_limit": 1 })).await;
    assert_eq!(slug, "nowhere-yet");
    for _ in 0..3 {
        alice.opens("nowhere-yet").await;
    }
    assert_eq!(bob.get("/api/rooms").await.json()["rooms"][0]["guests"], 0);
    // What was signed before there was a room is not for this one.
    let refused = alice.knocks(&format!("/room/nowhere-yet/ws?token={}", page.token)).await;
    assert_eq!(refused.unwrap_err().status, 403);
    let mut client = house.enters("Bob", "nowhere-yet").await;
    client.finds(&["Bob"]).await;
}

async fn the_cookie_is_for_this_browser_and_this_room(house: &mut House) {
    let mut browser = house.browser("Alice");
    for door in ["room", "chat"] {
        let page = browser.get(&format!("/{door}/capsule")).await;
        let cookie = page.header("set-cookie");
        let attributes: Vec<_> = cookie.split("; ").collect();
        for attribute in ["HttpOnly", "SameSite=Lax", &format!("Path=/{door}/capsule")] {
            assert!(attributes.contains(&attribute), "no {attribute} in {cookie}");
        }
        assert!(!cookie.contains("Domain="), "{cookie}");
        let client = Client::by_cookie_at(&browser, &format!("/{door}/capsule/ws")).await;
        assert_eq!(client.id, page.page().id);
    }
    assert_eq!(browser.cookie_for("/room/capsule-2/ws"), None);
    assert_eq!(browser.knocks_at("capsule-2").await.unwrap_err().status, 403);
}

async fn the_old_address_of_a_room_still_works(house: &mut House) {
    let mut browser = house.browser("Alice");
    let page = browser.get("/chat/capsule").await;
    assert_eq!(page.status, 200);
    let mut alice = Client::by_cookie_at(&browser, "/chat/capsule/ws").await;
    let mut bob = house.enters("Bob", "capsule").await;
    alice.sees(&["Major Tom", "Bob"]).await;
    bob.says(&alice.id, "text", json!("the same room")).await;
    alice.hears("text").await;
}

async fn redirects(house: &mut House) {
    let mut browser = house.browser("Alice");
    for (path, status, to) in [
        ("/room/capsule/", 308, "/room/capsule"),
        ("/chat/capsule/", 308, "/chat/capsule"),
        ("/chat", 307, "/"),
    ] {
        let reply = browser.get(path).await;
        assert_eq!((reply.status, reply.header("location")), (status, to), "{path}");
    }
}

async fn a_form_makes_a_room_and_leads_into_it(house: &mut House) {
    let [mut alice, mut bob] = browsers(house);
    let form = [
        ("room_name", "Excellent Adventure!"),
        ("password", "be excellent"),
        ("public", "Yes"),
        ("guest_limit", "2"),
    ];
    let made = alice.posts_form("/", &form).await;
    assert_eq!((made.status, made.header("location")), (307, "/room/excellent-adventure"));
    let led = alice.posts_form(made.header("location"), &form).await;
    assert_eq!(led.status, 200);
    assert!(led.body.contains("Excellent Adventure!"));
    let mut client = Client::by_cookie(&alice, "excellent-adventure").await;
    assert_eq!(client.id, led.page().id);
    client.finds(&["Major Tom"]).await;
    assert_eq!(
        bob.get("/api/rooms").await.json(),
        json!({ "rooms": [{ "slug": "excellent-adventure", "name": "Excellent Adventure!", "guests": 1,
                            "guest_limit": 2, "password": true }] })
    );
}

async fn a_name_that_is_taken_or_has_no_slug_is_told_in_the_page(house: &mut House) {
    let [mut alice, mut bob] = browsers(house);
    let make =
        async |browser: &mut Browser, name: &str| browser.posts_form("/", &[("room_name", name)]).await;
    assert_eq!(make(&mut alice, "Sunday coffee").await.status, 307);
    for name in ["Sunday coffee", "sunday COFFEE", "Sunday <coffee>", "!!!", "", "  "] {
        let told = make(&mut bob, name).await;
        assert!(told.is_page() && told.status != 307, "{name}: {told:?}");
        assert!(told.body.contains("role=\"alert\""), "{name}: {}", told.body);
        assert!(!told.body.contains("<coffee>"), "what was typed is escaped");
    }
    let missing = bob.posts_form("/", &[("public", "Yes")]).await;
    assert!(missing.is_page() && missing.body.contains("role=\"alert\""));
    let odd = bob.posts_form("/", &[("room_name", "Another"), ("guest_limit", "many")]).await;
    assert!(odd.is_page() && odd.body.contains("role=\"alert\""));
}

async fn public_rooms_are_listed_and_others_are_not(house: &mut House) {
    let [mut alice, mut bob] = browsers(house);
    let forms: [&[(&str, &str)]; 4] = [
        &[("room_name", "For all"), ("public", "Yes"), ("guest_limit", "0")],
        &[("room_name", "Locked"), ("public", "Yes"), ("password", "x"), ("guest_limit", "")],
        &[("room_name", "Hidden"), ("public", "No")],
        &[("room_name", "Unsaid")],
    ];
    for form in forms {
        assert_eq!(alice.posts_form("/", form).await.status, 307);
    }
    let listed = bob.get("/public").await;
    assert!(listed.is_page() && listed.status == 200);
    assert!(bob.get("/").await.is_page());
    for (slug, is_listed) in [("for-all", true), ("locked", true), ("hidden", false), ("unsaid", false)] {
        assert_eq!(listed.body.contains(&format!("/room/{slug}\"")), is_listed, "{slug}");
    }
    let row = |slug: &str, name: &str, limit: u32, password: bool| json!({ "slug": slug, "name": name, "guests": 0, "guest_limit": limit, "password": password });
    let rooms = [row("for-all", "For all", 0, false), row("locked", "Locked", 100, true)];
    assert_eq!(bob.get("/api/rooms").await.json(), json!({ "rooms": rooms }));
}

fn has_a_password_form(reply: &Reply) -> bool {
    reply.is_page() && reply.body.contains("type=\"password\"") && reply.header("set-cookie").is_empty()
}

async fn a_room_with_a_password_shows_a_form(house: &mut House) {
    let [mut alice, mut bob] = browsers(house);
    alice.makes_room(json!({ "name": "Capsule", "password": "protein pills" })).await;
    let asked = bob.get("/room/capsule").await;
    assert!(matches!(asked.status, 200 | 401) && has_a_password_form(&asked), "{asked:?}");
    assert!(!asked.body.contains("data-token"));
    for wrong in ["", "protein", "Protein pills", "protein pills "] {
        let again = bob.posts_form("/room/capsule", &[("password", wrong)]).await;
        assert!(again.status == 401 && has_a_password_form(&again), "{wrong:?}: {again:?}");
    }
    let again = bob.posts_form("/room/capsule", &[("passwort", "protein pills")]).await;
    assert!(has_a_password_form(&again), "{again:?}");
    assert_eq!(bob.knocks_at("capsule").await.unwrap_err().status, 403);

    let fields = [("room_name", "x"), ("password", "protein pills"), ("public", "Yes")];
    let let_in = bob.posts_form("/room/capsule", &fields).await;
    assert_eq!(let_in.status, 200);
    let client = Client::by_cookie(&bob, "capsule").await;
    assert_eq!(client.id, let_in.page().id);
    // Whoever has shown it once is known by the cookie.
    assert!(is_an_id(&bob.opens("capsule").await.id));
}

async fn a_full_room_is_a_teapot(house: &mut House) {
    let [mut maker, mut bob] = browsers(house);
    maker.makes_room(json!({ "name": "Capsule", "guest_limit": 1 })).await;
    bob.opens("capsule").await;
    let mut early = house.browser("Bob").gets_into("capsule", json!({})).await;
    let mut alice = house.enters("Alice", "capsule").await;

    let is_full = async |bob: &mut Browser, early: &mut common::Pass| {
        let mut stranger = Browser::at(bob.address);
        let page = stranger.get("/room/capsule").await;
        assert!(page.status == 418 && page.is_page(), "{page:?}");
        assert!(page.body.contains("Guest limit already reached"));
        assert_eq!(page.header("set-cookie"), "");
        stranger.asks_for("capsule", json!({})).await.is_refusal(418);
        assert_eq!(bob.knocks_at("capsule").await.unwrap_err().status, 418);
        assert_eq!(early.knocks().await.unwrap_err().status, 418);
    };
    is_full(&mut bob, &mut early).await;
    alice.drops().await;
    is_full(&mut bob, &mut early).await;
    alice.comes_back().await;
    alice.asks("bye").await;
    alice.is_sent_away(1000).await;
    assert_eq!(Client::by_cookie(&bob, "capsule").await.id.len(), 32);
}

async fn entering_a_room_makes_it(house: &mut House) {
    let mut alice = house.enters("Alice", "brand-new").await;
    let mut bob = house.enters("Bob", "brand-new").await;
    alice.sees(&["Alice", "Bob"]).await;
    bob.finds(&["Alice", "Bob"]).await;
    assert_eq!(house.browser("Bob").get("/api/rooms").await.json(), json!({ "rooms": [] }));
    house.browser("Bob").posts("/api/rooms", json!({ "name": "Brand new" })).await.is_refusal(409);
}

async fn a_room_that_nobody_made_is_not_there(house: &mut House) {
    let [mut alice, mut bob] = browsers(house);
    for path in ["/room/capsule", "/chat/capsule", "/room/%2e%2e", "/room/%21", "/nothing"] {
        let page = alice.get(path).await;
        assert!(page.status == 404 && page.is_page(), "{path}: {page:?}");
        assert_eq!(page.header("set-cookie"), "");
    }
    assert_eq!(alice.posts_form("/room/capsule", &[("password", "x")]).await.status, 404);
    alice.asks_for("capsule", json!({})).await.is_refusal(404);
    bob.makes_room(json!({ "name": "capsule" })).await;
    alice.opens("capsule").await;
}

async fn lists(browser: &mut Browser, slug: &str) -> bool {
    let rooms = browser.get("/api/rooms").await.json();
    rooms["rooms"].as_array().expect("rooms").iter().any(|room: &Value| room["slug"] == slug)
}

async fn a_room_with_nobody_in_it_is_removed(house: &mut House) {
    let [mut maker, mut bob] = browsers(house);
    for name in ["kept", "parked", "left"] {
        maker.makes_room(json!({ "name": name, "public": true })).await;
    }
    let passes = async |room: &str| house.browser("Alice").gets_into(room, json!({})).await;
    let kept = passes("kept").await.connects().await;
    let mut parked = passes("parked").await.connects().await;
    let mut left = passes("left").await.connects().await;
    let old = passes("left").await;
    parked.drops().await;
    left.asks("bye").await;
    left.is_sent_away(1000).await;
    until("the empty room to be removed", async || !lists(&mut bob, "left").await).await;
    maker.makes_room(json!({ "name": "after it", "public": true })).await;
    until("the next one to be removed", async || !lists(&mut bob, "after-it").await).await;
    assert!(lists(&mut bob, "kept").await && lists(&mut bob, "parked").await);
    drop(kept);

    assert_eq!(old.knocks().await.unwrap_err().status, 404);
    maker.makes_room(json!({ "name": "left", "password": "x" })).await;
    assert_eq!(old.knocks().await.unwrap_err().status, 403, "a room made anew is another one");
    assert_eq!(old.browser.knocks_at("left").await.unwrap_err().status, 403);
    let page = old.browser.clone().get("/room/left").await;
    assert!(has_a_password_form(&page), "{page:?}");
}

async fn rooms_in_memory_end_with_the_process(house: &mut House) {
    house.browser("Alice").makes_room(json!({ "name": "capsule" })).await;
    let mut alice = house.enters("Alice", "capsule").await;
    house.loses_the_node_of("Alice");
    alice.comes_to_an_end().await;
    house.restarts_the_node_of("Alice").await;
    assert_eq!(house.browser("Alice").get("/room/capsule").await.status, 404);
    alice.pass.browser.turns_to(house.node_of("Alice"));
    assert_eq!(alice.tries_to_come_back().await.unwrap_err().status, 404);
}

async fn every_answer_says_who_gave_it_and_every_page_what_it_may_load(house: &mut House) {
    let mut browser = house.browser("Alice");
    browser.makes_room(json!({ "name": "locked", "password": "x" })).await;
    for path in ["/", "/public", "/room/capsule", "/room/locked", "/nothing"] {
        let page = browser.get(path).await;
        assert!(page.header("x-served-by").starts_with('a'), "{path}: {page:?}");
        let policy = page.header("content-security-policy");
        for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
    }
    for (path, status) in
        [("/api/rooms", 200), ("/chat", 307), ("/web/none.js", 404), ("/room/capsule/ws", 426)]
    {
        let reply = browser.get(path).await;
        assert_eq!(reply.status, status, "{path}");
        assert!(!reply.header("x-served-by").is_empty(), "{path}");
    }
}
