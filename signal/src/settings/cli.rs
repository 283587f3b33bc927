//! The command line: `signal`, and `signal config`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::show;
use super::table::{Setting, TABLE};

/// A command line that was understood.
#[derive(Clone, Debug)]
pub enum Cli {
    /// Run a node.
    Run(Flags),
    /// Answer a question about settings.
    Config(Flags, Ask),
}

/// What may be asked about settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What is in force, and where it is from?
    InForce,
    /// Would a node start with this?
    Check,
    /// Which settings are there?
    Defaults,
}

/// The settings on the command line.
#[derive(Clone, Default)]
pub struct Flags {
    /// The file that `--config` names.
    pub(super) file: Option<PathBuf>,
    /// Keys and texts.
    pub(super) given: Vec<(String, String)>,
}

impl std::fmt::Debug for Flags {
    /// The keys alone: there may be secrets among the values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.given.iter().map(|(key, _)| key).collect();
        f.debug_struct("Flags").field("file", &self.file).field("given", &keys).finish()
    }
}

impl Cli {
    /// This process's command line. Help, and what cannot be understood, end the process here.
    pub fn from_command_line() -> Self {
        Self::parse(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Understands a command line, which begins with the program's name.
    pub fn parse(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let matches = command().try_get_matches_from(words)?;
        let mut flags = Flags::default();
        flags.add(&matches);
        let Some(("config", asked)) = matches.subcommand() else { return Ok(Self::Run(flags)) };
        flags.add(asked);
        if let Some(file) = asked.get_one::<PathBuf>("check")
            && flags.file.replace(file.clone()).is_some()
        {
            let why = "--check names a file, and so does --config: one at a time";
            return Err(command().error(ErrorKind::ArgumentConflict, why));
        }
        let ask = match asked {
            _ if asked.get_flag("defaults") => Ask::Defaults,
            _ if asked.contains_id("check") => Ask::Check,
            _ => Ask::InForce,
        };
        Ok(Self::Config(flags, ask))
    }

    /// Answers, if a question about settings was asked; then there is no node to run.
    pub fn config_command(&self) -> Option<ExitCode> {
        match self {
            Self::Run(_) => None,
            Self::Config(flags, ask) => Some(show::answer(flags, *ask)),
        }
    }

    /// The settings on the command line, whatever they are for.
    pub(super) fn flags(&self) -> &Flags {
        match self {
            Self::Run(flags) | Self::Config(flags, _) => flags,
        }
    }
}

impl Flags {
    fn add(&mut self, matches: &ArgMatches) {
        if let Some(file) = matches.get_one::<PathBuf>("config") {
            self.file = Some(file.clone());
        }
        let keys = TABLE.iter().flat_map(|setting| [Some(setting.key.to_owned()), setting.file_key()]);
        for key in keys.flatten() {
            if let Some(text) = matches.get_one::<String>(&key) {
                self.given.push((key, text.clone()));
            }
        }
    }
}

const ABOUT: &str =
    "A WebRTC signaling node: rooms, rosters, offers, answers, candidates and TURN credentials.

Without any settings it runs alone, in memory, and says where its page is. With `redis.url` \
it is one of any number of nodes behind any load balancer.";

const MORE: &str = "Where settings come from, each before the one below it:
  flags            --turn.ttl 2h
  environment      SIGNAL__TURN__TTL=2h      two underscores between levels
  file             [turn] ttl = \"2h\"         named by --config, TOML or YAML
  defaults         signal config --defaults

Lists are arrays in a file and comma-separated elsewhere; empty means none.
Times are `90s`, `5m`, `6h`; sizes are `64KiB`, `1MiB`.
Everybody on a machine sees its command lines: better name a file with the secret,
by the key with `_file` added (--session.secret_file, SIGNAL__SESSION__SECRET_FILE).

Examples:
  signal --listen 127.0.0.1:8080
  signal --redis.url redis://127.0.0.1:6379 --session.secret_file /run/secrets/session
  signal config --defaults > signal.toml
  signal config --check signal.toml";

fn command() -> Command {
    let config = Command::new("config")
        .about("Print the settings in force, secrets hidden, and where each is from")
        .arg(config_file().hide(true))
        .arg(
            Arg::new("check")
                .long("check")
                .value_name("FILE")
                .num_args(0..=1)
                .value_parser(value_parser!(PathBuf))
                .help("Say whether a node would start with this file, or with what is in force"),
        )
        .arg(
            Arg::new("defaults").long("defaults").action(ArgAction::SetTrue).conflicts_with("check").help(
                "Print all settings with their defaults and what they are for, as a file to start from",
            ),
        )
        .args(flags().map(|flag| flag.hide(true)));
    Command::new("signal")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(MORE)
        .arg(config_file())
        .args(flags())
        .subcommand(config)
}

fn config_file() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Read settings from this file (.toml, .yaml or .yml)")
}

fn flags() -> impl Iterator<Item = Arg> {
    TABLE.iter().flat_map(|setting| {
        let file = setting.file_key().map(|key| {
            Arg::new(key.clone())
                .long(key)
                .value_name("FILE")
                .value_parser(NonEmptyStringValueParser::new())
                .hide(true)
        });
        [Some(flag(setting)), file].into_iter().flatten()
    })
}

fn flag(setting: &Setting) -> Arg {
    let default = if setting.default.is_empty() { String::new() } else { format!(" [{}]", setting.default) };
    let (group, _) = setting.place();
    Arg::new(setting.key)
        .long(setting.key)
        .value_name(setting.kind.placeholder())
        .help(format!("{}{default}", setting.about))
        .help_heading(if group.is_empty() { "Settings" } else { group })
}
