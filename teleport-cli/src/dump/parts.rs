//! Large packets that went in parts, put together again.

use teleport::wire::{self, Frame, HeaderCodecs, PacketRef};

use super::split::limits;

/// The parts that one side has sent of a packet so far: there is one at a time.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    bytes: Vec<u8>,
    count: usize,
}

/// What the parts come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined<'a> {
    /// More are to follow.
    Incomplete,
    /// A packet, whose last part this was.
    Whole { packet: PacketRef<'a>, bytes: usize, parts: usize },
    /// No packet, and why.
    Bad(String),
}

impl Parts {
    /// Adds what a part holds. After a packet, or what is none, another begins.
    pub(crate) fn add<'a>(&mut self, content: &[u8], whole: &'a mut Vec<u8>) -> Joined<'a> {
        self.bytes.extend_from_slice(content);
        self.count += 1;
        let found = match wire::split(&self.bytes, &limits()) {
            Ok(Frame::Incomplete { .. }) => return Joined::Incomplete,
            found => found,
        };
        let parts = std::mem::take(&mut self.count);
        *whole = std::mem::take(&mut self.bytes);
        let frame = match found {
            Ok(Frame::Complete(frame)) if frame.len == whole.len() => frame,
            Ok(_) => return Joined::Bad("the last part has more than the packet".into()),
            Err(error) => return Joined::Bad(error.to_string()),
        };
        match PacketRef::from_parts(whole, &frame, &HeaderCodecs::default()) {
            Ok(packet) => Joined::Whole { packet, bytes: frame.len, parts },
            Err(error) => Joined::Bad(error.to_string()),
        }
    }

    /// Forgets what has come; whether there was anything.
    pub(crate) fn give_up(&mut self) -> bool {
        self.bytes.clear();
        std::mem::take(&mut self.count) > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use teleport::wire::{Body, Header, Kind, PacketId};

    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let header = Header::new(PacketId::Sequence(1), Kind::PULL, "/large");
        let mut out = Vec::new();
        let body = Body::Payload { codec: b's', payload };
        wire::write(&mut out, &HeaderCodecs::default(), b'p', &header, body, &limits()).unwrap();
        out
    }

    #[test]
    fn a_packet_is_whole_with_its_last_part() {
        let (mut parts, mut whole) = (Parts::default(), Vec::new());
        let bytes = packet(&[7; 100]);
        for _ in 0..2 {
            assert_eq!(parts.add(&bytes[..2], &mut whole), Joined::Incomplete);
            assert_eq!(parts.add(&bytes[2..50], &mut whole), Joined::Incomplete);
            let Joined::Whole { packet, bytes: length, parts: 3 } = parts.add(&bytes[50..], &mut whole)
            else {
                panic!("three parts")
            };
            assert_eq!((packet.body.payload(), length), (&[7; 100][..], bytes.len()));
            assert!(!parts.give_up(), "nothing is left");
        }
    }

    #[test]
    fn what_is_no_packet_is_told_and_forgotten() {
        let (mut parts, mut whole) = (Parts::default(), Vec::new());
        let more = [&packet(b"x")[..], b"y"].concat();
        assert!(
            matches!(parts.add(&more, &mut whole), Joined::Bad(problem) if problem.contains("more than"))
        );
        assert!(matches!(parts.add(&[0xff; 9], &mut whole), Joined::Bad(_)));
        let mut broken = packet(b"x");
        broken[4] = b'?';
        assert!(matches!(parts.add(&broken, &mut whole), Joined::Bad(problem) if problem.contains("codec")));
        assert!(matches!(parts.add(&packet(b"x"), &mut whole), Joined::Whole { parts: 1, .. }));
        parts.add(b"\0", &mut whole);
        assert!(parts.give_up() && !parts.give_up());
    }

    proptest! {
        #[test]
        fn no_parts_are_too_strange(
            contents in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..30), Just(packet(b"x")), Just(vec![0, 0, 0, 9]),
            ], 0..9),
        ) {
            let (mut parts, mut whole) = (Parts::default(), Vec::new());
            for content in contents {
                parts.add(&content, &mut whole);
            }
        }
    }
}
