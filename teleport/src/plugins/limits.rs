//! Bounds on what peers may do.

mod rate;
mod seats;

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::plugin::{Disconnected, Early, Plugin, Route, Verdict};
use crate::wire::Uri;
use crate::{Context, Session, Status};
use rate::{Bucket, Rate};
use seats::{Counter, Permits, Places, Seats};

/// Bounds the sessions of a peer, the calls per second that come to it, and the calls that it handles at once.
///
/// Nothing is bounded that no method asks for. What is past a bound is refused with 503 and a text that names the
/// setting: the session is closed, the pull answered, the push dropped; [`refused`](Self::refused) counts each. Callers
/// may try again later.
///
/// Calls are seen when their header has come, also those to uris that nobody takes; those of a session's early talk are
/// not. A call that is refused by one bound takes nothing from the others. All clones count together, and so do peers
/// that share one as an `Arc` or as clones. Attached to a group or a service it bounds the calls that come there alone.
///
/// # Calls in flight
///
/// A call is in flight from its header until its reply stands in the output, or until the handler of a push is through. A
/// handler that keeps its [`Context`] in a task of its own keeps the call in flight.
///
/// # Calls per second
///
/// Each bound is a bucket of `burst` calls that fills at the rate and lets a call through while there is one in it: a
/// caller that was silent may make `burst` calls at once, and `per_second` of them each second from then on. A rate or
/// burst of 0 counts as 1.
///
/// # Examples
///
/// ```
/// use teleport::plugins::LoadLimits;
/// use teleport::{Code, Peer};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> teleport::Result<()> {
/// let limits = LoadLimits::new().sessions_per_ip(100).rate_per_session(10, 2).in_flight_per_peer(1000);
/// let server = Peer::builder().plugin(limits.clone()).pull("/", |_, ()| async { Ok(()) })?.build()?;
/// let session = Peer::builder().build()?.connect(&server).await?;
/// session.pull("/").await?;
/// session.pull("/").await?;
/// let error = session.pull("/").await.unwrap_err();
/// assert_eq!(error.code(), Some(Code::UNAVAILABLE));
/// assert!(error.to_string().contains("rate_per_session"));
/// assert_eq!(limits.refused().pulls, 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use = "attach it with `PeerBuilder::plugin`"]
pub struct LoadLimits {
    settings: Settings,
    state: Arc<State>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    sessions: Option<usize>,
    sessions_per_ip: Option<usize>,
    rate_per_session: Option<Rate>,
    rate_per_route: Option<Rate>,
    rate_per_peer: Option<Rate>,
    in_flight_per_session: Option<usize>,
    in_flight_per_peer: Option<usize>,
}

/// What all clones share.
#[derive(Default)]
struct State {
    places: Arc<Places>,
    in_flight: Arc<Counter>,
    rate: Bucket,
    /// Of pulls, and of pushes, by path: entries for what is registered and no others.
    routes: RwLock<[HashMap<Box<str>, Arc<Bucket>>; 2]>,
    /// What comes to handlers of unknown uris.
    unknown: Bucket,
    sessions_refused: AtomicU64,
    pulls_refused: AtomicU64,
    pushes_dropped: AtomicU64,
}

/// What is counted for one session.
#[derive(Default)]
struct SessionState {
    in_flight: Arc<Counter>,
    rate: Bucket,
}

/// What a [`LoadLimits`] has refused so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// Sessions that were not let in.
    pub sessions: u64,
    /// Pulls that were answered with 503.
    pub pulls: u64,
    /// Pushes that were dropped.
    pub pushes: u64,
}

impl LoadLimits {
    /// The plugin, without a bound yet.
    pub fn new() -> Self {
        LoadLimits::default()
    }

    /// How many sessions the peer accepts at once. Those that it dials are not counted.
    pub fn sessions(mut self, most: usize) -> Self {
        self.settings.sessions = Some(most);
        self
    }

    /// How many sessions the peer accepts at once from one IP address. Sessions over what has no addresses, such as Unix
    /// sockets, are not counted.
    pub fn sessions_per_ip(mut self, most: usize) -> Self {
        self.settings.sessions_per_ip = Some(most);
        self
    }

    /// Calls per second that may come over each session.
    pub fn rate_per_session(mut self, per_second: u32, burst: u32) -> Self {
        self.settings.rate_per_session = Some(Rate::new(per_second, burst));
        self
    }

    /// Calls per second that may come to each route from all sessions together. What handlers of unknown uris take counts
    /// as one route.
    pub fn rate_per_route(mut self, per_second: u32, burst: u32) -> Self {
        self.settings.rate_per_route = Some(Rate::new(per_second, burst));
        self
    }

    /// Calls per second that may come to the peer.
    pub fn rate_per_peer(mut self, per_second: u32, burst: u32) -> Self {
        self.settings.rate_per_peer = Some(Rate::new(per_second, burst));
        self
    }

    /// How many calls of one session are handled at once.
    pub fn in_flight_per_session(mut self, most: usize) -> Self {
        self.settings.in_flight_per_session = Some(most);
        self
    }

    /// How many calls the peer handles at once.
    pub fn in_flight_per_peer(mut self, most: usize) -> Self {
        self.settings.in_flight_per_peer = Some(most);
        self
    }

    /// What was refused so far.
    #[must_use]
    pub fn refused(&self) -> Refused {
        Refused {
            sessions: self.state.sessions_refused.load(Ordering::Relaxed),
            pulls: self.state.pulls_refused.load(Ordering::Relaxed),
            pushes: self.state.pushes_dropped.load(Ordering::Relaxed),
        }
    }

    /// How many calls are in flight, where a bound on them is set.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.in_flight.get()
    }

    /// How many accepted sessions there are, where a bound on them is set.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.state.places.taken()
    }

    /// How many remote IP addresses are counted now, where a bound on their sessions is set.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.state.places.addresses()
    }

    /// Tells this plugin's values in a session apart from those of another one.
    fn key(&self) -> usize {
        Arc::as_ptr(&self.state).addr()
    }

    fn count(&self, cx: &Context) {
        let counter = if cx.is_push() { &self.state.pushes_dropped } else { &self.state.pulls_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn session_state(&self, session: &Session) -> Arc<SessionState> {
        session.extensions().get_or_insert_with(Seats::default).state(self.key())
    }

    fn admit_session(&self, session: &Session) -> Verdict {
        let Settings { sessions, sessions_per_ip, .. } = self.settings;
        if sessions.is_none() && sessions_per_ip.is_none() {
            return Ok(());
        }
        // One address, written in two ways.
        let ip = sessions_per_ip.and(session.remote_addr().tcp()).map(|address| address.ip().to_canonical());
        let place = self.state.places.take(ip, sessions, sessions_per_ip);
        let place = place.inspect_err(|_| {
            self.state.sessions_refused.fetch_add(1, Ordering::Relaxed);
        })?;
        session.extensions().get_or_insert_with(Seats::default).sit(self.key(), place);
        Ok(())
    }

    fn admit_call(&self, cx: &Context) -> Verdict {
        let set = &self.settings;
        let of_session = (set.in_flight_per_session.is_some() || set.rate_per_session.is_some())
            .then(|| self.session_state(cx.session()));
        let mut permits = [None, None];
        if let (Some(most), Some(of_session)) = (set.in_flight_per_session, &of_session) {
            let permit = of_session.in_flight.take(most);
            permits[0] =
                Some(permit.ok_or_else(|| past_in_flight(most, "session", "in_flight_per_session"))?);
        }
        if let Some(most) = set.in_flight_per_peer {
            let permit = self.state.in_flight.take(most);
            permits[1] = Some(permit.ok_or_else(|| past_in_flight(most, "peer", "in_flight_per_peer"))?);
        }
        if let (Some(rate), Some(of_session)) = (set.rate_per_session, &of_session)
            && !of_session.rate.take(rate)
        {
            return Err(past_rate(rate, "session", "rate_per_session"));
        }
        if let Some(rate) = set.rate_per_peer
            && !self.state.rate.take(rate)
        {
            if let (Some(rate), Some(of_session)) = (set.rate_per_session, &of_session) {
                of_session.rate.give_back(rate);
            }
            return Err(past_rate(rate, "peer", "rate_per_peer"));
        }
        if permits.iter().any(Option::is_some) {
            cx.extensions().get_or_insert_with(Permits::default).keep(permits);
        }
        Ok(())
    }

    fn admit_to_route(&self, cx: &Context) -> Verdict {
        let Some(rate) = self.settings.rate_per_route else { return Ok(()) };
        let bucket = Uri::new(cx.uri()).decoded_path().ok().and_then(|path| {
            let routes = self.state.routes.read();
            routes[usize::from(cx.is_push())].get(&*path).cloned()
        });
        if bucket.as_deref().unwrap_or(&self.state.unknown).take(rate) {
            return Ok(());
        }
        // It was counted before its route was known.
        if let Some(rate) = self.settings.rate_per_session {
            self.session_state(cx.session()).rate.give_back(rate);
        }
        if let Some(rate) = self.settings.rate_per_peer {
            self.state.rate.give_back(rate);
        }
        Err(past_rate(rate, "route", "rate_per_route"))
    }
}

#[cold]
fn past_in_flight(most: usize, of: &str, setting: &str) -> Status {
    Status::unavailable(format!(
        "{most} calls of the {of} are in flight (setting `{setting}` of the plugin limits)"
    ))
}

#[cold]
fn past_rate(rate: Rate, of: &str, setting: &str) -> Status {
    Status::unavailable(format!(
        "more than {rate} come to the {of} (setting `{setting}` of the plugin limits)"
    ))
}

impl Plugin for LoadLimits {
    fn name(&self) -> &str {
        "limits"
    }

    fn after_register(&self, route: &Route<'_>) -> Verdict {
        if self.settings.rate_per_route.is_some() {
            let mut routes = self.state.routes.write();
            routes[usize::from(route.is_push())].entry(route.path().into()).or_default();
        }
        Ok(())
    }

    fn after_accept(&self, early: &mut Early<'_>) -> impl Future<Output = Verdict> + Send {
        ready(self.admit_session(early.session()))
    }

    fn after_read_header(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
        ready(self.admit_call(cx).inspect_err(|_| self.count(cx)))
    }

    fn before_read_body(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
        ready(self.admit_to_route(cx).inspect_err(|_| self.count(cx)))
    }

    fn after_disconnect(&self, session: &Disconnected<'_>) -> impl Future<Output = ()> + Send {
        // Whoever keeps a handle of the session does not keep its place.
        if let Some(seats) = session.extensions().get::<Seats>() {
            seats.leave(self.key());
        }
        ready(())
    }
}

impl fmt::Debug for LoadLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadLimits")
            .field("settings", &self.settings)
            .field("refused", &self.refused())
            .finish()
    }
}
