//! What is to be run.

use std::num::NonZero;
use std::time::Duration;

use teleport::{Endpoint, SealedBody, gzip};

use super::Bench;
use crate::failure::{Failure, Outcome};
use crate::options::DialOptions;
use crate::options::body::Source;

const DURATION: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_secs(1);
const IN_FLIGHT: u32 = 10;

/// What was asked for, ready to be run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) address: Endpoint,
    pub(super) uri: String,
    /// As it travels: encoded and compressed once for all calls.
    pub(super) body: SealedBody,
    pub(super) push: bool,
    pub(super) load: Load,
    pub(super) connections: usize,
    /// No more than connections, nor than calls in flight.
    pub(super) threads: usize,
    pub(super) warm_up: Duration,
    pub(super) ending: Ending,
    pub(super) dial: DialOptions,
}

/// When a call begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Load {
    /// When another was answered.
    Closed { in_flight: usize },
    /// At its time.
    Open { rate: f64, max_in_flight: usize },
}

/// When no more calls begin; the warm-up comes before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ending {
    After(Duration),
    Calls(u64),
}

impl Plan {
    pub(super) fn new(asked: Bench) -> Outcome<Self> {
        let body = asked.codec.read(&Source::new(asked.body.as_deref()))?;
        let body = seal(asked.codec.codec.0, asked.codec.gzip, body)?;
        let load = match asked.rate {
            Some(rate) => Load::Open { rate, max_in_flight: asked.max_in_flight as usize },
            None => Load::Closed { in_flight: asked.in_flight.unwrap_or(IN_FLIGHT) as usize },
        };
        let ending = match (asked.calls, asked.duration) {
            (Some(calls), _) => Ending::Calls(calls),
            (None, duration) => Ending::After(duration.map_or(DURATION, |duration| duration.0)),
        };
        let usual = if asked.calls.is_some() { Duration::ZERO } else { WARM_UP };
        let connections = asked.connections as usize;
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = asked.threads.map_or(cores, |threads| threads as usize).min(connections);
        let threads = match load {
            Load::Closed { .. } => threads,
            Load::Open { max_in_flight, .. } => threads.min(max_in_flight),
        };
        Ok(Plan {
            address: asked.target.address,
            uri: asked.target.uri,
            body,
            push: asked.push,
            load,
            connections,
            threads,
            warm_up: asked.warm_up.map_or(usual, |warm_up| warm_up.0),
            ending,
            dial: asked.dial,
        })
    }

    /// The part of so many that falls to this thread.
    pub(super) fn share(&self, of: usize, thread: usize) -> usize {
        of / self.threads + usize::from(thread < of % self.threads)
    }
}

/// A body as it travels.
fn seal(codec: u8, level: i32, payload: Option<Vec<u8>>) -> Outcome<SealedBody> {
    let Some(payload) = payload else { return Ok(SealedBody::none()) };
    let mut bytes = vec![codec];
    if level == 0 {
        bytes.extend_from_slice(&payload);
    } else {
        gzip::deflate(level, &payload, &mut bytes).map_err(Failure::usage)?;
    }
    Ok(SealedBody::new(bytes, level))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: Bench,
    }

    fn plan(line: &str) -> Plan {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Plan::new(Line::try_parse_from(words).unwrap().bench).unwrap()
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let closed = plan(":1/a --threads 8");
        assert_eq!(closed.load, Load::Closed { in_flight: 10 });
        assert_eq!((closed.ending, closed.warm_up), (Ending::After(DURATION), WARM_UP));
        assert_eq!((closed.connections, closed.threads), (1, 1));
        let open = plan(":1/a --rate 5 --calls 7 -n 9 --threads 4 --max-in-flight 3");
        assert_eq!(open.load, Load::Open { rate: 5.0, max_in_flight: 3 });
        assert_eq!((open.ending, open.warm_up, open.threads), (Ending::Calls(7), Duration::ZERO, 3));
    }

    #[test]
    fn shares_make_the_whole() {
        let plan = plan(":1/a -n 7 --threads 3");
        assert_eq!((0..3).map(|thread| plan.share(7, thread)).collect::<Vec<_>>(), [3, 2, 2]);
    }

    #[test]
    fn a_body_is_compressed_once_and_for_all() {
        let body = plan(":1/a [1,2] -g 6").body;
        assert_eq!((body.codec(), body.gzip()), (b'j', 6));
        let mut inflated = Vec::new();
        gzip::inflate(body.payload(), 100, &mut inflated).unwrap();
        assert_eq!(inflated, b"[1,2]");
        assert!(plan(":1/a").body.is_none());
    }
}
