//! Who may: passes and passwords, and how much one may send.

mod allowance;
mod pass;
mod password;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use allowance::{Allowance, Share};
pub use pass::{Pass, Passes};
pub use password::{hash, matches};

/// A key of its own for each purpose, from the one secret that all nodes share.
pub fn derive_key(secret: &[u8], purpose: &str) -> [u8; 32] {
    mac(secret, purpose.as_bytes()).finalize().into_bytes().into()
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(message);
    mac
}
