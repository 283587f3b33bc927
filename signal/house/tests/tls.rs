//! TLS with real sockets: what clients are shown, and what happens when the files change.
#![cfg(test)]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use house::http::{TEXT, answer};
use house::listener::{Rules, listen, serve};
use house::tls::{Files, Tls, TlsError};
use hyper::StatusCode;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DEADLINE: Duration = Duration::from_secs(10);
const OFTEN: Duration = Duration::from_millis(20);

type Pair = CertifiedKey<rcgen::KeyPair>;

fn pair() -> Pair {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// A folder with a certificate and a key, gone when this is.
struct Folder(PathBuf);

impl Folder {
    fn with(pair: &Pair) -> Self {
        let folder = Self(std::env::temp_dir().join(format!("house-tls-{:032x}", rand::random::<u128>())));
        fs::create_dir(&folder.0).unwrap();
        folder.gets(&pair.cert.pem(), &pair.signing_key.serialize_pem());
        folder
    }

    fn gets(&self, cert: &str, key: &str) {
        fs::write(self.0.join("key.pem"), key).unwrap();
        fs::write(self.0.join("cert.pem"), cert).unwrap();
    }

    fn files(&self) -> Files {
        Files { cert: self.0.join("cert.pem"), key: self.0.join("key.pem") }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that says hello, and stops with this.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
}

impl Server {
    async fn with(files: Files) -> Self {
        let listener = listen("listen", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, tls) = (CancellationToken::new(), Tls::new(files).unwrap());
        tokio::spawn(stop.clone().run_until_cancelled_owned(tls.clone().keep_up(OFTEN)));
        let rules = Rules { connections: 10, head_timeout: DEADLINE, tls: Some(tls) };
        let service = |_, visitor: house::listener::Visitor| async move {
            assert!(visitor.secure);
            answer(StatusCode::OK, TEXT, "hello")
        };
        tokio::spawn(serve(listener, rules, TaskTracker::new(), stop.clone(), service));
        Self { address, stop }
    }

    /// What a client reads that trusts nobody but `pair`.
    async fn says_to_one_who_trusts(&self, pair: &Pair) -> Result<String, std::io::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(pair.cert.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let io = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = TlsConnector::from(Arc::new(config)).connect(name, io).await?;
        tls.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut text = String::new();
        tls.read_to_string(&mut text).await?;
        Ok(text)
    }

    async fn shows_at_last(&self, pair: &Pair) {
        let shows = async {
            while self.says_to_one_who_trusts(pair).await.is_err() {
                tokio::time::sleep(OFTEN).await;
            }
        };
        tokio::time::timeout(DEADLINE, shows).await.expect("the certificate is shown");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_is_answered_and_no_other_one() {
    let shown = pair();
    let folder = Folder::with(&shown);
    let server = Server::with(folder.files()).await;
    assert!(server.says_to_one_who_trusts(&shown).await.unwrap().ends_with("hello"));
    assert!(server.says_to_one_who_trusts(&pair()).await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart_and_a_wrong_one_is_not() {
    let (first, second, third) = (pair(), pair(), pair());
    let folder = Folder::with(&first);
    let server = Server::with(folder.files()).await;
    server.shows_at_last(&first).await;
    folder.gets(&second.cert.pem(), &second.signing_key.serialize_pem());
    server.shows_at_last(&second).await;
    for (cert, key) in [
        (third.cert.pem(), second.signing_key.serialize_pem()),
        ("nonsense".into(), third.signing_key.serialize_pem()),
        (third.cert.pem(), String::new()),
    ] {
        folder.gets(&cert, &key);
        tokio::time::sleep(OFTEN * 5).await;
        assert!(server.says_to_one_who_trusts(&second).await.is_ok(), "the old one stays");
    }
    folder.gets(&third.cert.pem(), &third.signing_key.serialize_pem());
    server.shows_at_last(&third).await;
}

#[tokio::test]
async fn files_that_are_wrong_stop_the_start_with_the_setting() {
    let (one, other) = (pair(), pair());
    let folder = Folder::with(&one);
    let problem = || Tls::new(folder.files()).unwrap_err();
    folder.gets(&one.cert.pem(), &other.signing_key.serialize_pem());
    assert!(matches!(problem(), TlsError::Pair(_)), "{}", problem());
    folder.gets("", &one.signing_key.serialize_pem());
    assert!(problem().to_string().starts_with("setting `tls.cert`: "), "{}", problem());
    folder.gets(&one.cert.pem(), &one.cert.pem());
    assert!(problem().to_string().starts_with("setting `tls.key`: "), "{}", problem());
}
