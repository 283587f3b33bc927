//! Where a Redis is, printed without its passwords.

use std::fmt;

use house::settings::{Own, Secret};
use redis::IntoConnectionInfo;
use serde::Deserialize;

use crate::backplane::redis::sentinel::Sentinels;

/// What `redis.url` may be.
pub(super) const REDIS_URL: Own = Own {
    check: |text| RedisUrl::try_from(text.to_owned()).map(drop),
    right: "like `redis://127.0.0.1:6379`, `rediss://:password@host:port/0` with TLS, or `redis+sentinel://host:26379,host:26379/master` (with TLS `rediss+sentinel`)",
    placeholder: "URL",
    shown: Some(|text| RedisUrl::try_from(text.to_owned()).map_or("***".into(), |url| url.to_string())),
};

/// Where a Redis is. What prints has `***` for the password, and for whatever a parameter says.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct RedisUrl(Secret);

impl RedisUrl {
    /// The URL with its password.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether what it leads to speaks TLS.
    pub fn has_tls(&self) -> bool {
        self.expose().starts_with("rediss")
    }
}

impl TryFrom<String> for RedisUrl {
    type Error = String;

    /// The error says what is wrong, in words that follow the value.
    fn try_from(url: String) -> Result<Self, String> {
        match url.split_once("://") {
            Some(("redis" | "rediss" | "redis+sentinel" | "rediss+sentinel", _)) => {}
            Some((scheme, _)) if scheme.contains("sentinel") => {
                return Err(format!(
                    "has the scheme {scheme}; Sentinels have redis+sentinel, with TLS rediss+sentinel"
                ));
            }
            Some(("redis+cluster" | "rediss+cluster", _)) => {
                return Err("has the scheme redis+cluster, which is not supported yet".into());
            }
            _ => return Err("is no Redis URL".into()),
        }
        if url.ends_with("#insecure") {
            return Err(
                "ends with #insecure; whoever vouches for the Redis can be named in `redis.tls_ca`".into()
            );
        }
        if let Some(sentinels) = Sentinels::parse(&url) {
            return sentinels.map(|_| Self(Secret::new(url)));
        }
        match url.as_str().into_connection_info() {
            Ok(_) => Ok(Self(Secret::new(url))),
            Err(_) => Err("has a host, a port or a database number that cannot be".into()),
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.expose();
        let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        write!(f, "{scheme}://")?;
        match authority.rsplit_once('@') {
            None => f.write_str(authority)?,
            Some((user, host)) => {
                let name = user.split_once(':').map_or(String::new(), |(name, _)| format!("{name}:"));
                write!(f, "{name}***@{host}")?;
            }
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        f.write_str(path)?;
        // A Sentinel's password may be among them.
        let names =
            query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
        names
            .zip(std::iter::once('?').chain(std::iter::repeat('&')))
            .try_for_each(|(name, before)| write!(f, "{before}{name}=***"))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        RedisUrl::try_from(url.to_owned()).unwrap().to_string()
    }

    #[test]
    fn a_redis_url_prints_without_its_password() {
        assert_eq!(shown("redis://127.0.0.1:6379"), "redis://127.0.0.1:6379");
        assert_eq!(shown("redis://:swordfish@db:6380/2"), "redis://:***@db:6380/2");
        assert_eq!(shown("rediss://me:sword@fish@[::1]/0"), "rediss://me:***@[::1]/0");
        assert_eq!(shown("redis://swordfish@db"), "redis://***@db");
        assert_eq!(shown("redis+sentinel://:swordfish@a,b:1/main"), "redis+sentinel://:***@a,b:1/main");
        assert_eq!(
            shown("rediss+sentinel://a,b:1/main/2?sentinel_username=me&sentinel_password=swordfish"),
            "rediss+sentinel://a,b:1/main/2?sentinel_username=***&sentinel_password=***"
        );
        let debug = format!("{:?}", RedisUrl::try_from("redis://:swordfish@db".to_owned()));
        assert!(!debug.contains("swordfish"), "{debug}");
    }

    #[test]
    fn a_url_of_another_kind_is_refused() {
        let refused = |url: &str| RedisUrl::try_from(url.to_owned()).unwrap_err();
        assert!(refused("redis+sentinel://a,b").contains("name of a master"));
        assert!(refused("redis+cluster://a,b").contains("not supported yet"));
        for scheme in ["redis-sentinel", "rediss-sentinel", "sentinel", "redis+sentinels"] {
            let said = refused(&format!("{scheme}://a,b/main"));
            assert!(said.contains(scheme) && said.contains("with TLS rediss+sentinel"), "{said}");
        }
        assert!(refused("rediss://db#insecure").contains("`redis.tls_ca`"));
        for url in [
            "",
            "db:6379",
            "http://db",
            "unix:///run/redis",
            "redis://",
            "redis://db:port",
            "redis://db/first",
        ] {
            refused(url);
        }
    }
}
