//! camus: the original web app, whose static files somebody keeps: what its page loads, and what it says.

use std::path::{Path, PathBuf};

use crate::common::{Client, House, PLAIN, SERVER, play, scenes};
use serde_json::json;

scenes!(both, PLAIN; a_call_of_the_original_client);

/// A directory as the web app's build leaves it.
fn static_files() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("camus-static");
    for (file, text) in
        [("dist/index.js", "// the app"), ("css/app.css", "body {}"), ("css/icons.css", "i {}")]
    {
        let file = dir.join(file);
        std::fs::create_dir_all(file.parent().expect("it is in a directory")).expect("a directory");
        std::fs::write(file, text).expect("a file");
    }
    dir
}

#[tokio::test]
async fn the_room_page_is_the_web_apps_host() {
    let dir = static_files();
    let house = House::one_node(&[("CAMUS__STATIC", dir.to_str().expect("UTF-8"))]).await;
    play(house, async |house: &mut House| {
        let mut browser = house.browser("Alice");
        browser.makes_room(json!({ "name": "Bill & <Ted>" })).await;
        let page = browser.get("/room/bill-ted").await;
        assert!(page.status == 200 && page.is_page(), "{page:?}");
        for part in [
            "<title>Camus | Bill &amp; &lt;Ted&gt;</title>",
            "href=\"/static/css/app.css\"",
            "href=\"/static/css/icons.css\"",
            "<div id=\"react-root\" class=\"react-root\"></div>",
            "<script src=\"/static/dist/index.js\"></script>",
        ] {
            assert!(page.body.contains(part), "no {part} in {}", page.body);
        }
        let order =
            ["/static/css/app.css", "react-root", "/static/dist/index.js"].map(|part| page.body.find(part));
        assert!(order.is_sorted(), "{}", page.body);
        Client::by_cookie(&browser, "bill-ted").await;

        for (path, kind, text) in [
            ("/static/dist/index.js", "text/javascript", "// the app"),
            ("/static/css/app.css", "text/css", "body {}"),
        ] {
            let file = browser.get(path).await;
            assert_eq!((file.status, file.body.as_str()), (200, text), "{path}");
            assert!(file.header("content-type").starts_with(kind), "{path}: {}", file.header("content-type"));
        }
        for path in [
            "/static/none.js",
            "/static/",
            "/static/dist",
            "/static/../Cargo.toml",
            "/static/%2e%2e/%2e%2e/Cargo.toml",
            "/static/dist/..%2f..%2f..%2fCargo.toml",
            "/static//etc/passwd",
            "/static/%2fetc%2fpasswd",
            "/static/dist/index.js%00",
        ] {
            assert_eq!(browser.get(path).await.status, 404, "{path}");
        }
    })
    .await;
}

async fn a_call_of_the_original_client(house: &mut House) {
    assert_eq!(
        house.browser("Alice").get("/static/dist/index.js").await.status,
        404,
        "nobody keeps them here"
    );
    let mut clients = Vec::new();
    for name in ["Alice", "Bob"] {
        let mut browser = house.browser(name);
        browser.opens("capsule").await;
        let mut client = Client::by_cookie(&browser, "capsule").await;
        client.asks("get-ice-servers").await;
        client.asks("get-room-info").await;
        client.hears_nothing_until("ice-servers").await;
        client.hears_nothing_until("room-info").await;
        client.says(SERVER, "profile", json!({ "username": name })).await;
        client.hears_nothing_until("room-info").await;
        clients.push(client);
    }
    let [alice, bob] = &mut clients[..] else { unreachable!("two of them") };
    alice.sees(&["Alice", "Bob"]).await;
    bob.says(&alice.id, "offer", json!({ "type": "offer", "sdp": "v=0\r\n" })).await;
    alice.hears_nothing_until("offer").await;
    alice.says(&bob.id, "answer", json!({ "type": "answer", "sdp": "v=0\r\n" })).await;
    bob.hears_nothing_until("answer").await;
    for (from, to) in [(0, 1), (1, 0)] {
        let to_id = clients[to].id.clone();
        clients[from].says(&to_id, "icecandidate", json!({ "candidate": "", "sdpMid": "0" })).await;
        clients[to].hears_nothing_until("icecandidate").await;
    }
    let [alice, bob] = &mut clients[..] else { unreachable!("two of them") };
    bob.says(SERVER, "bye", json!(1_615_919_897_795_u64)).await;
    bob.is_sent_away(1000).await;
    assert_eq!(alice.hears_nothing_until("bye").await.sender, bob.id);
    alice.says(&bob.id, "bye", json!(1_615_919_897_795_u64)).await;
    alice.hears_nothing_until("room-info").await;
    alice.checks_in().await;
    alice.has_not_heard("error");
}
