//! Who may: passes and passwords, what a program of its own says to that, and how much one may send.

pub mod admission;
mod allowance;
mod pass;
mod password;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::message::{Profile, RoomId};

pub use allowance::{Allowance, Share};
pub use pass::{Pass, Passes};
pub use password::{Hashing, hash};

/// A key of its own for each purpose, from the one secret that all nodes share.
pub fn derive_key(secret: &[u8], purpose: &str) -> [u8; 32] {
    mac(secret, purpose.as_bytes()).finalize().into_bytes().into()
}

/// What tells the bearer of `token` from others who want the same name, and shows nothing of the token. The same on all
/// nodes, whatever their secret: while that is being changed, clients still come back.
pub fn fingerprint(name: &RoomId, token: &str) -> Profile {
    let digest = Sha256::new().chain_update(name.as_str()).chain_update([0]).chain_update(token).finalize();
    BASE64_URL_SAFE_NO_PAD.encode(digest).into()
}

/// Whether `shown` is `secret`; how long that takes tells nothing of how much of it was right.
pub fn is_same(shown: &str, secret: &str) -> bool {
    let key = rand::random::<[u8; 32]>();
    let secret = mac(&key, secret.as_bytes()).finalize().into_bytes();
    mac(&key, shown.as_bytes()).verify_slice(&secret).is_ok()
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(message);
    mac
}
