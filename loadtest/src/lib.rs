//! Thousands of simulated peers, and a ledger of every message.
//!
//! `loadtest --help` says what it does and counts; this is how. It shares nothing with the servers that it judges.
//!
//! # The walk of a message
//!
//! 1. [`cli`] makes a [`plan`] of what is asked for, [`crew`] starts as many processes as that needs, each with whole
//!    rooms, and [`run`] tells them what to do next.
//! 2. In each, a [`worker`] lets its [`peer`]s in: through [`connect`], as their [`dialect`] has it.
//! 3. The [`schedule`] says what is due. The worker rings a peer's bell, and the peer puts a [`stamp`] on its message,
//!    writes it into the [`ledger`] and sends it.
//! 4. The peer that hears it finds the stamp, and writes into the ledger what arrived: both are on one [`floor`], so one
//!    [`clock`] has seen the message go and come.
//! 5. What each second [`measure`]d goes to [`run`], which shows [`progress`], and makes the [`report`] of it and of how
//!    busy those were whom it had to [`watch`].
//!
//! What a server that speaks a protocol has to do, whoever wrote it, is played by [`conform`].

pub mod cli;
pub mod clock;
pub mod conform;
pub mod connect;
pub mod crew;
pub mod dialect;
pub mod floor;
pub mod ledger;
pub mod machine;
pub mod measure;
pub mod peer;
pub mod plan;
pub mod progress;
pub mod report;
pub mod run;
pub mod schedule;
pub mod stamp;
pub mod watch;
pub mod worker;
