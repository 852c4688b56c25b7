//! Which trace a call belongs to.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

/// Place of a call in a trace, as the W3C writes it in `traceparent`: 55 characters, such as
/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
///
/// Given to a call by [`PullCall::traceparent`](crate::PullCall::traceparent), read in a handler by
/// [`Context::traceparent`](crate::Context::traceparent). What stands between is passed on as it is: Teleport starts no spans.
///
/// # Errors
///
/// Parsing a text fails where it has another length, a digit that is none of `0-9a-f`, the version `ff`, or only zeros in the
/// id of the trace or of the parent.
///
/// # Examples
///
/// ```
/// use teleport::wire::TraceParent;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace: TraceParent = text.parse()?;
/// assert_eq!(trace.parent_id(), 0x00f0_67aa_0ba9_02b7);
/// assert!(trace.is_sampled());
/// assert_eq!(trace.to_string(), text);
/// assert_eq!(trace.with_parent(7).to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01");
/// # Ok::<(), teleport::wire::BadTraceParent>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    version: u8,
    trace: u128,
    parent: u64,
    flags: u8,
}

/// A text is no [`TraceParent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTraceParent;

impl TraceParent {
    /// Bytes of the text.
    pub(crate) const LEN: usize = 55;

    /// One of version `00`; `None` where an id is zero.
    #[must_use]
    pub const fn new(trace_id: u128, parent_id: u64, is_sampled: bool) -> Option<Self> {
        if trace_id == 0 || parent_id == 0 {
            return None;
        }
        Some(TraceParent { version: 0, trace: trace_id, parent: parent_id, flags: is_sampled as u8 })
    }

    /// The id of the whole trace.
    #[must_use]
    pub const fn trace_id(self) -> u128 {
        self.trace
    }

    /// The id of the span that the call belongs to, on the caller's side.
    #[must_use]
    pub const fn parent_id(self) -> u64 {
        self.parent
    }

    /// All flags.
    #[must_use]
    pub const fn flags(self) -> u8 {
        self.flags
    }

    /// Whether the caller may have recorded the trace.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }

    /// The same trace, seen from another span; zero is none, and changes nothing.
    #[must_use]
    pub const fn with_parent(mut self, parent_id: u64) -> Self {
        if parent_id != 0 {
            self.parent = parent_id;
        }
        self
    }

    /// Appends the text.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        // A vector takes everything.
        let _ = write!(out, "{self}");
    }

    /// Reads the text; `None` for any other.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text: &[u8; Self::LEN] = text.try_into().ok()?;
        if [text[2], text[35], text[52]] != *b"---" {
            return None;
        }
        let version = u8::try_from(hex(&text[..2])?).ok()?;
        let (trace, parent) = (hex(&text[3..35])?, u64::try_from(hex(&text[36..52])?).ok()?);
        let flags = u8::try_from(hex(&text[53..])?).ok()?;
        (version != 0xff && trace != 0 && parent != 0).then_some(TraceParent {
            version,
            trace,
            parent,
            flags,
        })
    }
}

/// A number of lower hexadecimal digits, as many as fit.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number << 4 | u128::from(digit - b'0')),
        b'a'..=b'f' => Some(number << 4 | u128::from(digit - b'a' + 10)),
        _ => None,
    })
}

impl FromStr for TraceParent {
    type Err = BadTraceParent;

    fn from_str(text: &str) -> Result<Self, BadTraceParent> {
        Self::read(text.as_bytes()).ok_or(BadTraceParent)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}-{:032x}-{:016x}-{:02x}", self.version, self.trace, self.parent, self.flags)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceParent({self})")
    }
}

impl fmt::Display for BadTraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this is no traceparent: it has 55 characters, lower hexadecimal digits and three hyphens, as in \
             00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
    }
}

impl std::error::Error for BadTraceParent {}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_text_reads_back() {
        for text in [TEXT, "fe-00000000000000000000000000000001-0000000000000001-ff"] {
            assert_eq!(text.parse::<TraceParent>().unwrap().to_string(), text);
        }
        let trace = TraceParent::new(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7, true);
        assert_eq!(trace, TEXT.parse().ok());
        assert_eq!((TraceParent::new(0, 1, true), TraceParent::new(1, 0, true)), (None, None));
    }

    #[test]
    fn every_byte_of_the_text_matters() {
        for at in 0..TEXT.len() {
            for byte in [b'g', b'A', b' ', 0, 0xff] {
                let mut bytes = TEXT.as_bytes().to_vec();
                bytes[at] = byte;
                assert_eq!(TraceParent::read(&bytes), None, "{byte} at {at}");
            }
        }
        for text in [
            "",
            &TEXT[1..],
            &format!("{TEXT}0"),
            &TEXT.replacen("00", "ff", 1),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(BadTraceParent), "{text:?}");
        }
    }
}
