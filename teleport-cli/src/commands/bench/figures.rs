//! What is told of a run. The names of the fields are documented in the command's help, and stay.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::Load;
use super::record::Counts;
use super::threads::Done;
use crate::failure::{Failure, Outcome};

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) address: String,
    pub(super) uri: String,
    #[serde(rename = "loop")]
    pub(super) kind: &'static str,
    pub(super) push: bool,
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) in_flight: Option<usize>,
    pub(super) rate_per_s: Option<f64>,
    pub(super) max_in_flight: Option<usize>,
    pub(super) warm_up_s: f64,
    pub(super) elapsed_s: f64,
    pub(super) interrupted: bool,
    pub(super) calls: u64,
    pub(super) ok: u64,
    pub(super) calls_per_s: f64,
    pub(super) errors: Errors,
    pub(super) not_started: u64,
    pub(super) unanswered: u64,
    pub(super) reconnects: u64,
    pub(super) sent_body_bytes: u64,
    pub(super) received_body_bytes: u64,
    pub(super) sent_body_bytes_per_s: f64,
    pub(super) received_body_bytes_per_s: f64,
    pub(super) latency_us: Option<Latency>,
    pub(super) histogram: Option<Vec<Bucket>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Errors {
    pub(super) status: BTreeMap<i32, u64>,
    pub(super) timeout: u64,
    pub(super) lost: u64,
    pub(super) other: u64,
    /// Of the first call with a status, and of the first other error.
    #[serde(skip)]
    pub(super) texts: BTreeMap<i32, String>,
    #[serde(skip)]
    pub(super) other_text: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Latency {
    pub(super) min: f64,
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
    pub(super) max: f64,
}

/// Calls of at most so long, and longer than those of the one before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Bucket {
    pub(super) to_us: u64,
    pub(super) calls: u64,
}

impl Figures {
    pub(super) fn new(Done { plan, counts, elapsed, interrupted }: &Done) -> Self {
        let (kind, in_flight, rate_per_s, max_in_flight) = match plan.load {
            Load::Closed { in_flight } => ("closed", Some(in_flight), None, None),
            Load::Open { rate, max_in_flight } => ("open", None, Some(rate), Some(max_in_flight)),
        };
        let begun = counts.ended() + counts.unanswered;
        let answered = counts.ok + counts.refused();
        let seconds = elapsed.as_secs_f64();
        let per_s = |number: u64| if seconds > 0.0 { number as f64 / seconds } else { 0.0 };
        let sent = begun * plan.body.payload().len() as u64;
        let measured = !plan.push && !counts.latencies.is_empty();
        Figures {
            address: plan.address.to_string(),
            uri: plan.uri.clone(),
            kind,
            push: plan.push,
            connections: plan.connections,
            threads: plan.threads,
            in_flight,
            rate_per_s,
            max_in_flight,
            warm_up_s: plan.warm_up.as_secs_f64(),
            elapsed_s: seconds,
            interrupted: *interrupted,
            calls: begun + counts.not_started,
            ok: counts.ok,
            calls_per_s: per_s(answered),
            errors: Errors::new(counts),
            not_started: counts.not_started,
            unanswered: counts.unanswered,
            reconnects: counts.reconnects,
            sent_body_bytes: sent,
            received_body_bytes: counts.received,
            sent_body_bytes_per_s: per_s(sent),
            received_body_bytes_per_s: per_s(counts.received),
            latency_us: measured.then(|| Latency::new(counts)),
            histogram: measured.then(|| buckets(counts)),
        }
    }

    /// What the exit code tells.
    pub(super) fn outcome(&self) -> Outcome {
        let Errors { status, timeout, lost, other, .. } = &self.errors;
        let refused: u64 = status.values().sum();
        if lost + other > 0 {
            return Err(Failure::other(format_args!(
                "{} calls were lost or failed on this side",
                lost + other
            )));
        }
        if timeout + self.not_started > 0 {
            let late = timeout + self.not_started;
            return Err(Failure::timeout(format_args!(
                "{late} calls were not answered in time, or not started"
            )));
        }
        if refused > 0 {
            return Err(Failure::status(format_args!("{refused} calls were answered with an error status")));
        }
        Ok(())
    }
}

impl Errors {
    fn new(counts: &Counts) -> Self {
        let mut status: BTreeMap<i32, u64> =
            counts.statuses.iter().map(|(code, refusals)| (*code, refusals.calls)).collect();
        if counts.more_statuses > 0 {
            // Of those that were too many to be told one by one.
            *status.entry(-1).or_default() += counts.more_statuses;
        }
        Errors {
            status,
            timeout: counts.timeout,
            lost: counts.lost,
            other: counts.other,
            texts: counts.statuses.iter().map(|(code, refusals)| (*code, refusals.text.clone())).collect(),
            other_text: counts.other_text.clone(),
        }
    }
}

impl Latency {
    fn new(counts: &Counts) -> Self {
        let latencies = &counts.latencies;
        let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        Latency {
            min: latencies.min() as f64 / 1e3,
            mean: latencies.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: latencies.max() as f64 / 1e3,
        }
    }
}

/// The steps 1, 2 and 5 of each power of ten, from the first that any call took to the last.
fn buckets(counts: &Counts) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    let steps = (0..11).flat_map(|power| [1, 2, 5].map(|step| step * 10u64.pow(power)));
    let mut recorded = counts.latencies.iter_recorded().peekable();
    for to_us in steps {
        let mut calls = 0;
        while let Some(value) = recorded.next_if(|value| value.value_iterated_to() <= to_us * 1000) {
            calls += value.count_since_last_iteration();
        }
        if calls > 0 || (!buckets.is_empty() && recorded.peek().is_some()) {
            buckets.push(Bucket { to_us, calls });
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::call::Ended;
    use super::*;

    #[test]
    fn calls_stand_between_the_steps() {
        let mut counts = Counts::new();
        for micros in [3, 4, 40, 40, 41, 300] {
            counts.end(Duration::from_micros(micros), Instant::now(), Ended::Ok { received: 0 });
        }
        let told: Vec<_> = buckets(&counts).iter().map(|bucket| (bucket.to_us, bucket.calls)).collect();
        assert_eq!(told, [(5, 2), (10, 0), (20, 0), (50, 3), (100, 0), (200, 0), (500, 1)]);
        let latency = Latency::new(&counts);
        assert!((39.9..40.1).contains(&latency.p50) && (299.0..301.0).contains(&latency.max), "{latency:?}");
    }
}
