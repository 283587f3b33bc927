#![doc = include_str!("../docs/design.md")]

pub mod access;
pub mod backplane;
pub(crate) mod breakage;
pub mod chance;
pub mod dialect;
pub mod goodbye;
pub mod handlers;
pub mod http;
pub mod hub;
pub mod ice;
pub mod message;
pub mod metrics;
pub mod node;
pub mod program;
pub mod router;
pub mod settings;
#[cfg(test)]
mod simulation;
pub mod socket;
