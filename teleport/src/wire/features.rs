//! What a peer understands beyond the specification.

use std::fmt;
use std::ops::BitOr;

/// What the sender of a packet understands beyond the specification, announced in its first packet of a session.
///
/// Travels as a set of bits in a header field that the specification does not have (Protobuf number 16, JSON key
/// `features`): a peer that does not know it skips it. Anything that only this set allows is sent to a peer after it has
/// announced so, and to no other. Bits that are not known are kept and mean nothing.
///
/// # Examples
///
/// ```
/// use teleport::wire::Features;
///
/// assert!(Features::ALL.contains(Features::PARTS));
/// assert!(!Features::NONE.contains(Features::PARTS));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Features(u32);

impl Features {
    /// Nothing beyond the specification, or nothing said.
    pub const NONE: Features = Features(0);
    /// Large packets may come in parts, with smaller packets between them; see [`Kind::PART`](super::Kind::PART).
    pub const PARTS: Features = Features(1);
    /// A side that closes tells which pulls it did not take: the reply to one that came too late, and its last packet,
    /// have uris of their own for that.
    pub const FAREWELL: Features = Features(2);
    /// All that this version understands.
    pub const ALL: Features = Features(Self::PARTS.0 | Self::FAREWELL.0);

    /// The set of these bits.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Features(bits)
    }

    /// The bits as they travel.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Features {
    type Output = Features;

    fn bitor(self, other: Features) -> Features {
        Features(self.0 | other.0)
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Features({:#b})", self.0)
    }
}
