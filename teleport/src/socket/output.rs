//! Bytes that wait to be written, in order.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::buffer;

/// One write hands the system about this many bytes, so that a session with much to say still reads in between.
/// 48 KiB is where larger writes stopped being faster on loopback.
const WRITE_CAP: usize = 48 * 1024;
/// Chunks in one write.
const SLICES: usize = 16;

/// A queue of bytes in a few large chunks; small packets share one, a large body has its own.
#[derive(Default)]
pub(crate) struct Output {
    chunks: VecDeque<Vec<u8>>,
    tail: Vec<u8>,
    /// Bytes of the first chunk that are written already.
    written: usize,
    /// Bytes in `chunks`, without `tail`.
    in_chunks: usize,
    /// Bytes of replies that were added since the queue was empty.
    owed: usize,
}

impl Output {
    /// Bytes waiting.
    pub(crate) fn len(&self) -> usize {
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
        self.owed.min(self.len())
    }

    /// Whether the first packet is partly written.
    pub(crate) fn is_begun(&self) -> bool {
        self.written > 0
    }

    /// Where the next packet is appended.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        if self.tail.capacity() == 0 {
            self.tail = buffer::take();
        }
        &mut self.tail
    }

    /// Queues a whole buffer without copying it.
    pub(crate) fn push_chunk(&mut self, chunk: Vec<u8>) {
        if chunk.is_empty() {
            return;
        }
        self.seal_tail();
        self.in_chunks += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// The queue as one slice, where nothing large is in it.
    pub(crate) fn as_single(&self) -> Option<&[u8]> {
        self.chunks.is_empty().then(|| &self.tail[self.written..])
    }

    /// The front of the queue as slices for one write.
    pub(crate) fn with_slices<R>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        let mut room = WRITE_CAP;
        let mut skip = self.written;
        for chunk in self.chunks.iter().chain(std::iter::once(&self.tail)) {
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
            buffer::give(self.chunks.pop_front().unwrap_or_default());
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
        if other.written > 0 {
            debug_assert_eq!(self.written, 0, "two packets can't both be partly written");
            std::mem::swap(self, other);
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
        for chunk in other.chunks.drain(..) {
            self.push_chunk(chunk);
        }
        self.push_chunk(std::mem::take(&mut other.tail));
        other.in_chunks = 0;
        self.owed += std::mem::take(&mut other.owed);
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.in_chunks += self.tail.len();
            self.chunks.push_back(std::mem::take(&mut self.tail));
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
            output.push_chunk(b"two ".to_vec());
            output.tail().extend_from_slice(b"three ");
            let mut more = Output::default();
            more.tail().extend_from_slice(b"four ");
            more.push_chunk(b"five ".to_vec());
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
    fn one_write_is_capped() {
        let mut output = Output::default();
        output.push_chunk(vec![7; 3 * WRITE_CAP]);
        assert_eq!(drain(&mut output, usize::MAX).len(), 3 * WRITE_CAP);
    }
}
