//! A WebRTC signaling node.

pub mod access;
pub mod backplane;
pub mod dialect;
pub mod goodbye;
pub mod hub;
pub mod ice;
pub mod message;
pub mod metrics;
pub mod router;
pub mod settings;
