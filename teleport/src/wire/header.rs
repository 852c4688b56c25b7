//! Headers of packets.

use std::borrow::Cow;
use std::fmt;

use super::features::Features;
use super::id::PacketId;
use super::trace::TraceParent;

/// What a packet is: a pull, its reply, or a push.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(i32);

impl Kind {
    /// A call that waits for a reply.
    pub const PULL: Kind = Kind(1);
    /// The reply to a pull.
    pub const REPLY: Kind = Kind(2);
    /// A push as releases 2.1 and later of the original number it. Read like [`PUSH`](Self::PUSH).
    pub const PUSH_ALT: Kind = Kind(3);
    /// A call without a reply.
    pub const PUSH: Kind = Kind(4);
    /// A part of a larger packet; only between peers that have announced
    /// [`Features::PARTS`]. Not of the specification.
    pub const PART: Kind = Kind(16);
    /// Nobody waits any more for the reply to the pull of the same id; only to peers that have announced
    /// [`Features::CANCEL`], and never answered. Not of the specification.
    pub const CANCEL: Kind = Kind(17);

    /// The kind of this number; other numbers than the four are kept.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Kind(number)
    }

    /// The number as it travels.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Whether it is a pull.
    #[must_use]
    pub const fn is_pull(self) -> bool {
        self.0 == Self::PULL.0
    }

    /// Whether it is a reply.
    #[must_use]
    pub const fn is_reply(self) -> bool {
        self.0 == Self::REPLY.0
    }

    /// Whether it is a push, of either number.
    #[must_use]
    pub const fn is_push(self) -> bool {
        self.0 == Self::PUSH.0 || self.0 == Self::PUSH_ALT.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Kind::PULL => f.write_str("pull"),
            Kind::REPLY => f.write_str("reply"),
            Kind::PUSH | Kind::PUSH_ALT => f.write_str("push"),
            Kind(other) => write!(f, "type {other}"),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Header of a packet; its texts borrow from the bytes that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Counts the pulls, or the pushes, of one side of a session.
    pub id: PacketId<'a>,
    /// Pull, reply or push.
    pub kind: Kind,
    /// Path and query, still escaped. A reply has that of its pull.
    pub uri: Cow<'a, str>,
    /// Gzip level of the body, -2 to 9; 0 is none.
    pub gzip: i32,
    /// Status code; 0 in pulls and pushes.
    pub code: i32,
    /// Status text; empty in pulls and pushes.
    pub status: Cow<'a, str>,
    /// What the sender understands beyond the specification, in its first packet.
    pub features: Features,
    /// How long the caller still waits for the reply, in milliseconds; 0 where it does not say. In pulls, to peers that have
    /// announced [`Features::DEADLINE`].
    pub timeout_ms: u32,
    /// The call's place in a trace, in pulls and pushes, to peers that have announced [`Features::TRACE`]. Boxed, as few
    /// have one.
    pub trace: Option<Box<TraceParent>>,
}

impl<'a> Header<'a> {
    /// A header without gzip and status.
    pub fn new(id: PacketId<'a>, kind: Kind, uri: impl Into<Cow<'a, str>>) -> Self {
        Header {
            id,
            kind,
            uri: uri.into(),
            gzip: 0,
            code: 0,
            status: Cow::Borrowed(""),
            features: Features::NONE,
            timeout_ms: 0,
            trace: None,
        }
    }

    /// The header without what it borrows.
    #[must_use]
    pub fn into_owned(self) -> Header<'static> {
        Header {
            id: self.id.into_owned(),
            kind: self.kind,
            uri: Cow::Owned(self.uri.into_owned()),
            gzip: self.gzip,
            code: self.code,
            status: Cow::Owned(self.status.into_owned()),
            features: self.features,
            timeout_ms: self.timeout_ms,
            trace: self.trace,
        }
    }

    /// Bytes that its texts hold where they are its own.
    pub(crate) fn held(&self) -> usize {
        let id = match &self.id {
            PacketId::Sequence(_) => 0,
            PacketId::Text(text) => text.len(),
        };
        id + self.uri.len() + self.status.len()
    }
}

/// The header of no fields, which every codec reads from no bytes.
impl Default for Header<'_> {
    fn default() -> Self {
        Header::new(PacketId::Sequence(0), Kind(0), "")
    }
}
