//! Parts of a large packet, so that small ones need not wait until it has passed.
//!
//! A part is a packet of the type 16 with nothing else in its header, and a body of codec 0. The bodies of the parts
//! one after the other are one whole packet; a side begins no other in parts before that. It is sent to a peer that
//! has announced [`Features::PARTS`](super::Features::PARTS), and to no other.

use super::error::WireError;
use super::header::Kind;

/// What every part begins with: length of the header, its codec, and the type as Protobuf.
const BEGIN: [u8; 7] = [0, 0, 0, 3, b'p', 2 << 3, Kind::PART.number() as u8];

/// Bytes of a part before its content: what it begins with, the length of the body and its codec.
pub(crate) const PART_HEAD: usize = BEGIN.len() + 4 + 1;

/// What a part with so many bytes begins with. Its content is to follow.
pub(crate) fn part_head(content: u32) -> [u8; PART_HEAD] {
    let mut head = [0; PART_HEAD];
    head[..BEGIN.len()].copy_from_slice(&BEGIN);
    head[BEGIN.len()..PART_HEAD - 1].copy_from_slice(&(content + 1).to_be_bytes());
    head
}

/// Length of the content, where `buf` begins with a part: `Some(None)` where the head of one is not whole yet.
///
/// # Errors
///
/// A part without content, or with a codec.
#[inline]
pub(crate) fn read_part_head(buf: &[u8]) -> Result<Option<Option<usize>>, WireError> {
    if buf.len() < BEGIN.len() || buf[..BEGIN.len()] != BEGIN {
        return Ok(None);
    }
    let Some((&length, rest)) = buf[BEGIN.len()..].split_first_chunk() else { return Ok(Some(None)) };
    let Some(&codec) = rest.first() else { return Ok(Some(None)) };
    let length = u32::from_be_bytes(length);
    match (codec, length) {
        (0, 2..) => Ok(Some(Some(length as usize - 1))),
        _ => Err(WireError::frame("a part of a packet has no content, or a codec")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Body, Header, HeaderCodecs, Limits, PacketId, read, write};
    use super::*;

    #[test]
    fn a_part_is_a_packet_like_any_other() {
        let limits = Limits::default();
        for content in [&b"x"[..], &[7; 1000]] {
            let mut part = part_head(content.len() as u32).to_vec();
            part.extend_from_slice(content);
            let header = Header::new(PacketId::Sequence(0), Kind::PART, "");
            let (packet, length) = read(&part, &HeaderCodecs::default(), &limits).unwrap().unwrap();
            assert_eq!((packet.header, packet.body.payload(), length), (header.clone(), content, part.len()));
            let mut written = Vec::new();
            let body = Body::Payload { codec: 0, payload: content };
            write(&mut written, &HeaderCodecs::default(), b'p', &header, body, &limits).unwrap();
            assert_eq!(written, part);
            for end in 0..PART_HEAD {
                let head = read_part_head(&part[..end]).unwrap();
                assert_eq!(head, (end >= BEGIN.len()).then_some(None));
            }
            assert_eq!(read_part_head(&part).unwrap(), Some(Some(content.len())));
        }
    }

    #[test]
    fn what_is_no_part_is_told_from_one() {
        assert_eq!(read_part_head(b"\0\0\0\x03p\x10\x01\0\0\0\0").unwrap(), None);
        let head = part_head(99);
        assert_eq!(read_part_head(&head).unwrap(), Some(Some(99)));
        assert!(read_part_head(&part_head(0)).unwrap_err().is_frame());
        let mut codec = head;
        codec[PART_HEAD - 1] = b'j';
        assert!(read_part_head(&codec).unwrap_err().is_frame());
    }
}
