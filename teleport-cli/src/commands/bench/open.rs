//! Open loop: a call begins when it is due, whatever became of those before.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::call::{Ended, call};
use super::control::Control;
use super::link::{Line, Link};
use super::plan::Plan;
use super::record::Lane;
use super::schedule::{End, Next, Schedule};

/// The longest that the pacer sleeps, until it looks whether it was interrupted.
const NAP: Duration = Duration::from_millis(50);

/// What the callers of one thread take their calls from.
#[derive(Debug)]
pub(super) struct Turnstile {
    schedule: Mutex<Schedule>,
    /// Lets one caller look.
    due: Notify,
}

impl Turnstile {
    pub(super) fn new(schedule: Schedule) -> Self {
        Turnstile { schedule: Mutex::new(schedule), due: Notify::new() }
    }

    /// The next call, when it is due: from when its time counts, and whether it counts at all. `None` after the last.
    async fn next(&self, control: &Control) -> Option<(Instant, bool)> {
        loop {
            let now = control.started.elapsed();
            let next = {
                let mut schedule = self.schedule();
                if control.is_stopped() {
                    schedule.cut(now);
                    Next::Over
                } else {
                    schedule.next(now)
                }
            };
            match next {
                Next::Begin { due, counts } => {
                    if self.schedule().is_due(now) {
                        self.due.notify_one();
                    }
                    return Some((control.started + due, counts));
                }
                Next::Wait(_) => self.due.notified().await,
                Next::Over => {
                    // The others are to know it too.
                    self.due.notify_one();
                    return None;
                }
            }
        }
    }

    /// Counts what did not begin.
    pub(super) fn finish(&self, control: &Control, lane: &Lane) {
        let now = control.started.elapsed();
        let mut schedule = self.schedule();
        if control.is_stopped() {
            schedule.cut(now);
        }
        let mut counts = lane.counts();
        for (waited, calls) in schedule.waiting(now) {
            counts.not_started(waited, calls);
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().expect("nothing panics while it is held")
    }
}

/// One caller: one of the calls that may be in flight.
pub(super) async fn run(
    plan: Arc<Plan>,
    control: Arc<Control>,
    lane: Arc<Lane>,
    link: Arc<Link>,
    turnstile: Arc<Turnstile>,
) {
    let mut line = link.line().await;
    while let Some((due, counts)) = turnstile.next(&control).await {
        if counts {
            lane.begin();
        }
        let ended = match send(&plan, &control, &lane, &link, &mut line).await {
            Ok(ended) => ended,
            Err(failure) => return control.fail(failure),
        };
        lane.end(counts, due, Instant::now(), ended);
        if plan.push {
            // A push that finds room waits for nothing, and others are to have a turn.
            tokio::task::yield_now().await;
        }
    }
}

/// A call, over a session that is dialed first where the last was lost, all within the time of a call.
async fn send(
    plan: &Plan,
    control: &Control,
    lane: &Lane,
    link: &Link,
    line: &mut Line,
) -> Result<Ended, crate::failure::Failure> {
    if !line.session.is_open() {
        let renewed = link.renew(line, control, lane);
        match tokio::time::timeout(plan.dial.timeout.0, renewed).await {
            Ok(Some(renewed)) => *line = renewed,
            Ok(None) => return Ok(Ended::Lost),
            Err(_) => return Ok(Ended::Timeout),
        }
    }
    call(&line.session, plan).await
}

/// Tells the callers of all threads when a call is due; on a thread of its own, since the timer of the runtime is no finer
/// than a millisecond, which would stand in every latency.
pub(super) fn pace(rate: f64, end: End, control: &Control, turnstiles: &[Arc<Turnstile>]) {
    let warm_up = control.counts_from - control.started;
    let mut all = Schedule::new(rate, warm_up, end, 0, 1);
    let mut lane = 0;
    while !control.is_stopped() {
        let now = control.started.elapsed();
        match all.next(now) {
            // Whoever takes it looks whether more are due, so one of each thread is enough.
            Next::Begin { .. } => {
                turnstiles[lane].due.notify_one();
                lane = (lane + 1) % turnstiles.len();
            }
            Next::Wait(until) => std::thread::sleep((until - now).min(NAP)),
            Next::Over => break,
        }
    }
    for turnstile in turnstiles {
        turnstile.due.notify_one();
    }
}
