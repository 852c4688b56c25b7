//! Few numbers for many.

use std::fmt;
use std::time::Duration;

/// The middle of several measurements, and how far apart they lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of them are no larger, half no smaller.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of these measurements; `None` where there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => return None,
            odd if odd % 2 == 1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Some(Spread { median, least: values[0], most: values[values.len() - 1] })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}..{})", short(self.median), short(self.least), short(self.most))
    }
}

/// A number with about three digits, `k` and `M` for thousands and millions.
#[must_use]
pub fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        large if large >= 999_500.0 => (value / 1e6, "M"),
        large if large >= 9999.5 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match value.abs() {
        small if small < 9.995 => 2,
        small if small < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{unit}")
}

/// The duration that this share of them, 0 to 1, does not exceed; they are sorted on the way.
///
/// # Panics
///
/// Where there are none.
#[must_use]
pub fn percentile(durations: &mut [Duration], share: f64) -> Duration {
    durations.sort_unstable();
    let rank = (share * durations.len() as f64).ceil() as usize;
    durations[rank.clamp(1, durations.len()) - 1]
}

/// In microseconds, as tables have them.
#[must_use]
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]).map(|spread| spread.median), Some(2.5));
    }

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0.00"),
            (0.301, "0.30"),
            (12.34, "12.3"),
            (999.6, "1000"),
            (9999.0, "9999"),
            (14_400.0, "14.4k"),
            (213_000.0, "213k"),
            (5_390_000.0, "5.39M"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut all: Vec<Duration> = (1..=100).rev().map(Duration::from_micros).collect();
        for (share, micros) in [(0.0, 1), (0.5, 50), (0.99, 99), (1.0, 100)] {
            assert_eq!(percentile(&mut all, share), Duration::from_micros(micros));
        }
    }
}
