//! Whether a handler runs in the task that reads, or gets one of its own at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A handler that computes for longer than this at a time holds the session's reader. About what it costs to read and
/// answer five hundred small calls; a task of its own costs a thousandth of it.
const SLOW: Duration = Duration::from_micros(500);
/// So many quick runs in a row make a slow handler quick again: a thread may lose its processor in any run.
const QUICK_RUNS: u32 = 16;

/// What is known of how long a handler computes before it waits or ends.
#[derive(Default)]
pub(crate) struct Pace {
    /// Quick runs that are still missing until it is quick again; 0 is quick.
    missing: AtomicU32,
}

impl Pace {
    /// Whether the handler is to have a task of its own from the start.
    pub(crate) fn is_slow(&self) -> bool {
        self.missing.load(Ordering::Relaxed) > 0
    }

    /// Notes how long one run took.
    pub(crate) fn note(&self, took: Duration) {
        if took > SLOW {
            self.missing.store(QUICK_RUNS, Ordering::Relaxed);
        } else {
            // Two at once may count for one, which does no harm.
            let missing = self.missing.load(Ordering::Relaxed);
            self.missing.store(missing.saturating_sub(1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_run_makes_a_handler_slow_and_many_quick_ones_quick_again() {
        let pace = Pace::default();
        pace.note(SLOW);
        assert!(!pace.is_slow());
        for _ in 0..2 {
            pace.note(SLOW + Duration::from_nanos(1));
            for _ in 0..QUICK_RUNS {
                assert!(pace.is_slow());
                pace.note(Duration::ZERO);
            }
            assert!(!pace.is_slow());
        }
    }
}
