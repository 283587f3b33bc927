//! Time-limited TURN credentials: who may use a relay, and until when, told by a secret that only the relay and the
//! one who hands the credentials out know.
//!
//! The scheme is the one of `draft-uberti-behave-turn-rest-00` ("A REST API For Access To TURN Services"), which coturn
//! calls `use-auth-secret`: the user name is `<expiry>:<name>`, with the expiry in seconds since 1970, and the
//! credential is the base64 (standard alphabet, padded) of the HMAC-SHA1 of the user name under the shared secret. The
//! relay keeps no list of users: it computes the same, and compares.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// What the relay and this side share (coturn: `static-auth-secret`). It does not print.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the secret as the relay has it: its bytes, not decoded in any way.
    pub fn new(secret: impl AsRef<[u8]>) -> Self {
        Self(secret.as_ref().to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a client shows to the relay.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `<expiry>:<name>`.
    pub username: String,
    /// The base64 of the HMAC-SHA1 of the user name: 28 characters.
    pub credential: String,
    /// From when on the relay takes them no more, in seconds since 1970. A relay looks at it when a session begins,
    /// and never again.
    pub expiry: u64,
}

/// Whoever holds the credential may use the relay, so a log has no business with it.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Credentials for `name`, given out at `now` (seconds since 1970) and good for `ttl`, of which whole seconds count.
///
/// coturn counts a user's allocations (`user-quota`) by the name, and refuses one that holds spaces, quotes or
/// backslashes. So each character but the visible ones of ASCII becomes `_`, and so do quotes, backslashes and the
/// colon, which ends the expiry; what is past [`MAX_NAME`] characters is left off. Without a name the user name is the
/// expiry alone.
pub fn credentials(secret: &Secret, name: &str, now: u64, ttl: Duration) -> Credentials {
    let expiry = now.saturating_add(ttl.as_secs());
    let name = acceptable(name);
    let username = if name.is_empty() { expiry.to_string() } else { format!("{expiry}:{name}") };
    let credential = STANDARD.encode(sign(secret, &username));
    Credentials { username, credential, expiry }
}

/// The longest name, in characters. A user name in STUN has fewer than 509 bytes (RFC 8489, section 14.3).
pub const MAX_NAME: usize = 256;

fn acceptable(name: &str) -> String {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '`' | '\\' | ':');
    name.chars().take(MAX_NAME).map(|c| if fits(c) { c } else { '_' }).collect()
}

fn sign(secret: &Secret, username: &str) -> [u8; 20] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha1>::new_from_slice(&secret.0).expect("any key will do");
    mac.update(username.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn until(expiry: u64, name: &str) -> Credentials {
        credentials(&Secret::new("s3cr3t"), name, expiry - 3600, Duration::from_secs(3600))
    }

    #[test]
    fn known_credentials_come_out() {
        let alice = until(1_735_689_600, "alice");
        assert_eq!(alice.username, "1735689600:alice");
        assert_eq!(alice.credential, "tz2A3l9G/+Rt6NppqnPJCJ220Ig=");
        assert_eq!(alice.expiry, 1_735_689_600);

        let peer = until(4_102_444_800, "room7|peer-42");
        assert_eq!(peer.username, "4102444800:room7|peer-42");
        assert_eq!(peer.credential, "b2gH86Uhhhz+EgcyP/m/M3NYmjI=");
    }

    #[test]
    fn a_name_is_reduced_to_what_coturn_takes() {
        assert_eq!(
            until(7200, "a b\t\"c\" 'd' \\e `f` g:h é\u{0}").username,
            "7200:a_b__c___d___e__f__g_h___"
        );
        assert_eq!(until(7200, &"x".repeat(1000)).username.len(), "7200:".len() + MAX_NAME);
    }

    #[test]
    fn what_is_secret_does_not_print() {
        let secret = Secret::new("s3cr3t");
        let credentials = credentials(&secret, "alice", 0, Duration::ZERO);
        let printed = format!("{secret:?} {credentials:?}");
        assert!(!printed.contains("s3cr3t") && !printed.contains(&credentials.credential), "{printed}");
    }

    #[test]
    fn a_time_to_live_without_end_does_not_wrap_around() {
        assert_eq!(credentials(&Secret::new("s"), "a", 1, Duration::MAX).expiry, u64::MAX);
    }

    proptest! {
        #[test]
        fn every_username_is_an_expiry_and_a_name_that_coturn_takes(
            name: String, now in 0..u64::MAX / 2, ttl in 0..u64::MAX / 2,
        ) {
            let made = credentials(&Secret::new("s3cr3t"), &name, now, Duration::from_secs(ttl));
            let (expiry, name) = made.username.split_once(':').unwrap_or((&made.username, ""));
            prop_assert_eq!(expiry.parse(), Ok(now + ttl));
            prop_assert_eq!(made.expiry, now + ttl);
            prop_assert!(!name.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\:".contains(c)));
            prop_assert!(made.username.len() < 509);
            prop_assert_eq!(STANDARD.decode(&made.credential).unwrap().len(), 20);
        }

        #[test]
        fn an_acceptable_name_is_kept(name in "[A-Za-z0-9._|@+=/-]{0,256}") {
            let expected = if name.is_empty() { "7200".into() } else { format!("7200:{name}") };
            prop_assert_eq!(until(7200, &name).username, expected);
        }

        #[test]
        fn another_secret_or_another_name_gives_another_credential(a in "[a-z]{1,40}", b in "[a-z]{1,40}") {
            prop_assume!(a != b);
            let sign = |secret: &str, name: &str| {
                credentials(&Secret::new(secret), name, 0, Duration::from_secs(60)).credential
            };
            prop_assert_ne!(sign(&a, "alice"), sign(&b, "alice"));
            prop_assert_ne!(sign("s3cr3t", &a), sign("s3cr3t", &b));
        }
    }
}
