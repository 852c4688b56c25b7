//! Waiting for room in a session.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use super::shared::Shared;
use crate::wire::Kind;

/// What has to be free before one that waits goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The output, for a push or a reply.
    Output,
    /// The output and a slot among the pulls in flight.
    Slot,
    /// The output of the connection that there is, while others wait for the next: for replies, and for hooks that look at it.
    LinkOutput,
    /// That, and a slot.
    LinkSlot,
}

impl Need {
    pub(crate) const ALL: [Need; 4] = [Need::Output, Need::Slot, Need::LinkOutput, Need::LinkSlot];
    /// Of calls, but for those of hooks that look at a new connection.
    pub(super) const OF_CALLS: [Need; 2] = [Need::Output, Need::Slot];
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// The kind of call that has this need.
    pub(super) fn kind(self) -> Kind {
        match self {
            Need::Output | Need::LinkOutput => Kind::PUSH,
            Need::Slot | Need::LinkSlot => Kind::PULL,
        }
    }

    /// The same, of who belongs to the connection that there is.
    pub(super) fn of_link(self) -> Self {
        match self {
            Need::Output | Need::LinkOutput => Need::LinkOutput,
            Need::Slot | Need::LinkSlot => Need::LinkSlot,
        }
    }
}

/// For which of those that wait there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room([bool; Need::COUNT]);

impl Room {
    pub(crate) fn new(is_there: impl Fn(Need) -> bool) -> Self {
        Room(Need::ALL.map(is_there))
    }

    pub(crate) fn is_there(self, need: Need) -> bool {
        self.0[need as usize]
    }
}

/// Ends when it is worth trying again, or with false when the deadline has passed.
pub(crate) type Waiting<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

impl Shared {
    /// Waits for room. Dropping it hands a wake-up that it got on to the next.
    pub(crate) fn wait_for_room(&self, need: Need, deadline: Option<Instant>) -> Waiting<'_> {
        let place = Place::take(self, need);
        Box::pin(async move {
            // Named whole, so that it moves in here: by its field alone it would be dropped outside at once.
            let place = place;
            let notified = place.shared.room(place.need).notified();
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

/// Counts one that waits for as long as it lives.
struct Place<'a> {
    shared: &'a Shared,
    need: Need,
}

impl<'a> Place<'a> {
    fn take(shared: &'a Shared, need: Need) -> Self {
        shared.machine().start_waiting(need);
        // Room may have come between the refusal and now.
        shared.pass_on_room();
        Place { shared, need }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.machine().stop_waiting(self.need);
        self.shared.pass_on_room();
    }
}
