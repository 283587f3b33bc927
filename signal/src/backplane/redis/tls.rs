//! What a Redis that speaks TLS has to show, and what it is shown.

use std::path::{Path, PathBuf};

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult,
    TlsCertificates,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Files in PEM. They are read each time that a connection is made, so renewed ones count from the next one on.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Authorities, one of which vouches for the Redis; without them those of the web.
    pub ca: Option<PathBuf>,
    /// The certificate of this node and those that it rests on, for a Redis that wants to know who comes.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// A file that is not what its setting says.
#[derive(Debug, thiserror::Error)]
#[error("setting `{setting}`: {} holds no {what} that can be read ({why})", path.display())]
pub struct BadFile {
    setting: &'static str,
    path: PathBuf,
    what: &'static str,
    why: String,
}

impl Tls {
    /// Whether the files can be read now.
    pub fn check(&self) -> Result<(), BadFile> {
        self.read().map(drop)
    }

    /// Connects to wherever `info` says, with TLS if it says so.
    pub(super) fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Client::open(info);
        }
        // The `redis` crate brings no cryptography of its own, and panics where there is none, or a choice of it. An
        // embedder's goes before ours.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = self
            .read()
            .map_err(|why| RedisError::from((ErrorKind::InvalidClientConfig, "no TLS", why.to_string())))?;
        Client::build_with_tls(info, certificates)
    }

    fn read(&self) -> Result<TlsCertificates, BadFile> {
        let root_cert = self.ca.as_deref().map(|path| certificates("redis.tls_ca", path)).transpose()?;
        let client_tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some(ClientTlsConfig {
                client_cert: certificates("redis.tls_cert", cert)?,
                client_key: private_key("redis.tls_key", key)?,
            }),
            _ => None,
        };
        Ok(TlsCertificates { client_tls, root_cert })
    }
}

/// The bytes of a file with at least one certificate in it, and nothing that cannot be one.
fn certificates(setting: &'static str, path: &Path) -> Result<Vec<u8>, BadFile> {
    let bad = |why: String| BadFile { setting, path: path.to_owned(), what: "certificate", why };
    let pem = std::fs::read(path).map_err(|why| bad(why.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found.map_err(|why| bad(why.to_string()))?.is_empty() {
        true => Err(bad("there is none in it".into())),
        false => Ok(pem),
    }
}

fn private_key(setting: &'static str, path: &Path) -> Result<Vec<u8>, BadFile> {
    let bad = |why: String| BadFile { setting, path: path.to_owned(), what: "private key", why };
    let pem = std::fs::read(path).map_err(|why| bad(why.to_string()))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|why| bad(why.to_string()))?;
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_what_they_should_be_are_named_with_their_setting() {
        let none = Tls::default();
        assert!(none.check().is_ok(), "as it is for the web");
        let here = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        let wrong = |tls: Tls| tls.check().unwrap_err().to_string();
        let ca = wrong(Tls { ca: Some(here.clone()), ..Tls::default() });
        assert!(
            ca.starts_with("setting `redis.tls_ca`: ") && ca.contains("Cargo.toml holds no certificate"),
            "{ca}"
        );
        let gone = wrong(Tls { ca: Some("no/such/file".into()), ..Tls::default() });
        assert!(gone.contains("no/such/file") && gone.contains("No such file"), "{gone}");
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = std::env::temp_dir().join(format!("signal-redis-tls-{:032x}", rand::random::<u128>()));
        std::fs::create_dir(&folder).unwrap();
        let cert = folder.join("cert.pem");
        std::fs::write(&cert, pair.cert.pem()).unwrap();
        let key = wrong(Tls { cert: Some(cert.clone()), key: Some(here), ..Tls::default() });
        assert!(key.starts_with("setting `redis.tls_key`: ") && key.contains("private key"), "{key}");
        assert!(Tls { ca: Some(cert), ..Tls::default() }.check().is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
