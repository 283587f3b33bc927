//! What every program of the house needs, whatever it is for: settings that explain themselves, listeners, answers over
//! HTTP, and a door for operators. The node (`signal`) and the service for TURN credentials (`turn-auth`) are built on
//! it; nothing here knows of rooms or peers.

pub mod cors;
pub mod http;
pub mod listener;
pub mod ops;
pub mod program;
pub mod settings;
pub mod tls;
pub mod visitors;
