//! Every name that is used in Redis. All keys that one script touches share a hash tag.
//!
//! ```text
//! sg:{r:<room>}:i           HASH    the room: version, began (its first version), made, limit, record (JSON)
//! sg:{r:<room>}:m           HASH    peer -> claim|born|listed|away|hold|node|had by|profile
//! sg:{r:<room>}:g           ZSET    peers that have left for good, until when (ms, Redis's clock)
//! sg:{r:<room>}:w           SET     nodes that look out for somebody in it; gone a little after they stop
//! sg:{r:<name>}:o           STRING  whose a registered name is
//! sg:{n:<node>}:hb          STRING  the lease: while it is there the node is alive
//! sg:{n:<node>}:life        STRING  random: which of its registrations the node goes on; gone as soon as it is reaped
//! sg:{n:<node>}:idx         SET     ["room","peer",hold]: what others have to take over, and perhaps more
//! sg:{n:<node>}:reaper      STRING  who is taking over the peers of this dead node
//! sg:nodes                  HASH    node -> version of its program|its address or nothing: all that live or are to be reaped
//! sg:epoch                  STRING  random; another one says that Redis has lost everything
//! sg:lost                   STRING  for a while after Redis has lost everything: rooms are still being written again
//! sg:public:<dialect>       HASH    room -> title: the rooms listed for everybody, and some that have ended
//! channel sg:in:{n:<node>}          the node's inbox: sealed frames
//! channel sg:gone                   says that a node has left, so that nobody waits for its lease to end
//! ```
//!
//! A node's id names one life of it, so nothing here outlives a life under the name of the next. No name comes from a
//! client unchecked (names of rooms are slugs, or percent-encoded), and none could leave its braces' first part: the tag is
//! the same for all keys of a room.

use crate::message::{NodeId, PeerId, RoomId};

/// Hash of all nodes.
pub(super) const NODES: &str = "sg:nodes";
/// What is different after Redis has lost everything.
pub(super) const EPOCH: &str = "sg:epoch";
/// Redis has lost everything, a short time ago.
pub(super) const LOST: &str = "sg:lost";
/// Channel on which a node that leaves says so.
pub(super) const GONE: &str = "sg:gone";

/// The keys of a room, in the order in which the scripts take them: the room, its members, who has left it, who looks
/// out for somebody in it.
pub(super) fn room(room: &RoomId) -> [String; 4] {
    ["i", "m", "g", "w"].map(|part| format!("sg:{{r:{room}}}:{part}"))
}

/// Whose a registered name is.
pub(super) fn registration(name: &RoomId) -> String {
    format!("sg:{{r:{name}}}:o")
}

/// The lease of a node.
pub(super) fn lease(node: &NodeId) -> String {
    format!("sg:{{n:{node}}}:hb")
}

/// Which of its registrations a node goes on.
pub(super) fn life(node: &NodeId) -> String {
    format!("sg:{{n:{node}}}:life")
}

/// The memberships that a node may have.
pub(super) fn index(node: &NodeId) -> String {
    format!("sg:{{n:{node}}}:idx")
}

/// Who is reaping a node.
pub(super) fn reaper(node: &NodeId) -> String {
    format!("sg:{{n:{node}}}:reaper")
}

/// The channel of a node's inbox.
pub(super) fn inbox(node: &NodeId) -> String {
    format!("sg:in:{{n:{node}}}")
}

/// The public rooms of a dialect.
pub(super) fn public(dialect: &str) -> String {
    format!("sg:public:{dialect}")
}

/// What a node says of itself.
pub(super) fn about(version: &str, address: Option<&str>) -> String {
    format!("{version}|{}", address.unwrap_or_default())
}

/// The address in what a node said of itself.
pub(super) fn address_in(about: &str) -> Option<&str> {
    about.split_once('|').map(|(_, address)| address).filter(|address| !address.is_empty())
}

/// A membership in a node's index.
pub(super) fn membership(room: &RoomId, peer: &PeerId, hold: u64) -> String {
    serde_json::json!([room, peer, hold]).to_string()
}

/// What [`membership`] wrote.
pub(super) fn parse_membership(text: &str) -> Option<(RoomId, PeerId, u64)> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_is_read_as_it_was_written() {
        let strange = (RoomId::of("camus", "a\"]:{}\n"), PeerId::new("ü,[\u{1}"), u64::MAX);
        assert_eq!(parse_membership(&membership(&strange.0, &strange.1, strange.2)), Some(strange));
        assert_eq!(parse_membership("[\"camus/r\",\"alice\"]"), None);
    }

    #[test]
    fn the_keys_of_a_room_share_their_tag() {
        let tag = |key: &str| {
            let inside = key.split_once('{').unwrap().1;
            inside.split_once('}').unwrap().0.to_owned()
        };
        for name in ["kitchen", "a}b", "{", "}{"] {
            let keys = room(&RoomId::of("camus", name));
            assert!(keys.iter().all(|key| tag(key) == tag(&keys[0])), "{keys:?}");
        }
    }
}
