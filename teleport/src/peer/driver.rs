//! The task of one session: the only place where socket, session and router meet.
//!
//! One task reads, hands packets to handlers and callers, and writes. It counts in system calls and wake-ups:
//! everything that one read brought is handled before the next, the replies made on the way leave in one write,
//! and callers that were woken get their turn before their next calls are written, so that these leave together.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use tokio::time::Sleep;

use super::inbound::Dispatch;
use crate::error::{Closed, Initiator};
use crate::logs::Marks;
use crate::router::Router;
use crate::session::{Handle, Session, Shared, now};
use crate::socket::{Arrival, Batch, Flow, Output, PacketReader, ReadError, Writer};

/// Reads in one poll before other tasks get a turn.
const READS_PER_POLL: usize = 16;

pub(super) struct Driver {
    shared: Arc<Shared>,
    handle: Weak<Handle>,
    reader: PacketReader,
    writer: Arc<dyn Writer>,
    dispatch: Dispatch,
    /// What is being written.
    output: Output,
    /// Of calls in it that are logged.
    marks: Marks,
    timer: Option<Timer>,
    phase: Phase,
    /// This poll ends so that others get their turn; the next one writes.
    yielded: bool,
    /// The other side was told that every pull that was taken is answered.
    said_farewell: bool,
    /// The connection took no more when it was last written to.
    blocked: bool,
    /// What follows from the end is done.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Reading and writing.
    Running,
    /// Nothing more to say: waits for the other side to end its direction too, so that what was written last is
    /// not lost with the connection.
    Lingering,
}

/// Whether callers that were woken, and others that are ready, have had their turn since the output was armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Owed,
    Given,
}

struct Timer {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        handle: Weak<Handle>,
        (reader, writer): (PacketReader, Arc<dyn Writer>),
        router: Arc<Router>,
    ) -> Self {
        Driver {
            dispatch: Dispatch::new(shared.clone(), handle.clone(), router),
            shared,
            handle,
            reader,
            writer,
            output: Output::default(),
            marks: Marks::default(),
            timer: None,
            phase: Phase::Running,
            yielded: false,
            said_farewell: false,
            blocked: false,
            ended: false,
        }
    }

    /// Drives the session until it is over; says why it is.
    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        {
            let mut machine = self.shared.machine();
            if let Some(closed) = machine.closed().filter(|_| machine.is_closed()) {
                return Poll::Ready(closed.clone());
            }
            if let Some(closed) = machine.take_broken() {
                return Poll::Ready(closed);
            }
            machine.register_driver(cx.waker());
        }
        if std::mem::take(&mut self.yielded)
            && let Poll::Ready(Err(closed)) = self.poll_write(cx, Turn::Given)
        {
            return Poll::Ready(closed);
        }
        for _ in 0..READS_PER_POLL {
            if self.phase == Phase::Lingering {
                return self.poll_linger(cx);
            }
            let mut goes_on = self.dispatch.resume(&mut self.output);
            let stopped = self.dispatch.is_stopped(&self.output);
            self.shared.patience.note_rest(if stopped { None } else { self.reader.unfinished() });
            goes_on |= match if stopped { Poll::Pending } else { self.poll_read(cx) } {
                Poll::Ready(Err(closed)) => {
                    // What was answered before the bad packet still goes out, as far as the connection takes it.
                    let _ = self.poll_write(cx, Turn::Given);
                    return Poll::Ready(closed);
                }
                read => read.is_ready(),
            };
            if let Poll::Ready(Err(closed)) = self.poll_write(cx, Turn::Owed) {
                return Poll::Ready(closed);
            }
            // What held packets or the reader back may be written now: nothing else would wake this task for it.
            goes_on |= self.dispatch.can_resume(&self.output);
            goes_on |= stopped && self.dispatch.is_reading() && !self.dispatch.is_stopped(&self.output);
            goes_on |= self.poll_timer(cx).is_ready();
            if !self.shared.machine().is_open() {
                match self.poll_drain(cx) {
                    Poll::Ready(Some(closed)) => return Poll::Ready(closed),
                    Poll::Ready(None) => continue,
                    Poll::Pending => {}
                }
            }
            if self.yielded || !goes_on {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Looks whether a drain is over: `None` where the connection is now to be ended in good order.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Option<Closed>> {
        let machine = self.shared.machine();
        if machine.is_past_drain(now()) {
            let closed = machine.closed().cloned();
            drop(machine);
            self.shared.handlers().cancel();
            return Poll::Ready(closed);
        }
        if !machine.is_drained() || !self.output.is_empty() {
            return Poll::Pending;
        }
        let began_here = machine.closed().is_some_and(|closed| closed.initiator != Initiator::Remote);
        drop(machine);
        if began_here && self.dispatch.is_reading() && !std::mem::replace(&mut self.said_farewell, true) {
            self.dispatch.say_farewell(&mut self.output);
            return Poll::Ready(None);
        }
        // An error here means that the connection is gone, which lingering finds out as well.
        let _ = ready!(self.writer.poll_shutdown(cx));
        self.phase = Phase::Lingering;
        self.shared.linger();
        Poll::Ready(None)
    }

    /// One read, and all that follows from it at once.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let (dispatch, output) = (&mut self.dispatch, &mut self.output);
        dispatch.begin();
        let limits = &self.shared.settings.wire;
        let early = self.shared.early.as_ref().and_then(|early| early.max_body(limits.max_body));
        let bounded = early.map(|most| limits.clone().with_max_body(most));
        let limits = bounded.as_ref().unwrap_or(limits);
        let batch = self.reader.poll_batch(cx, limits, &mut |arrival| dispatch.handle(arrival, output));
        if batch.is_ready() {
            // Also where it was a part of a packet. One that ends the session does not matter.
            self.shared.patience.note_read(self.dispatch.has_heard());
            self.shared.note_alive();
        }
        if self.dispatch.end() > 1 {
            // They are about to call again: what they write shall leave together.
            self.shared.machine().pre_arm();
        }
        match ready!(batch) {
            Ok(Batch::Done | Batch::Paused) => Poll::Ready(Ok(())),
            Ok(Batch::End) => {
                self.dispatch.stop_reading();
                self.remote_ended();
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                if let ReadError::Wire(error) = &error {
                    // Whoever dials a wrong address has no other way to learn of it than from this side's log.
                    let peer = self.shared.remote();
                    tracing::warn!(target: "teleport", %peer, %error, "the other side sent what is no packet");
                }
                Poll::Ready(Err(read_failed(error)))
            }
        }
    }

    /// The other side sends no more: its pulls are still answered, ours never will be.
    fn remote_ended(&mut self) {
        let closed =
            Closed { initiator: Initiator::Remote, reason: "the other side closed the connection".into() };
        // In this order, so that none begins in between.
        self.shared.drain(closed.clone());
        let mut woken = Vec::new();
        self.shared.machine().end_pulls(&closed, &mut woken);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Writes what there is. Pending where the connection takes no more now, or where others have their turn first.
    fn poll_write(&mut self, cx: &mut Context<'_>, turn: Turn) -> Poll<Result<(), Closed>> {
        loop {
            // What has begun to be written ends before anything is put in front of it.
            if !self.output.is_begun() {
                let mut machine = self.shared.machine();
                if turn == Turn::Owed && machine.is_armed() && self.output.is_empty() {
                    self.yielded = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let more = machine.take_output(&mut self.output);
                machine.take_marks(&mut self.marks, self.output.len());
                let room = machine.room_for_waiting(&self.shared.settings);
                drop(machine);
                self.shared.tell_of(room);
                if !more {
                    return self.writer.poll_flush(cx).map_err(|error| write_failed(&error));
                }
                // After what else there is, and not before that is known.
                self.output.refill();
            }
            let writer = &self.writer;
            let written = self.output.with_slices(|slices| writer.poll_write(cx, slices));
            if written.is_pending() {
                self.blocked = true;
                self.shared.patience.note_stall(true);
            } else if std::mem::take(&mut self.blocked) {
                // There is room where there was none: the other side has taken something.
                self.shared.note_alive();
                self.shared.patience.note_stall(false);
            }
            match ready!(written) {
                Ok(0) => return Poll::Ready(Err(write_failed(&std::io::ErrorKind::WriteZero.into()))),
                Ok(count) => {
                    self.shared.patience.note_write();
                    self.output.advance(count);
                    self.marks.written(count);
                }
                Err(error) => return Poll::Ready(Err(write_failed(&error))),
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.shared.machine().timeout() else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Timer { at, sleep: Box::pin(tokio::time::sleep_until(at.into())) });
        if timer.at != at {
            timer.at = at;
            timer.sleep.as_mut().reset(at.into());
        }
        ready!(timer.sleep.as_mut().poll(cx));
        self.timer = None;
        let mut woken = Vec::new();
        self.shared.machine().handle_timeout(&self.shared.settings, now().max(at), &mut woken);
        woken.into_iter().for_each(Waker::wake);
        self.shared.pass_on_room();
        Poll::Ready(())
    }

    /// Ends the connection, and the session with it, unless that redials. A session leaves its peer first, so that whoever is
    /// told of the end finds it gone.
    fn end(&mut self, closed: Closed) {
        self.ended = true;
        if self.shared.lose(&closed) {
            return;
        }
        if let Some(session) = Session::upgrade(&self.handle) {
            session.leave();
        }
        self.shared.close(closed);
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        let reason = match self.shared.machine().closed() {
            Some(closed) => closed.clone(),
            None => Closed { initiator: Initiator::Library, reason: "the session is over".into() },
        };
        if !self.dispatch.is_reading() || self.shared.machine().is_past_drain(now()) {
            return Poll::Ready(reason);
        }
        let mut ignore = |_: Arrival<'_>| Ok(Flow::Continue);
        for _ in 0..READS_PER_POLL {
            match self.reader.poll_batch(cx, &self.shared.settings.wire, &mut ignore) {
                Poll::Ready(Ok(Batch::Done | Batch::Paused)) => {}
                Poll::Ready(Ok(Batch::End) | Err(_)) => return Poll::Ready(reason),
                Poll::Pending => {
                    ready!(self.poll_timer(cx));
                    break;
                }
            }
        }
        // Others get their turn, and the time is looked at again.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Future for Driver {
    /// Whether the other side has said anything.
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let this = self.get_mut();
        let closed = ready!(this.poll_run(cx));
        this.end(closed);
        Poll::Ready(this.dispatch.has_heard())
    }
}

impl Drop for Driver {
    /// Also where the runtime drops the task: no call may wait for ever.
    fn drop(&mut self) {
        if self.ended {
            return self.shared.forget_connection();
        }
        self.shared.machine().stop_redialing();
        self.end(runtime_is_gone());
        self.shared.forget_connection();
    }
}

/// Why a session ends that nobody drives any more.
pub(super) fn runtime_is_gone() -> Closed {
    Closed { initiator: Initiator::User, reason: "the runtime that drove it was shut down".into() }
}

fn read_failed(error: ReadError) -> Closed {
    let (initiator, reason) = match error {
        ReadError::Io(error) => {
            (Initiator::Remote, format!("the connection was lost while reading: {error}"))
        }
        ReadError::Wire(error) => {
            (Initiator::Remote, format!("the other side sent what is no packet: {error}"))
        }
        ReadError::Cut { have, needed } => (
            Initiator::Remote,
            format!("the connection ended inside a packet, after {have} of at least {needed} bytes"),
        ),
    };
    Closed { initiator, reason: reason.into() }
}

fn write_failed(error: &std::io::Error) -> Closed {
    let reason = format!("the connection was lost while writing: {error}");
    Closed { initiator: Initiator::Remote, reason: reason.into() }
}
