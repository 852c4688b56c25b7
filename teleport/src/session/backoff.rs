//! Pauses between attempts that failed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Pauses that grow from one failed attempt to the next, up to a bound, and of which a random part is left out: so those
/// that failed together don't come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    /// How much longer each pause is than the one before.
    pub(crate) factor: u32,
    pub(crate) most: Duration,
    /// How much of a pause may be left out, in percent.
    pub(crate) jitter: u32,
}

impl Backoff {
    /// Pauses that double, and of which at least half is taken.
    pub(crate) const fn new(first: Duration, most: Duration) -> Self {
        Backoff { first, factor: 2, most, jitter: 50 }
    }

    /// The pause after so many failed attempts in a row; none after 0.
    pub(crate) fn pause(&self, failed: u32) -> Duration {
        let left_out = random() * f64::from(self.jitter.min(100)) / 100.0;
        self.full(failed).mul_f64(1.0 - left_out)
    }

    fn full(&self, failed: u32) -> Duration {
        let Some(growths) = failed.checked_sub(1) else { return Duration::ZERO };
        // More growths than that are past every bound, where it grows at all.
        let factor = self.factor.checked_pow(growths.min(32)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }
}

/// A number from 0 to less than 1. The seeds of the standard library's maps are random, and all that is needed here.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(0u8) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_bound_and_are_scattered() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let full: Vec<_> = (0..7).map(|failed| backoff.full(failed).as_millis()).collect();
        assert_eq!(full, [0, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.full(u32::MAX), Duration::from_secs(1));
        let pauses: Vec<_> = (0..100).map(|_| backoff.pause(5)).collect();
        assert!(pauses.iter().all(|pause| (500..=1000).contains(&pause.as_millis())), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "all are {:?}", pauses[0]);
    }

    #[test]
    fn growth_and_scattering_are_to_choose() {
        let backoff =
            Backoff { factor: 3, jitter: 0, ..Backoff::new(Duration::from_millis(10), Duration::MAX) };
        assert_eq!([1, 2, 3, 4].map(|failed| backoff.pause(failed).as_millis()), [10, 30, 90, 270]);
        let steady = Backoff { factor: 1, ..backoff };
        assert_eq!(steady.pause(1000), Duration::from_millis(10));
        let scattered = Backoff { jitter: 100, ..steady };
        let pauses: Vec<_> = (0..100).map(|_| scattered.pause(1)).collect();
        assert!(pauses.iter().all(|pause| pause.as_millis() <= 10), "{pauses:?}");
        assert!(pauses.iter().any(|pause| pause.as_millis() < 4), "{pauses:?}");
    }
}
