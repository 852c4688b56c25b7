//! The sessions of a peer, by id.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::standstill::Watch;
use crate::call::{BodyGiven, Push};
use crate::codec::{Codec, Encode};
use crate::error::{Error, Result};
use crate::session::{IdRegistry, Session};

/// The open sessions of a peer, dialed and accepted. Cheap to clone.
///
/// # Examples
///
/// ```
/// use teleport::{Json, Peer};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let hub = Peer::builder().build()?;
/// let screen = Peer::builder().push("/news", |_, line: String| async move { println!("{line}") })?.build()?;
/// let session = screen.connect(&hub).await?;
///
/// let sent = hub.sessions().broadcast("/news", Json, "it works").await?;
/// assert_eq!(sent.reached, 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct SessionHub {
    sessions: Arc<Sessions>,
}

#[derive(Default)]
pub(super) struct Sessions {
    // Keys may come from a login of the other side: seeded at random.
    entered: Mutex<Entered>,
    pub(super) watch: Watch,
}

#[derive(Default)]
struct Entered {
    by_id: HashMap<Arc<str>, Session, foldhash::fast::RandomState>,
    /// How many of them plugins have not let in: they count, and nobody sees them.
    early: usize,
}

/// What a broadcast came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// Sessions that took the push into their output.
    pub reached: usize,
    /// Ids of the sessions that did not, and why.
    pub failed: Vec<(Arc<str>, Error)>,
}

impl Broadcast {
    /// Notes what a push came to; whether it came to nothing yet.
    fn is_pending(&mut self, session: &Session, push: Poll<Result<()>>) -> bool {
        match push {
            Poll::Pending => return true,
            Poll::Ready(Ok(())) => self.reached += 1,
            Poll::Ready(Err(error)) => self.failed.push((session.id(), error)),
        }
        false
    }
}

impl SessionHub {
    /// The session of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Session> {
        self.sessions.entered.lock().by_id.get(id).filter(|session| !session.shared().is_early()).cloned()
    }

    /// All sessions, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Session> {
        let entered = self.sessions.entered.lock();
        entered.by_id.values().filter(|session| !session.shared().is_early()).cloned().collect()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let entered = self.sessions.entered.lock();
        entered.by_id.len() - entered.early
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pushes one value to every session; it is encoded once.
    ///
    /// The sessions are those that the peer has now: the one of a dialer whose `dial` has just returned may not be
    /// among them before it has pulled something.
    ///
    /// A session whose output is full is waited for, up to its pull timeout, while the others get theirs.
    ///
    /// # Errors
    ///
    /// Where the value can't be encoded. Sessions that did not take the push are told in the [`Broadcast`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has reached some of the sessions.
    pub async fn broadcast<C, T>(&self, uri: &str, codec: C, value: &T) -> Result<Broadcast>
    where
        C: Codec + Encode<T>,
        T: ?Sized,
    {
        let _ = codec;
        let mut payload = Vec::new();
        C::encode(value, &mut payload)?;
        let mut done = Broadcast::default();
        let sessions = self.all();
        let mut unasked = sessions.iter();
        let mut waiting: Vec<(&Session, Push<'_, BodyGiven>)> = Vec::new();
        poll_fn(|cx| {
            waiting.retain_mut(|(session, push)| done.is_pending(session, Pin::new(push).poll(cx)));
            // Made one by one: most take their copy of the payload at once.
            for session in unasked.by_ref() {
                let mut push = session.push(uri).payload(C::ID, &payload);
                if done.is_pending(session, Pin::new(&mut push).poll(cx)) {
                    waiting.push((session, push));
                }
            }
            if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        Ok(done)
    }

    pub(super) fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Enters a session under the id that it has.
    pub(super) fn insert(&self, session: &Session, most: u32) -> Result<()> {
        let id = session.id();
        let mut entered = self.sessions.entered.lock();
        let Entered { by_id: sessions, early } = &mut *entered;
        if sessions.len() >= most as usize {
            return Err(Error::limit(format!(
                "the peer has {most} sessions already (setting `limits.max_sessions`)"
            )));
        }
        match sessions.get(&id) {
            Some(other) => Err(taken(&id, other)),
            None => {
                sessions.insert(id, session.clone());
                *early += usize::from(session.shared().is_early());
                Ok(())
            }
        }
    }
}

impl Sessions {
    /// Calls `look` with each session, while no other can enter or leave: it is to be quick, and to drop none.
    pub(super) fn for_each(&self, look: impl FnMut(&Session)) {
        self.entered.lock().by_id.values().for_each(look);
    }

    /// Plugins let a session in: from now on it is seen.
    pub(super) fn let_in(&self, session: &Session) {
        let mut entered = self.entered.lock();
        let is_entered = entered.by_id.get(&session.id()).is_some_and(|entered| entered == session);
        if let Some(early) = &session.shared().early
            && early.outcome().is_none()
        {
            entered.early -= usize::from(is_entered);
            early.settle(Ok(()));
        }
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.watch.look_again();
    }
}

impl IdRegistry for Sessions {
    fn remove(&self, session: &Session) {
        // Read before the lock is taken: a renaming holds the id and then asks for the lock.
        let id = session.id();
        let mut entered = self.entered.lock();
        let sessions = &mut entered.by_id;
        let key = match sessions.get(&id) {
            Some(entered) if *entered == *session => Some(id),
            // It was renamed just now, or never was entered.
            _ => sessions.iter().find(|(_, entered)| *entered == session).map(|(key, _)| key.clone()),
        };
        let removed = key.and_then(|key| sessions.remove(&key));
        if removed.is_some() && session.shared().is_early() {
            entered.early -= 1;
        }
        if entered.by_id.is_empty() {
            self.watch.look_again();
        }
        drop(entered);
        // Dropped without the lock: it may be the last handle.
        drop(removed);
    }

    fn look_again(&self) {
        self.watch.look_again();
    }

    fn rename(&self, session: &Session, old: &str, new: &Arc<str>) -> Result<()> {
        let sessions = &mut self.entered.lock().by_id;
        if old == &**new {
            return Ok(());
        }
        if let Some(other) = sessions.get(new) {
            return Err(taken(new, other));
        }
        if sessions.get(old) == Some(session)
            && let Some(session) = sessions.remove(old)
        {
            sessions.insert(new.clone(), session);
        }
        Ok(())
    }
}

fn taken(id: &str, other: &Session) -> Error {
    let text =
        format!("the session id {id:?} is taken by another session; choose another, or close that one first");
    Error::conflict(text).with_peer(&other.remote_addr())
}

impl fmt::Debug for SessionHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.sessions.entered.lock().by_id.keys()).finish()
    }
}
