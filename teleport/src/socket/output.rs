//! Bytes that wait to be written, in order.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Deref;

use bytes::Bytes;

use super::bulk::Bulk;
use crate::buffer;

/// One write hands the system about this many bytes, so that a session with much to say still reads in between.
/// 48 KiB is where larger writes stopped being faster on loopback.
const WRITE_CAP: usize = 48 * 1024;
/// Chunks in one write.
const SLICES: usize = 16;

/// A queue of bytes in a few large chunks; small packets share one, a large body has its own.
///
/// Packets that go in parts stand beside the queue: whenever little is left in it, [`refill`](Self::refill) puts the
/// next part behind what is there.
#[derive(Default)]
pub(crate) struct Output {
    chunks: VecDeque<Chunk>,
    tail: Vec<u8>,
    /// Bytes of the first chunk that are written already.
    written: usize,
    /// Bytes in `chunks`, without `tail`.
    in_chunks: usize,
    /// Bytes of replies that were added since the queue was empty.
    owed: usize,
    bulk: Bulk,
    /// Something else was added since the last part.
    mixed: bool,
}

enum Chunk {
    Buffer(Vec<u8>),
    /// What begins here in a buffer.
    Rest(Vec<u8>, usize),
    /// A piece of a larger buffer.
    Piece(Bytes),
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Chunk::Buffer(buffer) => buffer,
            Chunk::Rest(buffer, from) => &buffer[*from..],
            Chunk::Piece(piece) => piece,
        }
    }
}

impl Output {
    /// Bytes waiting, in the queue and beside it.
    pub(crate) fn len(&self) -> usize {
        self.queued() + self.bulk.len()
    }

    /// Bytes in the queue.
    fn queued(&self) -> usize {
        self.in_chunks + self.tail.len() - self.written
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes that `bytes` of what was added are replies to the other side.
    pub(crate) fn owe(&mut self, bytes: usize) {
        self.owed += bytes;
    }

    /// Bytes of replies that wait, at the most: calls that wait with them may count.
    pub(crate) fn owed(&self) -> usize {
        self.owed.min(self.queued()) + self.bulk.owed()
    }

    /// Whether the first packet is partly written.
    pub(crate) fn is_begun(&self) -> bool {
        self.written > 0
    }

    /// Where the next packet is appended.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.mixed = true;
        if self.tail.capacity() == 0 {
            self.tail = buffer::take();
        }
        &mut self.tail
    }

    /// Gives back room that is not needed, where what is here is to be kept for a while.
    pub(crate) fn fit(&mut self) {
        buffer::fit(&mut self.tail);
    }

    /// Queues a whole buffer without copying it.
    pub(crate) fn push_chunk(&mut self, chunk: Vec<u8>) {
        self.push(Chunk::Buffer(chunk));
    }

    /// Queues what begins at `from` of a buffer, without copying it.
    pub(crate) fn push_chunk_from(&mut self, buffer: Vec<u8>, from: usize) {
        self.push(Chunk::Rest(buffer, from));
    }

    /// Adds a packet that goes in parts: all that stands before its payload, and the payload. It keeps its place among
    /// such packets only.
    pub(crate) fn push_bulk(&mut self, head: Vec<u8>, payload: impl Into<Bytes>, is_reply: bool) {
        self.bulk.push(head, payload.into(), is_reply);
    }

    /// Puts the next part of a large packet into the queue, where little is left in that.
    pub(crate) fn refill(&mut self) {
        if self.bulk.is_empty() || self.queued() >= WRITE_CAP {
            return;
        }
        let is_alone = !std::mem::take(&mut self.mixed);
        let Some(part) = self.bulk.cut(is_alone) else { return };
        let tail = self.tail();
        tail.extend_from_slice(&part.begin);
        tail.extend_from_slice(&part.head);
        if part.is_reply {
            self.owed += part.begin.len() + part.head.len() + part.payload.len();
        }
        self.push(Chunk::Piece(part.payload));
        self.mixed = false;
        buffer::give(part.head);
    }

    /// The queue as one slice, where nothing large is in it.
    pub(crate) fn as_single(&self) -> Option<&[u8]> {
        (self.chunks.is_empty() && self.bulk.is_empty()).then(|| &self.tail[self.written..])
    }

    /// The front of the queue as slices for one write.
    pub(crate) fn with_slices<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        let mut room = WRITE_CAP;
        let mut skip = self.written;
        for chunk in self.chunks.iter().map(Deref::deref).chain(std::iter::once(&self.tail[..])) {
            let bytes = &chunk[skip..];
            skip = 0;
            let bytes = &bytes[..bytes.len().min(room)];
            if bytes.is_empty() {
                continue;
            }
            slices[used] = IoSlice::new(bytes);
            used += 1;
            room -= bytes.len();
            if used == SLICES || room == 0 {
                break;
            }
        }
        write(&slices[..used])
    }

    /// Forgets the first `count` bytes: they are written. An empty queue keeps no memory.
    pub(crate) fn advance(&mut self, count: usize) {
        self.written += count;
        while let Some(first) = self.chunks.front() {
            if self.written < first.len() {
                return;
            }
            self.written -= first.len();
            self.in_chunks -= first.len();
            if let Some(Chunk::Buffer(buffer) | Chunk::Rest(buffer, _)) = self.chunks.pop_front() {
                buffer::give(buffer);
            }
        }
        if self.written == self.tail.len() {
            self.written = 0;
            self.owed = 0;
            buffer::give(std::mem::take(&mut self.tail));
        }
    }

    /// Moves everything from `other` behind what is here, by exchanging buffers. Where a packet at the front of
    /// `other` is partly written, that one goes first: its rest has to follow at once.
    pub(crate) fn append(&mut self, other: &mut Output) {
        self.take(other);
        self.bulk.append(&mut other.bulk);
    }

    /// As [`append`](Self::append), but packets that go in parts stay in `other` while there are some here: these were
    /// not counted there any more, and could pile up.
    pub(crate) fn take(&mut self, other: &mut Output) {
        if other.written > 0 {
            debug_assert_eq!(self.written, 0, "two packets can't both be partly written");
            std::mem::swap(self, other);
            // Of what goes in parts, the packet that has begun is here, and stays.
            std::mem::swap(&mut self.bulk, &mut other.bulk);
        }
        if self.is_empty() {
            buffer::give(std::mem::take(&mut self.tail));
            self.chunks.clear();
            self.in_chunks = 0;
            self.written = 0;
            self.owed = 0;
            std::mem::swap(self, other);
            return;
        }
        if self.bulk.is_empty() {
            std::mem::swap(&mut self.bulk, &mut other.bulk);
        }
        if other.queued() == 0 {
            return;
        }
        self.mixed = true;
        for chunk in other.chunks.drain(..) {
            self.push(chunk);
        }
        self.push(Chunk::Buffer(std::mem::take(&mut other.tail)));
        other.in_chunks = 0;
        self.owed += std::mem::take(&mut other.owed);
    }

    fn push(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        self.seal_tail();
        self.in_chunks += chunk.len();
        self.chunks.push_back(chunk);
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.in_chunks += self.tail.len();
            self.chunks.push_back(Chunk::Buffer(std::mem::take(&mut self.tail)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes everything out, `step` bytes at most at a time.
    fn drain(output: &mut Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !output.is_empty() {
            let taken = output.with_slices(|slices| {
                let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                assert!(bytes.len() <= WRITE_CAP);
                bytes[..bytes.len().min(step)].to_vec()
            });
            assert!(!taken.is_empty());
            output.advance(taken.len());
            all.extend(taken);
        }
        all
    }

    #[test]
    fn bytes_leave_in_the_order_they_came() {
        for step in [1, 3, 7, 100_000] {
            let mut output = Output::default();
            output.tail().extend_from_slice(b"one ");
            output.push_chunk_from(b"left out two ".to_vec(), 9);
            output.tail().extend_from_slice(b"three ");
            let mut more = Output::default();
            more.tail().extend_from_slice(b"four ");
            more.push_chunk_from(b"nothing".to_vec(), 7);
            more.push_chunk_from(b"x five ".to_vec(), 2);
            more.tail().extend_from_slice(b"six");
            output.append(&mut more);
            assert_eq!(more.len(), 0);
            assert_eq!(output.len(), 27);
            assert_eq!(drain(&mut output, step), b"one two three four five six");
            assert_eq!(output.len(), 0);
        }
    }

    #[test]
    fn a_partly_written_queue_takes_more() {
        let mut output = Output::default();
        output.tail().extend_from_slice(b"abcdef");
        output.advance(2);
        let mut more = Output::default();
        more.tail().extend_from_slice(b"gh");
        output.append(&mut more);
        assert_eq!(output.len(), 6);
        assert_eq!(drain(&mut output, 4), b"cdefgh");
    }

    #[test]
    fn a_partly_written_packet_keeps_its_place_at_the_front() {
        let mut begun = Output::default();
        begun.tail().extend_from_slice(b"abcdef");
        begun.advance(2);
        let mut output = Output::default();
        output.tail().extend_from_slice(b"gh");
        output.append(&mut begun);
        assert!(begun.is_empty());
        assert_eq!(drain(&mut output, 4), b"cdefgh");
    }

    #[test]
    fn small_packets_go_between_the_parts_of_a_large_one() {
        let mut output = Output::default();
        output.push_bulk(b"head ".to_vec(), vec![b'L'; 5 * WRITE_CAP], true);
        assert!(output.as_single().is_none());
        assert_eq!((output.len(), output.owed()), (5 + 5 * WRITE_CAP, 5 + 5 * WRITE_CAP));
        let (mut written, mut small) = (Vec::new(), 0);
        while !output.is_empty() {
            if !output.is_begun() {
                output.refill();
            }
            assert!(output.queued() > 0, "there is always something in the queue");
            let count = output.with_slices(|slices| {
                let before = written.len();
                slices.iter().for_each(|slice| written.extend_from_slice(slice));
                written.len() - before
            });
            output.advance(count);
            if small < 3 {
                // Behind at most one part, and what is left of one.
                let waits = output.queued();
                assert!(waits <= 4 * WRITE_CAP, "{waits}");
                let mut more = Output::default();
                more.tail().extend_from_slice(b"small");
                output.take(&mut more);
                small += 1;
            }
        }
        assert_eq!(output.owed(), 0);
        assert_eq!(written.windows(5).filter(|five| five == b"small").count(), 3);
        assert_eq!(written.iter().filter(|byte| **byte == b'L').count(), 5 * WRITE_CAP);
        let last = written.windows(5).rposition(|five| five == b"small").unwrap();
        assert!(last < written.len() - 5, "the large packet ends after the last small one");
    }

    /// What has been taken is not counted where it came from any more.
    #[test]
    fn packets_that_go_in_parts_are_taken_when_there_are_none_here() {
        let bulk = |payload: usize| {
            let mut output = Output::default();
            output.tail().extend_from_slice(b"small");
            output.push_bulk(Vec::new(), vec![7; payload], false);
            output
        };
        let (mut here, mut there) = (bulk(100_000), bulk(200_000));
        here.take(&mut there);
        assert_eq!((here.len(), there.len()), (100_010, 200_000));
        here.append(&mut there);
        assert_eq!((here.len(), there.len()), (300_010, 0));
    }

    /// The parts of one packet must not be followed by those of another before it is whole.
    #[test]
    fn a_packet_whose_parts_have_begun_goes_on_first() {
        let mut begun = Output::default();
        begun.push_bulk(b"1".to_vec(), vec![1; 200_000], false);
        begun.refill();
        begun.advance(begun.queued());
        let mut other = Output::default();
        other.tail().extend_from_slice(b"partly written");
        other.advance(3);
        other.push_bulk(b"2".to_vec(), vec![2; 200_000], false);
        begun.take(&mut other);
        begun.refill();
        let slices = begun.with_slices(|slices| slices.iter().map(|slice| slice[0]).collect::<Vec<_>>());
        assert_eq!(slices.last(), Some(&1), "{slices:?}");
    }

    #[test]
    fn one_write_is_capped() {
        let mut output = Output::default();
        output.push_chunk(vec![7; 3 * WRITE_CAP]);
        assert_eq!(drain(&mut output, usize::MAX).len(), 3 * WRITE_CAP);
    }
}
