//! What the process holds over time, and whether that grows.

use std::fs;
use std::time::Duration;

use teleport_benches::stats::Spread;
use teleport_benches::table::Table;
use teleport_benches::{Result, usage};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// What is measured; each number is one of these.
pub(crate) const NAMES: [&str; 4] = ["heap, B", "RSS, KiB", "tasks", "descriptors"];
/// How much later samples may have of each beyond earlier ones: a part of it, and as much on top. The heap: tables that
/// grow by doubling, and a buffer that a thread keeps. RSS: pieces that the allocator does not give back.
const MAY_GROW: [(f64, f64); 4] = [(0.02, 64.0 * 1024.0), (0.08, 2048.0), (0.0, 2.0), (0.0, 2.0)];
/// What comes before is the warm-up.
const WARM: f64 = 0.25;
/// Readings of a sample. The least of each counts: what ends by itself is no growth.
const READINGS: u32 = 12;
const BETWEEN: Duration = Duration::from_millis(50);

/// One point of the curve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) values: [f64; 4],
}

impl Sample {
    /// What is held now, while nobody calls.
    pub(crate) async fn take(at: Duration) -> Result<Self> {
        let mut values = [f64::INFINITY; 4];
        for _ in 0..READINGS {
            sleep(BETWEEN).await;
            for (least, value) in values.iter_mut().zip(read()?) {
                *least = least.min(value);
            }
        }
        Ok(Sample { at, values })
    }

    fn cells(&self) -> impl Iterator<Item = String> {
        let at = format!("{:.0} s", self.at.as_secs_f64());
        std::iter::once(at).chain(self.values.iter().map(|value| format!("{value:.0}")))
    }
}

fn read() -> Result<[f64; 4]> {
    // The folder itself is open while it is read.
    let descriptors = fs::read_dir("/proc/self/fd")?.count() - 1;
    let tasks = Handle::current().metrics().num_alive_tasks();
    Ok([usage::allocated() as f64, usage::resident()? as f64 / 1024.0, tasks as f64, descriptors as f64])
}

/// All samples of a run.
#[derive(Debug, Default)]
pub(crate) struct Curve(pub(crate) Vec<Sample>);

impl Curve {
    /// What came after the warm-up, in three parts: the first and the last.
    fn parts(&self) -> Option<[&[Sample]; 2]> {
        let warm = (self.0.len() as f64 * WARM).ceil() as usize;
        let rest = self.0.get(warm..)?;
        let part = rest.len() / 3;
        (part > 0).then(|| [&rest[..part], &rest[rest.len() - part..]])
    }

    /// What has grown, and by how much; nothing is as it should be.
    pub(crate) fn growth(&self) -> Result<Vec<String>> {
        let [early, late] = self.parts().ok_or("too few samples; take longer or more of them")?;
        let mut grown = Vec::new();
        for (at, name) in NAMES.into_iter().enumerate() {
            let median = |part: &[Sample]| Spread::of(part.iter().map(|sample| sample.values[at]));
            let (early, late) = median(early).zip(median(late)).ok_or("no samples")?;
            let (part, more) = MAY_GROW[at];
            let most = early.median * (1.0 + part) + more;
            if late.median > most {
                grown.push(format!(
                    "{name}: {:.0} in the first third after the warm-up, {:.0} in the last; the most is {most:.0}",
                    early.median, late.median
                ));
            }
        }
        Ok(grown)
    }

    /// A row for the first sample, the first and the last third after the warm-up, and the last sample.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(["at"].into_iter().chain(NAMES));
        let ends = self.0.first().zip(self.0.last());
        if let (Some((first, last)), Some([early, late])) = (ends, self.parts()) {
            table.row(first.cells());
            for part in [early, late] {
                let from = part[0].at.as_secs_f64();
                let to = part[part.len() - 1].at.as_secs_f64();
                let medians = (0..NAMES.len()).filter_map(|at| {
                    Spread::of(part.iter().map(|sample| sample.values[at])).map(|spread| {
                        format!("{:.0} ({:.0}..{:.0})", spread.median, spread.least, spread.most)
                    })
                });
                table.row(std::iter::once(format!("{from:.0} s to {to:.0} s")).chain(medians));
            }
            table.row(last.cells());
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve of one measure, the others at rest.
    fn curve(at: usize, of: impl Fn(usize) -> f64) -> Curve {
        let sample = |number: usize| {
            let mut values = [1e6, 1e4, 50.0, 40.0];
            values[at] = of(number);
            Sample { at: Duration::from_secs(number as u64), values }
        };
        Curve((0..40).map(sample).collect())
    }

    #[test]
    fn what_rises_is_told_by_its_name_and_nothing_else() {
        for (at, step) in [(0, 10_000.0), (1, 300.0), (2, 0.2), (3, 0.2)] {
            let rising = curve(at, |number| 50.0 + step * number as f64).growth().unwrap();
            assert!(rising.len() == 1 && rising[0].starts_with(NAMES[at]), "{rising:?}");
            assert!(curve(at, |_| 50.0).growth().unwrap().is_empty());
        }
    }

    #[test]
    fn neither_the_warm_up_nor_a_spike_is_growth() {
        for at in 0..NAMES.len() {
            let warm = curve(at, |number| 1e6 * number.min(10) as f64);
            assert!(warm.growth().unwrap().is_empty());
            let spiked = curve(at, |number| if number == 38 { 1e9 } else { 1e6 });
            assert!(spiked.growth().unwrap().is_empty());
        }
    }

    #[test]
    fn too_few_samples_are_no_success() {
        assert!(Curve::default().growth().is_err());
    }
}
