//! What goes from a call to those that its handler makes: until when somebody waits for it, and which trace it is of.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use crate::wire::TraceParent;

/// What a call brought along, where it brought anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Travel {
    /// When its caller gives up.
    pub(crate) deadline: Option<Instant>,
    pub(crate) trace: Option<TraceParent>,
}

impl Travel {
    /// Where there is something to it.
    pub(crate) fn new(deadline: Option<Instant>, trace: Option<TraceParent>) -> Option<Arc<Self>> {
        (deadline.is_some() || trace.is_some()).then(|| Arc::new(Travel { deadline, trace }))
    }
}

thread_local! {
    // Beside the other, so that calls that are made for no other cost no more than a look at it.
    static IS_THERE: Cell<bool> = const { Cell::new(false) };
    static CURRENT: RefCell<Option<Arc<Travel>>> = const { RefCell::new(None) };
}

/// What belongs to the call whose handler is being polled on this thread.
#[inline]
pub(crate) fn current() -> Option<Arc<Travel>> {
    if is_there() { CURRENT.with_borrow(Clone::clone) } else { None }
}

/// Whether there is anything of that.
#[inline]
pub(crate) fn is_there() -> bool {
    IS_THERE.get()
}

/// Runs what belongs to a call; nothing is done for one that brought nothing.
#[inline]
pub(crate) fn within<R>(travel: Option<&Arc<Travel>>, run: impl FnOnce() -> R) -> R {
    let Some(travel) = travel else { return run() };
    let _restored = Restored(put(Some(travel.clone())));
    run()
}

fn put(travel: Option<Arc<Travel>>) -> Option<Arc<Travel>> {
    IS_THERE.set(travel.is_some());
    CURRENT.replace(travel)
}

/// Puts back what was there before, also where a handler panics.
struct Restored(Option<Arc<Travel>>);

impl Drop for Restored {
    fn drop(&mut self) {
        put(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn what_is_within_ends_with_it() {
        let trace = TraceParent::new(1, 2, false);
        let (outer, inner) = (Travel::new(None, trace), Travel::new(Some(Instant::now()), None));
        assert_eq!((current(), Travel::new(None, None)), (None, None));
        within(outer.as_ref(), || {
            within(inner.as_ref(), || assert_eq!(current(), inner));
            within(None, || assert_eq!(current(), outer));
            let _ = catch_unwind(|| within(Travel::new(None, trace).as_ref(), || panic!("on purpose")));
            assert_eq!(current(), outer);
        });
        assert_eq!(current(), None);
    }
}
