//! Durations, written as in files of settings.

use std::str::FromStr;
use std::time;

use serde::Deserialize;
use serde::de::value::{Error, MapDeserializer};
use teleport::Timeouts;

/// A duration such as `30s`, `250ms` or `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duration(pub(crate) time::Duration);

impl FromStr for Duration {
    type Err = String;

    /// By the reader of the settings, so that both are written alike.
    fn from_str(text: &str) -> Result<Self, String> {
        let timeouts = MapDeserializer::<_, Error>::new(std::iter::once(("dial", text)));
        Timeouts::deserialize(timeouts)
            .map(|timeouts| Duration(timeouts.dial))
            .map_err(|error| error.to_string())
    }
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
