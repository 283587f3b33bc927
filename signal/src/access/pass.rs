//! A pass: which peers its bearer may be, in which room. A cookie carries one with the browser's last ids, a token one
//! with a single id; both are the same thing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::Mac;
use serde::{Deserialize, Serialize};

use super::{derive_key, mac};
use crate::message::{PeerId, Profile, RoomId};

/// What a pass proves. Nothing is kept of it: it is signed, not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// The only room that it opens.
    pub room: RoomId,
    /// That room's creation number.
    pub made: u64,
    /// Who its bearer may be there, newest first.
    pub ids: Vec<PeerId>,
    /// What the newest is to be called when it first comes.
    pub profile: Option<Profile>,
    /// Until when; seconds since 1970.
    pub expires: u64,
}

/// Ids that a cookie keeps, at most: it has to fit into a browser's 4 KiB.
const MAX_IDS: usize = 16;

impl Pass {
    /// The same pass with one more id, which is the newest now.
    pub fn with(mut self, id: PeerId) -> Self {
        self.ids.insert(0, id);
        self.ids.truncate(MAX_IDS);
        self
    }
}

/// Signs passes, and reads those that it, or another node with the same secret, has signed.
pub struct Passes {
    key: [u8; 32],
    previous: Option<[u8; 32]>,
}

const MAC_BYTES: usize = 32;
/// Longer than any pass that was ever signed; what is longer is not looked at.
const MAX_TEXT: usize = 4096;

impl Passes {
    /// Signs with `secret`, and still reads what was signed with `previous`.
    pub fn new(secret: &[u8], previous: Option<&[u8]>) -> Self {
        let key = |secret: &[u8]| derive_key(secret, "switchboard pass 1");
        Self { key: key(secret), previous: previous.map(key) }
    }

    /// The pass as text of `A-Z`, `a-z`, `0-9`, `-` and `_`.
    pub fn sign(&self, pass: &Pass) -> String {
        let mut bytes = postcard::to_stdvec(pass).unwrap_or_default();
        let tag = mac(&self.key, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What `text` proves about `room` at `now` (seconds since 1970); `None` if nothing.
    pub fn read(&self, text: &str, room: &RoomId, now: u64) -> Option<Pass> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (pass, tag) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        let signed_with = |key: &[u8; 32]| mac(key, pass).verify_slice(tag).is_ok();
        if !signed_with(&self.key) && !self.previous.as_ref().is_some_and(signed_with) {
            return None;
        }
        let pass: Pass = postcard::from_bytes(pass).ok()?;
        (pass.room == *room && pass.expires > now && !pass.ids.is_empty()).then_some(pass)
    }
}

impl std::fmt::Debug for Passes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn pass() -> Pass {
        let ids = vec![PeerId::new("0123456789abcdef0123456789abcdef")];
        Pass { room: RoomId::of("camus", "r"), made: 7, ids, profile: Some("Ted".into()), expires: NOW + 10 }
    }

    fn passes(secret: &str) -> Passes {
        Passes::new(secret.as_bytes(), None)
    }

    #[test]
    fn a_pass_is_read_by_every_node_with_the_secret_until_it_expires() {
        let text = passes("one").sign(&pass());
        let read = |passes: &Passes, room: &str, now| passes.read(&text, &RoomId::of("camus", room), now);
        assert_eq!(read(&passes("one"), "r", NOW), Some(pass()));
        assert_eq!(read(&passes("one"), "r", NOW + 10), None);
        assert_eq!(read(&passes("one"), "other", NOW), None);
        assert_eq!(read(&passes("two"), "r", NOW), None);
        assert_eq!(read(&Passes::new(b"two", Some(b"one")), "r", NOW), Some(pass()));
    }

    #[test]
    fn no_byte_of_it_can_be_changed() {
        let passes = passes("one");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(passes.sign(&pass())).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let text = BASE64_URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(passes.read(&text, &pass().room, NOW), None, "byte {at}");
        }
        for odd in ["", "AAAA", "ä", &"A".repeat(5000)] {
            assert_eq!(passes.read(odd, &pass().room, NOW), None);
        }
    }

    #[test]
    fn a_cookie_keeps_the_last_ids_and_fits_into_a_browser() {
        let mut full = pass();
        for n in 0..20 {
            full = full.with(PeerId::new(format!("{n:032x}")));
        }
        assert_eq!(full.ids.len(), MAX_IDS);
        assert_eq!(full.ids[0].as_str(), format!("{:032x}", 19));
        full.room = RoomId::of("camus", &"r".repeat(64));
        full.profile = Some("😀".repeat(100).into());
        assert!(passes("one").sign(&full).len() < 3000);
    }
}
