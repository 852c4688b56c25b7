//! Large packets on their way, which go in parts so that small ones need not wait for all of them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::wire::{PART_HEAD, part_head};

/// The first part of a packet, and every one while other packets want to be written too: what one of these waits for.
const SMALLEST: usize = 64 * 1024;
/// Each part is twice the one before up to this, while nothing else wants to be written: fewer reads on the other side.
const LARGEST: usize = 512 * 1024;

/// Packets that go in parts, one packet after the other.
#[derive(Default)]
pub(super) struct Bulk {
    packets: VecDeque<Large>,
    /// Bytes that have not gone yet.
    bytes: usize,
    /// Those of them that are replies.
    owed: usize,
    /// Bytes of the last part.
    last: usize,
}

struct Large {
    /// What stands before the payload; goes with the first part.
    head: Vec<u8>,
    payload: Bytes,
    is_reply: bool,
}

/// One part of a packet.
pub(super) struct Part {
    /// What a part begins with.
    pub(super) begin: [u8; PART_HEAD],
    /// The packet's own head, in its first part.
    pub(super) head: Vec<u8>,
    pub(super) payload: Bytes,
    /// Whether it is of a reply.
    pub(super) is_reply: bool,
}

impl Bulk {
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    /// Adds a packet: all that stands before its payload, and the payload.
    pub(super) fn push(&mut self, head: Vec<u8>, payload: Bytes, is_reply: bool) {
        self.bytes += head.len() + payload.len();
        if is_reply {
            self.owed += head.len() + payload.len();
        }
        self.packets.push_back(Large { head, payload, is_reply });
    }

    /// Adds all packets of `other`, of which none has begun.
    pub(super) fn append(&mut self, other: &mut Bulk) {
        self.packets.append(&mut other.packets);
        self.bytes += std::mem::take(&mut other.bytes);
        self.owed += std::mem::take(&mut other.owed);
    }

    /// The next part; `is_alone` where nothing else wants to be written.
    pub(super) fn cut(&mut self, is_alone: bool) -> Option<Part> {
        let large = self.packets.front_mut()?;
        self.last = if is_alone { (2 * self.last).clamp(SMALLEST, LARGEST) } else { SMALLEST };
        let head = std::mem::take(&mut large.head);
        let payload = large.payload.split_to(self.last.min(large.payload.len()));
        let count = head.len() + payload.len();
        let is_reply = large.is_reply;
        if large.payload.is_empty() {
            self.packets.pop_front();
            self.last = 0;
        }
        self.bytes -= count;
        if is_reply {
            self.owed -= count;
        }
        // At most the largest part and a header, whose length is a `u32` that is far from its end.
        let begin = part_head(u32::try_from(count).unwrap_or(u32::MAX - 1));
        Some(Part { begin, head, payload, is_reply })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bulk: &mut Bulk, is_alone: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut sizes = Vec::new();
        while let Some(part) = bulk.cut(is_alone(sizes.len())) {
            assert_eq!(part.begin, part_head((part.head.len() + part.payload.len()) as u32));
            sizes.push(part.payload.len());
        }
        sizes
    }

    #[test]
    fn parts_grow_while_nothing_else_is_to_be_written() {
        let kib = |sizes: Vec<usize>| sizes.into_iter().map(|size| size / 1024).collect::<Vec<_>>();
        let large = || vec![7; 2048 * 1024];
        let mut bulk = Bulk::default();
        bulk.push(vec![1; 20], large().into(), false);
        assert_eq!(kib(sizes(&mut bulk, |_| true)), [64, 128, 256, 512, 512, 512, 64]);
        bulk.push(vec![1; 20], large().into(), false);
        assert_eq!(
            kib(sizes(&mut bulk, |part| part % 4 != 0)),
            [64, 128, 256, 512, 64, 128, 256, 512, 64, 64],
            "another packet cuts them short again"
        );
    }

    #[test]
    fn packets_follow_one_another_and_nothing_is_left() {
        let mut bulk = Bulk::default();
        bulk.push(vec![1; 10], vec![2; 100_000].into(), false);
        let mut more = Bulk::default();
        more.push(vec![3; 10], vec![4; 70_000].into(), true);
        bulk.append(&mut more);
        assert_eq!((more.len(), more.owed(), more.is_empty()), (0, 0, true));
        assert_eq!((bulk.len(), bulk.owed()), (170_020, 70_010));
        let (mut bytes, mut of_replies) = (Vec::new(), Vec::new());
        while let Some(part) = bulk.cut(false) {
            bytes.extend_from_slice(&part.head);
            bytes.extend_from_slice(&part.payload);
            of_replies.push(part.is_reply);
        }
        let all = [&[1; 10][..], &[2; 100_000], &[3; 10], &[4; 70_000]].concat();
        assert!(bytes == all, "the bytes of the packets, in order");
        assert_eq!(of_replies, [false, false, true, true]);
        assert_eq!((bulk.len(), bulk.owed(), bulk.is_empty()), (0, 0, true));
    }
}
