//! What a side that closes tells the other, so that every call that crosses the close is known as not run.
//!
//! Both are replies as the specification has them, to peers that have announced that they heed them; a farewell also goes to
//! one that has said nothing yet. They are told from others by their uris, which are those of no pull and which no handler
//! chooses.

use crate::error::{Closed, Initiator};
use crate::status::Code;
use crate::wire::Header;

/// Uri of a reply to a pull that was not taken, because this side closes.
pub(crate) const NOT_TAKEN: &str = "teleport:not-taken";

/// Uri of the last packet of a side that closes: every pull that it took is answered, and it took no other.
pub(crate) const FAREWELL: &str = "teleport:farewell";

/// What the other side, which closes, tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Notice {
    /// It did not take this pull, and takes no other.
    NotTaken,
    /// It has answered all that it took.
    Farewell,
}

impl Notice {
    /// Whether a reply is one.
    pub(crate) fn of(header: &Header<'_>) -> Option<Self> {
        if header.code != Code::UNAVAILABLE.number() {
            return None;
        }
        match &*header.uri {
            NOT_TAKEN => Some(Notice::NotTaken),
            FAREWELL => Some(Notice::Farewell),
            _ => None,
        }
    }

    /// Why calls end that the other side did not take.
    pub(crate) fn closed() -> Closed {
        let reason = "the other side is closing and did not take the call";
        Closed { initiator: Initiator::Remote, reason: reason.into() }
    }
}
