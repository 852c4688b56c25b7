//! Shutting a peer down: what is in flight ends, and what can't is told.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Inner, Peer};
use crate::session::{CutCall, closed_here, in_a_while};
use crate::status::Status;

/// How long the end of sessions that were cut off is waited for. Their tasks need a few turns of the runtime; what
/// does not end then blocks a thread.
const CUT_WITHIN: Duration = Duration::from_secs(3);

/// A shutdown that is about to be made: set options, then `.await` it for the [`ShutdownReport`].
///
/// In this order:
///
/// 0. The peer says that it is draining to those who ask for its [health](crate::PeerBuilder::health), and is withdrawn from
///    registries. With a [notice](Self::notice) it serves on as before until that is over.
/// 1. The peer stops listening; connections that are waiting there are still taken, so that they are ended in good order.
/// 2. Nothing is taken any more that the other sides begin. Handlers that run go on; they may call, also over other
///    sessions of this peer. A pull that comes now is refused: its caller gets an [`Error`](crate::Error) that
///    [`is_closed`](crate::Error::is_closed) and says [`Delivery::NotSent`](crate::Delivery::NotSent), so it may be made
///    again over another session.
/// 3. When the last handler has ended, each session ends its calls of this side and closes.
/// 4. What still runs at the deadline is cut off, and named in the report.
///
/// A second shutdown of the same peer waits for the first, and may bring its deadline forward: `within(Duration::ZERO)`
/// cuts off at once.
///
/// # Cancel safety
///
/// Once polled, the shutdown goes on when this is dropped.
///
/// # Examples
///
/// ```
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let server = teleport::Peer::builder().listen("127.0.0.1:0").await?;
/// let report = server.shutdown().within(Duration::from_secs(20)).await;
/// assert!(report.is_clean(), "cut off: {:?}", report.cut);
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a shutdown does nothing until it is awaited"]
pub struct Shutdown<'a> {
    peer: &'a Peer,
    within: Option<Duration>,
    notice: Duration,
}

/// What came of the calls that were in flight when a peer was shut down.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Sessions that were open when it began.
    pub sessions: usize,
    /// Calls, of either side, that were in flight when it began and ended in time.
    pub finished: usize,
    /// Pulls and pushes of the other sides that came too late. Callers of pulls were told that these did not run.
    pub refused: u64,
    /// Calls that were cut off, the first hundred of them.
    pub cut: Vec<CutCall>,
    /// How many calls were cut off. More than are in [`cut`](Self::cut) where there were too many, or where a handler
    /// blocks its thread, or the task of a caller was not run in time to tell its uri.
    pub cut_count: usize,
    /// How long it took.
    pub took: Duration,
}

impl ShutdownReport {
    /// Whether nothing was cut off.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.cut_count == 0
    }

    /// The report of several peers that were shut down together.
    pub(super) fn merge(mut self, other: ShutdownReport) -> Self {
        self.sessions += other.sessions;
        self.finished += other.finished;
        self.refused += other.refused;
        self.cut.extend(other.cut);
        self.cut_count += other.cut_count;
        self.took = self.took.max(other.took);
        self
    }
}

/// Such as `2 sessions closed, 3 calls finished, 1 refused, 1 cut off: /report/yearly from tcp://10.0.0.7:50122`.
impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |count: usize| if count == 1 { "" } else { "s" };
        let (sessions, finished) = (self.sessions, self.finished);
        write!(f, "{sessions} session{} closed, {finished} call{} finished", many(sessions), many(finished))?;
        write!(f, ", {} refused, {} cut off", self.refused, self.cut_count)?;
        for (n, call) in self.cut.iter().enumerate() {
            write!(f, "{}{call}", if n == 0 { ": " } else { ", " })?;
        }
        if self.cut_count > self.cut.len() && !self.cut.is_empty() {
            f.write_str(", …")?;
        }
        Ok(())
    }
}

impl<'a> Shutdown<'a> {
    pub(super) fn new(peer: &'a Peer) -> Self {
        Shutdown { peer, within: None, notice: Duration::ZERO }
    }

    /// How long the peer goes on to serve first, taking connections and calls, while its
    /// [health](crate::PeerBuilder::health) already says that it is draining, so that balancers have the time to turn to others.
    /// Default: none.
    pub fn notice(mut self, time: Duration) -> Self {
        self.notice = time;
        self
    }

    /// How long calls in flight may take to end, once nothing more is taken. Default: [`Timeouts::close`](crate::Timeouts::close), 5 s.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }
}

impl<'a> IntoFuture for Shutdown<'a> {
    type Output = ShutdownReport;
    type IntoFuture = Pin<Box<dyn Future<Output = ShutdownReport> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.peer.begin_shutdown(self.within, self.notice).ended().await })
    }
}

/// When the parts of a shutdown are over, at the latest.
#[derive(Clone, Copy)]
struct Times {
    /// The peer serves as before.
    notice: Instant,
    /// What still runs is cut off.
    cut: Instant,
}

/// A shutdown that is under way.
#[derive(Clone)]
pub(super) struct Ongoing {
    times: Arc<watch::Sender<Times>>,
    report: watch::Receiver<Option<ShutdownReport>>,
}

impl Ongoing {
    /// What came of it. Nothing is known where the runtime ended before it.
    pub(super) async fn ended(mut self) -> ShutdownReport {
        self.report.wait_for(Option::is_some).await.ok().and_then(|report| report.clone()).unwrap_or_default()
    }
}

impl Peer {
    /// Starts a shutdown, or brings the notice and the deadline of the one that is under way forward.
    pub(super) fn begin_shutdown(&self, within: Option<Duration>, notice: Duration) -> Ongoing {
        let inner = &self.inner;
        let within = within.unwrap_or(inner.settings.timeouts.close);
        let times = Times {
            notice: Instant::from_std(in_a_while(notice)),
            cut: Instant::from_std(in_a_while(notice.saturating_add(within))),
        };
        let mut ongoing = inner.shutdown.lock();
        if let Some(ongoing) = &*ongoing {
            ongoing.times.send_if_modified(|known| {
                let earlier = times.notice < known.notice || times.cut < known.cut;
                known.notice = times.notice.min(known.notice);
                known.cut = times.cut.min(known.cut);
                earlier
            });
            return ongoing.clone();
        }
        inner.readiness.end();
        if notice.is_zero() {
            inner.closing.store(true, Ordering::SeqCst);
        }
        let (times, watched) = watch::channel(times);
        let (ended, report) = watch::channel(None);
        let task = shut_down(inner.clone(), watched);
        tokio::spawn(async move { ended.send_replace(Some(task.await)) });
        ongoing.insert(Ongoing { times: Arc::new(times), report }).clone()
    }
}

async fn shut_down(peer: Arc<Inner>, times: watch::Receiver<Times>) -> ShutdownReport {
    let began = Instant::now();
    say_farewells(&peer, &times).await;
    if !peer.closing.load(Ordering::SeqCst) {
        passed(times.clone(), |times| times.notice).await;
        peer.closing.store(true, Ordering::SeqCst);
        // Of what the program began meanwhile.
        say_farewells(&peer, &times).await;
    }
    let deadline = || passed(times.clone(), |times| times.cut);
    let listeners = peer.stop_listening();
    let mut stopped = pin!(async {
        for task in listeners {
            // Until then the address is taken. An error means that it was stopped, as it should be.
            let _ = task.await;
        }
    });
    // Connections that were taken may still be about to open.
    if !comes_before(stopped.as_mut(), deadline()).await {
        peer.hurry.cancel();
        stopped.await;
    }
    peer.closed.store(true, Ordering::SeqCst);
    let ledger = &peer.ledger;
    let live = ledger.watch();
    let (mut sessions, mut in_flight) = (0, 0);
    for shared in &live {
        shared.stop_taking();
        if !shared.is_let_in() {
            // Nobody was let in, so nothing is in flight that would have to end.
            shared.settle_early(Err(Status::unavailable("the peer is shutting down")));
            shared.drain(closed_here());
        }
        let machine = shared.machine();
        sessions += usize::from(!machine.is_closed());
        let (handlers, pulls) = machine.in_flight();
        in_flight += handlers + pulls;
    }
    let until = times.borrow().cut;
    let ended = async {
        for shared in &live {
            ledger.handlers_ended(shared).await;
        }
        for shared in &live {
            shared.drain_until(closed_here(), until.into_std());
        }
        ledger.emptied().await;
    };
    if !comes_before(ended, deadline()).await {
        ledger.cut.cancel();
        let left = ledger.live();
        for shared in &left {
            shared.cancel.cancel();
            shared.close(closed_here());
        }
        // One that is not through by then blocks a thread: what it has in flight is counted below.
        let _ = timeout(CUT_WITHIN, ledger.emptied()).await;
    }
    let record = ledger.record();
    let stuck =
        ledger.live().iter().map(|shared| shared.machine().in_flight()).map(|(a, b)| a + b).sum::<usize>();
    let cut_count = record.cut + stuck;
    let report = ShutdownReport {
        sessions,
        finished: in_flight.saturating_sub(cut_count),
        refused: record.refused,
        cut: record.named,
        cut_count,
        took: began.elapsed(),
    };
    if report.is_clean() {
        tracing::info!(target: "teleport", took = ?report.took, "shut down: {report}");
    } else {
        tracing::warn!(target: "teleport", took = ?report.took, "shut down: {report}");
    }
    report
}

/// Says goodbye side by side, while everything is still served: each has its own time limit.
async fn say_farewells(peer: &Inner, times: &watch::Receiver<Times>) {
    let farewells = std::mem::take(&mut *peer.farewells.lock());
    let farewells: Vec<_> = farewells.into_iter().map(|farewell| tokio::spawn(farewell())).collect();
    let said = async {
        for farewell in farewells {
            let _ = farewell.await;
        }
    };
    comes_before(said, passed(times.clone(), |times| times.cut)).await;
}

/// Waits until one of the times, as it is then, has passed.
async fn passed(mut times: watch::Receiver<Times>, which: fn(&Times) -> Instant) {
    loop {
        let at = which(&times.borrow_and_update());
        match timeout_at(at, times.changed()).await {
            Err(_) => return,
            Ok(Ok(())) => {}
            // Nobody is left to change it.
            Ok(Err(_)) => return tokio::time::sleep_until(at).await,
        }
    }
}

/// Whether the first ends no later than the second.
async fn comes_before(first: impl Future, second: impl Future) -> bool {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if first.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        second.as_mut().poll(cx).map(|_| false)
    })
    .await
}
