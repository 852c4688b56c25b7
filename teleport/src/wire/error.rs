//! What can be wrong with bytes that should be a packet.

use std::borrow::Cow;
use std::fmt;

/// Bytes that are no packet, or a packet that can't be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    TooLarge { what: &'static str, size: u64, limit: u64, setting: &'static str },
    Frame(Cow<'static, str>),
    Header { codec: Cow<'static, str>, problem: Cow<'static, str> },
    Codec(Cow<'static, str>),
    Uri(Cow<'static, str>),
}

impl WireError {
    /// A header that `codec` can't read or write; for header codecs of the user's own.
    pub fn header(codec: impl Into<Cow<'static, str>>, problem: impl Into<Cow<'static, str>>) -> Self {
        WireError { kind: Kind::Header { codec: codec.into(), problem: problem.into() } }
    }

    /// Whether a size is over its limit.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.kind, Kind::TooLarge { .. })
    }

    /// Whether the bytes are cut into header and body in no possible way, so that what follows is lost too.
    #[must_use]
    pub fn is_frame(&self) -> bool {
        matches!(self.kind, Kind::Frame(_))
    }

    /// Whether a header could not be read or written.
    #[must_use]
    pub fn is_header(&self) -> bool {
        matches!(self.kind, Kind::Header { .. })
    }

    /// Whether a header codec is not known, or its id is taken.
    #[must_use]
    pub fn is_codec(&self) -> bool {
        matches!(self.kind, Kind::Codec(_))
    }

    /// Whether a uri can't be unescaped.
    #[must_use]
    pub fn is_uri(&self) -> bool {
        matches!(self.kind, Kind::Uri(_))
    }

    /// The setting of the limit that was passed, such as `limits.max_body`.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        match self.kind {
            Kind::TooLarge { setting, .. } => Some(setting),
            _ => None,
        }
    }

    #[cold]
    pub(super) fn too_large(what: &'static str, size: u64, limit: u32, setting: &'static str) -> Self {
        WireError { kind: Kind::TooLarge { what, size, limit: limit.into(), setting } }
    }

    #[cold]
    pub(crate) fn frame(problem: impl Into<Cow<'static, str>>) -> Self {
        WireError { kind: Kind::Frame(problem.into()) }
    }

    #[cold]
    pub(super) fn codec(problem: impl Into<Cow<'static, str>>) -> Self {
        WireError { kind: Kind::Codec(problem.into()) }
    }

    #[cold]
    pub(super) fn uri(problem: impl Into<Cow<'static, str>>) -> Self {
        WireError { kind: Kind::Uri(problem.into()) }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::TooLarge { what, size, limit, setting } => {
                write!(f, "a {what} of {size} bytes is over the limit of {limit} (setting `{setting}`)")
            }
            Kind::Frame(problem) => write!(f, "these bytes are no packet: {problem}"),
            Kind::Header { codec, problem } => write!(f, "the {codec} header can't be used: {problem}"),
            Kind::Codec(problem) | Kind::Uri(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for WireError {}
