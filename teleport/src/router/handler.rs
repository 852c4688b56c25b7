//! Running a handler: polled in place first, in a task of its own only where it has to wait.
//!
//! Nothing here depends on a handler's types: those are behind [`Slot`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll, Waker};

use parking_lot::Mutex;

use super::sealed::write_sealed;
use super::slot::{Answer, Slot};
use crate::buffer;
use crate::codec::gzip;
use crate::context::Context;
use crate::session::{Direction, LARGE_BODY, PARTED_BODY, Serving, Session, Shared, inflate};
use crate::socket::Output;
use crate::status::{Code, Status};
use crate::wire::{self, Body, Features, Header, Kind, Packet};

/// Slots of one handler kept for its next calls.
const KEPT_SLOTS: usize = 64;

/// A handler without its types.
pub(crate) struct Handler {
    slots: Mutex<Slots>,
    /// Whether it sees bodies inflated, as all but those do that pass them on.
    opens: bool,
}

struct Slots {
    /// Never used for a call: others are made by it.
    first: Pin<Box<dyn Slot>>,
    idle: Vec<Pin<Box<dyn Slot>>>,
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

impl Handler {
    pub(super) fn new(first: Pin<Box<dyn Slot>>) -> Self {
        Handler { slots: Mutex::new(Slots { first, idle: Vec::new() }), opens: true }
    }

    /// A handler that gets its packets as they came.
    pub(super) fn sealed(first: Pin<Box<dyn Slot>>) -> Self {
        Handler { opens: false, ..Self::new(first) }
    }

    /// Runs the handler on a packet. A reply that is there at once is appended to `out`; one that comes later is
    /// handed to the session.
    pub(crate) fn start(&self, inbound: Inbound<'_>, out: &mut Output) -> Started {
        let Inbound { session, mut packet, header, header_codec } = inbound;
        let limits = &session.shared().settings.decode;
        // The reply is compressed at this level too: one that nobody knows is refused before the handler runs.
        let open = |packet: &mut Packet| {
            gzip::check_level(packet.gzip()).and_then(|()| inflate(packet, limits.max_inflated))
        };
        if self.opens
            && let Err(error) = open(&mut packet)
        {
            let code = if error.is_too_large() { Code::TOO_LARGE } else { Code::BAD_REQUEST };
            write_status(session.shared(), header, header_codec, &Status::new(code, error.to_string()), out);
            return Started::Ended;
        }
        let (bytes, codec) = (packet.len(), packet.body().codec());
        let cx = Context::new(session.clone(), packet);
        let mut slot = self.slot();
        let mut answer = None;
        // A handler that has to wait is polled again at once by its task, so this waker need not wake.
        let task = &mut TaskContext::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| {
            slot.as_mut().begin(cx);
            slot.as_mut().poll(task, codec, &mut answer)
        }));
        let panic = match polled {
            Ok(Poll::Pending) => {
                let call = Call { header: header.clone().into_owned(), header_codec, codec, bytes, slot };
                spawn(session.clone(), call);
                return Started::Spawned;
            }
            Ok(Poll::Ready(())) => None,
            Err(panic) => Some(panic),
        };
        // What the handler sent before it answered goes out before its answer.
        session.shared().move_calls(out);
        let answer = answer.unwrap_or_else(|| Answer::Failed(no_answer(&header.uri)));
        write_answer(session.shared(), header, header_codec, answer, out);
        match panic {
            None => self.keep(slot),
            Some(panic) => {
                log_panic(&header.uri, &*panic);
                // What is left of the future may panic once more when it is dropped.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
            }
        }
        Started::Ended
    }

    fn slot(&self) -> Pin<Box<dyn Slot>> {
        let mut slots = self.slots.lock();
        match slots.idle.pop() {
            Some(slot) => slot,
            None => slots.first.another(),
        }
    }

    /// Keeps a slot whose future has ended, so that it holds nothing any more.
    fn keep(&self, slot: Pin<Box<dyn Slot>>) {
        let mut slots = self.slots.lock();
        if slots.idle.len() < KEPT_SLOTS {
            slots.idle.push(slot);
        }
    }
}

type Panic = dyn std::any::Any + Send;

/// A call that has to wait.
struct Call {
    header: Header<'static>,
    header_codec: u8,
    /// Id of the codec that its body came in.
    codec: u8,
    /// Bytes of its packet.
    bytes: usize,
    slot: Pin<Box<dyn Slot>>,
}

/// Goes on with a call in a task of its own.
fn spawn(session: Session, call: Call) {
    let Call { header, header_codec, codec, bytes, mut slot } = call;
    // Encoded now: nothing may be left to do where the task is dropped.
    let mut fallback = Output::default();
    write_status(session.shared(), &header, header_codec, &no_answer(&header.uri), &mut fallback);
    let serving = Serving::start(session, fallback, bytes);
    tokio::spawn(async move {
        let cancel = serving.session().shared().cancel.clone();
        let mut answer = None;
        let poll = std::future::poll_fn(|task| {
            catch_unwind(AssertUnwindSafe(|| slot.as_mut().poll(task, codec, &mut answer).map(Ok)))
                .unwrap_or_else(|panic| Poll::Ready(Err(panic)))
        });
        let shared = serving.session().shared();
        match cancel.run_until_cancelled(poll).await {
            Some(Err(panic)) => log_panic(&header.uri, &*panic),
            Some(Ok(())) => {}
            None => shared.ledger.cut_off(Direction::Inbound, &header.uri, &shared.remote),
        }
        // Where there is no answer, `serving` gives its fallback when it is dropped.
        if let Some(answer) = answer {
            let mut reply = Output::default();
            write_answer(serving.session().shared(), &header, header_codec, answer, &mut reply);
            serving.finish(reply).await;
        }
    });
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
fn write_answer(shared: &Shared, header: &Header<'_>, header_codec: u8, answer: Answer, out: &mut Output) {
    let written = match answer {
        Answer::Failed(status) => return write_status(shared, header, header_codec, &status, out),
        _ if header.kind.is_push() => return,
        Answer::Nothing => write_body(shared, header, header_codec, Body::None, out),
        // A raw body goes as it is.
        Answer::Raw(body) => {
            let header = Header { gzip: 0, ..header.clone() };
            write_body(shared, &header, header_codec, Body::Raw(&body), out)
        }
        Answer::Sealed(reply) => return write_sealed(shared, header, header_codec, reply, out),
        Answer::Payload(codec, payload) => write_payload(shared, header, header_codec, codec, payload, out),
    };
    if let Err(text) = written {
        let status = Status::internal(format!("the reply could not be written: {text}"));
        write_status(shared, header, header_codec, &status, out);
    }
}

/// The header of a reply to a pull that went well.
fn success<'h>(shared: &Shared, header: &'h Header<'_>) -> Header<'h> {
    Header {
        id: header.id.clone(),
        kind: Kind::REPLY,
        uri: (&*header.uri).into(),
        gzip: header.gzip,
        code: Code::OK.number(),
        status: "OK".into(),
        features: shared.announcement(),
    }
}

fn write_body(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    body: Body<'_>,
    out: &mut Output,
) -> Result<(), String> {
    let settings = &shared.settings;
    let before = out.len();
    let reply = success(shared, header);
    let written =
        wire::write(out.tail(), &settings.headers.codecs, header_codec, &reply, body, &settings.wire);
    out.owe(out.len() - before);
    written.map_err(|error| error.to_string())
}

fn write_payload(
    shared: &Shared,
    header: &Header<'_>,
    header_codec: u8,
    codec: u8,
    mut payload: Vec<u8>,
    out: &mut Output,
) -> Result<(), String> {
    if header.gzip != 0 {
        let mut compressed = buffer::take();
        gzip::deflate(header.gzip, &payload, &mut compressed).map_err(|error| error.to_string())?;
        buffer::give(std::mem::replace(&mut payload, compressed));
    }
    if payload.len() >= LARGE_BODY {
        let settings = &shared.settings;
        let reply = success(shared, header);
        let length = payload.len();
        let write_head = |out: &mut Vec<u8>| {
            let codecs = &settings.headers.codecs;
            wire::write_head(out, codecs, header_codec, &reply, codec, length, &settings.wire)
                .map_err(|error| error.to_string())
        };
        if length >= PARTED_BODY && shared.is_understood(Features::PARTS) {
            let mut head = buffer::take();
            write_head(&mut head)?;
            out.push_bulk(head, payload, true);
            return Ok(());
        }
        let before = out.len();
        write_head(out.tail())?;
        out.push_chunk(payload);
        out.owe(out.len() - before);
        return Ok(());
    }
    let written = write_body(shared, header, header_codec, Body::Payload { codec, payload: &payload }, out);
    buffer::give(payload);
    written
}
