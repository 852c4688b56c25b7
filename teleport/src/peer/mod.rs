//! Peers: listening, dialing, and the sessions that come of it.

mod builder;
mod dial;
mod driver;
#[cfg(feature = "tls")]
mod handshakes;
mod hub;
mod inbound;
mod readiness;
mod redial;
#[cfg(unix)]
mod restart;
mod shutdown;
mod signals;
mod standstill;
#[cfg(test)]
mod states;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use builder::PeerBuilder;
pub use dial::Dial;
pub use hub::{Broadcast, SessionHub};
#[cfg(unix)]
pub use restart::{Restart, Successor};
pub use shutdown::{Shutdown, ShutdownReport};
pub use signals::UntilSignal;

use dial::Way;
use driver::Driver;
use hub::Sessions;
use readiness::Readiness;
use redial::Run;
use shutdown::Ongoing;

use crate::error::{Error, Result};
use crate::plugin::{Chain, Side, welcome};
use crate::router::Router;
use crate::session::{CallHooks, IdRegistry, Ledger, Link, Patience, Redial, Session, Settings, Shared};
#[cfg(feature = "tls")]
use crate::socket::Tls;
use crate::socket::{self, Accepted, Address, Connection, Listener, PacketReader, Transport};

/// How long a listener waits after the system could not give it a connection, such as when the process has no
/// descriptors left. Long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Of so many attempts in a row that failed the log has one warning: about ten seconds.
const ACCEPT_WARNINGS: u32 = 200;

/// Connections that are taken at most when listening ends: as many as may wait.
const ACCEPT_LAST: usize = 1024;

/// One side of Teleport: it may listen, dial, or both, and serves its handlers over every session.
///
/// Cheap to clone. When the last clone is dropped it stops listening, and each of its sessions ends when its own
/// last handle is dropped.
///
/// # Panics
///
/// Whatever opens a session or a listener is to be awaited in a Tokio runtime with I/O and time enabled, as
/// `#[tokio::main]` makes it; Tokio panics elsewhere.
///
/// # Examples
///
/// ```
/// use teleport::Peer;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let server = Peer::builder()
///     .pull("/add", |_, (a, b): (i64, i64)| async move { Ok(a + b) })?
///     .listen("127.0.0.1:0")
///     .await?;
///
/// let client = Peer::builder().build()?;
/// let session = client.dial(server.local_addr()?).await?;
/// assert_eq!(session.pull("/add").body(&(2, 3)).await?.decode::<i64>()?, 5);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "a peer stops listening when it is dropped"]
pub struct Peer {
    inner: Arc<Inner>,
}

struct Inner {
    router: Arc<Router>,
    settings: Arc<Settings>,
    transport: Arc<Transport>,
    /// How sessions redial, where their dial does not say.
    redial: Redial,
    hub: SessionHub,
    ledger: Arc<Ledger>,
    listeners: Mutex<Vec<Listening>>,
    /// Ends the listeners' tasks.
    stop: CancellationToken,
    /// They wait for nothing any more.
    hurry: CancellationToken,
    /// Whoever uses the peer begins nothing any more.
    closing: AtomicBool,
    /// No listener does either.
    closed: AtomicBool,
    /// What is told of all this to those who ask.
    readiness: Arc<Readiness>,
    shutdown: Mutex<Option<Ongoing>>,
    sessions_made: AtomicU64,
    /// What is to happen before a close begins; dropped with the peer where it is never closed.
    farewells: Mutex<Vec<Farewell>>,
}

/// An address at which the peer listens.
struct Listening {
    listener: Arc<Listener>,
    task: JoinHandle<()>,
}

impl Listening {
    fn address(&self) -> &Address {
        self.listener.address()
    }
}

/// Something that a peer does before it closes.
type Farewell = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Peer {
    /// Begins to build a peer.
    pub fn builder() -> PeerBuilder {
        PeerBuilder::default()
    }

    /// Listens at an address: `tcp://host:port`, plain `host:port`, `tls://host:port` with the feature `tls`, or
    /// `unix:///path`. May be called for several.
    ///
    /// Returns the address that dialers use, with the port that the system chose where 0 was asked for.
    ///
    /// A process that was started by [`Restart`](crate::Restart), on Unix, goes on with the socket that its predecessor
    /// has at this address, and takes connections when it has said that it is ready.
    ///
    /// # Errors
    ///
    /// A config error where the address can't be read, an I/O error where the system refuses it, a closed error
    /// after [`close`](Self::close) or [`shutdown`](Self::shutdown).
    pub async fn listen(&self, address: impl fmt::Display) -> Result<Address> {
        self.check_open()?;
        let listener = Arc::new(Listener::bind(&address.to_string().parse()?, &self.inner.transport).await?);
        let address = listener.address().clone();
        let mut listeners = self.inner.listeners.lock();
        // Asked once more under the lock: a shutdown would not see this one.
        self.check_open()?;
        tracing::info!(target: "teleport", %address, "listening");
        let (peer, stop) = (Arc::downgrade(&self.inner), self.inner.stop.clone());
        let task = tokio::spawn(accept(listener.clone(), peer, stop));
        listeners.push(Listening { listener, task });
        Ok(address)
    }

    /// The address that this peer listens at; the first of several.
    ///
    /// # Errors
    ///
    /// A config error where it listens nowhere.
    pub fn local_addr(&self) -> Result<Address> {
        let first = self.inner.listeners.lock().first().map(|one| one.address().clone());
        first.ok_or_else(|| Error::config("the peer listens nowhere; call `listen` first"))
    }

    /// The addresses that this peer listens at.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<Address> {
        self.inner.listeners.lock().iter().map(|one| one.address().clone()).collect()
    }

    /// Opens a session to a listening peer, by an address as [`listen`](Self::listen) takes it or an [`Address`];
    /// `.await` it for the [`Session`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # async fn f(peer: teleport::Peer) -> teleport::Result<()> {
    /// let session = peer.dial("tcp://127.0.0.1:9090").id("upstream").timeout(Duration::from_secs(3)).await?;
    /// assert_eq!(&*session.id(), "upstream");
    /// # Ok(()) }
    /// ```
    pub fn dial(&self, address: impl fmt::Display) -> Dial<'_> {
        Dial::new(self, address.to_string())
    }

    /// Runs a session over a connection of the user's own: another transport, or one end of
    /// [`Connection::memory`]. Its plugins take it for one that was accepted; see
    /// [`attach_dialed`](Self::attach_dialed).
    ///
    /// # Errors
    ///
    /// A limit error where the peer has as many sessions as it may, a closed error after
    /// [`close`](Self::close), an error of the plugin that refuses it. The connection is dropped then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has ended, no session is left behind.
    pub async fn attach(&self, connection: Connection) -> Result<Session> {
        self.check_open()?;
        let begun = self.inner.begin(connection, None, Side::Accepted, None)?;
        begun.welcome(self.inner.settings.timeouts.accept).await
    }

    /// As [`attach`](Self::attach), for a connection that this side opened to another: its plugins take it for one that was
    /// dialed.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has ended, no session is left behind.
    pub async fn attach_dialed(&self, connection: Connection) -> Result<Session> {
        self.check_open()?;
        let begun = self.inner.begin(connection, None, Side::Dialed, None)?;
        begun.welcome(self.inner.settings.timeouts.dial).await
    }

    /// Opens a session to another peer of this process, in memory; the end of `self` is returned. The other end
    /// belongs to `other`, so keep that: when it is dropped, the session ends.
    ///
    /// # Errors
    ///
    /// As [`attach`](Self::attach), for either side; but where plugins of `other` refuse the session, it is closed as any
    /// that was accepted.
    pub async fn connect(&self, other: &Peer) -> Result<Session> {
        let (near, far) = Connection::memory();
        other.check_open()?;
        other
            .inner
            .begin(far, None, Side::Accepted, None)?
            .welcome_apart(other.inner.settings.timeouts.accept);
        self.attach_dialed(near).await
    }

    /// The open sessions.
    #[must_use]
    pub fn sessions(&self) -> &SessionHub {
        &self.inner.hub
    }

    /// The handlers that every session is served with.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.inner.router
    }

    /// Stops listening, lets what is in flight end, and closes every session: [`shutdown`](Self::shutdown) without its
    /// options and its report. Where the peer is [announced](Self::announce) it is withdrawn first.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the close goes on when this future is dropped.
    pub async fn close(&self) {
        self.shutdown().await;
    }

    /// Stops listening, lets what is in flight end up to a deadline, and closes every session; `.await` it for what was
    /// cut off.
    ///
    /// A handler that awaits the shutdown of its own peer waits for itself, and is cut off: spawn it there.
    pub fn shutdown(&self) -> Shutdown<'_> {
        Shutdown::new(self)
    }

    /// Says that this peer is about to go, or that it is not after all, to those who ask for its
    /// [health](PeerBuilder::health). Nothing else changes: it goes on to serve.
    ///
    /// A shutdown says so by itself; once one has begun, `false` does nothing.
    pub fn set_draining(&self, draining: bool) {
        self.inner.readiness.set_draining(draining);
    }

    /// Whether this peer says of itself that it is about to go: since [`set_draining`](Self::set_draining), or since its
    /// shutdown began.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.readiness.is_draining()
    }

    /// Serves until the process is told to end by a signal, then shuts down; `.await` it for the report.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with I/O enabled.
    pub fn until_signal(&self) -> UntilSignal {
        UntilSignal::new(self)
    }

    /// Does something first when the peer is shut down; it has to end by itself. It is dropped, not run, with a peer that
    /// is never shut down.
    pub(crate) fn before_close<F, T>(&self, farewell: F)
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        self.inner.farewells.lock().push(Box::new(move || Box::pin(farewell())));
        if self.inner.closing.load(Ordering::SeqCst) {
            // Too late to be run: dropped, as with a peer that is gone.
            self.inner.farewells.lock().clear();
        }
    }

    /// Reads the files of this peer's [`Tls`] again, such as after a certificate was renewed. Handshakes from now on use
    /// what was read; open sessions stay. Needs the feature `tls`.
    ///
    /// Blocks for as long as reading a few small files takes.
    ///
    /// # Errors
    ///
    /// As [`PeerBuilder::build`] has them for TLS, and a config error without [`PeerBuilder::tls`]. All stays as it was
    /// then.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<()> {
        self.inner.transport.tls.reload()
    }

    /// Replaces this peer's [`Tls`], as [`reload_tls`](Self::reload_tls) does. Needs the feature `tls`.
    ///
    /// # Errors
    ///
    /// As [`PeerBuilder::build`] has them for TLS. All stays as it was then.
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, tls: Tls) -> Result<()> {
        self.inner.transport.tls.set(tls)
    }

    fn new(
        router: Arc<Router>,
        settings: Arc<Settings>,
        transport: Transport,
        redial: Redial,
        readiness: Arc<Readiness>,
    ) -> Self {
        let inner = Inner {
            router,
            settings,
            transport: Arc::new(transport),
            redial,
            hub: SessionHub::default(),
            ledger: Arc::default(),
            listeners: Mutex::default(),
            stop: CancellationToken::new(),
            hurry: CancellationToken::new(),
            closing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            readiness,
            shutdown: Mutex::default(),
            sessions_made: AtomicU64::new(0),
            farewells: Mutex::default(),
        };
        Peer { inner: Arc::new(inner) }
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        self.inner.check_open()
    }
}

impl Inner {
    fn check_open(&self) -> Result<()> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(Error::closed_by_user("the peer is closed"));
        }
        Ok(())
    }

    /// Tells the listeners to end; they have when these have.
    fn stop_listening(&self) -> Vec<JoinHandle<()>> {
        self.stop.cancel();
        let stop = |one: Listening| {
            tracing::info!(target: "teleport", address = %one.address(), "stopped listening");
            one.task
        };
        self.listeners.lock().drain(..).map(stop).collect()
    }

    /// Makes a session of a connection that a listener took.
    fn take(&self, connection: Connection) {
        let from = connection.remote_addr().clone();
        match self.begin(connection, None, Side::Accepted, None) {
            Ok(begun) => begun.welcome_apart(self.settings.timeouts.accept),
            Err(error) => {
                tracing::warn!(target: "teleport", peer = %from, %error, "a connection was refused");
            }
        }
    }

    /// Makes a session of a connection and starts its driver.
    fn begin(
        &self,
        connection: Connection,
        id: Option<Arc<str>>,
        side: Side,
        redial: Option<(Redial, Way)>,
    ) -> Result<Begun> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::closed_by_user("the peer is closed"));
        }
        let link = Link::new(&connection);
        let number = self.sessions_made.fetch_add(1, Ordering::Relaxed);
        let id = id.unwrap_or_else(|| format!("{}#{number}", link.remote).into());
        let (reader, writer) = (PacketReader::new(connection.reader), connection.writer);
        let chain = self.router.chain();
        let hooks = chain.sees_calls().then(|| chain.clone() as Arc<dyn CallHooks>);
        let (redial, way) = redial.unzip();
        let shared = Shared::new(writer.clone(), self.settings.clone(), self.ledger.clone(), link, redial);
        let mut shared = shared.with_plugins(hooks, chain.sees_begin(side));
        shared.patience = Patience::new(matches!(side, Side::Accepted));
        if let Some(early) = &shared.early {
            early.bound(chain.max_early_body(side, 0));
        }
        let shared = Arc::new(shared);
        let sessions = Arc::downgrade(self.hub.sessions());
        let registry: Weak<dyn IdRegistry> = sessions.clone();
        let session = Session::new(shared.clone(), id, registry);
        self.hub.insert(&session, self.settings.limits.max_sessions)?;
        standstill::start(self.hub.sessions());
        let entry = Ledger::enter(&shared);
        if self.closed.load(Ordering::SeqCst) {
            // The peer was closed since the first look, and may not have seen this session.
            session.start_close();
        }
        if shared.early.is_none() {
            chain.opened(side, &session);
        }
        // Boxed, as the future that it is part of would have room for it twice.
        let driver =
            Box::new(Driver::new(shared.clone(), session.downgrade(), (reader, writer), self.router.clone()));
        tracing::debug!(target: "teleport", peer = %shared.remote(), id = %session.id(), "session opened");
        let run = Run { shared, handle: session.downgrade(), router: self.router.clone() };
        tokio::spawn(async move {
            run.run(driver, way).await;
            drop(entry);
        });
        Ok(Begun { session, side, chain: chain.clone(), sessions })
    }
}

/// The task that leads a session through its hooks. Dropped before it has ended, the session is not let in.
struct Hooks(JoinHandle<Result<()>>);

impl Drop for Hooks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A session that has begun and that plugins may have a say in.
struct Begun {
    session: Session,
    side: Side,
    chain: Arc<Chain>,
    sessions: Weak<Sessions>,
}

impl Begun {
    /// Opens the session, when the plugins let it pass within `limit`.
    async fn welcome(self, limit: Duration) -> Result<Session> {
        let session = self.session.clone();
        if let Some(mut hooks) = self.start(limit) {
            // A runtime that is shut down drops the task, and with it the session.
            let ended = (&mut hooks.0).await;
            ended.unwrap_or_else(|_| Err(Error::closed_by_user("the runtime was shut down")))?;
        }
        Ok(session)
    }

    /// As [`welcome`](Self::welcome), while nobody waits for it.
    fn welcome_apart(self, limit: Duration) {
        let from = self.session.remote_addr();
        let Some(mut hooks) = self.start(limit) else { return };
        tokio::spawn(async move {
            if let Ok(Err(error)) = (&mut hooks.0).await {
                tracing::warn!(target: "teleport", peer = %from, %error, "a session was not let in");
            }
        });
    }

    /// Starts the hooks of the session, where there are any.
    fn start(self, limit: Duration) -> Option<Hooks> {
        let Begun { session, side, chain, sessions } = self;
        if !chain.sees_begin(side) {
            return None;
        }
        let enter = move |session: &Session| {
            if let Some(sessions) = sessions.upgrade() {
                sessions.let_in(session);
            }
        };
        Some(Hooks(tokio::spawn(welcome(chain, &session, (side, limit), enter))))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.stop_listening());
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("listening", &self.local_addrs())
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

/// Takes connections until the peer is gone or stops listening.
async fn accept(listener: Arc<Listener>, peer: Weak<Inner>, stop: CancellationToken) {
    if stop.run_until_cancelled(socket::may_accept()).await.is_none() {
        return;
    }
    #[cfg(feature = "tls")]
    let mut handshakes = handshakes::Handshakes::default();
    #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "only handshakes are kept"))]
    let mut take = |peer: &Arc<Inner>, accepted| match accepted {
        Accepted::Open(connection) => peer.take(connection),
        #[cfg(feature = "tls")]
        Accepted::Begun(handshake) => handshakes.begin(handshake, peer),
    };
    let mut failed: u32 = 0;
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Some(peer) = peer.upgrade() else { return };
        match accepted {
            Ok(accepted) => {
                failed = 0;
                take(&peer, accepted);
            }
            // One that was given up before it was taken; the next may be waiting.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                let address = listener.address();
                if failed.is_multiple_of(ACCEPT_WARNINGS) {
                    tracing::warn!(target: "teleport", %address, %error, "can't take a connection");
                } else {
                    tracing::debug!(target: "teleport", %address, %error, "can't take a connection");
                }
                failed = failed.wrapping_add(1);
                drop(peer);
                stop.run_until_cancelled(tokio::time::sleep(ACCEPT_PAUSE)).await;
            }
        }
    }
    if !listener.is_handed_over() {
        // Who waits here already would see the connection broken; so it is ended in good order. In its turn the runtime
        // asks the system who waits.
        tokio::task::yield_now().await;
        for _ in 0..ACCEPT_LAST {
            let last = poll_fn(|cx| Poll::Ready(pin!(listener.accept()).poll(cx))).await;
            let (Poll::Ready(Ok(accepted)), Some(peer)) = (last, peer.upgrade()) else { break };
            take(&peer, accepted);
        }
    }
    #[cfg(feature = "tls")]
    if let Some(hurry) = peer.upgrade().map(|peer| peer.hurry.clone()) {
        hurry.run_until_cancelled(handshakes.finish()).await;
    }
}
