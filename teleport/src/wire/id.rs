//! Ids of packets.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How the id of a packet is written.
///
/// The specification has a string `id`; releases 2.0 to 2.6 of the original wrote a number `seq` in the same
/// place. Both are always read. In a file of settings they are called `"text"` and `"sequence"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "lowercase")]
pub enum IdFormat {
    /// A string `id`.
    #[default]
    Text,
    /// A number `seq`, for releases 2.0 to 2.6 of the original.
    Sequence,
}

/// Id of a packet as it stands in its header. A reply has that of its pull.
///
/// # Examples
///
/// ```
/// use teleport::PacketId;
///
/// assert_eq!(PacketId::Text("17".into()).number(), Some(17));
/// assert_eq!(PacketId::Sequence(17).number(), Some(17));
/// assert_eq!(PacketId::Text("017".into()).number(), None, "not as a number is written");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PacketId<'a> {
    /// The number `seq`. A header without an id is read as 0.
    Sequence(u64),
    /// The string `id`.
    Text(Cow<'a, str>),
}

impl PacketId<'_> {
    /// In which of the two ways it is written.
    #[must_use]
    pub fn format(&self) -> IdFormat {
        match self {
            PacketId::Sequence(_) => IdFormat::Sequence,
            PacketId::Text(_) => IdFormat::Text,
        }
    }

    /// The number, also of a text that is one as numbers are written: digits, no sign, no zero in front.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            PacketId::Sequence(number) => Some(*number),
            PacketId::Text(text) => decimal(text.as_bytes()),
        }
    }

    /// The id without what it borrows.
    #[must_use]
    pub fn into_owned(self) -> PacketId<'static> {
        match self {
            PacketId::Sequence(number) => PacketId::Sequence(number),
            PacketId::Text(text) => PacketId::Text(Cow::Owned(text.into_owned())),
        }
    }
}

impl fmt::Display for PacketId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PacketId::Sequence(number) => fmt::Display::fmt(number, f),
            PacketId::Text(text) => f.write_str(text),
        }
    }
}

/// The number that a text is, as numbers are written.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    match text {
        [] | [b'0', _, ..] => None,
        // Nineteen digits always fit.
        digits if digits.len() < 20 => digits.iter().try_fold(0u64, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        }),
        digits => std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_as_they_are_written_are_numbers() {
        let number = |text: &'static str| PacketId::Text(text.into()).number();
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("9007199254740993"), Some(9_007_199_254_740_993));
        assert_eq!(number("18446744073709551615"), Some(u64::MAX));
        for other in
            ["", "00", "01", "+1", "-1", "1 ", "1a", "18446744073709551616", "99999999999999999999", "１"]
        {
            assert_eq!(number(other), None, "{other:?}");
        }
    }
}
