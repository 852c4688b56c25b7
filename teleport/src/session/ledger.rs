//! What the sessions of a peer tell it while it shuts down.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::shared::Shared;
use crate::socket::Address;

/// Calls that were cut off and are named one by one; those past it are only counted.
const NAMED: usize = 100;

/// How long handlers and callers that were cut off may take to notice, before they are only counted. One that is
/// alive needs a turn of the runtime.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

/// The sessions of one peer that are not yet through, and what its shutdown cuts off.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Sessions whose task runs, by their address: open ones, and those that are over while handlers of theirs go on.
    live: Mutex<HashMap<usize, Arc<Shared>, foldhash::fast::RandomState>>,
    /// Handlers of a session, or a session, have ended.
    changed: Notify,
    /// A shutdown is under way; before that nothing is written down.
    watching: AtomicBool,
    record: Mutex<Record>,
    /// The time of the shutdown is up.
    pub(crate) cut: CancellationToken,
}

/// What was written down since the shutdown began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) named: Vec<CutCall>,
    /// Calls that were cut off, named or not.
    pub(crate) cut: usize,
    /// Pulls and pushes that came too late.
    pub(crate) refused: u64,
}

/// Whose call it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// The other side's: a handler of this side was at work on it.
    Inbound,
    /// This side's: it waited for the reply.
    Outbound,
}

/// A call that a shutdown cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutCall {
    /// Whose call it was.
    pub direction: Direction,
    /// The uri that was called.
    pub uri: String,
    /// The other side of its session.
    pub peer: Address,
}

impl fmt::Display for CutCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CutCall { direction, uri, peer } = self;
        match direction {
            Direction::Inbound => write!(f, "{uri} from {peer}"),
            Direction::Outbound => write!(f, "{uri} to {peer}"),
        }
    }
}

/// A session in the ledger; dropped, it is out of it.
pub(crate) struct Entry(Arc<Shared>);

impl Ledger {
    pub(crate) fn enter(shared: &Arc<Shared>) -> Entry {
        shared.ledger.live.lock().insert(key(shared), shared.clone());
        Entry(shared.clone())
    }

    /// From now on it is written down what is cut off. The sessions that are not yet through.
    pub(crate) fn watch(&self) -> Vec<Arc<Shared>> {
        self.watching.store(true, Ordering::SeqCst);
        self.live()
    }

    pub(crate) fn live(&self) -> Vec<Arc<Shared>> {
        self.live.lock().values().cloned().collect()
    }

    pub(crate) fn is_watching(&self) -> bool {
        self.watching.load(Ordering::SeqCst)
    }

    /// Notes a call that ended without a reply.
    pub(crate) fn cut_off(&self, direction: Direction, uri: &str, peer: &Address) {
        if self.is_watching() {
            let mut record = self.record.lock();
            record.cut += 1;
            if record.named.len() < NAMED {
                record.named.push(CutCall { direction, uri: uri.to_owned(), peer: peer.clone() });
            }
        }
    }

    /// Notes calls whose handlers or callers did not even notice that they were cut off.
    pub(super) fn left_behind(&self, count: usize) {
        self.record.lock().cut += count;
    }

    /// Notes a pull or push that came too late.
    pub(crate) fn refused(&self) {
        if self.is_watching() {
            self.record.lock().refused += 1;
        }
    }

    pub(crate) fn record(&self) -> Record {
        self.record.lock().clone()
    }

    /// Tells that handlers of a session, or the session, have ended.
    pub(super) fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until no handler of this session runs in a task; only while a shutdown watches.
    pub(crate) async fn handlers_ended(&self, shared: &Shared) {
        self.wait_for(|| shared.machine().in_flight().0 == 0).await;
    }

    /// Waits until all sessions are through.
    pub(crate) async fn emptied(&self) {
        self.wait_for(|| self.live.lock().is_empty()).await;
    }

    async fn wait_for(&self, done: impl Fn() -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Enlisted before the look, so that no change falls in between.
            changed.as_mut().enable();
            if done() {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let ledger = self.0.ledger.clone();
        let mut live = ledger.live.lock();
        live.remove(&key(&self.0));
        let empty = live.is_empty();
        drop(live);
        if empty {
            ledger.tell();
        }
    }
}

fn key(shared: &Arc<Shared>) -> usize {
    Arc::as_ptr(shared).addr()
}

impl Shared {
    /// What is left to do when the driver has ended: waits for the handlers that still run, for as long as a close
    /// would, and while the peer shuts down for whoever is told of a call that was cut off.
    pub(crate) async fn settle(&self) {
        if self.machine().serving() > 0 {
            let ended =
                self.ledger.cut.run_until_cancelled(self.wait_until(|machine| machine.serving() == 0));
            if tokio::time::timeout(self.settings.timeouts.close, ended).await != Ok(Some(())) {
                self.cancel.cancel();
            }
        }
        if self.ledger.is_watching() {
            let settled = self.wait_until(|machine| machine.in_flight() == (0, 0));
            if tokio::time::timeout(NOTICED_WITHIN, settled).await.is_err() {
                let (handlers, pulls) = self.machine().in_flight();
                self.ledger.left_behind(handlers + pulls);
            }
        }
    }

    /// Waits for a change of the machine, in the place of the driver, which is gone.
    async fn wait_until(&self, done: impl Fn(&Machine) -> bool) {
        poll_fn(|cx| {
            let mut machine = self.machine();
            if done(&machine) {
                return Poll::Ready(());
            }
            machine.register_driver(cx.waker());
            Poll::Pending
        })
        .await;
    }
}
