//! Packets out of a stream of bytes.
//!
//! Bytes are read into a scratch buffer of the thread and handed on from there; a session keeps only the start
//! of a packet whose rest has not come yet. A large packet is read straight into a buffer of its own.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::parts::{Parted, Parts};
use crate::buffer;
use crate::wire::{self, Frame, FrameParts, Limits, PART_HEAD, WireError, read_part_head};

/// Bytes read at once. 64 KiB holds a thousand small packets; more did not make reading faster.
const SCRATCH: usize = 64 * 1024;
/// A packet that misses more than this is read into its own buffer: a copy would cost more than a read.
const DIRECT: usize = SCRATCH / 2;
/// Room made for a packet before its bytes come. A length field alone reserves no more than this.
pub(super) const RESERVE: usize = 1024 * 1024;
/// Bytes read at once between two parts of a packet: some small packets.
const BETWEEN_PARTS: usize = 4 * 1024;

/// Reads packets from the bytes of a connection.
pub(crate) struct PacketReader {
    source: Box<dyn AsyncRead + Send + Unpin>,
    /// The start of a packet whose rest has not come yet.
    partial: Vec<u8>,
    /// Length that the packet in `partial` is known to have at least; 0 where there is none.
    needed: usize,
    /// Bytes read but held back because the receiver paused.
    held: Vec<u8>,
    /// Bytes still to come of a body that is over the limit.
    skip: u64,
    /// Bytes that such a body has.
    skip_of: u64,
    /// Packets so far that did not come in one read.
    begun: u32,
    parts: Parts,
}

/// A packet whose rest has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// Another one has another number.
    pub(crate) number: u32,
    /// Bytes that have come of it.
    pub(crate) bytes: u64,
}

/// What the reader hands on.
pub(crate) enum Arrival<'a> {
    /// One whole packet in the read buffer.
    Borrowed(&'a [u8], FrameParts),
    /// One whole packet in a buffer of its own.
    Owned(Vec<u8>),
    /// The header of a packet whose body of this many bytes is over the limit and will be skipped.
    Oversized {
        /// Id of the header's codec.
        header_codec: u8,
        /// The header without its codec id.
        header: &'a [u8],
        /// Length of the body, codec id included.
        body: u64,
    },
}

/// The receiver's answer to an [`Arrival`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Hand on the next.
    Continue,
    /// Hold the rest back until the next poll.
    Pause,
}

/// What one poll came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// All the packets that were there are handed on.
    Done,
    /// The receiver paused.
    Paused,
    /// The other side ended its direction between two packets.
    End,
}

#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Wire(WireError),
    /// The connection ended in the middle of a packet: so many bytes of so many were there.
    Cut {
        have: usize,
        needed: usize,
    },
}

impl PacketReader {
    pub(crate) fn new(source: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        PacketReader {
            source,
            partial: Vec::new(),
            needed: 0,
            held: Vec::new(),
            skip: 0,
            skip_of: 0,
            begun: 0,
            parts: Parts::default(),
        }
    }

    /// Reads once and hands every whole packet to `receive`. Call again at once after `Done`, after the receiver
    /// has room again after `Paused`, and never after `End` or an error.
    pub(crate) fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        receive: &mut dyn FnMut(Arrival<'_>) -> Result<Flow, WireError>,
    ) -> Poll<Result<Batch, ReadError>> {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let batch = self.hand_on(&held, limits, receive);
            buffer::give(held);
            return Poll::Ready(batch.map_err(ReadError::Wire));
        }
        if self.parts.left() >= DIRECT {
            let mut room = self.parts.room(limits);
            let count =
                ready!(poll_read_buf(Pin::new(&mut self.source), cx, &mut room)).map_err(ReadError::Io)?;
            if count == 0 {
                return Poll::Ready(self.end());
            }
            self.parts.came(count);
            return Poll::Ready(self.hand_on(&[], limits, receive).map_err(ReadError::Wire));
        }
        if self.skip == 0 && self.needed.saturating_sub(self.partial.len()) >= DIRECT {
            return self.poll_direct(cx, limits, receive);
        }
        let mut scratch = SCRATCH_BUFFER.take();
        scratch.reserve_exact(SCRATCH);
        // Between two parts little is read at once, so that the next is read into its place.
        let most = if self.parts.is_between() { BETWEEN_PARTS } else { SCRATCH };
        let read = poll_read_buf(Pin::new(&mut self.source), cx, &mut (&mut scratch).limit(most));
        let batch = match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(ReadError::Io(error))),
            Poll::Ready(Ok(0)) => Poll::Ready(self.end()),
            Poll::Ready(Ok(_)) => {
                Poll::Ready(self.hand_on(&scratch, limits, receive).map_err(ReadError::Wire))
            }
        };
        scratch.clear();
        SCRATCH_BUFFER.set(scratch);
        batch
    }

    /// The packet that has begun to come, and whose rest has not come yet. Of a packet in parts and one between them it is
    /// the former.
    pub(crate) fn unfinished(&self) -> Option<Unfinished> {
        let bytes = match self.parts.unfinished() {
            Some(bytes) => bytes,
            None if self.skip > 0 => self.skip_of - self.skip,
            None if self.partial.is_empty() => return None,
            None => self.partial.len() as u64,
        };
        Some(Unfinished { number: self.begun, bytes })
    }

    /// Another packet begins that does not come in one read.
    fn begin(&mut self) {
        if self.parts.unfinished().is_none() {
            self.begun = self.begun.wrapping_add(1);
        }
    }

    fn begin_skip(&mut self, body: u64) {
        self.begin();
        (self.skip, self.skip_of) = (body, body);
    }

    /// Reads into the buffer of the packet that has begun.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
        receive: &mut dyn FnMut(Arrival<'_>) -> Result<Flow, WireError>,
    ) -> Poll<Result<Batch, ReadError>> {
        let missing = self.needed - self.partial.len();
        if self.partial.len() == self.partial.capacity() {
            // Doubling from what has really come keeps a lying length field from costing memory.
            self.partial.reserve_exact(missing.min(self.partial.len().max(RESERVE)));
        }
        let mut room = (&mut self.partial).limit(missing);
        let count =
            ready!(poll_read_buf(Pin::new(&mut self.source), cx, &mut room)).map_err(ReadError::Io)?;
        if count == 0 {
            return Poll::Ready(self.end());
        }
        Poll::Ready(self.hand_on(&[], limits, receive).map_err(ReadError::Wire))
    }

    fn end(&self) -> Result<Batch, ReadError> {
        if self.skip > 0 {
            return Err(ReadError::Cut { have: 0, needed: usize::try_from(self.skip).unwrap_or(usize::MAX) });
        }
        if let Some((have, needed)) = self.parts.cut() {
            return Err(ReadError::Cut { have, needed });
        }
        if self.partial.is_empty() {
            return Ok(Batch::End);
        }
        Err(ReadError::Cut { have: self.partial.len(), needed: self.needed })
    }

    /// Hands on the packet that `input` completes and those that stand whole in it; keeps what is left over.
    fn hand_on(
        &mut self,
        mut input: &[u8],
        limits: &Limits,
        receive: &mut dyn FnMut(Arrival<'_>) -> Result<Flow, WireError>,
    ) -> Result<Batch, WireError> {
        loop {
            if self.skip > 0 {
                let count = self.skip.min(input.len() as u64);
                self.skip -= count;
                // No more than `input.len()`, so it fits.
                input = &input[usize::try_from(count).unwrap_or(input.len())..];
                if self.skip > 0 {
                    return Ok(Batch::Done);
                }
            }
            let flow = if self.parts.is_inside() {
                input = self.parts.take(input);
                match self.parts.next(limits)? {
                    None if input.is_empty() => return Ok(Batch::Done),
                    None => Flow::Continue,
                    Some(Parted::Packet(packet)) => receive(Arrival::Owned(packet))?,
                    Some(Parted::Oversized(oversized, begin)) => receive(oversized.arrival(&begin))?,
                }
            } else if self.partial.is_empty() {
                match inspect(input, limits)? {
                    Inspected::Incomplete(_) if input.is_empty() => return Ok(Batch::Done),
                    Inspected::Incomplete(total) => {
                        self.begin();
                        self.needed = total;
                        self.partial = buffer::take();
                        self.partial.extend_from_slice(input);
                        return Ok(Batch::Done);
                    }
                    Inspected::Oversized(oversized) => {
                        let arrival = oversized.arrival(input);
                        input = &input[oversized.body_start..];
                        self.begin_skip(oversized.body);
                        receive(arrival)?
                    }
                    Inspected::Part(content) => {
                        input = &input[PART_HEAD..];
                        self.begin();
                        self.parts.begin(content);
                        Flow::Continue
                    }
                    Inspected::Complete(parts) => {
                        let packet = &input[..parts.len];
                        input = &input[parts.len..];
                        receive(Arrival::Borrowed(packet, parts))?
                    }
                }
            } else {
                let count = (self.needed.saturating_sub(self.partial.len())).min(input.len());
                self.partial.extend_from_slice(&input[..count]);
                input = &input[count..];
                if self.partial.len() < self.needed {
                    return Ok(Batch::Done);
                }
                match inspect(&self.partial, limits)? {
                    Inspected::Incomplete(total) => {
                        self.needed = total;
                        if input.is_empty() {
                            return Ok(Batch::Done);
                        }
                        continue;
                    }
                    Inspected::Oversized(oversized) => {
                        // `partial` never holds more than `needed`, so nothing of the body is in it.
                        self.begin_skip(oversized.body);
                        self.needed = 0;
                        let partial = std::mem::take(&mut self.partial);
                        let flow = receive(oversized.arrival(&partial));
                        buffer::give(partial);
                        flow?
                    }
                    Inspected::Part(content) => {
                        // `partial` never holds more than `needed`, so nothing of the content is in it.
                        self.needed = 0;
                        buffer::give(std::mem::take(&mut self.partial));
                        self.begin();
                        self.parts.begin(content);
                        Flow::Continue
                    }
                    Inspected::Complete(_) => {
                        self.needed = 0;
                        receive(Arrival::Owned(std::mem::take(&mut self.partial)))?
                    }
                }
            };
            if flow == Flow::Pause {
                if !input.is_empty() {
                    self.held = buffer::take();
                    self.held.extend_from_slice(input);
                }
                return Ok(Batch::Paused);
            }
        }
    }
}

thread_local! {
    static SCRATCH_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(super) enum Inspected {
    Incomplete(usize),
    Complete(FrameParts),
    Oversized(Oversized),
    /// A part with so many bytes of content.
    Part(usize),
}

pub(super) struct Oversized {
    header_len: usize,
    pub(super) body_start: usize,
    pub(super) body: u64,
}

impl Oversized {
    fn arrival<'a>(&self, packet: &'a [u8]) -> Arrival<'a> {
        Arrival::Oversized {
            header_codec: packet[4],
            header: &packet[5..4 + self.header_len],
            body: self.body,
        }
    }
}

/// Like [`wire::split`], but a body over the limit is told together with its header, so that it can be answered, and
/// the head of a part is enough.
#[inline]
pub(super) fn inspect(buf: &[u8], limits: &Limits) -> Result<Inspected, WireError> {
    match read_part_head(buf)? {
        None => {}
        Some(None) => return Ok(Inspected::Incomplete(PART_HEAD)),
        Some(Some(content)) => return Ok(Inspected::Part(content)),
    }
    match wire::split(buf, limits) {
        Ok(Frame::Complete(parts)) => Ok(Inspected::Complete(parts)),
        Ok(Frame::Incomplete { total }) => Ok(Inspected::Incomplete(total)),
        Err(error) => oversized(buf, limits).map(Inspected::Oversized).ok_or(error),
    }
}

#[cold]
fn oversized(buf: &[u8], limits: &Limits) -> Option<Oversized> {
    let length = |at: usize| -> Option<u32> { Some(u32::from_be_bytes(*buf.get(at..)?.first_chunk()?)) };
    let header_len = length(0)?;
    if header_len == 0 || header_len > limits.max_header {
        return None;
    }
    let header_len = usize::try_from(header_len).ok()?;
    let body = length(4 + header_len)?;
    (body > limits.max_body).then_some(Oversized {
        header_len,
        body_start: 8 + header_len,
        body: u64::from(body),
    })
}

#[cfg(test)]
mod tests;
