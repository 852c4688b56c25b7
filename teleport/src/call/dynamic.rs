//! Calls without a trait: by uri, with any codec.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::reply::Reply;
use super::sealed::{SealedPull, SealedPush};
use crate::buffer;
use crate::codec::{Codec, Encode, Json};
use crate::error::Result;
use crate::session::{EncodedBody, PullFlight, PushFlight, Request, Session, Timeout, check_uri};
use crate::wire::{SealedBody, TraceParent};

impl Session {
    /// Calls the handler at `uri`, query included, and waits for its reply.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Bincode, Peer};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
    /// let server = Peer::builder()
    ///     .pull("/sum", |_, numbers: Vec<i64>| async move { Ok(numbers.iter().sum::<i64>()) })?
    ///     .build()?;
    /// let session = Peer::builder().build()?.connect(&server).await?;
    /// let reply = session.pull("/sum?from=here").codec(Bincode).body(&[1i64, 2, 3][..]).await?;
    /// assert_eq!(reply.decode::<i64>()?, 6);
    /// # Ok(()) }
    /// ```
    pub fn pull<'a>(&'a self, uri: &'a str) -> Pull<'a> {
        Pull { flight: PullFlight::new(self), call: Dynamic::new(uri), marker: PhantomData }
    }

    /// Sends to the handler at `uri`, query included, and expects nothing back.
    ///
    /// # Examples
    ///
    /// ```
    /// # async fn f(session: teleport::Session) -> teleport::Result<()> {
    /// session.push("/log").body("started").await?;
    /// # Ok(()) }
    /// ```
    pub fn push<'a>(&'a self, uri: &'a str) -> Push<'a> {
        Push { flight: PushFlight::new(self), call: Dynamic::new(uri), marker: PhantomData }
    }
}

/// What dynamic pulls and pushes have in common.
struct Dynamic<'a> {
    request: Request<'a>,
    /// Encoded when it was given; an error is told when the call is awaited.
    body: Result<EncodedBody>,
}

impl<'a> Dynamic<'a> {
    fn new(uri: &'a str) -> Self {
        Dynamic {
            request: Request {
                uri: uri.into(),
                gzip: 0,
                timeout: Timeout::Default,
                idempotent: false,
                trace: None,
            },
            body: Ok(None),
        }
    }

    fn encode<C: Encode<T>, T: ?Sized>(&mut self, value: &T) {
        let mut payload = buffer::take();
        self.body = match C::encode(value, &mut payload) {
            Ok(()) => Ok(Some((C::ID, payload))),
            Err(error) => Err(error.into()),
        };
    }

    fn set_payload(&mut self, codec: u8, payload: &[u8]) {
        let mut bytes = buffer::take();
        bytes.extend_from_slice(payload);
        self.body = Ok(Some((codec, bytes)));
    }
}

fn take_body(request: &Request<'_>, body: &mut Result<EncodedBody>) -> Result<EncodedBody> {
    check_uri(request)?;
    std::mem::replace(body, Ok(None))
}

/// Stands for the codec of a call whose body is given and encoded: it is too late to choose one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BodyGiven;

/// A call whose body is not given yet.
#[diagnostic::on_unimplemented(
    message = "the body of this call is given already",
    label = "comes too late",
    note = "choose the codec first, then give the body, once: `session.pull(uri).codec(Bincode).body(&value)`"
)]
pub trait BeforeBody {}

#[diagnostic::do_not_recommend]
impl<C: Codec> BeforeBody for C {}

macro_rules! options {
    ($Call:ident) => {
        impl<'a, C> $Call<'a, C> {
            /// Chooses the codec of the body, which is given after it; the default is [`Json`].
            pub fn codec<D: Codec>(self, codec: D) -> $Call<'a, D>
            where
                C: BeforeBody,
            {
                let _ = codec;
                self.with_codec()
            }

            /// Gives the body, encoded at once; without one the packet has no body.
            pub fn body<T: ?Sized>(mut self, value: &T) -> $Call<'a, BodyGiven>
            where
                C: BeforeBody + Encode<T>,
            {
                self.call.encode::<C, T>(value);
                self.with_codec()
            }

            /// Gives a body that is encoded already, and the id of its codec.
            pub fn payload(mut self, codec: u8, payload: &[u8]) -> $Call<'a, BodyGiven>
            where
                C: BeforeBody,
            {
                self.call.set_payload(codec, payload);
                self.with_codec()
            }

            /// Compresses the body with gzip at this level: 1 (fastest) to 9 (smallest), -1 for the usual (6), -2 as 1,
            /// 0 for none. Another level is an error when the call is awaited.
            pub fn gzip(mut self, level: i32) -> Self {
                self.call.request.gzip = level;
                self
            }

            /// Adds `name=value` to the query of the uri, escaped.
            pub fn query(mut self, name: &str, value: &str) -> Self {
                self.call.request.add_query(name, value);
                self
            }

            #[doc = include_str!("../../docs/traceparent.md")]
            pub fn traceparent(mut self, trace: impl Into<Option<TraceParent>>) -> Self {
                self.call.request.trace = trace.into().map(Box::new);
                self
            }

            fn with_codec<D>(self) -> $Call<'a, D> {
                $Call { flight: self.flight, call: self.call, marker: PhantomData }
            }
        }

        // Nothing in it is pinned.
        impl<C> Unpin for $Call<'_, C> {}
    };
}

/// A pull without a trait: set a body and options, then `.await` it for a [`Reply`].
///
/// Errors, cancel safety and panics are those of [`PullCall`](crate::PullCall).
#[must_use = "a call does nothing until it is awaited"]
pub struct Pull<'a, C = Json> {
    flight: PullFlight<'a>,
    call: Dynamic<'a>,
    marker: PhantomData<C>,
}

options!(Pull);

impl<C> Pull<'_, C> {
    /// Waits so long for the reply; the default is the session's. A handler at the other side learns of it, where that side
    /// understands it; see [`Context::deadline`](crate::Context::deadline).
    pub fn timeout(mut self, after: Duration) -> Self {
        self.call.request.timeout = Timeout::After(after);
        self
    }

    /// Waits for the reply as long as the session lives.
    pub fn no_timeout(mut self) -> Self {
        self.call.request.timeout = Timeout::Never;
        self
    }

    /// Whether the call may run more than once: over a session that redials it is sent again, within its time, where the
    /// connection was lost before its reply came; see [`Redial`](crate::Redial). Default: false.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.call.request.idempotent = idempotent;
        self
    }
}

impl<'a, C: BeforeBody> Pull<'a, C> {
    /// Gives a body as it came from elsewhere, unopened, and asks for the reply unopened too.
    ///
    /// It goes out byte by byte, with the gzip level that it has.
    pub fn sealed(self, body: SealedBody) -> SealedPull<'a> {
        SealedPull::new(self.flight.session(), self.call.request, body)
    }
}

impl<C> Future for Pull<'_, C> {
    type Output = Result<Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Dynamic { request, body } = &mut this.call;
        let request = &*request;
        let packet = ready!(this.flight.poll(cx, request, &mut || take_body(request, body)))?;
        let session = this.flight.session();
        let limits = &session.shared().settings.decode;
        Poll::Ready(Ok(Reply::new(
            packet,
            limits.clone(),
            request.uri.to_string(),
            session.remote_addr().to_string(),
        )))
    }
}

/// A push without a trait: set a body and options, then `.await` it.
///
/// Errors and cancel safety are those of [`PushCall`](crate::PushCall).
#[must_use = "a push does nothing until it is awaited"]
pub struct Push<'a, C = Json> {
    flight: PushFlight<'a>,
    call: Dynamic<'a>,
    marker: PhantomData<C>,
}

options!(Push);

impl<'a, C: BeforeBody> Push<'a, C> {
    /// Gives a body as it came from elsewhere, unopened.
    ///
    /// It goes out byte by byte, with the gzip level that it has.
    pub fn sealed(self, body: SealedBody) -> SealedPush<'a> {
        SealedPush::new(self.flight.session(), self.call.request, body)
    }
}

impl<C> Future for Push<'_, C> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Dynamic { request, body } = &mut this.call;
        let request = &*request;
        this.flight.poll(cx, request, &mut || take_body(request, body))
    }
}
