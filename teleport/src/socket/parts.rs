//! A packet that comes in parts.

use bytes::BufMut;
use bytes::buf::Limit;

use super::reader::{Inspected, Oversized, RESERVE, inspect};
use crate::buffer;
use crate::wire::{Limits, WireError};

/// Puts the parts of one packet together.
#[derive(Default)]
pub(super) struct Parts {
    /// What has come of the packet.
    packet: Vec<u8>,
    /// Length that the packet is known to have at least.
    needed: usize,
    /// Bytes still to come of the part that has begun.
    left: usize,
    /// Bytes still to come of a packet that is too large.
    skip: u64,
    /// Something has come since the last look at what it makes.
    fed: bool,
    /// Bytes that have come of the packet, those of one that is too large included.
    came: u64,
}

/// Length of the longest packet that is taken.
fn longest(limits: &Limits) -> usize {
    2 * size_of::<u32>() + limits.max_header as usize + limits.max_body as usize
}

/// What parts came to.
pub(super) enum Parted {
    /// One whole packet.
    Packet(Vec<u8>),
    /// The begin of a packet whose body is over the limit; the rest will be skipped.
    Oversized(Oversized, Vec<u8>),
}

impl Parts {
    /// Begins with a part of this length.
    pub(super) fn begin(&mut self, content: usize) {
        if self.cut().is_none() {
            self.came = 0;
        }
        self.left = content;
    }

    /// Bytes that have come of a packet that is not whole yet.
    pub(super) fn unfinished(&self) -> Option<u64> {
        self.cut().map(|_| self.came)
    }

    /// Bytes of this part that still have to come and have a place in the packet.
    pub(super) fn left(&self) -> usize {
        if self.skip > 0 { 0 } else { self.left }
    }

    /// Whether what comes next is of this part, or has come and was not looked at.
    pub(super) fn is_inside(&self) -> bool {
        self.left > 0 || self.fed
    }

    /// Whether a packet has begun, and the next part of it has not.
    pub(super) fn is_between(&self) -> bool {
        self.left == 0 && !self.packet.is_empty()
    }

    /// How much there is of how much, where a packet has begun.
    pub(super) fn cut(&self) -> Option<(usize, usize)> {
        let needed = self.needed.max(self.packet.len() + self.left);
        (needed > 0 || self.skip > 0).then_some((self.packet.len(), needed))
    }

    /// Bytes that it holds, and could without growing.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.packet.len(), self.packet.capacity())
    }

    /// Where bytes of this part may be read to.
    pub(super) fn room(&mut self, limits: &Limits) -> Limit<&mut Vec<u8>> {
        let have = self.packet.len();
        if have == self.packet.capacity() {
            // Doubling from what has really come keeps a lying length field from costing memory; and that of a part is
            // bound by nothing but the packet, which is no longer than it may be.
            let missing = self.needed.saturating_sub(have).max(self.left);
            let most = longest(limits).saturating_sub(have).max(1);
            self.packet.reserve_exact(missing.min(have.max(RESERVE)).min(most));
        }
        (&mut self.packet).limit(self.left)
    }

    /// Notes that so many bytes were read into the room.
    pub(super) fn came(&mut self, count: usize) {
        self.left -= count;
        self.came += count as u64;
        self.fed = true;
    }

    /// Takes what belongs to this part; returns the rest.
    pub(super) fn take<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let (ours, rest) = input.split_at(self.left.min(input.len()));
        self.left -= ours.len();
        self.came += ours.len() as u64;
        self.fed = true;
        if self.skip == 0 {
            if self.packet.capacity() == 0 {
                self.packet = buffer::take();
            }
            self.packet.extend_from_slice(ours);
        } else {
            self.skip = self.skip.saturating_sub(ours.len() as u64);
        }
        rest
    }

    /// The packet, once it is whole.
    ///
    /// # Errors
    ///
    /// A part within a part, and a part that goes on after its packet's end.
    pub(super) fn next(&mut self, limits: &Limits) -> Result<Option<Parted>, WireError> {
        self.fed = false;
        if self.skip > 0 || self.packet.len() < self.needed || self.packet.is_empty() {
            return Ok(None);
        }
        match inspect(&self.packet, limits)? {
            Inspected::Incomplete(total) => {
                self.needed = total;
                Ok(None)
            }
            Inspected::Complete(parts) if parts.len == self.packet.len() && self.left == 0 => {
                self.needed = 0;
                Ok(Some(Parted::Packet(std::mem::take(&mut self.packet))))
            }
            Inspected::Oversized(oversized) => {
                let came = (self.packet.len() - oversized.body_start) as u64;
                self.skip = oversized.body.saturating_sub(came);
                self.needed = 0;
                Ok(Some(Parted::Oversized(oversized, std::mem::take(&mut self.packet))))
            }
            Inspected::Complete(_) => Err(WireError::frame("a part goes on after the end of its packet")),
            Inspected::Part(_) => Err(WireError::frame("a part of a packet is in parts itself")),
        }
    }
}
