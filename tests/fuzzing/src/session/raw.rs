//! The other side, which is nothing but bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use super::meter::Meter;

/// Bytes on their way in each direction.
const ON_THE_WAY: usize = 4 * 1024;
/// Bytes that wait here to be sent; what goes beyond is forgotten, and with it where packets begin.
const WAITING: usize = 512 * 1024;

/// The other side.
pub(super) struct Raw {
    near: DuplexStream,
    far: Option<DuplexStream>,
    waiting: Vec<u8>,
    sent: usize,
    /// Something was left out of what it sent.
    pub(super) is_torn: bool,
    read: Box<[u8; 16 * 1024]>,
}

impl Raw {
    pub(super) fn new() -> Self {
        let (near, far) = tokio::io::duplex(ON_THE_WAY);
        // All that it will ever hold, so that none of it is counted later.
        let waiting = Vec::with_capacity(WAITING);
        Raw { near, far: Some(far), waiting, sent: 0, is_torn: false, read: Box::new([0; 16 * 1024]) }
    }

    /// The session's end.
    pub(super) fn far(&mut self) -> DuplexStream {
        self.far.take().expect("taken once")
    }

    /// Sends as much of the bytes as is taken now; the rest when it next gets to it.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        if self.sent == self.waiting.len() {
            self.waiting.clear();
            self.sent = 0;
        }
        if bytes.len() > WAITING - self.waiting.len() {
            self.is_torn = true;
            return;
        }
        self.waiting.extend_from_slice(bytes);
        self.go_on().await;
    }

    /// Sends what waits, as far as it is taken.
    pub(super) async fn go_on(&mut self) {
        let mut turns = 0;
        while self.sent < self.waiting.len() && turns < 3 {
            let rest = &self.waiting[self.sent..];
            let written =
                std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut self.near).poll_write(cx, rest)));
            match written.await {
                Poll::Ready(Ok(count)) => self.sent += count,
                Poll::Ready(Err(_)) => self.sent = self.waiting.len(),
                Poll::Pending => {
                    turns += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Whether all was taken that it has sent.
    pub(super) fn is_through(&self) -> bool {
        self.sent == self.waiting.len()
    }

    /// What the peer has written, as much as there is, in turns.
    pub(super) async fn read(&mut self) -> &[u8] {
        let read = std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut self.read[..]);
            let read = Pin::new(&mut self.near).poll_read(cx, &mut buffer);
            Poll::Ready(if read.is_ready() { buffer.filled().len() } else { 0 })
        });
        let count = read.await;
        &self.read[..count]
    }

    /// Some of what the peer writes, once there is any; `None` at its end.
    pub(super) async fn wait(&mut self) -> Option<&[u8]> {
        match self.near.read(&mut self.read[..]).await {
            Ok(0) | Err(_) => None,
            Ok(count) => Some(&self.read[..count]),
        }
    }

    /// Ends its own direction.
    pub(super) async fn end(&mut self) {
        self.is_torn = true;
        let _ = self.near.shutdown().await;
    }
}

/// The session's end of the stream, which looks at the meter whenever it is used.
pub(super) struct Pipe {
    stream: DuplexStream,
    meter: Meter,
}

impl Pipe {
    pub(super) fn new(stream: DuplexStream, meter: &Meter) -> Self {
        Pipe { stream, meter: meter.clone() }
    }

    fn stream(&mut self) -> Pin<&mut DuplexStream> {
        self.meter.look();
        Pin::new(&mut self.stream)
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}
