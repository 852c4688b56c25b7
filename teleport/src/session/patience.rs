//! How long a session may stand still: what is noted on its way, and what follows from it.
//!
//! Nothing here looks at a clock for a packet. The driver counts, and a task of the peer looks now and then whether it has
//! counted on.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::settings::Timeouts;
use super::shared::now;
use crate::socket::Unfinished;

/// What is known of a session that may stand still.
#[derive(Default)]
pub(crate) struct Patience {
    /// Reads that brought something, and writes; only the driver writes them.
    reads: AtomicU32,
    writes: AtomicU32,
    /// The other side has sent a whole packet.
    has_heard: AtomicBool,
    /// A packet has begun to come, and this side reads on; only the driver writes it.
    awaits_rest: AtomicBool,
    /// Of that packet: its number and its bytes so far; and how often there was none, or this side read nothing.
    number: AtomicU32,
    bytes: AtomicU64,
    rests: AtomicU32,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// When it began, where it was accepted and nobody has spoken yet.
    silent_since: Option<Instant>,
    /// Since when the connection takes no more of what waits to be written.
    stalled_since: Option<Instant>,
    /// Since when nothing came of the packet that has begun.
    cut_short_since: Option<Instant>,
    /// Which packet has begun, as `rests` and `number`, and since when it is known.
    unfinished: Option<((u32, u32), Instant)>,
    /// The counts when they were last looked at, and since when they are the same.
    counts: (u32, u32),
    idle_since: Option<Instant>,
    /// Of this session, where they are not those of its peer.
    read: Option<Option<Duration>>,
    write: Option<Option<Duration>>,
    idle: Option<Option<Duration>>,
}

/// Why a session is not to be waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Impatience {
    FirstPacket(Duration),
    Read(Duration),
    /// So many bytes have come of a packet within this time.
    Rate(u64, Duration),
    Write(Duration),
    Idle(Duration),
}

impl Patience {
    pub(crate) fn new(is_accepted: bool) -> Self {
        let silent_since = is_accepted.then(now);
        Patience { notes: Mutex::new(Notes { silent_since, ..Notes::default() }), ..Patience::default() }
    }

    /// Notes that something came, and whether a whole packet has by now.
    #[inline]
    pub(crate) fn note_read(&self, has_heard: bool) {
        count(&self.reads);
        self.has_heard.store(has_heard, Ordering::Relaxed);
    }

    /// Notes of which packet the rest is waited for.
    #[inline]
    pub(crate) fn note_rest(&self, of: Option<Unfinished>) {
        if let Some(of) = of {
            self.number.store(of.number, Ordering::Relaxed);
            self.bytes.store(of.bytes, Ordering::Relaxed);
        } else if self.awaits_rest.load(Ordering::Relaxed) {
            count(&self.rests);
        }
        self.awaits_rest.store(of.is_some(), Ordering::Relaxed);
    }

    /// Nobody had a turn since the last look: the time since then is not held against a packet that comes slowly.
    pub(crate) fn forgive(&self) {
        self.notes.lock().unfinished = None;
    }

    /// Notes that something was written.
    #[inline]
    pub(crate) fn note_write(&self) {
        count(&self.writes);
    }

    /// Notes whether the connection takes no more for now.
    pub(crate) fn note_stall(&self, is_stalled: bool) {
        let since = &mut self.notes.lock().stalled_since;
        *since = if is_stalled { since.or_else(|| Some(now())) } else { None };
    }

    /// The connection is gone: nothing of it is held against the next one.
    pub(super) fn start_again(&self) {
        let mut notes = self.notes.lock();
        (notes.stalled_since, notes.cut_short_since, notes.idle_since) = (None, None, None);
        drop(notes);
        self.note_rest(None);
    }

    pub(super) fn set_read(&self, timeout: Option<Duration>) {
        self.notes.lock().read = Some(timeout);
    }

    pub(super) fn set_write(&self, timeout: Option<Duration>) {
        self.notes.lock().write = Some(timeout);
    }

    pub(super) fn set_idle(&self, timeout: Option<Duration>) {
        self.notes.lock().idle = Some(timeout);
    }

    /// Whether patience is at its end, and how long until that may be so at the soonest.
    pub(crate) fn look(
        &self,
        now: Instant,
        timeouts: &Timeouts,
        min_rate: u32,
        is_busy: impl FnOnce() -> bool,
    ) -> (Option<Impatience>, Option<Duration>) {
        let counts = (self.reads.load(Ordering::Relaxed), self.writes.load(Ordering::Relaxed));
        let mut notes = self.notes.lock();
        let (write, idle) = (notes.write.unwrap_or(timeouts.write), notes.idle.unwrap_or(timeouts.idle));
        let read = notes.read.unwrap_or(timeouts.read);
        if counts.1 > 0 || self.has_heard.load(Ordering::Relaxed) {
            notes.silent_since = None;
        }
        let first = timeouts.first_packet.filter(|_| notes.silent_since.is_some());
        if !self.awaits_rest.load(Ordering::Relaxed) {
            notes.cut_short_since = None;
        } else if counts.0 != notes.counts.0 || notes.cut_short_since.is_none() {
            notes.cut_short_since = Some(now);
        }
        let which = (self.rests.load(Ordering::Relaxed), self.number.load(Ordering::Relaxed));
        let which = self.awaits_rest.load(Ordering::Relaxed).then_some(which);
        if notes.unfinished.map(|(which, _)| which) != which {
            notes.unfinished = which.map(|which| (which, now));
        }
        if counts != notes.counts || notes.idle_since.is_none() {
            notes.counts = counts;
            notes.idle_since = Some(now);
        }
        let soonest = [first, read, write, idle].into_iter().flatten().min();
        let is_over = |since: Option<Instant>, most: Option<Duration>| {
            let (since, most) = (since?, most?);
            (now.saturating_duration_since(since) >= most).then_some(most)
        };
        let over = if let Some(after) = is_over(notes.stalled_since, write) {
            Some(Impatience::Write(after))
        } else if let Some(after) = is_over(notes.cut_short_since, read) {
            Some(Impatience::Read(after))
        } else if let Some(slow) = self.is_slow(&notes, now, read, min_rate) {
            Some(slow)
        } else if let Some(after) = is_over(notes.silent_since, first) {
            Some(Impatience::FirstPacket(after))
        } else {
            // What stands still because it waits for something is not idle.
            is_over(notes.idle_since, idle)
                .filter(|_| notes.stalled_since.is_none() && !is_busy())
                .map(Impatience::Idle)
        };
        (over, soonest)
    }

    /// Whether less has come of the packet that has begun than by now should have.
    fn is_slow(
        &self,
        notes: &Notes,
        now: Instant,
        read: Option<Duration>,
        min_rate: u32,
    ) -> Option<Impatience> {
        let ((_, since), read) = (notes.unfinished?, read?);
        let bytes = self.bytes.load(Ordering::Relaxed);
        let most = read.saturating_add(Duration::from_secs(bytes / u64::from(min_rate.max(1))));
        let took = now.saturating_duration_since(since);
        (took > most).then_some(Impatience::Rate(bytes, took))
    }
}

/// There is one writer, so nothing is lost.
#[inline]
fn count(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[expect(clippy::unnecessary_wraps, reason = "as it is noted")]
    fn rest(number: u32, bytes: u64) -> Option<Unfinished> {
        Some(Unfinished { number, bytes })
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        let (patience, timeouts) = (Patience::new(true), Timeouts::default());
        let start = now();
        let look = |after| patience.look(start + second(after), &timeouts, 10, || false);
        assert_eq!(look(119), (None, Some(second(30))));
        assert_eq!(look(121).0, Some(Impatience::FirstPacket(second(120))));
        // One byte is no packet.
        patience.note_read(false);
        assert_eq!(look(121).0, Some(Impatience::FirstPacket(second(120))));
        patience.note_read(true);
        assert_eq!(look(122).0, None);
        assert_eq!(Patience::new(false).look(start + second(121), &timeouts, 10, || false).0, None);
    }

    #[test]
    fn what_stands_still_is_idle_unless_it_waits() {
        let (patience, timeouts) = (Patience::new(false), Timeouts::default().with_idle(second(10)));
        let start = now();
        let look = |after, busy| patience.look(start + second(after), &timeouts, 10, || busy).0;
        assert_eq!(look(0, false), None);
        patience.note_read(true);
        assert_eq!(look(9, false), None);
        patience.note_write();
        assert_eq!(look(18, false), None);
        assert_eq!(look(27, false), None);
        assert_eq!(look(28, true), None);
        assert_eq!(look(28, false), Some(Impatience::Idle(second(10))));
        patience.set_idle(None);
        assert_eq!(look(1000, false), None);
    }

    #[test]
    fn the_rest_of_a_packet_is_waited_for_while_something_comes() {
        let (patience, timeouts) = (Patience::new(false), Timeouts::default());
        let start = now();
        let look = |after| patience.look(start + second(after), &timeouts, 10, || true).0;
        patience.note_read(true);
        patience.note_rest(rest(1, 1));
        assert_eq!((look(0), look(29)), (None, None));
        patience.note_read(true);
        patience.note_rest(rest(1, 301));
        assert_eq!((look(30), look(59)), (None, None));
        assert_eq!(look(60), Some(Impatience::Read(second(30))));
        // Where this side reads nothing, nobody is to blame.
        patience.note_rest(None);
        assert_eq!(look(61), None);
        patience.note_rest(rest(1, 1));
        assert_eq!((look(62), look(91)), (None, None));
        patience.set_read(Some(second(3)));
        assert_eq!(look(91), Some(Impatience::Read(second(3))));
        patience.set_read(None);
        assert_eq!(look(1000), None);
    }

    #[test]
    fn what_is_not_taken_is_not_waited_for() {
        let (patience, timeouts) = (Patience::new(false), Timeouts::default());
        let look = |after| patience.look(now() + second(after), &timeouts, 10, || false).0;
        patience.note_stall(true);
        assert_eq!(look(29), None);
        assert_eq!(look(30), Some(Impatience::Write(second(30))));
        patience.note_stall(true);
        patience.set_write(Some(second(3)));
        assert_eq!(look(4), Some(Impatience::Write(second(3))));
        patience.note_stall(false);
        assert_eq!(look(30), None);
    }

    #[test]
    fn a_packet_comes_with_so_many_bytes_a_second_or_is_not_waited_for() {
        let (patience, timeouts) = (Patience::new(false), Timeouts::default());
        let start = now();
        let look = |after| patience.look(start + second(after), &timeouts, 10, || true).0;
        let comes = |number, bytes| {
            patience.note_read(true);
            patience.note_rest(rest(number, bytes));
        };
        // One byte at a time, never silent for long: 30 s, and one more for each ten bytes.
        for after in 0..=30 {
            comes(1, after);
            assert_eq!(look(after), None, "{after}");
        }
        comes(1, 39);
        assert_eq!((look(33), look(34)), (None, Some(Impatience::Rate(39, second(34)))));
        // At the rate it may take as long as it takes, and one byte less is not enough.
        for after in 0..1000 {
            comes(2, 10 * after);
            assert_eq!(look(1000 + after), None, "{after}");
        }
        comes(2, 10_000);
        assert_eq!(look(2029), None);
        comes(2, 10_009);
        assert_eq!((look(2030), look(2031)), (None, Some(Impatience::Rate(10_009, second(1031)))));
        // Another one has its own time, also where this side has not read for a while.
        comes(3, 1);
        assert_eq!((look(3000), look(3029)), (None, None));
        patience.note_rest(None);
        comes(3, 1);
        assert_eq!((look(3031), look(3060)), (None, None));
        comes(3, 2);
        patience.forgive();
        assert_eq!(look(3070), None);
        comes(3, 3);
        assert_eq!(look(3099), None);
        comes(3, 4);
        assert_eq!(look(3101), Some(Impatience::Rate(4, second(31))));
        patience.set_read(None);
        assert_eq!(look(4000), None);
    }
}
