//! What a handler knows of the packet it handles, and what it answers with.

mod answer;
mod body;
mod scope;
mod wishes;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::buffer;
use crate::codec::{AnyError, Codec, DecodeAny, Input, Scratch, decode_untyped};
use crate::extensions::Extensions;
use crate::logs::CallLog;
use crate::session::{Session, now};
use crate::status::{Code, Status};
use crate::travel::Travel;
use crate::wire::{Header, Packet, PacketId, PacketRef, RawBody, SealedBody, TraceParent, Uri};

pub(crate) use answer::{
    Answer, log_refused, refuse, write_answer, write_fallback, write_logged, write_status,
};
pub use body::ReplyBody;
pub use scope::Scoped;
pub(crate) use wishes::Wishes;

/// One inbound pull or push: its header and body, and the session that it came over.
///
/// # Examples
///
/// A handler that reads the query and calls its caller back:
///
/// ```
/// use teleport::{Context, Peer, Status};
///
/// async fn register(cx: Context, name: String) -> Result<String, Status> {
///     let room = cx.query("room").unwrap_or_default();
///     cx.session().push("/joined").body(&*room).await?;
///     Ok(format!("{name} is in {room:?}"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let server = Peer::builder().pull("/register", register)?.build()?;
/// let session = Peer::builder().build()?.connect(&server).await?;
/// let reply = session.pull("/register?room=blue").body("Ada").await?;
/// assert_eq!(reply.decode::<String>()?, "Ada is in \"blue\"");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Context {
    session: Session,
    packet: Packet,
    scratch: Scratch,
    call: OnceLock<Arc<CallState>>,
    /// What the handler says of its reply; none where there is no handler.
    wishes: Option<Arc<Wishes>>,
    /// What it brought along beside its packet.
    travel: Option<Arc<Travel>>,
}

/// What is known of a call beyond its packet: made where plugins look at it, or when it is first asked for.
pub(crate) struct CallState {
    /// When plugins first saw it.
    began: Instant,
    extensions: Extensions,
    /// The uri as it came, and the one that a plugin has put in its place.
    came_as: OnceLock<Box<str>>,
    goes_as: Mutex<Option<Box<str>>>,
    route: OnceLock<Arc<str>>,
    /// Where somebody listens to the log, until the call is answered.
    log: Mutex<Option<CallLog>>,
}

impl CallState {
    /// The state of a call that is logged, where there is a log.
    pub(crate) fn logged(log: Option<CallLog>) -> Arc<Self> {
        Arc::new(CallState { log: Mutex::new(log), ..CallState::default() })
    }
}

impl Default for CallState {
    fn default() -> Self {
        CallState {
            began: now(),
            extensions: Extensions::default(),
            came_as: OnceLock::new(),
            goes_as: Mutex::default(),
            route: OnceLock::new(),
            log: Mutex::default(),
        }
    }
}

impl Context {
    /// The session that the packet came over; calls on it go back to the caller.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the packet is a push, so that nobody waits for an answer.
    #[must_use]
    pub fn is_push(&self) -> bool {
        self.packet.kind().is_push()
    }

    /// The packet's id, which counts in the caller's session.
    #[must_use]
    pub fn id(&self) -> PacketId<'_> {
        self.packet.id()
    }

    /// The uri as it came: path and query, still escaped.
    #[must_use]
    pub fn uri(&self) -> &str {
        self.packet.uri()
    }

    /// The uri as the caller wrote it, where a plugin has put another in its place.
    #[must_use]
    pub fn original_uri(&self) -> &str {
        let came_as = self.call.get().and_then(|call| call.came_as.get());
        came_as.map_or(self.packet.uri(), |uri| uri)
    }

    /// Puts another uri in place of the one that came; for plugins, whose hook after the header runs before the handler
    /// is looked for. The reply goes out under the original one.
    pub fn set_uri(&mut self, uri: &str) {
        let call = self.call.get_or_init(Arc::default);
        call.came_as.get_or_init(|| self.packet.uri().into());
        *call.goes_as.lock() = Some(uri.into());
        self.packet.set_uri(uri);
    }

    /// Name of the handler that takes the packet, such as `Arith::mul`, where plugins look at the call and the handler
    /// has been found; handlers for unknown uris have one too.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        Some(&**self.call.get()?.route.get()?)
    }

    /// Values that belong to this call: plugins put them in, the handler and later hooks read them.
    ///
    /// Where a plugin looks at the call, all clones of the context share them; else those made after the first use.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.call.get_or_init(Arc::default).extensions
    }

    /// The path of the uri, unescaped.
    #[must_use]
    pub fn path(&self) -> Cow<'_, str> {
        let uri = Uri::new(self.packet.uri());
        // A handler was found by this path, so it could be unescaped.
        uri.decoded_path().unwrap_or_else(|_| uri.path().into())
    }

    /// The first value of this name in the uri's query, unescaped.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        Uri::new(self.packet.uri()).query_value(name)
    }

    /// All names and values of the uri's query, unescaped, in order.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        Uri::new(self.packet.uri()).query_pairs()
    }

    /// The whole header.
    #[must_use]
    pub fn header(&self) -> Header<'_> {
        self.packet.header()
    }

    /// Id of the codec that the header came in.
    #[must_use]
    pub fn header_codec(&self) -> u8 {
        self.packet.header_codec()
    }

    /// Id of the codec that the body came in; 0 where there is no body.
    #[must_use]
    pub fn codec(&self) -> u8 {
        self.packet.body().codec()
    }

    /// Gzip level that the body came with; 0 is none. The body that is seen here is inflated.
    #[must_use]
    pub fn gzip(&self) -> i32 {
        self.packet.gzip()
    }

    /// The body without its codec id.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.packet.body().payload()
    }

    /// Puts another body in place of the one that came, by the id of its codec; for plugins. Before the body is read it is
    /// as it travels, compressed where [`gzip`](Self::gzip) says so.
    pub fn set_body(&mut self, codec: u8, payload: &[u8]) {
        self.packet.set_body(codec, payload);
    }

    /// The body as it came: codec id included.
    #[must_use]
    pub fn raw_body(&self) -> RawBody<'_> {
        self.packet.body()
    }

    /// When the caller gives up, where it has told: a pull whose own time, or that of its method, is another than the usual
    /// one of its session, and one that is made for a call which has a deadline itself. `None` for others, for pushes, and
    /// where one of the two sides does not understand it ([`Features::DEADLINE`](crate::wire::Features::DEADLINE)).
    ///
    /// When it has passed, the handler is stopped, unless its method says `no_cancel`, and the caller gets a status 504; a
    /// pull that has waited for so long before its handler began does not run. A handler whose caller goes away before its
    /// usual time is up, or when that is up, is stopped as well, without a deadline.
    ///
    /// Calls that the handler makes have this deadline too, over whatever session, unless their own is earlier: those that
    /// it makes itself, and in other tasks those within a [`scope`](Self::scope).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use teleport::{Context, Peer, Session, Status};
    ///
    /// async fn price(cx: &Context, of: &str, exact: &Session) -> Result<u32, Status> {
    ///     if cx.remaining().is_some_and(|left| left < Duration::from_millis(20)) {
    ///         return Ok(10);
    ///     }
    ///     Ok(exact.pull("/price").body(of).await?.decode()?) // waits no longer than the caller does
    /// }
    /// ```
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.travel.as_ref()?.deadline
    }

    /// How long the caller still waits, where it has told; see [`deadline`](Self::deadline). Zero where that has passed.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.deadline()?.saturating_duration_since(now()))
    }

    /// The call's place in a trace, where it has one and both sides understand it
    /// ([`Features::TRACE`](crate::wire::Features::TRACE)). Calls that the handler makes have the same, as they have the
    /// [`deadline`](Self::deadline); one that starts a span of its own gives them its id with
    /// [`TraceParent::with_parent`](crate::TraceParent::with_parent) and [`traceparent`](crate::PullCall::traceparent).
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Context, Session, Status};
    ///
    /// async fn order(cx: &Context, warehouse: &Session) -> Result<(), Status> {
    ///     let span = 0x1234; // of the tracer
    ///     let trace = cx.traceparent().map(|trace| trace.with_parent(span));
    ///     warehouse.pull("/reserve").traceparent(trace).await?;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.travel.as_ref()?.trace
    }

    /// Runs a future as a part of this call: the calls that it makes have the call's [`deadline`](Self::deadline) and
    /// [trace](Self::traceparent). For tasks that a handler spawns; what the handler itself awaits is a part of it anyway.
    ///
    /// A task that is spawned is not stopped with the handler: keep it in a `JoinSet`, or abort it.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Context, Session};
    ///
    /// fn warm_up(cx: &Context, cache: Session) -> tokio::task::JoinHandle<bool> {
    ///     tokio::spawn(cx.scope(async move { cache.pull("/warm").await.is_ok() }))
    /// }
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped::new(self.travel.clone(), future)
    }

    /// Answers with this status beside the value that the handler returns, in place of 200 `OK`: its code and its text.
    ///
    /// The caller finds the text of a code 200 in [`Reply::status`](crate::Reply::status). Any other code is an error for it,
    /// as [`Error::status`](crate::Error::status), and its body is read by those only who pass replies on unopened; a peer
    /// that is no Teleport may read both. Where the handler returns a status as its error, that one goes out.
    ///
    /// This and the other two count for handlers, until they return; plugins have
    /// [`OutgoingReply`](crate::plugin::OutgoingReply). For a push they do nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Bincode, Context, Peer, Status};
    ///
    /// async fn create(cx: Context, name: String) -> Result<String, Status> {
    ///     cx.set_reply_status(Status::new(200, "created"));
    ///     cx.set_reply_codec(Bincode);
    ///     cx.set_reply_gzip(5);
    ///     Ok(name)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
    /// let server = Peer::builder().pull("/create", create)?.build()?;
    /// let session = Peer::builder().build()?.connect(&server).await?;
    /// let reply = session.pull("/create").body("Ada").await?;
    /// assert_eq!((reply.status().text(), reply.codec(), reply.gzip()), ("created", b'b', 5));
    /// assert_eq!(reply.decode::<String>()?, "Ada");
    /// # Ok(()) }
    /// ```
    pub fn set_reply_status(&self, status: Status) {
        if let Some(wishes) = &self.wishes {
            wishes.set_status(status);
        }
    }

    /// Answers in this codec in place of the pull's. It is to be one that the method lists, or the function takes: else the
    /// caller gets a 500 that says so. A [`ReplyBody`] has chosen its codec itself.
    ///
    /// See [`set_reply_status`](Self::set_reply_status) for when it counts.
    pub fn set_reply_codec<C: Codec>(&self, codec: C) {
        let _ = codec;
        if let Some(wishes) = &self.wishes {
            wishes.set_codec(C::ID);
        }
    }

    /// Compresses the reply's body with gzip at this level in place of the pull's: 1 (fastest) to 9 (smallest), -1 for the
    /// usual (6), -2 as 1, 0 for none. With another level the caller gets a 500. A raw [`ReplyBody`] is not compressed.
    ///
    /// See [`set_reply_status`](Self::set_reply_status) for when it counts.
    pub fn set_reply_gzip(&self, level: i32) {
        if let Some(wishes) = &self.wishes {
            wishes.set_gzip(level);
        }
    }

    /// Reads the body by the codec id that it carries: JSON, bincode or plain.
    ///
    /// # Errors
    ///
    /// A status 400 where the body is no `T`, 415 where it is in another codec; for those there is
    /// [`bind_as`](Self::bind_as).
    pub fn bind<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Status> {
        match decode_untyped(self.codec(), self.input()) {
            Ok(value) => Ok(value),
            Err(error) => Err(body_status(&error)),
        }
    }

    /// Reads the body by the codec id that it carries, which is to be one of the tuple `L`, such as
    /// `(Protobuf, Json)`.
    ///
    /// # Errors
    ///
    /// A status 400 where the body is no `T`, 415 where it is in a codec that `L` does not list.
    pub fn bind_as<'a, L: DecodeAny<'a, T>, T>(&'a self) -> Result<T, Status> {
        match L::decode(self.codec(), self.input()) {
            Ok(value) => Ok(value),
            Err(error) => Err(body_status(&error)),
        }
    }

    pub(crate) fn new(session: Session, packet: Packet) -> Self {
        let (scratch, call) = (Scratch::default(), OnceLock::new());
        Context { session, packet, scratch, call, wishes: None, travel: None }
    }

    /// The context of a call that plugins look at.
    pub(crate) fn with_call(session: Session, packet: Packet, call: Arc<CallState>) -> Self {
        let (scratch, call) = (Scratch::default(), call.into());
        Context { session, packet, scratch, call, wishes: None, travel: None }
    }

    /// The context of a call of which there is, or is left, only the header, as it came.
    pub(crate) fn of_header(
        session: Session,
        header: &Header<'_>,
        header_codec: u8,
        call: Arc<CallState>,
    ) -> Self {
        let packet = PacketRef { header: header.clone(), header_codec, body: RawBody::new(&[]) };
        let mut packet = Packet::copy_from(&packet, buffer::take());
        if let Some(uri) = &*call.goes_as.lock() {
            packet.set_uri(uri);
        }
        Context::with_call(session, packet, call)
    }

    /// The header with the uri as it came: that of its reply.
    pub(crate) fn original_header(&self) -> Header<'_> {
        Header { uri: self.original_uri().into(), ..self.packet.header() }
    }

    pub(crate) fn set_route(&self, name: &Arc<str>) {
        let _ = self.call.get_or_init(Arc::default).route.set(name.clone());
    }

    pub(crate) fn call(&self) -> Arc<CallState> {
        self.call.get_or_init(Arc::default).clone()
    }

    pub(crate) fn began(&self) -> Instant {
        self.call.get_or_init(Arc::default).began
    }

    pub(crate) fn set_wishes(&mut self, wishes: &Arc<Wishes>) {
        self.wishes = Some(wishes.clone());
    }

    /// Adds what the call brought along.
    #[inline]
    pub(crate) fn set_travel(&mut self, travel: Option<Arc<Travel>>) {
        self.travel = travel;
    }

    pub(crate) fn travel(&self) -> Option<&Arc<Travel>> {
        self.travel.as_ref()
    }

    /// Notes for the log that the handler begins, with the body as it sees it.
    #[inline]
    pub(crate) fn start_log(&self, is_opened: bool) {
        if let Some(call) = self.call.get()
            && let Some(log) = &mut *call.log.lock()
        {
            log.started();
            log.request_body(self.codec(), self.payload(), self.gzip() != 0 && !is_opened);
        }
    }

    /// The log of the call, where there is one; whoever takes it ends it.
    #[inline]
    pub(crate) fn take_log(&self) -> Option<CallLog> {
        self.call.get()?.log.lock().take()
    }

    /// Bytes that the packet holds.
    pub(crate) fn held(&self) -> usize {
        self.packet.held()
    }

    pub(crate) fn packet_mut(&mut self) -> &mut Packet {
        &mut self.packet
    }

    /// Takes the body out, which is no longer seen here then.
    pub(crate) fn take_body(&mut self) -> SealedBody {
        self.packet.take_body(buffer::take())
    }

    fn input(&self) -> Input<'_> {
        Input::new(self.payload(), &self.session.shared().settings.decode, &self.scratch)
    }
}

/// The next packet has its buffer.
impl Drop for Context {
    fn drop(&mut self) {
        buffer::give(self.packet.take_buf());
    }
}

/// The status that answers a body that can't be read.
#[cold]
fn body_status(error: &AnyError) -> Status {
    let code = match error {
        AnyError::Unsupported { .. } => Code::UNSUPPORTED_CODEC,
        _ => Code::BAD_REQUEST,
    };
    Status::new(code, error.to_string())
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("header", &self.header())
            .field("codec", &char::from(self.codec()))
            .field("bytes", &self.payload().len())
            .field("session", &self.session)
            .finish()
    }
}
