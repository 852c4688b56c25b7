//! What a thread counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::call::Ended;

/// The longest latency that is told apart from longer ones, in nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;
/// Digits of a latency that are kept.
const DIGITS: u8 = 3;
/// Statuses that are counted each on its own; a peer may answer with any number.
const MOST_STATUSES: usize = 64;
/// Characters of a status text that are kept.
const TEXT: usize = 60;

/// Counters of one thread, which alone writes them.
#[derive(Debug)]
pub(super) struct Lane {
    counts: Mutex<Counts>,
    /// Calls that ended, those of the warm-up too, and how many of them in an error: for the progress.
    pub(super) ended: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Calls that count.
    begun: AtomicU64,
}

/// Calls that count, by how they ended.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// Nanoseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) ok: u64,
    pub(super) statuses: BTreeMap<i32, Refusals>,
    /// Those whose status was one too many to be counted on its own.
    pub(super) more_statuses: u64,
    pub(super) timeout: u64,
    pub(super) lost: u64,
    pub(super) other: u64,
    /// What the first of the other errors said.
    pub(super) other_text: Option<String>,
    pub(super) not_started: u64,
    /// Cut off by an interrupt.
    pub(super) unanswered: u64,
    pub(super) reconnects: u64,
    /// Bytes of the bodies of replies.
    pub(super) received: u64,
    /// When the last of them ended.
    pub(super) last: Option<Instant>,
}

/// Replies of one status other than OK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusals {
    pub(super) calls: u64,
    /// The text of the first.
    pub(super) text: String,
}

impl Lane {
    pub(super) fn new() -> Self {
        Lane {
            counts: Mutex::new(Counts::new()),
            ended: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        }
    }

    /// A call that counts begins.
    #[inline]
    pub(super) fn begin(&self) {
        add(&self.begun);
    }

    /// A call has ended, which was due, or began, then.
    #[inline]
    pub(super) fn end(&self, counts: bool, due: Instant, now: Instant, ended: Ended) {
        add(&self.ended);
        if !matches!(ended, Ended::Ok { .. }) {
            add(&self.failed);
        }
        if counts {
            self.counts().end(now.saturating_duration_since(due), now, ended);
        }
    }

    /// Not contended: nobody else takes it while the thread runs.
    pub(super) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no task panicked while it held it")
    }

    /// All of it, when the thread has ended.
    pub(super) fn finish(&self) -> Counts {
        let mut counts = self.counts().clone();
        counts.unanswered = self.begun.load(Ordering::Relaxed) - counts.ended();
        counts
    }
}

/// Cheaper than an addition that others may take part in.
#[inline]
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Counts {
    pub(super) fn new() -> Self {
        Counts {
            latencies: Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("the bounds are in order"),
            ok: 0,
            statuses: BTreeMap::new(),
            more_statuses: 0,
            timeout: 0,
            lost: 0,
            other: 0,
            other_text: None,
            not_started: 0,
            unanswered: 0,
            reconnects: 0,
            received: 0,
            last: None,
        }
    }

    pub(super) fn end(&mut self, took: Duration, now: Instant, ended: Ended) {
        self.last = self.last.max(Some(now));
        match ended {
            Ended::Ok { received } => {
                self.ok += 1;
                self.received += received;
            }
            Ended::Status { code, text, received } => {
                self.status(code, &text, 1);
                self.received += received;
            }
            Ended::Timeout => self.timeout += 1,
            Ended::Lost => return self.lost += 1,
            Ended::Other(text) => {
                self.other += 1;
                self.other_text.get_or_insert(text);
                return;
            }
        }
        self.latencies.saturating_record(nanos(took));
    }

    /// Calls that were due and did not begin, and had waited so long.
    pub(super) fn not_started(&mut self, waited: Duration, calls: u64) {
        self.not_started += calls;
        self.latencies.saturating_record_n(nanos(waited), calls);
    }

    /// Adds those of another thread.
    pub(super) fn add(&mut self, other: &Counts) {
        self.latencies.add(&other.latencies).expect("all have the same bounds");
        self.ok += other.ok;
        for (code, refusals) in &other.statuses {
            self.status(*code, &refusals.text, refusals.calls);
        }
        self.more_statuses += other.more_statuses;
        self.timeout += other.timeout;
        self.lost += other.lost;
        self.other += other.other;
        if self.other_text.is_none() {
            self.other_text.clone_from(&other.other_text);
        }
        self.not_started += other.not_started;
        self.unanswered += other.unanswered;
        self.reconnects += other.reconnects;
        self.received += other.received;
        self.last = self.last.max(other.last);
    }

    /// Answered with an error status.
    pub(super) fn refused(&self) -> u64 {
        self.statuses.values().map(|refusals| refusals.calls).sum::<u64>() + self.more_statuses
    }

    /// Begun and ended, whatever in.
    pub(super) fn ended(&self) -> u64 {
        self.ok + self.refused() + self.timeout + self.lost + self.other
    }

    fn status(&mut self, code: i32, text: &str, calls: u64) {
        if let Some(refusals) = self.statuses.get_mut(&code) {
            refusals.calls += calls;
        } else if self.statuses.len() < MOST_STATUSES {
            // What a peer writes is not to steer a terminal.
            let text: String = text.chars().take(TEXT).filter(|c| !c.is_control()).collect();
            self.statuses.insert(code, Refusals { calls, text });
        } else {
            self.more_statuses += calls;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: i32, text: &str) -> Ended {
        Ended::Status { code, text: text.into(), received: 1 }
    }

    #[test]
    fn calls_are_counted_by_how_they_ended() {
        let (now, ms) = (Instant::now(), Duration::from_millis(1));
        let lane = Lane::new();
        let all = [
            Ended::Ok { received: 5 },
            status(404, "no\x1b[1m"),
            status(404, "again"),
            Ended::Timeout,
            Ended::Lost,
            Ended::Other("what".into()),
        ];
        for ended in all {
            lane.begin();
            lane.end(true, now, now + ms, ended);
        }
        lane.begin();
        lane.end(false, now, now + ms * 9, Ended::Ok { received: 1 });
        let mut counts = lane.finish();
        assert_eq!((counts.ok, counts.refused(), counts.timeout, counts.lost, counts.other), (1, 2, 1, 1, 1));
        assert_eq!(counts.statuses[&404], Refusals { calls: 2, text: "no[1m".into() });
        assert_eq!((counts.received, counts.unanswered, counts.latencies.len()), (7, 1, 4));
        assert_eq!(counts.last, Some(now + ms));
        counts.not_started(ms * 2, 3);
        assert_eq!((counts.latencies.len(), counts.latencies.max() / 1000), (7, 2000));

        let mut sum = counts.clone();
        sum.add(&counts);
        assert_eq!((sum.ok, sum.refused(), sum.ended(), sum.not_started, sum.unanswered), (2, 4, 12, 6, 2));
        assert_eq!((sum.latencies.len(), sum.received), (14, 14));
    }

    #[test]
    fn a_peer_can_not_fill_the_memory_with_statuses() {
        let mut counts = Counts::new();
        for code in 1000..2000 {
            counts.end(Duration::ZERO, Instant::now(), status(code, &"x".repeat(5000)));
        }
        assert_eq!((counts.statuses.len(), counts.more_statuses, counts.refused()), (64, 936, 1000));
        assert_eq!(counts.statuses[&1000].text.len(), 60);
    }
}
