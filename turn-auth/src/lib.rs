//! Credentials for TURN: signed inside every signaling node by [`credentials()`], and handed out over HTTP by a
//! [service] of its own for those who want only that.
//!
//! A request's walk: the listener of the [house] → [`service`]: is it asked for TURN, who asks, for how long →
//! [`credentials()`] → `{username, password, ttl, uris}`.

mod credentials;
pub mod keys;
pub mod metrics;
pub mod service;
pub mod settings;

pub use credentials::{Credentials, MAX_NAME, Secret, credentials};
