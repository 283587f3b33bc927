//! What every message carries: which it is, from whom, for whom, and when it was meant to be sent.
//!
//! A payload is a text of letters, digits, `-` and `_`, so it is the same inside any JSON string:
//!
//! ```text
//! loadtest-RUN-FROM-TO-SEQUENCE-SIZE-DUE-filler…
//! ```

use std::fmt::Write;
use std::sync::LazyLock;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// What a payload begins with.
const MARK: &str = "loadtest-";
/// Bytes before the filler.
pub const STAMP_BYTES: usize = MARK.len() + 5 * 9 + 17;
/// Bytes of a payload, at most.
pub const MAX_BYTES: usize = 128 * 1024;
/// Messages begin their filler at so many different places.
const PLACES: usize = 4096;
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Letters that do not compress well, the same in every process.
static FILLER: LazyLock<String> = LazyLock::new(|| {
    let mut random = SmallRng::seed_from_u64(1);
    (0..PLACES + MAX_BYTES).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
});

/// The receiver of what is said to a whole room.
pub const EVERYONE: u32 = u32::MAX;

/// Which message this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The run that sent it.
    pub run: u32,
    /// The number of the peer that sent it.
    pub from: u32,
    /// The number of the peer that it is for, or [`EVERYONE`].
    pub to: u32,
    /// How many its sender has sent to this receiver before it.
    pub seq: u32,
    /// When it was meant to be sent: nanoseconds on the clock of its room's process.
    pub due: u64,
}

impl Stamp {
    /// The payload of this message, of `size` bytes, or as many as the stamp itself takes.
    pub fn payload(&self, size: usize) -> String {
        let size = size.clamp(STAMP_BYTES, MAX_BYTES);
        let mut payload = String::with_capacity(size);
        let Self { run, from, to, seq, due } = self;
        let _ = write!(payload, "{MARK}{run:08x}-{from:08x}-{to:08x}-{seq:08x}-{size:08x}-{due:016x}-");
        payload.push_str(self.filler(size));
        payload
    }

    /// The stamp of a payload, and whether every byte of it is as it was sent. `None` if it is none of ours.
    pub fn read(payload: &str) -> Option<(Self, bool)> {
        let (stamp, size) = Self::parse(payload)?;
        let is_whole = payload.len() == size && payload.get(STAMP_BYTES..) == Some(stamp.filler(size));
        Some((stamp, is_whole))
    }

    /// The stamp of the payload that is somewhere in `frame`.
    pub fn find(frame: &str) -> Option<Self> {
        let (stamp, _) = Self::parse(&frame[frame.find(MARK)?..])?;
        Some(stamp)
    }

    fn parse(payload: &str) -> Option<(Self, usize)> {
        let mut fields = payload.get(..STAMP_BYTES)?.strip_prefix(MARK)?.split('-');
        let mut word = || u32::from_str_radix(fields.next()?, 16).ok();
        let (run, from, to, seq, size) = (word()?, word()?, word()?, word()?, word()?);
        let due = u64::from_str_radix(fields.next()?, 16).ok()?;
        let size = usize::try_from(size).ok().filter(|size| (STAMP_BYTES..=MAX_BYTES).contains(size))?;
        Some((Self { run, from, to, seq, due }, size))
    }

    fn filler(&self, size: usize) -> &'static str {
        let place = (self.from.wrapping_mul(31).wrapping_add(self.seq.wrapping_mul(7))) as usize % PLACES;
        &FILLER[place..place + size - STAMP_BYTES]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: Stamp = Stamp { run: 7, from: 1, to: 2, seq: 3, due: 4_000_000_000 };

    #[test]
    fn a_payload_has_the_size_that_was_asked_for() {
        assert_eq!(STAMP.payload(200).len(), 200);
        assert_eq!(STAMP.payload(2048).len(), 2048);
        assert_eq!(STAMP.payload(1).len(), STAMP_BYTES);
    }

    #[test]
    fn it_is_found_inside_of_a_frame() {
        let frame = format!(r#"{{"type":"offer","data":"{}"}}"#, STAMP.payload(300));
        assert_eq!(Stamp::find(&frame), Some(STAMP));
        assert_eq!(Stamp::find("{}"), None);
    }

    #[test]
    fn what_was_cut_or_changed_is_not_whole() {
        let payload = STAMP.payload(300);
        assert_eq!(Stamp::read(&payload), Some((STAMP, true)));
        assert_eq!(Stamp::read(&payload[..299]), Some((STAMP, false)));
        let changed = format!("{}!", &payload[..299]);
        assert_eq!(Stamp::read(&changed), Some((STAMP, false)));
        assert_eq!(Stamp::read("loadtest-"), None);
    }

    proptest! {
        #[test]
        fn every_stamp_is_read_as_it_was_written(
            run: u32, from: u32, to: u32, seq: u32, due: u64, size in 0usize..5000,
        ) {
            let stamp = Stamp { run, from, to, seq, due };
            prop_assert_eq!(Stamp::read(&stamp.payload(size)), Some((stamp, true)));
        }

        #[test]
        fn no_text_makes_it_stumble(text: String) {
            let _ = Stamp::read(&text);
            let _ = Stamp::find(&format!("{MARK}{text}"));
        }
    }
}
