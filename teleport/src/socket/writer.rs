//! The write side of a connection, shared by the session's driver and its callers.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::AsyncWrite;

/// Writes bytes to a connection through a shared reference.
///
/// One task polls; any other may [`try_write`](Self::try_write) while the session's state says that the polling
/// task has nothing under way.
pub(crate) trait Writer: Send + Sync {
    /// Writes what goes at once, or `WouldBlock`; a transport that can't do so always answers `WouldBlock`.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes some of `slices`, or arranges a wake-up for when some can be written.
    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Pushes on what the transport itself holds back.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends this direction, so that the other side reads an end.
    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The write half of a socket that the system lets several threads write to.
pub(super) trait SocketHalf: Send + Sync {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn shutdown_write(&self) -> io::Result<()>;
}

impl<H: SocketHalf> Writer for H {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        SocketHalf::try_write(self, bytes)
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            match self.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}

/// The write half of any other stream.
pub(super) struct StreamWriter<W> {
    stream: Mutex<Pin<Box<W>>>,
}

impl<W: AsyncWrite> StreamWriter<W> {
    pub(super) fn new(stream: W) -> Self {
        StreamWriter { stream: Mutex::new(Box::pin(stream)) }
    }
}

impl<W: AsyncWrite + Send> Writer for StreamWriter<W> {
    fn try_write(&self, _: &[u8]) -> io::Result<usize> {
        // Polling here with another waker would lose the driver's wake-up.
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.stream.lock().as_mut().poll_write_vectored(cx, slices)
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.lock().as_mut().poll_flush(cx)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.lock().as_mut().poll_shutdown(cx)
    }
}
