//! Durations: `"30s"`, `"1m 30s"`, `"250ms"`.

use std::fmt::Write;
use std::time::Duration;

use serde::{Deserializer, Serializer};

use super::number_first;

const HOW: &str =
    "write a whole number and a unit (ns, us, ms, s, m, h or d), such as \"250ms\" or \"1m 30s\"";

const SECONDS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
const NANOS: [(&str, u32); 3] = [("ms", 1_000_000), ("us", 1000), ("ns", 1)];

pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*duration))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    super::read(deserializer, "a duration, such as \"1m 30s\"", parse, None)
}

/// A duration as it is written.
pub(crate) fn text(duration: Duration) -> String {
    let (mut seconds, mut nanos) = (duration.as_secs(), duration.subsec_nanos());
    let mut text = String::new();
    let mut part = |number: u64, unit| {
        if number != 0 {
            let space = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{space}{number}{unit}");
        }
    };
    for (unit, length) in SECONDS {
        part(seconds / length, unit);
        seconds %= length;
    }
    for (unit, length) in NANOS {
        part((nanos / length).into(), unit);
        nanos %= length;
    }
    if text.is_empty() { "0s".into() } else { text }
}

pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let mut sum = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(format!("{text:?} is no duration; {HOW}"));
    }
    while !rest.is_empty() {
        let (number, from_unit) = number_first(rest);
        if number.is_empty() {
            return Err(format!("{text:?} is no duration; {HOW}"));
        }
        let end =
            from_unit.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(from_unit.len());
        let (unit, after) = from_unit.split_at(end);
        if unit.is_empty() {
            return Err(format!("{text:?} has no unit after {number}; {HOW}"));
        }
        let part = part(number, unit).ok_or_else(|| format!("{unit:?} is no unit of time; {HOW}"))?;
        sum = part
            .and_then(|part| sum.checked_add(part))
            .ok_or_else(|| format!("{text:?} is too long a time; the most is 2^64 seconds"))?;
        rest = after.trim_start();
    }
    Ok(sum)
}

/// `None` where that is no unit, `Some(None)` where it is too long.
fn part(number: &str, unit: &str) -> Option<Option<Duration>> {
    let number = number.parse::<u64>().ok();
    let unit = if matches!(unit, "µs" | "μs") { "us" } else { unit };
    if let Some((_, length)) = SECONDS.iter().find(|(name, _)| *name == unit) {
        return Some(number.and_then(|number| number.checked_mul(*length)).map(Duration::from_secs));
    }
    let from = match unit {
        "ms" => Duration::from_millis,
        "us" => Duration::from_micros,
        "ns" => Duration::from_nanos,
        _ => return None,
    };
    Some(number.map(from))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let (second, milli) = (Duration::from_secs, Duration::from_millis);
        for (written, duration) in [
            ("0s", second(0)),
            ("30s", second(30)),
            ("30 s", second(30)),
            (" 1m 30s ", second(90)),
            ("1m30s", second(90)),
            ("90s 1m", second(150)),
            ("250ms", milli(250)),
            ("1s500ms", milli(1500)),
            ("2h", second(7200)),
            ("1d 1h", second(90_000)),
            ("3us", Duration::from_micros(3)),
            ("3µs", Duration::from_micros(3)),
            ("3 μs", Duration::from_micros(3)),
            ("7ns", Duration::from_nanos(7)),
            ("18446744073709551615s", second(u64::MAX)),
        ] {
            assert_eq!(parse(written), Ok(duration), "{written:?}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_with_what_would_be_one() {
        let how =
            "write a whole number and a unit (ns, us, ms, s, m, h or d), such as \"250ms\" or \"1m 30s\"";
        for (written, error) in [
            ("", "\"\" is no duration"),
            ("soon", "\"soon\" is no duration"),
            ("-1s", "\"-1s\" is no duration"),
            ("1s, 2ms", "\"s,\" is no unit of time"),
            ("0", "\"0\" has no unit after 0"),
            ("30", "\"30\" has no unit after 30"),
            ("1m 30", "\"1m 30\" has no unit after 30"),
            ("1.5s", "\".\" is no unit of time"),
            ("5sec", "\"sec\" is no unit of time"),
            ("5M", "\"M\" is no unit of time"),
        ] {
            assert_eq!(parse(written), Err(format!("{error}; {how}")));
        }
        for written in [
            "18446744073709551616s",
            "99999999999999999999ms",
            "18446744073709551615s 1s",
            "9999999999999999999d",
        ] {
            let error = format!("{written:?} is too long a time; the most is 2^64 seconds");
            assert_eq!(parse(written), Err(error));
        }
    }

    #[test]
    fn a_duration_is_written_with_the_units_that_it_needs() {
        for (duration, written) in [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(90), "1m 30s"),
            (Duration::from_secs(86_400), "1d"),
            (Duration::from_millis(1500), "1s 500ms"),
            (Duration::from_nanos(1_002_003), "1ms 2us 3ns"),
            (Duration::MAX, "213503982334601d 7h 15s 999ms 999us 999ns"),
        ] {
            assert_eq!(text(duration), written);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds: u64, nanos in 0..1_000_000_000u32) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse(&text(duration)), Ok(duration));
        }

        #[test]
        fn nothing_panics(written in "\\PC{0,12}|([0-9µ]{1,22}[a-zµ ]{0,3}){1,3}") {
            let _ = parse(&written);
        }
    }
}
