//! A handler that runs in a task of its own.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use super::handle::Session;
use super::running::RunningId;
use super::wait::Need;
use crate::socket::Output;

/// Counts the handler, and answers its pull even where the handler is dropped or panics.
pub(crate) struct Serving {
    session: Session,
    /// The whole reply that is written when no other is; empty for a push.
    fallback: Output,
    /// Bytes of the packet that the handler holds, of the copies of its header, and of the fallback.
    bytes: usize,
    /// Where it ends when its caller goes away.
    running: Option<RunningId>,
}

impl Serving {
    /// Counts a handler; one that is to end when its caller goes away with the id of its pull.
    pub(crate) fn start(session: Session, fallback: Output, bytes: usize, pull: Option<u64>) -> Self {
        let bytes = bytes + fallback.len();
        let mut machine = session.shared().machine();
        machine.start_serving(bytes);
        let pull = pull.filter(|_| !machine.is_gone(session.generation()));
        let running = pull.map(|pull| machine.running.enter(pull));
        drop(machine);
        Serving { session, fallback, bytes, running }
    }

    /// Runs the handler in a task.
    pub(crate) fn spawn<F>(self, run: impl FnOnce(Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(running) = self.running else { return drop(tokio::spawn(run(self))) };
        let shared = self.session.shared().clone();
        let task = tokio::spawn(run(self)).abort_handle();
        let over = shared.machine().running.set_task(running, task);
        if let Some(task) = over {
            task.abort();
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// What ends the handler, when its connection is lost for long enough, or the session is cut off.
    pub(crate) fn handlers(&self) -> CancellationToken {
        self.session.shared().handlers_of(self.session.generation())
    }

    /// Hands the reply to the session, when the session has room for it.
    pub(crate) async fn finish(mut self, mut reply: Output) {
        let (shared, generation) = (self.session.shared().clone(), self.session.generation());
        let most = shared.settings.limits.max_queued as usize;
        loop {
            {
                let mut machine = shared.machine();
                // A session that closes makes none wait: nothing more begins, and what is here is held either way.
                if machine.queued() <= most || !machine.is_open() || machine.is_gone(generation) {
                    machine.append(generation, &mut reply);
                    let nudge = machine.nudge();
                    drop(machine);
                    nudge.give();
                    break;
                }
            }
            shared.gone().run_until_cancelled(shared.wait_for_room(Need::LinkOutput, None)).await;
        }
        shared.drop_reply(&mut reply);
        // Not needed any more; its buffer is kept.
        self.fallback.advance(self.fallback.len());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let shared = self.session.shared();
        let last = shared.with(|machine| {
            // Where its caller has gone away nobody waits for any answer.
            if self.running.is_none_or(|running| machine.running.leave(running)) {
                machine.append(self.session.generation(), &mut self.fallback);
            }
            machine.stop_serving(self.bytes);
            machine.serving() == 0
        });
        if last && shared.is_ending() {
            shared.ledger.tell();
        }
    }
}
