//! A WebRTC signaling node.

pub mod backplane;
pub mod dialect;
pub mod goodbye;
pub mod hub;
pub mod message;
