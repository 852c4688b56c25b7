//! Numbers that may be left away: a whole number, or `"none"`.

use serde::{Deserializer, Serializer};

/// What stands for no number. A text, as files such as TOML have nothing else for it.
const NONE: &str = "none";

pub(crate) fn serialize<S: Serializer>(number: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        // A format that is not for people is read as a text.
        Some(number) if !serializer.is_human_readable() => serializer.serialize_str(&number.to_string()),
        Some(number) => serializer.serialize_u32(*number),
        None => serializer.serialize_str(NONE),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    super::read(deserializer, "a whole number, or \"none\"", parse, Some(None))
}

fn parse(text: &str) -> Result<Option<u32>, String> {
    match text.trim() {
        NONE => Ok(None),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| format!("{text:?} is no whole number up to {}, and not \"none\"", u32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_a_word_and_numbers_have_bounds() {
        assert_eq!(parse("none"), Ok(None));
        assert_eq!(parse(" 7 "), Ok(Some(7)));
        for text in ["-1", "4294967296", "1.5", "", "never"] {
            assert!(parse(text).unwrap_err().contains("\"none\""), "{text}");
        }
    }
}
