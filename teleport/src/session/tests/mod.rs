//! The machine of a session: calls in, bytes out, and a clock that stands still unless a test moves it.

mod calls;
mod ends;
mod redial;
mod two;
mod wakes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::machine::{LARGE_BODY, Machine, Outgoing, Refused, closed_here};
use super::pending::Ended;
use super::settings::{Headers, Limits, Settings, Timeouts};
use super::wait::Need;
use crate::error::{Closed, Initiator};
use crate::logs::Logs;
use crate::socket::Output;
use crate::wire::{self, Body, Frame, Header, HeaderCodecs, IdFormat, Kind, Packet, PacketId};

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn new() -> (Arc<Bell>, Waker) {
        let bell = Arc::new(Bell::default());
        (bell.clone(), bell.into())
    }

    /// How often it rang since it was last asked.
    fn rung(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn settings(limits: Limits) -> Settings {
    Settings::new(limits, Timeouts::default(), Headers::default(), Logs::default())
}

fn outgoing<'a>(uri: &'a str, body: Option<&'a mut Vec<u8>>) -> Outgoing<'a> {
    Outgoing { uri, gzip: 0, body: body.map(|payload| (b's', payload, 0)), timeout_ms: 0, trace: None }
}

fn pull(machine: &mut Machine, settings: &Settings, uri: &str) -> Result<u64, Refused> {
    machine.start_pull((settings, 0), outgoing(uri, None), None, Waker::noop())
}

fn push(machine: &mut Machine, settings: &Settings, uri: &str) -> Result<(), Refused> {
    machine.push((settings, 0), outgoing(uri, None)).map(drop)
}

/// Writes out all that an output has, in writes of this size.
fn write_out(output: &mut Output, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while !output.is_empty() {
        let some: Vec<u8> = output
            .with_slices(|slices| slices.iter().flat_map(|slice| slice.iter().copied()).take(step).collect());
        output.advance(some.len());
        all.extend(some);
    }
    all
}

/// As a driver does: takes the output, writes it, and looks again.
fn flush(machine: &mut Machine) -> Vec<u8> {
    let (mut output, mut all) = (Output::default(), Vec::new());
    while machine.take_output(&mut output) {
        all.extend(write_out(&mut output, usize::MAX));
    }
    all
}

fn packets(mut bytes: &[u8]) -> Vec<Packet> {
    let (codecs, limits) = (HeaderCodecs::default(), wire::Limits::default());
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let Ok(Frame::Complete(parts)) = wire::split(bytes, &limits) else {
            panic!("packets are written whole")
        };
        packets.push(Packet::from_frame(bytes[..parts.len].to_vec(), &codecs, &limits).unwrap());
        bytes = &bytes[parts.len..];
    }
    packets
}

fn reply(id: PacketId<'_>, uri: &str) -> Vec<u8> {
    let header = Header { code: 200, ..Header::new(id, Kind::REPLY, uri) };
    let mut bytes = Vec::new();
    let limits = wire::Limits::default();
    wire::write(&mut bytes, &HeaderCodecs::default(), b'p', &header, Body::None, &limits).unwrap();
    bytes
}

fn output_of(bytes: Vec<u8>) -> Output {
    let mut output = Output::default();
    output.push_chunk(bytes);
    output
}

fn remote(reason: &'static str) -> Closed {
    Closed { initiator: Initiator::Remote, reason: reason.into() }
}

fn refusal(result: Result<impl Sized, Refused>) -> String {
    match result {
        Ok(_) => "taken".into(),
        Err(Refused::Full) => "full".into(),
        Err(Refused::Down(closed)) => format!("down: {}", closed.reason),
        Err(Refused::Crowded(_, most)) => format!("{most} wait already"),
        Err(Refused::Closed(closed)) => format!("closed: {}", closed.reason),
        Err(Refused::Wire(error)) => error.to_string(),
    }
}

fn ended(machine: &mut Machine, id: u64) -> String {
    match machine.take_pull(id, Waker::noop()) {
        None => "waiting".into(),
        Some(Ended::Reply(packet)) => format!("reply of {}", packet.uri()),
        Some(Ended::Oversized(bytes)) => format!("oversized {bytes}"),
        Some(Ended::Timeout) => "timeout".into(),
        Some(Ended::Closed(closed)) => format!("closed: {}", closed.reason),
        Some(Ended::NotTaken(closed)) => format!("not taken: {}", closed.reason),
    }
}

/// A time so many seconds from `start`.
fn deadline(start: Instant, seconds: u64) -> Option<Instant> {
    Some(start + Duration::from_secs(seconds))
}
