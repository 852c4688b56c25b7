//! The calls that a generated client makes.

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::buffer;
use crate::codec::{
    Codec, CodecError, CodecList, DecodeAny, DecodeLimits, Encode, EncodeAny, Input, Scratch,
};
use crate::error::{Delivery, Error, Result};
use crate::method::{Accepts, Method};
use crate::session::{EncodedBody, PullFlight, PushFlight, Request, Session, Timeout, inflate};
use crate::wire::Packet;

/// What a generated client holds: the session, and the prefix of the router group that its service stands in.
#[derive(Clone, Debug)]
pub struct ClientCore {
    session: Session,
    prefix: Option<Arc<str>>,
}

impl ClientCore {
    /// A client over this session.
    #[must_use]
    pub fn new(session: &Session) -> Self {
        ClientCore { session: session.clone(), prefix: None }
    }

    /// The session that calls go over.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Puts `prefix` in front of every uri, for a service that is registered in a router group.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        self.prefix = (!prefix.is_empty()).then(|| format!("/{prefix}").into());
        self
    }

    fn request<M: Method>(&self) -> Request<'static> {
        let uri = match &self.prefix {
            None => Cow::Borrowed(M::SPEC.uri),
            Some(prefix) => Cow::Owned(format!("{prefix}{}", M::SPEC.uri)),
        };
        let timeout = M::SPEC.timeout.map_or(Timeout::Default, Timeout::After);
        Request { uri, gzip: M::SPEC.gzip, timeout }
    }
}

/// Writes the arguments of a call with the codec that was chosen; `None` where there are none to write.
type EncodeArgs<A> = Option<(u8, fn(&A, &mut Vec<u8>) -> Result<(), CodecError>)>;

/// Reads a reply by the id of its codec.
type DecodeReply<R> = fn(&Packet, &DecodeLimits) -> Result<R>;

fn encode_default<M: Method, A>(args: &A, out: &mut Vec<u8>) -> Result<(), CodecError>
where
    M::Codecs: EncodeAny<A>,
{
    <M::Codecs as EncodeAny<A>>::encode_first(args, out)
}

fn encode_as<C: Encode<A>, A>(args: &A, out: &mut Vec<u8>) -> Result<(), CodecError> {
    C::encode(args, out)
}

fn decode_reply<M: Method, R>(packet: &Packet, limits: &DecodeLimits) -> Result<R>
where
    M::Codecs: for<'de> DecodeAny<'de, R>,
{
    let (body, scratch) = (packet.body(), Scratch::default());
    let input = Input::new(body.payload(), limits, &scratch);
    <M::Codecs as DecodeAny<'_, R>>::decode(body.codec(), input).map_err(|error| Error::decode(&error))
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
/// Dropping it forgets the call at once; the other side may still run it, and its reply is dropped.
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
    flight: PullFlight<'a>,
    request: Request<'static>,
    args: A,
    encode: EncodeArgs<A>,
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
    let encode = Some((<M::Codecs as CodecList>::First::ID, encode_default::<M, A> as _));
    PullCall { encode, ..pull_empty(client, args) }
}

/// A pull without arguments.
pub fn pull_call_empty<M, R>(client: &ClientCore) -> PullCall<'_, M, (), R>
where
    M: Method,
    M::Codecs: for<'de> DecodeAny<'de, R>,
{
    pull_empty(client, ())
}

fn pull_empty<M, A, R>(client: &ClientCore, args: A) -> PullCall<'_, M, A, R>
where
    M: Method,
    M::Codecs: for<'de> DecodeAny<'de, R>,
{
    PullCall {
        flight: PullFlight::new(client.session()),
        request: client.request::<M>(),
        args,
        encode: None,
        decode: decode_reply::<M, R>,
        method: PhantomData,
    }
}

impl<M, A, R> PullCall<'_, M, A, R> {
    /// Waits so long for the reply, from the first poll on; the default is the method's, else the session's.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.request.timeout = Timeout::After(after);
        self
    }

    /// Waits for the reply as long as the session lives.
    pub fn no_timeout(mut self) -> Self {
        self.request.timeout = Timeout::Never;
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
        self.encode = self.encode.map(|_| (C::ID, encode_as::<C, A> as _));
        self
    }

    /// Compresses the arguments with gzip at this level, and asks for the same of the reply: 1 (fastest) to 9
    /// (smallest), -1 for the usual (6), -2 as 1, 0 for none. Another level is an error when the call is awaited.
    pub fn gzip(mut self, level: i32) -> Self {
        self.request.gzip = level;
        self
    }

    /// Adds `name=value` to the query of the uri; the handler reads it with
    /// [`Context::query`](crate::Context::query).
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.request.add_query(name, value);
        self
    }
}

impl<M, A, R> Future for PullCall<'_, M, A, R> {
    type Output = Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (args, encode) = (&this.args, this.encode);
        let mut packet = ready!(this.flight.poll(cx, &this.request, &mut || encode_args(args, encode)))?;
        let limits = &this.flight.session().shared().settings.decode;
        let reply = inflate(&mut packet, limits.max_inflated)
            .map_err(|error| Error::decode(&error))
            .and_then(|()| (this.decode)(&packet, limits))
            .map_err(|error| {
                error
                    .with_delivery(Delivery::Answered)
                    .with_uri(&this.request.uri)
                    .with_peer(this.flight.session().remote_addr())
            });
        buffer::give(packet.into_buf());
        Poll::Ready(reply)
    }
}

fn encode_args<A>(args: &A, encode: EncodeArgs<A>) -> Result<EncodedBody> {
    let Some((codec, encode)) = encode else { return Ok(None) };
    let mut payload = buffer::take();
    encode(args, &mut payload)?;
    Ok(Some((codec, payload)))
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
    flight: PushFlight<'a>,
    request: Request<'static>,
    args: A,
    encode: EncodeArgs<A>,
    method: PhantomData<fn() -> M>,
}

// Nothing in it is pinned: arguments are only ever borrowed.
impl<M, A> Unpin for PushCall<'_, M, A> {}

/// A push with arguments.
pub fn push_call<M, A>(client: &ClientCore, args: A) -> PushCall<'_, M, A>
where
    M: Method,
    M::Codecs: EncodeAny<A>,
{
    let encode = Some((<M::Codecs as CodecList>::First::ID, encode_default::<M, A> as _));
    PushCall { encode, ..push_empty(client, args) }
}

/// A push without arguments.
pub fn push_call_empty<M: Method>(client: &ClientCore) -> PushCall<'_, M, ()> {
    push_empty(client, ())
}

fn push_empty<M: Method, A>(client: &ClientCore, args: A) -> PushCall<'_, M, A> {
    PushCall {
        flight: PushFlight::new(client.session()),
        request: client.request::<M>(),
        args,
        encode: None,
        method: PhantomData,
    }
}

impl<M, A> PushCall<'_, M, A> {
    /// Sends the arguments in this codec, one of those that the method lists.
    pub fn codec<C>(mut self, codec: C) -> Self
    where
        M: Accepts<C>,
        C: Encode<A>,
    {
        let _ = codec;
        self.encode = self.encode.map(|_| (C::ID, encode_as::<C, A> as _));
        self
    }

    /// Compresses the arguments with gzip at this level: 1 (fastest) to 9 (smallest), -1 for the usual (6), -2 as 1, 0
    /// for none. Another level is an error when the push is awaited.
    pub fn gzip(mut self, level: i32) -> Self {
        self.request.gzip = level;
        self
    }

    /// Adds `name=value` to the query of the uri.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.request.add_query(name, value);
        self
    }
}

impl<M, A> Future for PushCall<'_, M, A> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (args, encode) = (&this.args, this.encode);
        this.flight.poll(cx, &this.request, &mut || encode_args(args, encode))
    }
}
