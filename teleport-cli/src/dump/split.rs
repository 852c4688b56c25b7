//! Packets in a run of bytes, and what is none.

use std::ops::Range;

use teleport::wire::{self, Frame, HeaderCodecs, Kind, Limits, PacketRef};

/// What stands somewhere in the bytes.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// A packet, and where it stands.
    Packet(Range<usize>, PacketRef<'a>),
    /// Bytes that are no packet, and why.
    Bad(Range<usize>, &'a [u8], String),
}

/// Longest body that is believed.
const MAX_BODY: u32 = 256 * 1024 * 1024;
/// Looking for the next packet, this many places are tried whose header has to be read to know better. What nobody who
/// captured it has come across would else take for ever.
const MOST_TRIES: usize = 100_000;

/// Takes `bytes` apart. Where they are no packet, it goes on at the next place where one can be read.
pub(crate) fn split(bytes: &[u8]) -> Vec<Piece<'_>> {
    let splitter = Splitter { bytes, codecs: HeaderCodecs::default(), limits: limits() };
    let (mut pieces, mut at, mut tries) = (Vec::new(), 0, MOST_TRIES);
    while at < bytes.len() {
        let piece = splitter.piece(at, &mut tries);
        at = match &piece {
            Piece::Packet(range, _) | Piece::Bad(range, ..) => range.end,
        };
        pieces.push(piece);
    }
    pieces
}

/// What is believed of sizes.
pub(super) fn limits() -> Limits {
    Limits::default().with_max_body(MAX_BODY)
}

struct Splitter<'a> {
    bytes: &'a [u8],
    codecs: HeaderCodecs,
    limits: Limits,
}

impl<'a> Splitter<'a> {
    /// What begins at `at`; never empty.
    fn piece(&self, at: usize, tries: &mut usize) -> Piece<'a> {
        let rest = &self.bytes[at..];
        let problem = match wire::split(rest, &self.limits) {
            Ok(Frame::Complete(parts)) => match PacketRef::from_parts(rest, &parts, &self.codecs) {
                Ok(packet) => return Piece::Packet(at..at + parts.len, packet),
                // Its lengths may be right all the same, and then the next packet follows it.
                Err(error) if self.may_end(at + parts.len) => {
                    return self.bad(at..at + parts.len, error.to_string());
                }
                Err(error) => error.to_string(),
            },
            Ok(Frame::Incomplete { total }) => {
                format!("the bytes end inside a packet: there are {} of {total} at least", rest.len())
            }
            Err(error) => error.to_string(),
        };
        let next = (at + 1..self.bytes.len()).find(|next| self.is_packet(*next, tries));
        self.bad(at..next.unwrap_or(self.bytes.len()), problem)
    }

    fn bad(&self, range: Range<usize>, problem: String) -> Piece<'a> {
        Piece::Bad(range.clone(), &self.bytes[range], problem)
    }

    /// Whether a packet may begin behind one that ends there.
    fn may_end(&self, end: usize) -> bool {
        let rest = &self.bytes[end..];
        let codec = rest.get(4).is_none_or(|codec| self.codecs.get(*codec).is_some());
        codec && wire::split(rest, &self.limits).is_ok()
    }

    /// Whether a whole packet, of a type that is sent, can be read there.
    fn is_packet(&self, at: usize, tries: &mut usize) -> bool {
        let rest = &self.bytes[at..];
        let Ok(Frame::Complete(parts)) = wire::split(rest, &self.limits) else { return false };
        if self.codecs.get(parts.header_codec).is_none() || parts.header.is_empty() || *tries == 0 {
            return false;
        }
        *tries -= 1;
        let known = |packet: &PacketRef<'_>| is_known(packet.header.kind);
        PacketRef::from_parts(rest, &parts, &self.codecs).is_ok_and(|packet| known(&packet))
    }
}

fn is_known(kind: Kind) -> bool {
    // Also those that only peers of this project send.
    [Kind::PULL, Kind::REPLY, Kind::PUSH, Kind::PUSH_ALT, Kind::PART, Kind::CANCEL].contains(&kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use teleport::wire::{Body, Header, PacketId};

    use super::*;

    fn packet(uri: &str) -> Vec<u8> {
        let header = Header::new(PacketId::Text("1".into()), Kind::PULL, uri);
        let body = Body::Payload { codec: b'j', payload: b"[1]" };
        let mut out = Vec::new();
        wire::write(&mut out, &HeaderCodecs::default(), b'p', &header, body, &Limits::default()).unwrap();
        out
    }

    /// Where each piece stands, and its uri or what is wrong with it.
    fn told(bytes: &[u8]) -> Vec<(Range<usize>, String)> {
        let tell = |piece| match piece {
            Piece::Packet(range, packet) => (range, packet.header.uri.into_owned()),
            Piece::Bad(range, _, problem) => (range, format!("! {problem}")),
        };
        split(bytes).into_iter().map(tell).collect()
    }

    #[test]
    fn packets_follow_one_another() {
        let (one, two) = (packet("/one"), packet("/two"));
        let bytes = [&one[..], &two].concat();
        assert_eq!(told(&bytes), [(0..one.len(), "/one".into()), (one.len()..bytes.len(), "/two".into())]);
    }

    #[test]
    fn reading_goes_on_behind_what_is_no_packet() {
        let (one, two) = (packet("/one"), packet("/two"));
        // Lengths that make no sense.
        let bytes = [&one[..], b"GET / HTTP/1.1\r\n\r\n", &two].concat();
        let pieces = told(&bytes);
        assert_eq!(pieces.len(), 3, "{pieces:?}");
        assert_eq!(pieces[1].0, one.len()..one.len() + 18);
        assert!(pieces[1].1.contains("HTTP"), "{}", pieces[1].1);
        assert_eq!(pieces[2].1, "/two");
        // A header that can't be read, between lengths that are right.
        let mut broken = packet("/broken");
        broken[4] = b'?';
        let bytes = [&one[..], &broken, &two].concat();
        let pieces = told(&bytes);
        assert_eq!(pieces.len(), 3, "{pieces:?}");
        assert_eq!(pieces[1].0, one.len()..one.len() + broken.len());
        assert!(pieces[1].1.contains("codec"), "{}", pieces[1].1);
        // A length that is too long, over packets that are whole.
        let bytes = [&[0, 0, 9, 0][..], &one, &two].concat();
        assert_eq!(told(&bytes)[1..].iter().map(|piece| &*piece.1).collect::<Vec<_>>(), ["/one", "/two"]);
    }

    #[test]
    fn an_end_inside_a_packet_is_told() {
        let one = packet("/one");
        for end in 1..one.len() {
            let pieces = told(&one[..end]);
            assert_eq!((pieces.len(), &pieces[0].0), (1, &(0..end)), "{pieces:?}");
            assert!(pieces[0].1.contains("end inside a packet"), "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_piece(
            parts in prop::collection::vec(prop_oneof![
                Just(packet("/one")), prop::collection::vec(any::<u8>(), 0..40), Just(vec![0, 0, 0, 9, b'p']),
            ], 0..8),
        ) {
            let bytes = parts.concat();
            let mut end = 0;
            for (range, _) in told(&bytes) {
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start);
                end = range.end;
            }
            prop_assert_eq!(end, bytes.len());
        }
    }
}
