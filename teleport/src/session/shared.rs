//! What the driver of a session and its callers share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use super::settings::Settings;
use crate::error::Closed;
use crate::socket::{Address, Writer};

pub(crate) struct Shared {
    machine: Mutex<Machine>,
    /// For writes in place; gone with the connection, which the driver holds as well.
    writer: Mutex<Option<Arc<dyn Writer>>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) local: Address,
    pub(crate) remote: Address,
    /// Wakes one call that waits for room.
    pub(crate) room: Notify,
    /// Pushes of the other side that nobody took.
    pub(crate) refused: AtomicU64,
    /// Ends the handlers that run in tasks, where the session is aborted.
    pub(crate) cancel: CancellationToken,
}

impl Shared {
    pub(crate) fn new(
        writer: Arc<dyn Writer>,
        settings: Arc<Settings>,
        local: Address,
        remote: Address,
    ) -> Self {
        Shared {
            machine: Mutex::new(Machine::new()),
            writer: Mutex::new(Some(writer)),
            settings,
            local,
            remote,
            room: Notify::new(),
            refused: AtomicU64::new(0),
            cancel: CancellationToken::new(),
        }
    }

    /// The machine, for the driver, which needs no nudge.
    pub(crate) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock()
    }

    /// Changes the machine and sees to it that what follows from the change happens.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Machine) -> R) -> R {
        let mut machine = self.machine.lock();
        let result = change(&mut machine);
        let nudge = machine.nudge();
        drop(machine);
        nudge.give();
        result
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

    /// Lets go of the connection, so that handles of a session that is over don't keep it open.
    pub(crate) fn forget_connection(&self) {
        *self.writer.lock() = None;
    }

    /// Lets one call that waits for room try again, where there is room or none will come.
    pub(crate) fn pass_on_room(&self) {
        if self.machine().has_room_for_waiting(&self.settings) {
            self.room.notify_one();
        }
    }

    /// Starts the end of the session: calls in flight may end within the close timeout.
    pub(crate) fn drain(&self, closed: Closed) {
        let until = now() + self.settings.timeouts.close;
        self.with(|machine| machine.drain(closed, until));
        self.pass_on_room();
    }

    /// Ends the session at once.
    pub(crate) fn close(&self, closed: Closed) {
        let mut woken = Vec::new();
        self.with(|machine| machine.close(closed, &mut woken));
        woken.into_iter().for_each(Waker::wake);
        self.pass_on_room();
    }
}

/// Tokio's time, so that a paused clock pauses sessions too.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
