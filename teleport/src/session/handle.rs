//! The session as its users hold it.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::machine::{Generation, closed_here};
use super::shared::{Shared, now};
use crate::error::{Closed, Initiator, Result};
use crate::extensions::Extensions;
use crate::socket::Address;
#[cfg(feature = "tls")]
use crate::socket::TlsInfo;

/// One long-lived connection between two peers; either side may pull and push.
///
/// Packets are taken in the order in which they were sent: handlers begin in that order, and one that is ready at
/// once has run before the next begins. Those that wait run side by side. Only pulls whose callers give up at a known time may
/// be passed by others, where so many wait that they would be served too late ([`Overload::Wait`](crate::Overload::Wait)).
///
/// Cheap to clone: all clones are the same session. It ends when either side closes it, when the connection is
/// lost, or when the peer that made it and all handles to it are dropped. One that [redials](crate::Redial) outlives its
/// connection.
///
/// # Examples
///
/// ```
/// use teleport::{Connection, Peer};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let server = Peer::builder().pull("/greet", |_, name: String| async move { Ok(format!("hello {name}")) })?.build()?;
/// let client = Peer::builder().build()?;
/// let session = client.connect(&server).await?;
/// let greeting: String = session.pull("/greet").body("Ada").await?.decode()?;
/// assert_eq!(greeting, "hello Ada");
/// session.close().await;
/// assert!(session.pull("/greet").await.unwrap_err().is_closed());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle>,
    /// The connection that it was made for, in a handler or a hook; 0 for others. It makes no other session of it.
    generation: Generation,
}

/// What all handles of a session share; its drop is the end of the last handle.
pub(crate) struct Handle {
    shared: Arc<Shared>,
    registry: Weak<dyn IdRegistry>,
}

/// Who knows sessions by their id. The session asks it before it takes another id.
pub(crate) trait IdRegistry: Send + Sync {
    /// Moves a session from its old id to a new one, or says who has that already. One that has left stays away.
    fn rename(&self, session: &Session, old: &str, new: &Arc<str>) -> Result<()>;

    /// Forgets a session that is over.
    fn remove(&self, session: &Session);

    /// Looks how long sessions stand still, as one is to be waited for less long.
    fn look_again(&self);
}

impl Session {
    /// The id by which the peer knows this session: the one given when dialing, else the other side's address
    /// and a number. It is this side's own; the other side has another.
    #[must_use]
    pub fn id(&self) -> Arc<str> {
        self.shared().id()
    }

    /// Gives the session another id, such as the user's name after a login.
    ///
    /// # Errors
    ///
    /// A conflict where another session of the peer has that id; the old id stays then. A handler that passes it on with `?`
    /// answers 409.
    pub fn set_id(&self, id: impl Into<Arc<str>>) -> Result<()> {
        let new = id.into();
        // Held over the renaming, so that two changes of one session can't cross.
        let mut current = self.shared().id.write();
        if let Some(registry) = self.handle.registry.upgrade() {
            registry.rename(self, &current, &new)?;
        }
        *current = new;
        Ok(())
    }

    /// Address of this end of the connection; while the session is down, of the one that it had.
    #[must_use]
    pub fn local_addr(&self) -> Address {
        self.shared().local()
    }

    /// Address of the other end of the connection; while the session is down, of the one that it had.
    #[must_use]
    pub fn remote_addr(&self) -> Address {
        self.shared().remote()
    }

    /// What is known of the connection where it runs over TLS, the other side's certificates among it. `None` over other
    /// connections, streams of the user's own included. Needs the feature `tls`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(&self) -> Option<Arc<TlsInfo>> {
        self.shared().tls()
    }

    /// Whether the session has a connection and takes new calls; [`state`](Self::state) tells more.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared().machine().is_open()
    }

    /// How many pulls of this side wait for their reply.
    #[must_use]
    pub fn pulls_in_flight(&self) -> usize {
        self.shared().machine().pulls_in_flight()
    }

    /// Values that belong to the session, such as who the other side is: plugins put them in, handlers read them.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.shared().extensions
    }

    /// How long the other side has given no sign of life; it counts from when this is first asked for.
    ///
    /// Whatever is read is one, also a part of a packet; so is that it takes something of an output that was blocked. While
    /// this side itself has stopped reading, because too many handlers run, it is zero.
    #[must_use]
    pub fn idle(&self) -> Duration {
        now().saturating_duration_since(self.shared().last_alive())
    }

    /// Why the session takes no new calls; `None` while it does.
    #[must_use]
    pub fn close_reason(&self) -> Option<Cow<'static, str>> {
        self.shared().machine().closed().map(|closed| closed.reason.clone())
    }

    /// How long a packet that has begun to come may stand still, for this session: [`Timeouts::read`](crate::Timeouts::read)
    /// is that of all others. `None` waits as long as the session lives. How long there may be no packet at all is
    /// [`set_idle_timeout`](Self::set_idle_timeout).
    pub fn set_read_timeout(&self, after: impl Into<Option<Duration>>) {
        self.shared().patience.set_read(after.into());
        self.look_again();
    }

    /// How long what waits to be written may stand still, for this session: [`Timeouts::write`](crate::Timeouts::write) is
    /// that of all others. `None` waits as long as the session lives.
    pub fn set_write_timeout(&self, after: impl Into<Option<Duration>>) {
        self.shared().patience.set_write(after.into());
        self.look_again();
    }

    /// How long nothing may be read or written, for this session: [`Timeouts::idle`](crate::Timeouts::idle) is that of all
    /// others. `None` waits for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn f(session: teleport::Session) {
    /// session.set_idle_timeout(Duration::from_secs(10 * 60));
    /// session.set_read_timeout(Duration::from_secs(5));
    /// session.set_write_timeout(None);
    /// # }
    /// ```
    pub fn set_idle_timeout(&self, after: impl Into<Option<Duration>>) {
        self.shared().patience.set_idle(after.into());
        self.look_again();
    }

    fn look_again(&self) {
        if let Some(registry) = self.handle.registry.upgrade() {
            registry.look_again();
        }
    }

    /// Takes no new calls, lets those in flight end, then closes the connection.
    ///
    /// Returns when the session is closed: at the latest after the close timeout
    /// ([`Timeouts::close`](crate::Timeouts::close), 5 s by default), when what still runs is cut off. A handler that
    /// awaits the close of its own session waits for itself, and is cut off: spawn the close there. A session that is down
    /// is closed at once; calls that wait for its next connection end with an error.
    ///
    /// # Cancel safety
    ///
    /// The close goes on when this future is dropped.
    pub async fn close(&self) {
        self.start_close();
        self.closed().await;
    }

    /// As [`close`](Self::close), with a reason that the errors of this side's calls tell.
    ///
    /// # Cancel safety
    ///
    /// The close goes on when this future is dropped.
    pub async fn close_with(&self, reason: impl Into<Cow<'static, str>>) {
        self.start_close_with(reason.into());
        self.closed().await;
    }

    /// Closes the connection at once: calls in flight end with an error, running handlers are dropped.
    pub fn abort(&self) {
        self.abort_with(closed_here().reason);
    }

    /// As [`abort`](Self::abort), with a reason that the errors of this side's calls tell.
    pub fn abort_with(&self, reason: impl Into<Cow<'static, str>>) {
        self.cut_off(Closed { initiator: Initiator::User, reason: reason.into() });
    }

    pub(crate) fn cut_off(&self, closed: Closed) {
        self.leave();
        self.shared().cancel.cancel();
        self.shared().close(closed);
    }

    /// Ends the session as one whose connection is lost, with a reason that the errors of this side's calls tell: for
    /// whoever finds that the other side is gone. These errors say that the library began it
    /// ([`Initiator::Library`](crate::Initiator::Library)); handlers that run may end within the close timeout. A
    /// session that [redials](crate::Redial) dials again.
    pub fn give_up(&self, reason: impl Into<Cow<'static, str>>) {
        let closed = Closed { initiator: Initiator::Library, reason: reason.into() };
        if self.shared().break_off(&closed) {
            return;
        }
        self.leave();
        self.shared().close(closed);
    }

    /// Waits until the session is closed, by either side or by the loss of the connection; where it redials, by this side
    /// or because all attempts are used up.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this future is dropped.
    pub async fn closed(&self) {
        self.shared().over.cancelled().await;
    }

    /// A handle that does not keep the session alive.
    #[must_use]
    pub fn weak(&self) -> WeakSession {
        WeakSession { handle: self.downgrade(), shared: self.shared().clone() }
    }

    /// Takes the session out of its peer's hub.
    pub(crate) fn leave(&self) {
        if let Some(registry) = self.handle.registry.upgrade() {
            registry.remove(self);
        }
    }

    pub(crate) fn start_close(&self) {
        self.start_close_with(closed_here().reason);
    }

    pub(crate) fn start_close_with(&self, reason: Cow<'static, str>) {
        self.shared().drain(Closed { initiator: Initiator::User, reason });
    }

    /// Begins a close that gives the calls in flight so long to end, instead of the close timeout.
    pub(crate) fn start_close_within(&self, after: Duration) {
        self.shared().drain_within(closed_here(), after);
    }

    /// Waits until the session takes no new calls; it may still let others end.
    pub(crate) async fn ending(&self) {
        self.shared().shut().await;
    }

    /// As [`is_open`](Self::is_open), without the lock of the machine.
    pub(crate) fn takes_calls(&self) -> bool {
        !self.shared().is_shut()
    }

    /// Why the session takes no new calls, where it doesn't.
    pub(crate) fn closed_because(&self) -> Option<Closed> {
        self.shared().machine().closed().cloned()
    }

    pub(crate) fn new(shared: Arc<Shared>, id: Arc<str>, registry: Weak<dyn IdRegistry>) -> Self {
        *shared.id.write() = id;
        Session { handle: Arc::new(Handle { shared, registry }), generation: 0 }
    }

    /// The same session, for what belongs to the connection of this number.
    pub(crate) fn pinned(&self, generation: Generation) -> Self {
        Session { handle: self.handle.clone(), generation }
    }

    /// Number of the connection that it was made for; 0 for none.
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// A handle that does not keep the session.
    pub(crate) fn downgrade(&self) -> Weak<Handle> {
        Arc::downgrade(&self.handle)
    }

    pub(crate) fn upgrade(handle: &Weak<Handle>) -> Option<Self> {
        Self::upgrade_pinned(handle, 0)
    }

    /// As [`upgrade`](Self::upgrade), for what belongs to the connection of this number.
    pub(crate) fn upgrade_pinned(handle: &Weak<Handle>, generation: Generation) -> Option<Self> {
        handle.upgrade().map(|handle| Session { handle, generation })
    }
}

/// Handles are equal where they are of the same session.
impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }
}

impl Eq for Session {}

impl Hash for Session {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.handle).hash(state);
    }
}

/// A handle to a [`Session`] that does not keep it: the session ends as if it were not there.
///
/// For who remembers sessions that belong to others, such as a table by user. Handles are equal where they are of the
/// same session.
///
/// # Examples
///
/// ```
/// # async fn f(session: teleport::Session) {
/// let weak = session.weak();
/// tokio::spawn(async move {
///     weak.closed().await;
///     println!("one has left");
/// });
/// # }
/// ```
#[derive(Clone)]
pub struct WeakSession {
    handle: Weak<Handle>,
    shared: Arc<Shared>,
}

impl WeakSession {
    /// The session, where somebody still holds it.
    #[must_use]
    pub fn upgrade(&self) -> Option<Session> {
        Session::upgrade(&self.handle)
    }

    /// Waits until the session is closed, as [`Session::closed`] does.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this future is dropped.
    pub async fn closed(&self) {
        self.shared.over.cancelled().await;
    }
}

impl PartialEq for WeakSession {
    fn eq(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.handle, &other.handle)
    }
}

impl Eq for WeakSession {}

impl Hash for WeakSession {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Weak::as_ptr(&self.handle).hash(state);
    }
}

impl fmt::Debug for WeakSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WeakSession").field(&self.upgrade()).finish()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let reason = "its peer and all its handles were dropped";
        self.shared.drain(Closed { initiator: Initiator::User, reason: reason.into() });
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("local", &self.local_addr())
            .field("remote", &self.remote_addr())
            .finish_non_exhaustive()
    }
}
