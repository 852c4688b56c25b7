//! Headers as Protobuf messages, by hand: they are read and written for every packet, without allocating.
//!
//! ```proto
//! message Header {
//!     string id = 1;          // or uint64 seq = 1, as releases 2.0 to 2.6 of the original
//!     int32 type = 2;
//!     string uri = 3;
//!     int32 gzip = 4;
//!     int32 status_code = 5;
//!     string status = 6;
//!     // Not of the specification:
//!     uint32 features = 16;
//!     uint32 timeout_ms = 17;
//!     string traceparent = 18;
//! }
//! ```

use std::borrow::Cow;

use super::error::WireError;
use super::features::Features;
use super::header::{Header, Kind};
use super::header_codec::HeaderCodec;
use super::id::{PacketId, decimal};
use super::plain::{self, Success};
use super::trace::TraceParent;
use crate::status::Code;

/// Headers as Protobuf messages, id `p`: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProtobufHeader;

impl ProtobufHeader {
    /// The id that travels.
    pub const ID: u8 = b'p';
}

const NAME: &str = "protobuf";

// Wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A varint of 64 bits has no more bytes.
const LONGEST_VARINT: usize = 10;

impl HeaderCodec for ProtobufHeader {
    fn id(&self) -> u8 {
        Self::ID
    }

    fn name(&self) -> &'static str {
        NAME
    }

    #[inline]
    fn encode(&self, header: &Header<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
        match &header.id {
            PacketId::Sequence(number) => put_number(out, 1, *number),
            PacketId::Text(text) => put_text(out, 1, text),
        }
        put_i32(out, 2, header.kind.number());
        put_text(out, 3, &header.uri);
        put_i32(out, 4, header.gzip);
        put_i32(out, 5, header.code);
        put_text(out, 6, &header.status);
        put_number(out, 16, header.features.bits().into());
        put_number(out, 17, header.timeout_ms.into());
        if let Some(trace) = &header.trace {
            put_varint(out, 18 << 3 | BYTES);
            put_varint(out, TraceParent::LEN as u64);
            trace.write(out);
        }
        Ok(())
    }

    #[inline]
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Header<'a>, WireError> {
        match plain::read(bytes) {
            Some(header) => Ok(header),
            None => decode_fields(bytes),
        }
    }
}

pub(super) fn decode_fields(bytes: &[u8]) -> Result<Header<'_>, WireError> {
    // Checked in one go: the header of a pull or push is ASCII but for what stands in its texts.
    let mut reader = Reader { bytes, at: 0, text: std::str::from_utf8(bytes).ok() };
    let mut header = Header::default();
    while reader.at < bytes.len() {
        let start = reader.at;
        let key = reader.varint()?;
        match (key >> 3, key & 7) {
            (1, VARINT) => header.id = PacketId::Sequence(reader.varint()?),
            (1, BYTES) => header.id = PacketId::Text(reader.text("id")?),
            (2, VARINT) => header.kind = Kind::new(reader.int32()?),
            (3, BYTES) => header.uri = reader.text("uri")?,
            (4, VARINT) => header.gzip = reader.int32()?,
            (5, VARINT) => header.code = reader.int32()?,
            (6, BYTES) => header.status = reader.text("status")?,
            (16, VARINT) => header.features = Features::new(reader.uint32()?),
            (17, VARINT) => header.timeout_ms = u32::try_from(reader.varint()?).unwrap_or(u32::MAX),
            // Another text says nothing.
            (18, BYTES) => header.trace = TraceParent::read(reader.bytes()?).map(Box::new),
            (0, _) => return Err(bad(format!("a field at byte {start} has the number 0"))),
            (field @ 1..=6, wire_type) => {
                return Err(bad(format!("field {field} at byte {start} has the wire type {wire_type}")));
            }
            (_, VARINT) => drop(reader.varint()?),
            (_, FIXED64) => drop(reader.take(8)?),
            (_, BYTES) => drop(reader.bytes()?),
            (_, FIXED32) => drop(reader.take(4)?),
            (field, wire_type) => {
                return Err(bad(format!("field {field} at byte {start} has the wire type {wire_type}")));
            }
        }
    }
    Ok(header)
}

/// What has to be known of a successful reply to hand it to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SuccessHead {
    pub(crate) id: u64,
    pub(crate) gzip: i32,
}

impl SuccessHead {
    /// Reads the header of a reply with the status 200 `OK` and leaves its uri alone: most replies are, and nobody asks
    /// for theirs. `None` for every other header, which is then to be read whole.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        match plain::success(bytes) {
            Success::Yes(id) => Some(SuccessHead { id: decimal(id)?, gzip: 0 }),
            Success::No => None,
            Success::Unknown => Self::read_fields(bytes),
        }
    }

    pub(super) fn read_fields(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0, text: None };
        let mut head = SuccessHead { id: 0, gzip: 0 };
        let (mut kind, mut code, mut text) = (0, 0, &b""[..]);
        while reader.at < bytes.len() {
            let key = reader.varint().ok()?;
            match (key >> 3, key & 7) {
                (1, VARINT) => head.id = reader.varint().ok()?,
                (1, BYTES) => head.id = decimal(reader.bytes().ok()?)?,
                (2, VARINT) => {
                    kind = reader.int32().ok()?;
                    if kind != Kind::REPLY.number() {
                        return None;
                    }
                }
                (3, BYTES) => drop(reader.bytes().ok()?),
                (6, BYTES) => text = reader.bytes().ok()?,
                (4, VARINT) => head.gzip = reader.int32().ok()?,
                (5, VARINT) => code = reader.int32().ok()?,
                _ => return None,
            }
        }
        (kind == Kind::REPLY.number() && code == Code::OK.number() && text == b"OK").then_some(head)
    }
}

#[cold]
fn bad(problem: impl Into<Cow<'static, str>>) -> WireError {
    WireError::header(NAME, problem)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The same bytes, where they are a text as a whole.
    text: Option<&'a str>,
}

impl<'a> Reader<'a> {
    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (count, &byte) in self.bytes[self.at..].iter().take(LONGEST_VARINT).enumerate() {
            // The tenth byte has room for one bit; what is beyond is dropped, as other readers do.
            value |= u64::from(byte & 0x7f) << (7 * count);
            if byte < 0x80 {
                self.at += count + 1;
                return Ok(value);
            }
        }
        if self.bytes.len() - self.at >= LONGEST_VARINT {
            return Err(bad(format!("a number at byte {} has more than {LONGEST_VARINT} bytes", self.at)));
        }
        Err(self.cut())
    }

    /// The low 32 bits, as Protobuf says for `int32`.
    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn int32(&mut self) -> Result<i32, WireError> {
        self.varint().map(|value| value as i32)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn uint32(&mut self) -> Result<u32, WireError> {
        self.varint().map(|value| value as u32)
    }

    #[inline]
    fn take(&mut self, count: u64) -> Result<&'a [u8], WireError> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(count) {
            Ok(count) if count <= rest.len() => {
                self.at += count;
                Ok(&rest[..count])
            }
            _ => Err(self.cut()),
        }
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let count = self.varint()?;
        self.take(count)
    }

    #[inline]
    fn text(&mut self, field: &'static str) -> Result<Cow<'a, str>, WireError> {
        let bytes = self.bytes()?;
        let range = self.at - bytes.len()..self.at;
        if let Some(text) = self.text.and_then(|text| text.get(range)) {
            return Ok(Cow::Borrowed(text));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => {
                Err(bad(format!("the {field} is not UTF-8 after {} bytes of it", error.valid_up_to())))
            }
        }
    }

    #[cold]
    fn cut(&self) -> WireError {
        bad(format!("it ends inside the field at byte {}", self.at))
    }
}

#[inline]
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        // Cut to its low bits on purpose.
        #[allow(clippy::cast_possible_truncation)]
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[allow(clippy::cast_possible_truncation)]
    out.push(value as u8);
}

#[inline]
fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        put_varint(out, field << 3 | VARINT);
        put_varint(out, value);
    }
}

/// Negative numbers are extended to 64 bits, as Protobuf says for `int32`.
#[inline]
fn put_i32(out: &mut Vec<u8>, field: u64, value: i32) {
    put_number(out, field, i64::from(value).cast_unsigned());
}

#[inline]
fn put_text(out: &mut Vec<u8>, field: u64, text: &str) {
    if !text.is_empty() {
        put_varint(out, field << 3 | BYTES);
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests;
