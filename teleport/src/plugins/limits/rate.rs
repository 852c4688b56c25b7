//! Calls per second.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Rate { per_second: per_second.max(1), burst: burst.max(1) }
    }

    /// Nanoseconds in which one call is filled in; at least one, as `u32` is the most per second.
    fn step(self) -> u64 {
        (1_000_000_000 / u64::from(self.per_second)).max(1)
    }

    /// Nanoseconds in which an empty bucket fills.
    fn whole(self) -> u64 {
        self.step().saturating_mul(u64::from(self.burst))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls per second, or {} at once,", self.per_second, self.burst)
    }
}

/// A bucket, told by the time at which it will be full: in the past where it is.
#[derive(Default)]
pub(super) struct Bucket {
    began: OnceLock<Instant>,
    /// Nanoseconds since it began.
    full_at: AtomicU64,
}

impl Bucket {
    /// Takes a call out, where there is one.
    pub(super) fn take(&self, rate: Rate) -> bool {
        let began = *self.began.get_or_init(Instant::now);
        let since = Instant::now().saturating_duration_since(began);
        self.take_at(rate, u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    fn take_at(&self, rate: Rate, now: u64) -> bool {
        let taken = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now).saturating_add(rate.step());
            (next - now <= rate.whole()).then_some(next)
        });
        taken.is_ok()
    }

    /// Puts back a call that was taken.
    pub(super) fn give_back(&self, rate: Rate) {
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            Some(full_at.saturating_sub(rate.step()))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_burst_and_fills_at_its_rate() {
        let (bucket, rate) = (Bucket::default(), Rate::new(10, 3));
        let step = 100_000_000;
        assert!((0..3).all(|_| bucket.take_at(rate, 0)));
        assert!(!bucket.take_at(rate, 0));
        assert!(!bucket.take_at(rate, step - 1));
        assert!(bucket.take_at(rate, step));
        assert!(!bucket.take_at(rate, step));
        bucket.give_back(rate);
        assert!(bucket.take_at(rate, step));
        // However long it waits, it holds no more than its burst.
        assert_eq!((0..9).filter(|_| bucket.take_at(rate, 1000 * step)).count(), 3);
    }

    #[test]
    fn the_ends_of_the_numbers_are_rates_too() {
        let (bucket, rate) = (Bucket::default(), Rate::new(u32::MAX, u32::MAX));
        assert!(bucket.take_at(rate, 0) && bucket.take_at(rate, u64::MAX - 2));
        let (bucket, rate) = (Bucket::default(), Rate::new(0, 0));
        assert!(bucket.take_at(rate, 0) && !bucket.take_at(rate, 0));
    }
}
