//! Numbers of bytes: `"16 MiB"`, `"64KiB"`, `1024`.

use serde::{Deserializer, Serializer};

use super::number_first;

const HOW: &str = "write a whole number and a unit (B, kB, MB, GB, KiB, MiB or GiB), such as \"16 MiB\"; a number \
                   alone is bytes";

/// The largest first, so that a size is written in the largest unit that it is a multiple of.
const BINARY: [(&str, u32); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const DECIMAL: [(&str, u32); 3] = [("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000)];

pub(crate) fn serialize<S: Serializer>(bytes: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*bytes))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    super::read(deserializer, "a size, such as \"16 MiB\"", parse, None)
}

/// A size as it is written.
pub(crate) fn text(bytes: u32) -> String {
    let (unit, length) = BINARY
        .into_iter()
        .find(|(_, length)| bytes != 0 && bytes.is_multiple_of(*length))
        .unwrap_or(("B", 1));
    format!("{} {unit}", bytes / length)
}

fn parse(text: &str) -> Result<u32, String> {
    let (number, unit) = number_first(text.trim());
    if number.is_empty() {
        return Err(format!("{text:?} is no size; {HOW}"));
    }
    let length = match unit {
        "" => Some(1),
        unit => BINARY
            .iter()
            .chain(&DECIMAL)
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, length)| *length),
    };
    let length = length.ok_or_else(|| format!("{unit:?} is no unit of size; {HOW}"))?;
    let bytes = number.parse::<u32>().ok().and_then(|number| number.checked_mul(length));
    bytes.ok_or_else(|| {
        format!("{text:?} is too large a size; the most is {} bytes, 4 GiB less one", u32::MAX)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (written, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("7B", 7),
            ("7 b", 7),
            ("64KiB", 64 << 10),
            ("64 kib", 64 << 10),
            (" 16  MiB ", 16 << 20),
            ("3 GiB", 3 << 30),
            ("1kB", 1000),
            ("1 KB", 1000),
            ("2 MB", 2_000_000),
            ("4 GB", 4_000_000_000),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(parse(written), Ok(bytes), "{written:?}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_with_what_would_be_one() {
        let how = "write a whole number and a unit (B, kB, MB, GB, KiB, MiB or GiB), such as \"16 MiB\"; a number \
                   alone is bytes";
        for (written, error) in [
            ("", "\"\" is no size"),
            ("large", "\"large\" is no size"),
            ("-5", "\"-5\" is no size"),
            ("16 XB", "\"XB\" is no unit of size"),
            ("1.5 MiB", "\".5 MiB\" is no unit of size"),
            ("1 MiB 2 KiB", "\"MiB 2 KiB\" is no unit of size"),
            ("16 M", "\"M\" is no unit of size"),
            ("1_000", "\"_000\" is no unit of size"),
        ] {
            assert_eq!(parse(written), Err(format!("{error}; {how}")));
        }
        for written in ["4 GiB", "5000000 kB", "4294967296", "99999999999999999999 B"] {
            let error =
                format!("{written:?} is too large a size; the most is 4294967295 bytes, 4 GiB less one");
            assert_eq!(parse(written), Err(error));
        }
    }

    #[test]
    fn a_size_is_written_in_the_largest_unit_that_fits() {
        for (bytes, written) in [
            (0, "0 B"),
            (1, "1 B"),
            (1000, "1000 B"),
            (1024, "1 KiB"),
            (1 << 16, "64 KiB"),
            (1 << 24, "16 MiB"),
            ((1 << 24) + 1, "16777217 B"),
            (1 << 31, "2 GiB"),
        ] {
            assert_eq!(text(bytes), written);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bytes: u32, shift in 0..32u32) {
            let bytes = bytes << shift;
            prop_assert_eq!(parse(&text(bytes)), Ok(bytes));
        }

        #[test]
        fn nothing_panics(written in "\\PC{0,12}") {
            let _ = parse(&written);
        }
    }
}
