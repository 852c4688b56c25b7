//! When a packet was handed to the connection.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::call::now;

/// Set when the packet that it was made for has left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark(Arc<OnceLock<Instant>>);

impl Mark {
    pub(crate) fn set(&self) {
        self.0.get_or_init(now);
    }

    pub(super) fn at(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

/// Marks of packets that wait to be written, in order. Nothing where no call is logged.
#[derive(Default)]
pub(crate) struct Marks(Option<Box<Waiting>>);

#[derive(Default)]
struct Waiting {
    /// Bytes written since the first mark.
    written: u64,
    /// After how many bytes each has left.
    marks: VecDeque<(u64, Mark)>,
}

impl Marks {
    /// Adds marks of packets behind which nothing waits: `queued` bytes are still to be written, theirs at the end.
    pub(crate) fn add(&mut self, marks: &mut Vec<Mark>, queued: usize) {
        if marks.is_empty() {
            return;
        }
        let waiting = self.0.get_or_insert_default();
        let after = waiting.written + queued as u64;
        waiting.marks.extend(std::mem::take(marks).into_iter().map(|mark| (after, mark)));
    }

    /// Notes that so many bytes were written.
    pub(crate) fn written(&mut self, bytes: usize) {
        let Some(waiting) = &mut self.0 else { return };
        waiting.written += bytes as u64;
        while waiting.marks.front().is_some_and(|(after, _)| *after <= waiting.written) {
            waiting.marks.pop_front().inspect(|(_, mark)| mark.set());
        }
        if waiting.marks.is_empty() {
            self.0 = None;
        }
    }
}
