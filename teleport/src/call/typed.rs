//! The calls that a generated client makes.

//!
//! What does not depend on the types of a call is in functions without type parameters: of those that have some, each
//! program has a copy for every method that it calls.

use std::borrow::Cow;
use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::target::{PullWay, PushWay, Target};
use crate::buffer;
use crate::codec::{Codec, CodecError, CodecList, DecodeAny, Encode, EncodeAny, Input, Scratch};
use crate::error::{Delivery, Error, Result};
use crate::method::{Accepts, Method, MethodSpec};
use crate::session::{EncodedBody, Request, Session, Timeout};
use crate::wire::{Packet, TraceParent};

/// What a generated client holds: where its calls go, and the prefix of the router group that its service stands in.
#[derive(Clone, Debug)]
pub struct ClientCore {
    target: Target,
    prefix: Option<Arc<str>>,
}

impl ClientCore {
    /// A client whose calls go there.
    #[must_use]
    pub fn new(target: Target) -> Self {
        ClientCore { target, prefix: None }
    }

    /// The session that calls go over; `None` where one is picked for each.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.target.session()
    }

    /// Puts `prefix` in front of every uri, for a service that is registered in a router group.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        self.prefix = (!prefix.is_empty()).then(|| format!("/{prefix}").into());
        self
    }

    fn request(&self, method: &'static MethodSpec) -> Request<'static> {
        let uri = match &self.prefix {
            None => Cow::Borrowed(method.uri),
            Some(prefix) => Cow::Owned(format!("{prefix}{}", method.uri)),
        };
        let timeout = method.timeout.map_or(Timeout::Default, Timeout::After);
        Request { uri, gzip: method.gzip, timeout, idempotent: method.idempotent, trace: None }
    }
}

/// Writes the arguments of a call with the codec that was chosen.
type EncodeArgs<A> = (u8, fn(&A, &mut Vec<u8>) -> Result<(), CodecError>);

/// Reads a reply by the id of its codec.
type DecodeReply<R> = fn(&PullCore<'_>, &mut Packet) -> Result<R>;

/// Encodes the arguments of a call on its first poll; once, as there is nothing to encode with behind it.
fn encode_args<A>(args: &A, encode: &mut Option<EncodeArgs<A>>) -> Result<EncodedBody> {
    let Some((codec, write)) = *encode else { return Ok(None) };
    let mut payload = buffer::take();
    let written = write(args, &mut payload);
    *encode = None;
    encoded(codec, payload, written)
}

fn encoded(codec: u8, payload: Vec<u8>, written: Result<(), CodecError>) -> Result<EncodedBody> {
    written?;
    Ok(Some((codec, payload)))
}

fn decode_reply<L, R>(core: &PullCore<'_>, packet: &mut Packet) -> Result<R>
where
    L: for<'de> DecodeAny<'de, R>,
{
    let scratch = Scratch::default();
    let decoded = L::decode(packet.body().codec(), core.input(packet, &scratch));
    buffer::give(packet.take_buf());
    match decoded {
        Ok(reply) => Ok(reply),
        Err(error) => Err(core.undecodable(&error)),
    }
}

/// The part of a pull that has no types.
struct PullCore<'a> {
    flight: PullWay<'a>,
    request: Request<'static>,
}

impl<'a> PullCore<'a> {
    fn new(client: &'a ClientCore, method: &'static MethodSpec) -> Self {
        PullCore { flight: PullWay::new(&client.target), request: client.request(method) }
    }

    /// Drives the pull to its reply, which is inflated. `body` counts on the first poll.
    fn poll(&mut self, cx: &mut Context<'_>, body: Result<EncodedBody>) -> Poll<Result<Packet>> {
        let mut body = body;
        self.flight.poll(cx, &self.request, &mut || std::mem::replace(&mut body, Ok(None)))
    }

    fn input<'de>(&'de self, packet: &'de Packet, scratch: &'de Scratch) -> Input<'de> {
        Input::new(packet.body().payload(), &self.flight.session().shared().settings.decode, scratch)
    }

    #[cold]
    fn undecodable(&self, error: &dyn Display) -> Error {
        Error::decode(&error)
            .with_delivery(Delivery::Answered)
            .with_uri(&self.request.uri)
            .with_peer(&self.flight.session().remote_addr())
    }
}

/// A pull that a generated client is about to make: set options, then `.await` it.
///
/// Nothing is sent before it is polled. Arguments are borrowed until then and encoded once.
///
/// # Errors
///
/// The output is [`Error`] where the call was not sent, was not answered, or was answered with a status other
/// than OK or a body that can't be read; see its questions.
///
/// # Cancel safety
///
/// Dropping it forgets the call at once, and so does its timeout. A side that understands it
/// ([`Features::CANCEL`](crate::wire::Features::CANCEL)) is told, and stops the handler, unless its method says `no_cancel`; at
/// any other it may still run, and the reply is dropped. The first call of a session to a peer that has said nothing yet can't
/// know.
///
/// # Panics
///
/// Polling it again after it has ended.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use teleport::{Json, Peer, Status};
///
/// #[teleport::service]
/// trait Arith {
///     async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
/// }
///
/// struct Exact;
///
/// impl Arith for Exact {
///     async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
///         a.checked_mul(b).ok_or_else(|| Status::new(1000, "overflow"))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let server = Peer::builder().service(ArithServer::new(Exact))?.build()?;
/// let session = Peer::builder().build()?.connect(&server).await?;
/// let arith = ArithClient::new(&session);
/// let n = arith.mul(6, 7).timeout(Duration::from_secs(1)).codec(Json).gzip(6).await?;
/// assert_eq!(n, 42);
/// # Ok(()) }
/// ```
#[must_use = "a call does nothing until it is awaited"]
pub struct PullCall<'a, M, A, R> {
    core: PullCore<'a>,
    args: A,
    encode: Option<EncodeArgs<A>>,
    decode: DecodeReply<R>,
    method: PhantomData<fn() -> M>,
}

// Nothing in it is pinned: arguments are only ever borrowed.
impl<M, A, R> Unpin for PullCall<'_, M, A, R> {}

/// A pull with arguments.
pub fn pull_call<M, A, R>(client: &ClientCore, args: A) -> PullCall<'_, M, A, R>
where
    M: Method,
    M::Codecs: EncodeAny<A> + for<'de> DecodeAny<'de, R>,
{
    PullCall {
        core: PullCore::new(client, const { &M::SPEC }),
        args,
        encode: Some((<M::Codecs as CodecList>::First::ID, <M::Codecs as EncodeAny<A>>::encode_first)),
        decode: decode_reply::<M::Codecs, R>,
        method: PhantomData,
    }
}

/// A pull without arguments.
pub fn pull_call_empty<M, R>(client: &ClientCore) -> PullCall<'_, M, (), R>
where
    M: Method,
    M::Codecs: for<'de> DecodeAny<'de, R>,
{
    PullCall {
        core: PullCore::new(client, const { &M::SPEC }),
        args: (),
        encode: None,
        decode: decode_reply::<M::Codecs, R>,
        method: PhantomData,
    }
}

impl<M, A, R> PullCall<'_, M, A, R> {
    /// Waits so long for the reply, from the first poll on; the default is the method's, else the session's. Where it is not
    /// the session's, a handler at the other side learns of it, if that side understands it; see
    /// [`Context::deadline`](crate::Context::deadline).
    pub fn timeout(mut self, after: Duration) -> Self {
        self.core.request.timeout = Timeout::After(after);
        self
    }

    /// Waits for the reply as long as the session lives.
    pub fn no_timeout(mut self) -> Self {
        self.core.request.timeout = Timeout::Never;
        self
    }

    /// Whether the call may run more than once: over a session that redials it is sent again, within its time, where the
    /// connection was lost before its reply came; see [`Redial`](crate::Redial). The default is the method's, which is
    /// false unless it is declared with `idempotent`.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.core.request.idempotent = idempotent;
        self
    }

    /// Sends the arguments in this codec, one of those that the method lists; the reply comes back in it too. A call
    /// without arguments has no body to carry the codec: its reply comes in the first one that the method lists.
    pub fn codec<C>(mut self, codec: C) -> Self
    where
        M: Accepts<C>,
        C: Encode<A>,
    {
        let _ = codec;
        // Without arguments there is no body, and no codec to choose.
        if self.encode.is_some() {
            self.encode = Some((C::ID, C::encode));
        }
        self
    }

    /// Compresses the arguments with gzip at this level, and asks for the same of the reply: 1 (fastest) to 9
    /// (smallest), -1 for the usual (6), -2 as 1, 0 for none. Another level is an error when the call is awaited.
    pub fn gzip(mut self, level: i32) -> Self {
        self.core.request.gzip = level;
        self
    }

    /// Adds `name=value` to the query of the uri; the handler reads it with
    /// [`Context::query`](crate::Context::query).
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.core.request.add_query(name, value);
        self
    }

    #[doc = include_str!("../../docs/traceparent.md")]
    pub fn traceparent(mut self, trace: impl Into<Option<TraceParent>>) -> Self {
        self.core.request.trace = trace.into().map(Box::new);
        self
    }
}

impl<M, A, R> Future for PullCall<'_, M, A, R> {
    type Output = Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let body = encode_args(&this.args, &mut this.encode);
        match this.core.poll(cx, body) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(mut packet)) => Poll::Ready((this.decode)(&this.core, &mut packet)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

/// A push that a generated client is about to make: set options, then `.await` it.
///
/// It ends when the push stands in the session's output, from where it is written at once: a push is not
/// acknowledged. What the other side does not take, such as a uri or a body that it does not know, is in its log alone.
///
/// # Errors
///
/// [`Error`] where the session is closed, the arguments can't be encoded, or there was no room in the output
/// within the session's pull timeout. Nothing of the push was sent then.
///
/// # Cancel safety
///
/// Dropped before it has ended, nothing of it is sent.
///
/// # Examples
///
/// ```
/// #[teleport::service]
/// trait Screen {
///     #[push]
///     async fn show(&self, line: &str);
/// }
///
/// # async fn f(session: teleport::Session) -> teleport::Result<()> {
/// ScreenClient::new(&session).show("lunch is ready").gzip(6).await?;
/// # Ok(()) }
/// ```
#[must_use = "a push does nothing until it is awaited"]
pub struct PushCall<'a, M, A> {
    core: PushCore<'a>,
    args: A,
    encode: Option<EncodeArgs<A>>,
    method: PhantomData<fn() -> M>,
}

/// The part of a push that has no types.
struct PushCore<'a> {
    flight: PushWay<'a>,
    request: Request<'static>,
}

impl<'a> PushCore<'a> {
    fn new(client: &'a ClientCore, method: &'static MethodSpec) -> Self {
        PushCore { flight: PushWay::new(&client.target), request: client.request(method) }
    }

    fn poll(&mut self, cx: &mut Context<'_>, body: Result<EncodedBody>) -> Poll<Result<()>> {
        let mut body = body;
        self.flight.poll(cx, &self.request, &mut || std::mem::replace(&mut body, Ok(None)))
    }
}

// Nothing in it is pinned: arguments are only ever borrowed.
impl<M, A> Unpin for PushCall<'_, M, A> {}

/// A push with arguments.
pub fn push_call<M, A>(client: &ClientCore, args: A) -> PushCall<'_, M, A>
where
    M: Method,
    M::Codecs: EncodeAny<A>,
{
    PushCall {
        core: PushCore::new(client, const { &M::SPEC }),
        args,
        encode: Some((<M::Codecs as CodecList>::First::ID, <M::Codecs as EncodeAny<A>>::encode_first)),
        method: PhantomData,
    }
}

/// A push without arguments.
pub fn push_call_empty<M: Method>(client: &ClientCore) -> PushCall<'_, M, ()> {
    PushCall { core: PushCore::new(client, const { &M::SPEC }), args: (), encode: None, method: PhantomData }
}

impl<M, A> PushCall<'_, M, A> {
    /// Sends the arguments in this codec, one of those that the method lists.
    pub fn codec<C>(mut self, codec: C) -> Self
    where
        M: Accepts<C>,
        C: Encode<A>,
    {
        let _ = codec;
        if self.encode.is_some() {
            self.encode = Some((C::ID, C::encode));
        }
        self
    }

    /// Compresses the arguments with gzip at this level: 1 (fastest) to 9 (smallest), -1 for the usual (6), -2 as 1, 0
    /// for none. Another level is an error when the push is awaited.
    pub fn gzip(mut self, level: i32) -> Self {
        self.core.request.gzip = level;
        self
    }

    /// Adds `name=value` to the query of the uri.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.core.request.add_query(name, value);
        self
    }

    #[doc = include_str!("../../docs/traceparent.md")]
    pub fn traceparent(mut self, trace: impl Into<Option<TraceParent>>) -> Self {
        self.core.request.trace = trace.into().map(Box::new);
        self
    }
}

impl<M, A> Future for PushCall<'_, M, A> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let body = encode_args(&this.args, &mut this.encode);
        this.core.poll(cx, body)
    }
}
