//! Servers that speak TLS: whom the driver believes.

#![cfg(test)]

mod common;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Server, loadtest};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const ARGUMENTS: &str = "--dialect echo --peers 4 --rate 100 --for 1s --warm-up 0s";

/// Speaks TLS in front of a server, under a certificate of its own making: its URL, and the certificate's file.
async fn with_tls(server: &Server) -> (String, PathBuf) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tls.pem");
    std::fs::write(&file, cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let behind: SocketAddr = server.url.trim_start_matches("ws://").parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut there = TcpStream::connect(behind).await?;
                copy_bidirectional(&mut acceptor.accept(stream).await?, &mut there).await
            });
        }
    });
    (format!("wss://localhost:{port}"), file)
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_believed_by_authority_or_on_demand() {
    let echo = Server::echo();
    let (url, file) = with_tls(&echo).await;
    let run = |name: &str, trust: &str| loadtest(name, &format!("{ARGUMENTS} --url {url} {trust}"), &[]);

    let shown = run("tls-web", "");
    assert_eq!(shown.code, 2, "{shown}");
    assert!(shown.errors.contains("invalid peer certificate"), "{shown}");

    for (name, trust) in [("tls-ca", format!("--ca {}", file.display())), ("tls-any", "--insecure".into())] {
        let shown = run(name, &trust);
        assert_eq!((shown.code, shown.count("received")), (0, 100), "{shown}");
    }
}
