//! What was counted, as values.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::histogram::Recorded;

/// What a [`Stats`](super::Stats) had counted at one time. Serializes by serde.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StatsSnapshot {
    /// Sessions of the peer.
    pub sessions: SessionCounts,
    /// Bytes of packets that came.
    pub received_bytes: u64,
    /// Bytes of packets that went.
    pub sent_bytes: u64,
    /// Calls that came: pulls before pushes, by path; `unknown` last.
    pub inbound: Vec<RouteStats>,
    /// Calls of this side: pulls before pushes, by path; `other` last.
    pub outbound: Vec<RouteStats>,
}

/// Sessions that begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionCounts {
    /// Sessions that this side dialed.
    pub dialed: u64,
    /// Sessions that it accepted.
    pub accepted: u64,
    /// Sessions of both that have ended.
    pub closed: u64,
    /// Sessions of both that have not.
    pub open: u64,
}

/// What was counted of one route.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RouteStats {
    /// The path, unescaped; `unknown` or `other` for those that are not kept apart.
    pub route: String,
    /// Whether these are pushes; else they are pulls.
    pub is_push: bool,
    /// Calls that came and were answered, or were sent.
    pub calls: u64,
    /// Replies by the number of their code; `other` for numbers that the library does not name. Pushes have none.
    pub codes: BTreeMap<String, u64>,
    /// How long until the reply. Pushes have none.
    pub latency: Latency,
}

/// How long calls took. Serializes as count, sum, and quantiles in seconds.
#[derive(Clone, Debug)]
pub struct Latency(Recorded);

impl StatsSnapshot {
    /// The pulls that came to this path.
    #[must_use]
    pub fn inbound_pull(&self, path: &str) -> Option<&RouteStats> {
        self.inbound.iter().find(|route| !route.is_push && route.route == path)
    }

    /// The pulls that this side made to this path.
    #[must_use]
    pub fn outbound_pull(&self, path: &str) -> Option<&RouteStats> {
        self.outbound.iter().find(|route| !route.is_push && route.route == path)
    }
}

impl RouteStats {
    /// Replies, whatever their code.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.codes.values().sum()
    }

    /// Replies with another code than 200.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.answered() - self.codes.get("200").unwrap_or(&0)
    }
}

impl Latency {
    pub(super) fn new(recorded: Recorded) -> Self {
        Latency(recorded)
    }

    /// How many were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count()
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.0.sum()
    }

    /// The mean; `None` where nothing was measured.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let count = self.count();
        (count > 0).then(|| Duration::from_secs_f64(self.sum().as_secs_f64() / count as f64))
    }

    /// How long this part of the calls took at most, from 0 to 1, within an eighth; what takes longer than 134 s counts as
    /// that. `None` where nothing was measured.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        self.0.quantile(part)
    }

    pub(super) fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.cumulative()
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = |part| self.quantile(part).map(|took| took.as_secs_f64());
        let mut fields = serializer.serialize_struct("Latency", 6)?;
        fields.serialize_field("count", &self.count())?;
        fields.serialize_field("sum_seconds", &self.sum().as_secs_f64())?;
        fields.serialize_field("p50_seconds", &seconds(0.5))?;
        fields.serialize_field("p90_seconds", &seconds(0.9))?;
        fields.serialize_field("p99_seconds", &seconds(0.99))?;
        fields.serialize_field("p999_seconds", &seconds(0.999))?;
        fields.end()
    }
}
