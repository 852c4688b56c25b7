//! `teleport bench`: load for a handler, and what it made of it.
//!
//! `plan` is what was asked for; `threads` runs it, with `closed` or `open` for when a call begins, `link` for the
//! connections and `record` for what is counted; `figures` is what comes of that, `table`, `bars` and `units` how it reads.

mod bars;
mod call;
mod closed;
mod control;
mod figures;
mod link;
mod open;
mod plan;
mod progress;
mod record;
mod schedule;
mod table;
mod threads;
mod units;

use std::io::Write;

use clap::Args;

use self::figures::Figures;
use self::plan::Plan;
use crate::failure::{Failure, Outcome};
use crate::options::{BodyOptions, DialOptions, Duration};
use crate::paint::Paints;
use crate::target::Target;

/// Load a handler, and tell how many calls it answered and how long they took.
///
/// Closed loop, without --rate: each of N x M callers calls again when it is answered, so a server that falls behind is
/// called less. Open loop, with --rate: calls are due at fixed times, whatever the answers do, and the time of each is
/// counted from when it was due, also where it had to wait for others to be answered: nothing that was late is left out
/// (no coordinated omission).
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct Bench {
    /// Whom to call, as 127.0.0.1:9090/arith/mul.
    target: Target,
    /// Body of every call: a value, @FILE, or - for standard input, which is read once; none where it is left out.
    body: Option<String>,

    /// Connections, spread over the threads.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536), help_heading = "Load")]
    connections: u32,
    /// Closed loop: calls in flight on each connection [default: 10].
    #[arg(long, short = 'm', value_name = "M", value_parser = clap::value_parser!(u32).range(1..=65_536), conflicts_with = "rate", help_heading = "Load")]
    in_flight: Option<u32>,
    /// Open loop: calls due per second, on all connections together.
    #[arg(long, short, value_name = "R", value_parser = parse_rate, help_heading = "Load")]
    rate: Option<f64>,
    /// Open loop: calls in flight at once, on all connections together; what is due beyond waits, and its time runs.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_048_576), requires = "rate", help_heading = "Load")]
    max_in_flight: u32,
    /// How long calls are begun; those in flight then are waited for, and counted [default: 10s].
    #[arg(long, short, value_name = "TIME", conflicts_with = "calls", help_heading = "Load")]
    duration: Option<Duration>,
    /// Make so many calls instead, beside those of the warm-up.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Load")]
    calls: Option<u64>,
    /// How long to call before anything is counted [default: 1s, with --calls 0s].
    #[arg(long, value_name = "TIME", help_heading = "Load")]
    warm_up: Option<Duration>,
    /// Push instead of pull: nothing comes back, so only what was sent is counted.
    #[arg(long, help_heading = "Load")]
    push: bool,
    /// Threads to make the load with [default: one for each core, and no more than connections].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Load")]
    threads: Option<u32>,

    /// Write one JSON object instead of the table; its fields are below.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Leave the histogram out of the table.
    #[arg(long, help_heading = "Output")]
    no_histogram: bool,
    /// No progress, which is only shown where standard error is a terminal.
    #[arg(long, help_heading = "Output")]
    no_progress: bool,

    #[command(flatten)]
    codec: BodyOptions,
    #[command(flatten)]
    dial: DialOptions,
}

const HELP: &str = "\
Examples:
  teleport bench 127.0.0.1:9090/arith/mul '[2,3]' --connections 4 --in-flight 100 --duration 10s
  teleport bench 127.0.0.1:9090/arith/mul '[2,3]' --rate 5000 --duration 1m
  teleport bench 127.0.0.1:9090/store @picture.bin -c plain --calls 1000 --json
  teleport bench 127.0.0.1:9090/log '\"line\"' --push -m 50 --no-histogram

What is counted:
  Latencies are those of calls that were answered, with whatever status, or timed out. In an open loop a call is given a
  second after the end to begin; what has not begun by then is told as not started, stands among the latencies with the
  time that it had waited, and makes the exit code 4.
  A call whose connection was lost is an error of its own kind, without a latency. The connection is dialed again, at once
  and then with pauses that grow to a second; calls that are due meanwhile in an open loop wait, and their time runs.
  calls/s are those that were answered, by the time until the last answer.
  Bytes are those of bodies as they travel, compressed or not, without headers.
  Ctrl-C ends the run early: what is in flight has a second to be answered, then the table follows.

Exit codes: 0 all calls were answered with 200, 1 some with an error status, 3 a first connection could not be made,
4 some timed out or were not started, 5 some were lost. Of several the last in the order 1, 4, 5 counts.

Fields of --json, `null` where there is nothing to tell:
  address, uri, loop (\"closed\" or \"open\"), push, connections, threads, in_flight (per connection), rate_per_s,
  max_in_flight, warm_up_s, elapsed_s, interrupted
  calls             begun after the warm-up, and due but not started
  ok                answered with 200, or for pushes sent
  calls_per_s       answered, or for pushes sent, per second
  errors            by status (-1 for those beyond 64 different ones) and kind, as {\"status\": {\"404\": 1, ...}, \"timeout\": 0, \"lost\": 0, \"other\": 0}
  not_started, unanswered (cut off by Ctrl-C), reconnects
  sent_body_bytes, received_body_bytes, sent_body_bytes_per_s, received_body_bytes_per_s
  latency_us        {\"min\", \"mean\", \"p50\", \"p90\", \"p99\", \"p99_9\", \"max\"}; null for pushes
  histogram         [{\"to_us\", \"calls\"}, ...]: calls of at most so long, and longer than the entry before; null for pushes";

impl Bench {
    pub(crate) fn run(self, paints: Paints) -> Outcome {
        let (json, bars, progress) = (self.json, !self.no_histogram, !self.no_progress);
        let plan = Plan::new(self)?;
        let done = threads::run(plan, progress, paints.err)?;
        let figures = Figures::new(&done);
        let mut text = String::new();
        if json {
            text = serde_json::to_string(&figures).map_err(Failure::other)?;
            text.push('\n');
        } else {
            table::write(&mut text, &figures, paints.out);
            if bars {
                bars::write(&mut text, &figures, table::width(), paints.out);
            }
        }
        std::io::stdout().write_all(text.as_bytes()).map_err(Failure::output)?;
        figures.outcome()
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=10_000_000.0).contains(rate));
    rate.ok_or_else(|| "calls per second, from 0.001 to 10000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_that_can_be_kept() {
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        for text in ["0", "-1", "nan", "inf", "1e9", "fast", ""] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
