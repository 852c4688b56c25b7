//! What the driver of a session and its callers share.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::early::Early;
use super::hooks::CallHooks;
use super::ledger::Ledger;
use super::machine::{Generation, Machine, Policy};
use super::patience::Patience;
use super::pending::Ended;
use super::redial::{Redial, WhileDown};
use super::settings::Settings;
use super::wait::{Need, Room};
use crate::error::{Closed, Initiator};
use crate::extensions::Extensions;
#[cfg(feature = "tls")]
use crate::socket::TlsInfo;
use crate::socket::{Address, Connection, Output, Writer};
use crate::wire::Features;

const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) struct Shared {
    machine: Mutex<Machine>,
    /// For writes in place; gone with the connection, which the driver holds as well.
    writer: Mutex<Option<Arc<dyn Writer>>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) ledger: Arc<Ledger>,
    /// What is known of the connection; of the last one, where there is none.
    link: RwLock<Link>,
    /// How the session redials, where it does.
    pub(crate) redial: Option<Redial>,
    /// By which the peer knows the session.
    pub(super) id: RwLock<Arc<str>>,
    pub(crate) extensions: Extensions,
    /// What plugins want to see of the calls that this side makes.
    pub(crate) hooks: Option<Arc<dyn CallHooks>>,
    /// What comes before the session is open; `None` where it is open from the start.
    pub(crate) early: Option<Early>,
    /// When the other side last gave a sign of life; kept from when it was first asked for.
    last_alive: LastAlive,
    pub(crate) patience: Patience,
    /// Wakes one of those that wait for room, by what they need.
    rooms: [Notify; Need::COUNT],
    /// The session is closed.
    pub(crate) over: CancellationToken,
    /// It dials no more; so it is where the session is closed.
    pub(crate) quit: CancellationToken,
    /// Calls were put into the machine's output since the driver took it.
    queued: AtomicBool,
    /// Nothing that the other side begins is taken any more.
    ending: AtomicBool,
    /// Handlers are timed.
    watched: AtomicBool,
    /// A reply has told the other side what this one understands.
    announced: AtomicBool,
    /// What the other side understands, as in the machine.
    understood: AtomicU32,
    /// No call of this side begins any more.
    shut: AtomicBool,
    /// Wakes those that wait for that.
    shut_told: Notify,
    /// Wakes those that wait for another state of the session.
    pub(super) changed: Notify,
    /// Pushes of the other side that nobody took.
    pub(crate) refused: AtomicU64,
    /// Ends the handlers that run in tasks, where the session is aborted; those of all its connections.
    pub(crate) cancel: CancellationToken,
}

/// What belongs to one connection of a session.
pub(crate) struct Link {
    pub(crate) local: Address,
    pub(crate) remote: Address,
    /// What the handshake found out, where it runs over TLS.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<TlsInfo>>,
    /// Its number.
    generation: Generation,
    /// Ends the handlers that it started.
    handlers: CancellationToken,
    /// It is lost, and the session goes on without it.
    gone: CancellationToken,
}

impl Link {
    pub(crate) fn new(connection: &Connection) -> Self {
        Link {
            local: connection.local_addr().clone(),
            remote: connection.remote_addr().clone(),
            #[cfg(feature = "tls")]
            tls: connection.tls.clone(),
            generation: 1,
            handlers: CancellationToken::new(),
            gone: CancellationToken::new(),
        }
    }
}

#[derive(Default)]
struct LastAlive {
    is_wanted: AtomicBool,
    at: Mutex<Option<Instant>>,
}

impl Shared {
    pub(crate) fn new(
        writer: Arc<dyn Writer>,
        settings: Arc<Settings>,
        ledger: Arc<Ledger>,
        mut link: Link,
        redial: Option<Redial>,
    ) -> Self {
        let mut machine = Machine::new();
        let (cancel, over) = (CancellationToken::new(), CancellationToken::new());
        link.handlers = cancel.clone();
        if let Some(redial) = &redial {
            let waits = redial.while_down == WhileDown::Wait;
            machine.set_redial(Policy { waits, max_waiting: redial.max_waiting });
            link.handlers = cancel.child_token();
        }
        Shared {
            machine: Mutex::new(machine),
            writer: Mutex::new(Some(writer)),
            settings,
            ledger,
            link: RwLock::new(link),
            redial,
            id: RwLock::new("".into()),
            extensions: Extensions::default(),
            hooks: None,
            early: None,
            last_alive: LastAlive::default(),
            patience: Patience::default(),
            rooms: [const { Notify::const_new() }; Need::COUNT],
            quit: over.child_token(),
            over,
            queued: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            announced: AtomicBool::new(false),
            understood: AtomicU32::new(0),
            shut: AtomicBool::new(false),
            shut_told: Notify::const_new(),
            changed: Notify::const_new(),
            refused: AtomicU64::new(0),
            cancel,
        }
    }

    /// Adds what plugins want to see, and holds what comes before they let the session be opened.
    pub(crate) fn with_plugins(mut self, hooks: Option<Arc<dyn CallHooks>>, early: bool) -> Self {
        self.hooks = hooks;
        if early {
            self.early = Some(Early::default());
            // Until the driver has done with the line; it keeps the session from being closed before that.
            self.machine.get_mut().set_early(true);
        }
        self
    }

    pub(crate) fn id(&self) -> Arc<str> {
        self.id.read().clone()
    }

    /// Whether plugins have not let the session be opened yet. One that was open and dials again is not early.
    pub(crate) fn is_early(&self) -> bool {
        self.early.as_ref().is_some_and(|early| !early.was_open())
    }

    /// Whether plugins have let the connection that there is pass.
    pub(crate) fn is_let_in(&self) -> bool {
        self.early.as_ref().is_none_or(Early::is_open)
    }

    /// Address of this end.
    pub(crate) fn local(&self) -> Address {
        self.link.read().local.clone()
    }

    /// Address of the other end.
    pub(crate) fn remote(&self) -> Address {
        self.link.read().remote.clone()
    }

    #[cfg(feature = "tls")]
    pub(super) fn tls(&self) -> Option<Arc<TlsInfo>> {
        self.link.read().tls.clone()
    }

    /// What ends the handlers of the connection that there is.
    pub(crate) fn handlers(&self) -> CancellationToken {
        self.link.read().handlers.clone()
    }

    /// What ends the handlers of the connection of this number; where that is past, it has.
    pub(crate) fn handlers_of(&self, generation: Generation) -> CancellationToken {
        let link = self.link.read();
        if link.generation == generation {
            return link.handlers.clone();
        }
        let past = CancellationToken::new();
        past.cancel();
        past
    }

    /// What tells that the connection that there is is lost.
    pub(super) fn gone(&self) -> CancellationToken {
        self.link.read().gone.clone()
    }

    /// Whether calls go out as they are: no plugin sees them, and none is kept.
    pub(super) fn is_plain(&self) -> bool {
        self.hooks.is_none() && self.redial.is_none()
    }

    /// Whether a pull is to be kept until it is answered, so that it can go over the next connection too.
    pub(super) fn keeps(&self, idempotent: bool) -> bool {
        self.redial.as_ref().is_some_and(|redial| idempotent || redial.while_down == WhileDown::Wait)
    }

    /// Notes that the other side gives a sign of life now.
    pub(crate) fn note_alive(&self) {
        if self.last_alive.is_wanted.load(Ordering::Relaxed) {
            *self.last_alive.at.lock() = Some(now());
        }
    }

    /// When the other side last gave a sign of life; from the first time that it is asked for on. Now, where this side
    /// does not look for one.
    pub(super) fn last_alive(&self) -> Instant {
        self.last_alive.is_wanted.store(true, Ordering::Relaxed);
        if self.machine.lock().is_reader_stopped(&self.settings) {
            return now();
        }
        *self.last_alive.at.lock().get_or_insert_with(now)
    }

    /// The machine, for the driver, which needs no nudge.
    pub(crate) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock()
    }

    /// Changes the machine and sees to it that what follows from the change happens.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Machine) -> R) -> R {
        let mut machine = self.machine.lock();
        let result = change(&mut machine);
        if machine.queued() > 0 {
            self.queued.store(true, Ordering::Relaxed);
        }
        let nudge = machine.nudge();
        drop(machine);
        nudge.give();
        result
    }

    /// How a pull ended, if it has; else `waker` is kept.
    pub(super) fn take_pull(&self, id: u64, waker: &Waker) -> Option<Ended> {
        let mut machine = self.machine.lock();
        let ended = machine.take_pull(id, waker)?;
        if machine.has_waiting() || !machine.is_open() {
            let (room, nudge) = (machine.room_for_waiting(&self.settings), machine.nudge());
            drop(machine);
            nudge.give();
            self.tell_of(room);
        }
        Some(ended)
    }

    /// Writes the output in place where it is one lone call's: that saves waking the driver.
    pub(crate) fn write_in_place(&self, machine: &mut Machine) {
        if !machine.is_lone() {
            return;
        }
        let Some(bytes) = machine.lone_output() else { return };
        // An error is the driver's to find and to tell: the bytes stay.
        if let Some(Ok(count)) = self.writer.lock().as_ref().map(|writer| writer.try_write(bytes)) {
            machine.written_in_place(count);
        }
    }

    /// Moves the calls that were made on this thread behind what is in `out`, so that a reply which is added next
    /// stands behind them.
    pub(crate) fn move_calls(&self, out: &mut Output) {
        // A plain load, as this is asked for each packet: what this thread did itself it sees.
        if self.queued.load(Ordering::Relaxed) {
            self.queued.store(false, Ordering::Relaxed);
            self.machine().move_output(out);
        }
    }

    /// Where those wait that need this.
    pub(super) fn room(&self, need: Need) -> &Notify {
        &self.rooms[need as usize]
    }

    /// Wakes one of those that wait for each kind of room that there is.
    pub(crate) fn tell_of(&self, room: Room) {
        for need in Need::ALL {
            if room.is_there(need) {
                self.room(need).notify_one();
            }
        }
    }

    /// Whether nothing that the other side begins is taken any more: the session drains or is closed, or its peer shuts
    /// down and waits for the handlers, which may still call.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Whether handlers are to be timed, as one of them holds the reader.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    pub(crate) fn watch(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// Whether replies have nothing more to announce.
    #[inline]
    pub(crate) fn has_announced(&self) -> bool {
        self.announced.load(Ordering::Relaxed) || self.settings.headers.features.is_none()
    }

    /// What a reply is to announce: what this side understands, in the first one.
    pub(crate) fn announcement(&self) -> Features {
        if self.announced.load(Ordering::Relaxed) || self.announced.swap(true, Ordering::Relaxed) {
            return Features::NONE;
        }
        self.settings.headers.features
    }

    /// The same of a reply that may not go out.
    pub(crate) fn due_announcement(&self) -> Features {
        if self.announced.load(Ordering::Relaxed) { Features::NONE } else { self.settings.headers.features }
    }

    /// Notes what the other side announces.
    pub(crate) fn learn(&self, features: Features) {
        if !features.is_none() {
            self.understood.fetch_or(features.bits(), Ordering::Relaxed);
            self.machine().learn(features);
        }
    }

    /// Whether the other side understands all of `features`.
    pub(crate) fn is_understood(&self, features: Features) -> bool {
        Features::new(self.understood.load(Ordering::Relaxed)).contains(features)
    }

    /// Whether this side goes by what it announces of this, and by what of it comes.
    pub(crate) fn heeds(&self, features: Features) -> bool {
        self.settings.headers.features.contains(features)
    }

    /// The caller of this pull has gone away: its handler is stopped where it runs in a task and may be. Whether there was
    /// one.
    pub(crate) fn stop_handler(&self, pull: u64) -> bool {
        let stopped = self.machine().running.cancel(pull);
        if let Some(Some(task)) = &stopped {
            task.abort();
        }
        stopped.is_some()
    }

    /// Whether no call of this side begins any more; the machine says the same, and costs its lock.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// Waits for that.
    pub(super) async fn shut(&self) {
        let mut told = std::pin::pin!(self.shut_told.notified());
        told.as_mut().enable();
        if !self.is_shut() {
            told.await;
        }
    }

    /// Notes that the machine is no longer open.
    fn tell_shut(&self) {
        self.shut.store(true, Ordering::Release);
        self.shut_told.notify_waiters();
        self.changed.notify_waiters();
    }

    /// Lets go of the connection, so that handles of a session that is over don't keep it open.
    pub(crate) fn forget_connection(&self) {
        *self.writer.lock() = None;
    }

    /// Lets one call that waits for room try again, where there is room or none will come.
    pub(crate) fn pass_on_room(&self) {
        let room = self.machine().room_for_waiting(&self.settings);
        self.tell_of(room);
    }

    /// Takes nothing any more that the other side begins; calls of this side go on.
    pub(crate) fn stop_taking(&self) {
        self.ending.store(true, Ordering::Release);
        if self.redial.is_none() {
            return;
        }
        self.with(Machine::stop_redialing);
        self.quit.cancel();
    }

    /// The other side takes no more calls: none begins here, and the session waits for it to end.
    pub(crate) fn hold(&self, closed: Closed) {
        self.with(|machine| machine.hold(closed, now() + A_YEAR));
        self.tell_shut();
        self.pass_on_room();
    }

    /// Starts the end of the session: calls in flight may end within the close timeout.
    pub(crate) fn drain(&self, closed: Closed) {
        self.drain_until(closed, in_a_while(self.settings.timeouts.close));
    }

    /// Nothing is left to be done but to wait for the other side to end, too: that takes no longer than a close.
    pub(crate) fn linger(&self) {
        let until = in_a_while(self.settings.timeouts.close);
        self.with(|machine| machine.drain_until(until));
    }

    /// As [`drain`](Self::drain), with a time for it.
    pub(crate) fn drain_within(&self, closed: Closed, after: Duration) {
        self.drain_until(closed, in_a_while(after));
    }

    /// As [`drain`](Self::drain), with another end.
    pub(crate) fn drain_until(&self, closed: Closed, until: Instant) {
        let (redials, goes_on) = self.with(|machine| {
            machine.drain(closed, until);
            // It was lost before it could be drained, and is dialed again as it is.
            let goes_on = machine.redials() && machine.is_down();
            self.ending.fetch_or(!goes_on, Ordering::AcqRel);
            (machine.redials(), goes_on)
        });
        if goes_on {
            return;
        }
        if !redials {
            self.quit.cancel();
        }
        self.tell_shut();
        self.tell_early();
        self.pass_on_room();
    }

    fn tell_early(&self) {
        if let Some(early) = &self.early {
            early.ending();
        }
    }

    /// Ends the session at once.
    pub(crate) fn close(&self, closed: Closed) {
        let mut woken = Vec::new();
        self.with(|machine| {
            machine.close(closed, &mut woken);
            self.ending.store(true, Ordering::Release);
        });
        self.tell_shut();
        woken.into_iter().for_each(Waker::wake);
        self.over.cancel();
        self.tell_early();
        self.pass_on_room();
    }

    /// The connection is gone. Whether the session goes on without one; else it is to be closed.
    pub(crate) fn lose(&self, closed: &Closed) -> bool {
        // One that was never open has nothing to go on with: its dial fails.
        if self.redial.is_none() || self.is_early() {
            return false;
        }
        let mut woken = Vec::new();
        let (down, serving) = self.with(|machine| {
            let down = machine.lose(closed, &mut woken);
            if down {
                self.ending.store(false, Ordering::Release);
                self.shut.store(false, Ordering::Release);
                self.announced.store(false, Ordering::Relaxed);
                self.understood.store(0, Ordering::Relaxed);
            }
            (down, machine.serving())
        });
        if !down {
            return false;
        }
        if serving > 0 {
            // They go on for as long as they would after a close.
            let (handlers, after) = (self.handlers(), self.settings.timeouts.close);
            tokio::spawn(async move {
                let time_is_up = handlers.run_until_cancelled(tokio::time::sleep(after)).await.is_some();
                if time_is_up {
                    handlers.cancel();
                }
            });
        }
        self.patience.start_again();
        self.gone().cancel();
        woken.into_iter().for_each(Waker::wake);
        self.changed.notify_waiters();
        self.tell_early();
        self.pass_on_room();
        true
    }

    /// There is a connection again; the number of it. `None` where the session is over meanwhile.
    pub(crate) fn relink(&self, mut link: Link, writer: Arc<dyn Writer>) -> Option<Generation> {
        link.handlers = self.cancel.child_token();
        link.generation = self.machine().generation();
        *self.link.write() = link;
        *self.writer.lock() = Some(writer);
        if let Some(early) = &self.early {
            early.begin_again();
        }
        self.note_alive();
        self.patience.start_again();
        let generation = self.with(|machine| machine.relink(self.early.is_some()));
        if generation.is_none() {
            self.forget_connection();
        }
        generation
    }

    /// Calls go over the new connection from now on.
    pub(crate) fn reopen(&self) {
        self.with(Machine::reopen);
        self.changed.notify_waiters();
        self.pass_on_room();
    }

    /// Ends the connection as one that is lost, where the session goes on without; its driver does it. Whether it will.
    pub(crate) fn break_off(&self, closed: &Closed) -> bool {
        self.redial.is_some() && !self.is_early() && self.with(|machine| machine.break_off(closed))
    }

    /// Ends the connection that hooks have not let pass, and not the session, which dials again.
    pub(crate) fn give_up_connection(&self, reason: impl Into<Cow<'static, str>>) {
        let closed = Closed { initiator: Initiator::Library, reason: reason.into() };
        let until = in_a_while(self.settings.timeouts.close);
        self.with(|machine| machine.give_up(closed, until));
        self.changed.notify_waiters();
        self.tell_early();
    }

    /// Adds a reply of a handler, where the connection is still there over which its pull came.
    pub(crate) fn append(&self, generation: Generation, reply: &mut Output) {
        self.with(|machine| machine.append(generation, reply));
        self.drop_reply(reply);
    }

    /// Drops a reply that no connection takes. It may have had the announcement of the connection that is there now.
    pub(super) fn drop_reply(&self, reply: &mut Output) {
        if !reply.is_empty() {
            *reply = Output::default();
            self.announced.store(false, Ordering::Relaxed);
        }
    }
}

/// So much later than now; a time too far off to be counted is as good as any other.
pub(crate) fn in_a_while(after: Duration) -> Instant {
    now().checked_add(after).unwrap_or_else(|| now() + A_YEAR)
}

/// Tokio's time, so that a paused clock pauses sessions too.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
