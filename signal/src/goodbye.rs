//! Every way to be sent away: why, with which close code, and whether to come back.

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Goodbye {
    /// The peer left the room.
    Left,
    /// The client closed its socket.
    Closed,
    /// The socket broke.
    Broken,
    /// The client did not answer a ping.
    Silent,
    /// The node is being stopped.
    Restarting,
    /// The peer is connected elsewhere by now.
    Replaced,
    /// The peer was away for longer than its time of grace.
    Removed,
    /// The client did not take what was written to it.
    Slow,
    /// The client sent more than its share for too long.
    Flooding,
    /// A message over the limit.
    TooBig,
    /// A breach of RFC 6455.
    Malformed,
    /// Text that is not UTF-8.
    NotText,
    /// The client did not get the name that it wanted.
    NotSeated,
    /// The client has not shown that it is a registered user.
    Unauthenticated,
    /// The user is connected already, and that connection lives.
    AlreadyConnected,
    /// The operator has sent everybody away.
    Kicked,
    /// The client asked for what this node cannot do just now, in a protocol that has no word for that.
    Overloaded,
}

impl Goodbye {
    /// All of them: one label each in the metrics.
    pub const ALL: [Self; 17] = [
        Self::Left,
        Self::Closed,
        Self::Broken,
        Self::Silent,
        Self::Restarting,
        Self::Replaced,
        Self::Removed,
        Self::Slow,
        Self::Flooding,
        Self::TooBig,
        Self::Malformed,
        Self::NotText,
        Self::NotSeated,
        Self::Unauthenticated,
        Self::AlreadyConnected,
        Self::Kicked,
        Self::Overloaded,
    ];

    /// Close code (RFC 6455, 7.4), metric label, and the reason as the client reads it: what happened, and whether
    /// to come back.
    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Left => (1000, "left", "goodbye"),
            Self::Closed => (1000, "closed", ""),
            Self::Broken => (1006, "broken", ""),
            Self::Silent => (4004, "silent", "no answer to a ping: come back"),
            Self::Restarting => (1012, "restarting", "this node is restarting: come back"),
            Self::Replaced => (4001, "replaced", "connected elsewhere by now"),
            Self::Removed => (4003, "removed", "away for too long: come back with a new id"),
            Self::Slow => (4008, "slow", "reading too slowly: come back"),
            Self::Flooding => (4029, "flooding", "too many messages for too long"),
            Self::TooBig => (1009, "too_big", "message over the size limit"),
            Self::Malformed => (1002, "malformed", "not a WebSocket frame"),
            Self::NotText => (1007, "not_text", "not UTF-8"),
            Self::NotSeated => (1008, "not_seated", "not let in: the message before this says why"),
            Self::Unauthenticated => (4000, "unauthenticated", "UNAUTHENTICATED"),
            Self::AlreadyConnected => (4000, "already_connected", "ALREADY_EXISTS"),
            Self::Kicked => (4005, "kicked", "closed by the operator: come back"),
            Self::Overloaded => (1013, "overloaded", "too much is asked for just now: come back later"),
        }
    }

    /// The close code.
    pub const fn code(self) -> u16 {
        self.row().0
    }

    /// The word for it in metrics.
    pub const fn label(self) -> &'static str {
        self.row().1
    }

    /// What the close frame says: at most 123 bytes.
    pub const fn reason(self) -> &'static str {
        self.row().2
    }

    /// Whether the other end can still be told.
    pub const fn can_be_said(self) -> bool {
        !matches!(self, Self::Closed | Self::Broken)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_goodbye_has_a_label_of_its_own_and_a_reason_that_fits() {
        let labels: HashSet<_> = Goodbye::ALL.iter().map(|goodbye| goodbye.label()).collect();
        assert_eq!(labels.len(), Goodbye::ALL.len());
        for goodbye in Goodbye::ALL {
            assert!(goodbye.reason().len() <= 123);
            assert!(!goodbye.can_be_said() || goodbye.code() != 1006, "1006 is never sent (RFC 6455, 7.4.1)");
        }
    }
}
