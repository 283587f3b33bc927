//! Where PeerJS clients find a node: the path and the key that they are configured with.

use house::settings::Own;

/// A path: parts between slashes, and one at either end.
pub(super) const PEERJS_PATH: Own = Own {
    check: check_path,
    right: "`/`, or a path of letters, digits and `-_.~` with a slash at either end, like `/myapp/`",
    placeholder: "PATH",
    shown: None,
};

/// A key, which is a part of a path.
pub(super) const PEERJS_KEY: Own =
    Own { check: check_key, right: "1 to 64 letters, digits and `-_.~`", placeholder: "KEY", shown: None };

/// What has a meaning of its own at the beginning of a path.
const RESERVED: &[&str] =
    &["api", "chat", "healthcheck", "mesh", "public", "room", "static", "try", "v1", "web", "ws", "y-webrtc"];

fn check_path(path: &str) -> Result<(), String> {
    let parts =
        path.strip_prefix('/').and_then(|rest| rest.strip_suffix('/').or(rest.is_empty().then_some("")));
    let Some(parts) = parts else { return Err("has no slash at either end".into()) };
    let mut parts = parts.split('/');
    if path == "/" {
        return Ok(());
    }
    if parts.clone().next().is_some_and(|first| RESERVED.contains(&first)) {
        return Err("is where the node has pages of its own".into());
    }
    if parts.all(is_part) { Ok(()) } else { Err("is no such path".into()) }
}

fn check_key(key: &str) -> Result<(), String> {
    if key.len() <= 64 && is_part(key) { Ok(()) } else { Err("cannot be a part of a path".into()) }
}

fn is_part(part: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    !part.is_empty() && part != "." && part != ".." && part.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_slashes_at_its_ends_and_plain_parts_between() {
        for fine in ["/", "/myapp/", "/a/b-c/d.e~f_g/"] {
            assert_eq!(check_path(fine), Ok(()), "{fine}");
        }
        for wrong in
            ["", "myapp", "/myapp", "myapp/", "//", "/a//b/", "/{x}/", "/../", "/a b/", "/room/", "/web/x/"]
        {
            assert!(check_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_one_part_of_a_path() {
        assert_eq!(check_key("peerjs"), Ok(()));
        for wrong in ["", "a/b", "{key}", "..", "ä", &"k".repeat(65)] {
            assert!(check_key(wrong).is_err(), "{wrong}");
        }
    }
}
