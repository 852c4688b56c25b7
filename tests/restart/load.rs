//! Clients that call without a pause, and count what came of all. Some dial anew when they are told that a call did not run;
//! the sessions of others redial.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use teleport::{Delivery, Error, Peer, Redial, Session};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::running::PATIENCE;

/// Calls that a worker has in flight at once.
const AT_ONCE: u64 = 4;

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) answered: AtomicU64,
    /// Calls that were made again, as they had not run.
    pub(super) again: AtomicU64,
    pub(super) dials: AtomicU64,
    /// Dials that failed, and why.
    pub(super) refused: Mutex<Vec<String>>,
    /// Calls that may have run and got no reply, and why.
    pub(super) lost: Mutex<Vec<String>>,
    stop: AtomicBool,
    progress: Notify,
}

pub(super) struct Load {
    pub(super) counts: Arc<Counts>,
    workers: JoinSet<()>,
    /// Sessions that redial, and how many calls over each were answered.
    redialing: Vec<(Peer, Session, Arc<AtomicU64>)>,
}

impl Load {
    /// To each address so many workers that keep their sessions, and as many that dial for each call.
    pub(super) fn start(addresses: &[String], workers: usize) -> Self {
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        for address in addresses {
            for _ in 0..workers {
                tasks.spawn(keep_calling(address.clone(), counts.clone()));
                tasks.spawn(keep_dialing(address.clone(), counts.clone()));
            }
        }
        Load { counts, workers: tasks, redialing: Vec::new() }
    }

    /// To each address so many sessions that redial, and never another one.
    pub(super) async fn redialing(addresses: &[String], sessions: usize) -> Self {
        let mut load = Load::start(&[], 0);
        for address in addresses {
            for _ in 0..sessions {
                let peer = Peer::builder().build().unwrap();
                // Often, so that it is soon where there is nothing to wait for.
                let redial = Redial::default().with_first_pause(Duration::from_millis(1)).with_factor(1);
                load.counts.dials.fetch_add(1, Ordering::SeqCst);
                let session = peer.dial(address).redial(redial).await.unwrap();
                let answered = Arc::new(AtomicU64::new(0));
                for first in 0..AT_ONCE {
                    let (session, counts) = (session.clone(), load.counts.clone());
                    load.workers.spawn(call_on(session, first, counts, answered.clone()));
                }
                load.redialing.push((peer, session, answered));
            }
        }
        load
    }

    /// Waits until so many more calls were answered, over each session that redials a call of each of its workers at least.
    pub(super) async fn goes_on(&self, calls: u64) {
        let more = |count: &AtomicU64, calls| count.load(Ordering::SeqCst) + calls;
        let until = more(&self.counts.answered, calls);
        let each: Vec<_> =
            self.redialing.iter().map(|(_, _, answered)| (answered, more(answered, 2 * AT_ONCE))).collect();
        loop {
            let progress = self.counts.progress.notified();
            let there = |count: &AtomicU64, until: u64| count.load(Ordering::SeqCst) >= until;
            if there(&self.counts.answered, until) && each.iter().all(|(count, until)| there(count, *until)) {
                return;
            }
            let waited = timeout(PATIENCE, progress).await;
            waited.unwrap_or_else(|_| panic!("nobody is answered: {:?}", self.counts));
        }
    }

    pub(super) async fn end(self) -> Arc<Counts> {
        self.counts.stop.store(true, Ordering::SeqCst);
        self.workers.join_all().await;
        for (peer, session, _) in self.redialing {
            assert!(session.is_open(), "{:?}", session.close_reason());
            peer.close().await;
        }
        self.counts
    }
}

impl Counts {
    async fn dial(&self, peer: &Peer, address: &str) -> Option<Session> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        match peer.dial(address).await {
            Ok(session) => Some(session),
            Err(error) => {
                self.refused.lock().push(error.to_string());
                None
            }
        }
    }

    /// Notes what a call came to; whether it is to be made again.
    fn note(&self, n: u64, reply: Result<u64, Error>) -> bool {
        match reply {
            Ok(answer) if answer == n => {
                self.answered.fetch_add(1, Ordering::SeqCst);
                self.progress.notify_waiters();
                false
            }
            Ok(other) => {
                self.lost.lock().push(format!("{n} was answered with {other}"));
                false
            }
            Err(error) if error.is_closed() && error.delivery() == Some(Delivery::NotSent) => {
                self.again.fetch_add(1, Ordering::SeqCst);
                true
            }
            Err(error) => {
                self.lost.lock().push(error.to_string());
                false
            }
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }
}

async fn work(session: &Session, n: u64) -> Result<u64, Error> {
    session.pull("/work").body(&n).await?.decode()
}

async fn keep_calling(address: String, counts: Arc<Counts>) {
    let peer = Peer::builder().build().unwrap();
    let Some(mut session) = counts.dial(&peer, &address).await else { return };
    let (mut next, mut again) = (0, Vec::new());
    while counts.goes_on() || !again.is_empty() {
        if counts.goes_on() {
            again.extend(next..next + AT_ONCE);
            next += AT_ONCE;
        }
        let mut calls = JoinSet::new();
        for n in again.drain(..) {
            let session = session.clone();
            calls.spawn(async move { (n, work(&session, n).await) });
        }
        for (n, reply) in calls.join_all().await {
            if counts.note(n, reply) {
                again.push(n);
            }
        }
        if !again.is_empty() {
            let Some(other) = counts.dial(&peer, &address).await else { return };
            session = other;
        }
    }
    peer.close().await;
}

/// Calls over the same session whatever becomes of its connection, and makes no call twice.
async fn call_on(session: Session, first: u64, counts: Arc<Counts>, answered: Arc<AtomicU64>) {
    let mut n = first;
    while counts.goes_on() {
        if counts.note(n, work(&session, n).await) {
            counts.lost.lock().push(format!("{n} did not run, and its session did not make it again"));
        }
        answered.fetch_add(1, Ordering::SeqCst);
        // Of all its workers some answers take a while, and some do not.
        n += AT_ONCE + 1;
    }
}

async fn keep_dialing(address: String, counts: Arc<Counts>) {
    let peer = Peer::builder().build().unwrap();
    let mut n = 0;
    while counts.goes_on() {
        n += 1;
        while let Some(session) = counts.dial(&peer, &address).await {
            let again = counts.note(n, work(&session, n).await);
            session.close().await;
            if !again {
                break;
            }
        }
    }
    peer.close().await;
}
