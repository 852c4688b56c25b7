//! Protobuf headers in the shape that most of them have, read and written in a few steps.
//!
//! Such a one has an id that is a text, its type and a uri, in this order, and nothing more; that of a reply has the status
//! 200 `OK` behind them. Every other header, also one with the same fields in another order, is read field by field.

use std::borrow::Cow;

use super::header::{Header, Kind};
use super::header_protobuf::ProtobufHeader;
use super::id::PacketId;
use super::limits::Limits;

// Keys of fields: their number, and that a varint or a text follows.
const ID: u8 = 1 << 3 | 2;
const KIND: u8 = 2 << 3;
const URI: u8 = 3 << 3 | 2;
/// Status code and text of a successful reply.
const SUCCESS: [u8; 7] = [5 << 3, 0xc8, 0x01, 6 << 3 | 2, 2, b'O', b'K'];
/// Bytes before the id.
const HEAD: usize = 2;
/// Bytes between the id and the uri.
const BETWEEN: usize = 4;
/// Numbers from here on have more than one byte.
const LONG: usize = 0x80;

/// A header that begins in that shape.
struct Parts<'a> {
    id: &'a [u8],
    kind: i32,
    uri: &'a [u8],
    /// What stands behind the uri.
    rest: &'a [u8],
}

#[inline]
fn split(bytes: &[u8]) -> Option<Parts<'_>> {
    let (&[ID, length], rest) = bytes.split_first_chunk()? else { return None };
    let (id, rest) = text(length, rest)?;
    let (&[KIND, kind @ ..0x80, URI, length], rest) = rest.split_first_chunk()? else { return None };
    let (uri, rest) = text(length, rest)?;
    Some(Parts { id, kind: i32::from(kind), uri, rest })
}

#[inline]
fn text(length: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(length);
    if length < LONG { bytes.split_at_checked(length) } else { None }
}

/// Reads the header of a pull or push that has this shape.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Option<Header<'_>> {
    let Parts { id, kind, uri, rest: [] } = split(bytes)? else { return None };
    // All from the id on is checked in one go: what stands between the two is ASCII.
    let text = std::str::from_utf8(&bytes[HEAD..]).ok()?;
    let (id, uri) = (text.get(..id.len())?, text.get(text.len() - uri.len()..)?);
    let id = PacketId::Text(Cow::Borrowed(id));
    Some(Header { uri: Cow::Borrowed(uri), ..Header::new(id, Kind::new(kind), "") })
}

/// What a header is to one who looks for successful replies.
pub(super) enum Success<'a> {
    /// Such a one, with this id.
    Yes(&'a [u8]),
    No,
    /// It has another shape.
    Unknown,
}

#[inline]
pub(super) fn success(bytes: &[u8]) -> Success<'_> {
    match split(bytes) {
        Some(Parts { id, kind, rest, .. }) if kind == Kind::REPLY.number() && rest == SUCCESS => {
            Success::Yes(id)
        }
        // Whatever stands behind it could be a second type, which would count.
        Some(Parts { kind, rest: [], .. }) if kind != Kind::REPLY.number() => Success::No,
        _ => Success::Unknown,
    }
}

/// Appends a whole packet whose header has this shape: a pull, a push, or a successful reply. False where its header has
/// another, or where it is over a limit, and nothing is written.
#[inline]
pub(crate) fn write_plain(
    out: &mut Vec<u8>,
    kind: Kind,
    (id, uri): (&str, &str),
    (codec, payload): (u8, &[u8]),
    limits: &Limits,
) -> bool {
    let (Some(id_length), Some(uri_length)) = (short(id), short(uri)) else { return false };
    let Ok(number @ ..0x80) = u8::try_from(kind.number()) else { return false };
    let fields = HEAD + id.len() + BETWEEN + uri.len();
    let header = 1 + fields + if kind.is_reply() { SUCCESS.len() } else { 0 };
    let (Ok(header), Ok(body)) = (u32::try_from(header), u32::try_from(payload.len() + 1)) else {
        return false;
    };
    if header > limits.max_header || body > limits.max_body || u32::from(uri_length) > limits.max_uri {
        return false;
    }
    let [h0, h1, h2, h3] = header.to_be_bytes();
    let [b0, b1, b2, b3] = body.to_be_bytes();
    out.extend_from_slice(&[h0, h1, h2, h3, ProtobufHeader::ID, ID, id_length]);
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(&[KIND, number, URI, uri_length]);
    out.extend_from_slice(uri.as_bytes());
    if kind.is_reply() {
        let [s0, s1, s2, s3, s4, s5, s6] = SUCCESS;
        out.extend_from_slice(&[s0, s1, s2, s3, s4, s5, s6, b0, b1, b2, b3, codec]);
    } else {
        out.extend_from_slice(&[b0, b1, b2, b3, codec]);
    }
    out.extend_from_slice(payload);
    true
}

/// The length of a text, where it is neither empty, which is not written, nor long.
#[inline]
fn short(text: &str) -> Option<u8> {
    u8::try_from(text.len()).ok().filter(|&length| length > 0 && usize::from(length) < LONG)
}

#[cfg(test)]
mod tests;
