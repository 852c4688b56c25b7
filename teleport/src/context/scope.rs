//! What runs as a part of a call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use crate::travel::{Travel, within};

pin_project! {
    /// A future whose calls have the deadline and the trace of a call; [`Context::scope`](crate::Context::scope) makes it.
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Scoped<F> {
        travel: Option<Arc<Travel>>,
        #[pin]
        future: F,
    }
}

impl<F> Scoped<F> {
    pub(super) fn new(travel: Option<Arc<Travel>>, future: F) -> Self {
        Scoped { travel, future }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        within(this.travel.as_ref(), || this.future.poll(task))
    }
}

impl<F> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").field("of", &self.travel).finish_non_exhaustive()
    }
}
