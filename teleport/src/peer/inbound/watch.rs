//! When handlers are timed: after a read whose packets took long.

use std::time::{Duration, Instant};

use crate::session::Shared;

/// A read whose packets take longer has a handler among them that computes for long, or very many that are quick. Far
/// more than the packets of one read take when their handlers are quick, which is some ten microseconds.
const LONG: Duration = Duration::from_micros(500);
/// Handlers are timed up to so many reads after such a one. What they cost in between is looking at the clock twice.
const READS: u32 = 64;

/// Times reads, and says whether handlers are to be timed.
#[derive(Default)]
pub(super) struct Watch {
    began: Option<Instant>,
    /// Reads in which handlers are still timed.
    left: u32,
}

impl Watch {
    pub(super) fn begin(&mut self) {
        self.began = Some(Instant::now());
    }

    /// Ends a read that brought something.
    pub(super) fn end(&mut self, shared: &Shared) {
        let Some(began) = self.began.take() else { return };
        if began.elapsed() > LONG {
            self.left = READS;
            shared.watch(true);
        } else if self.left > 0 {
            self.left -= 1;
            if self.left == 0 {
                shared.watch(false);
            }
        }
    }
}
