//! What `config` prints.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use config::Config;

use super::cli::{Ask, Flags};
use super::kind::{Item, Kind, Own};
use super::table::{Program, Setting};
use super::{Settings, SettingsError, gather, layers};

/// Answers on the terminal.
pub(super) fn answer<S: Settings>(flags: &Flags, ask: Ask) -> ExitCode {
    match text::<S>(flags, ask, std::env::vars_os()) {
        Ok(text) => {
            // Whoever reads may have read enough.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}: {error}", S::PROGRAM.name);
            ExitCode::FAILURE
        }
    }
}

/// The answer.
pub fn text<S: Settings>(
    flags: &Flags,
    ask: Ask,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<String, SettingsError> {
    let program = S::PROGRAM;
    match ask {
        Ask::Defaults => Ok(page(program, |setting| {
            let line = assignment(setting, &layers::defaults(program));
            format!("\n{}{line}\n", comment(setting.about))
        })),
        Ask::InForce => {
            let (config, _) = gather::<S>(flags, environment)?;
            Ok(page(program, |setting| {
                let origin = layers::value(&config, setting).origin().map(|origin| format!("  # {origin}"));
                format!("{}{}\n", assignment(setting, &config), origin.unwrap_or_default())
            }))
        }
        Ask::Check => {
            gather::<S>(flags, environment)?;
            let what = flags.file.as_ref().map_or("the settings".into(), |file| file.display().to_string());
            Ok(format!("{what}: in order, {} would start\n", program.running))
        }
    }
}

/// All settings as one TOML file.
fn page(program: &Program, line: impl Fn(&Setting) -> String) -> String {
    let mut page = String::new();
    let mut group = "";
    for setting in program.table {
        if setting.place().0 != group {
            group = setting.place().0;
            let _ = write!(page, "\n[{group}]\n");
        }
        page.push_str(&line(setting));
    }
    page.trim_start().to_owned()
}

/// `name = value`, as TOML; one without a value as a comment.
fn assignment(setting: &Setting, config: &Config) -> String {
    let name = setting.place().1;
    let texts = layers::texts(&layers::value(config, setting));
    let quoted = |text: &String| format!("{:?}", shown(&setting.kind, text));
    match (&setting.kind, texts.first()) {
        (Kind::List(_), _) => {
            format!("{name} = [{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(", "))
        }
        (_, None) => format!("# {name} ="),
        (Kind::Count(_) | Kind::Switch, Some(text)) => format!("{name} = {text}"),
        (_, Some(text)) => format!("{name} = {}", quoted(text)),
    }
}

fn shown(kind: &Kind, text: &str) -> String {
    match kind {
        Kind::Secret(_) | Kind::List(Item::Secret(_)) => "***".into(),
        Kind::Own(Own { shown: Some(shown), .. }) => shown(text),
        _ => text.to_owned(),
    }
}

fn comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < 100 => drop(write!(line, " {word}")),
            _ => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n") + "\n"
}
