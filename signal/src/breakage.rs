//! Rules that the tests of the simulation break on purpose, to see that it finds it. Elsewhere none is ever broken, and
//! nothing is left of this.

/// A rule that can be broken. Each is asked about where the rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breakage {
    /// A link acknowledges what has not come.
    AckBeforeDelivery,
    /// A link waits for ever for the acknowledgement of the last that it has sent.
    NoRepeatOfTail,
    /// A node believes in itself for as long as it runs.
    NoFencing,
    /// Whoever says that it has a peer's seat is believed.
    OldSeatBelieved,
    /// A peer is taken over from whoever has it.
    AdoptionWithoutComparison,
    /// A letter is said to have arrived when it comes to a node.
    SettledTooEarly,
    /// What another node had when it died is not sent again.
    NoCopies,
    /// Who comes from another node speaks before what it has said there is heard.
    NotHeardOut,
    /// Who asks for a name gets it, whoever has it.
    NameGivenToTwo,
    /// A message is said to be safe when one node has it.
    AcceptedTooEarly,
    /// A message that is said again is another one.
    RepeatNotRecognised,
}

/// Whether this rule does not hold.
#[cfg(not(test))]
pub(crate) const fn is_broken(_: Breakage) -> bool {
    false
}

#[cfg(test)]
pub(crate) use on_purpose::{breaking, is_broken};

#[cfg(test)]
mod on_purpose {
    use std::cell::Cell;

    use super::Breakage;

    thread_local! {
        static BROKEN: Cell<Option<Breakage>> = const { Cell::new(None) };
    }

    /// Whether this rule does not hold on this thread.
    pub(crate) fn is_broken(breakage: Breakage) -> bool {
        BROKEN.get() == Some(breakage)
    }

    /// Does `what` on this thread while `breakage`, if any, is broken.
    pub(crate) fn breaking<T>(breakage: Option<Breakage>, what: impl FnOnce() -> T) -> T {
        let before = BROKEN.replace(breakage);
        let done = what();
        BROKEN.set(before);
        done
    }
}
