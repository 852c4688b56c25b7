//! A stream of bytes between two peers that does with them what a script says.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a lane holds before its writer waits.
const ROOM: usize = 8 * 1024;

/// Both directions; the first leads away from the side that dialed.
#[derive(Clone, Default)]
pub(super) struct Link([Arc<Mutex<Lane>>; 2]);

/// One end, as a session uses it.
pub(super) struct End {
    reads: Arc<Mutex<Lane>>,
    writes: Arc<Mutex<Lane>>,
}

/// One direction.
#[derive(Default)]
struct Lane {
    /// Written, and on its way.
    moving: VecDeque<u8>,
    /// There, and not yet read.
    arrived: VecDeque<u8>,
    /// What is written stays on its way until it is let through.
    is_held: bool,
    /// So many of the next reads and writes are of so many bytes at most.
    split: (u32, usize),
    end: Option<Ending>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// No more is written; what was arrives.
    Shut,
    /// Both ends are told that the connection is lost.
    Reset,
    /// What is written vanishes, and nobody is told.
    Lost,
}

impl Link {
    pub(super) fn ends(&self) -> (End, End) {
        let [there, back] = &self.0;
        (
            End { reads: back.clone(), writes: there.clone() },
            End { reads: there.clone(), writes: back.clone() },
        )
    }

    /// From now on, what this side writes stays on its way.
    pub(super) fn hold(&self, side: usize) {
        self.0[side].lock().is_held = true;
    }

    /// So many of the bytes that are on their way arrive.
    pub(super) fn deliver(&self, side: usize, count: usize) {
        self.0[side].lock().arrive(count);
    }

    /// Everything that is on its way arrives, and so does what follows.
    pub(super) fn release(&self, side: usize) {
        let mut lane = self.0[side].lock();
        lane.is_held = false;
        lane.arrive(usize::MAX);
    }

    /// The next reads and writes are of so many bytes at most.
    pub(super) fn split(&self, side: usize, times: u32, most: usize) {
        self.0[side].lock().split = (times, most);
    }

    /// The connection is lost, and both sides are told.
    pub(super) fn cut(&self) {
        self.0.iter().for_each(|lane| lane.lock().end_as(Ending::Reset));
    }

    /// What this side writes from now on vanishes.
    pub(super) fn lose(&self, side: usize) {
        self.0[side].lock().end_as(Ending::Lost);
    }

    /// As if this side wrote no more.
    pub(super) fn shut(&self, side: usize) {
        self.0[side].lock().end_as(Ending::Shut);
    }

    /// Lets everything through; where something is lost, both sides are told.
    pub(super) fn heal(&self) {
        if self.0.iter().any(|lane| lane.lock().end == Some(Ending::Lost)) {
            self.cut();
        }
        (0..2).for_each(|side| self.release(side));
    }

    /// Whether bytes are kept back.
    pub(super) fn is_held(&self) -> bool {
        self.0.iter().any(|lane| lane.lock().is_held)
    }
}

impl Lane {
    fn arrive(&mut self, count: usize) {
        let count = count.min(self.moving.len());
        if self.arrived.is_empty() && count == self.moving.len() {
            std::mem::swap(&mut self.arrived, &mut self.moving);
        } else {
            self.arrived.extend(self.moving.drain(..count));
        }
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    /// The first ending stays, but for one that tells more.
    fn end_as(&mut self, ending: Ending) {
        if self.end != Some(Ending::Reset) {
            self.end = Some(ending);
        }
        if ending == Ending::Lost {
            self.moving.clear();
        }
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// How many bytes this read or write may be of.
    fn most(&mut self) -> usize {
        match &mut self.split {
            (0, _) => usize::MAX,
            (times, most) => {
                *times -= 1;
                *most
            }
        }
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut lane = self.reads.lock();
        if lane.end == Some(Ending::Reset) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if lane.arrived.is_empty() {
            if lane.end == Some(Ending::Shut) && lane.moving.is_empty() {
                return Poll::Ready(Ok(()));
            }
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let most = lane.most();
        let bytes = lane.arrived.as_slices().0;
        let count = bytes.len().min(buf.remaining()).min(most);
        buf.put_slice(&bytes[..count]);
        lane.arrived.drain(..count);
        lane.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut lane = self.writes.lock();
        match lane.end {
            Some(Ending::Lost) => return Poll::Ready(Ok(bytes.len())),
            Some(_) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            None => {}
        }
        let room = ROOM.saturating_sub(lane.moving.len() + lane.arrived.len());
        if room == 0 {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room).min(lane.most());
        lane.moving.extend(&bytes[..count]);
        if !lane.is_held {
            lane.arrive(usize::MAX);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut lane = self.writes.lock();
        if lane.end.is_none() {
            lane.end_as(Ending::Shut);
        }
        Poll::Ready(Ok(()))
    }
}

/// What the other side wrote is not read any more, and no more is written.
impl Drop for End {
    fn drop(&mut self) {
        let mut writes = self.writes.lock();
        if writes.end.is_none() {
            writes.end_as(Ending::Shut);
        }
        drop(writes);
        self.reads.lock().end_as(Ending::Reset);
    }
}
