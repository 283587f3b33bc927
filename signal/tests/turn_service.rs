//! Credentials for TURN from a `turn-auth`: kept for their window, and done without while it is away.

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{Client, House, play, until};
use house::settings::{Cli, gather};
use serde_json::{Value, json};
use turn_auth::service::Service;
use turn_auth::settings::{Settings, TURN_AUTH};

const KEY: &str = "the key of the scenes";
const STUN: (&str, &str) = ("ICE__STUN", "stun:one.example");

async fn service(listen: SocketAddr) -> Service {
    let listen = listen.to_string();
    let words = [
        ["turn-auth", "--listen"],
        [&listen, "--ops.listen"],
        ["127.0.0.1:0", "--turn.urls"],
        ["turns:relay.example,turn:relay.example", "--turn.secret"],
        ["s3cr3t", "--keys"],
        [KEY, "--drain.wait=0s"],
    ];
    let cli = Cli::parse(&TURN_AUTH, words.concat()).unwrap();
    let (_, settings) = gather::<Settings>(cli.flags(), []).unwrap();
    Service::start(settings).await.unwrap()
}

async fn house(service: SocketAddr, key: &str) -> House {
    let url = format!("http://{service}");
    House::one_node(&[STUN, ("TURN__AUTH_URL", &url), ("TURN__AUTH_KEY", key), ("TURN__TTL", "1h")]).await
}

async fn servers(client: &mut Client) -> Value {
    client.asks("get-ice-servers").await;
    client.hears_nothing_until("ice-servers").await.data()
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[tokio::test]
async fn each_peer_has_credentials_of_its_own_from_the_service_and_keeps_them() {
    let service = service(any()).await;
    play(house(service.address, KEY).await, async |house| {
        let [mut alice, mut bob] = house.meet(["Alice", "Bob"], "capsule").await;
        let hers = servers(&mut alice).await;
        assert_eq!(hers[0], json!({ "urls": ["stun:one.example"], "kind": "stun" }));
        assert_eq!(hers[1]["urls"], json!(["turn:relay.example", "turns:relay.example"]), "TLS comes last");
        let (expiry, name) = hers[1]["username"].as_str().unwrap().split_once(':').unwrap();
        assert_eq!(name, alice.id);
        let signed = turn_auth::credentials(
            &turn_auth::Secret::new("s3cr3t"),
            &alice.id,
            expiry.parse().unwrap(),
            Duration::ZERO,
        );
        assert_eq!(hers[1]["credential"], json!(signed.credential));
        // A second later they would be others, if they were not kept.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(servers(&mut alice).await, hers);
        assert!(servers(&mut bob).await[1]["username"].as_str().unwrap().ends_with(&bob.id));
    })
    .await;
    service.drain().await;
}

#[tokio::test]
async fn while_the_service_is_away_there_is_stun_and_then_turn_again() {
    let first = service(any()).await;
    let address = first.address;
    first.drain().await;
    play(house(address, KEY).await, async |house| {
        let mut alice = house.enters("Alice", "capsule").await;
        let alone = json!([{ "urls": ["stun:one.example"], "kind": "stun" }]);
        assert_eq!(servers(&mut alice).await, alone);
        house.node_of("Alice").counts("turn_service_failures_total", |failures| failures > 0.0).await;
        let back = service(address).await;
        until("TURN again", async || servers(&mut alice).await.as_array().unwrap().len() == 2).await;
        back.drain().await;
        assert_eq!(servers(&mut alice).await.as_array().unwrap().len(), 2, "she has hers");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_the_service_does_not_know_is_logged_without_it() {
    let service = service(any()).await;
    play(house(service.address, "swordfish").await, async |house| {
        let mut alice = house.enters("Alice", "capsule").await;
        assert_eq!(servers(&mut alice).await.as_array().unwrap().len(), 1);
        let log = house.last_log_of("Alice");
        assert!(log.contains("no TURN credentials") && log.contains("403"), "{log}");
        assert!(!log.contains("swordfish"), "{log}");
    })
    .await;
    service.drain().await;
}
