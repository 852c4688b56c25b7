//! What comes over a session before it is open.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::error::{Error, Result};
use crate::logs::CallLog;
use crate::status::Status;
use crate::wire::{Header, Packet};

/// Bytes of the pulls and pushes that are held for a session which is not open yet; past it the reader stops. One packet
/// may go over it. A greeting is far smaller, and whoever sends it has not shown yet who it is.
pub(crate) const MAX_EARLY: usize = 64 * 1024;
/// What a packet costs beside its bytes.
const HELD: usize = 256;

/// The line of those that wait until the session's hooks have let it pass.
pub(crate) struct Early {
    line: Mutex<Line>,
    arrived: Notify,
    /// Of the connection that there is.
    settled: Mutex<CancellationToken>,
    /// The session was open once.
    was_open: AtomicBool,
    /// Plugins that have let the session pass so far.
    passed: AtomicUsize,
    /// Bytes of a body, where a plugin bounds them further than the limits do; else the largest number.
    max_body: AtomicU32,
    /// The plugin that does.
    bounded_by: Mutex<Option<Arc<str>>>,
}

/// A pull that was taken and not answered: its header, that header's codec, and its log where there is one.
pub(crate) type Left = (Header<'static>, u8, Option<CallLog>);

#[derive(Default)]
struct Line {
    outcome: Option<std::result::Result<(), Status>>,
    packets: VecDeque<Packet>,
    /// Pulls that a plugin took and did not answer, by header and its codec.
    left: Vec<Left>,
    /// What both cost.
    bytes: usize,
}

impl Line {
    /// Takes the first packet out that is such a one.
    fn remove(&mut self, is_it: impl Fn(&Packet) -> bool) -> Option<Packet> {
        let at = self.packets.iter().position(is_it)?;
        let packet = self.packets.remove(at)?;
        self.bytes -= HELD + packet.held();
        Some(packet)
    }
}

impl Default for Early {
    fn default() -> Self {
        Early {
            line: Mutex::default(),
            arrived: Notify::new(),
            settled: Mutex::default(),
            was_open: AtomicBool::new(false),
            passed: AtomicUsize::new(0),
            max_body: AtomicU32::new(u32::MAX),
            bounded_by: Mutex::default(),
        }
    }
}

impl Early {
    /// Whether the session is open, or why it never will be; `None` while that is not settled.
    pub(crate) fn outcome(&self) -> Option<std::result::Result<(), Status>> {
        self.line.lock().outcome.clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.line.lock().outcome, Some(Ok(())))
    }

    /// Whether the session was open, over whatever connection.
    pub(crate) fn was_open(&self) -> bool {
        self.was_open.load(Ordering::Acquire)
    }

    /// Begins anew, with another connection.
    pub(crate) fn begin_again(&self) {
        *self.line.lock() = Line::default();
        *self.settled.lock() = CancellationToken::new();
        self.passed.store(0, Ordering::Relaxed);
    }

    /// Puts a packet at the end of the line.
    pub(crate) fn hold(&self, packet: Packet) {
        let mut line = self.line.lock();
        line.bytes += HELD + packet.held();
        line.packets.push_back(packet);
        drop(line);
        self.arrived.notify_one();
    }

    /// Takes a pull out whose caller has gone away. The line is a short one.
    pub(crate) fn forget(&self, pull: u64) {
        let is_it = |packet: &Packet| packet.kind().is_pull() && packet.id().number() == Some(pull);
        // Dropped without the lock.
        let gone = self.line.lock().remove(is_it);
        drop(gone);
    }

    /// Tells whoever waits for a packet to look again: the session ends.
    pub(super) fn ending(&self) {
        self.arrived.notify_one();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.line.lock().bytes > MAX_EARLY
    }

    /// Empties the line: the packets that wait in it, and the pulls that a plugin took and did not answer.
    pub(crate) fn take_all(&self) -> (VecDeque<Packet>, Vec<Left>) {
        let mut line = self.line.lock();
        line.bytes = 0;
        (std::mem::take(&mut line.packets), std::mem::take(&mut line.left))
    }

    /// Takes back a pull that was not answered.
    pub(crate) fn leave(&self, header: Header<'static>, header_codec: u8, log: Option<CallLog>) {
        let mut line = self.line.lock();
        line.bytes += HELD + header.held();
        line.left.push((header, header_codec, log));
    }

    /// Settles whether the session is open; the first time counts.
    pub(crate) fn settle(&self, outcome: std::result::Result<(), Status>) {
        let is_open = self.line.lock().outcome.get_or_insert(outcome).is_ok();
        self.was_open.fetch_or(is_open, Ordering::AcqRel);
        self.settled.lock().cancel();
    }

    /// Notes that one more plugin has let the session pass.
    pub(crate) fn pass(&self) {
        self.passed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many plugins have let the session pass so far.
    pub(crate) fn passed_so_far(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    /// Bounds the bodies that come from now on: bytes, and the plugin that wants it.
    pub(crate) fn bound(&self, bound: Option<(u32, &str)>) {
        *self.bounded_by.lock() = bound.map(|(_, plugin)| plugin.into());
        self.max_body.store(bound.map_or(u32::MAX, |(most, _)| most), Ordering::Release);
    }

    /// Bytes of the largest body that may come, where that is less than `most`.
    pub(crate) fn max_body(&self, most: u32) -> Option<u32> {
        Some(self.max_body.load(Ordering::Acquire)).filter(|bound| *bound < most)
    }

    /// The plugin that bounds bodies.
    pub(crate) fn bounded_by(&self) -> Option<Arc<str>> {
        self.bounded_by.lock().clone()
    }

    /// How many plugins let the session pass, once that is settled.
    pub(crate) async fn passed(&self) -> usize {
        let settled = self.settled.lock().clone();
        settled.cancelled().await;
        self.passed.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Opens the session, or tells why it will not be; the first time counts.
    pub(crate) fn settle_early(&self, outcome: std::result::Result<(), Status>) {
        let Some(early) = &self.early else { return };
        early.settle(outcome);
        self.with(|machine| machine.look_again());
    }

    /// The first packet in the line whose uri is `wanted`, taken out; waits for it until the session closes.
    pub(crate) async fn take_early(&self, wanted: &(dyn Fn(&str) -> bool + Sync)) -> Result<Packet> {
        let closed = || {
            let closed = self.machine().closed().cloned();
            closed.map_or_else(|| Error::closed_by_user("the session is open"), Error::closed)
        };
        let Some(early) = &self.early else { return Err(closed()) };
        loop {
            let found = early.line.lock().remove(|packet| wanted(packet.uri()));
            if let Some(packet) = found {
                // There is room for more now.
                self.with(|machine| machine.look_again());
                return Ok(packet);
            }
            // What the other side sent before it ended stands in the line by then.
            if !self.machine().is_linked() {
                return Err(closed());
            }
            early.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Kind, PacketId, PacketRef, RawBody};

    #[test]
    fn pulls_whose_callers_have_gone_away_cost_nothing_any_more() {
        let early = Early::default();
        for pull in 0..3u64 {
            let header = Header::new(PacketId::Sequence(pull), Kind::PULL, "/early");
            let packet = PacketRef { header, header_codec: b'p', body: RawBody::new(b"j1") };
            // In a buffer that is larger than what is in it.
            early.hold(Packet::copy_from(&packet, Vec::with_capacity(1000)));
        }
        assert!(early.line.lock().bytes >= 3000);
        (0..4).for_each(|pull| early.forget(pull));
        let line = early.line.lock();
        assert_eq!((line.bytes, line.packets.len()), (0, 0));
    }
}
