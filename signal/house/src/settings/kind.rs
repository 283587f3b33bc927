//! What a setting may be: the check of its text, and the words for what would be right.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use hyper::Uri;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};
use tracing_subscriber::EnvFilter;

/// What a setting may be.
#[derive(Debug)]
pub enum Kind {
    /// An address to listen on.
    Address,
    /// A directory that is there.
    Directory,
    /// `true` or `false`.
    Switch,
    /// Which log lines are written.
    Filter,
    /// A node's name: it stands in a header, in ids and in Redis.
    Name,
    /// What nobody may read, with at least so many bytes.
    Secret(usize),
    /// A file that can be read.
    File,
    /// An `http://` or `https://` address of a service.
    Service,
    /// What only this program knows to read.
    Own(&'static Own),
    /// A whole number.
    Count(RangeInclusive<u64>),
    /// Bytes.
    Size(RangeInclusive<u64>),
    /// A time span.
    Span(RangeInclusive<Duration>),
    /// Any number of these.
    List(Item),
}

/// What a program reads itself.
#[derive(Debug)]
pub struct Own {
    /// What is wrong with a text, in words that follow it.
    pub check: fn(&str) -> Result<(), String>,
    /// What would be right.
    pub right: &'static str,
    /// What stands for the value on a page of help.
    pub placeholder: &'static str,
    /// How it is shown, for what may hold a secret.
    pub shown: Option<fn(&str) -> String>,
}

/// What a list may hold.
#[derive(Debug)]
pub enum Item {
    /// `stun:` and `stuns:` URLs (RFC 7064).
    Stun,
    /// `turn:` and `turns:` URLs (RFC 7065).
    Turn,
    /// Address ranges.
    Net,
    /// Origins of pages (RFC 6454).
    Origin,
    /// What nobody may read, with at least so many bytes each; in a file one a line.
    Secret(usize),
}

impl Kind {
    /// What is wrong with `text` (of an item, if this is a list), in words that follow it.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Address => parsed::<SocketAddr>(text, "is no address with a port").map(drop),
            Self::Directory => ensure(Path::new(text).is_dir(), "is no directory here"),
            Self::Switch => ensure(matches!(text, "true" | "false"), "is neither"),
            Self::Filter => match EnvFilter::builder().parse(text) {
                Ok(_) => ensure(!text.trim().is_empty(), "is empty"),
                Err(error) => Err(format!("is no filter ({error})")),
            },
            Self::Name => ensure(is_name(text), "is no name for a node"),
            Self::Secret(at_least) => long_enough(text, *at_least),
            Self::File => match std::fs::File::open(text) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("cannot be read ({error})")),
            },
            Self::Service => service(text),
            Self::Own(own) => (own.check)(text),
            Self::Count(range) => within(parsed(text, "is no whole number")?, range),
            Self::Size(range) => within(size(text)?, range),
            Self::Span(range) => within(span(text)?, range),
            Self::List(item) => item.check(text),
        }
    }

    /// What would be right.
    pub(super) fn right(&self) -> String {
        match self {
            Self::Address => "an address and a port, like `127.0.0.1:8080` or `[::]:8080`".into(),
            Self::Directory => "a directory".into(),
            Self::Switch => "`true` or `false`".into(),
            Self::Filter => "a level or levels per part, like `info` or `info,signal=debug`".into(),
            Self::Name => "1 to 64 ASCII letters, digits, `-`, `_` and `.`".into(),
            Self::Secret(at_least) => format!("at least {at_least} bytes"),
            Self::File => "a file".into(),
            Self::Service => "like `http://turn-auth:8070` or `https://turn.example.org/credentials`".into(),
            Self::Own(own) => own.right.into(),
            Self::Count(range) => format!("a whole number from {} to {}", range.start(), range.end()),
            Self::Size(range) => {
                format!(
                    "a size from {} to {}, like `64KiB`",
                    ByteSize(*range.start()),
                    ByteSize(*range.end())
                )
            }
            Self::Span(range) => {
                let [from, to] = [range.start(), range.end()].map(|end| humantime::format_duration(*end));
                format!("a time span from {from} to {to}, like `90s` or `6h`")
            }
            Self::List(item) => item.right(),
        }
    }

    /// Whether the value may hold what nobody may read.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::List(Item::Secret(_)) | Self::Own(Own { shown: Some(_), .. }))
    }

    /// Whether there can be any number of values.
    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    /// What stands for the value on a page of help.
    pub(super) fn placeholder(&self) -> &'static str {
        match self {
            Self::Address => "ADDRESS:PORT",
            Self::Directory => "DIR",
            Self::Switch => "true|false",
            Self::Filter => "FILTER",
            Self::Name => "NAME",
            Self::Secret(_) => "SECRET",
            Self::File => "FILE",
            Self::Service => "URL",
            Self::Own(own) => own.placeholder,
            Self::Count(_) => "NUMBER",
            Self::Size(_) => "SIZE",
            Self::Span(_) => "TIME",
            Self::List(Item::Net) => "NET,…",
            Self::List(Item::Origin) => "ORIGIN,…",
            Self::List(Item::Stun | Item::Turn) => "URL,…",
            Self::List(Item::Secret(_)) => "SECRET,…",
        }
    }
}

impl Item {
    fn check(&self, text: &str) -> Result<(), String> {
        match self {
            Self::Stun => stun(text),
            Self::Turn => turn(text),
            Self::Net => net(text).map(drop),
            Self::Origin => origin(text),
            Self::Secret(at_least) => long_enough(text, *at_least),
        }
    }

    fn right(&self) -> String {
        match self {
            Self::Stun => "like `stun:stun.example.org` or `stuns:stun.example.org:5349`".into(),
            Self::Turn => "without user and password, like `turn:turn.example.org?transport=udp` or \
                `turns:turn.example.org:443`"
                .into(),
            Self::Net => "an address or a range of them, like `10.0.0.0/8`".into(),
            Self::Origin => {
                "what a browser sends, like `https://app.example.org` or `http://localhost:3000`".into()
            }
            Self::Secret(at_least) => format!("at least {at_least} bytes each"),
        }
    }
}

/// Reads a size, for a field.
pub fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let size = size(&String::deserialize(from)?).map_err(de::Error::custom)?;
    usize::try_from(size).map_err(de::Error::custom)
}

/// Reads a time span, for a field.
pub fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    span(&String::deserialize(from)?).map_err(de::Error::custom)
}

/// Reads address ranges, for a field.
pub fn nets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<String>::deserialize(from)?.iter().map(|text| net(text).map_err(de::Error::custom)).collect()
}

/// Reads the address of a service, for a field.
pub fn uri<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Uri>, D::Error> {
    Option::<String>::deserialize(from)?.map(|text| text.parse().map_err(de::Error::custom)).transpose()
}

fn ensure(right: bool, wrong: impl Into<String>) -> Result<(), String> {
    if right { Ok(()) } else { Err(wrong.into()) }
}

fn long_enough(secret: &str, at_least: usize) -> Result<(), String> {
    ensure(secret.len() >= at_least, format!("is too short ({} bytes)", secret.len()))
}

fn parsed<T: FromStr>(text: &str, wrong: &str) -> Result<T, String> {
    text.parse().map_err(|_| wrong.to_owned())
}

fn within<T: PartialOrd>(value: T, range: &RangeInclusive<T>) -> Result<(), String> {
    ensure(value >= *range.start(), "is too little")?;
    ensure(value <= *range.end(), "is too much")
}

fn size(text: &str) -> Result<u64, String> {
    parsed::<ByteSize>(text, "is no size").map(|size| size.as_u64())
}

fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => "has no unit".into(),
        _ => "is no time span".into(),
    })
}

fn net(text: &str) -> Result<IpNet, String> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    one.or_else(|_| parsed(text, "is no address range"))
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

/// `host[:port]` (RFC 3986, section 3.2.2).
fn host_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let end = if text.starts_with('[') {
        text.find(']').map_or(0, |at| at + 1)
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(end);
    let host_is_right = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    ensure(host_is_right, "has no host")?;
    let port = match rest.strip_prefix(':') {
        None => {
            return if rest.is_empty() {
                Ok((host, None))
            } else {
                Err("has something after its host".into())
            };
        }
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => parsed(port, "has a port that cannot be")?,
        Some(_) => return Err("has a port that cannot be".into()),
    };
    ensure(port != 0, "has a port that cannot be")?;
    Ok((host, Some(port)))
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn stun(text: &str) -> Result<(), String> {
    let Some(("stun" | "stuns", rest)) = text.split_once(':') else { return Err("is no STUN URL".into()) };
    ice_host(rest)
}

fn turn(text: &str) -> Result<(), String> {
    let Some(("turn" | "turns", rest)) = text.split_once(':') else { return Err("is no TURN URL".into()) };
    let (rest, transport) = rest.split_once("?transport=").map_or((rest, None), |(a, b)| (a, Some(b)));
    ensure(matches!(transport, None | Some("udp" | "tcp")), "has a transport other than udp and tcp")?;
    ice_host(rest)
}

fn ice_host(text: &str) -> Result<(), String> {
    ensure(!text.contains('@'), "holds a user or a password")?;
    ensure(!text.starts_with("//"), "has slashes, which these URLs do not have")?;
    ensure(!text.contains('?'), "has a query that cannot be")?;
    host_port(text).map(drop)
}

fn service(text: &str) -> Result<(), String> {
    let Some(("http" | "https", rest)) = text.split_once("://") else {
        return Err("is no address of a service".into());
    };
    ensure(!rest.contains('@'), "holds a user or a password")?;
    ensure(!rest.contains(['?', '#']), "has a query")?;
    host_port(rest.split('/').next().unwrap_or_default())?;
    parsed::<Uri>(text, "is no address of a service").map(drop)
}

fn origin(text: &str) -> Result<(), String> {
    let Some((scheme, rest)) = text.split_once("://") else { return Err("is no origin".into()) };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    ensure(
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(fits),
        "has no scheme",
    )?;
    ensure(!rest.contains('@'), "holds a user or a password")?;
    ensure(!rest.contains('/'), "goes on after its host")?;
    let (_, port) = host_port(rest)?;
    let implied = matches!((scheme, port), ("http", Some(80)) | ("https", Some(443)));
    ensure(!implied, "has the port that its scheme implies, which browsers leave out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(kind: &Kind, texts: &[&str]) {
        texts.iter().for_each(|text| assert_eq!(kind.check(text), Ok(()), "{text}"));
    }

    fn refuses(kind: &Kind, texts: &[(&str, &str)]) {
        for (text, why) in texts {
            let said = kind.check(text).expect_err(text);
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn stun_urls_are_those_of_rfc_7064() {
        let stun = Kind::List(Item::Stun);
        takes(
            &stun,
            &["stun:example.org", "stuns:example.org:5349", "stun:192.0.2.1:3478", "stun:[2001:db8::1]:3478"],
        );
        refuses(
            &stun,
            &[
                ("", "no STUN URL"),
                ("example.org:3478", "no STUN URL"),
                ("turn:example.org", "no STUN URL"),
                ("stun:", "no host"),
                ("stun://example.org", "slashes"),
                ("stun:example.org:0", "port"),
                ("stun:example.org:+1", "port"),
                ("stun:example.org:65536", "port"),
                ("stun:example.org?transport=udp", "query"),
                ("stun:[2001:db8::1", "no host"),
                ("stun:[example.org]", "no host"),
                ("stun:2001:db8::1", "port"),
                ("stun:a b", "no host"),
            ],
        );
    }

    #[test]
    fn turn_urls_are_those_of_rfc_7065_and_carry_no_credentials() {
        let turn = Kind::List(Item::Turn);
        takes(
            &turn,
            &["turn:example.org", "turn:192.0.2.1:3478?transport=udp", "turns:[::1]:443?transport=tcp"],
        );
        refuses(
            &turn,
            &[
                ("stun:example.org", "no TURN URL"),
                ("turn:user:password@example.org", "password"),
                ("turn:user@example.org", "user"),
                ("turn:example.org?transport=sctp", "transport"),
                ("turn:example.org?transport=", "transport"),
                ("turn:example.org?ttl=3", "query"),
                ("turn://example.org", "slashes"),
            ],
        );
    }

    #[test]
    fn services_are_addresses_over_http_without_a_password_in_them() {
        takes(
            &Kind::Service,
            &["http://turn-auth:8070", "https://turn.example.org/credentials", "http://[::1]:80/"],
        );
        refuses(
            &Kind::Service,
            &[
                ("turn-auth:8070", "no address"),
                ("ftp://turn-auth", "no address"),
                ("http://me:swordfish@turn-auth", "password"),
                ("http://turn-auth/?key=swordfish", "query"),
                ("http://", "no host"),
                ("http://turn auth/", "no host"),
                ("http://turn-auth:99999/", "port"),
            ],
        );
    }

    #[test]
    fn origins_are_what_browsers_send() {
        let origin = Kind::List(Item::Origin);
        takes(
            &origin,
            &["https://example.org", "http://localhost:3000", "https://[::1]:8443", "capacitor://localhost"],
        );
        refuses(
            &origin,
            &[
                ("*", "no origin"),
                ("null", "no origin"),
                ("example.org", "no origin"),
                ("https://example.org/", "goes on"),
                ("https://example.org/app", "goes on"),
                ("https://*.example.org", "no host"),
                ("https://", "no host"),
                ("https://a:b@example.org", "password"),
                ("https://example.org:443", "implies"),
                ("http://example.org:80", "implies"),
                ("://example.org", "no scheme"),
            ],
        );
    }

    #[test]
    fn nets_are_addresses_and_ranges_of_them() {
        takes(&Kind::List(Item::Net), &["10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8"]);
        refuses(&Kind::List(Item::Net), &[("10.0.0.0/33", "range"), ("proxy", "range"), ("", "range")]);
        assert_eq!(net("127.0.0.1").unwrap().to_string(), "127.0.0.1/32");
    }

    #[test]
    fn spans_have_a_unit_and_stay_within_their_range() {
        let span = Kind::Span(Duration::from_secs(60)..=Duration::from_secs(7 * 86_400));
        takes(&span, &["1m", "60s", "7d", "1h 30m"]);
        refuses(
            &span,
            &[("90", "no unit"), ("59s", "too little"), ("8d", "too much"), ("soon", "no time span")],
        );
        assert_eq!(span.right(), "a time span from 1m to 7days, like `90s` or `6h`");
    }

    #[test]
    fn sizes_stay_within_their_range() {
        let size = Kind::Size(1024..=16 << 20);
        takes(&size, &["1KiB", "1024", "16MiB", "64kb"]);
        refuses(
            &size,
            &[("1023", "too little"), ("17MiB", "too much"), ("big", "no size"), ("-1", "no size")],
        );
        assert_eq!(size.right(), "a size from 1.0 KiB to 16.0 MiB, like `64KiB`");
    }

    #[test]
    fn counts_are_whole_numbers_within_their_range() {
        let count = Kind::Count(1..=100);
        takes(&count, &["1", "100"]);
        refuses(
            &count,
            &[("0", "too little"), ("101", "too much"), ("1.5", "whole"), ("-1", "whole"), ("", "whole")],
        );
    }

    #[test]
    fn addresses_have_a_port() {
        takes(&Kind::Address, &["0.0.0.0:8080", "[::]:0"]);
        refuses(
            &Kind::Address,
            &[("0.0.0.0", "port"), (":8080", "port"), ("localhost:8080", "address"), ("", "address")],
        );
    }

    #[test]
    fn secrets_are_long_enough() {
        takes(&Kind::Secret(32), &["0123456789abcdef0123456789abcdef"]);
        refuses(&Kind::Secret(32), &[("0123456789abcdef0123456789abcde", "too short (31 bytes)")]);
    }

    #[test]
    fn filters_switches_names_and_directories_are_checked() {
        takes(&Kind::Filter, &["info", "warn,signal=debug", "signal::socket=trace"]);
        refuses(&Kind::Filter, &[("signal=loud", "no filter"), ("", "empty")]);
        takes(&Kind::Switch, &["true", "false"]);
        refuses(&Kind::Switch, &[("yes", "neither"), ("", "neither")]);
        takes(&Kind::Name, &["web-1", "a", "web_1.example.org"]);
        refuses(&Kind::Name, &[("", "name"), ("web 1", "name"), ("a\r\nb", "name"), ("é", "name")]);
        takes(&Kind::Directory, &["."]);
        refuses(&Kind::Directory, &[("no/such/directory", "no directory")]);
    }
}
