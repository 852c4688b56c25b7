//! Waiting for room in a session.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use super::shared::Shared;

/// Ends when it is worth trying again, or with false when the deadline has passed.
pub(crate) type Room<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

impl Shared {
    /// Waits for room. Dropping it hands a wake-up that it got on to the next.
    pub(crate) fn wait_for_room(&self, deadline: Option<Instant>) -> Room<'_> {
        let place = Place::take(self);
        Box::pin(async move {
            // Named whole, so that it moves in here: by its field alone it would be dropped outside at once.
            let place = place;
            let notified = place.0.room.notified();
            match deadline {
                None => {
                    notified.await;
                    true
                }
                Some(at) => tokio::time::timeout_at(at.into(), notified).await.is_ok(),
            }
        })
    }
}

/// Counts one waiting call for as long as it lives.
struct Place<'a>(&'a Shared);

impl<'a> Place<'a> {
    fn take(shared: &'a Shared) -> Self {
        shared.machine().start_waiting();
        // Room may have come between the refusal and now.
        shared.pass_on_room();
        Place(shared)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.machine().stop_waiting();
        self.0.pass_on_room();
    }
}
