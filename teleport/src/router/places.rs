//! Places for the calls of a handler, used for one call after the other.

use std::pin::Pin;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::slot::Slot;
use crate::context::Wishes;

/// Places of one handler kept for its next calls.
const KEPT: usize = 64;

/// The places of a handler.
pub(super) struct Places(Arc<Mutex<Pool>>);

struct Pool {
    /// Never used for a call: others are made by it.
    first: Pin<Box<dyn Slot>>,
    idle: Vec<Place>,
}

/// A slot, and beside it what its handler says of its reply.
pub(super) struct Place {
    pub(super) slot: Pin<Box<dyn Slot>>,
    pub(super) wishes: Arc<Wishes>,
    /// Weak, as it stands there itself.
    home: Weak<Mutex<Pool>>,
}

/// The place that was used last, kept for the next call of the same handler within a read: it costs no lock then.
#[derive(Default)]
pub(crate) struct Warm(Option<Place>);

impl Places {
    pub(super) fn new(first: Pin<Box<dyn Slot>>) -> Self {
        Places(Arc::new(Mutex::new(Pool { first, idle: Vec::new() })))
    }

    /// A place for a call.
    #[inline]
    pub(super) fn take(&self, warm: &mut Warm) -> Place {
        match warm.0.take_if(|place| place.home.as_ptr() == Arc::as_ptr(&self.0)) {
            Some(place) => place,
            None => self.take_idle(),
        }
    }

    fn take_idle(&self) -> Place {
        let mut pool = self.0.lock();
        pool.idle.pop().unwrap_or_else(|| Place {
            slot: pool.first.another(),
            wishes: Arc::default(),
            home: Arc::downgrade(&self.0),
        })
    }
}

impl Place {
    /// Keeps a place whose future has ended, so that it holds nothing any more.
    #[inline]
    pub(super) fn keep(mut self, warm: &mut Warm) {
        // Somebody has kept the context, or has said something with it since the answer was taken: that is not for the
        // next call.
        if !Wishes::are_blank(&self.wishes) {
            self.wishes = Arc::default();
        }
        if let Some(other) = warm.0.replace(self) {
            other.go_home();
        }
    }

    fn go_home(self) {
        let Some(home) = self.home.upgrade() else { return };
        let mut pool = home.lock();
        if pool.idle.len() < KEPT {
            pool.idle.push(self);
        }
    }
}

impl Warm {
    /// Gives the place back, for every session's calls.
    pub(crate) fn cool(&mut self) {
        if let Some(place) = self.0.take() {
            place.go_home();
        }
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        self.cool();
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context as TaskContext, Poll};

    use super::super::slot::ReplyCodec;
    use super::*;
    use crate::context::{Answer, Context};

    /// Tells which handler it is of by how often its word is held.
    struct Empty(Arc<()>);

    impl Slot for Empty {
        fn another(&self) -> Pin<Box<dyn Slot>> {
            Box::pin(Empty(self.0.clone()))
        }

        fn begin(self: Pin<&mut Self>, _: Context) {}

        fn poll(
            self: Pin<&mut Self>,
            _: &mut TaskContext<'_>,
            _: ReplyCodec<'_>,
            _: &mut Option<Answer>,
        ) -> Poll<()> {
            Poll::Pending
        }
    }

    fn places() -> (Places, Arc<()>) {
        let word = Arc::new(());
        (Places::new(Box::pin(Empty(word.clone()))), word)
    }

    /// Slots of the handler, beside the one that is never used.
    fn slots(word: &Arc<()>) -> usize {
        Arc::strong_count(word) - 2
    }

    #[test]
    fn a_place_is_used_again_and_goes_home_when_another_handler_runs() {
        let ((one, of_one), (two, of_two), mut warm) = (places(), places(), Warm::default());
        for _ in 0..10 {
            one.take(&mut warm).keep(&mut warm);
        }
        assert_eq!(slots(&of_one), 1);
        for _ in 0..10 {
            two.take(&mut warm).keep(&mut warm);
            one.take(&mut warm).keep(&mut warm);
        }
        assert_eq!((slots(&of_one), slots(&of_two)), (1, 1));
        // Another session finds it once this one has read what there was.
        warm.cool();
        assert_eq!(one.0.lock().idle.len(), 1);
        let (first, second) = (one.take(&mut Warm::default()), one.take(&mut Warm::default()));
        assert_eq!(slots(&of_one), 2);
        first.keep(&mut warm);
        // They are no reason for the handler to live on, nor does it keep them.
        drop((one, two, second, warm));
        assert_eq!((Arc::strong_count(&of_one), Arc::strong_count(&of_two)), (1, 1));
    }

    #[test]
    fn what_a_kept_context_says_is_not_for_the_next_call() {
        let ((one, _), mut warm) = (places(), Warm::default());
        let place = one.take(&mut warm);
        let kept = place.wishes.clone();
        place.keep(&mut warm);
        assert!(!Arc::ptr_eq(&one.take(&mut warm).wishes, &kept));
    }
}
