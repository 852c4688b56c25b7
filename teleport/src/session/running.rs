//! Handlers in tasks of their own that end where their callers have gone away.

use hashbrown::HashMap;
use tokio::task::AbortHandle;

/// A table that has grown larger than this is not kept when it is empty.
const KEPT: usize = 64;

/// Of one connection, by the ids of their pulls. There are as many as handlers run in tasks, at the most.
#[derive(Default)]
pub(crate) struct Running {
    // Seeded at random: the ids come from the other side.
    handlers: HashMap<u64, Handler, foldhash::fast::RandomState>,
    last: u32,
}

struct Handler {
    number: u32,
    /// None while its task is not there yet.
    task: Option<AbortHandle>,
}

/// A handler in the table. An id may come twice, and so it is numbered too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunningId {
    pull: u64,
    number: u32,
}

impl Running {
    /// Enters the handler of a pull.
    pub(super) fn enter(&mut self, pull: u64) -> RunningId {
        self.last = self.last.wrapping_add(1);
        self.handlers.insert(pull, Handler { number: self.last, task: None });
        RunningId { pull, number: self.last }
    }

    /// Adds its task; gives it back where the handler has ended, or its caller has gone away meanwhile.
    pub(super) fn set_task(&mut self, id: RunningId, task: AbortHandle) -> Option<AbortHandle> {
        match self.handlers.get_mut(&id.pull) {
            Some(handler) if handler.number == id.number => {
                handler.task = Some(task);
                None
            }
            _ => Some(task),
        }
    }

    /// Takes out the handler of a pull whose caller has gone away: whether there is one, and its task, which is to be
    /// stopped when the lock is released.
    pub(super) fn cancel(&mut self, pull: u64) -> Option<Option<AbortHandle>> {
        Some(self.handlers.remove(&pull)?.task)
    }

    /// Takes out a handler that has ended: whether its caller still waits.
    pub(super) fn leave(&mut self, id: RunningId) -> bool {
        let Some(handler) = self.handlers.get(&id.pull) else { return false };
        if handler.number == id.number {
            self.handlers.remove(&id.pull);
            if self.handlers.is_empty() && self.handlers.capacity() > KEPT {
                self.handlers = HashMap::default();
            }
        }
        true
    }

    /// Forgets those of a connection that is gone.
    pub(super) fn clear(&mut self) {
        self.handlers = HashMap::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_handler_is_found_by_its_pull_until_it_has_ended() {
        let mut running = Running::default();
        let task = || tokio::spawn(std::future::pending::<()>()).abort_handle();
        assert!(running.cancel(7).is_none());
        let id = running.enter(7);
        assert!(running.set_task(id, task()).is_none());
        assert!(matches!(running.cancel(7), Some(Some(_))));
        assert!(!running.leave(id) && running.cancel(7).is_none(), "it ends once");

        let early = running.enter(7);
        assert!(matches!(running.cancel(7), Some(None)), "before its task was there");
        assert!(running.set_task(early, task()).is_some());

        let (first, second) = (running.enter(7), running.enter(7));
        assert!(running.leave(first) && running.set_task(first, task()).is_some());
        assert!(running.set_task(second, task()).is_none() && running.leave(second));
        assert!(running.handlers.is_empty());
    }

    #[test]
    fn a_burst_leaves_no_table_behind() {
        let mut running = Running::default();
        let ids: Vec<_> = (0..1000).map(|pull| running.enter(pull)).collect();
        ids.into_iter().for_each(|id| assert!(running.leave(id)));
        assert_eq!(running.handlers.capacity(), 0);
    }
}
