//! What is known of the other side of one session, and what follows from it. No I/O and no clock.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::SECONDS;

/// The longest interval that is taken from the other side: a day.
const LONGEST: u32 = 24 * 3600;
/// What is between an interval that the other side told and a ping of this side, so that it has its turn first.
const GRACE: f64 = 0.5;

/// Parts of an interval by which a look may be late.
pub(super) const GRAINS: u32 = 100;

/// How the sessions of one side are looked after.
pub(super) struct Plan {
    /// Where this side pings of its own accord.
    pub(super) interval: Option<Duration>,
    pub(super) tolerated: u32,
    pub(super) jitter: f64,
    pub(super) is_dialed: bool,
    pub(super) path: Arc<str>,
}

/// The other side of a session, as its [`Heartbeat`](super::Heartbeat) knows it; it stands in the session's
/// [extensions](crate::Session::extensions).
pub struct Pulse {
    plan: Plan,
    /// Seconds between the pings of the other side; 0 where it told none.
    announced: AtomicU32,
    is_watched: AtomicBool,
    watched_as: AtomicU64,
    /// Nanoseconds without a sign of life before a ping; drawn anew after each.
    patience: AtomicU64,
    /// Pings in this silence.
    missed: AtomicU32,
    /// Nanoseconds; 0 before the first answer.
    last: AtomicU64,
    smoothed: AtomicU64,
}

/// What is to be done with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Look again after this time.
    Look(Duration),
    /// Ping, and look again after this time.
    Ping(Duration),
    /// The other side is gone.
    GiveUp,
}

impl Pulse {
    pub(super) fn new(plan: Plan) -> Self {
        Pulse {
            plan,
            announced: AtomicU32::new(0),
            is_watched: AtomicBool::new(false),
            watched_as: AtomicU64::new(0),
            patience: AtomicU64::new(0),
            missed: AtomicU32::new(0),
            last: AtomicU64::new(0),
            smoothed: AtomicU64::new(0),
        }
    }

    /// How long a ping and its answer take, smoothed: an eighth of each new one counts. `None` before the first answer.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        known(&self.smoothed)
    }

    /// How long the last ping and its answer took.
    #[must_use]
    pub fn last_rtt(&self) -> Option<Duration> {
        known(&self.last)
    }

    /// Pings since the last sign of life, as far as that has been noticed: when one is answered, and when the next is due.
    #[must_use]
    pub fn missed(&self) -> u32 {
        self.missed.load(Ordering::Relaxed)
    }

    /// The interval that the other side has told with its pings.
    #[must_use]
    pub fn announced(&self) -> Option<Duration> {
        let seconds = self.announced.load(Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// Notes the interval of the other side, where it is one; whether it was.
    pub(super) fn announce(&self, seconds: u32) -> bool {
        let is_one = (1..=LONGEST).contains(&seconds);
        if is_one {
            self.announced.store(seconds, Ordering::Relaxed);
        }
        is_one
    }

    /// Notes that a ping was answered.
    pub(super) fn answered(&self, after: Duration) {
        // 0 stands for none.
        let nanos = nanos(after).max(1);
        let smoothed = match self.smoothed.load(Ordering::Relaxed) {
            0 => nanos,
            old => old - old / 8 + nanos / 8,
        };
        self.missed.store(0, Ordering::Relaxed);
        self.last.store(nanos, Ordering::Relaxed);
        self.smoothed.store(smoothed.max(1), Ordering::Relaxed);
    }

    /// When to look first, where the session is to be looked after and was not until now; from now on it is.
    pub(super) fn start_watch(&self) -> Option<Duration> {
        let interval = self.interval()?;
        (!self.is_watched.swap(true, Ordering::Relaxed)).then(|| self.draw_patience(interval))
    }

    /// Keeps the number under which it is watched.
    pub(super) fn set_watched_as(&self, id: u64) {
        self.watched_as.store(id, Ordering::Relaxed);
    }

    /// The session has ended; the number under which it was watched, where it was.
    pub(super) fn end_watch(&self) -> Option<u64> {
        let was_watched = self.is_watched.swap(false, Ordering::Relaxed);
        was_watched.then(|| self.watched_as.load(Ordering::Relaxed))
    }

    /// How long nothing may come before a ping.
    fn draw_patience(&self, interval: Duration) -> Duration {
        let late = if self.plan.interval.is_none() {
            GRACE
        } else {
            // The side that dialed goes first, by more than the way takes.
            let part = 0.4 * random();
            self.plan.jitter * if self.plan.is_dialed { part } else { 0.6 + part }
        };
        let patience = interval.saturating_add(interval.mul_f64(late));
        self.patience.store(nanos(patience), Ordering::Relaxed);
        patience
    }

    /// What follows, where nothing came for `idle`, and the last ping left before `pinged`.
    pub(super) fn next(&self, idle: Duration, pinged: Option<Duration>) -> Next {
        let Some(interval) = self.interval() else { return Next::GiveUp };
        // A silence that began after the last ping is another one: a process may be suspended in between.
        let missed = if pinged.is_some_and(|pinged| pinged <= idle) { self.missed() } else { 0 };
        if nanos(idle) < self.patience.load(Ordering::Relaxed) {
            self.missed.store(0, Ordering::Relaxed);
            let patience = self.draw_patience(interval);
            // Where the new one is past already, a look is due at once.
            return Next::Look(patience.saturating_sub(idle));
        }
        if missed + 1 >= self.plan.tolerated {
            return Next::GiveUp;
        }
        self.missed.store(missed + 1, Ordering::Relaxed);
        if missed + 2 < self.plan.tolerated {
            return Next::Ping(interval);
        }
        // The last one: it has the rest of the time, and at least so much that it can be answered. What this look was late,
        // and the next may be, is taken off.
        let whole = interval.saturating_mul(self.plan.tolerated).saturating_sub(2 * (interval / GRAINS));
        Next::Ping(whole.saturating_sub(idle).max(interval / 3))
    }

    /// How long a ping waits for its answer.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.plan.interval.or_else(|| self.announced())
    }

    /// The uri of a ping.
    pub(super) fn uri(&self) -> String {
        let path = &self.plan.path;
        match self.plan.interval {
            None => path.to_string(),
            Some(interval) => {
                let seconds = interval.as_secs() + u64::from(interval.subsec_nanos() > 0);
                format!("{path}?{SECONDS}={seconds}")
            }
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    // Half a thousand years fit.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn known(nanos: &AtomicU64) -> Option<Duration> {
    Some(nanos.load(Ordering::Relaxed)).filter(|nanos| *nanos > 0).map(Duration::from_nanos)
}

/// A number from 0 to 1.
fn random() -> f64 {
    // Each has keys of its own; 32 bits of it are exact in a float.
    let bits = RandomState::new().hash_one(0u8);
    (bits >> 32) as f64 / f64::from(u32::MAX)
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse")
            .field("rtt", &self.rtt())
            .field("missed", &self.missed())
            .field("announced", &self.announced())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    fn pulse(interval: Option<Duration>, is_dialed: bool) -> Pulse {
        Pulse::new(Plan { interval, tolerated: 3, jitter: 0.5, is_dialed, path: "/beat".into() })
    }

    #[test]
    fn the_side_that_dialed_is_always_first() {
        let (dialed, accepted) = (pulse(Some(TEN), true), pulse(Some(TEN), false));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let (first, second) = (dialed.draw_patience(TEN), accepted.draw_patience(TEN));
            assert!(first >= TEN && first <= TEN.mul_f64(1.2), "{first:?}");
            assert!(second >= TEN.mul_f64(1.3) && second <= TEN.mul_f64(1.5), "{second:?}");
            seen.insert(first);
        }
        assert!(seen.len() > 900, "drawn anew each time");
    }

    #[test]
    fn silence_leads_to_pings_and_then_to_the_end() {
        let pulse = pulse(Some(TEN), true);
        let first = pulse.start_watch().expect("there is an interval");
        assert!(pulse.start_watch().is_none(), "it is watched already");
        assert!(matches!(pulse.next(first / 2, None), Next::Look(after) if after <= TEN.mul_f64(0.7)));
        let (ping, second, third) = (2 * TEN, 3 * TEN, 4 * TEN);
        assert_eq!(pulse.next(ping, None), Next::Ping(TEN));
        assert!(matches!(pulse.next(second, Some(TEN)), Next::Ping(after) if after >= TEN / 3));
        assert_eq!(pulse.missed(), 2);
        assert_eq!(pulse.next(third, Some(TEN)), Next::GiveUp);
        // A sign after the last ping, however long it has been silent since.
        assert_eq!(pulse.next(100 * TEN, Some(101 * TEN)), Next::Ping(TEN));
        pulse.answered(Duration::ZERO);
        assert_eq!(pulse.missed(), 0);
    }

    #[test]
    fn the_last_ping_has_the_rest_of_the_time() {
        let pulse = pulse(Some(TEN), true);
        pulse.start_watch();
        assert_eq!(pulse.next(TEN.mul_f64(1.2), None), Next::Ping(TEN));
        let next = pulse.next(TEN.mul_f64(2.2), Some(TEN));
        assert!(
            matches!(next, Next::Ping(after) if after > TEN.mul_f64(0.77) && after < TEN.mul_f64(0.8)),
            "{next:?}"
        );
    }

    #[test]
    fn without_an_interval_there_is_nothing_to_watch() {
        let pulse = pulse(None, false);
        assert!(pulse.start_watch().is_none() && pulse.announced().is_none());
        assert!(!pulse.announce(0) && !pulse.announce(LONGEST + 1) && pulse.start_watch().is_none());
        assert!(pulse.announce(10));
        assert_eq!(pulse.start_watch(), Some(TEN.mul_f64(1.5)));
        assert_eq!(pulse.uri(), "/beat");
    }

    #[test]
    fn round_trips_are_smoothed() {
        let pulse = pulse(Some(Duration::MAX), true);
        pulse.draw_patience(Duration::MAX);
        assert_eq!((pulse.rtt(), pulse.last_rtt()), (None, None));
        pulse.answered(Duration::ZERO);
        assert_eq!(pulse.rtt(), Some(Duration::from_nanos(1)), "it was answered");
        let pulse = self::pulse(Some(TEN), true);
        pulse.answered(Duration::from_nanos(800));
        pulse.answered(Duration::from_nanos(1600));
        assert_eq!(
            (pulse.rtt(), pulse.last_rtt()),
            (Some(Duration::from_nanos(900)), Some(Duration::from_nanos(1600)))
        );
        pulse.answered(Duration::MAX);
        assert!(pulse.rtt() > Some(TEN));
    }
}
