//! A node that speaks TLS itself: its page, and a call's socket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use house::settings::Secret;
use rcgen::generate_simple_self_signed;
use signal::node::Node;
use signal::settings::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::client_async;

/// A folder that is gone when this is.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Secure {
    node: Node,
    trusts: TlsConnector,
    _folder: Folder,
}

impl Secure {
    async fn start() -> Self {
        let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = std::env::temp_dir().join(format!("signal-tls-{:032x}", rand::random::<u128>()));
        std::fs::create_dir(&folder).unwrap();
        let mut settings = Settings { listen: "127.0.0.1:0".parse().unwrap(), ..Settings::default() };
        settings.ops.listen = "127.0.0.1:0".parse().unwrap();
        settings.session.secret = Some(Secret::new("a secret that is long enough for this"));
        for (file, text, setting) in [
            ("cert.pem", pair.cert.pem(), &mut settings.tls.cert),
            ("key.pem", pair.signing_key.serialize_pem(), &mut settings.tls.key),
        ] {
            std::fs::write(folder.join(file), text).unwrap();
            *setting = Some(folder.join(file));
        }
        let mut roots = RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let node = Node::start(settings).await.unwrap();
        Self { node, trusts: TlsConnector::from(Arc::new(config)), _folder: Folder(folder) }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let io = TcpStream::connect(self.node.address).await.unwrap();
        self.trusts.connect(ServerName::try_from("localhost").unwrap(), io).await.unwrap()
    }

    async fn ask(&self, request: &str) -> String {
        let mut wire = self.connect().await;
        wire.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        wire.read_to_string(&mut text).await.unwrap();
        text
    }
}

#[tokio::test]
async fn a_page_and_a_socket_come_over_tls() {
    let play = async {
        let house = Box::pin(Secure::start()).await;
        assert!(house.node.secure);
        let page = house.ask("GET /room/tea HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        let cookie = page.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
        assert!(cookie.contains("; Secure"), "{cookie}");

        let answer = house
            .ask("POST /api/rooms/tea/clients HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            .await;
        let (_, answer) = answer.split_once("\r\n\r\n").unwrap();
        let pass: serde_json::Value = serde_json::from_str(answer).unwrap();
        let url = format!("wss://localhost/room/tea/ws?token={}", pass["token"].as_str().unwrap());
        let (mut wire, _) = Box::pin(client_async(url, house.connect().await)).await.unwrap();
        futures_util::SinkExt::send(
            &mut wire,
            r#"{"receiver":"ground control","type":"get-room-info","data":null}"#.into(),
        )
        .await
        .unwrap();
        let heard = wire.next().await.unwrap().unwrap().into_text().unwrap();
        assert!(heard.contains(pass["id"].as_str().unwrap()), "{heard}");
        house.node.drain().await;
    };
    tokio::time::timeout(Duration::from_secs(20), Box::pin(play)).await.expect("the scene ends");
}
