//! Whether a peer should get more calls, as it tells those who ask.

use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by the peer and the handler that answers; both are set by the peer alone.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    /// The program has said so.
    draining: AtomicBool,
    /// A shutdown has begun; that is for good.
    ending: AtomicBool,
}

impl Readiness {
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed) || self.ending.load(Ordering::Relaxed)
    }

    pub(super) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }
}
