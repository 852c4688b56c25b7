//! Pulls and pushes that plugins look at, on their way to a handler and back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use super::handler::{Handler, Started, fallback, pull_to_stop, too_late, until};
use super::places::Warm;
use super::routes::Router;
use super::table::Entry;
use crate::context::{Answer, CallState, Context, log_refused, write_status};
use crate::plugin::{Chain, OutgoingReply, waited};
use crate::session::{Serving, Session, poll_once};
use crate::socket::Output;
use crate::status::Status;
use crate::travel::Travel;
use crate::wire::Header;

/// What goes with a call that plugins look at.
#[derive(Clone)]
pub(crate) struct Hooked {
    chain: Arc<Chain>,
    call: Arc<CallState>,
    travel: Option<Arc<Travel>>,
    /// The driver runs it: what its handler sent before the answer can be put in front of that.
    in_driver: bool,
}

impl Hooked {
    /// It goes on in a task.
    pub(super) fn in_task(self) -> Self {
        Hooked { in_driver: false, ..self }
    }

    /// Answers with what the handler said.
    pub(super) fn answer(
        &self,
        session: &Session,
        header: &Header<'_>,
        header_codec: u8,
        answer: Answer,
        out: &mut Output,
    ) -> Started {
        if self.in_driver {
            // What the handler sent before it answered goes out before its answer.
            session.shared().move_calls(out);
        }
        let mut cx = Context::of_header(session.clone(), header, header_codec, self.call.clone());
        cx.set_travel(self.travel.clone());
        self::answer(&self.chain, cx, answer, out)
    }
}

/// Leads a packet, which no plugin has seen yet, through the plugins of the peer to its handler. `header` is the packet's
/// as it came.
pub(crate) fn start(router: &Router, header: &Header<'_>, mut cx: Context, out: &mut Output) -> Started {
    let chain = router.chain();
    if let Err(refusal) = chain.after_read_header(&mut cx) {
        return answer(chain, cx, Answer::Failed(refusal.status), out);
    }
    let found = if cx.is_push() { router.find_push(cx.uri()) } else { router.find_pull(cx.uri()) };
    let status = match found {
        Ok(Some(entry)) => return start_route(chain, entry, header, cx, out),
        Ok(None) => not_found(&cx.header()),
        Err(error) => Status::bad_request(error.to_string()),
    };
    answer(chain, cx, Answer::Failed(status), out)
}

/// Leads a packet, whose header the plugins of the peer have seen, on to the handler that was found for it.
pub(crate) fn start_route(
    peer: &Arc<Chain>,
    entry: &Entry,
    header: &Header<'_>,
    mut cx: Context,
    out: &mut Output,
) -> Started {
    let chain = entry.chain().unwrap_or(peer);
    cx.set_route(entry.name());
    if let Err(refusal) = chain.after_read_header_of_route(&mut cx) {
        return answer(chain, cx, Answer::Failed(refusal.status), out);
    }
    let handler = entry.handler();
    if !chain.may_wait_for_bodies() {
        let read = poll_once(read_body(chain, handler, &mut cx)).unwrap_or_else(|| Err(waited().status));
        return hand_over(handler, chain, header, cx, read, true, out);
    }
    let (session, bytes, header_codec) = (cx.session().clone(), cx.held(), cx.header_codec());
    let late = cx.deadline();
    let mut future = Box::pin(read_body_of(chain.clone(), handler.clone(), cx));
    if let Poll::Ready((cx, read)) = poll_in_place(future.as_mut()) {
        return hand_over(handler, chain, header, cx, read, true, out);
    }
    let (handler, chain, header) = (handler.clone(), chain.clone(), header.clone().into_owned());
    let for_fallback = header.clone();
    let stopped = if handler.stops() { pull_to_stop(&session, &header) } else { None };
    spawn(session, (&for_fallback, header_codec), (bytes, stopped, late), future, move |(cx, read), out| {
        hand_over(&handler, &chain, &header, cx, read, false, out);
    });
    Started::Spawned
}

async fn read_body(chain: &Chain, handler: &Handler, cx: &mut Context) -> Result<(), Status> {
    chain.before_read_body(cx).await.map_err(|refusal| refusal.status)?;
    let session = cx.session().clone();
    handler.open(&session, cx.packet_mut())?;
    chain.after_read_body(cx).await.map_err(|refusal| refusal.status)
}

async fn read_body_of(
    chain: Arc<Chain>,
    handler: Arc<Handler>,
    mut cx: Context,
) -> (Context, Result<(), Status>) {
    let read = read_body(&chain, &handler, &mut cx).await;
    (cx, read)
}

/// Hands a packet that its hooks have read, or refused, to its handler.
fn hand_over(
    handler: &Handler,
    chain: &Arc<Chain>,
    header: &Header<'_>,
    cx: Context,
    read: Result<(), Status>,
    in_driver: bool,
    out: &mut Output,
) -> Started {
    if let Err(status) = read {
        return answer(chain, cx, Answer::Failed(status), out);
    }
    let travel = cx.travel().cloned();
    let hooked = Some(Hooked { chain: chain.clone(), call: cx.call(), travel, in_driver });
    let (session, header_codec) = (cx.session().clone(), cx.header_codec());
    handler.run(&session, cx, (header, header_codec), hooked, &mut Warm::default(), out)
}

/// Leads an answer through the hooks of replies, and writes it.
pub(crate) fn answer(chain: &Arc<Chain>, cx: Context, answer: Answer, out: &mut Output) -> Started {
    if cx.is_push() {
        if let Answer::Failed(status) = answer
            && !status.code().is_ok()
        {
            log_refused(cx.session().shared(), cx.original_uri(), &status);
            end_push(&cx, Some(&status));
        } else {
            end_push(&cx, None);
        }
        return Started::Ended;
    }
    if !chain.may_wait_for_answers() {
        let mut reply = OutgoingReply::new(cx, answer);
        if poll_once(chain.before_write_reply(&mut reply)).is_none() {
            reply.set_status(waited().status);
        }
        write(chain, reply, out);
        return Started::Ended;
    }
    let (session, bytes, header_codec) = (cx.session().clone(), cx.held() + answer.held(), cx.header_codec());
    let header = cx.original_header().into_owned();
    let mut future = Box::pin(before_write_of(chain.clone(), OutgoingReply::new(cx, answer)));
    if let Poll::Ready(reply) = poll_in_place(future.as_mut()) {
        write(chain, reply, out);
        return Started::Ended;
    }
    let chain = chain.clone();
    spawn(session, (&header, header_codec), (bytes, None, None), future, move |reply, out| {
        write(&chain, reply, out);
    });
    Started::Spawned
}

fn end_push(cx: &Context, status: Option<&Status>) {
    if let Some(mut log) = cx.take_log() {
        log.answered(status, 0, 0);
        log.end();
    }
}

async fn before_write_of(chain: Arc<Chain>, mut reply: OutgoingReply) -> OutgoingReply {
    chain.before_write_reply(&mut reply).await;
    reply
}

fn write(chain: &Chain, reply: OutgoingReply, out: &mut Output) {
    reply.write(out, |written| chain.after_write_reply(written));
}

/// A hook that has to wait is polled again at once by its task, so this waker need not wake.
fn poll_in_place<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut TaskContext::from_waker(Waker::noop()))
}

/// Goes on with hooks that wait in a task of its own: until the caller of the pull `stopped` goes away, or its time is up.
fn spawn<F>(
    session: Session,
    (header, header_codec): (&Header<'_>, u8),
    (bytes, stopped, late): (usize, Option<u64>, Option<Instant>),
    hooks: Pin<Box<F>>,
    then: impl FnOnce(F::Output, &mut Output) + Send + 'static,
) where
    F: Future<Output: Send> + Send + 'static,
{
    // The hooks have a copy of the header.
    let (fallback, held) = (fallback(&session, header, header_codec), bytes + header.held());
    let header = late.map(|_| header.clone().into_owned());
    Serving::start(session, fallback, held, stopped).spawn(move |serving| async move {
        let cancel = serving.handlers();
        // `serving` answers with its fallback when it is dropped.
        let Some(done) = cancel.run_until_cancelled(until(late, hooks)).await else { return };
        let mut out = Output::default();
        match (done, header) {
            (Some(done), _) => then(done, &mut out),
            (None, Some(header)) => {
                write_status(
                    serving.session().shared(),
                    &header,
                    header_codec,
                    &too_late(&header.uri),
                    &mut out,
                );
            }
            (None, None) => {}
        }
        serving.finish(out).await;
    });
}

/// The status of a uri that nobody takes.
pub(crate) fn not_found(header: &Header<'_>) -> Status {
    let kind = if header.kind.is_pull() { "pull" } else { "push" };
    Status::not_found(format!("Not Found: nothing takes the {kind} {}", header.uri))
}
