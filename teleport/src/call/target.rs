//! Where a generated client's calls go: over one session, or over one that is picked for each call.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::buffer;
use crate::error::{Delivery, Result};
use crate::session::{Encode, EncodedBody, PullFlight, PushFlight, Request, Session, Timeout, now};
use crate::wire::Packet;

/// What a generated client's calls go to: made of a `&Session`, or of a `&Balancer`, which picks a session for each call.
#[derive(Clone)]
pub struct Target(Kind);

#[derive(Clone)]
enum Kind {
    Session(Session),
    Pick(Arc<dyn Pick>),
}

/// Picks the session of a call.
pub(crate) trait Pick: Send + Sync {
    /// One that takes calls; where it has to wait for one, no longer than `within`.
    fn pick(&self, within: Option<Duration>) -> Picking<'_>;
}

pub(crate) enum Picking<'a> {
    Now(Session),
    Later(Pin<Box<dyn Future<Output = Result<Session>> + Send + 'a>>),
}

impl Target {
    pub(crate) fn pick(pick: Arc<dyn Pick>) -> Self {
        Target(Kind::Pick(pick))
    }

    pub(super) fn session(&self) -> Option<&Session> {
        match &self.0 {
            Kind::Session(session) => Some(session),
            Kind::Pick(_) => None,
        }
    }
}

impl From<&Session> for Target {
    fn from(session: &Session) -> Self {
        Target(Kind::Session(session.clone()))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.session()).finish()
    }
}

/// What a client is made of: a `&Session`, or a `&Balancer`.
#[diagnostic::on_unimplemented(
    message = "a client can't be made of `{Self}`",
    label = "is neither a `&Session` nor a `&Balancer`",
    note = "write `Client::new(&session)`, or `Client::new(&balancer)` to pick a session for each call"
)]
pub trait IntoTarget {
    /// Where the calls go.
    fn into_target(self) -> Target;
}

#[diagnostic::do_not_recommend]
impl<T: Into<Target>> IntoTarget for T {
    fn into_target(self) -> Target {
        self.into()
    }
}

/// A call over a session that is picked when it is polled first: it owns everything, so that it may wait for one.
pub(super) struct Picked<T> {
    pick: Option<Arc<dyn Pick>>,
    running: Option<Running<T>>,
}

/// What it came to, and over which session.
type Running<T> = Pin<Box<dyn Future<Output = (Option<Session>, Result<T>)> + Send>>;

impl<T: 'static> Picked<T> {
    fn new(pick: &Arc<dyn Pick>) -> Self {
        Picked { pick: Some(pick.clone()), running: None }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        encode: Encode<'_>,
        run: fn(Arc<dyn Pick>, Request<'static>, EncodedBody) -> Running<T>,
    ) -> Poll<(Option<Session>, Result<T>)> {
        if let Some(pick) = self.pick.take() {
            match encode() {
                Ok(body) => self.running = Some(run(pick, request.to_owned(), body)),
                Err(error) => {
                    let error = error.with_delivery(Delivery::NotSent).with_uri(&request.uri);
                    return Poll::Ready((None, Err(error)));
                }
            }
        }
        let Some(running) = &mut self.running else { panic!("a call was polled after it had ended") };
        let outcome = ready!(running.as_mut().poll(cx));
        self.running = None;
        Poll::Ready(outcome)
    }
}

/// One attempt after the other: a call that was not sent, because its session had just ended, goes to another one.
macro_rules! run {
    ($pick:ident, $request:ident, $body:ident, $Flight:ident) => {
        Box::pin(async move {
            loop {
                let session = match pick(&*$pick, &mut $request).await {
                    Ok(session) => session,
                    Err(error) => {
                        let error = error.with_delivery(Delivery::NotSent).with_uri(&$request.uri);
                        return (None, Err(error));
                    }
                };
                let mut flight = $Flight::new(&session);
                let sent = poll_fn(|cx| flight.poll(cx, &$request, &mut || Ok(copy(&$body)))).await;
                drop(flight);
                match sent {
                    Err(error) if error.is_closed() && error.delivery() == Some(Delivery::NotSent) => {
                        // Whoever was told of the end on another thread is about to say so.
                        tokio::task::yield_now().await;
                    }
                    outcome => return (Some(session), outcome),
                }
            }
        })
    };
}

fn run_pull(pick_from: Arc<dyn Pick>, mut request: Request<'static>, body: EncodedBody) -> Running<Packet> {
    run!(pick_from, request, body, PullFlight)
}

fn run_push(pick_from: Arc<dyn Pick>, mut request: Request<'static>, body: EncodedBody) -> Running<()> {
    run!(pick_from, request, body, PushFlight)
}

/// A session for the call, from whose time the wait for it is taken.
async fn pick(from: &dyn Pick, request: &mut Request<'_>) -> Result<Session> {
    let after = match request.timeout {
        Timeout::After(after) | Timeout::Untold(after) => Some(after),
        Timeout::Default | Timeout::Never => None,
    };
    let picking = match from.pick(after) {
        Picking::Now(session) => return Ok(session),
        Picking::Later(picking) => picking,
    };
    let begun = now();
    let session = picking.await?;
    if let Some(after) = after {
        let left = after.saturating_sub(now() - begun);
        request.timeout = match request.timeout {
            Timeout::Untold(_) => Timeout::Untold(left),
            _ => Timeout::After(left),
        };
    }
    Ok(session)
}

fn copy(body: &EncodedBody) -> EncodedBody {
    let (codec, payload) = body.as_ref()?;
    let mut copy = buffer::take();
    copy.extend_from_slice(payload);
    Some((*codec, copy))
}

/// The way of a pull: [`PullFlight`] over the session of its client, or over one that is picked.
pub(super) enum PullWay<'a> {
    Direct(PullFlight<'a>),
    Picked(Box<(Picked<Packet>, Option<Session>)>),
}

impl<'a> PullWay<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        match &target.0 {
            Kind::Session(session) => PullWay::Direct(PullFlight::new(session)),
            Kind::Pick(pick) => PullWay::Picked(Box::new((Picked::new(pick), None))),
        }
    }

    /// Drives the pull to its reply packet.
    #[inline]
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        encode: Encode<'_>,
    ) -> Poll<Result<Packet>> {
        match self {
            PullWay::Direct(flight) => flight.poll(cx, request, encode),
            PullWay::Picked(picked) => {
                let (session, outcome) = ready!(picked.0.poll(cx, request, encode, run_pull));
                picked.1 = session;
                Poll::Ready(outcome)
            }
        }
    }

    /// The session over which the reply came.
    pub(super) fn session(&self) -> &Session {
        match self {
            PullWay::Direct(flight) => flight.session(),
            PullWay::Picked(picked) => picked.1.as_ref().expect("a reply came over a session"),
        }
    }
}

/// The way of a push: as [`PullWay`].
pub(super) enum PushWay<'a> {
    Direct(PushFlight<'a>),
    Picked(Box<Picked<()>>),
}

impl<'a> PushWay<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        match &target.0 {
            Kind::Session(session) => PushWay::Direct(PushFlight::new(session)),
            Kind::Pick(pick) => PushWay::Picked(Box::new(Picked::new(pick))),
        }
    }

    /// Drives the push into the session's output.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request<'_>,
        encode: Encode<'_>,
    ) -> Poll<Result<()>> {
        match self {
            PushWay::Direct(flight) => flight.poll(cx, request, encode),
            PushWay::Picked(picked) => picked.poll(cx, request, encode, run_push).map(|(_, outcome)| outcome),
        }
    }
}
