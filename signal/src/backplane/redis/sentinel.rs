//! Which Redis is the master: what Sentinels say, asked each time that a connection is made.

use std::time::Duration;

use redis::{Client, IntoConnectionInfo, RedisError, RedisResult};
use tokio::time::timeout;

/// Each Sentinel has this long to answer: the next one may be better.
const ANSWER: Duration = Duration::from_millis(500);
/// Where a Sentinel listens if nothing is said.
const PORT: u16 = 26_379;
const SCHEME: &str = "redis+sentinel://";

/// Sentinels, and what they are asked for.
#[derive(Clone, Debug)]
pub struct Sentinels {
    /// `host:port` of each.
    hosts: Vec<String>,
    /// The name of what they watch.
    master: String,
    /// What stands before the host in the master's URL: user and password, with an `@`.
    user: String,
    /// What stands behind it: the database, with a `/`.
    database: String,
}

impl Sentinels {
    /// Those of `redis+sentinel://[user:password@]host[:port],…/master[/database]`; `None` if it is none of that kind.
    /// The password is the master's. The error says what is wrong, in words that follow the URL.
    pub fn parse(url: &str) -> Option<Result<Self, &'static str>> {
        let rest = url.strip_prefix(SCHEME)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        if master.is_empty() {
            return Some(Err("does not end with the name of a master"));
        }
        let with_port = |host: &str| match host.rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => host.to_owned(),
            _ => format!("{host}:{PORT}"),
        };
        let sentinels = Self {
            hosts: hosts.split(',').map(with_port).collect(),
            master: master.to_owned(),
            user: if user.is_empty() { String::new() } else { format!("{user}@") },
            database: if database.is_empty() { String::new() } else { format!("/{database}") },
        };
        let is_url = |host: &String| format!("redis://{host}").into_connection_info().is_ok();
        if hosts.split(',').any(str::is_empty) || !sentinels.hosts.iter().all(is_url) {
            return Some(Err("has a host or a port that cannot be"));
        }
        let master_can_be = sentinels.url_of("host", 1).into_connection_info().is_ok();
        Some(if master_can_be {
            Ok(sentinels)
        } else {
            Err("has a password or a database number that cannot be")
        })
    }

    /// The master's URL, as the first Sentinel has it that answers.
    pub(super) async fn find_master(&self) -> RedisResult<String> {
        let mut why = None;
        for host in &self.hosts {
            match timeout(ANSWER, self.ask(host)).await {
                Ok(Ok(Some((host, port)))) => return Ok(self.url_of(&host, port)),
                Ok(Err(error)) => why = Some(error),
                Ok(Ok(None)) | Err(_) => {}
            }
        }
        Err(why.unwrap_or_else(|| {
            let what = format!("no Sentinel says who is the master {}", self.master);
            RedisError::from((redis::ErrorKind::Client, "Sentinel", what))
        }))
    }

    async fn ask(&self, sentinel: &str) -> RedisResult<Option<(String, u16)>> {
        let mut sentinel =
            Client::open(format!("redis://{sentinel}"))?.get_multiplexed_async_connection().await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("get-master-addr-by-name").arg(&self.master).query_async(&mut sentinel).await
    }

    fn url_of(&self, host: &str, port: u16) -> String {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("redis://{}{host}:{port}{}", self.user, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_are_read_from_a_url() {
        let read = |url: &str| Sentinels::parse(url).unwrap().unwrap();
        let sentinels = read("redis+sentinel://me:s@cret@a,b:1,[::1],[::1]:2/main/3");
        assert_eq!(sentinels.hosts, ["a:26379", "b:1", "[::1]:26379", "[::1]:2"]);
        assert_eq!(sentinels.url_of("10.0.0.1", 6379), "redis://me:s@cret@10.0.0.1:6379/3");
        assert_eq!(read("redis+sentinel://a/main").url_of("::1", 1), "redis://[::1]:1");
        assert!(Sentinels::parse("redis://a/main").is_none());
        for wrong in ["a", "a/", "/main", "a,,b/main", "a:port/main", "a/main/first"] {
            assert!(Sentinels::parse(&format!("{SCHEME}{wrong}")).unwrap().is_err(), "{wrong}");
        }
    }
}
