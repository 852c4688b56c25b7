//! What a codec reads from.

use serde::{Deserialize, Deserializer};

use super::DecodeLimits;
use super::guard::{Bounds, Guarded};
use super::scratch::Scratch;

/// A body to be decoded: its bytes, the bounds on what they may become, and where that may borrow from.
///
/// # Examples
///
/// ```
/// use teleport::{Decode, DecodeLimits, Input, Json, Scratch};
///
/// let (limits, scratch) = (DecodeLimits::default(), Scratch::default());
/// let input = Input::new(br#"["plain", "two\nlines"]"#, &limits, &scratch);
/// let texts: Vec<&str> = Json::decode(input)?;
/// assert_eq!(texts, ["plain", "two\nlines"]);
/// # Ok::<(), teleport::CodecError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Input<'de> {
    bytes: &'de [u8],
    limits: &'de DecodeLimits,
    scratch: &'de Scratch,
}

impl<'de> Input<'de> {
    /// An input of these bytes.
    #[must_use]
    pub fn new(bytes: &'de [u8], limits: &'de DecodeLimits, scratch: &'de Scratch) -> Self {
        Input { bytes, limits, scratch }
    }

    /// The bytes, without the codec id; empty for a body that is not there, or is empty.
    #[must_use]
    pub fn bytes(self) -> &'de [u8] {
        self.bytes
    }

    /// The bounds that hold for it.
    #[must_use]
    pub fn limits(self) -> &'de DecodeLimits {
        self.limits
    }

    /// Reads a value through a serde deserializer over the bytes, with bounds on what hostile bytes can do.
    ///
    /// Values may be nested [`DecodeLimits::max_depth`] deep, and sequences and maps may have about as many
    /// elements in all as the body has bytes. A `&str` or `&[u8]` that the deserializer can't lend from the bytes
    /// is kept in the [`Scratch`] and lent from there. For codecs of the user's own; see [`Codec`](super::Codec) for
    /// an example.
    ///
    /// # Errors
    ///
    /// The deserializer's own, and one that names the bound which was passed.
    #[inline]
    pub fn deserialize<T, D>(self, deserializer: D) -> Result<T, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        T::deserialize(Guarded::new(deserializer, &Bounds::new(self)))
    }

    pub(super) fn scratch(self) -> &'de Scratch {
        self.scratch
    }
}

/// An input whose limits and scratch last for ever, for tests.
#[cfg(test)]
pub(super) fn lasting<'de>(bytes: &'de [u8], limits: &DecodeLimits) -> Input<'de> {
    Input::new(bytes, Box::leak(Box::new(limits.clone())), Box::leak(Box::default()))
}
