//! Pauses between attempts that failed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Pauses that double from one failed attempt to the next, up to a bound, and of which at least half and at most the whole
/// is taken: so those that failed together don't come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) most: Duration,
}

impl Backoff {
    /// The pause after so many failed attempts in a row; none after 0.
    pub(super) fn pause(&self, failed: u32) -> Duration {
        self.full(failed).mul_f64(0.5 + random() / 2.0)
    }

    fn full(&self, failed: u32) -> Duration {
        match failed.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => self.first.saturating_mul(1 << doublings.min(30)).min(self.most),
        }
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
    fn pauses_double_up_to_the_bound_and_are_scattered() {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
        let full: Vec<_> = (0..7).map(|failed| backoff.full(failed).as_millis()).collect();
        assert_eq!(full, [0, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.full(u32::MAX), Duration::from_secs(1));
        let pauses: Vec<_> = (0..100).map(|_| backoff.pause(5)).collect();
        assert!(pauses.iter().all(|pause| (500..=1000).contains(&pause.as_millis())), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "all are {:?}", pauses[0]);
    }
}
