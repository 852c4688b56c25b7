//! The task that looks after sessions: one for all of them, which sleeps until the first is due.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
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
    sessions: HashMap<u64, Watched>,
    next_id: u64,
    is_running: bool,
    /// When the task wakes.
    wakes: Option<Instant>,
}

/// A session that is looked after, which does not keep it from ending.
#[derive(Clone)]
struct Watched {
    session: WeakSession,
    pulse: Arc<Pulse>,
    /// When the last ping left.
    pinged: Option<Instant>,
}

/// When to look at a session. One that has ended leaves its look behind, and nothing else.
#[derive(PartialEq, Eq)]
struct Look {
    at: Instant,
    id: u64,
}

impl Watch {
    /// Looks after a session from now on, where it is to be; until it ends.
    pub(super) fn begin(self: &Arc<Self>, session: &Session, pulse: &Arc<Pulse>) {
        let Some(patience) = pulse.start_watch() else { return };
        // Silence is counted from when it is first asked for.
        let at = later(patience.saturating_sub(session.idle()));
        let watched = Watched { session: session.weak(), pulse: pulse.clone(), pinged: None };
        let mut queue = self.queue.lock();
        let is_sooner = queue.wakes.is_some_and(|wakes| at < wakes);
        let id = queue.next_id;
        queue.next_id += 1;
        pulse.set_watched_as(id);
        queue.sessions.insert(id, watched);
        queue.looks.push(Look { at, id });
        let starts = !std::mem::replace(&mut queue.is_running, true);
        drop(queue);
        if starts {
            tokio::spawn(run(Running { watch: self.clone(), has_ended: false }));
        } else if is_sooner {
            self.sooner.notify_one();
        }
    }

    /// Forgets a session that has ended.
    pub(super) fn end(&self, pulse: &Pulse) {
        if let Some(id) = pulse.end_watch() {
            let ended = self.queue.lock().sessions.remove(&id);
            // Without the lock: it may be the last that holds the memory of the session.
            drop(ended);
        }
    }

    /// The next session that is due, and its id.
    fn due(&self) -> Option<(u64, Watched)> {
        let mut queue = self.queue.lock();
        loop {
            if queue.looks.peek()?.at > Instant::now() {
                return None;
            }
            let id = queue.looks.pop()?.id;
            if let Some(watched) = queue.sessions.get(&id) {
                return Some((id, watched.clone()));
            }
        }
    }

    /// Looks at a session again.
    fn again(&self, id: u64, after: Duration, pinged: Option<Instant>) {
        let mut queue = self.queue.lock();
        // It may have ended meanwhile.
        if let Some(watched) = queue.sessions.get_mut(&id) {
            watched.pinged = pinged;
            queue.looks.push(Look { at: later(after), id });
        }
    }

    /// When to wake; `None` where there is nothing left to do.
    fn wakes(&self) -> Option<Instant> {
        let mut queue = self.queue.lock();
        let mut wakes = None;
        while let Some(first) = queue.looks.peek() {
            if let Some(watched) = queue.sessions.get(&first.id) {
                let interval = watched.pulse.interval();
                let grain = interval.map_or(GRAIN, |interval| (interval / GRAINS).min(GRAIN));
                wakes = Some(first.at.max(Instant::now() + grain));
                break;
            }
            queue.looks.pop();
        }
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
        while let Some((id, watched)) = watch.due() {
            look(&watch, id, &watched);
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

/// Looks at a session, and sees to it that it is looked at again, where that is worth it.
fn look(watch: &Watch, id: u64, watched: &Watched) {
    let Some(session) = watched.session.upgrade().filter(Session::is_open) else {
        return watch.end(&watched.pulse);
    };
    let (idle, now) = (session.idle(), Instant::now());
    match watched.pulse.next(idle, watched.pinged.map(|at| now.duration_since(at))) {
        Next::Look(after) => watch.again(id, after, watched.pinged),
        Next::Ping(after) => {
            tokio::spawn(ping(session, watched.pulse.clone()));
            watch.again(id, after, Some(now));
        }
        Next::GiveUp => {
            let missed = watched.pulse.missed();
            let reason = format!(
                "the other side gave no sign of life for {idle:.1?}, and did not answer {missed} pings (plugin heartbeat)"
            );
            tracing::warn!(target: "teleport", peer = %session.remote_addr(), id = %session.id(), "{reason}");
            watch.end(&watched.pulse);
            session.give_up(reason);
        }
    }
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

impl PartialOrd for Look {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The first in time is the greatest, as the heap wants it.
impl Ord for Look {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.id).cmp(&(self.at, self.id))
    }
}
