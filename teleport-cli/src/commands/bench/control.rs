//! The run as a whole: when calls count, when none begin any more, and what ends it early.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::plan::Ending;
use crate::failure::Failure;

/// How long calls in flight may go on after an interrupt.
const GRACE: Duration = Duration::from_secs(1);

/// What all threads look at.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) started: Instant,
    /// Calls that begin earlier are the warm-up.
    pub(super) counts_from: Instant,
    /// `None` where a number of calls ends it.
    pub(super) ends: Option<Instant>,
    /// How many a closed loop may make, and how many it has begun.
    calls: Option<(u64, AtomicU64)>,
    stopped: AtomicBool,
    /// When calls in flight are cut off.
    cut_off: watch::Sender<Option<Instant>>,
    failure: Mutex<Option<Failure>>,
}

impl Control {
    pub(super) fn new(started: Instant, warm_up: Duration, ending: Ending) -> Self {
        let counts_from = started + warm_up;
        let (ends, calls) = match ending {
            Ending::After(duration) => (Some(counts_from + duration), None),
            Ending::Calls(calls) => (None, Some((calls, AtomicU64::new(0)))),
        };
        Control {
            started,
            counts_from,
            ends,
            calls,
            stopped: AtomicBool::new(false),
            cut_off: watch::Sender::new(None),
            failure: Mutex::new(None),
        }
    }

    /// Whether a call of a closed loop may begin now, and whether it counts.
    #[inline]
    pub(super) fn admit(&self, now: Instant) -> Option<bool> {
        if self.is_over(now) {
            return None;
        }
        if now < self.counts_from {
            return Some(false);
        }
        match &self.calls {
            None => Some(true),
            Some((most, begun)) => (begun.fetch_add(1, Ordering::Relaxed) < *most).then_some(true),
        }
    }

    /// Whether the time is up, or it was interrupted.
    #[inline]
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.ends.is_some_and(|ends| now >= ends)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Lets no further call begin, and leaves those in flight a little time; asked a second time, none.
    pub(super) fn stop(&self) {
        let grace = if self.stopped.swap(true, Ordering::Relaxed) { Duration::ZERO } else { GRACE };
        self.cut_off.send_replace(Some(Instant::now() + grace));
    }

    /// Ends all of it: what was asked for can't be done.
    pub(super) fn fail(&self, failure: Failure) {
        self.failure.lock().expect("no thread panicked while it held it").get_or_insert(failure);
        self.stop();
    }

    /// Why all of it has ended.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.lock().expect("no thread panicked while it held it").take()
    }

    /// Returns when no further call is to begin.
    pub(super) async fn over(&self) {
        let mut stop = self.cut_off.subscribe();
        let stopped = stop.wait_for(Option::is_some);
        match self.ends {
            Some(ends) => drop(tokio::time::timeout_at(ends.into(), stopped).await),
            None => drop(stopped.await),
        }
    }

    /// Returns when calls in flight are to be cut off.
    pub(super) async fn cut_off(&self) {
        let mut stop = self.cut_off.subscribe();
        loop {
            // The sender is here, so it has not gone.
            let at = stop.wait_for(Option::is_some).await.ok().and_then(|at| *at);
            let Some(at) = at else { return };
            match tokio::time::timeout_at(at.into(), stop.changed()).await {
                Ok(Ok(())) => {}
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_admitted_until_there_were_so_many() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let control = Control::new(now, second, Ending::Calls(2));
        let admitted = [now, now + second, now + second, now + second].map(|now| control.admit(now));
        assert_eq!(admitted, [Some(false), Some(true), Some(true), None]);
    }

    #[test]
    fn calls_are_admitted_until_the_time_is_up() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let control = Control::new(now, second, Ending::After(second));
        assert_eq!(control.admit(now), Some(false));
        assert_eq!(control.admit(now + second), Some(true));
        assert_eq!(control.admit(now + second * 2), None);
        control.stop();
        assert_eq!(control.admit(now + second), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_interrupt_leaves_no_grace() {
        let control = Control::new(Instant::now(), Duration::ZERO, Ending::Calls(1));
        control.stop();
        control.over().await;
        control.stop();
        control.cut_off().await;
        assert!(control.is_stopped());
    }
}
