//! What a session tells of its connection.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use super::handle::Session;
use super::machine::Generation;
use super::shared::Shared;
use crate::error::{Error, Result};

/// Whether a [`Session`] has a connection, and takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionState {
    /// It has one, and takes calls.
    Open,
    /// Its connection is lost, and another is being dialed; see [`Redial`](crate::Redial).
    Down,
    /// It takes no new calls over its connection; those in flight end. After that it is closed, or, where it redials and the
    /// other side ended the connection, down.
    Draining,
    /// It is over.
    Closed,
}

/// The changes of a session's state, one after the other; made by [`Session::state_changes`].
///
/// Does not keep the session. What lies between two changes that come at once may be passed over; but a connection that
/// took the place of another is told, even where the session was open before and after.
///
/// # Examples
///
/// ```
/// # async fn f(session: teleport::Session) {
/// let mut changes = session.state_changes();
/// tokio::spawn(async move {
///     while let Some(state) = changes.next().await {
///         println!("the session is {state:?}");
///     }
/// });
/// # }
/// ```
pub struct StateChanges {
    shared: Arc<Shared>,
    seen: (SessionState, Generation),
}

impl StateChanges {
    /// The state as it was told last; at first the one at which this began.
    #[must_use]
    pub fn current(&self) -> SessionState {
        self.seen.0
    }

    /// Waits for the next change; `None` once the session is closed and that has been told.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this future is dropped.
    pub async fn next(&mut self) -> Option<SessionState> {
        if self.seen.0 == SessionState::Closed {
            return None;
        }
        let seen = self.seen;
        self.seen = self.shared.state_when(|now| now != seen).await;
        Some(self.seen.0)
    }
}

impl fmt::Debug for StateChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateChanges").field("current", &self.seen.0).finish_non_exhaustive()
    }
}

impl Session {
    /// Whether the session has a connection, and takes calls.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.shared().machine().state()
    }

    /// The changes of the session's state from now on.
    #[must_use]
    pub fn state_changes(&self) -> StateChanges {
        let shared = self.shared().clone();
        let seen = shared.state();
        StateChanges { shared, seen }
    }

    /// Waits until the session is open: at once where it is, after the next connection where it is down.
    ///
    /// # Errors
    ///
    /// A closed error where it is over, or about to be.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this future is dropped.
    pub async fn reconnected(&self) -> Result<()> {
        let shared = self.shared();
        let (state, _) = shared
            .state_when(|(state, _)| match state {
                SessionState::Open | SessionState::Closed => true,
                SessionState::Down => false,
                SessionState::Draining => !shared.machine().redials(),
            })
            .await;
        if state == SessionState::Open {
            return Ok(());
        }
        let closed = shared.machine().closed().cloned();
        let error = closed.map_or_else(|| Error::closed_by_user("the session is over"), Error::closed);
        Err(error.with_peer(&self.remote_addr()))
    }
}

impl Shared {
    fn state(&self) -> (SessionState, Generation) {
        let machine = self.machine();
        (machine.state(), machine.generation())
    }

    /// Waits for a state.
    async fn state_when(
        &self,
        is_wanted: impl Fn((SessionState, Generation)) -> bool,
    ) -> (SessionState, Generation) {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Enlisted before the look, so that no change falls in between.
            changed.as_mut().enable();
            let state = self.state();
            if is_wanted(state) {
                return state;
            }
            changed.await;
        }
    }
}
