//! The command line: a program, and its `config`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::kind::Kind;
use super::table::{Program, Setting};
use super::{Settings, show};

/// A command line that was understood.
#[derive(Clone, Debug)]
pub enum Cli {
    /// Run.
    Run(Flags),
    /// Answer a question about settings.
    Config(Flags, Ask),
}

/// What may be asked about settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What is in force, and where it is from?
    InForce,
    /// Would it start with this?
    Check,
    /// Which settings are there?
    Defaults,
}

/// The settings on the command line.
#[derive(Clone, Default)]
pub struct Flags {
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// Keys and texts.
    pub given: Vec<(String, String)>,
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
    pub fn from_command_line(program: &'static Program) -> Self {
        Self::parse(program, std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// Understands a command line, which begins with the program's name.
    pub fn parse(
        program: &'static Program,
        words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let matches = command(program).try_get_matches_from(words)?;
        let mut flags = Flags::default();
        flags.add(program, &matches);
        let Some(("config", asked)) = matches.subcommand() else { return Ok(Self::Run(flags)) };
        flags.add(program, asked);
        if let Some(file) = asked.get_one::<PathBuf>("check")
            && flags.file.replace(file.clone()).is_some()
        {
            let why = "--check names a file, and so does --config: one at a time";
            return Err(command(program).error(ErrorKind::ArgumentConflict, why));
        }
        let ask = match asked {
            _ if asked.get_flag("defaults") => Ask::Defaults,
            _ if asked.contains_id("check") => Ask::Check,
            _ => Ask::InForce,
        };
        Ok(Self::Config(flags, ask))
    }

    /// Answers, if a question about settings was asked; then there is nothing to run.
    pub fn config_command<S: Settings>(&self) -> Option<ExitCode> {
        match self {
            Self::Run(_) => None,
            Self::Config(flags, ask) => Some(show::answer::<S>(flags, *ask)),
        }
    }

    /// The settings on the command line, whatever they are for.
    pub fn flags(&self) -> &Flags {
        match self {
            Self::Run(flags) | Self::Config(flags, _) => flags,
        }
    }
}

impl Flags {
    fn add(&mut self, program: &Program, matches: &ArgMatches) {
        if let Some(file) = matches.get_one::<PathBuf>("config") {
            self.file = Some(file.clone());
        }
        for key in program.keys() {
            if let Some(text) = matches.get_one::<String>(&key) {
                self.given.push((key, text.clone()));
            }
        }
    }
}

/// How settings are given, with a setting of the program's own as the example.
fn more(program: &Program) -> String {
    let name = program.name;
    let span = program.table.iter().find(|setting| matches!(setting.kind, Kind::Span(_)));
    let (group, key) = span.map_or(("", "log"), Setting::place);
    let prefix = program.prefix();
    let flag = format!("--{group}.{key} 2h");
    let variable = format!("{prefix}{}__{}=2h", group.to_uppercase(), key.to_uppercase());
    let line = format!("[{group}] {key} = \"2h\"");
    format!(
        "Where settings come from, each before the one below it:
  flags            {flag}
  environment      {variable:<25} two underscores between levels
  file             {line:<25} named by --config, TOML or YAML
  defaults         {name} config --defaults

Lists are arrays in a file and comma-separated elsewhere; empty means none.
Times are `90s`, `5m`, `6h`; sizes are `64KiB`, `1MiB`.
Everybody on a machine sees its command lines: better name a file with what is secret,
by the key with `_file` added.

Examples:
{}",
        program.examples
    )
}

fn command(program: &'static Program) -> Command {
    let config = Command::new("config")
        .about("Print the settings in force, secrets hidden, and where each is from")
        .arg(config_file().hide(true))
        .arg(
            Arg::new("check")
                .long("check")
                .value_name("FILE")
                .num_args(0..=1)
                .value_parser(value_parser!(PathBuf))
                .help(format!(
                    "Say whether {} would start with this file, or with what is in force",
                    program.running
                )),
        )
        .arg(
            Arg::new("defaults").long("defaults").action(ArgAction::SetTrue).conflicts_with("check").help(
                "Print all settings with their defaults and what they are for, as a file to start from",
            ),
        )
        .args(flags(program).map(|flag| flag.hide(true)));
    Command::new(program.name)
        .version(program.version)
        .about(program.about)
        .after_help(more(program))
        .arg(config_file())
        .args(flags(program))
        .subcommand(config)
}

fn config_file() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Read settings from this file (.toml, .yaml or .yml)")
}

fn flags(program: &'static Program) -> impl Iterator<Item = Arg> {
    program.table.iter().flat_map(|setting| {
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
