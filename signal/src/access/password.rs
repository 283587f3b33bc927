//! Passwords: argon2id, on threads of their own, a few at a time.

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

/// Each takes 19 MiB and some 20 ms of a core: no more than this at once, whoever asks.
const AT_ONCE: usize = 2;

/// The threads that hash. Few, and always the same: the allocator keeps what was freed for the thread that freed it.
static THREADS: LazyLock<Option<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(AT_ONCE).thread_name("argon2").build().ok());
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// The hash of `password`, as a PHC string; `None` if there is no memory or no randomness for it.
pub async fn hash(password: String) -> Option<String> {
    let hash = move || Argon2::default().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string());
    off_the_loop(hash).await.flatten()
}

/// Whether `password` is the one that `hash` was made of.
pub async fn matches(password: String, hash: String) -> bool {
    let matches = move || {
        let Ok(hash) = PasswordHash::new(&hash) else { return false };
        Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    };
    off_the_loop(matches).await.unwrap_or(false)
}

/// Does `work` when it is its turn. The turn ends with the work, also when nobody waits for it any more.
async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let turn = TURNS.clone().acquire_owned().await.ok()?;
    let work = async move {
        let done = work();
        drop(turn);
        done
    };
    THREADS.as_ref()?.spawn(work).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hash = hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(matches("correct horse".into(), hash.clone()).await);
        assert!(!matches("battery staple".into(), hash).await);
        assert!(!matches("x".into(), "not a hash".into()).await);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_keeps_its_turn() {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let asked = tokio::spawn(off_the_loop(move || {
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
