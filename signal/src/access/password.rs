//! Passwords: argon2id, off the event loop, a few at a time.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Each takes 19 MiB and some 20 ms of a core: no more than this at once, whoever asks.
const AT_ONCE: usize = 2;

static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));
/// What is hashed in: one for each turn, kept for the next. An allocator that got such blocks back again and again would
/// keep ten times as much.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// The hash of `password`, as a PHC string; `None` if it cannot be made.
pub async fn hash(password: String) -> Option<String> {
    let salt: [u8; 16] = rand::random();
    let hash = move || {
        let salt = Salt::new(&salt).ok()?;
        let hash = PasswordHash {
            algorithm: Algorithm::default().ident(),
            version: Some(Version::default().into()),
            params: ParamsString::try_from(&Params::DEFAULT).ok()?,
            salt: Some(salt),
            hash: Some(digest(&password, &salt)?),
        };
        Some(hash.to_string())
    };
    Hashing::comes().await?.off_the_loop(hash).await.flatten()
}

/// Leave to hash, of which there are few. It ends with the work, also when nobody waits for that any more.
pub struct Hashing(OwnedSemaphorePermit);

impl Hashing {
    /// Waits until it is one's turn; `None` if it never will be.
    pub async fn comes() -> Option<Self> {
        TURNS.clone().acquire_owned().await.ok().map(Self)
    }

    /// Whether `password` is the one that `hash`, which [`hash()`] made, was made of.
    pub async fn matches(self, password: String, hash: String) -> bool {
        let matches = move || {
            let hash = PasswordHash::new(&hash).ok()?;
            let digest = digest(&password, &hash.salt?)?;
            // Compared in constant time.
            Some(digest == hash.hash?)
        };
        self.off_the_loop(matches).await.flatten().unwrap_or(false)
    }

    async fn off_the_loop<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let work = move || {
            let done = work();
            drop(self.0);
            done
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

fn digest(password: &str, salt: &[u8]) -> Option<Output> {
    let kept = MEMORY.lock().pop();
    let mut memory = kept.unwrap_or_else(|| vec![Block::default(); Params::DEFAULT.block_count()]);
    let mut digest = [0; Params::DEFAULT_OUTPUT_LEN];
    let done =
        Argon2::default().hash_password_into_with_memory(password.as_bytes(), salt, &mut digest, &mut memory);
    MEMORY.lock().push(memory);
    done.ok().and_then(|()| Output::new(&digest).ok())
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier;

    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hash = hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let parsed = PasswordHash::new(&hash).unwrap();
        assert!(
            Argon2::default().verify_password(b"correct horse", &parsed).is_ok(),
            "a PHC string like any other"
        );
        let matches = async |password: &str, hash: &str| {
            Hashing::comes().await.unwrap().matches(password.into(), hash.into()).await
        };
        assert!(matches("correct horse", &hash).await);
        assert!(!matches("battery staple", &hash).await);
        assert!(!matches("x", "not a hash").await);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_turn() {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let turn = Hashing::comes().await.unwrap();
        let asked = tokio::spawn(turn.off_the_loop(move || {
            begun.send(()).unwrap();
            let _ = may_end.recv();
        }));
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        assert!(TURNS.available_permits() < AT_ONCE);
        drop(end);
    }
}
