//! TLS by the program itself, with a certificate that may be renewed while it runs.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::settings::duration;

/// The settings `tls.cert`, `tls.key` and `tls.reload`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate and those that it rests on.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// How often the two are looked into.
    #[serde(deserialize_with = "duration")]
    pub reload: Duration,
}

impl TlsSettings {
    /// What is wrong though each value by itself is right.
    pub fn contradictions(&self) -> Option<String> {
        match (&self.cert, &self.key) {
            (Some(_), None) => Some("tls.key: missing; tls.cert needs it".into()),
            (None, Some(_)) => Some("tls.cert: missing; tls.key needs it".into()),
            _ => None,
        }
    }

    /// TLS, if there is to be any: its files are looked into by a task of `tasks` until `stop`.
    pub fn start(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Result<Option<Tls>, TlsError> {
        let (Some(cert), Some(key)) = (self.cert.clone(), self.key.clone()) else { return Ok(None) };
        let tls = Tls::new(Files { cert, key })?;
        tasks.spawn(stop.clone().run_until_cancelled_owned(tls.clone().keep_up(self.reload)));
        Ok(Some(tls))
    }
}

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate and those that it rests on, in PEM, its own first.
    pub cert: PathBuf,
    /// Its private key, in PEM (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
}

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The setting `tls.cert` names no certificate.
    #[error("setting `tls.cert`: {} holds no certificate that can be read ({why})", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The setting `tls.key` names no key.
    #[error("setting `tls.key`: {} holds no private key that can be read ({why})", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// They do not fit together.
    #[error("settings `tls.cert` and `tls.key`: the key is not that of the certificate ({0})")]
    Pair(rustls::Error),
    /// This build speaks no version of TLS.
    #[error("no TLS: {0}")]
    Versions(rustls::Error),
}

/// The server's side of TLS.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
    files: Files,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The certificate that clients are shown.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

impl Tls {
    /// TLS with what is in these files now.
    pub fn new(files: Files) -> Result<Self, TlsError> {
        let shown = Arc::new(Shown(RwLock::new(Arc::new(read(&files)?))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Versions)?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), shown, files })
    }

    /// The handshake.
    pub async fn accept(&self, io: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(io).await
    }

    /// Looks into the files again and again, for ever: a pair that is new and right is shown from then on, and one that
    /// is wrong is logged, once, while the old one stays. (Looked into, not watched: in a pod the files are links to a
    /// directory that is replaced.)
    pub async fn keep_up(self, every: Duration) {
        let mut known = self.shown.0.read().cert.clone();
        let mut clock = tokio::time::interval(every);
        let mut told = None;
        loop {
            clock.tick().await;
            let files = self.files.clone();
            let Ok(found) = tokio::task::spawn_blocking(move || read(&files)).await else { continue };
            match found {
                Ok(pair) if pair.cert != known => {
                    known.clone_from(&pair.cert);
                    *self.shown.0.write() = Arc::new(pair);
                    told = None;
                    tracing::info!(cert = %self.files.cert.display(), "a new certificate is shown from now on");
                }
                Ok(_) => told = None,
                Err(error) => {
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(%error, "the certificate is not renewed: the old one stays");
                    }
                    told = Some(error);
                }
            }
        }
    }
}

fn read(Files { cert, key }: &Files) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert).map_err(|why| TlsError::Certificate { path: cert.clone(), why })?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| TlsError::Key { path: key.clone(), why: error.to_string() })?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(TlsError::Pair)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match chain {
        Ok(chain) if chain.is_empty() => Err("there is none in it".into()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(error.to_string()),
    }
}
