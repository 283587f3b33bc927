//! The layers that settings come from, each checked for keys that do not exist, and what results when they lie on each
//! other.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use config::{Config, ConfigError, FileFormat, Format, Map, Source, Value, ValueKind};

use super::cli::Flags;
use super::kind::Kind;
use super::table::{Program, Setting};

/// All layers on each other, and what is wrong with any of them.
pub(super) fn gather(
    program: &'static Program,
    flags: &Flags,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Config, Vec<String>) {
    let mut problems = Vec::new();
    let file = flags.file.as_deref().map(|path| Layer::file(program, path, &mut problems));
    let environment = Layer::environment(program, environment, &mut problems);
    let flags = Layer::flags(program, flags);
    let mut builder = Config::builder().add_source(default_layer(program));
    for layer in file.into_iter().chain([environment, flags]) {
        builder = builder.add_source(layer.checked(&mut problems));
    }
    let config = builder.build().unwrap_or_else(|error| {
        problems.push(error.to_string());
        Config::default()
    });
    (config, problems)
}

/// The lowest layer alone.
pub(super) fn defaults(program: &Program) -> Config {
    Config::builder().add_source(default_layer(program)).build().unwrap_or_default()
}

fn default_layer(program: &Program) -> Checked {
    let value = |setting: &Setting| Value::new(None, written(setting, setting.default));
    Checked(program.table.iter().map(|setting| (setting.key.into(), value(setting))).collect())
}

/// What is wrong with the values, each by itself.
pub(super) fn wrong_values(program: &Program, config: &Config) -> Vec<String> {
    program.table.iter().flat_map(|setting| wrong_value(setting, &value(config, setting))).collect()
}

fn wrong_value(setting: &Setting, value: &Value) -> Vec<String> {
    let Some(origin) = value.origin() else { return Vec::new() };
    let wrong = |text: String| {
        let what = setting.kind.check(&text).err()?;
        // Before an `@` there may be a password that somebody put where none belongs, or where one does.
        let hidden = setting.kind.is_secret() || text.contains('@') || text.contains("password=");
        let shown = if hidden { "the value".into() } else { format!("`{text}`") };
        Some(format!("{} ({origin}): {shown} {what}; right would be {}", setting.key, setting.kind.right()))
    };
    texts(value).into_iter().filter_map(wrong).collect()
}

/// The value of a setting, with where it is from.
pub(super) fn value(config: &Config, setting: &Setting) -> Value {
    let (group, name) = setting.place();
    let inner = |table: &Value, key: &str| match &table.kind {
        ValueKind::Table(table) => table.get(key).cloned().unwrap_or_default(),
        _ => Value::default(),
    };
    if group.is_empty() { inner(&config.cache, name) } else { inner(&inner(&config.cache, group), name) }
}

/// The texts of a value: of a list each item's, of none none.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match &value.kind {
        ValueKind::Nil => Vec::new(),
        ValueKind::Array(items) => items.iter().map(ToString::to_string).collect(),
        one => vec![one.to_string()],
    }
}

/// What one layer says, by key, before anything is known to be right.
struct Layer {
    program: &'static Program,
    from: From,
    said: BTreeMap<String, ValueKind>,
}

/// Where a layer is from.
enum From {
    File(String),
    Environment,
    Flags,
}

impl Layer {
    /// How a person would find what was said of `key`.
    fn origin(&self, key: &str) -> String {
        match &self.from {
            From::File(path) => path.clone(),
            From::Environment | From::Flags => self.spell(key),
        }
    }

    /// How a key is written there.
    fn spell(&self, key: &str) -> String {
        match self.from {
            From::File(_) => key.to_owned(),
            From::Environment => {
                format!("{}{}", self.program.prefix(), key.replace('.', "__").to_uppercase())
            }
            From::Flags => format!("--{key}"),
        }
    }

    fn file(program: &'static Program, path: &Path, problems: &mut Vec<String>) -> Self {
        let mut said = BTreeMap::new();
        match read(path) {
            Ok(table) => flatten(program, "", ValueKind::Table(table), &mut said),
            Err(problem) => problems.push(format!("{}: {problem}", path.display())),
        }
        Self { program, from: From::File(path.display().to_string()), said }
    }

    fn environment(
        program: &'static Program,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        problems: &mut Vec<String>,
    ) -> Self {
        let (mut said, prefix) = (BTreeMap::new(), program.prefix());
        for (name, text) in variables {
            let Some(key) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else { continue };
            match text.into_string() {
                Ok(text) => drop(said.insert(key.to_lowercase().replace("__", "."), text.into())),
                Err(_) => problems.push(format!("{prefix}{key}: the value is no text (UTF-8)")),
            }
        }
        Self { program, from: From::Environment, said }
    }

    fn flags(program: &'static Program, flags: &Flags) -> Self {
        let said = flags.given.iter().map(|(key, text)| (key.clone(), text.as_str().into()));
        Self { program, from: From::Flags, said: said.collect() }
    }

    /// What is right in this layer; what is not becomes problems.
    fn checked(mut self, problems: &mut Vec<String>) -> Checked {
        let mut right = Map::new();
        for setting in self.program.table {
            match self.take(setting) {
                Ok(Some(value)) => drop(right.insert(setting.key.to_owned(), value)),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }
        let unknown = |key: &String| {
            let [given, nearest] = [key, &self.program.nearest(key)].map(|key| self.spell(key));
            match &self.from {
                From::File(path) => format!("{given} ({path}): no such setting; the nearest is {nearest}"),
                From::Environment | From::Flags => {
                    format!("{given}: no such setting; the nearest is {nearest}")
                }
            }
        };
        problems.extend(self.said.keys().map(unknown));
        Checked(right)
    }

    /// What this layer says of a setting, by itself or in a file that it names.
    fn take(&mut self, setting: &Setting) -> Result<Option<Value>, String> {
        let said = self.said.remove(setting.key);
        let file_key = setting.file_key();
        let file = file_key.as_ref().and_then(|key| self.said.remove(key)).filter(|file| !is_empty(file));
        let origin = self.origin(setting.key);
        let (Some(file), Some(file_key)) = (file, file_key) else {
            let value = said.map(|said| self.normal(setting, said)).transpose();
            let value = value.map_err(|wrong| format!("{} ({origin}): {wrong}", setting.key))?;
            return Ok(value.map(|value| Value::new(Some(&origin), value)));
        };
        if said.is_some_and(|said| !is_empty(&said)) {
            let both = [setting.key, &file_key].map(|key| self.spell(key)).join(" and ");
            return Err(format!("{both}: both are set ({origin}); right would be one of them"));
        }
        let origin = format!("{}, file {file}", self.origin(&file_key));
        let text = std::fs::read_to_string(file.to_string())
            .map_err(|error| format!("{} ({origin}): cannot be read: {error}", setting.key))?;
        let value = if setting.kind.is_list() {
            items(text.lines())
        } else {
            written(setting, text.trim_end_matches(['\r', '\n']))
        };
        Ok(Some(Value::new(Some(&origin), value)))
    }

    /// The value in the shape of its setting: a text, a list of texts, or none.
    fn normal(&self, setting: &Setting, said: ValueKind) -> Result<ValueKind, String> {
        let is_list = setting.kind.is_list();
        match said {
            ValueKind::String(text) if !is_list || !matches!(self.from, From::File(_)) => {
                Ok(written(setting, &text))
            }
            ValueKind::Nil => Ok(written(setting, "")),
            ValueKind::Array(items) if is_list => match items.iter().find(|item| !is_scalar(&item.kind)) {
                Some(_) => Err("is a list in a list".into()),
                None => Ok(items.iter().map(ToString::to_string).collect::<Vec<_>>().into()),
            },
            scalar if is_list && is_scalar(&scalar) => {
                Err("one value; right would be a list, like `[\"…\", \"…\"]`".into())
            }
            // YAML has made a number of it, and not every number can be turned back into the same digits.
            scalar if matches!(setting.kind, Kind::Secret(_)) && is_scalar(&scalar) => {
                Err("a number; right would be a text, in quotes".into())
            }
            scalar if is_scalar(&scalar) => Ok(scalar.to_string().into()),
            _ if is_list => Err("a table; right would be a list".into()),
            _ => Err(format!("several values; right would be {}", setting.kind.right())),
        }
    }
}

fn is_empty(said: &ValueKind) -> bool {
    matches!(said, ValueKind::Nil) || matches!(said, ValueKind::String(text) if text.is_empty())
}

fn is_scalar(said: &ValueKind) -> bool {
    !matches!(said, ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_))
}

/// The value that a text stands for, as the table, the environment and flags have it.
fn written(setting: &Setting, text: &str) -> ValueKind {
    if setting.kind.is_list() {
        return items(text.split(','));
    }
    if setting.is_optional() && text.is_empty() { ValueKind::Nil } else { text.into() }
}

fn items<'a>(texts: impl Iterator<Item = &'a str>) -> ValueKind {
    let items = texts.map(str::trim).filter(|item| !item.is_empty());
    items.map(str::to_owned).collect::<Vec<_>>().into()
}

fn read(path: &Path) -> Result<Map<String, Value>, String> {
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => FileFormat::Toml,
        Some("yaml" | "yml") => FileFormat::Yaml,
        _ => return Err("of no known kind; right would be a name that ends in .toml, .yaml or .yml".into()),
    };
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    format.parse(None, &text).map_err(|error| without_quotation(&error.to_string()))
}

/// A parser's message without the lines that it quotes, which may hold a secret.
fn without_quotation(message: &str) -> String {
    let is_quoted =
        |line: &&str| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|');
    message.lines().filter(|line| !is_quoted(line)).collect::<Vec<_>>().join(": ")
}

/// Tables become keys with dots. An empty table has no keys, and is in order if there is such a group.
fn flatten(program: &Program, prefix: &str, said: ValueKind, into: &mut BTreeMap<String, ValueKind>) {
    let is_group = prefix.is_empty() || program.has_group(prefix);
    match said {
        ValueKind::Table(table) if is_group || !table.is_empty() => {
            for (name, value) in table {
                let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                flatten(program, &key, value.kind, into);
            }
        }
        // A group without a word after it, in YAML.
        ValueKind::Nil if is_group => {}
        said => drop(into.insert(prefix.to_owned(), said)),
    }
}

/// What is right in a layer, for [`config`] to lie on the others.
#[derive(Clone)]
struct Checked(Map<String, Value>);

impl Source for Checked {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl fmt::Debug for Checked {
    /// The keys alone: there are secrets among the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
