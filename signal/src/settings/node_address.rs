//! Where other nodes reach this one.

use house::settings::Own;
use hyper::http::uri::Authority;

/// What `node.address` may be.
pub(super) const NODE_ADDRESS: Own = Own {
    check,
    right: "a host and the port of ops.listen, like `10.0.0.7:9091` or `[fd00::7]:9091`",
    placeholder: "HOST:PORT",
    shown: None,
};

fn check(text: &str) -> Result<(), String> {
    let authority: Authority = text.parse().map_err(|_| "is no host with a port".to_owned())?;
    match authority.port_u16() {
        _ if authority.host().is_empty() || text.contains('@') => Err("is no host with a port".into()),
        Some(1..) => Ok(()),
        _ => Err("has no port".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for right in ["10.0.0.7:9091", "[fd00::7]:9091", "left:1", "node-3.example.org:65535"] {
            assert_eq!(check(right), Ok(()), "{right}");
        }
        for wrong in
            ["", "left", ":9091", "left:", "left:0", "left:99999", "http://left:1", "a@left:1", "a b:1"]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
