//! Who may ask: API keys, compared in constant time.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// The keys of those who may ask. Only tags of them are kept, under a secret of this process: comparing these tells
/// nothing of how much of a key was right, nor of how long it is.
pub struct Keys {
    secret: [u8; 20],
    tags: Vec<[u8; 20]>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("number", &self.tags.len()).finish_non_exhaustive()
    }
}

impl Keys {
    /// Those of `keys`; if there are none, nobody has one.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let secret = rand::random::<[u8; 20]>();
        let tags = keys.into_iter().map(|key| tag(&secret, key).finalize().into_bytes().into()).collect();
        Self { secret, tags }
    }

    /// Whether `key` is one of them. All are compared, whichever it is.
    pub fn know(&self, key: &str) -> bool {
        let given = tag(&self.secret, key);
        self.tags.iter().fold(false, |known, tag| given.clone().verify_slice(tag).is_ok() | known)
    }
}

fn tag(secret: &[u8], key: &str) -> Hmac<Sha1> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("any key will do");
    mac.update(key.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_as_a_whole_only() {
        let keys = Keys::new(["one key", "another key"]);
        assert!(keys.know("one key") && keys.know("another key"));
        for other in ["", "one", "one key ", "One key", "one keyanother key"] {
            assert!(!keys.know(other), "{other}");
        }
        assert!(!Keys::new([]).know(""));
        assert!(!format!("{keys:?}").contains("one key"));
    }
}
