//! Bodies that are passed on unopened.

use std::fmt;

use super::packet::RawBody;

/// A whole body as it travels, owned and unopened: codec id and payload, still compressed where it came so, and the gzip
/// level that its header tells.
///
/// Whoever passes a packet on takes one and gives it away again: nothing of it is decoded, inflated or copied.
///
/// # Examples
///
/// ```
/// use teleport::SealedBody;
///
/// let body = SealedBody::new(&b"j[1,2]"[..], 0);
/// assert_eq!((body.codec(), body.payload()), (b'j', &b"[1,2]"[..]));
/// assert!(SealedBody::none().is_none());
/// ```
#[derive(Clone, Default)]
pub struct SealedBody {
    /// The body, and before it what else was in the buffer it came in.
    bytes: Vec<u8>,
    start: usize,
    gzip: i32,
}

impl SealedBody {
    /// A body from its bytes, codec id included, and the gzip level that its header is to tell; 0 is none. Neither is
    /// looked at.
    pub fn new(bytes: impl Into<Vec<u8>>, gzip: i32) -> Self {
        SealedBody { bytes: bytes.into(), start: 0, gzip }
    }

    /// No body.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is no body.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.raw_body().is_none()
    }

    /// The bytes, codec id included.
    #[must_use]
    pub fn raw_body(&self) -> RawBody<'_> {
        RawBody::new(self.bytes.get(self.start..).unwrap_or_default())
    }

    /// Id of the codec; 0 where there is no body.
    #[must_use]
    pub fn codec(&self) -> u8 {
        self.raw_body().codec()
    }

    /// The bytes behind the codec id, still compressed where [`gzip`](Self::gzip) is not 0: see
    /// [`gzip::inflate`](crate::gzip::inflate).
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.raw_body().payload()
    }

    /// The gzip level in the header that it came with; 0 is none. It may be a number that is no level.
    #[must_use]
    pub fn gzip(&self) -> i32 {
        self.gzip
    }

    /// The body that begins at `start` of a buffer and fills the rest of it.
    pub(crate) fn within(bytes: Vec<u8>, start: usize, gzip: i32) -> Self {
        SealedBody { bytes, start, gzip }
    }

    /// The codec id, the buffer, and where the payload begins in that; `None` where there is no body.
    pub(crate) fn into_payload(self) -> Option<(u8, Vec<u8>, usize)> {
        let codec = *self.raw_body().as_bytes().first()?;
        Some((codec, self.bytes, self.start + 1))
    }
}

/// Bodies are equal where they travel alike.
impl PartialEq for SealedBody {
    fn eq(&self, other: &Self) -> bool {
        (self.raw_body(), self.gzip) == (other.raw_body(), other.gzip)
    }
}

impl Eq for SealedBody {}

impl fmt::Debug for SealedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedBody")
            .field("codec", &char::from(self.codec()))
            .field("bytes", &self.payload().len())
            .field("gzip", &self.gzip)
            .finish()
    }
}
