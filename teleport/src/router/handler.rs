//! Running a handler: polled in place first, in a task of its own only where it has to wait, or computes for long.
//!
//! Nothing here depends on a handler's types: those are behind [`Slot`].

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use super::hooked::Hooked;
use super::pace::Pace;
use super::places::{Place, Places, Warm};
use super::slot::{ReplyCodec, Slot};
use crate::codec::gzip;
use crate::context::{Answer, CallState, Context, refuse, write_answer, write_fallback, write_logged};
use crate::logs::CallLog;
use crate::session::{Direction, Serving, Session, inflate};
use crate::socket::Output;
use crate::status::{Code, Status};
use crate::travel::{Travel, within};
use crate::wire::{Features, Header, Packet};

/// A handler without its types.
pub(crate) struct Handler {
    places: Places,
    pace: Arc<Pace>,
    /// Whether it sees bodies inflated, as all but those do that pass them on.
    opens: bool,
    /// Whether it is stopped when its caller has gone away, or its time is up.
    stops: bool,
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
    /// Where somebody listens to it.
    pub(crate) log: Option<CallLog>,
    /// What it brought along, where it brought anything.
    pub(crate) travel: Option<Arc<Travel>>,
}

impl Handler {
    pub(super) fn new(first: Pin<Box<dyn Slot>>) -> Self {
        Handler { places: Places::new(first), pace: Arc::default(), opens: true, stops: true }
    }

    /// Lets it run to its end once it has begun.
    pub(super) fn run_to_end(&mut self) {
        self.stops = false;
    }

    /// Whether it is stopped when its caller has gone away, or its time is up.
    pub(super) fn stops(&self) -> bool {
        self.stops
    }

    /// A handler that gets its packets as they came.
    pub(super) fn sealed(first: Pin<Box<dyn Slot>>) -> Self {
        Handler { opens: false, ..Self::new(first) }
    }

    /// Runs the handler on a packet. A reply that is there at once is appended to `out`; one that comes later is
    /// handed to the session.
    pub(crate) fn start(&self, inbound: Inbound<'_>, warm: &mut Warm, out: &mut Output) -> Started {
        let Inbound { session, mut packet, header, header_codec, log, travel } = inbound;
        if let Err(status) = self.open(session, &mut packet) {
            refuse(log, session.shared(), (header, header_codec), &status, out);
            return Started::Ended;
        }
        let mut cx = match log {
            None => Context::new(session.clone(), packet),
            log => Context::with_call(session.clone(), packet, CallState::logged(log)),
        };
        cx.set_travel(travel);
        self.run(session, cx, (header, header_codec), None, warm, out)
    }

    /// Undoes the gzip of a body, where the handler is to see it.
    pub(super) fn open(&self, session: &Session, packet: &mut Packet) -> Result<(), Status> {
        if !self.opens {
            return Ok(());
        }
        let most = session.shared().settings.decode.max_inflated;
        // The reply is compressed at this level too: one that nobody knows is refused before the handler runs.
        gzip::check_level(packet.gzip()).and_then(|()| inflate(packet, most)).map_err(|error| {
            let code = if error.is_too_large() { Code::TOO_LARGE } else { Code::BAD_REQUEST };
            Status::new(code, error.to_string())
        })
    }

    /// As [`start`](Self::start), for a packet that is opened.
    pub(super) fn run(
        &self,
        session: &Session,
        mut cx: Context,
        (header, header_codec): (&Header<'_>, u8),
        hooked: Option<Hooked>,
        warm: &mut Warm,
        out: &mut Output,
    ) -> Started {
        let (bytes, codec) = (cx.held(), cx.codec());
        cx.start_log(self.opens);
        // With hooks it is theirs to end.
        let log = if hooked.is_none() { cx.take_log() } else { None };
        let mut place = self.places.take(warm);
        cx.set_wishes(&place.wishes);
        let reply_codec = ReplyCodec { pull: codec, wishes: &place.wishes };
        let travel = cx.travel().map(|travel| self.lends(travel));
        let mut answer = None;
        // A handler that has to wait is polled again at once by its task, so this waker need not wake.
        let task = &mut TaskContext::from_waker(Waker::noop());
        // Pushes, and what is passed on, keep their order, which is made where they are polled first.
        let slow = self.opens && header.kind.is_pull() && self.pace.is_slow();
        let timer = (!slow && session.shared().is_watched()).then(Instant::now);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            within(travel.as_ref(), || {
                place.slot.as_mut().begin(cx);
                if slow { Poll::Pending } else { place.slot.as_mut().poll(task, reply_codec, &mut answer) }
            })
        }));
        if let Some(began) = timer {
            self.pace.note(began.elapsed());
        }
        let panic = match polled {
            Ok(Poll::Pending) => {
                let header = header.clone().into_owned();
                let pace = slow.then(|| self.pace.clone());
                let call = Call {
                    header,
                    header_codec,
                    codec,
                    bytes,
                    place,
                    pace,
                    hooked,
                    log,
                    travel,
                    stops: self.stops,
                };
                spawn(session.clone(), call);
                return Started::Spawned;
            }
            Ok(Poll::Ready(())) => None,
            Err(panic) => Some(panic),
        };
        let mut answer = answer.unwrap_or_else(|| Answer::Failed(no_answer(&header.uri)));
        let mut header = header;
        let wished;
        if place.wishes.are_set() {
            (wished, answer) = place.wishes.take(header, answer);
            header = &wished;
        }
        let started = match hooked {
            None => {
                // What the handler sent before it answered goes out before its answer.
                session.shared().move_calls(out);
                match log {
                    None => drop(write_answer(session.shared(), header, header_codec, answer, out)),
                    Some(mut log) => {
                        write_logged(&mut log, session.shared(), (header, header_codec), answer, out);
                        log.end();
                    }
                }
                Started::Ended
            }
            Some(hooked) => hooked.answer(session, header, header_codec, answer, out),
        };
        match panic {
            None => place.keep(warm),
            Some(panic) => {
                log_panic(&header.uri, &*panic);
                // What is left of the future may panic once more when it is dropped.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(place)));
            }
        }
        started
    }

    /// What the calls of the handler have from its own: one that runs to its end does not hurry.
    fn lends(&self, travel: &Arc<Travel>) -> Arc<Travel> {
        match travel.deadline {
            Some(_) if !self.stops => Arc::new(Travel { deadline: None, ..**travel }),
            _ => travel.clone(),
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
    place: Place,
    /// Where the first poll is still to come, and to be timed.
    pace: Option<Arc<Pace>>,
    hooked: Option<Hooked>,
    log: Option<CallLog>,
    travel: Option<Arc<Travel>>,
    /// Whether it is stopped when its caller has gone away.
    stops: bool,
}

/// Goes on with a call in a task of its own.
fn spawn(session: Session, call: Call) {
    let Call { header, header_codec, codec, bytes, place, mut pace, hooked, mut log, travel, stops } = call;
    let Place { mut slot, wishes, .. } = place;
    let hooked = hooked.map(Hooked::in_task);
    // Encoded now: nothing may be left to do where the task is dropped.
    let fallback = fallback(&session, &header, header_codec);
    let held = bytes + header.held();
    let pull = if stops { pull_to_stop(&session, &header) } else { None };
    let late = travel.as_ref().and_then(|travel| travel.deadline).filter(|_| stops && header.kind.is_pull());
    Serving::start(session, fallback, held, pull).spawn(move |serving| async move {
        let cancel = serving.handlers();
        let mut answer = None;
        let reply_codec = ReplyCodec { pull: codec, wishes: &wishes };
        let poll = std::future::poll_fn(|task| {
            let timed = pace.take().map(|pace| (pace, Instant::now()));
            let polled = catch_unwind(AssertUnwindSafe(|| {
                within(travel.as_ref(), || slot.as_mut().poll(task, reply_codec, &mut answer).map(Ok))
            }));
            if let Some((pace, began)) = timed {
                pace.note(began.elapsed());
            }
            polled.unwrap_or_else(|panic| Poll::Ready(Err(panic)))
        });
        let shared = serving.session().shared();
        let ended = cancel.run_until_cancelled(until(late, poll)).await;
        match ended {
            Some(None) => {
                // It ends before its caller is told so. It may panic when it is dropped.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(slot)));
                answer = Some(Answer::Failed(too_late(&header.uri)));
            }
            Some(Some(Err(panic))) => {
                log_panic(&header.uri, &*panic);
                if hooked.is_some() || log.is_some() {
                    // For the hooks of replies and the log, which see this one too.
                    answer.get_or_insert_with(|| Answer::Failed(no_answer(&header.uri)));
                }
            }
            Some(Some(Ok(()))) => {}
            None => shared.ledger.cut_off(Direction::Inbound, &header.uri, &shared.remote()),
        }
        // Where there is no answer, `serving` gives its fallback when it is dropped.
        if let Some(mut answer) = answer {
            let mut reply = Output::default();
            let header = if wishes.are_set() {
                let wished;
                (wished, answer) = wishes.take(&header, answer);
                wished
            } else {
                header
            };
            match hooked {
                None => match &mut log {
                    None => drop(write_answer(shared, &header, header_codec, answer, &mut reply)),
                    Some(log) => {
                        write_logged(log, shared, (&header, header_codec), answer, &mut reply);
                    }
                },
                Some(hooked) => {
                    hooked.answer(serving.session(), &header, header_codec, answer, &mut reply);
                }
            }
            serving.finish(reply).await;
            if let Some(log) = log {
                log.end();
            }
        }
    });
}

/// The id by which the caller of a pull says that it has gone away, where it does.
pub(super) fn pull_to_stop(session: &Session, header: &Header<'_>) -> Option<u64> {
    let shared = session.shared();
    let may_come =
        header.kind.is_pull() && shared.heeds(Features::CANCEL) && shared.is_understood(Features::CANCEL);
    header.id.number().filter(|_| may_come)
}

/// What the future ends with, until this time.
pub(super) async fn until<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        None => Some(future.await),
        Some(at) => tokio::time::timeout_at(at.into(), future).await.ok(),
    }
}

/// What is answered where nobody waits any more.
pub(crate) fn too_late(uri: &str) -> Status {
    Status::new(
        Code::GATEWAY_TIMEOUT,
        format!("the time that the caller of {uri} gave it was up: it was stopped"),
    )
}

/// The reply to a pull that is not answered in any other way; nothing for a push.
pub(super) fn fallback(session: &Session, header: &Header<'_>, header_codec: u8) -> Output {
    let mut fallback = Output::default();
    if header.kind.is_pull() {
        write_fallback(session.shared(), header, header_codec, &no_answer(&header.uri), &mut fallback);
        fallback.fit();
    }
    fallback
}

/// A panic's own text stays here: it may tell more than the caller should know.
pub(super) fn no_answer(uri: &str) -> Status {
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
