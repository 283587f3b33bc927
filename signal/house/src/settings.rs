//! What a program can be told: one struct, from defaults, a file, the environment and flags, in that order.
//!
//! Every setting is a row of the program's [table](Program::table), which names it, explains it and says what it may be.
//! All problems of a start are found at once, and told to a person with the key, where it was set, the value (unless
//! that may be secret), what is wrong and what would be right.

mod cli;
mod kind;
mod layers;
mod secret;
mod show;
mod table;

use std::ffi::OsString;
use std::fmt;

use config::Config;
use serde::de::DeserializeOwned;

pub use cli::{Ask, Cli, Flags};
pub use kind::{Item, Kind, Own, bytes, duration, nets, uri};
pub use secret::Secret;
pub use show::text as answer;
pub use table::{ANY_SPAN, COUNT, Program, SPAN, Setting, row, seconds};

/// The settings of a program, as its own struct.
pub trait Settings: DeserializeOwned {
    /// The program that they are for.
    const PROGRAM: &'static Program;

    /// What is logged, as [`tracing_subscriber::EnvFilter`] reads it.
    fn log(&self) -> &str;

    /// How many threads do the work; 0 for as many as there are processors.
    fn threads(&self) -> usize {
        0
    }

    /// What is wrong though each value by itself is right: a line for each, which begins with the key.
    fn contradictions(&self) -> Vec<String>;
}

/// Why a program does not start, for a person: a line for each problem.
#[derive(Debug)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are wrong:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for SettingsError {}

/// What is in force for this process: its environment counts, and the files that the settings name are read.
pub fn load<S: Settings>(cli: &Cli) -> Result<S, SettingsError> {
    Ok(gather(cli.flags(), std::env::vars_os())?.1)
}

/// What is in force with these flags in this environment, both with where each value is from and as a struct.
pub fn gather<S: Settings>(
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Config, S), SettingsError> {
    let (config, mut problems) = layers::gather(S::PROGRAM, flags, environment);
    problems.extend(layers::wrong_values(S::PROGRAM, &config));
    if !problems.is_empty() {
        return Err(SettingsError(problems));
    }
    let settings = config.clone().try_deserialize::<S>();
    let settings = settings.map_err(|error| SettingsError(vec![error.to_string()]))?;
    match settings.contradictions() {
        none if none.is_empty() => Ok((config, settings)),
        some => Err(SettingsError(some)),
    }
}

/// The defaults of the table.
#[expect(clippy::expect_used, reason = "nothing but the table goes in, and each program tests that it fits")]
pub fn defaults<S: Settings>() -> S {
    layers::defaults(S::PROGRAM).try_deserialize().expect("the table and the struct agree")
}
