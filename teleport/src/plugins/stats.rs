//! Counts of calls, bytes and sessions, and latency by route.

mod export;
mod histogram;
mod routes;
mod snapshot;

#[cfg(feature = "prometheus")]
mod serve;

use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::plugin::{Arriving, Disconnected, Early, IncomingReply, Plugin, Route, Verdict, Written};
use crate::wire::Uri;
use crate::{Code, Context};
use routes::{RouteCounts, Table};
#[cfg(feature = "prometheus")]
pub use serve::Exporter;
pub use snapshot::{Latency, RouteStats, SessionCounts, StatsSnapshot};

/// Routes of each direction that are kept apart: more than peers have, and about a mebibyte when all of them are used.
const MAX_ROUTES: usize = 1024;

/// Counts what a peer does: calls by route and status, their latency, bytes, and sessions.
///
/// Clones count together. Attached to a peer it sees all of it; attached to a group or a service, the calls that come
/// there. Read it as a [`StatsSnapshot`], as text for Prometheus ([`prometheus`](Self::prometheus)), or serve that over HTTP
/// (`serve`, with the feature `prometheus`).
///
/// | counted | when |
/// |---|---|
/// | a pull that comes, its status and latency | its reply is written; from its header until then |
/// | a push that comes | its body is about to be read |
/// | a pull or push of this side, as sent | it is written |
/// | a pull of this side, its status and latency | its reply comes; hooks before the write and all waiting included |
/// | bytes | whole packets, all that come, and of those that go calls and replies that plugins see |
/// | sessions | they begin, and end |
///
/// A pull of this side that ends without a reply, as at a timeout, is among the sent and not among the answered ones.
///
/// # Routes
///
/// What comes is kept apart by the path of the registered route; the rest, whatever its uri, is one route, `unknown`. What
/// goes is kept apart by the path that was called, for as many paths as [`with_max_routes`](Self::with_max_routes) says;
/// others are one route, `other`. So a peer can't make it grow. Rewriting plugins, such as an [`Alias`](super::Alias), may
/// stand on either side of it.
///
/// # What it costs
///
/// A few atomic additions for each call, and two looks at the clock. No lock and no allocation once a route is known. Of
/// latency, a bucket is a quarter as wide as the power of two that it stands in, so quantiles are within an eighth.
///
/// # Examples
///
/// ```
/// use teleport::Peer;
/// use teleport::plugins::Stats;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let stats = Stats::new();
/// let server = Peer::builder().plugin(stats.clone()).pull("/hi", |_, ()| async { Ok("hello") })?.build()?;
/// let session = Peer::builder().build()?.connect(&server).await?;
/// session.pull("/hi").await?;
///
/// let snapshot = stats.snapshot();
/// let hi = snapshot.inbound_pull("/hi").expect("it is registered");
/// assert_eq!(hi.codes["200"], 1);
/// assert!(hi.latency.quantile(0.99).is_some());
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "attach it with `PeerBuilder::plugin`"]
pub struct Stats(Arc<Counts>);

struct Counts {
    inbound: Table,
    outbound: Table,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    dialed: AtomicU64,
    accepted: AtomicU64,
    closed: AtomicU64,
}

impl Stats {
    /// The plugin, with nothing counted yet.
    pub fn new() -> Self {
        Stats::with_max_routes(MAX_ROUTES)
    }

    /// As [`new`](Self::new), with so many routes of each direction kept apart; 1 or more, 0 counts as 1. Default: 1024.
    pub fn with_max_routes(most: usize) -> Self {
        Stats(Arc::new(Counts {
            inbound: Table::new(most, "unknown"),
            outbound: Table::new(most, "other"),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            dialed: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        }))
    }

    /// What was counted so far. Counting goes on meanwhile, so numbers of calls that end just now may differ by these.
    #[must_use]
    pub fn snapshot(&self) -> StatsSnapshot {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // Those that ended first: a session that begins and ends in between is then not one less than none.
        let closed = read(&self.0.closed);
        let (dialed, accepted) = (read(&self.0.dialed), read(&self.0.accepted));
        StatsSnapshot {
            sessions: SessionCounts {
                dialed,
                accepted,
                closed,
                open: (dialed + accepted).saturating_sub(closed),
            },
            received_bytes: read(&self.0.received_bytes),
            sent_bytes: read(&self.0.sent_bytes),
            inbound: self.0.inbound.snapshot(),
            outbound: self.0.outbound.snapshot(),
        }
    }

    /// What was counted so far, in the text format of Prometheus, version 0.0.4.
    #[must_use]
    pub fn prometheus(&self) -> String {
        export::text(&self.snapshot())
    }

    fn sent(&self, written: &Written<'_>) {
        self.0.sent_bytes.fetch_add(written.bytes() as u64, Ordering::Relaxed);
        let Ok(path) = Uri::new(written.uri()).decoded_path() else { return };
        let route = self.0.outbound.find_or_add(written.kind().is_push(), &path);
        route.begun.fetch_add(1, Ordering::Relaxed);
    }
}

impl Default for Stats {
    fn default() -> Self {
        Stats::new()
    }
}

impl Counts {
    fn inbound(&self, is_push: bool, uri: &str) -> &RouteCounts {
        let path = Uri::new(uri).decoded_path();
        path.ok()
            .and_then(|path| self.inbound.find(is_push, &path))
            .unwrap_or_else(|| self.inbound.rest(is_push))
    }
}

impl RouteCounts {
    fn answered(&self, code: Code, after: Duration) {
        self.code(code).fetch_add(1, Ordering::Relaxed);
        self.latency.record(after);
    }
}

impl Plugin for Stats {
    fn name(&self) -> &str {
        "stats"
    }

    fn after_register(&self, route: &Route<'_>) -> Verdict {
        self.0.inbound.find_or_add(route.is_push(), route.path());
        Ok(())
    }

    fn after_dial(&self, _: &mut Early<'_>) -> impl Future<Output = Verdict> + Send {
        self.0.dialed.fetch_add(1, Ordering::Relaxed);
        ready(Ok(()))
    }

    fn after_accept(&self, _: &mut Early<'_>) -> impl Future<Output = Verdict> + Send {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
        ready(Ok(()))
    }

    fn after_disconnect(&self, _: &Disconnected<'_>) -> impl Future<Output = ()> + Send {
        self.0.closed.fetch_add(1, Ordering::Relaxed);
        ready(())
    }

    fn before_read_header(&self, packet: &Arriving<'_>) -> impl Future<Output = Verdict> + Send {
        self.0.received_bytes.fetch_add(packet.bytes(), Ordering::Relaxed);
        ready(Ok(()))
    }

    fn before_read_body(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
        if cx.is_push() {
            self.0.inbound(true, cx.uri()).begun.fetch_add(1, Ordering::Relaxed);
        }
        ready(Ok(()))
    }

    fn after_write_reply(&self, reply: &Written<'_>) -> impl Future<Output = ()> + Send {
        self.0.sent_bytes.fetch_add(reply.bytes() as u64, Ordering::Relaxed);
        let route = match reply.route() {
            Some(_) => self.0.inbound(false, reply.handled_uri()),
            None => self.0.inbound.rest(false),
        };
        let code = reply.status().map_or(Code::OK, |status| status.code());
        route.begun.fetch_add(1, Ordering::Relaxed);
        route.answered(code, reply.elapsed());
        ready(())
    }

    fn after_write_pull(&self, call: &Written<'_>) -> impl Future<Output = ()> + Send {
        self.sent(call);
        ready(())
    }

    fn after_write_push(&self, call: &Written<'_>) -> impl Future<Output = ()> + Send {
        self.sent(call);
        ready(())
    }

    fn after_read_reply_header(&self, reply: &mut IncomingReply<'_>) -> impl Future<Output = Verdict> + Send {
        if let Ok(path) = Uri::new(reply.uri()).decoded_path() {
            let route = self.0.outbound.find(false, &path).unwrap_or_else(|| self.0.outbound.rest(false));
            route.answered(reply.code(), reply.elapsed());
        }
        ready(Ok(()))
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stats").field(&self.snapshot().sessions).finish()
    }
}
