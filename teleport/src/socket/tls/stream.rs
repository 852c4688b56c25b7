//! A connection over TLS as the session's driver and its callers use it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Buf;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_util::io::poll_read_buf;

use super::explain::{self, Side};
use crate::buffer;
use crate::socket::writer::Writer;

/// Bytes read from the socket at once. By itself the TLS layer asks for 4 KiB at a time.
const READ: usize = 64 * 1024;
/// First bytes of the other side that are remembered, to tell what it speaks.
const FIRST: usize = 8;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A TCP stream that is read in large pieces, and remembers how it began.
pub(super) struct Inlet {
    stream: TcpStream,
    /// Bytes read and not yet asked for. Without any there is no buffer.
    held: Vec<u8>,
    taken: usize,
    first: [u8; FIRST],
    first_len: usize,
}

impl Inlet {
    pub(super) fn new(stream: TcpStream) -> Self {
        Inlet { stream, held: Vec::new(), taken: 0, first: [0; FIRST], first_len: 0 }
    }

    /// The first bytes that came, as far as they have.
    pub(super) fn first(&self) -> &[u8] {
        &self.first[..self.first_len]
    }

    /// Waits for the first bytes; `false` where the other side ends its direction instead.
    pub(super) async fn begin(&mut self) -> io::Result<bool> {
        while self.held.is_empty() {
            self.stream.readable().await?;
            let mut bytes = [0; 512];
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.note(&bytes[..count]);
                    self.held = buffer::take();
                    self.held.extend_from_slice(&bytes[..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    fn note(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(FIRST - self.first_len);
        self.first[self.first_len..self.first_len + count].copy_from_slice(&bytes[..count]);
        self.first_len += count;
    }

    /// Reads what there is, hands on what `buf` has room for and holds the rest.
    fn poll_fill(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut scratch = SCRATCH.take();
        scratch.reserve_exact(READ);
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut scratch);
        if matches!(read, Poll::Ready(Ok(_))) {
            if self.first_len < FIRST {
                self.note(&scratch);
            }
            let (now, later) = scratch.split_at(scratch.len().min(buf.remaining()));
            buf.put_slice(now);
            if !later.is_empty() {
                self.held = buffer::take();
                self.held.extend_from_slice(later);
            }
        }
        scratch.clear();
        SCRATCH.set(scratch);
        read.map_ok(|_| ())
    }
}

impl AsyncRead for Inlet {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return self.poll_fill(cx, buf);
        }
        let mut held = &self.held[self.taken..];
        let count = held.remaining().min(buf.remaining());
        buf.put_slice(&held[..count]);
        held.advance(count);
        if held.is_empty() {
            buffer::give(std::mem::take(&mut self.held));
            self.taken = 0;
        } else {
            self.taken += count;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Inlet {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream whose handshake is through. Reading and writing share the state of TLS, so they share a lock; the driver
/// does both, and finds it free but for callers that write in place.
struct Shared {
    state: Mutex<State>,
    side: Side,
}

struct State {
    stream: TlsStream<Inlet>,
    /// The driver's, which whoever writes in place polls with: so it is the driver that is woken to write what is left.
    driver: Option<Waker>,
}

impl Shared {
    /// Polls the stream for the driver.
    fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TlsStream<Inlet>>, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let mut state = self.state.lock();
        if !state.driver.as_ref().is_some_and(|driver| driver.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        poll(Pin::new(&mut state.stream), cx).map_err(|error| explain::session(error, self.side))
    }
}

pub(super) struct ReadHalf(Arc<Shared>);

pub(super) struct WriteHalf(Arc<Shared>);

/// Both halves of a stream whose handshake is through.
pub(super) fn split(stream: TlsStream<Inlet>) -> (ReadHalf, WriteHalf) {
    let side = match stream {
        TlsStream::Client(_) => Side::Dialer,
        TlsStream::Server(_) => Side::Listener,
    };
    let shared = Arc::new(Shared { state: Mutex::new(State { stream, driver: None }), side });
    (ReadHalf(shared.clone()), WriteHalf(shared))
}

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match ready!(self.0.poll(cx, |stream, cx| stream.poll_read(cx, buf))) {
            // The connection ended without the end of TLS, as that of a killed process does. Packets say how long they
            // are: the reader tells of one that was cut, and between two nothing is missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => Poll::Ready(read),
        }
    }
}

impl Writer for WriteHalf {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let would_block = || Err(io::ErrorKind::WouldBlock.into());
        // The driver has it: it is about to look at the output anyway.
        let Some(mut state) = self.0.state.try_lock() else { return would_block() };
        let Some(driver) = state.driver.clone() else { return would_block() };
        match Pin::new(&mut state.stream).poll_write(&mut Context::from_waker(&driver), bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => would_block(),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Wake;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use tokio::sync::Notify;
    use tokio::time::timeout;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::socket::{Tls, TlsCell};

    /// Tells that it was woken.
    #[derive(Default)]
    struct Woken(Notify);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.notify_one();
        }
    }

    /// Both ends of a connection whose handshake is through.
    async fn pair() -> (TlsStream<Inlet>, TlsStream<Inlet>) {
        let own = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let tls = Tls::new().identity_pem(own.cert.pem(), own.signing_key.serialize_pem());
        let tls = TlsCell::new(Some(tls.danger_accept_any_server())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialed = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let (config, name) = tls.client("a.example", None).unwrap();
        let dialer = TlsConnector::from(config).connect(name, Inlet::new(dialed));
        let listener = TlsAcceptor::from(tls.server().unwrap()).accept(Inlet::new(accepted));
        let (dialer, listener) = tokio::join!(dialer, listener);
        (dialer.unwrap().into(), listener.unwrap().into())
    }

    #[tokio::test]
    async fn what_a_caller_could_not_write_is_left_to_the_driver() {
        let (near, mut far) = pair().await;
        let (_reader, writer) = split(near);
        assert_eq!(
            writer.try_write(b"early").unwrap_err().kind(),
            io::ErrorKind::WouldBlock,
            "there is no driver"
        );
        let woken = Arc::new(Woken::default());
        let driver = Waker::from(woken.clone());
        assert!(writer.poll_flush(&mut Context::from_waker(&driver)).is_ready());
        let mut written = 0;
        loop {
            match writer.try_write(&[7; 10_000]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
            // A write counts against the budget of its task.
            tokio::task::yield_now().await;
        }
        let reading = tokio::spawn(async move {
            let mut got = vec![0; written];
            far.read_exact(&mut got).await.map(|_| got)
        });
        timeout(Duration::from_secs(60), woken.0.notified()).await.expect("the driver is woken");
        poll_fn(|cx| writer.poll_flush(cx)).await.unwrap();
        let got = reading.await.unwrap().unwrap();
        assert!(got.iter().all(|byte| *byte == 7));
    }
}
