//! Running a handler: polled in place first, in a task of its own only where it has to wait.

use std::any::TypeId;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll, Waker};

use parking_lot::Mutex;

use super::reply::ReplyBody;
use crate::buffer;
use crate::codec::{Codec, CodecList, EncodeAny, gzip};
use crate::context::Context;
use crate::session::{LARGE_BODY, PARTED_BODY, Serving, Session, Shared, inflate};
use crate::socket::Output;
use crate::status::{Code, Status};
use crate::wire::{self, Body, Features, Header, Kind, Packet};

/// Futures of one handler kept for its next calls.
const KEPT_FUTURES: usize = 64;

/// A handler without its types.
pub(crate) trait Handler: Send + Sync {
    /// Runs the handler on a packet. A reply that is there at once is appended to `out`; one that comes later is
    /// handed to the session.
    fn start(&self, inbound: Inbound<'_>, out: &mut Output) -> Started;
}

/// What came of a handler that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// It is through.
    Ended,
    /// It goes on in a task of its own.
    Spawned,
}

/// A packet on its way to its handler.
pub(crate) struct Inbound<'a> {
    pub(crate) session: &'a Session,
    pub(crate) packet: Packet,
    /// The packet's header once more, which outlives the packet where the handler panics.
    pub(crate) header: &'a Header<'a>,
    pub(crate) header_codec: u8,
}

/// How the value `T` that a handler answers with is written as a body.
pub(crate) trait Answer<T>: 'static {
    /// Writes the body behind what stands in `out` and returns its codec id; `None` for no body. `codec` is
    /// the pull's, 0 where it had no body.
    fn encode(value: &T, codec: u8, out: &mut Vec<u8>) -> Result<Option<u8>, String>;

    /// The whole body, codec id included, where it is not to be encoded or compressed.
    fn raw(_: &T) -> Option<&[u8]> {
        None
    }
}

/// A handler whose call `make` turns a context into a future, and whose value is written as `A` says.
pub(crate) struct FutureHandler<H, F, A> {
    make: H,
    idle: Mutex<Vec<Pin<Box<Option<F>>>>>,
    answer: PhantomData<fn() -> A>,
}

impl<H, F, A> FutureHandler<H, F, A> {
    pub(crate) fn new(make: H) -> Self {
        FutureHandler { make, idle: Mutex::new(Vec::new()), answer: PhantomData }
    }
}

impl<H, F, T, A> Handler for FutureHandler<H, F, A>
where
    H: Fn(Context) -> F + Send + Sync + 'static,
    F: Future<Output = (Context, Result<T, Status>)> + Send + 'static,
    T: Send + 'static,
    A: Answer<T>,
{
    fn start(&self, inbound: Inbound<'_>, out: &mut Output) -> Started {
        let Inbound { session, mut packet, header, header_codec } = inbound;
        let limits = &session.shared().settings.decode;
        // The reply is compressed at this level too: one that nobody knows is refused before the handler runs.
        let level = gzip::check_level(packet.gzip());
        if let Err(error) = level.and_then(|()| inflate(&mut packet, limits.max_inflated)) {
            let code = if error.is_too_large() { Code::TOO_LARGE } else { Code::BAD_REQUEST };
            write_status(session.shared(), header, header_codec, &Status::new(code, error.to_string()), out);
            return Started::Ended;
        }
        let bytes = packet.len();
        let cx = Context::new(session.clone(), packet);
        let future = match catch_unwind(AssertUnwindSafe(|| (self.make)(cx))) {
            Ok(future) => future,
            Err(panic) => {
                panicked(session, header, header_codec, &*panic, out);
                return Started::Ended;
            }
        };
        let mut slot = self.idle.lock().pop().unwrap_or_else(|| Box::pin(None));
        slot.set(Some(future));
        // A handler that has to wait is polled again at once by its task, so this waker need not wake.
        let polled = poll_caught(&mut slot, &mut TaskContext::from_waker(Waker::noop()));
        if polled.is_ready() {
            // What the handler sent before it answered goes out before its answer.
            session.shared().move_calls(out);
        }
        match polled {
            Poll::Pending => {}
            Poll::Ready(Ok((cx, answer))) => {
                let before = out.len();
                if let Err(panic) = write_caught::<T, A>(cx, header, answer, out) {
                    log_panic(&header.uri, &*panic);
                    if out.len() == before {
                        write_status(session.shared(), header, header_codec, &no_answer(&header.uri), out);
                    }
                }
                self.keep(slot);
                return Started::Ended;
            }
            Poll::Ready(Err(panic)) => {
                panicked(session, header, header_codec, &*panic, out);
                // What is left of the future may panic once more when it is dropped.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
                return Started::Ended;
            }
        }
        spawn::<F, T, A>(session.clone(), header, header_codec, bytes, slot);
        Started::Spawned
    }
}

impl<H, F, A> FutureHandler<H, F, A> {
    fn keep(&self, mut slot: Pin<Box<Option<F>>>) {
        slot.set(None);
        let mut idle = self.idle.lock();
        if idle.len() < KEPT_FUTURES {
            idle.push(slot);
        }
    }
}

type Panic = dyn std::any::Any + Send;

fn poll_caught<F: Future>(
    slot: &mut Pin<Box<Option<F>>>,
    cx: &mut TaskContext<'_>,
) -> Poll<Result<F::Output, Box<Panic>>> {
    catch_unwind(AssertUnwindSafe(|| match slot.as_mut().as_pin_mut() {
        Some(future) => future.poll(cx).map(Ok),
        None => Poll::Pending,
    }))
    .unwrap_or_else(|panic| Poll::Ready(Err(panic)))
}

/// Goes on with a handler, whose packet has so many bytes, in a task of its own.
fn spawn<F, T, A>(
    session: Session,
    header: &Header<'_>,
    header_codec: u8,
    bytes: usize,
    mut slot: Pin<Box<Option<F>>>,
) where
    F: Future<Output = (Context, Result<T, Status>)> + Send + 'static,
    T: Send + 'static,
    A: Answer<T>,
{
    // Encoded now: if the handler panics, the header is lost with it.
    let mut fallback = Output::default();
    write_status(session.shared(), header, header_codec, &no_answer(&header.uri), &mut fallback);
    let uri = header.uri.clone().into_owned();
    let serving = Serving::start(session, fallback, bytes);
    tokio::spawn(async move {
        let cancel = serving.session().shared().cancel.clone();
        let ended = cancel.run_until_cancelled(std::future::poll_fn(|cx| poll_caught(&mut slot, cx))).await;
        match ended {
            Some(Ok((cx, answer))) => {
                let mut reply = Output::default();
                write_answer::<T, A>(&cx, &cx.header(), &answer, &mut reply);
                drop((cx, answer));
                serving.finish(reply).await;
            }
            // `serving` answers with its fallback when it is dropped.
            Some(Err(panic)) => log_panic(&uri, &*panic),
            None => {}
        }
    });
}

fn panicked(session: &Session, header: &Header<'_>, header_codec: u8, panic: &Panic, out: &mut Output) {
    log_panic(&header.uri, panic);
    write_status(session.shared(), header, header_codec, &no_answer(&header.uri), out);
}

/// Nobody else learns of it. Told when the session's count reaches a power of two, so that a flood fills no log.
fn log_refused(shared: &Shared, uri: &str, status: &Status) {
    let refused = shared.refused.fetch_add(1, Ordering::Relaxed) + 1;
    if refused.is_power_of_two() {
        tracing::warn!(target: "teleport", uri, %status, peer = %shared.remote, refused, "a push was refused");
    }
}

/// A panic's own text stays here: it may tell more than the caller should know.
fn no_answer(uri: &str) -> Status {
    Status::internal(format!("the handler of {uri} panicked or was stopped before it answered"))
}

fn log_panic(uri: &str, panic: &Panic) {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text");
    tracing::error!(target: "teleport", uri, panic = text, "a handler panicked");
}

/// Writes a reply that has only a status. A push gets none.
pub(crate) fn write_status(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    status: &Status,
    out: &mut Output,
) {
    if header.kind.is_push() {
        return log_refused(shared, &header.uri, status);
    }
    let settings = &shared.settings;
    let reply = Header {
        id: header.id.clone(),
        kind: Kind::REPLY,
        // One that is too long to be taken is too long to be sent back.
        uri: if header.uri.len() <= settings.wire.max_uri as usize {
            (&*header.uri).into()
        } else {
            "".into()
        },
        gzip: header.gzip,
        code: status.code().number(),
        status: status.text().into(),
        features: shared.announcement(),
    };
    let codecs = &settings.headers.codecs;
    let before = out.len();
    let mut write =
        |reply: &Header<'_>| wire::write(out.tail(), codecs, header_codec, reply, Body::None, &settings.wire);
    if let Err(error) = write(&reply) {
        // Only the texts can make it too large: without them the caller still learns the code.
        let short = Header { status: "".into(), ..reply };
        let written = write(&short).or_else(|_| write(&Header { uri: "".into(), ..short }));
        tracing::error!(target: "teleport", %error, sent_without_text = written.is_ok(), "a reply could not be written");
    }
    out.owe(out.len() - before);
}

/// Writes what a handler answered.
fn write_answer<T, A: Answer<T>>(
    cx: &Context,
    header: &Header<'_>,
    answer: &Result<T, Status>,
    out: &mut Output,
) {
    if header.kind.is_push() {
        if let Err(status) = answer {
            log_refused(cx.session().shared(), &header.uri, status);
        }
        return;
    }
    let failed = match answer {
        Ok(value) => match write_value::<T, A>(cx, header, value, out) {
            Ok(()) => return,
            Err(text) => Status::internal(format!("the reply could not be written: {text}")),
        },
        Err(status) => status.clone(),
    };
    write_status(cx.session().shared(), header, cx.header_codec(), &failed, out);
}

/// Writes what a handler answered and lets go of it: the user's code may panic in both.
fn write_caught<T, A: Answer<T>>(
    cx: Context,
    header: &Header<'_>,
    answer: Result<T, Status>,
    out: &mut Output,
) -> Result<(), Box<Panic>> {
    let written = catch_unwind(AssertUnwindSafe(|| {
        write_answer::<T, A>(&cx, header, &answer, out);
        drop(answer);
    }));
    buffer::give(cx.into_packet().into_buf());
    written
}

fn write_value<T, A: Answer<T>>(
    cx: &Context,
    header: &Header<'_>,
    value: &T,
    out: &mut Output,
) -> Result<(), String> {
    let shared = cx.session().shared();
    let settings = &shared.settings;
    let codecs = &settings.headers.codecs;
    let header_codec = cx.header_codec();
    let reply = Header {
        id: header.id.clone(),
        kind: Kind::REPLY,
        uri: (&*header.uri).into(),
        // A raw body goes as it is.
        gzip: if A::raw(value).is_some() { 0 } else { header.gzip },
        code: Code::OK.number(),
        status: "OK".into(),
        features: shared.announcement(),
    };
    let write = |body: Body<'_>, out: &mut Output| {
        let before = out.len();
        let written = wire::write(out.tail(), codecs, header_codec, &reply, body, &settings.wire);
        out.owe(out.len() - before);
        written.map_err(|error| error.to_string())
    };
    if let Some(raw) = A::raw(value) {
        return write(Body::Raw(raw), out);
    }
    let mut payload = buffer::take();
    let Some(codec) = A::encode(value, cx.codec(), &mut payload)? else {
        buffer::give(payload);
        return write(Body::None, out);
    };
    if header.gzip != 0 {
        let mut compressed = buffer::take();
        gzip::deflate(header.gzip, &payload, &mut compressed).map_err(|error| error.to_string())?;
        buffer::give(std::mem::replace(&mut payload, compressed));
    }
    let write_head = |out: &mut Vec<u8>, length: usize| {
        wire::write_head(out, codecs, header_codec, &reply, codec, length, &settings.wire)
            .map_err(|error| error.to_string())
    };
    if payload.len() >= PARTED_BODY && shared.is_understood(Features::PARTS) {
        let mut head = buffer::take();
        write_head(&mut head, payload.len())?;
        out.push_bulk(head, payload, true);
        return Ok(());
    }
    if payload.len() >= LARGE_BODY {
        let before = out.len();
        write_head(out.tail(), payload.len())?;
        out.push_chunk(payload);
        out.owe(out.len() - before);
        return Ok(());
    }
    let written = write(Body::Payload { codec, payload: &payload }, out);
    buffer::give(payload);
    written
}

/// A value of a typed handler, written with the one of the codecs `L` that its pull came in.
pub(crate) struct Typed<L>(PhantomData<L>);

impl<L: EncodeAny<T>, T: 'static> Answer<T> for Typed<L> {
    fn encode(value: &T, codec: u8, out: &mut Vec<u8>) -> Result<Option<u8>, String> {
        // A handler that returns nothing answers with no body.
        if TypeId::of::<T>() == TypeId::of::<()>() {
            return Ok(None);
        }
        let codec = if L::IDS.contains(&codec) { codec } else { <L as CodecList>::First::ID };
        L::encode(codec, value, out).map_err(|error| error.to_string())?;
        Ok(Some(codec))
    }
}

/// A body that the handler chose itself.
pub(crate) struct Chosen;

impl Answer<ReplyBody> for Chosen {
    fn encode(value: &ReplyBody, _: u8, out: &mut Vec<u8>) -> Result<Option<u8>, String> {
        Ok(value.encoded().map(|(codec, payload)| {
            out.extend_from_slice(payload);
            codec
        }))
    }

    fn raw(value: &ReplyBody) -> Option<&[u8]> {
        value.as_raw()
    }
}

/// Nothing, as of a push.
pub(crate) struct Nothing;

impl Answer<()> for Nothing {
    fn encode((): &(), _: u8, _: &mut Vec<u8>) -> Result<Option<u8>, String> {
        Ok(None)
    }
}
