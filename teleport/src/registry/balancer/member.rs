//! One instance of the service as its balancer keeps it: its sessions, and a task for each that dials it again.
//!
//! ```text
//!            lazy and not wanted yet
//!   Idle ──────────────────────────────► Dialing ◄──────────────┐ the pause is over (eager)
//!    ▲       wanted, or eager             │   │                 │
//!    │                             opened │   │ refused         │
//!    │                                    ▼   └───────────► Resting
//!    │       lazy: it ended             Ready ─────────────────►│
//!    └─────────────────────────────────────    ended too soon   │
//!    ▲                                                          │
//!    └──────────────────────── the pause is over (lazy) ────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::core::Core;
use crate::registry::Instance;
use crate::session::Session;

/// A session that ends sooner than this after it was opened counts as an attempt that failed, so that an instance which
/// takes connections and drops them is not dialed in a circle.
const SETTLED: Duration = Duration::from_secs(1);

pub(super) struct Member {
    state: Mutex<State>,
    /// Somebody wants it, where it is dialed only then.
    wanted: Notify,
    /// The registry no longer lists it at this address, or the balancer is gone.
    pub(super) gone: CancellationToken,
}

struct State {
    instance: Arc<Instance>,
    links: Vec<Link>,
}

/// The place of one session.
#[derive(Clone)]
pub(super) enum Link {
    Idle,
    Dialing,
    Ready(Session),
    /// Not before a pause is over; why.
    Resting(Arc<str>),
}

impl Member {
    pub(super) fn new(instance: Arc<Instance>, settings: &Settings, gone: CancellationToken) -> Self {
        let first = if settings.lazy { Link::Idle } else { Link::Dialing };
        Member {
            state: Mutex::new(State { instance, links: vec![first; settings.sessions] }),
            wanted: Notify::new(),
            gone,
        }
    }

    pub(super) fn instance(&self) -> Arc<Instance> {
        self.state.lock().instance.clone()
    }

    pub(super) fn set_instance(&self, instance: Arc<Instance>) {
        self.state.lock().instance = instance;
    }

    /// The instance and its sessions as they are now.
    pub(super) fn look(&self) -> (Arc<Instance>, Vec<Link>) {
        let state = self.state.lock();
        (state.instance.clone(), state.links.clone())
    }

    pub(super) fn is_dialing(&self) -> bool {
        self.state.lock().links.iter().any(|link| matches!(link, Link::Dialing))
    }

    /// A session that takes calls, where it has one; the one with the fewest pulls in flight.
    pub(super) fn session(&self) -> Option<Session> {
        let state = self.state.lock();
        let sessions = state.links.iter().filter_map(|link| match link {
            Link::Ready(session) if session.takes_calls() => Some(session),
            _ => None,
        });
        sessions.min_by_key(|session| session.pulls_in_flight()).cloned()
    }

    /// Has it dialed, where it is idle.
    pub(super) fn want(&self) {
        for link in &mut self.state.lock().links {
            if matches!(link, Link::Idle) {
                *link = Link::Dialing;
            }
        }
        self.wanted.notify_waiters();
    }

    fn set(&self, core: &Core, index: usize, link: Link) {
        let old = std::mem::replace(&mut self.state.lock().links[index], link);
        core.publish();
        drop(old);
    }

    /// Keeps one session of this instance for as long as it is listed.
    pub(super) async fn keep(self: Arc<Self>, core: Arc<Core>, index: usize) {
        if self.gone.run_until_cancelled(self.keep_dialing(&core, index)).await.is_some() {
            return;
        }
        let last = std::mem::replace(&mut self.state.lock().links[index], Link::Idle);
        if let Link::Ready(session) = last {
            // Calls in flight on it may end.
            session.start_close_within(core.settings.drain);
        }
    }

    /// Returns when it is no use to go on.
    async fn keep_dialing(&self, core: &Core, index: usize) {
        let (mut failed, backoff) = (0u32, core.settings.backoff);
        loop {
            if core.settings.lazy {
                self.until_wanted(core, index).await;
            }
            let instance = self.instance();
            let (reason, pause) = match core.peer.dial(&instance.address).no_redial().await {
                Ok(session) => {
                    let (reason, lasted) = self.use_session(core, index, session).await;
                    // It took connections a moment ago: it is dialed at once, unless this goes on like that.
                    let pause = backoff.pause(failed);
                    failed = if lasted { 0 } else { failed.saturating_add(1) };
                    (reason, if lasted { Duration::ZERO } else { pause })
                }
                Err(error) => {
                    let reason: Arc<str> = error.to_string().into();
                    if error.is_closed() {
                        // The peer that dials is closed, and stays so.
                        return self.set(core, index, Link::Resting(reason));
                    }
                    failed = failed.saturating_add(1);
                    (reason, backoff.pause(failed))
                }
            };
            tracing::debug!(
                target: "teleport", service = %core.service, id = %instance.id, address = %instance.address,
                %reason, ?pause, "an instance takes no calls"
            );
            if !pause.is_zero() {
                self.set(core, index, Link::Resting(reason));
                tokio::time::sleep(pause).await;
            }
            self.set(core, index, if core.settings.lazy { Link::Idle } else { Link::Dialing });
        }
    }

    async fn until_wanted(&self, core: &Core, index: usize) {
        let mut wanted = std::pin::pin!(self.wanted.notified());
        wanted.as_mut().enable();
        if !matches!(self.state.lock().links[index], Link::Dialing) {
            wanted.await;
        }
        self.set(core, index, Link::Dialing);
    }

    /// Lets calls go over a session until it takes no more; why it doesn't, and whether it lasted.
    async fn use_session(&self, core: &Core, index: usize, session: Session) -> (Arc<str>, bool) {
        let opened = Instant::now();
        self.set(core, index, Link::Ready(session.clone()));
        session.ending().await;
        let reason = session.closed_because().map_or("the session ended".into(), |closed| closed.reason);
        (reason.into(), opened.elapsed() >= SETTLED)
    }
}
