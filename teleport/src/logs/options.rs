//! What is logged of calls, as settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units;

#[doc = include_str!("../../docs/logs.md")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// Which calls have an event. Default: [`LogCalls::All`], which costs nothing where no subscriber listens.
    pub calls: LogCalls,
    /// A call that takes as long as this, or longer, has a warning. Default: none.
    #[serde(with = "units::optional_duration")]
    pub slow: Option<Duration>,
    /// Whether events show headers, as JSON. Default: no.
    pub headers: bool,
    /// Whether events show bodies, as JSON. Default: no, as they may hold what is nobody's business.
    pub bodies: bool,
    /// Bytes that are shown of a body; what is over that is only counted. Default: 1 KiB.
    #[serde(with = "units::size")]
    pub max_body: u32,
}

/// Which calls have an event in the log.
///
/// In a file of settings they are called `"off"`, `"slow"` and `"all"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(rename_all = "lowercase")]
pub enum LogCalls {
    /// None.
    Off,
    /// Those that take as long as [`LogOptions::slow`] says.
    Slow,
    /// Every one.
    #[default]
    All,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { calls: LogCalls::default(), slow: None, headers: false, bodies: false, max_body: 1024 }
    }
}

impl LogOptions {
    /// Sets [`calls`](Self::calls).
    #[must_use]
    pub fn with_calls(mut self, calls: LogCalls) -> Self {
        self.calls = calls;
        self
    }

    /// Sets [`slow`](Self::slow).
    #[must_use]
    pub fn with_slow(mut self, slow: impl Into<Option<Duration>>) -> Self {
        self.slow = slow.into();
        self
    }

    /// Sets [`headers`](Self::headers).
    #[must_use]
    pub fn with_headers(mut self, headers: bool) -> Self {
        self.headers = headers;
        self
    }

    /// Sets [`bodies`](Self::bodies).
    #[must_use]
    pub fn with_bodies(mut self, bodies: bool) -> Self {
        self.bodies = bodies;
        self
    }

    /// Sets [`max_body`](Self::max_body).
    #[must_use]
    pub fn with_max_body(mut self, bytes: u32) -> Self {
        self.max_body = bytes;
        self
    }
}
