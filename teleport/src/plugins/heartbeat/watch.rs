//! The task that looks after sessions: one for all of them, which sleeps until the first is due.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::pulse::{GRAINS, Next, Pulse};
use crate::{Session, WeakSession};

/// Looks before other tasks get their turn.
const BATCH: usize = 64;
/// The longest time between two at which the task wakes. It is a part of the interval, so the task wakes so and so often in
/// each, for however many sessions.
const GRAIN: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Watch {
    queue: Mutex<Queue>,
    /// A look is due before the task would wake.
    sooner: Notify,
}

#[derive(Default)]
struct Queue {
    looks: BinaryHeap<Look>,
    is_running: bool,
    /// When the task wakes.
    wakes: Option<Instant>,
}

/// A session to be looked at. It does not keep the session from ending.
struct Look {
    at: Instant,
    session: WeakSession,
    pulse: Arc<Pulse>,
    /// When the last ping left.
    pinged: Option<Instant>,
}

impl Watch {
    /// Looks after a session from now on, where it is to be; until it ends.
    pub(super) fn begin(self: &Arc<Self>, session: &Session, pulse: &Arc<Pulse>) {
        let Some(patience) = pulse.start_watch() else { return };
        // Silence is counted from when it is first asked for.
        let at = later(patience.saturating_sub(session.idle()));
        let look = Look { at, session: session.weak(), pulse: pulse.clone(), pinged: None };
        let mut queue = self.queue.lock();
        let is_sooner = queue.wakes.is_some_and(|wakes| at < wakes);
        queue.looks.push(look);
        let starts = !std::mem::replace(&mut queue.is_running, true);
        drop(queue);
        if starts {
            tokio::spawn(run(Running { watch: self.clone(), has_ended: false }));
        } else if is_sooner {
            self.sooner.notify_one();
        }
    }

    /// The next look, where it is due.
    fn due(&self) -> Option<Look> {
        let mut queue = self.queue.lock();
        let is_due = queue.looks.peek().is_some_and(|look| look.at <= Instant::now());
        if is_due { queue.looks.pop() } else { None }
    }

    /// When to wake; `None` where there is nothing left to do.
    fn wakes(&self) -> Option<Instant> {
        let mut queue = self.queue.lock();
        let wakes = queue.looks.peek().map(|first| {
            let grain = first.pulse.interval().map_or(GRAIN, |interval| (interval / GRAINS).min(GRAIN));
            first.at.max(Instant::now() + grain)
        });
        queue.wakes = wakes;
        queue.is_running = wakes.is_some();
        wakes
    }
}

/// The task; dropped with its runtime, another is started for the next session.
struct Running {
    watch: Arc<Watch>,
    /// It has said so under the lock, and another may run by now.
    has_ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended {
            let mut queue = self.watch.queue.lock();
            queue.wakes = None;
            queue.is_running = false;
        }
    }
}

async fn run(mut running: Running) {
    let watch = running.watch.clone();
    loop {
        let mut looks = 0;
        while let Some(look) = watch.due() {
            if let Some(next) = look_at(look) {
                watch.queue.lock().looks.push(next);
            }
            looks += 1;
            if looks % BATCH == 0 {
                tokio::task::yield_now().await;
            }
        }
        let Some(wakes) = watch.wakes() else { break };
        // Told to look again, or it is time: both are the same.
        let _ = timeout_at(wakes, watch.sooner.notified()).await;
    }
    running.has_ended = true;
}

/// Looks at a session; when to do so again, if at all.
fn look_at(look: Look) -> Option<Look> {
    let Some(session) = look.session.upgrade().filter(Session::is_open) else {
        look.pulse.end_watch();
        return None;
    };
    let idle = session.idle();
    let now = Instant::now();
    let (after, pinged) = match look.pulse.next(idle, look.pinged.map(|at| now.duration_since(at))) {
        Next::Look(after) => (after, look.pinged),
        Next::Ping(after) => {
            tokio::spawn(ping(session, look.pulse.clone()));
            (after, Some(now))
        }
        Next::GiveUp => {
            let missed = look.pulse.missed();
            let reason = format!(
                "the other side gave no sign of life for {idle:.1?}, and did not answer {missed} pings (plugin heartbeat)"
            );
            tracing::warn!(target: "teleport", peer = %session.remote_addr(), id = %session.id(), "{reason}");
            look.pulse.end_watch();
            session.give_up(reason);
            return None;
        }
    };
    Some(Look { at: later(after), pinged, ..look })
}

async fn ping(session: Session, pulse: Arc<Pulse>) {
    let (uri, started) = (pulse.uri(), Instant::now());
    let patience = pulse.interval().unwrap_or(GRAIN);
    let pong = session.pull(&uri).timeout(patience).await;
    // A refusal is an answer too.
    if pong.is_ok() || pong.is_err_and(|error| error.is_status()) {
        pulse.answered(started.elapsed());
    }
}

/// A time that far off; one too far to be counted is as good as a year.
fn later(after: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(after).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600))
}

impl PartialEq for Look {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Look {}

impl PartialOrd for Look {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The first in time is the greatest, as the heap wants it.
impl Ord for Look {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}
