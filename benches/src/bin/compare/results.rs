//! What was measured, and the medians of it.

use teleport_benches::machine::Cores;
use teleport_benches::stats::Spread;

use crate::load::Measured;
use crate::peers::Peer;
use crate::workload::{self, Workload};

/// What a measurement is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) cores: Cores,
    pub(crate) workload: Workload,
    pub(crate) peer: Peer,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) client: Measured,
    /// Microseconds of processor time that the server's process took.
    pub(crate) server_processor: f64,
}

/// All measurements of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    /// Calls per second.
    pub(crate) rate: Spread,
    /// Microseconds of a call.
    pub(crate) p50: Spread,
    pub(crate) p99: Spread,
    /// Microseconds of processor time for a call.
    pub(crate) client: Spread,
    pub(crate) server: Spread,
}

#[derive(Debug, Default)]
pub(crate) struct Results {
    samples: Vec<(Key, Sample)>,
}

impl Results {
    pub(crate) fn add(&mut self, key: Key, sample: Sample) {
        self.samples.push((key, sample));
    }

    /// Medians of what was measured of this, if anything was.
    pub(crate) fn get(&self, cores: Cores, workload: Workload, peer: Peer) -> Option<Summary> {
        let key = Key { cores, workload, peer };
        let spread = |value: fn(&Sample) -> f64| {
            Spread::of(self.samples.iter().filter(|(k, _)| *k == key).map(|(_, sample)| value(sample)))
        };
        Some(Summary {
            rate: spread(|sample| sample.client.calls as f64 / sample.client.seconds)?,
            p50: spread(|sample| sample.client.p50)?,
            p99: spread(|sample| sample.client.p99)?,
            client: spread(|sample| sample.client.processor / sample.calls())?,
            server: spread(|sample| sample.server_processor / sample.calls())?,
        })
    }

    /// How many times the calls per second of another peer these are.
    pub(crate) fn ratio(&self, cores: Cores, workload: Workload, peer: Peer, other: Peer) -> Option<f64> {
        let rate = |peer| self.get(cores, workload, peer).map(|summary| summary.rate.median);
        Some(rate(peer)? / rate(other)?)
    }

    /// The modes of which there is anything.
    pub(crate) fn cores(&self) -> Vec<Cores> {
        Cores::EVERY.into_iter().filter(|cores| self.has(|key| key.cores == *cores)).collect()
    }

    /// The workloads of which there is anything, in order.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        workload::ALL.into_iter().filter(|workload| self.has(|key| key.workload == *workload)).collect()
    }

    /// The peers of which there is anything, in order.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        Peer::ALL.into_iter().filter(|peer| self.has(|key| key.peer == *peer)).collect()
    }

    fn has(&self, is: impl Fn(&Key) -> bool) -> bool {
        self.samples.iter().any(|(key, _)| is(key))
    }
}

impl Sample {
    fn calls(&self) -> f64 {
        // Where there was not one, its cost is that of the whole window.
        self.client.calls.max(1) as f64
    }
}
