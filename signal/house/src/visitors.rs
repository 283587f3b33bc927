//! Who a request is from, whether its page may use a cookie, and how often one may try.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN};
use ipnet::IpNet;
use parking_lot::Mutex;

/// Whether a request whose proof is a cookie comes from a page that may use it: one of this host, or of `allowed`. A
/// missing `Origin` passes: every browser sends one with a WebSocket and with a form.
pub fn origin_may_use_cookies(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let same_host = origin.split_once("://").is_some_and(|(_, of_page)| Some(of_page) == host);
    same_host || is_listed(origin, allowed)
}

/// Whether `origin` is in the list.
pub fn is_listed(origin: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|one| one.eq_ignore_ascii_case(origin))
}

/// The address of the client behind trusted proxies: the last hop in `X-Forwarded-For` that is not one of them. Of an
/// IPv6 address, its /64: whoever has one has all of them.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    match last_untrusted(peer.to_canonical(), headers, trusted) {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

fn last_untrusted(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let hops = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
    let mut hops = hops.flat_map(|value| value.rsplit(',')).map_while(|hop| parse_hop(hop.trim()));
    hops.find(|hop| !is_trusted(hop)).unwrap_or(peer)
}

/// An address in `X-Forwarded-For`; some proxies write its port too.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let address = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Counts tries per key in windows of a minute.
#[derive(Debug)]
pub struct Tries<K> {
    per_minute: u32,
    counted: Mutex<HashMap<K, (u32, Instant)>>,
}

/// Keys that are remembered, at most: then all are forgotten whose minute is over, or, under attack, all.
const MAX_KEYS: usize = 65_536;
const MINUTE: Duration = Duration::from_secs(60);

impl<K: Eq + Hash> Tries<K> {
    /// Allows `per_minute` tries for each key.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, counted: Mutex::default() }
    }

    /// One more try at `now`; how long to wait if it is one too many.
    pub fn allow(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut counted = self.counted.lock();
        if counted.len() >= MAX_KEYS {
            counted.retain(|_, (_, since)| now.duration_since(*since) < MINUTE);
            if counted.len() >= MAX_KEYS {
                counted.clear();
            }
        }
        let (count, since) = counted.entry(key).or_insert((0, now));
        let left = MINUTE.saturating_sub(now.duration_since(*since));
        if left.is_zero() {
            (*count, *since) = (0, now);
        }
        if *count >= self.per_minute {
            return Err(left);
        }
        *count += 1;
        Ok(())
    }

    /// One try was none, as it turns out.
    pub fn forgive(&self, key: &K) {
        if let Some((count, _)) = self.counted.lock().get_mut(key) {
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<Vec<_>>()
            .into_iter()
            .fold(HeaderMap::new(), |mut map, (name, value): (hyper::header::HeaderName, _)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn a_cookie_is_used_by_pages_of_the_same_host_and_listed_ones() {
        let may = |lines: &[_]| origin_may_use_cookies(&headers(lines), &["https://app.example".into()]);
        assert!(may(&[("host", "call.example:8080"), ("origin", "https://call.example:8080")]));
        assert!(may(&[("host", "call.example")]));
        assert!(may(&[("host", "call.example"), ("origin", "https://app.example")]));
        for foreign in ["null", "https://call.example.evil", "https://call.example:81", "call.example", ""] {
            assert!(!may(&[("host", "call.example"), ("origin", foreign)]), "{foreign}");
        }
    }

    #[test]
    fn a_forwarded_address_is_believed_from_trusted_proxies_only() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let ask = |peer: &str, forwarded: &str| {
            client_address(peer.parse().unwrap(), &headers(&[("x-forwarded-for", forwarded)]), &trusted)
                .to_string()
        };
        assert_eq!(ask("192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(ask("10.0.0.1", "203.0.113.5, 198.51.100.7"), "198.51.100.7");
        assert_eq!(ask("10.0.0.1", "203.0.113.5, 198.51.100.7, 10.0.0.2"), "198.51.100.7");
        assert_eq!(ask("10.0.0.1", "203.0.113.5, nonsense"), "10.0.0.1");
        assert_eq!(ask("::ffff:10.0.0.1", "198.51.100.7:4711"), "198.51.100.7");
        assert_eq!(ask("10.0.0.1", "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(ask("2001:db8:1:2::99", ""), "2001:db8:1:2::");
    }

    #[test]
    fn tries_are_counted_per_key_and_minute() {
        let tries = Tries::new(2);
        let now = Instant::now();
        tries.allow("a", now).unwrap();
        tries.allow("a", now).unwrap();
        assert_eq!(tries.allow("a", now + MINUTE / 4), Err(MINUTE * 3 / 4));
        tries.allow("b", now).unwrap();
        tries.allow("a", now + MINUTE).unwrap();
        tries.allow("a", now + MINUTE).unwrap();
        tries.forgive(&"a");
        tries.forgive(&"unknown");
        tries.allow("a", now + MINUTE).unwrap();
        tries.allow("a", now + MINUTE).unwrap_err();
    }
}
