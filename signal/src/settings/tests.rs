//! Every rule of the settings, with the environment as an argument.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::de::DeserializeOwned;

use std::ffi::OsString;

use house::settings::{Ask, Cli, Flags, gather};

use super::*;

const TABLE: &[house::settings::Setting] = NODE.table;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A file that is gone when this is.
struct Written(PathBuf);

impl Written {
    fn new(ending: &str, text: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("signal-{}-{number}{ending}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn cli(words: &[&str]) -> Cli {
    Cli::parse(&NODE, [&["signal"], words].concat()).unwrap()
}

fn variables(environment: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    environment.iter().map(|(name, text)| (name.into(), text.into())).collect()
}

fn load(words: &[&str], environment: &[(&str, &str)]) -> Result<Settings, String> {
    let gathered = gather::<Settings>(cli(words).flags(), variables(environment));
    gathered.map(|(_, settings)| settings).map_err(|error| error.to_string())
}

fn problem(words: &[&str], environment: &[(&str, &str)]) -> String {
    let error = load(words, environment).unwrap_err();
    error.strip_prefix("the settings are wrong:\n  ").unwrap().to_owned()
}

fn of_file(ending: &str, text: &str) -> Result<Settings, String> {
    load(&["--config", Written::new(ending, text).path()], &[])
}

/// The names of a struct's fields, as its deserializer tells who asks for one that is not there.
fn fields<T: DeserializeOwned>(group: &str) -> Vec<String> {
    let asked = serde_json::from_str::<T>(r#"{"?": 0}"#).err().unwrap().to_string();
    let (_, expected) = asked.split_once("expected").unwrap();
    let names = expected.split('`').skip(1).step_by(2);
    names.map(|name| if group.is_empty() { name.to_owned() } else { format!("{group}.{name}") }).collect()
}

#[test]
fn the_table_and_the_struct_agree() {
    let groups = [
        fields::<TlsSettings>("tls"),
        fields::<Ops>("ops"),
        fields::<Redis>("redis"),
        fields::<Node>("node"),
        fields::<Ice>("ice"),
        fields::<Turn>("turn"),
        fields::<Rooms>("rooms"),
        fields::<Session>("session"),
        fields::<Drain>("drain"),
        fields::<Camus>("camus"),
        fields::<Peerjs>("peerjs"),
        fields::<Direct>("direct"),
        fields::<Mesh>("mesh"),
        fields::<Socket>("socket"),
        fields::<Mailbox>("mailbox"),
        fields::<Links>("links"),
        fields::<Unsettled>("unsettled"),
        fields::<Limits>("limits"),
    ];
    let names: BTreeSet<_> =
        TABLE.iter().map(|setting| setting.place().0).filter(|group| !group.is_empty()).collect();
    let top = fields::<Settings>("").into_iter().filter(|name| !names.contains(name.as_str()));
    let of_structs: BTreeSet<_> = top.chain(groups.into_iter().flatten()).collect();
    let of_table: BTreeSet<_> = TABLE.iter().map(|setting| setting.key.to_owned()).collect();
    assert_eq!(of_structs, of_table);
    assert_eq!(of_table.len(), TABLE.len(), "a key stands there twice");
}

#[test]
fn every_default_is_what_its_setting_may_be() {
    for setting in TABLE.iter().filter(|setting| !setting.default.is_empty()) {
        assert_eq!(setting.kind.check(setting.default), Ok(()), "{}", setting.key);
    }
}

#[test]
fn the_defaults_are_those_that_are_promised() {
    let settings = Settings::default();
    assert_eq!(settings.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.ops.listen.to_string(), "127.0.0.1:9091");
    assert_eq!(settings.ice.stun, ["stun:stun.l.google.com:19302"]);
    assert_eq!(settings.turn.ttl, Duration::from_secs(6 * 3600));
    assert_eq!(settings.session.ttl, Duration::from_secs(12 * 3600));
    assert_eq!(settings.max_message_bytes, 256 * 1024);
    assert_eq!(settings.limits.byte_burst, 2 << 20);
    assert_eq!(settings.limits.connections, 100_000);
    assert!(settings.rooms.create_on_entry);
    assert!(settings.web.is_none() && settings.redis.url.is_none() && settings.session.secret.is_none());
    assert!(
        settings.trusted_proxies.is_empty() && settings.origins.is_empty() && settings.turn.urls.is_empty()
    );
    assert_eq!(format!("{settings:?}"), format!("{:?}", load(&[], &[]).unwrap()), "nothing said");
}

#[test]
fn each_layer_lies_on_the_one_before() {
    let text = "log = 'warn'\n[drain]\nwait = '1s'\nspread = '1s'\n[mailbox]\nmessages = 1";
    let file = Written::new(".toml", text);
    let words = ["--config", file.path(), "--drain.wait", "3s"];
    let environment = [("SIGNAL__DRAIN__WAIT", "2s"), ("SIGNAL__DRAIN__SPREAD", "2s")];
    let settings = load(&words, &environment).unwrap();
    assert_eq!(settings.drain.wait, Duration::from_secs(3), "the flag");
    assert_eq!(settings.drain.spread, Duration::from_secs(2), "the environment");
    assert_eq!((settings.log.as_str(), settings.mailbox.messages), ("warn", 1), "the file");
    assert_eq!(settings.mailbox.bytes, 1 << 20, "the default");
}

#[test]
fn toml_and_yaml_say_the_same() {
    let toml = "origins = ['https://a.example', 'http://b:81']\n[camus]\ngrace = '5s'\nguest_limit = 7\n\
        [rooms]\ncreate_on_entry = false\n[limits]\nbyte_burst = 2048\n[ops]\n";
    let yaml = "origins: ['https://a.example', 'http://b:81']\ncamus:\n  grace: 5s\n  guest_limit: 7\n\
        rooms:\n  create_on_entry: false\nlimits:\n  byte_burst: 2048\nops:\n";
    let [toml, yaml, yml] =
        [of_file(".toml", toml), of_file(".yaml", yaml), of_file(".yml", yaml)].map(Result::unwrap);
    assert_eq!(toml.origins, ["https://a.example", "http://b:81"]);
    assert_eq!(
        (toml.camus.guest_limit, toml.rooms.create_on_entry, toml.limits.byte_burst),
        (7, false, 2048)
    );
    assert_eq!(format!("{toml:?}"), format!("{yaml:?}"));
    assert_eq!(format!("{toml:?}"), format!("{yml:?}"));
    assert!(of_file(".toml", "").is_ok() && of_file(".yaml", "").is_ok(), "an empty file says nothing");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let asked = |path: &str| problem(&["--config", path], &[]);
    assert!(asked("no/such.toml").starts_with("no/such.toml: cannot be read: "));
    assert!(asked("settings.json").contains("ends in .toml, .yaml or .yml"));
    let broken = Written::new(".toml", "[session]\nsecret = \"swordfish");
    let said = asked(broken.path());
    assert!(said.contains("line 2") && !said.contains("swordfish"), "{said}");
}

#[test]
fn lists_are_arrays_in_files_and_have_commas_elsewhere() {
    let stun = |words: &[&str], environment: &[(&str, &str)]| load(words, environment).unwrap().ice.stun;
    let file = Written::new(".toml", "[ice]\nstun = ['stun:a', 'stun:b', 'stun:c']");
    let config = ["--config", file.path()];
    assert_eq!(stun(&config, &[]), ["stun:a", "stun:b", "stun:c"]);
    assert_eq!(stun(&config, &[("SIGNAL__ICE__STUN", "stun:d, stun:e,")]), ["stun:d", "stun:e"]);
    assert_eq!(stun(&["--ice.stun", "stun:f,stuns:g"], &[]), ["stun:f", "stuns:g"]);
    for none in ["", " ", ","] {
        assert!(stun(&config, &[("SIGNAL__ICE__STUN", none)]).is_empty(), "{none:?}");
    }
    assert!(of_file(".toml", "[ice]\nstun = []").unwrap().ice.stun.is_empty());
    assert!(of_file(".toml", "[ice]\nstun = 'stun:a'").unwrap_err().contains("right would be a list"));
    assert!(of_file(".toml", "[ice]\nstun = [['stun:a']]").unwrap_err().contains("a list in a list"));
    assert!(of_file(".toml", "[ice.stun]\na = 1").unwrap_err().contains("ice.stun.a"));
    assert!(of_file(".toml", "listen = ['0.0.0.0:1']").unwrap_err().contains("several values"));
}

#[test]
fn nothing_is_none_where_there_may_be_none() {
    let empty = [("SIGNAL__REDIS__URL", ""), ("SIGNAL__WEB", ""), ("SIGNAL__SESSION__SECRET", "")];
    let settings = load(&[], &empty).unwrap();
    assert!(settings.redis.url.is_none() && settings.web.is_none() && settings.session.secret.is_none());
    let file = Written::new(".toml", "[node]\nname = 'web-1'");
    assert!(load(&["--config", file.path(), "--node.name", ""], &[]).unwrap().node.name.is_none());
    assert!(problem(&[], &[("SIGNAL__LISTEN", "")]).contains("listen (SIGNAL__LISTEN): `` is no address"));
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    assert_eq!(
        problem(&[], &[("SIGNAL__REDIS__ULR", "x")]),
        "SIGNAL__REDIS__ULR: no such setting; the nearest is SIGNAL__REDIS__URL"
    );
    assert_eq!(
        problem(&[], &[("SIGNAL__SESSION__SECRETFILE", "x")]),
        "SIGNAL__SESSION__SECRETFILE: no such setting; the nearest is SIGNAL__SESSION__SECRET_FILE"
    );
    let unknown = |text: &str| of_file(".toml", text).unwrap_err();
    assert!(
        unknown("[camus]\ngrase = '3s'").ends_with(".toml): no such setting; the nearest is camus.grace")
    );
    assert!(unknown("lissten = 'x'").contains("the nearest is listen"));
    assert!(unknown("[reddis]").contains("reddis"), "an empty group");
    assert!(unknown("redis = 'redis://a'").contains("the nearest is redis.url"), "a value for a group");
    assert!(unknown("listen_file = 'x'").contains("listen_file"), "what is no secret is in no file");
    assert!(Cli::parse(&NODE, ["signal", "--lissten", "x"]).unwrap_err().to_string().contains("'--listen'"));
}

#[test]
fn variables_of_others_are_left_alone() {
    let others =
        [("SIGNAL_PORT", "tcp://10.0.0.1:80"), ("SIGNAL_LISTEN", "x"), ("SIGNALS__X", "x"), ("PATH", "x")];
    assert!(load(&[], &others).is_ok());
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_told_if_it_is_ours() {
    use std::os::unix::ffi::OsStringExt;
    let gather = |name: &str| {
        let variable = (OsString::from(name), OsString::from_vec(vec![0xff]));
        gather::<Settings>(&Flags::default(), [variable]).map_err(|error| error.to_string())
    };
    assert!(gather("SIGNAL__LOG").unwrap_err().contains("SIGNAL__LOG: the value is no text"));
    assert!(gather("OTHER").is_ok());
}

#[test]
fn a_wrong_value_is_told_with_its_place_and_what_would_be_right() {
    assert_eq!(
        problem(&["--turn.ttl", "8d"], &[]),
        "turn.ttl (--turn.ttl): `8d` is too much; right would be a time span from 1m to 7days, like `90s` or `6h`"
    );
    assert_eq!(
        problem(&[], &[("SIGNAL__MAX_MESSAGE_BYTES", "1000")]),
        "max_message_bytes (SIGNAL__MAX_MESSAGE_BYTES): `1000` is too little; right would be a size from 1.0 KiB to \
         16.0 MiB, like `64KiB`"
    );
    assert!(problem(&["--ice.stun", "stun:ok,stun://no"], &[]).contains("`stun://no` has slashes"));
    assert!(problem(&["--socket.ping_interval", "0s"], &[]).contains("from 1ms to 1year"));
    let said = of_file(".toml", "[drain]\nwait = 5").unwrap_err();
    assert!(said.contains("drain.wait (") && said.contains(".toml): `5` has no unit"), "{said}");
}

#[test]
fn all_problems_are_told_at_once() {
    let said = problem(&["--turn.ttl", "1s"], &[("SIGNAL__LISTEN", "x"), ("SIGNAL__NOTHING", "x")]);
    assert_eq!(said.lines().count(), 3, "{said}");
}

#[test]
fn what_lies_below_a_right_value_may_be_wrong() {
    assert!(load(&["--listen", "127.0.0.1:0"], &[("SIGNAL__LISTEN", "x")]).is_ok());
}

#[test]
fn a_secret_may_be_given_as_a_file() {
    let file = Written::new("", &format!("{KEY}\r\n"));
    let path = file.path();
    let secret =
        |settings: Result<Settings, String>| settings.unwrap().session.secret.unwrap().expose().to_owned();
    assert_eq!(secret(load(&[], &[("SIGNAL__SESSION__SECRET_FILE", path)])), KEY);
    assert_eq!(secret(load(&["--session.secret_file", path], &[])), KEY);
    assert_eq!(secret(of_file(".toml", &format!("[session]\nsecret_file = '{path}'"))), KEY);

    let other = "another secret that is long enough";
    let layers = [("SIGNAL__SESSION__SECRET", other)];
    assert_eq!(secret(load(&["--session.secret_file", path], &layers)), KEY, "the upper layer counts");
    let layers = [("SIGNAL__SESSION__SECRET_FILE", path)];
    assert_eq!(secret(load(&["--session.secret", other], &layers)), other, "the upper layer counts");
    assert_eq!(secret(load(&[], &[layers[0], ("SIGNAL__SESSION__SECRET", "")])), KEY, "an empty one is none");

    let both = problem(&[], &[layers[0], ("SIGNAL__SESSION__SECRET", other)]);
    assert!(
        both.starts_with("SIGNAL__SESSION__SECRET and SIGNAL__SESSION__SECRET_FILE: both are set"),
        "{both}"
    );
    let missing = problem(&[], &[("SIGNAL__TURN__SECRET_FILE", "no/such/file")]);
    assert!(
        missing.contains("turn.secret (SIGNAL__TURN__SECRET_FILE, file no/such/file): cannot be read"),
        "{missing}"
    );
    let url = Written::new("", "redis://:swordfish@db:6379\n");
    let settings = load(&["--redis.url_file", url.path(), "--session.secret", KEY], &[]).unwrap();
    assert_eq!(settings.redis.url.unwrap().expose(), "redis://:swordfish@db:6379");
}

#[test]
fn no_secret_is_ever_told() {
    let wrong = [
        ("SIGNAL__SESSION__SECRET", "swordfish"),
        ("SIGNAL__SESSION__PREVIOUS_SECRET", "swordfish"),
        ("SIGNAL__REDIS__URL", "redis+cluster://:swordfish@db"),
        ("SIGNAL__TURN__URLS", "turn:me:swordfish@host"),
        ("SIGNAL__ORIGINS", "https://me:swordfish@host"),
        ("SIGNAL__SESION__SECRET", "swordfish"),
    ];
    let said = problem(&[], &wrong);
    assert_eq!(said.lines().count(), wrong.len(), "{said}");
    assert!(!said.contains("swordfish"), "{said}");
    assert!(
        said.contains("session.secret (SIGNAL__SESSION__SECRET): the value is too short (9 bytes)"),
        "{said}"
    );
    assert!(said.contains("redis+cluster, which is not supported yet"), "{said}");
    let sentinels = problem(&[], &[("SIGNAL__REDIS__URL", "redis+sentinel://a?sentinel_password=swordfish")]);
    assert!(sentinels.contains("name of a master") && !sentinels.contains("swordfish"), "{sentinels}");

    let key = format!("swordfish-{KEY}");
    let words = ["--session.secret", &key, "--redis.url", "redis://:swordfish@db"];
    let cli = cli(&words);
    assert!(!format!("{cli:?}").contains("swordfish"));
    let (config, settings) = gather::<Settings>(cli.flags(), []).unwrap();
    assert!(!format!("{settings:?}").contains("swordfish"));
    assert_eq!(config.get_string("listen").unwrap(), "0.0.0.0:8080");
}

#[test]
fn a_number_is_no_secret() {
    let digits = "12345678901234567890123456789012";
    assert!(of_file(".yaml", &format!("session:\n  secret: {digits}")).unwrap_err().contains("in quotes"));
    assert!(of_file(".yaml", &format!("session:\n  secret: '{digits}'")).is_ok());
}

#[test]
fn files_for_the_tls_of_redis_need_a_redis_with_tls_and_come_in_pairs() {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let with = |url: &'static str, file: &str| {
        load(&["--redis.url", url, &format!("--redis.{file}"), here, "--session.secret", KEY], &[])
            .map_or_else(|error| error.to_string(), |_| "right".into())
    };
    assert!(with("redis://a", "tls_ca").contains("redis.tls_ca: of no use without TLS; right would be"));
    assert!(with("rediss://a", "tls_cert").contains("redis.tls_key: missing; redis.tls_cert needs it"));
    assert!(with("rediss://a", "tls_key").contains("redis.tls_cert: missing; redis.tls_key needs it"));
    assert_eq!(with("rediss+sentinel://a/main", "tls_ca"), "right");
}

#[test]
fn turn_servers_need_a_secret() {
    let urls = ("SIGNAL__TURN__URLS", "turn:127.0.0.1:3478?transport=udp");
    assert!(problem(&[], &[urls]).starts_with("turn.secret: missing"));
    assert!(load(&[], &[urls, ("SIGNAL__TURN__SECRET", "s3cr3t")]).is_ok());
    assert!(load(&[], &[("SIGNAL__TURN__SECRET", "s3cr3t")]).is_ok());
}

#[test]
fn a_service_names_its_own_turn_servers() {
    let url = ("SIGNAL__TURN__AUTH_URL", "http://turn-auth:8070");
    assert_eq!(load(&[], &[url]).unwrap().turn.auth_url.unwrap(), "http://turn-auth:8070");
    let both = problem(&[], &[url, ("SIGNAL__TURN__URLS", "turn:a"), ("SIGNAL__TURN__SECRET", "s")]);
    assert!(both.starts_with("turn.auth_url: set, and so are turn.urls"), "{both}");
    assert!(problem(&[], &[("SIGNAL__TURN__AUTH_KEY", "k")]).starts_with("turn.auth_url: missing"));
}

#[test]
fn a_certificate_and_its_key_go_together() {
    let file = Written::new(".pem", "");
    assert!(problem(&["--tls.cert", file.path()], &[]).starts_with("tls.key: missing"));
    assert!(problem(&["--tls.key", file.path()], &[]).starts_with("tls.cert: missing"));
    assert!(problem(&["--tls.cert", "no/such"], &[]).contains("cannot be read"));
}

#[test]
fn a_cluster_needs_a_session_secret_and_is_told_a_fresh_one() {
    let url = ("SIGNAL__REDIS__URL", "redis://127.0.0.1:6379");
    let fresh = || {
        let said = problem(&[], &[url]);
        assert!(said.starts_with("session.secret: missing"), "{said}");
        said.rsplit_once("SIGNAL__SESSION__SECRET=").unwrap().1.to_owned()
    };
    let (one, other) = (fresh(), fresh());
    assert_ne!(one, other);
    assert!(load(&[], &[url, ("SIGNAL__SESSION__SECRET", &one)]).is_ok());
    assert!(load(&[], &[]).unwrap().session.secret.is_none(), "alone the node makes its own");
}

#[test]
fn the_command_line_is_understood() {
    let flags = |words: &[&str]| match cli(words) {
        Cli::Config(flags, ask) => (flags.file, flags.given.len(), Some(ask)),
        Cli::Run(flags) => (flags.file, flags.given.len(), None),
    };
    let file = || Some(PathBuf::from("a.toml"));
    assert_eq!(flags(&[]), (None, 0, None));
    assert_eq!(flags(&["--config", "a.toml", "--listen", "x", "--redis.url=y"]), (file(), 2, None));
    assert_eq!(flags(&["config"]), (None, 0, Some(Ask::InForce)));
    assert_eq!(
        flags(&["--listen", "x", "config", "--log", "y", "--config", "a.toml"]),
        (file(), 2, Some(Ask::InForce))
    );
    assert_eq!(flags(&["config", "--check"]), (None, 0, Some(Ask::Check)));
    assert_eq!(flags(&["--config", "a.toml", "config", "--check"]), (file(), 0, Some(Ask::Check)));
    assert_eq!(flags(&["config", "--check", "a.toml"]), (file(), 0, Some(Ask::Check)));
    assert_eq!(flags(&["config", "--defaults"]), (None, 0, Some(Ask::Defaults)));
    assert!(Cli::parse(&NODE, ["signal", "--config", "a.toml", "config", "--check", "b.toml"]).is_err());
    assert!(Cli::parse(&NODE, ["signal", "config", "--check", "--defaults"]).is_err());
    assert!(cli(&[]).config_command::<Settings>().is_none());
}

#[test]
fn every_setting_is_a_flag_and_stands_on_the_page_of_help() {
    let help = Cli::parse(&NODE, ["signal", "--help"]).unwrap_err().to_string();
    for setting in TABLE {
        assert!(help.contains(&format!("--{} <", setting.key)), "{}", setting.key);
        assert!(help.contains(setting.about), "{}", setting.key);
        assert_eq!(
            cli(&[&format!("--{}", setting.key), "x"]).flags().given,
            [(setting.key.into(), "x".into())]
        );
    }
}

fn answer(words: &[&str], environment: &[(&str, &str)]) -> Result<String, String> {
    let Cli::Config(flags, ask) = cli(words) else { panic!("no question") };
    house::settings::answer::<Settings>(&flags, ask, variables(environment))
        .map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_a_file_to_start_from() {
    let page = answer(&["config", "--defaults"], &[]).unwrap();
    let settings = of_file(".toml", &page).unwrap();
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
    let flat = page.replace("\n# ", " ");
    for setting in TABLE {
        let name = setting.place().1;
        assert!(flat.contains(setting.about), "{}", setting.key);
        assert!(
            page.contains(&format!("\n{name} = ")) || page.contains(&format!("\n# {name} =")),
            "{}",
            setting.key
        );
    }
}

#[test]
fn what_is_in_force_is_told_with_where_it_is_from() {
    let words = ["config", "--drain.wait", "1s"];
    let environment = [
        ("SIGNAL__SESSION__SECRET", KEY),
        ("SIGNAL__REDIS__URL", "redis://:swordfish@db:6379"),
        ("SIGNAL__ICE__STUN", "stun:a,stun:b"),
        ("SIGNAL__MAILBOX__MESSAGES", "7"),
    ];
    let page = answer(&words, &environment).unwrap();
    for line in [
        "listen = \"0.0.0.0:8080\"",
        "wait = \"1s\"  # --drain.wait",
        "secret = \"***\"  # SIGNAL__SESSION__SECRET",
        "url = \"redis://:***@db:6379\"  # SIGNAL__REDIS__URL",
        "stun = [\"stun:a\", \"stun:b\"]  # SIGNAL__ICE__STUN",
        "messages = 7  # SIGNAL__MAILBOX__MESSAGES",
        "# name =",
    ] {
        assert!(page.lines().any(|known| known == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("swordfish") && !page.contains(KEY), "{page}");
}

#[test]
fn a_file_is_checked() {
    let right = Written::new(".toml", "log = 'debug'");
    assert_eq!(
        answer(&["config", "--check", right.path()], &[]),
        Ok(format!("{}: in order, a node would start\n", right.path()))
    );
    let wrong = Written::new(".toml", "log = 'loud=loud'");
    assert!(answer(&["config", "--check", wrong.path()], &[]).unwrap_err().contains("log ("));
    assert!(answer(&["config", "--check"], &[]).unwrap().starts_with("the settings: in order"));
}
