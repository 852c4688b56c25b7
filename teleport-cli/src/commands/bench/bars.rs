//! The histogram, drawn.

use std::fmt::Write;

use super::figures::Figures;
use super::units::{count, time};
use crate::paint::Paint;

/// Eighths of a character.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// A bar for each bucket, the longest as wide as there is room in `width` characters.
pub(super) fn write(text: &mut String, figures: &Figures, width: usize, paint: Paint) {
    let Some(buckets) = figures.histogram.as_deref().filter(|buckets| !buckets.is_empty()) else { return };
    let most = buckets.iter().map(|bucket| bucket.calls).max().unwrap_or(1).max(1);
    let all: u64 = buckets.iter().map(|bucket| bucket.calls).sum();
    let room = width.saturating_sub(38).clamp(10, 60);
    text.push('\n');
    for bucket in buckets {
        let part = bucket.calls as f64 / most as f64;
        let percent = 100.0 * bucket.calls as f64 / all.max(1) as f64;
        let label = paint.faint(format!("<= {:>7}", time(bucket.to_us as f64)));
        let numbers = paint.faint(format!("{:>12} {percent:>5.1} %", count(bucket.calls)));
        let bar = bar(part, room);
        let line = format!("{label} {numbers} {bar}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn bar(part: f64, room: usize) -> String {
    let eighths = (part * room as f64 * 8.0).ceil() as usize;
    let mut bar: String = std::iter::repeat_n('█', eighths / 8).collect();
    bar.push(EIGHTHS[eighths % 8]);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_part() {
        assert_eq!(bar(1.0, 3), "███ ");
        assert_eq!(bar(0.5, 3), "█▌");
        assert_eq!(bar(0.0, 3), " ");
        assert_eq!(bar(1e-9, 3), "▏", "what is there is seen");
    }
}
