//! What a session holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Compares what is allocated with the most that may be.
#[derive(Clone)]
pub(super) struct Meter(Arc<Inner>);

struct Inner {
    before: AtomicUsize,
    most: usize,
}

impl Meter {
    pub(super) fn new(most: usize) -> Self {
        Meter(Arc::new(Inner { before: AtomicUsize::new(0), most }))
    }

    /// Counts from here.
    pub(super) fn begin(&self) {
        self.0.before.store(crate::allocated(), Ordering::Relaxed);
    }

    /// Panics where too much is held.
    pub(super) fn look(&self) {
        let held = crate::allocated().saturating_sub(self.0.before.load(Ordering::Relaxed));
        let most = self.0.most;
        assert!(held <= most, "the session holds {held} bytes, where its limits allow {most}");
    }
}
