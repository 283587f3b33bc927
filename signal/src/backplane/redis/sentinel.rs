//! Which Redis is the master: what Sentinels say, asked each time that a connection is made.

use std::time::Duration;

use redis::{ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult};
use tokio::time::timeout;

use super::tls::Tls;

/// Each Sentinel has this long to answer: the next one may be better.
const ANSWER: Duration = Duration::from_millis(500);
/// Where a Sentinel listens if nothing is said.
const PORT: u16 = 26_379;
/// What stands behind `redis`, or `rediss` with TLS.
const SCHEME: &str = "+sentinel://";

/// Sentinels, and what they are asked for.
#[derive(Clone)]
pub struct Sentinels {
    /// `redis`, or `rediss`: the Sentinels, and the Redis that they watch, have TLS.
    scheme: &'static str,
    /// `host:port` of each.
    hosts: Vec<String>,
    /// The name of what they watch.
    master: String,
    /// What stands before the host in the master's URL: user and password, with an `@`.
    user: String,
    /// What stands behind it: the database, with a `/`.
    database: String,
    /// As whom the Sentinels themselves are asked, if they want to know.
    asks_as: Login,
}

#[derive(Clone, Default)]
struct Login {
    username: Option<String>,
    password: Option<String>,
}

impl Sentinels {
    /// Those of `redis+sentinel://[user:password@]host[:port],…/master[/database][?sentinel_password=…]`, or of
    /// `rediss+sentinel://` with TLS; `None` if it is none of that kind. User and password in front are the master's; the
    /// Sentinels' own are the parameters `sentinel_username` and `sentinel_password`. The error says what is wrong, in
    /// words that follow the URL.
    pub fn parse(url: &str) -> Option<Result<Self, String>> {
        let (scheme, rest) = url.split_once(SCHEME)?;
        let scheme = ["redis", "rediss"].into_iter().find(|known| *known == scheme)?;
        Some(Self::read(scheme, rest))
    }

    fn read(scheme: &'static str, rest: &str) -> Result<Self, String> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        if master.is_empty() {
            return Err("does not end with the name of a master".into());
        }
        let with_port = |host: &str| match host.rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => host.to_owned(),
            _ => format!("{host}:{PORT}"),
        };
        let sentinels = Self {
            scheme,
            hosts: hosts.split(',').map(with_port).collect(),
            master: master.to_owned(),
            user: if user.is_empty() { String::new() } else { format!("{user}@") },
            database: if database.is_empty() { String::new() } else { format!("/{database}") },
            asks_as: Login::read(query)?,
        };
        let is_url = |host: &String| format!("redis://{host}").into_connection_info().is_ok();
        if hosts.split(',').any(str::is_empty) || !sentinels.hosts.iter().all(is_url) {
            return Err("has a host or a port that cannot be".into());
        }
        if sentinels.url_of("host", 1).into_connection_info().is_err() {
            return Err("has a password or a database number that cannot be".into());
        }
        Ok(sentinels)
    }

    /// Where the master is, as the first Sentinel has it that answers.
    pub(super) async fn find_master(&self, tls: &Tls) -> RedisResult<ConnectionInfo> {
        let mut why = String::new();
        for host in &self.hosts {
            match timeout(ANSWER, self.ask(host, tls)).await {
                Ok(Ok(Some((host, port)))) => return self.url_of(&host, port).into_connection_info(),
                Ok(Ok(None)) => why = format!("the Sentinel {host} knows no master {}", self.master),
                Ok(Err(error)) => why = format!("the Sentinel {host}: {error}"),
                Err(_) => why = format!("the Sentinel {host} does not answer"),
            }
        }
        Err(RedisError::from((ErrorKind::Client, "Sentinel", why)))
    }

    async fn ask(&self, sentinel: &str, tls: &Tls) -> RedisResult<Option<(String, u16)>> {
        let info = format!("{}://{sentinel}", self.scheme).into_connection_info()?;
        let mut login = info.redis_settings().clone();
        if let Some(username) = &self.asks_as.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.asks_as.password {
            login = login.set_password(password);
        }
        let client = tls.client(info.set_redis_settings(login))?;
        let mut sentinel = client.get_multiplexed_async_connection().await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("get-master-addr-by-name").arg(&self.master).query_async(&mut sentinel).await
    }

    fn url_of(&self, host: &str, port: u16) -> String {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{}://{}{host}:{port}{}", self.scheme, self.user, self.database)
    }
}

impl Login {
    /// That of a URL's query.
    fn read(query: &str) -> Result<Self, String> {
        let mut login = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "sentinel_username" => &mut login.username,
                "sentinel_password" => &mut login.password,
                _ => {
                    return Err(
                        "has a parameter other than `sentinel_username` and `sentinel_password`".into()
                    );
                }
            };
            *place = Some(value.into_owned()).filter(|value| !value.is_empty());
        }
        if login.username.is_some() && login.password.is_none() {
            return Err("has a `sentinel_username`, and no `sentinel_password`".into());
        }
        Ok(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Sentinels {
        Sentinels::parse(url).unwrap().unwrap()
    }

    #[test]
    fn sentinels_are_read_from_a_url() {
        let sentinels = read("redis+sentinel://me:s@cret@a,b:1,[::1],[::1]:2/main/3");
        assert_eq!(sentinels.hosts, ["a:26379", "b:1", "[::1]:26379", "[::1]:2"]);
        assert_eq!(sentinels.url_of("10.0.0.1", 6379), "redis://me:s@cret@10.0.0.1:6379/3");
        assert_eq!(read("redis+sentinel://a/main").url_of("::1", 1), "redis://[::1]:1");
        assert_eq!(read("rediss+sentinel://:pw@a/main").url_of("b", 1), "rediss://:pw@b:1");
        for other in ["redis://a/main", "http+sentinel://a/main", "redis-sentinel://a/main"] {
            assert!(Sentinels::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn sentinels_have_a_password_of_their_own() {
        let both =
            read("redis+sentinel://:master@a/main/3?sentinel_username=me&sentinel_password=s%26cret%3F");
        assert_eq!(both.asks_as.username.as_deref(), Some("me"));
        assert_eq!(both.asks_as.password.as_deref(), Some("s&cret?"));
        assert_eq!(both.url_of("b", 1), "redis://:master@b:1/3");
        let none = read("redis+sentinel://:master@a/main?sentinel_password=");
        assert_eq!((none.asks_as.password, none.database.as_str()), (None, ""));
    }

    #[test]
    fn what_is_wrong_with_sentinels_is_named() {
        for (wrong, why) in [
            ("a", "name of a master"),
            ("a/", "name of a master"),
            ("a/?sentinel_password=x", "name of a master"),
            ("/main", "host or a port"),
            ("a,,b/main", "host or a port"),
            ("a:port/main", "host or a port"),
            ("a/main/first", "database number"),
            ("a/main?password=x", "a parameter other than `sentinel_username`"),
            ("a/main?sentinel_username=me", "no `sentinel_password`"),
        ] {
            for scheme in ["redis", "rediss"] {
                let said = Sentinels::parse(&format!("{scheme}{SCHEME}{wrong}")).unwrap().err().unwrap();
                assert!(said.contains(why), "{wrong}: {said}");
            }
        }
    }
}
