//! The limit that tokio sets: frames of a length, an id and a body; one task on each side of a connection.
//!
//! Everything that is there is read at once, each body is decoded and encoded again, and what that makes is written at
//! once. There is no routing, no future and no wake-up for a call, no timeout, no limit: nothing a framework could do
//! without. The struct is bincode as in Teleport and tarpc; bytes are copied in once and out once.

use std::future::poll_fn;
use std::hint::black_box;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bincode::Options;
use bytes::{Buf, BytesMut};
use teleport_benches::Result;
use teleport_benches::payload::{Echo, bytes};
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::io::poll_read_buf;

use super::not_taken;
use crate::load::{Gauge, Meter};
use crate::workload::{Payload, Workload};

/// Length and id.
const HEAD: usize = 12;
/// Room for one read.
const READ: usize = 128 * 1024;
/// The bit of an id that says that the body is bytes; else it is the struct.
const IS_BYTES: u64 = 1 << 63;

pub(super) async fn serve(ready: impl FnOnce(SocketAddr) -> Result<()>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    ready(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let echo = |id, body: &[u8], out: &mut Vec<u8>| match id & IS_BYTES {
                0 => write_echo(out, id, &read_echo(body)),
                // Copied, as a handler that takes them needs it, whatever the compiler makes of that.
                _ => write_bytes(out, id, &black_box(body.to_vec())),
            };
            // It ends with the connection.
            let _ = Pump::new(stream).run(echo).await;
        });
    }
}

pub(super) async fn load(address: SocketAddr, workload: Workload, seconds: f64) -> Result<()> {
    let meter = Meter::new(workload);
    let mut gauges = meter.gauges();
    let mut tasks = JoinSet::new();
    for _ in 0..workload.connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let gauges = gauges.by_ref().take(workload.in_flight).collect();
        let window = Window { gauges, began: vec![None; workload.in_flight] };
        match workload.payload {
            Payload::Echo => tasks.spawn(window.echo(Pump::new(stream))),
            Payload::Bytes(size) => tasks.spawn(window.bytes(Pump::new(stream), size)),
            Payload::Gzip(_) => return Err(not_taken(workload)),
        };
    }
    meter.window(seconds).await?;
    // When the load is over the calls in flight are given up.
    tasks.shutdown().await;
    Ok(())
}

/// The calls in flight on one connection, which one task keeps.
struct Window {
    gauges: Vec<Gauge>,
    began: Vec<Option<Instant>>,
}

impl Window {
    async fn echo(mut self, mut pump: Pump) {
        for id in 0..self.gauges.len() {
            self.began[id] = self.gauges[id].begin();
            write_echo(&mut pump.out, id as u64, &Echo::sample(id as u64));
        }
        let handle = |id: u64, body: &[u8], out: &mut Vec<u8>| {
            let mut echo = read_echo(body);
            self.turn(id);
            echo.id += 1;
            write_echo(out, id, &echo);
        };
        pump.run(handle).await.expect("the server reads and writes");
    }

    async fn bytes(mut self, mut pump: Pump, size: usize) {
        for id in 0..self.gauges.len() {
            self.began[id] = self.gauges[id].begin();
            write_bytes(&mut pump.out, id as u64 | IS_BYTES, &bytes(size));
        }
        let handle = |id: u64, body: &[u8], out: &mut Vec<u8>| {
            let bytes = black_box(body.to_vec());
            assert_eq!(bytes.len(), size);
            self.turn(id & !IS_BYTES);
            write_bytes(out, id, &bytes);
        };
        pump.run(handle).await.expect("the server reads and writes");
    }

    /// One call has ended and the next begins.
    fn turn(&mut self, id: u64) {
        let (gauge, began) = (&mut self.gauges[id as usize], &mut self.began[id as usize]);
        gauge.end(*began);
        *began = gauge.begin();
    }
}

/// One side of a connection: reads frames and writes frames, both as many at once as there are.
struct Pump {
    stream: TcpStream,
    input: BytesMut,
    out: Vec<u8>,
    /// Bytes at the front of `out` that are written.
    written: usize,
}

impl Pump {
    fn new(stream: TcpStream) -> Self {
        Pump { stream, input: BytesMut::new(), out: Vec::new(), written: 0 }
    }

    /// Hands id and body of each frame to `handle`, and writes what that appends; ends with the connection.
    async fn run(mut self, mut handle: impl FnMut(u64, &[u8], &mut Vec<u8>)) -> Result<()> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                    return Poll::Ready(Err(error));
                }
                if ready!(self.poll_read(cx))? == 0 {
                    return Poll::Ready(Ok(()));
                }
                while let Some(length) = whole_frame(&self.input) {
                    let id = u64::from_le_bytes(self.input[4..HEAD].try_into()?);
                    handle(id, &self.input[HEAD..length], &mut self.out);
                    self.input.advance(length);
                }
            }
        })
        .await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        // A large frame is read into a buffer of its size.
        let needed = frame_length(&self.input).unwrap_or_default();
        self.input.reserve(READ.max(needed.saturating_sub(self.input.len())));
        Poll::Ready(Ok(ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input))?))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.written < self.out.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out[self.written..])? {
                Poll::Ready(count) => self.written += count,
                Poll::Pending => {
                    // More may be appended before the rest is written: what is written shall not pile up.
                    if self.written > self.out.len() / 2 {
                        self.out.drain(..self.written);
                        self.written = 0;
                    }
                    return Poll::Pending;
                }
            }
        }
        self.out.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

/// Length of the frame that `input` begins with, whole or not.
fn frame_length(input: &[u8]) -> Option<usize> {
    let length = input.first_chunk().copied().map(u32::from_le_bytes)?;
    Some(length as usize)
}

fn whole_frame(input: &[u8]) -> Option<usize> {
    frame_length(input).filter(|length| *length <= input.len())
}

fn read_echo(body: &[u8]) -> Echo {
    bincode::DefaultOptions::new().deserialize(body).expect("the struct")
}

fn write_echo(out: &mut Vec<u8>, id: u64, echo: &Echo) {
    write_frame(out, id, |out| {
        bincode::DefaultOptions::new().serialize_into(out, echo).expect("a plain struct can be written");
    });
}

fn write_bytes(out: &mut Vec<u8>, id: u64, bytes: &[u8]) {
    write_frame(out, id, |out| out.extend_from_slice(bytes));
}

fn write_frame(out: &mut Vec<u8>, id: u64, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&id.to_le_bytes());
    body(out);
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}
