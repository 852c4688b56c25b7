//! Packets of one session leave in the order in which they came, also where they have to wait.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::session::{Session, WeakSession};

/// Lines in front of one target, one for each session that packets come from.
///
/// A line is there only while somebody in it waits: who finds none and need not wait himself takes no lock.
#[derive(Default)]
pub(super) struct Lanes {
    /// Places in all lines.
    taken: AtomicUsize,
    lanes: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    by_session: HashMap<WeakSession, VecDeque<Waiting>, foldhash::fast::RandomState>,
    next: u64,
}

struct Waiting {
    number: u64,
    waker: Option<Waker>,
}

impl Lanes {
    /// Runs `departing` when all have departed that began before it and came over the same session. To be polled for the
    /// first time where the packet is taken: that is what tells the order.
    pub(super) async fn in_turn<T>(&self, session: &Session, departing: impl Future<Output = T>) -> T {
        let mut departing = pin!(departing);
        let mut place = self.behind(session);
        poll_fn(|cx| {
            if place.as_ref().is_some_and(|place| !place.is_first(cx.waker())) {
                return Poll::Pending;
            }
            let polled = departing.as_mut().poll(cx);
            if polled.is_pending() && place.is_none() {
                // Nobody of this session was taken since this one was: so it is the first.
                place = Some(self.stand(session));
            }
            polled
        })
        .await
    }

    /// A place in the session's line, where there is one.
    fn behind<'a>(&'a self, session: &Session) -> Option<Place<'a>> {
        if self.taken.load(Ordering::Acquire) == 0 {
            return None;
        }
        let found = self.lanes.lock().by_session.contains_key(&session.weak());
        found.then(|| self.stand(session))
    }

    fn stand(&self, session: &Session) -> Place<'_> {
        let session = session.weak();
        let mut lanes = self.lanes.lock();
        let number = lanes.next;
        lanes.next += 1;
        lanes.by_session.entry(session.clone()).or_default().push_back(Waiting { number, waker: None });
        self.taken.fetch_add(1, Ordering::AcqRel);
        Place { lanes: self, session, number }
    }
}

/// A place in a line; dropped, it is given up.
struct Place<'a> {
    lanes: &'a Lanes,
    session: WeakSession,
    number: u64,
}

impl Place<'_> {
    /// Whether it is this one's turn; else `waker` is woken when it is.
    fn is_first(&self, waker: &Waker) -> bool {
        let mut lanes = self.lanes.lanes.lock();
        let Some(lane) = lanes.by_session.get_mut(&self.session) else { return true };
        if lane.front().is_none_or(|first| first.number == self.number) {
            return true;
        }
        // Numbers in a line grow.
        if let Ok(at) = lane.binary_search_by_key(&self.number, |waiting| waiting.number) {
            lane[at].waker = Some(waker.clone());
        }
        false
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lanes.lock();
        let mut next = None;
        if let Some(lane) = lanes.by_session.get_mut(&self.session) {
            if let Ok(at) = lane.binary_search_by_key(&self.number, |waiting| waiting.number) {
                lane.remove(at);
            }
            next = lane.front_mut().and_then(|first| first.waker.take());
            if lane.is_empty() {
                lanes.by_session.remove(&self.session);
            }
        }
        self.lanes.taken.fetch_sub(1, Ordering::AcqRel);
        drop(lanes);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::{Semaphore, mpsc};

    use super::*;
    use crate::peer::Peer;

    async fn sessions() -> (Peer, Peer, Session, Session) {
        let (a, b) = (Peer::builder().build().unwrap(), Peer::builder().build().unwrap());
        let (one, two) = (a.connect(&b).await.unwrap(), a.connect(&b).await.unwrap());
        (a, b, one, two)
    }

    #[tokio::test]
    async fn who_need_not_wait_waits_only_behind_its_own_session() {
        let (_a, _b, one, two) = sessions().await;
        let (lanes, gate) = (Arc::new(Lanes::default()), Arc::new(Semaphore::new(0)));
        let (seen, mut order) = mpsc::unbounded_channel();
        let mut tasks = Vec::new();
        for n in 0..5 {
            let (lanes, gate, one, seen) = (lanes.clone(), gate.clone(), one.clone(), seen.clone());
            let mut departing = Box::pin(async move {
                lanes
                    .in_turn(&one, async {
                        // The first and the third have to wait.
                        if n % 2 == 0 {
                            gate.acquire().await.unwrap().forget();
                        }
                        seen.send(n).unwrap();
                    })
                    .await;
            });
            // Polled once here, as a handler is, and then by a task of its own.
            let polled = poll_fn(|cx| Poll::Ready(departing.as_mut().poll(cx))).await;
            assert!(polled.is_pending(), "{n} stands behind the first");
            tasks.push(tokio::spawn(departing));
        }
        lanes.in_turn(&two, async { seen.send(100).unwrap() }).await;
        // Given up in the middle, a place holds nobody back.
        tasks.remove(2).abort();
        gate.add_permits(5);
        for task in tasks {
            task.await.unwrap();
        }
        drop(seen);
        let mut all = Vec::new();
        while let Some(n) = order.recv().await {
            all.push(n);
        }
        assert_eq!(all, [100, 0, 1, 3, 4]);
        assert_eq!(lanes.taken.load(Ordering::Relaxed), 0);
        assert!(lanes.lanes.lock().by_session.is_empty(), "no line is left behind");
    }
}
