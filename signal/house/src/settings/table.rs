//! A program's settings as rows of one table: the only home of their names, defaults and explanations.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::kind::Kind;

/// A program, as its settings know it.
#[derive(Debug)]
pub struct Program {
    /// What it is called. Its environment variables begin with that in capitals, `-` being `_`, and two underscores.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it is, on top of the page of help.
    pub about: &'static str,
    /// Command lines to start from, one a line, indented by two spaces.
    pub examples: &'static str,
    /// What it is when it runs: `a node`.
    pub running: &'static str,
    /// All settings; those of one group next to each other, and those of none first, as TOML wants them.
    pub table: &'static [Setting],
}

impl Program {
    /// What its environment variables begin with. One underscore would not do: Kubernetes sets `SIGNAL_PORT` and the
    /// like in every pod next to a service called `signal`.
    pub(super) fn prefix(&self) -> String {
        format!("{}__", self.name.replace('-', "_").to_uppercase())
    }

    /// The key nearest to one that does not exist.
    pub(super) fn nearest(&self, key: &str) -> String {
        // What has the same beginning is nearer: a group's name is meant for one of its settings.
        let nearness = |known: &String| strsim::jaro_winkler(known, key);
        self.keys().max_by(|one, other| nearness(one).total_cmp(&nearness(other))).unwrap_or_default()
    }

    /// All keys that may be set.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        self.table.iter().flat_map(|setting| [Some(setting.key.to_owned()), setting.file_key()]).flatten()
    }

    /// Whether some settings have this group.
    pub(super) fn has_group(&self, name: &str) -> bool {
        self.table.iter().any(|setting| setting.place().0 == name)
    }
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Where it stands in a file, and its flag: `group.name`, or a name.
    pub key: &'static str,
    /// What holds if nothing is said, as a person would write it; empty for none.
    pub default: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it is for.
    pub about: &'static str,
}

impl Setting {
    /// Whether it may be left open.
    pub(super) fn is_optional(&self) -> bool {
        self.default.is_empty() && !self.kind.is_list()
    }

    /// The key that names a file with the value, for what is secret.
    pub fn file_key(&self) -> Option<String> {
        self.kind.is_secret().then(|| format!("{}_file", self.key))
    }

    /// Its group, empty for none, and its name within.
    pub fn place(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or(("", self.key))
    }
}

/// A row of a table.
pub const fn row(key: &'static str, default: &'static str, kind: Kind, about: &'static str) -> Setting {
    Setting { key, default, kind, about }
}

/// 365.25 days, which is what `1year` is read as.
const YEAR: Duration = Duration::from_secs(31_557_600);
/// A time span of which none would make no sense.
pub const SPAN: Kind = Kind::Span(Duration::from_millis(1)..=YEAR);
/// A time span that may be none.
pub const ANY_SPAN: Kind = Kind::Span(Duration::ZERO..=YEAR);
/// How many of something, of which none would make no sense.
pub const COUNT: Kind = Kind::Count(1..=u32::MAX as u64);

/// A time span from and to so many seconds.
pub const fn seconds(range: RangeInclusive<u64>) -> Kind {
    Kind::Span(Duration::from_secs(*range.start())..=Duration::from_secs(*range.end()))
}
