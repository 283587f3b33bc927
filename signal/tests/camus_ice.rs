//! camus: which STUN and TURN servers a client may use, and with what.

use std::time::{Duration, SystemTime};

use crate::common::{self, Frame, House, PLAIN, SERVER, Settings, frame, scenes};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

const STUN: Settings<'_> = &[("ICE__STUN", "stun:one.example:3478,stuns:two.example")];
const SECRET: &str = "s3cr3t";
const BOTH: Settings<'_> = &[
    ("ICE__STUN", "stun:one.example:3478"),
    (
        "TURN__URLS",
        "turns:relay.example:5349?transport=tcp,turn:relay.example:3478,turn:relay.example:3478?transport=tcp",
    ),
    ("TURN__SECRET", SECRET),
    ("TURN__TTL", "1h"),
];

scenes!(both, PLAIN; with_nothing_configured_the_list_is_empty);
scenes!(one_node, STUN; stun_servers_need_no_credentials);
scenes!(both, BOTH; turn_servers_come_with_credentials_that_coturn_takes, every_client_has_credentials_of_its_own);

async fn asks_for_servers(client: &mut common::Client) -> Frame {
    client.asks("get-ice-servers").await;
    client.hears_nothing_until("ice-servers").await
}

async fn with_nothing_configured_the_list_is_empty(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let servers = asks_for_servers(&mut alice).await;
    assert_eq!(servers.raw, frame(SERVER, &alice.id, "ice-servers", "[]"));
}

async fn stun_servers_need_no_credentials(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let servers = asks_for_servers(&mut alice).await;
    let together = r#"[{"urls":["stun:one.example:3478","stuns:two.example"],"kind":"stun"}]"#;
    let apart =
        r#"[{"urls":["stun:one.example:3478"],"kind":"stun"},{"urls":["stuns:two.example"],"kind":"stun"}]"#;
    assert!([together, apart].contains(&servers.payload.as_str()), "{}", servers.raw);
}

/// User name and credential of the only TURN entry.
fn credentials(servers: &Frame) -> (String, String) {
    let entry = &servers.data()[1];
    let member =
        |name: &str| entry[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", servers.raw)).to_owned();
    (member("username"), member("credential"))
}

async fn turn_servers_come_with_credentials_that_coturn_takes(house: &mut House) {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let hour = Duration::from_secs(3600);
    let mut alice = house.enters("Alice", "capsule").await;
    let before = now();
    let servers = asks_for_servers(&mut alice).await;
    let after = now();
    assert_eq!(servers.sender, SERVER);

    let (username, credential) = credentials(&servers);
    let (expiry, name) = username.split_once(':').expect("<expiry>:<name>");
    assert_eq!(name, alice.id);
    let expiry: u64 = expiry.parse().expect("seconds since 1970");
    assert!(((before + hour).as_secs()..=(after + hour).as_secs() + 1).contains(&expiry), "{expiry}");

    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).expect("any key will do");
    mac.update(username.as_bytes());
    assert_eq!(credential, BASE64_STANDARD.encode(mac.finalize().into_bytes()));

    let stun = r#"{"urls":["stun:one.example:3478"],"kind":"stun"}"#;
    let urls = r#"["turn:relay.example:3478","turn:relay.example:3478?transport=tcp","turns:relay.example:5349?transport=tcp"]"#;
    let turn =
        format!(r#"{{"urls":{urls},"username":"{username}","credential":"{credential}","kind":"turn"}}"#);
    assert_eq!(servers.payload, format!("[{stun},{turn}]"));
}

async fn every_client_has_credentials_of_its_own(house: &mut House) {
    let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
    let hers = credentials(&asks_for_servers(&mut alice).await);
    let his = credentials(&asks_for_servers(&mut bob).await);
    assert!(hers.0.ends_with(&alice.id) && his.0.ends_with(&bob.id));
    assert_ne!(hers.1, his.1);
    // Nobody else is told.
    alice.says(&bob.id, "the end", json!(null)).await;
    bob.hears_nothing_until("the end").await;
}
