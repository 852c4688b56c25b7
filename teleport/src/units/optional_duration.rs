//! Durations that may be left away: as [`duration`](super::duration), or `"none"`.

use std::time::Duration;

use serde::{Deserializer, Serializer};

use super::duration;

/// What stands for no duration. A text, as files such as TOML have nothing else for it.
const NONE: &str = "none";

pub(crate) fn serialize<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => duration::serialize(duration, serializer),
        None => serializer.serialize_str(NONE),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    super::read(deserializer, "a duration, such as \"1m 30s\", or \"none\"", parse, Some(None))
}

fn parse(text: &str) -> Result<Option<Duration>, String> {
    if text.trim() == NONE {
        return Ok(None);
    }
    duration::parse(text).map(Some).map_err(|error| format!("{error}, or \"none\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_a_word() {
        assert_eq!(parse("none"), Ok(None));
        assert_eq!(parse(" 1s "), Ok(Some(Duration::from_secs(1))));
        assert_eq!(
            parse("never"),
            Err("\"never\" is no duration; write a whole number and a unit (ns, us, ms, s, m, h or d), such as \
                 \"250ms\" or \"1m 30s\", or \"none\""
                .into())
        );
    }
}
