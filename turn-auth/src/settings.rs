//! What the service can be told. How settings are given and checked is the same for every program of the
//! [house](house::settings).

use std::net::SocketAddr;
use std::time::Duration;

use house::settings::{
    ANY_SPAN, COUNT, Item, Kind, Program, SPAN, Secret, Setting, duration, nets, row, seconds,
};
use house::tls::TlsSettings;
use ipnet::IpNet;
use serde::Deserialize;

/// All that the service can be told. The fields are named and explained by `turn-auth config --defaults`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Settings {
    pub listen: SocketAddr,
    pub log: String,
    pub keys: Vec<Secret>,
    pub development: bool,
    #[serde(deserialize_with = "nets")]
    pub trusted_proxies: Vec<IpNet>,
    pub origins: Vec<String>,
    pub tls: TlsSettings,
    pub ops: Ops,
    pub turn: Turn,
    pub limits: Limits,
    pub drain: Drain,
}

/// The operator's listener.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Ops {
    pub listen: SocketAddr,
}

/// The TURN servers, and how long their credentials are good for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Turn {
    pub urls: Vec<String>,
    pub secret: Option<Secret>,
    #[serde(deserialize_with = "duration")]
    pub ttl: Duration,
    #[serde(deserialize_with = "duration")]
    pub min_ttl: Duration,
    #[serde(deserialize_with = "duration")]
    pub max_ttl: Duration,
}

/// How much anybody may.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Limits {
    pub connections: usize,
    pub requests_per_minute: u32,
    #[serde(deserialize_with = "duration")]
    pub head_timeout: Duration,
}

/// Leaving on purpose.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the table explains each field")]
pub struct Drain {
    #[serde(deserialize_with = "duration")]
    pub wait: Duration,
}

/// A week, in seconds.
const WEEK: u64 = 7 * 86_400;

#[rustfmt::skip]
const TABLE: &[Setting] = &[
    row("listen", "0.0.0.0:8070", Kind::Address, "Where credentials are asked for: `/?service=turn&username=NAME&key=KEY`."),
    row("log", "info", Kind::Filter, "What is logged, on standard error: a level, or levels per part."),
    row("keys", "", Kind::List(Item::Secret(16)), "API keys of those who may ask; in a file (keys_file) one a line."),
    row("development", "false", Kind::Switch, "Whether anybody may ask, without a key: for trying things out."),
    row("trusted_proxies", "", Kind::List(Item::Net), "Load balancers in front, whose X-Forwarded-For is believed."),
    row("origins", "", Kind::List(Item::Origin), "Pages that may ask; with none: any, if they have a key."),

    row("tls.cert", "", Kind::File, "The certificate, with those that it rests on (PEM), to speak TLS on `listen`."),
    row("tls.key", "", Kind::File, "The certificate's private key (PEM)."),
    row("tls.reload", "10s", SPAN, "How often the two are looked into: a new pair is shown from then on, without a restart."),

    row("ops.listen", "127.0.0.1:9092", Kind::Address, "Where operators reach the service: /live, /ready, /metrics."),

    row("turn.urls", "", Kind::List(Item::Turn), "The TURN servers that the credentials are for."),
    row("turn.secret", "", Kind::Secret(1), "What signs the credentials: the servers' own (coturn: static-auth-secret)."),
    row("turn.ttl", "6h", seconds(60..=WEEK), "How long credentials may be used to begin a relayed call, if who asks says nothing (`ttl=SECONDS`)."),
    row("turn.min_ttl", "1m", seconds(1..=WEEK), "The shortest that is given: who asks for less gets this."),
    row("turn.max_ttl", "24h", seconds(1..=WEEK), "The longest that is given: who asks for more gets this."),

    row("limits.connections", "10000", COUNT, "The most connections at once."),
    row("limits.requests_per_minute", "60", COUNT, "How many requests without a right key are answered per address and minute: guesses, and in development all."),
    row("limits.head_timeout", "5s", SPAN, "How long a client may take to send a request."),

    row("drain.wait", "5s", ANY_SPAN, "When told to stop: how long to be not ready, and still serve, until load balancers have noticed."),
];

/// The program of the service.
pub const TURN_AUTH: Program = Program {
    name: "turn-auth",
    version: env!("CARGO_PKG_VERSION"),
    about: "Time-limited credentials for TURN over HTTP (\"A REST API For Access To TURN Services\").

Whoever has an API key asks `/?service=turn&username=NAME&key=KEY`, by GET or by a form, and is \
answered `{username, password, ttl, uris}`. A TURN server with the same secret takes them (coturn: \
use-auth-secret, static-auth-secret); so do Janus, and signaling nodes with `turn.auth_url`.",
    examples: "  turn-auth --turn.urls turn:turn.example.org --turn.secret_file turn.secret --keys_file keys
  turn-auth --turn.urls turn:127.0.0.1:3478 --turn.secret s3cr3t --development true
  turn-auth config --defaults > turn-auth.toml
  curl 'http://localhost:8070/?service=turn&username=ada&key=KEY'",
    running: "the service",
    table: TABLE,
};

impl house::settings::Settings for Settings {
    const PROGRAM: &'static Program = &TURN_AUTH;

    fn log(&self) -> &str {
        &self.log
    }

    fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.turn.urls.is_empty() {
            found.push(
                "turn.urls: missing; right would be the TURN servers, like `turn:turn.example.org`".into(),
            );
        }
        if self.turn.secret.is_none() {
            found.push(
                "turn.secret: missing; right would be what the TURN servers have as static-auth-secret"
                    .into(),
            );
        }
        if self.keys.is_empty() && !self.development {
            found.push("keys: missing; without one nobody may ask, unless `development` is `true`".into());
        }
        let Turn { ttl, min_ttl, max_ttl, .. } = self.turn;
        if !(min_ttl..=max_ttl).contains(&ttl) {
            found.push(format!(
                "turn.ttl: {} is not between turn.min_ttl and turn.max_ttl",
                humantime::format_duration(ttl)
            ));
        }
        found.extend(self.tls.contradictions());
        found
    }
}

#[cfg(test)]
mod tests {
    use house::settings::{Cli, gather};

    use super::*;

    fn problems(words: &[&str]) -> String {
        let cli = Cli::parse(&TURN_AUTH, [&["turn-auth"], words].concat()).unwrap();
        gather::<Settings>(cli.flags(), [])
            .map(drop)
            .map_err(|error| error.to_string())
            .err()
            .unwrap_or_default()
    }

    const RIGHT: [&str; 6] =
        ["--turn.urls", "turn:a", "--turn.secret", "s3cr3t", "--keys", "0123456789abcdef,fedcba9876543210"];

    #[test]
    fn every_default_is_what_its_setting_may_be_and_the_table_and_the_struct_agree() {
        for setting in TABLE.iter().filter(|setting| !setting.default.is_empty()) {
            assert_eq!(setting.kind.check(setting.default), Ok(()), "{}", setting.key);
        }
        let settings = house::settings::defaults::<Settings>();
        assert_eq!(settings.turn.ttl, Duration::from_secs(6 * 3600));
        assert_eq!(problems(&RIGHT), "");
    }

    #[test]
    fn without_servers_a_secret_and_keys_there_is_no_service() {
        let said = problems(&[]);
        for key in ["turn.urls: missing", "turn.secret: missing", "keys: missing"] {
            assert!(said.contains(key), "{said}");
        }
        assert_eq!(problems(&[&RIGHT[..4], &["--development", "true"]].concat()), "");
    }

    #[test]
    fn keys_are_long_enough_and_never_told() {
        let said = problems(&[&RIGHT[..4], &["--keys", "0123456789abcdef,swordfish"]].concat());
        assert!(said.contains("keys (--keys): the value is too short (9 bytes)"), "{said}");
        assert!(!said.contains("swordfish"), "{said}");
    }

    #[test]
    fn the_time_to_live_is_within_its_bounds() {
        let said = problems(&[&RIGHT[..], &["--turn.ttl", "2h", "--turn.max_ttl", "1h"]].concat());
        assert!(said.contains("turn.ttl: 2h is not between"), "{said}");
    }
}
