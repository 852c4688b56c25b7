//! Clients that call without a pause, dial anew when they are told that a call did not run, and count what came of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use teleport::{Delivery, Error, Peer, Session};
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
        Load { counts, workers: tasks }
    }

    /// Waits until so many more calls were answered.
    pub(super) async fn goes_on(&self, calls: u64) {
        let until = self.counts.answered.load(Ordering::SeqCst) + calls;
        loop {
            let progress = self.counts.progress.notified();
            if self.counts.answered.load(Ordering::SeqCst) >= until {
                return;
            }
            let waited = timeout(PATIENCE, progress).await;
            waited.unwrap_or_else(|_| panic!("nobody is answered: {:?}", self.counts));
        }
    }

    pub(super) async fn end(self) -> Arc<Counts> {
        self.counts.stop.store(true, Ordering::SeqCst);
        self.workers.join_all().await;
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
