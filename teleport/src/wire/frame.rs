//! Cutting bytes into header and body, and putting them together.

use std::ops::Range;

use super::error::WireError;
use super::foreign::foreign;
use super::header::Header;
use super::header_codec::HeaderCodecs;
use super::limits::Limits;

/// Bytes of a length field.
const LENGTH: usize = 4;

/// What stands at the front of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A part of a packet. Its first `total` bytes are needed to know more; the packet may be longer still.
    Incomplete {
        /// More than the buffer has.
        total: usize,
    },
    /// A whole packet.
    Complete(FrameParts),
}

/// Where the parts of a packet stand in its buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameParts {
    /// Id of the header's codec.
    pub header_codec: u8,
    /// The header, without its codec id.
    pub header: Range<usize>,
    /// The body as it travels: codec id included, empty where there is none.
    pub body: Range<usize>,
    /// Length of the whole packet.
    pub len: usize,
}

/// Cuts the packet at the front of `buf` into its parts, without looking into them.
///
/// # Errors
///
/// A length over its limit, which is told as soon as the length itself is there; a header of the length 0.
#[inline]
pub fn split(buf: &[u8], limits: &Limits) -> Result<Frame, WireError> {
    let Some(header_length) = length(buf, 0) else {
        return Ok(Frame::Incomplete { total: LENGTH });
    };
    if header_length == 0 {
        return Err(WireError::frame("the length of the header is 0, and it counts at least the codec id"));
    }
    if header_length > limits.max_header {
        return Err(header_too_large(buf, header_length, limits.max_header));
    }
    let header_end = LENGTH + header_length as usize;
    let Some(body_length) = length(buf, header_end) else {
        return Ok(Frame::Incomplete { total: header_end + LENGTH });
    };
    if body_length > limits.max_body {
        return Err(WireError::too_large("body", body_length.into(), limits.max_body, "limits.max_body"));
    }
    let body_start = header_end + LENGTH;
    let len = body_start + body_length as usize;
    if buf.len() < len {
        return Ok(Frame::Incomplete { total: len });
    }
    let header_codec = buf[LENGTH];
    Ok(Frame::Complete(FrameParts {
        header_codec,
        header: LENGTH + 1..header_end,
        body: body_start..len,
        len,
    }))
}

#[inline]
fn length(buf: &[u8], at: usize) -> Option<u32> {
    buf.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

/// Whoever speaks another protocol is told so: its first bytes read as a very long header.
#[cold]
fn header_too_large(buf: &[u8], size: u32, limit: u32) -> WireError {
    match foreign(buf) {
        Some((protocol, meaning)) => WireError::frame(format!("they begin like {protocol}, {meaning}")),
        None => WireError::too_large("header", size.into(), limit, "limits.max_header"),
    }
}

/// The body of a packet that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// No body.
    None,
    /// A payload and the id of its codec.
    Payload {
        /// Id of the codec.
        codec: u8,
        /// The bytes behind the id.
        payload: &'a [u8],
    },
    /// A whole body as it travels, codec id included.
    Raw(&'a [u8]),
}

/// Appends a whole packet to `out`.
///
/// # Errors
///
/// A header codec that is not known or can't write the header; a size over its limit. `out` is as it was then.
#[inline]
pub fn write(
    out: &mut Vec<u8>,
    codecs: &HeaderCodecs,
    header_codec: u8,
    header: &Header<'_>,
    body: Body<'_>,
    limits: &Limits,
) -> Result<(), WireError> {
    match body {
        Body::None => write_header(out, codecs, header_codec, header, 0, limits),
        Body::Payload { codec, payload } => {
            write_head(out, codecs, header_codec, header, codec, payload.len(), limits)?;
            out.extend_from_slice(payload);
            Ok(())
        }
        Body::Raw(bytes) => {
            write_header(out, codecs, header_codec, header, bytes.len(), limits)?;
            out.extend_from_slice(bytes);
            Ok(())
        }
    }
}

/// Appends a packet up to the payload of its body, which is to follow with exactly `payload_len` bytes.
///
/// # Errors
///
/// As [`write()`].
#[inline]
pub fn write_head(
    out: &mut Vec<u8>,
    codecs: &HeaderCodecs,
    header_codec: u8,
    header: &Header<'_>,
    body_codec: u8,
    payload_len: usize,
    limits: &Limits,
) -> Result<(), WireError> {
    write_header(out, codecs, header_codec, header, payload_len.saturating_add(1), limits)?;
    out.push(body_codec);
    Ok(())
}

/// Appends the header and the length of the body. Nothing is appended on an error.
#[inline]
fn write_header(
    out: &mut Vec<u8>,
    codecs: &HeaderCodecs,
    codec: u8,
    header: &Header<'_>,
    body_length: usize,
    limits: &Limits,
) -> Result<(), WireError> {
    let too_large =
        |what, size: usize, limit, setting| WireError::too_large(what, size as u64, limit, setting);
    let body_length = match u32::try_from(body_length) {
        Ok(length) if length <= limits.max_body => length,
        _ => return Err(too_large("body", body_length, limits.max_body, "limits.max_body")),
    };
    if header.uri.len() > limits.max_uri as usize {
        return Err(too_large("uri", header.uri.len(), limits.max_uri, "limits.max_uri"));
    }
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, codec]);
    let written = codecs.encode(codec, header, out).and_then(|()| {
        let size = out.len() - start - LENGTH;
        match u32::try_from(size) {
            Ok(length) if length <= limits.max_header => Ok(length),
            _ => Err(too_large("header", size, limits.max_header, "limits.max_header")),
        }
    });
    match written {
        Ok(length) => {
            out[start..start + LENGTH].copy_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&body_length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
