//! How long calls took, in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets for each power of two.
const PARTS: usize = 4;
/// The power of two, in microseconds, that ends the last bucket: 134 s. What takes longer is in one more.
pub(super) const LAST: usize = 27;
/// Those below 4 µs are a microsecond wide.
const BUCKETS: usize = (LAST - 1) * PARTS;

/// Counts of durations by logarithmic buckets, of fixed size.
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS + 1],
    nanos: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: [const { AtomicU64::new(0) }; BUCKETS + 1], nanos: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub(super) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Recorded {
        Recorded {
            buckets: self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

/// The bucket of a duration: a bucket has its end and not its beginning, as those of Prometheus do.
fn bucket(nanos: u64) -> usize {
    let micros = nanos.saturating_sub(1) / 1000;
    if micros < PARTS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    let part = (micros >> (power - 2)) as usize % PARTS;
    ((power - 1) * PARTS + part).min(BUCKETS)
}

/// Microseconds at which a bucket begins, which is where the one before it ends.
fn begin(bucket: usize) -> u64 {
    if bucket < PARTS {
        return bucket as u64;
    }
    let (power, part) = (bucket / PARTS + 1, bucket % PARTS);
    ((PARTS + part) as u64) << (power - 2)
}

/// What a histogram held at one time.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    buckets: Vec<u64>,
    nanos: u64,
}

impl Recorded {
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(super) fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// The duration that this part of all is not over, estimated within its bucket.
    pub(super) fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 || part.is_nan() {
            return None;
        }
        // From here on there is one of that rank.
        let rank = (part.clamp(0.0, 1.0) * count as f64).ceil().max(1.0) as u64;
        let mut before = 0;
        for (bucket, held) in self.buckets.iter().enumerate() {
            if before + held >= rank {
                let (from, to) = (begin(bucket), begin((bucket + 1).min(BUCKETS)));
                // The last one has no end.
                let within = (rank - before) as f64 / *held as f64;
                let micros = from as f64 + to.saturating_sub(from) as f64 * within;
                return Some(Duration::from_secs_f64(micros / 1e6));
            }
            before += held;
        }
        None
    }

    /// Powers of two in microseconds, and how many took no longer.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut counted = 0;
        let mut next = 0;
        (2..=LAST).map(move |power| {
            let end = (power - 1) * PARTS;
            counted +=
                self.buckets[next.min(self.buckets.len())..end.min(self.buckets.len())].iter().sum::<u64>();
            next = end;
            (1 << power, counted)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_ends_where_the_next_begins() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(begin(at) * 1000 + 1), at);
            assert_eq!(bucket(begin(at + 1) * 1000), at);
        }
        assert_eq!(bucket(0), 0);
        assert_eq!(begin(BUCKETS), 1 << LAST);
        assert_eq!(bucket((1 << LAST) * 1000 + 1), BUCKETS);
        assert_eq!(bucket(u64::MAX), BUCKETS);
    }

    #[test]
    fn quantiles_are_within_an_eighth() {
        let histogram = Histogram::default();
        for millis in 1..=1000 {
            histogram.record(Duration::from_millis(millis));
        }
        let read = histogram.read();
        for (part, millis) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0)] {
            let told = read.quantile(part).unwrap().as_secs_f64() * 1e3;
            assert!((told - millis).abs() <= millis / 8.0, "{part}: {told} for {millis}");
        }
        assert_eq!((read.count(), read.sum()), (1000, Duration::from_millis(500_500)));
        assert_eq!(read.cumulative().last(), Some((1 << LAST, 1000)));
        assert_eq!(read.cumulative().find(|(micros, _)| *micros == 1 << 16), Some((65_536, 65)));
        assert_eq!(Recorded::default().quantile(0.5), None);
        assert_eq!(read.quantile(f64::NAN), None);
    }

    #[test]
    fn what_takes_very_long_is_counted() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_secs(1_000_000));
        let read = histogram.read();
        assert_eq!((read.count(), read.cumulative().last()), (1, Some((1 << LAST, 0))));
        assert_eq!(read.quantile(1.0), Some(Duration::from_micros(1 << LAST)));
    }
}
