//! The state of a session, without I/O and without a clock.
//!
//! ```text
//!            close(), last handle dropped,          nothing left in flight,
//!            the other side ended its direction     or the deadline has passed
//!   Open ───────────────────────────────► Draining ───────────────────────► Closed
//!     │                                                                       ▲
//!     └───────────── connection lost, broken packet, abort() ─────────────────┘
//! ```
//!
//! A session that redials is not closed where it was not this side that ended it:
//!
//! ```text
//!     connection lost, broken packet,        dialed       no hooks after dial, or they
//!     drained after the other side ended                  have let it pass
//!   Open, Draining ────────► Down ────────────────► Greeting ──────────────────► Open
//!                            │ ▲ │                   │    │
//!                            │ └─┼─ refused or lost ─┘    └─► Draining: close(), last handle dropped
//!                            │   │
//!                            └───┴─► Closed: attempts used up, close(), abort(), last handle dropped
//! ```
//!
//! Each connection has a number, its generation: what belongs to an earlier one, such as the reply of a handler that was
//! started then, never gets into the output of a later one.
//!
//! Where the other side says that it takes no more pulls, this one drains too, held back from closing: handlers of the
//! other side that still run may call back. Its farewell, the end of its direction or a close here lets go.
//!
//! Whoever changes the machine asks for its [`Nudge`] before the lock is released: nothing while the driver is
//! about to look anyway, else a wake-up of the driver. A call that is alone may write in place instead.

use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;

use super::pending::{Ended, Pending};
use super::running::Running;
use super::settings::Settings;
use super::state::SessionState;
use super::wait::{Need, Room};
use crate::buffer;
use crate::error::{Closed, Initiator};
use crate::logs::{Mark, Marks};
use crate::socket::Output;
use crate::wire::{
    self, Body, Features, Header, IdFormat, Kind, PacketId, ProtobufHeader, TraceParent, WireError,
};

/// A body of this size or more goes out from its own buffer; a smaller one is copied behind its header.
pub(crate) const LARGE_BODY: usize = 16 * 1024;
/// A pull or reply with a body of this size or more goes in parts, to a peer that reads them. Pushes don't: they keep
/// their order.
pub(crate) const PARTED_BODY: usize = 128 * 1024;

pub(crate) struct Machine {
    state: State,
    pending: Pending,
    next_push: u64,
    /// The first id that the driver has not got: no byte of a pull from there on has left.
    first_unsent: u64,
    /// How the session redials; `None` where it does not, or does no more.
    redial: Option<Policy>,
    /// Number of the connection.
    generation: Generation,
    /// Why the driver is to give the connection up.
    broken: Option<Closed>,
    /// What this side understands is told to the other.
    announced: bool,
    /// What the other side has said that it understands.
    remote: Features,
    output: Output,
    /// Of packets in the output, of calls that are logged.
    marks: Vec<Mark>,
    flush: Flush,
    /// Handlers that run in tasks of their own.
    serving: u32,
    /// Bytes of the packets that these handlers hold.
    held: usize,
    /// Those of them that end where their callers go away.
    pub(super) running: Running,
    /// The last pull that went in parts.
    last_parted: Option<u64>,
    /// Calls and replies that wait for room, by what they need.
    waiting: [usize; Need::COUNT],
    /// No pull ends, and no drain does, before this.
    earliest: Option<Instant>,
    driver: Option<Waker>,
    /// The driver has to be told that there is output.
    tell_output: bool,
    /// The driver has to be told that its timer or the state changed.
    tell_state: bool,
    /// Plugins have not let the session be opened yet: it does not close in good order before that is settled.
    early: bool,
    /// The driver reads no more before a handler ends, or a pull of this side begins.
    reader_paused: bool,
    /// It did read no more when that was last decided.
    reader_stopped: bool,
}

#[derive(Debug)]
enum State {
    Open,
    Draining {
        closed: Closed,
        until: Instant,
        held: bool,
    },
    /// There is no connection, because of this; another is being dialed.
    Down(Closed),
    /// There is one again, and hooks look at it: none but their calls go over it.
    Greeting(Closed),
    Closed(Closed),
}

/// Number of a session's connection, from 1.
pub(crate) type Generation = u32;

/// What becomes of calls while a session is down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) waits: bool,
    pub(crate) max_waiting: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// The output is empty and nobody writes.
    Idle,
    /// The driver knows that there is something to write.
    Armed,
    /// The driver is writing, and looks again when it is through.
    Writing,
}

/// What has to follow a change, once the lock is released.
#[must_use]
pub(crate) struct Nudge(Option<Waker>);

impl Nudge {
    pub(crate) fn give(self) {
        if let Some(waker) = self.0 {
            waker.wake();
        }
    }
}

/// A pull or push to be written.
pub(crate) struct Outgoing<'a> {
    pub(crate) uri: &'a str,
    pub(crate) gzip: i32,
    /// Codec id, a buffer, and where the payload begins in it; `None` for no body.
    pub(crate) body: Option<(u8, &'a mut Vec<u8>, usize)>,
    /// How long its caller waits, in milliseconds; 0 where it does not say.
    pub(crate) timeout_ms: u32,
    pub(crate) trace: Option<TraceParent>,
}

/// Why a pull or push was not taken.
pub(crate) enum Refused {
    /// There is no room now, or no connection; wait for it and try again.
    Full,
    /// There is no connection, and calls are not to wait for one.
    Down(Closed),
    /// There is no connection, and as many calls wait for one as may.
    Crowded(Closed, u32),
    Closed(Closed),
    Wire(WireError),
}

impl From<WireError> for Refused {
    fn from(error: WireError) -> Self {
        Refused::Wire(error)
    }
}

impl Machine {
    pub(crate) fn new() -> Self {
        Machine {
            state: State::Open,
            pending: Pending::new(),
            next_push: 0,
            first_unsent: 0,
            redial: None,
            generation: 1,
            broken: None,
            announced: false,
            remote: Features::NONE,
            output: Output::default(),
            marks: Vec::new(),
            flush: Flush::Idle,
            serving: 0,
            held: 0,
            running: Running::default(),
            last_parted: None,
            waiting: [0; Need::COUNT],
            earliest: None,
            driver: None,
            tell_output: false,
            tell_state: false,
            early: false,
            reader_paused: false,
            reader_stopped: false,
        }
    }

    /// Keeps the session when its connection is lost.
    pub(crate) fn set_redial(&mut self, policy: Policy) {
        self.redial = Some(policy);
    }

    /// Writes a pull into the output and enters it as pending until `deadline`. `waker` is woken when it ends. `generation`
    /// is that of the connection which its caller knows; 0 for those that know none.
    pub(crate) fn start_pull(
        &mut self,
        (settings, generation): (&Settings, Generation),
        pull: Outgoing<'_>,
        deadline: Option<Instant>,
        waker: &Waker,
    ) -> Result<u64, Refused> {
        self.admit(settings, generation)?;
        if self.pending.len() >= settings.limits.max_pulls_out as usize {
            return Err(Refused::Full);
        }
        let id = self.pending.insert(waker.clone(), deadline);
        if let Err(error) = self.write(settings, id, Kind::PULL, pull) {
            // Nothing of it has left: nobody has to be told.
            self.pending.remove(id);
            return Err(error.into());
        }
        self.arm();
        // Its reply has to be read, whatever held the reader back.
        self.reader_stopped = false;
        self.tell_state |= std::mem::take(&mut self.reader_paused);
        if let Some(at) = deadline {
            self.call_at(at);
        }
        Ok(id)
    }

    /// Writes a push into the output; its id.
    pub(crate) fn push(
        &mut self,
        (settings, generation): (&Settings, Generation),
        push: Outgoing<'_>,
    ) -> Result<u64, Refused> {
        self.admit(settings, generation)?;
        let id = self.next_push;
        self.write(settings, id, settings.headers.push, push)?;
        self.next_push = id.wrapping_add(1);
        self.arm();
        Ok(id)
    }

    /// Notes what the other side says that it understands.
    pub(crate) fn learn(&mut self, features: Features) {
        self.remote = self.remote | features;
    }

    /// What has to follow what was done since the last nudge.
    pub(crate) fn nudge(&mut self) -> Nudge {
        if std::mem::take(&mut self.tell_output) | std::mem::take(&mut self.tell_state) {
            return Nudge(self.driver.clone());
        }
        Nudge(None)
    }

    /// Whether the only thing under way is one pull in the output, so that its caller may write it in place.
    pub(crate) fn is_lone(&self) -> bool {
        self.flush == Flush::Armed && self.pending.len() == 1 && self.serving == 0
    }

    /// The output, for a write in place; follow with [`written_in_place`](Self::written_in_place).
    pub(crate) fn lone_output(&mut self) -> Option<&[u8]> {
        self.output.as_single()
    }

    pub(crate) fn written_in_place(&mut self, count: usize) {
        if count > 0 {
            self.first_unsent = self.pending.next_id();
        }
        self.output.advance(count);
        if self.output.is_empty() {
            self.flush = Flush::Idle;
            self.tell_output = false;
        }
    }

    /// Adds whole packets, replies of handlers that ran in tasks; not where their connection is gone.
    pub(crate) fn append(&mut self, generation: Generation, packets: &mut Output) {
        if !self.is_gone(generation) && !packets.is_empty() {
            self.output.append(packets);
            self.arm();
        }
    }

    /// Ends a pull with its reply; the waker of its caller, to be woken when the lock is released.
    pub(crate) fn end_pull(&mut self, id: u64, ended: Ended) -> Option<Waker> {
        self.pending.end(id, ended)
    }

    /// Pulls that wait for their reply, or whose reply was not taken yet.
    pub(crate) fn pulls_in_flight(&self) -> usize {
        self.pending.len()
    }

    #[cfg(test)]
    pub(crate) fn is_waiting(&mut self, id: u64) -> bool {
        self.pending.is_waiting(id)
    }

    /// How a pull ended, if it has; else `waker` is kept.
    pub(crate) fn take_pull(&mut self, id: u64, waker: &Waker) -> Option<Ended> {
        let ended = self.pending.take(id, waker)?;
        self.tell_state |= !self.is_open();
        Some(ended)
    }

    /// Forgets a pull whose caller has gone away; its reply will be dropped. The other side is told, where it wants to know.
    pub(crate) fn cancel_pull(&mut self, settings: &Settings, id: u64) {
        if self.pending.remove(id) {
            self.say_cancelled(settings, id);
        }
        self.tell_state |= !self.is_open();
    }

    /// Tells the other side that nobody waits for the reply to this pull any more. There is one such packet for each pull at
    /// the most, and a pull is not taken while much waits to be written: so what these take is bounded too.
    fn say_cancelled(&mut self, settings: &Settings, id: u64) {
        if !self.tells(settings, Features::CANCEL) || !(self.is_linked() || self.is_draining()) {
            return;
        }
        let mut digits = itoa::Buffer::new();
        let header = Header::new(packet_id(settings, id, &mut digits), Kind::CANCEL, "");
        let (headers, limits) = (&settings.headers, &settings.wire);
        let write = |out: &mut Vec<u8>| {
            wire::write(out, &headers.codecs, headers.codec, &header, Body::None, limits).is_ok()
        };
        // Behind its pull, which may still be on its way where that goes in parts.
        if self.last_parted.is_some_and(|last| id <= last) {
            let mut packet = buffer::take();
            if !write(&mut packet) {
                return;
            }
            self.output.push_bulk(packet, Bytes::new(), false);
        } else if !write(self.output.tail()) {
            return;
        }
        self.arm();
    }

    /// Whether both sides understand this.
    fn tells(&self, settings: &Settings, features: Features) -> bool {
        self.remote.contains(features) && settings.headers.features.contains(features)
    }

    /// Notes that a call waits for room.
    pub(crate) fn start_waiting(&mut self, need: Need) {
        self.waiting[need as usize] += 1;
    }

    /// Whether any does.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting != [0; Need::COUNT]
    }

    pub(crate) fn stop_waiting(&mut self, need: Need) {
        self.waiting[need as usize] -= 1;
    }

    /// For which of those that wait there is room, or never will be any.
    pub(crate) fn room_for_waiting(&self, settings: &Settings) -> Room {
        // Without a connection there is none, unless they are to be told that.
        let calls = self.is_open()
            || self.awaits_connection().is_none()
            || !self.redial.is_some_and(|policy| policy.waits);
        let (closed, over) = (!self.is_open(), self.is_down() || self.is_closed());
        let output = self.output.len() <= settings.limits.max_queued as usize;
        let slot = output && self.pending.len() < settings.limits.max_pulls_out as usize;
        Room::new(|need| {
            let is_there = match need {
                Need::Output => calls && (closed || output),
                Need::Slot => calls && (closed || slot),
                Need::LinkOutput => over || output,
                Need::LinkSlot => over || slot,
            };
            is_there && self.waiting[need as usize] > 0
        })
    }

    /// Bytes that wait to be written and are not yet taken by the driver.
    pub(crate) fn queued(&self) -> usize {
        self.output.len()
    }

    /// Notes that a handler runs in a task, with a packet of this many bytes.
    pub(crate) fn start_serving(&mut self, bytes: usize) {
        self.serving += 1;
        self.held += bytes;
    }

    pub(crate) fn stop_serving(&mut self, bytes: usize) {
        self.serving -= 1;
        self.held -= bytes;
        self.reader_stopped = false;
        self.tell_state |= std::mem::take(&mut self.reader_paused) || !self.is_open();
    }

    /// Handlers that run in tasks.
    pub(crate) fn serving(&self) -> u32 {
        self.serving
    }

    /// Whether as many handlers run in tasks as may, or they hold as much as they may; the driver is woken when one ends.
    pub(crate) fn is_serving_full(&mut self, settings: &Settings) -> bool {
        let full = self.is_full(settings);
        self.reader_paused |= full;
        full
    }

    fn is_full(&self, settings: &Settings) -> bool {
        let limits = &settings.limits;
        self.serving >= limits.max_pulls_in || self.held > limits.max_held as usize
    }

    /// Whether the reader is to stop, because too much of what the other side sent waits already: it is as long as this
    /// side itself waits for no reply. The driver is woken when a pull begins.
    pub(crate) fn stop_reader(&mut self) -> bool {
        let stop = self.pending.len() == 0;
        self.reader_stopped = stop;
        self.reader_paused |= stop;
        stop
    }

    /// Whether the reader has stopped because of the handlers that run.
    pub(crate) fn is_reader_stopped(&self, settings: &Settings) -> bool {
        self.reader_paused && self.reader_stopped && self.is_full(settings)
    }

    /// Keeps the driver's waker.
    pub(crate) fn register_driver(&mut self, waker: &Waker) {
        match &mut self.driver {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Tells that the driver is about to be polled again, so that whoever adds output need not wake it.
    pub(crate) fn pre_arm(&mut self) {
        if self.flush == Flush::Idle {
            self.flush = Flush::Armed;
        }
    }

    /// Notes whether plugins have still to let the session be opened.
    pub(crate) fn set_early(&mut self, early: bool) {
        self.early = early;
        self.tell_state = true;
    }

    /// Tells the driver that what held it back may be gone.
    pub(crate) fn look_again(&mut self) {
        self.tell_state = true;
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.flush == Flush::Armed
    }

    /// Moves the output over to the driver, behind what it has; false where there is nothing to write.
    pub(crate) fn take_output(&mut self, into: &mut Output) -> bool {
        self.first_unsent = self.pending.next_id();
        into.take(&mut self.output);
        self.flush = if into.is_empty() { Flush::Idle } else { Flush::Writing };
        self.flush == Flush::Writing
    }

    /// Sets the mark of the packet that was written last when it has left.
    pub(crate) fn mark(&mut self, mark: Mark) {
        if self.output.is_empty() {
            mark.set();
        } else {
            self.marks.push(mark);
        }
    }

    /// Hands on the marks of what the driver took, which has `queued` bytes now.
    pub(crate) fn take_marks(&mut self, into: &mut Marks, queued: usize) {
        into.add(&mut self.marks, queued);
    }

    /// Moves the output behind what is in `into`; what is armed stays so.
    pub(crate) fn move_output(&mut self, into: &mut Output) {
        self.first_unsent = self.pending.next_id();
        into.take(&mut self.output);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.earliest
    }

    /// Ends what should have ended by `now`; `woken` gets the wakers to be woken.
    pub(crate) fn handle_timeout(&mut self, settings: &Settings, now: Instant, woken: &mut Vec<Waker>) {
        if self.earliest.is_none_or(|earliest| earliest > now) {
            return;
        }
        let mut expired = Vec::new();
        self.earliest = self.pending.expire(now, woken, |id| expired.push(id));
        expired.into_iter().for_each(|id| self.say_cancelled(settings, id));
        if let State::Draining { until, .. } = self.state
            && until > now
        {
            self.call_at(until);
        }
    }

    /// Takes no new calls; those in flight may end until `until`. Keeps the first reason and the earliest time; but a
    /// session that redials is over for good when this side ends it, whatever was before.
    pub(crate) fn drain(&mut self, closed: Closed, until: Instant) {
        if closed.initiator == Initiator::User {
            let redialed = self.redial.take().is_some();
            if let State::Draining { closed: first, .. } = &mut self.state
                && redialed
            {
                *first = closed.clone();
            }
        }
        match &mut self.state {
            // Nothing is in flight that could end. It is closed by who would dial, unless it goes on dialing.
            State::Down(reason) if self.redial.is_none() => *reason = closed,
            State::Down(_) => {}
            State::Open | State::Greeting(_) => {
                self.state = State::Draining { closed, until, held: false };
                self.call_at(until);
                self.tell_state = true;
            }
            _ => self.drain_until(until),
        }
    }

    /// Brings the end of a drain forward.
    pub(crate) fn drain_until(&mut self, until: Instant) {
        if let State::Draining { until: first, held, .. } = &mut self.state
            && (*held || until < *first)
        {
            *held = false;
            *first = until.min(*first);
            self.call_at(until);
            self.tell_state = true;
        }
    }

    /// The connection is gone. Whether the session goes on without one; else it is to be closed.
    ///
    /// Pulls that the driver never had did not run, and those that it had may have.
    pub(crate) fn lose(&mut self, closed: &Closed, woken: &mut Vec<Waker>) -> bool {
        if self.redial.is_none() {
            return false;
        }
        let closed = match std::mem::replace(&mut self.state, State::Open) {
            State::Draining { closed, .. } => closed,
            State::Open | State::Greeting(_) => closed.clone(),
            over @ (State::Down(_) | State::Closed(_)) => {
                self.state = over;
                return self.is_down();
            }
        };
        let first_unsent = self.first_unsent;
        let ended = |id| {
            if id >= first_unsent { Ended::NotTaken(closed.clone()) } else { Ended::Closed(closed.clone()) }
        };
        self.pending.end_all(ended, woken);
        self.state = State::Down(closed);
        self.generation = self.generation.wrapping_add(1);
        self.output = Output::default();
        self.flush = Flush::Idle;
        self.earliest = None;
        self.driver = None;
        self.announced = false;
        self.remote = Features::NONE;
        self.running.clear();
        self.last_parted = None;
        self.early = false;
        self.reader_paused = false;
        self.marks = Vec::new();
        self.broken = None;
        true
    }

    /// There is a connection again; the number of it. `None` where the session is over meanwhile.
    pub(crate) fn relink(&mut self, early: bool) -> Option<Generation> {
        let State::Down(closed) = &self.state else { return None };
        self.redial?;
        self.state = State::Greeting(closed.clone());
        self.early = early;
        Some(self.generation)
    }

    /// Calls go over the new connection.
    pub(crate) fn reopen(&mut self) {
        if matches!(self.state, State::Greeting(_)) {
            self.state = State::Open;
        }
    }

    /// Has the driver end the connection as one that is lost; false where the session does not outlive it.
    pub(crate) fn break_off(&mut self, closed: &Closed) -> bool {
        if !self.redials() {
            return false;
        }
        if !self.is_down() {
            self.broken = Some(closed.clone());
            self.tell_state = true;
        }
        true
    }

    /// Why the driver is to give the connection up, where it is.
    pub(crate) fn take_broken(&mut self) -> Option<Closed> {
        self.broken.take()
    }

    /// Gives the connection up that hooks have not let pass; what was written still goes out.
    pub(crate) fn give_up(&mut self, closed: Closed, until: Instant) {
        if matches!(self.state, State::Greeting(_)) {
            self.state = State::Draining { closed, until, held: false };
            self.call_at(until);
            self.tell_state = true;
        }
    }

    /// The session does not redial any more: it ends with the connection that it has, or now.
    pub(crate) fn stop_redialing(&mut self) {
        self.redial = None;
        if let State::Down(reason) = &mut self.state {
            *reason = closed_here();
        }
    }

    /// Takes no new calls, and stays so until it is drained.
    pub(crate) fn hold(&mut self, closed: Closed, until: Instant) {
        if self.is_open() {
            self.state = State::Draining { closed, until, held: true };
        }
    }

    /// The other side sends no more: no pull of this side can be answered.
    pub(crate) fn end_pulls(&mut self, closed: &Closed, woken: &mut Vec<Waker>) {
        self.pending.end_all(|_| Ended::Closed(closed.clone()), woken);
    }

    /// The other side has answered every pull that it took: it did not take those that still wait.
    pub(crate) fn refuse_pulls(&mut self, closed: &Closed, woken: &mut Vec<Waker>) {
        self.pending.end_all(|_| Ended::NotTaken(closed.clone()), woken);
    }

    /// Whether nothing is in flight any more in a session that drains.
    ///
    /// One that redials drains with its session going on, because the other side closes, and that does so when it waits for
    /// nothing more: handlers here don't keep the session from its next connection.
    pub(crate) fn is_drained(&self) -> bool {
        matches!(self.state, State::Draining { held: false, .. })
            && self.pending.len() == 0
            && (self.serving == 0 || self.redial.is_some())
            && !self.early
            && self.output.is_empty()
    }

    /// Whether the time for a drain is up.
    pub(crate) fn is_past_drain(&self, now: Instant) -> bool {
        matches!(self.state, State::Draining { until, .. } if now >= until)
    }

    /// Ends everything. Keeps the first reason.
    pub(crate) fn close(&mut self, closed: Closed, woken: &mut Vec<Waker>) {
        let closed = match std::mem::replace(&mut self.state, State::Open) {
            State::Open | State::Down(_) | State::Greeting(_) => closed,
            State::Draining { closed: first, .. } | State::Closed(first) => first,
        };
        self.end_pulls(&closed, woken);
        self.state = State::Closed(closed);
        self.output = Output::default();
        self.marks = Vec::new();
        self.running.clear();
        self.earliest = None;
        woken.extend(self.driver.take());
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether there is no connection, and another is being dialed.
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.state, State::Down(_))
    }

    /// Whether a connection takes calls, if only those of hooks.
    pub(crate) fn is_linked(&self) -> bool {
        matches!(self.state, State::Open | State::Greeting(_))
    }

    /// Whether hooks look at the connection, which is that of this number.
    pub(crate) fn is_greeted_by(&self, generation: Generation) -> bool {
        matches!(self.state, State::Greeting(_)) && generation == self.generation
    }

    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether the connection of this number is gone, and the session may be on another.
    pub(crate) fn is_gone(&self, generation: Generation) -> bool {
        generation != self.generation || self.is_closed()
    }

    /// Whether the session outlives its connection.
    pub(crate) fn redials(&self) -> bool {
        self.redial.is_some() && !self.is_closed()
    }

    /// Why calls have no connection to go over, where they are to get one.
    pub(crate) fn awaits_connection(&self) -> Option<&Closed> {
        match &self.state {
            State::Down(closed) | State::Greeting(closed) => Some(closed),
            State::Draining { closed, .. } if self.redial.is_some() => Some(closed),
            _ => None,
        }
    }

    fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining { .. })
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Why the session takes no calls, where it doesn't.
    pub(crate) fn closed(&self) -> Option<&Closed> {
        match &self.state {
            State::Open => None,
            State::Draining { closed, .. }
            | State::Down(closed)
            | State::Greeting(closed)
            | State::Closed(closed) => Some(closed),
        }
    }

    pub(super) fn state(&self) -> SessionState {
        match &self.state {
            State::Open => SessionState::Open,
            State::Draining { .. } => SessionState::Draining,
            State::Down(_) | State::Greeting(_) => SessionState::Down,
            State::Closed(_) => SessionState::Closed,
        }
    }

    /// Handlers that run in tasks, and pulls that wait for their reply.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.serving as usize, self.pending.len())
    }

    fn admit(&self, settings: &Settings, generation: Generation) -> Result<(), Refused> {
        if let Some(closed) = self.closed() {
            self.admit_unopened(closed, generation)?;
        }
        if self.output.len() > settings.limits.max_queued as usize {
            return Err(Refused::Full);
        }
        Ok(())
    }

    #[cold]
    fn admit_unopened(&self, closed: &Closed, generation: Generation) -> Result<(), Refused> {
        match (self.awaits_connection(), self.redial) {
            // The hooks that look at a new connection may use it.
            (Some(_), _) if self.is_greeted_by(generation) => Ok(()),
            (Some(closed), Some(Policy { waits: true, max_waiting })) => {
                let waiting: usize = Need::OF_CALLS.map(|need| self.waiting[need as usize]).iter().sum();
                Err(if waiting < max_waiting as usize {
                    Refused::Full
                } else {
                    Refused::Crowded(closed.clone(), max_waiting)
                })
            }
            (Some(closed), Some(_)) => Err(Refused::Down(closed.clone())),
            _ => Err(Refused::Closed(closed.clone())),
        }
    }

    fn arm(&mut self) {
        if self.flush == Flush::Idle {
            self.flush = Flush::Armed;
            self.tell_output = true;
        }
    }

    fn call_at(&mut self, at: Instant) {
        if self.earliest.is_none_or(|earliest| at < earliest) {
            self.earliest = Some(at);
            self.tell_state = true;
        }
    }

    fn write(
        &mut self,
        settings: &Settings,
        id: u64,
        kind: Kind,
        packet: Outgoing<'_>,
    ) -> Result<(), WireError> {
        let headers = &settings.headers;
        let mut digits = itoa::Buffer::new();
        let packet_id = packet_id(settings, id, &mut digits);
        if let (PacketId::Text(id), Some((codec, payload, from))) = (&packet_id, &packet.body)
            && headers.codec == ProtobufHeader::ID
            && self.announced
            && packet.gzip == 0
            && packet.timeout_ms == 0
            && packet.trace.is_none()
            && payload.len() - from < LARGE_BODY
            && wire::write_plain(
                self.output.tail(),
                kind,
                (id, packet.uri),
                (*codec, &payload[*from..]),
                &settings.wire,
            )
        {
            return Ok(());
        }
        let mut header = Header::new(packet_id, kind, packet.uri);
        header.gzip = packet.gzip;
        if !self.announced {
            header.features = headers.features;
        }
        if packet.timeout_ms > 0 && self.tells(settings, Features::DEADLINE) {
            header.timeout_ms = packet.timeout_ms;
        }
        if packet.trace.is_some() && self.tells(settings, Features::TRACE) {
            header.trace = packet.trace.map(Box::new);
        }
        let write_head = |out: &mut Vec<u8>, codec: u8, payload: &[u8]| {
            let length = payload.len();
            wire::write_head(out, &headers.codecs, headers.codec, &header, codec, length, &settings.wire)
        };
        match packet.body {
            Some((codec, payload, from))
                if payload.len() - from >= PARTED_BODY
                    && kind.is_pull()
                    && self.remote.contains(Features::PARTS) =>
            {
                let mut head = buffer::take();
                write_head(&mut head, codec, &payload[from..])?;
                let payload = Bytes::from(std::mem::take(payload)).slice(from..);
                self.output.push_bulk(head, payload, false);
                self.last_parted = Some(id);
            }
            Some((codec, payload, from)) if payload.len() - from >= LARGE_BODY => {
                write_head(self.output.tail(), codec, &payload[from..])?;
                self.output.push_chunk_from(std::mem::take(payload), from);
            }
            Some((codec, payload, from)) => {
                let body = Body::Payload { codec, payload: &payload[from..] };
                let tail = self.output.tail();
                wire::write(tail, &headers.codecs, headers.codec, &header, body, &settings.wire)?;
            }
            None => {
                let tail = self.output.tail();
                wire::write(tail, &headers.codecs, headers.codec, &header, Body::None, &settings.wire)?;
            }
        }
        self.announced = true;
        Ok(())
    }
}

/// A number as ids are written here.
fn packet_id<'d>(settings: &Settings, id: u64, digits: &'d mut itoa::Buffer) -> PacketId<'d> {
    match settings.headers.id_format {
        IdFormat::Sequence => PacketId::Sequence(id),
        _ => PacketId::Text(digits.format(id).into()),
    }
}

/// The reason for a session that this side closed.
pub(crate) fn closed_here() -> Closed {
    Closed { initiator: Initiator::User, reason: "this side closed it".into() }
}
