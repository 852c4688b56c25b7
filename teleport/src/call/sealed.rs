//! Calls whose bodies are passed on unopened, and their replies.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::error::Result;
use crate::session::{PullFlight, PushFlight, Request, Session, Timeout};
use crate::status::{Code, Status};
use crate::wire::{Packet, SealedBody, TraceParent};

/// A reply that is passed on unopened: its status, whatever that is, and its body.
///
/// # Examples
///
/// A handler that passes on what another session answers, and its refusals too:
///
/// ```
/// use teleport::{Peer, Session};
///
/// # fn gateway(upstream: Session) -> teleport::Result<Peer> {
/// Peer::builder()
///     .unknown_pull_sealed(move |cx, body| {
///         let upstream = upstream.clone();
///         async move { Ok(upstream.pull(cx.uri()).sealed(body).await?) }
///     })
///     .build()
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SealedReply {
    status: Status,
    body: SealedBody,
}

impl SealedReply {
    /// A reply of this status and body.
    pub fn new(status: Status, body: SealedBody) -> Self {
        SealedReply { status, body }
    }

    /// A reply with the status 200 `OK`.
    #[must_use]
    pub fn ok(body: SealedBody) -> Self {
        Self::new(Status::ok(), body)
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &SealedBody {
        &self.body
    }

    /// Status and body.
    #[must_use]
    pub fn into_parts(self) -> (Status, SealedBody) {
        (self.status, self.body)
    }

    fn from_packet(packet: Packet) -> Self {
        let status = match (packet.code(), packet.status()) {
            (200, "OK") => Status::ok(),
            (code, text) => Status::new(Code::from(code), text.to_owned()),
        };
        SealedReply { status, body: packet.into_body() }
    }
}

impl fmt::Debug for SealedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedReply").field("status", &self.status).field("body", &self.body).finish()
    }
}

/// A pull whose body is passed on unopened; made by [`Pull::sealed`](crate::Pull::sealed). `.await` it for the
/// [`SealedReply`].
///
/// # Errors
///
/// As of a [`PullCall`](crate::PullCall), but a status other than OK is none: it is in the reply.
///
/// # Cancel safety
///
/// As of a [`PullCall`](crate::PullCall).
///
/// # Panics
///
/// Polling it again after it has ended.
#[must_use = "a call does nothing until it is awaited"]
pub struct SealedPull<'a> {
    flight: PullFlight<'a>,
    request: Request<'a>,
}

impl<'a> SealedPull<'a> {
    pub(super) fn new(session: &'a Session, mut request: Request<'a>, body: SealedBody) -> Self {
        request.gzip = body.gzip();
        SealedPull { flight: PullFlight::sealed(session, body), request }
    }

    /// Waits so long for the reply; the default is the session's. A handler at the other side learns of it, where that side
    /// understands it; see [`Context::deadline`](crate::Context::deadline).
    pub fn timeout(mut self, after: Duration) -> Self {
        self.request.timeout = Timeout::After(after);
        self
    }

    /// Waits for the reply as long as the session lives.
    pub fn no_timeout(mut self) -> Self {
        self.request.timeout = Timeout::Never;
        self
    }

    /// Whether the call may run more than once: over a session that redials it is sent again, within its time, where the
    /// connection was lost before its reply came; see [`Redial`](crate::Redial). Default: false.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.request.idempotent = idempotent;
        self
    }

    #[doc = include_str!("../../docs/traceparent.md")]
    pub fn traceparent(mut self, trace: impl Into<Option<TraceParent>>) -> Self {
        self.request.trace = trace.into().map(Box::new);
        self
    }

    /// As [`timeout`](Self::timeout), but not worth telling the other side: the usual one of whoever passes calls on.
    pub(crate) fn untold_timeout(mut self, after: Duration) -> Self {
        self.request.timeout = Timeout::Untold(after);
        self
    }

    /// Waits until the pull stands in the session's output, so that what is called after it leaves after it.
    ///
    /// # Errors
    ///
    /// As when the call is awaited. It has ended then.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this future is dropped.
    pub async fn sent(&mut self) -> Result<()> {
        poll_fn(|cx| self.flight.poll_sent(cx, &self.request, &mut || Ok(None))).await
    }
}

impl Future for SealedPull<'_> {
    type Output = Result<SealedReply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let packet = ready!(this.flight.poll_any(cx, &this.request, &mut || Ok(None)))?;
        Poll::Ready(Ok(SealedReply::from_packet(packet)))
    }
}

/// A push whose body is passed on unopened; made by [`Push::sealed`](crate::Push::sealed).
///
/// Errors and cancel safety are those of [`PushCall`](crate::PushCall).
#[must_use = "a push does nothing until it is awaited"]
pub struct SealedPush<'a> {
    flight: PushFlight<'a>,
    request: Request<'a>,
}

impl<'a> SealedPush<'a> {
    pub(super) fn new(session: &'a Session, mut request: Request<'a>, body: SealedBody) -> Self {
        request.gzip = body.gzip();
        SealedPush { flight: PushFlight::sealed(session, body), request }
    }

    /// Waits so long for room in the session's output; the default is the session's.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.request.timeout = Timeout::After(after);
        self
    }

    /// Waits for room as long as the session lives.
    pub fn no_timeout(mut self) -> Self {
        self.request.timeout = Timeout::Never;
        self
    }

    #[doc = include_str!("../../docs/traceparent.md")]
    pub fn traceparent(mut self, trace: impl Into<Option<TraceParent>>) -> Self {
        self.request.trace = trace.into().map(Box::new);
        self
    }
}

impl Future for SealedPush<'_> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.flight.poll(cx, &this.request, &mut || Ok(None))
    }
}
