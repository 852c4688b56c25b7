//! Ending sessions that stand still for too long: one task of a peer looks at all of them, now and then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::hub::Sessions;
use crate::error::{Closed, Initiator};
use crate::session::{Impatience, Session, now};

/// How often it is looked, at the most and at the least.
const OFTEN: Duration = Duration::from_millis(10);
const SELDOM: Duration = Duration::from_secs(600);

/// Whether somebody looks.
#[derive(Default)]
pub(super) struct Watch {
    is_running: AtomicBool,
    again: Arc<Notify>,
}

impl Watch {
    /// Looks before it is time: some session is to be waited for less long, or there is none any more.
    pub(super) fn look_again(&self) {
        self.again.notify_one();
    }
}

/// Looks at the sessions from now on, until there are none.
pub(super) fn start(sessions: &Arc<Sessions>) {
    if !sessions.watch.is_running.swap(true, Ordering::SeqCst) {
        let running = Running(Arc::downgrade(sessions));
        tokio::spawn(run(running, sessions.watch.again.clone()));
    }
}

/// Dropped, also with its runtime, another may run.
struct Running(Weak<Sessions>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(sessions) = self.0.upgrade() {
            sessions.watch.is_running.store(false, Ordering::SeqCst);
        }
    }
}

async fn run(mut running: Running, again: Arc<Notify>) {
    let (mut looked, mut pause) = (None, Duration::ZERO);
    loop {
        let Some(sessions) = running.0.upgrade() else { return };
        // After a machine has slept, everybody gets a turn before it is held against them.
        let since = looked.replace(now()).map(|looked| now().saturating_duration_since(looked));
        let is_in_time = since.is_some_and(|since| since <= 2 * pause + OFTEN);
        pause = match look(&sessions, is_in_time) {
            Some(pause) => pause,
            None => {
                drop(running);
                // One may have come in since.
                if look(&sessions, false).is_none() || sessions.watch.is_running.swap(true, Ordering::SeqCst)
                {
                    return;
                }
                running = Running(Arc::downgrade(&sessions));
                Duration::ZERO
            }
        };
        drop(sessions);
        let _ = tokio::time::timeout(pause, again.notified()).await;
    }
}

/// Ends those that stand still, where it `may_end` any, and tells when to look again; `None` where there is no session.
fn look(sessions: &Sessions, may_end: bool) -> Option<Duration> {
    let now = now();
    let (mut over, mut any, mut soonest) = (Vec::new(), false, None::<Duration>);
    sessions.for_each(|session| {
        any = true;
        let shared = session.shared();
        let is_busy = || {
            let machine = shared.machine();
            machine.is_down() || machine.in_flight() != (0, 0)
        };
        if !may_end {
            shared.patience.forgive();
        }
        let settings = &shared.settings;
        let (impatience, next) =
            shared.patience.look(now, &settings.timeouts, settings.limits.min_rate, is_busy);
        soonest = soonest.into_iter().chain(next).min();
        over.extend(impatience.filter(|_| may_end).map(|impatience| (session.clone(), impatience)));
    });
    for (session, impatience) in over {
        end(&session, impatience);
    }
    // A quarter of the shortest time is what any of them may be late.
    any.then(|| soonest.map_or(SELDOM, |soonest| (soonest / 4).clamp(OFTEN, SELDOM)))
}

fn end(session: &Session, impatience: Impatience) {
    let reason = match impatience {
        Impatience::FirstPacket(after) => {
            format!("nothing was said within {after:?} of connecting (setting `timeouts.first_packet`)")
        }
        Impatience::Read(after) => {
            format!("the rest of a packet has not come for {after:?} (setting `timeouts.read`)")
        }
        Impatience::Rate(bytes, after) => format!(
            "a packet came so slowly that {bytes} bytes of it were there after {after:?} (settings `timeouts.read` and \
             `limits.min_rate`)"
        ),
        Impatience::Write(after) => format!(
            "the other side has taken nothing of what waits to be written for {after:?} (setting `timeouts.write`)"
        ),
        Impatience::Idle(after) => {
            format!("nothing was said for {after:?} (setting `timeouts.idle`)")
        }
    };
    let closed = Closed { initiator: Initiator::Library, reason: reason.into() };
    let peer = session.remote_addr();
    if matches!(impatience, Impatience::Read(_) | Impatience::Rate(..) | Impatience::Write(_)) {
        tracing::warn!(target: "teleport", %peer, reason = %closed.reason, "a session is cut off");
        if !session.shared().break_off(&closed) {
            session.cut_off(closed);
        }
    } else if !session.shared().machine().is_closed() {
        // Also one that is held: the other side, which is about to close, may be gone.
        tracing::debug!(target: "teleport", %peer, reason = %closed.reason, "a session is closed");
        session.shared().drain(closed);
    }
}
