//! What plugins see of the calls that this side makes. Which plugins there are is not known on this floor.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::flight::{EncodedBody, Request, inflate};
use super::handle::Session;
use super::shared::now;
use crate::error::{Delivery, Error, Kind as ErrorKind, Refusal, Result};
use crate::extensions::Extensions;
use crate::status::{Code, Status};
use crate::wire::{Header, Kind, Packet, SealedBody};

/// A pull or push of this side that is about to be written: its hooks may change or refuse it.
pub struct OutgoingCall<'a> {
    session: &'a Session,
    kind: Kind,
    request: Request<'a>,
    body: Leaving,
    extensions: Extensions,
}

/// The body of a call before it is written.
pub(super) enum Leaving {
    /// As its codec wrote it.
    Encoded(EncodedBody),
    /// As it came from elsewhere.
    Sealed(SealedBody),
}

impl<'a> OutgoingCall<'a> {
    pub(super) fn new(session: &'a Session, kind: Kind, request: Request<'a>, body: Leaving) -> Self {
        OutgoingCall { session, kind, request, body, extensions: Extensions::default() }
    }
}

impl OutgoingCall<'_> {
    /// The session that it is about to go over.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.session
    }

    /// Whether it is a push; else it is a pull.
    #[must_use]
    pub fn is_push(&self) -> bool {
        self.kind.is_push()
    }

    /// Path and query, escaped.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.request.uri
    }

    /// Puts another uri in place of the caller's.
    pub fn set_uri(&mut self, uri: impl Into<String>) {
        self.request.uri = Cow::Owned(uri.into());
    }

    /// Adds `name=value` to the query of the uri, escaped.
    pub fn add_query(&mut self, name: &str, value: &str) {
        self.request.add_query(name, value);
    }

    /// Gzip level that the body will be compressed at; 0 is none.
    #[must_use]
    pub fn gzip(&self) -> i32 {
        self.request.gzip
    }

    /// Sets the gzip level: -2 to 9. A sealed body is not compressed once more, whatever is set.
    pub fn set_gzip(&mut self, level: i32) {
        self.request.gzip = level;
    }

    /// Whether its body is passed on as it came from elsewhere, unopened.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self.body, Leaving::Sealed(_))
    }

    /// Id of the body's codec; 0 where there is no body.
    #[must_use]
    pub fn codec(&self) -> u8 {
        match &self.body {
            Leaving::Encoded(body) => body.as_ref().map_or(0, |(codec, _)| *codec),
            Leaving::Sealed(body) => body.codec(),
        }
    }

    /// The body without its codec id: encoded and not yet compressed, or as it came where the call is sealed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match &self.body {
            Leaving::Encoded(body) => body.as_ref().map_or(&[], |(_, payload)| payload),
            Leaving::Sealed(body) => body.payload(),
        }
    }

    /// Puts another body in place of the caller's, by the id of its codec.
    pub fn set_body(&mut self, codec: u8, payload: impl Into<Vec<u8>>) {
        self.body = Leaving::Encoded(Some((codec, payload.into())));
    }

    /// Values of this call, for the hooks that come later. They are dropped when the call has ended, however it did.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

/// A pull, push or reply that stands in the session's output, from where it leaves at once.
pub struct Written<'a> {
    pub(crate) session: &'a Session,
    pub(crate) kind: Kind,
    pub(crate) uri: &'a str,
    pub(crate) codec: u8,
    pub(crate) bytes: usize,
    pub(crate) status: Option<&'a Status>,
    pub(crate) route: Option<&'a str>,
    pub(crate) handled_uri: &'a str,
    pub(crate) began: Instant,
    pub(crate) extensions: &'a Extensions,
}

impl<'a> Written<'a> {
    /// The session that it goes over.
    #[must_use]
    pub fn session(&self) -> &'a Session {
        self.session
    }

    /// Pull, push or reply.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Path and query as they were written; a reply has those of its pull.
    #[must_use]
    pub fn uri(&self) -> &'a str {
        self.uri
    }

    /// Id of the body's codec; 0 where there is no body.
    #[must_use]
    pub fn codec(&self) -> u8 {
        self.codec
    }

    /// Bytes of the whole packet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The status of a reply; pulls and pushes have none.
    #[must_use]
    pub fn status(&self) -> Option<&'a Status> {
        self.status
    }

    /// Name of the handler that a reply comes from, such as `Arith::mul`; `None` where none was found, and for pulls
    /// and pushes.
    #[must_use]
    pub fn route(&self) -> Option<&'a str> {
        self.route
    }

    /// The uri by which a handler was looked for: another than [`uri`](Self::uri) where a plugin of this side has set one
    /// for the pull that is answered. Pulls and pushes have the one that was written.
    #[must_use]
    pub fn handled_uri(&self) -> &'a str {
        self.handled_uri
    }

    /// How long the call is under way: for a reply since plugins first saw its pull, else since its hooks before the write.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.began)
    }

    /// Values of the call.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }
}

/// The reply to a pull of this side, on its way to the caller: its hooks may change or refuse it.
pub struct IncomingReply<'a> {
    session: &'a Session,
    uri: Cow<'a, str>,
    packet: Packet,
    sealed: bool,
    began: Instant,
    extensions: Extensions,
}

impl IncomingReply<'_> {
    /// The whole header of the reply.
    #[must_use]
    pub fn header(&self) -> Header<'_> {
        self.packet.header()
    }

    /// How long the pull is under way, its hooks included.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        now().saturating_duration_since(self.began)
    }

    /// The session that it came over.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.session
    }

    /// Path and query of the pull, as it was written.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The code that the other side answered with.
    #[must_use]
    pub fn code(&self) -> Code {
        self.packet.code().into()
    }

    /// What the other side answered with.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::new(self.packet.code(), self.packet.status().to_owned())
    }

    /// Puts another status in place of the one that came: the caller takes it for the other side's.
    pub fn set_status(&mut self, status: &Status) {
        self.packet.set_status(status.code().number(), status.text());
    }

    /// Gzip level that the body came with; 0 is none.
    #[must_use]
    pub fn gzip(&self) -> i32 {
        self.packet.gzip()
    }

    /// Id of the body's codec; 0 where there is no body.
    #[must_use]
    pub fn codec(&self) -> u8 {
        self.packet.body().codec()
    }

    /// Whether its body is passed on unopened, so that it is not inflated.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// The body without its codec id: as it travelled until `after_read_reply_body`, inflated from there on.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.packet.body().payload()
    }

    /// Puts another body in place of the one that came, by the id of its codec.
    pub fn set_body(&mut self, codec: u8, payload: &[u8]) {
        self.packet.set_body(codec, payload);
    }

    /// Values of the call, with those that the hooks of its pull put in.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

/// What became of a hook that was begun: most are through at once.
pub(crate) enum Step<'a, E> {
    Now(Result<(), E>),
    Later(Pin<Box<dyn Future<Output = Result<(), E>> + Send + 'a>>),
}

impl<E> Step<'_, E> {
    pub(crate) async fn done(self) -> Result<(), E> {
        match self {
            Step::Now(done) => done,
            Step::Later(future) => future.await,
        }
    }
}

/// The hooks of the calls that this side makes.
pub(crate) trait CallHooks: Send + Sync {
    /// Whether calls of this kind have any.
    fn see(&self, kind: Kind) -> bool;
    /// Whether replies have any.
    fn see_replies(&self) -> bool;
    /// Whether a hook before the write of this kind, or for a reply, may have to wait.
    fn may_wait(&self, kind: Kind) -> bool;
    fn before_write<'a>(&'a self, call: &'a mut OutgoingCall<'_>) -> Step<'a, Refusal>;
    fn after_write(&self, written: &Written<'_>);
    fn after_reply_header(&self, reply: &mut IncomingReply<'_>) -> Result<(), Refusal>;
    fn before_reply_body<'a>(&'a self, reply: &'a mut IncomingReply<'_>) -> Step<'a, Refusal>;
    fn after_reply_body<'a>(&'a self, reply: &'a mut IncomingReply<'_>) -> Step<'a, Refusal>;
}

/// The output of a future that is ready at once.
pub(crate) fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What the hooks of one call know, for as long as it is under way.
pub(super) struct HookedCall {
    /// The uri, where it is not the caller's.
    pub(super) uri: Option<String>,
    pub(super) gzip: i32,
    pub(super) deadline: Option<(Instant, Duration)>,
    /// Its body and that of its reply are passed on unopened.
    pub(super) sealed: bool,
    began: Instant,
    extensions: Extensions,
}

impl HookedCall {
    pub(super) fn new(gzip: i32, deadline: Option<(Instant, Duration)>, sealed: bool) -> Self {
        HookedCall { uri: None, gzip, deadline, sealed, began: now(), extensions: Extensions::default() }
    }

    /// Takes back what the hooks before the write made of the call.
    pub(super) fn take_back(&mut self, call: OutgoingCall<'_>, own: &str) -> Leaving {
        let OutgoingCall { request, body, extensions, .. } = call;
        self.uri = (request.uri != own).then(|| request.uri.into_owned());
        self.gzip = request.gzip;
        self.extensions = extensions;
        body
    }

    /// Tells the hooks that the call is written.
    pub(super) fn written(
        &self,
        hooks: &dyn CallHooks,
        session: &Session,
        kind: Kind,
        own: &str,
        (codec, bytes): (u8, usize),
    ) {
        let uri = self.uri.as_deref().unwrap_or(own);
        hooks.after_write(&Written {
            session,
            kind,
            uri,
            handled_uri: uri,
            began: self.began,
            codec,
            bytes,
            status: None,
            route: None,
            extensions: &self.extensions,
        });
    }

    /// The reply as its hooks see it; where they may have to wait, it borrows nothing of the caller's.
    pub(super) fn reply<'a>(
        &mut self,
        session: &'a Session,
        own: Cow<'a, str>,
        packet: Packet,
    ) -> IncomingReply<'a> {
        let uri = self.uri.clone().map_or(own, Cow::Owned);
        IncomingReply {
            session,
            uri,
            packet,
            sealed: self.sealed,
            began: self.began,
            extensions: std::mem::take(&mut self.extensions),
        }
    }
}

/// Leads a call through the hooks before its write.
pub(super) async fn before_write<'a>(
    hooks: Arc<dyn CallHooks>,
    mut call: OutgoingCall<'a>,
    deadline: Option<(Instant, Duration)>,
) -> Result<OutgoingCall<'a>> {
    within(deadline, hooks.before_write(&mut call)).await?;
    Ok(call)
}

/// Leads a reply through its hooks; the packet that is left for the caller is inflated, unless it is passed on unopened.
pub(super) async fn read_reply(
    hooks: Arc<dyn CallHooks>,
    mut reply: IncomingReply<'_>,
    deadline: Option<(Instant, Duration)>,
) -> Result<Packet> {
    let answered = |error: Error| error.with_delivery(Delivery::Answered);
    hooks.after_reply_header(&mut reply).map_err(|refusal| answered(refusal.into()))?;
    // The body of a reply that failed is nobody's.
    if reply.code().is_ok() {
        within(deadline, hooks.before_reply_body(&mut reply)).await.map_err(answered)?;
        if !reply.sealed {
            let most = reply.session.shared().settings.decode.max_inflated;
            inflate(&mut reply.packet, most).map_err(|error| answered(Error::decode(&error)))?;
        }
        within(deadline, hooks.after_reply_body(&mut reply)).await.map_err(answered)?;
    }
    Ok(reply.packet)
}

/// Waits for a hook as long as its call may take.
async fn within(deadline: Option<(Instant, Duration)>, step: Step<'_, Refusal>) -> Result<()> {
    let done = match (step, deadline) {
        (Step::Later(future), Some((at, after))) => match tokio::time::timeout_at(at.into(), future).await {
            Ok(done) => done,
            Err(_) => return Err(Error::new(ErrorKind::Timeout(after))),
        },
        (step, _) => step.done().await,
    };
    done.map_err(Error::from)
}

macro_rules! debug {
    ($($Type:ident { $($field:ident),* })*) => {
        $(impl fmt::Debug for $Type<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Type))$(.field(stringify!($field), &self.$field()))*.finish_non_exhaustive()
            }
        })*
    };
}

debug! {
    OutgoingCall { uri, is_push, gzip, codec, extensions, session }
    Written { kind, uri, codec, bytes, status, route, extensions, session }
    IncomingReply { uri, status, gzip, codec, extensions, session }
}
