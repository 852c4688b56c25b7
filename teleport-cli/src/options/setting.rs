//! Durations and sizes, written as in files of settings.

use std::str::FromStr;
use std::time;

use serde::de::DeserializeOwned;
use serde::de::value::{Error, MapDeserializer};
use teleport::{Limits, Timeouts};

/// A duration such as `30s`, `250ms` or `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duration(pub(crate) time::Duration);

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        setting("dial", text).map(|timeouts: Timeouts| Duration(timeouts.dial))
    }
}

/// A size such as `64 KiB`.
pub(crate) fn parse_size(text: &str) -> Result<u32, String> {
    setting("max_body", text).map(|limits: Limits| limits.max_body)
}

/// A group of settings with one of them, by the reader of the settings: so that here and there the same can be written.
fn setting<G: DeserializeOwned>(key: &str, text: &str) -> Result<G, String> {
    let one = MapDeserializer::<_, Error>::new(std::iter::once((key, text)));
    G::deserialize(one).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_in_settings() {
        assert_eq!("1m 30s".parse(), Ok(Duration(time::Duration::from_secs(90))));
        let problem = "10".parse::<Duration>().unwrap_err();
        assert!(problem.contains("no unit") && problem.contains("250ms"), "{problem}");
    }
}
