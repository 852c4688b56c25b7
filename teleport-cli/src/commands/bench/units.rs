//! Figures as people read them.

/// With commas between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time of so many microseconds, with three digits that count.
pub(super) fn time(micros: f64) -> String {
    match micros {
        0.0..1e3 => format!("{} us", three(micros)),
        1e3..1e6 => format!("{} ms", three(micros / 1e3)),
        _ => format!("{} s", three(micros / 1e6)),
    }
}

/// A size.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024.0 {
        return format!("{bytes:.0} B");
    }
    let (mut size, mut unit) = (bytes / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    format!("{} {}", three(size), UNITS[unit])
}

fn three(number: f64) -> String {
    let decimals = if number < 10.0 { 2 } else { usize::from(number < 100.0) };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units() {
        assert_eq!((count(0), count(999), count(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(
            (time(1.234), time(56.78), time(999_000.0)),
            ("1.23 us".into(), "56.8 us".into(), "999 ms".into())
        );
        assert_eq!(time(61e6), "61.0 s");
        assert_eq!(
            (bytes(1000.0), bytes(1536.0), bytes(3e9)),
            ("1000 B".into(), "1.50 KiB".into(), "2.79 GiB".into())
        );
    }
}
