//! The closed loop that every framework is put under, and what is measured of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use teleport_benches::process::say;
use teleport_benches::{Result, usage};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::workload::Workload;

/// Before the window: connections, buffers and tables have grown, and the cores have woken up.
const WARM_UP: Duration = Duration::from_millis(300);
/// How long the load goes on after the window, until the server has been asked for its processor time too.
const TAIL: Duration = Duration::from_millis(20);
/// Where fewer calls are in flight, the time of each is taken; else that of every sixteenth, as reading the clock
/// twice would cost as much as a tenth of a call.
const TIMED_ALWAYS: usize = 16;
/// What the client prints where the window begins.
pub(crate) const WINDOW: &str = "window";

/// One client of a framework. Its calls echo: what came back goes out with the next call, so that no framework pays
/// for a copy that the others don't need.
pub(crate) trait Call: Clone + Send + 'static {
    /// The argument and the reply.
    type Value: Send + 'static;

    /// Calls and waits. Panics where the reply is not the one to this call.
    fn call(&mut self, value: Self::Value) -> impl Future<Output = Self::Value> + Send;
}

/// What a client tells of its window.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) calls: u64,
    pub(crate) seconds: f64,
    /// Microseconds of a call.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Microseconds of processor time that the client's process took.
    pub(crate) processor: f64,
}

/// Runs as many tasks on each connection as the workload says, each of which calls for ever; prints what it measured.
pub(crate) async fn run<C, F>(connections: Vec<C>, first: F, workload: Workload, seconds: f64) -> Result<()>
where
    C: Call,
    F: Fn(u64) -> C::Value,
{
    let meter = Meter::new(workload);
    let mut tasks = JoinSet::new();
    let mut gauges = meter.gauges();
    for connection in connections {
        for mut gauge in gauges.by_ref().take(workload.in_flight) {
            let (mut connection, mut value) = (connection.clone(), first(gauge.number));
            tasks.spawn(async move {
                while gauge.goes_on() {
                    let began = gauge.begin();
                    value = connection.call(value).await;
                    gauge.end(began);
                }
            });
        }
    }
    meter.window(seconds).await?;
    // A call that failed has panicked, and that goes on here.
    tasks.join_all().await;
    Ok(())
}

/// What all tasks write to, and the window is read from.
pub(crate) struct Meter {
    counters: Vec<Counter>,
    measuring: AtomicBool,
    stopped: AtomicBool,
    timed_every: u64,
    /// Nanoseconds.
    latencies: Mutex<Histogram<u64>>,
}

/// Calls of one task, which alone writes it; in a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl Meter {
    pub(crate) fn new(workload: Workload) -> Arc<Self> {
        let tasks = workload.total_in_flight();
        let latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order");
        Arc::new(Meter {
            counters: (0..tasks).map(|_| Counter::default()).collect(),
            measuring: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            timed_every: if tasks < TIMED_ALWAYS { 1 } else { 16 },
            latencies: Mutex::new(latencies),
        })
    }

    /// A gauge for each call in flight.
    pub(crate) fn gauges(self: &Arc<Self>) -> impl Iterator<Item = Gauge> + use<> {
        let meter = self.clone();
        (0..meter.counters.len() as u64).map(move |number| Gauge { meter: meter.clone(), number, calls: 0 })
    }

    pub(crate) fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    /// Lets the load run warm, then measures it, prints that, and stops the load.
    pub(crate) async fn window(&self, seconds: f64) -> Result<()> {
        sleep(WARM_UP).await;
        say(WINDOW)?;
        let (calls, processor, began) = (self.calls(), usage::processor_time()?, Instant::now());
        self.measuring.store(true, Ordering::Relaxed);
        sleep(Duration::from_secs_f64(seconds)).await;
        let (calls, processor) = (self.calls() - calls, usage::processor_time()? - processor);
        let seconds = began.elapsed().as_secs_f64();
        self.measuring.store(false, Ordering::Relaxed);
        let (p50, p99) = {
            let latencies = self.latencies.lock().expect("no task panicked while it held it");
            let micros = |share| latencies.value_at_quantile(share) as f64 / 1e3;
            (micros(0.5), micros(0.99))
        };
        let processor = processor.as_secs_f64() * 1e6;
        say(serde_json::to_string(&Measured { calls, seconds, p50, p99, processor })?)?;
        sleep(TAIL).await;
        self.stopped.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn calls(&self) -> u64 {
        self.counters.iter().map(|counter| counter.0.load(Ordering::Relaxed)).sum()
    }
}

/// One task's, or one call's in flight, end of the meter.
pub(crate) struct Gauge {
    meter: Arc<Meter>,
    /// Counts the gauges.
    pub(crate) number: u64,
    calls: u64,
}

impl Gauge {
    pub(crate) fn goes_on(&self) -> bool {
        self.meter.goes_on()
    }

    /// To be called before each call; tells when it began, if the call is one that is timed.
    pub(crate) fn begin(&mut self) -> Option<Instant> {
        // Each gauge begins at another point, so that calls that leave together are not all timed.
        let timed = (self.calls + self.number).is_multiple_of(self.meter.timed_every);
        (timed && self.meter.measuring.load(Ordering::Relaxed)).then(Instant::now)
    }

    /// To be called after each call.
    pub(crate) fn end(&mut self, began: Option<Instant>) {
        self.calls += 1;
        self.meter.counters[self.number as usize].0.store(self.calls, Ordering::Relaxed);
        if let Some(began) = began {
            let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.meter.latencies.lock().expect("no task panicked while it held it").saturating_record(nanos);
        }
    }
}
