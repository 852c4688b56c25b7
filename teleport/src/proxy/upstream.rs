//! What a proxy passes packets on to.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::clients::{Clients, Pairs};
use super::router;
use super::way::{Failed, TIMEOUT, Way};
use crate::context::Context;
use crate::error::Result;
use crate::peer::{Peer, PeerBuilder};
use crate::session::{Session, WeakSession};
use crate::socket::Endpoint;
use crate::status::{Code, Status};

type Choice = Pin<Box<dyn Future<Output = Result<Session, Status>> + Send>>;
type Choose = Box<dyn Fn(&Context) -> Choice + Send + Sync>;
type Opens = Pin<Box<dyn Future<Output = Result<Session>> + Send>>;
type Open = Box<dyn Fn(Peer, Session) -> Opens + Send + Sync>;

/// What a [`ReverseProxy`](crate::ReverseProxy) passes packets on to: one session that all clients share, a session of its
/// own for each client, or what a function chooses.
///
/// | made by | clients share it | opened | where it is lost |
/// |---|---|---|---|
/// | `Upstream::from(session)` | yes | by you | 502 from then on |
/// | [`shared`](Self::shared) | yes | at the first packet | opened again at the next packet |
/// | [`per_client`](Self::per_client) | no, so the upstream may call its client | at the client's first packet | the client is closed too, or with [`keep_client`](Self::keep_client) it is opened again |
/// | [`choose`](Self::choose) | as you choose | by you | as you choose |
#[must_use = "an upstream is for a `ReverseProxy`"]
pub struct Upstream {
    kind: Kind,
    name: Option<Arc<str>>,
    timeout: Option<Duration>,
    keep_client: bool,
    clients: Option<Clients>,
}

enum Kind {
    Session(Session),
    Choose(Choose),
    Shared { peer: Peer, address: String },
    PerClient { builder: Box<PeerBuilder>, address: Option<String>, open: Open },
}

impl Upstream {
    /// One session for all clients, dialed by `peer` when the first packet comes, and again when one comes after it was
    /// lost.
    pub fn shared(peer: &Peer, address: impl fmt::Display) -> Self {
        Self::new(Kind::Shared { peer: peer.clone(), address: address.to_string() })
    }

    /// A session for each client, dialed when the client's first packet comes.
    ///
    /// The two sessions are a pair: what the upstream pulls and pushes goes down to that client, unopened as well, and
    /// where one of the two ends the other is closed, in good order. `builder` makes the peer that dials: its handlers come
    /// before the client's, its settings are those of the sessions to the upstream.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{IdFormat, Peer, ReverseProxy, Upstream};
    ///
    /// # async fn f() -> teleport::Result<()> {
    /// // An old upstream behind, clients of every kind in front.
    /// let dialer = Peer::builder().id_format(IdFormat::Sequence);
    /// let proxy = ReverseProxy::to(Upstream::per_client(dialer, "10.0.0.7:9090").named("users"))?;
    /// let gateway = Peer::builder().router(proxy.router())?.listen("0.0.0.0:9090").await?;
    /// # Ok(()) }
    /// ```
    pub fn per_client(builder: PeerBuilder, address: impl fmt::Display) -> Self {
        let address = address.to_string();
        let dialed = address.clone();
        let open: Open = Box::new(move |peer, _| {
            let address = dialed.clone();
            Box::pin(async move { peer.dial(address).no_redial().await })
        });
        Self::new(Kind::PerClient { builder: Box::new(builder), address: Some(address), open })
    }

    /// As [`per_client`](Self::per_client), but `open` opens the session, with the peer that it is given and for the client
    /// whose session it is given: at an address that a registry tells, with a login of its own, over another transport.
    pub fn per_client_with<F, Fut>(builder: PeerBuilder, open: F) -> Self
    where
        F: Fn(Peer, Session) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Session>> + Send + 'static,
    {
        let open: Open = Box::new(move |peer, client| Box::pin(open(peer, client)));
        Self::new(Kind::PerClient { builder: Box::new(builder), address: None, open })
    }

    /// The session that `choose` ends with, asked for each packet: that of a [`Balancer`](crate::registry::Balancer), one by what
    /// the context tells. An error of it is answered as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Context, ReverseProxy, Session, SessionHub, Status, Upstream};
    ///
    /// /// Rooms are spread over sessions that are called by their names.
    /// fn rooms(hub: SessionHub) -> teleport::Result<ReverseProxy> {
    ///     ReverseProxy::to(Upstream::choose(move |cx: &Context| {
    ///         let session = cx.query("room").and_then(|room| hub.get(&room));
    ///         async move { session.ok_or_else(|| Status::not_found("no such room")) }
    ///     }))
    /// }
    /// ```
    pub fn choose<F, Fut, E>(choose: F) -> Self
    where
        F: Fn(&Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Session, E>> + Send + 'static,
        E: Into<Status>,
    {
        let choose: Choose = Box::new(move |cx| {
            let chosen = choose(cx);
            Box::pin(async move { chosen.await.map_err(Into::into) })
        });
        Self::new(Kind::Choose(choose))
    }

    /// The name in statuses and logs, in place of the address: clients see it.
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long a packet may take from when it came, opening a session included: a pull to its reply, a push until it is
    /// sent. Default: 30 s; `None` as long as the sessions live. The pull timeout of the upstream's session does not count.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Leaves a client alone whose own upstream session ended: the next packet opens another. Without it the client is
    /// closed as well, since what the upstream knew of it is lost. For [`per_client`](Self::per_client).
    pub fn keep_client(mut self) -> Self {
        self.keep_client = true;
        self
    }

    /// Tells the upstream the id of the client in the query of every uri, so that it can call it back over a session that
    /// clients share; see [`Clients`].
    pub fn with_clients(mut self, clients: &Clients) -> Self {
        self.clients = Some(clients.clone());
        self
    }

    fn new(kind: Kind) -> Self {
        Upstream { kind, name: None, timeout: Some(TIMEOUT), keep_client: false, clients: None }
    }

    pub(super) fn build(self) -> Result<Target> {
        let kind = match self.kind {
            Kind::Session(session) => TargetKind::Session(session),
            Kind::Choose(choose) => TargetKind::Choose(choose),
            Kind::Shared { peer, address } => {
                address.parse::<Endpoint>()?;
                TargetKind::Shared { peer, address, opened: Opened::default() }
            }
            Kind::PerClient { builder, address, open } => {
                if let Some(address) = address {
                    address.parse::<Endpoint>()?;
                }
                let pairs = Arc::new(Pairs::new(self.timeout));
                let peer = builder.router(router(pairs.clone()))?.build()?;
                let (links, keep_client) = (Mutex::default(), self.keep_client);
                TargetKind::PerClient(Arc::new(PerClient { peer, open, pairs, links, keep_client }))
            }
        };
        Ok(Target { kind, way: Way::new("upstream", self.name, self.timeout), clients: self.clients })
    }
}

impl From<Session> for Upstream {
    fn from(session: Session) -> Self {
        Self::new(Kind::Session(session))
    }
}

impl From<&Session> for Upstream {
    fn from(session: &Session) -> Self {
        session.clone().into()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind: &dyn fmt::Debug = match &self.kind {
            Kind::Session(session) => session,
            Kind::Choose(_) => &"chosen",
            Kind::Shared { address, .. } => address,
            Kind::PerClient { address, .. } => address,
        };
        f.debug_struct("Upstream")
            .field("to", kind)
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// An upstream that is ready for packets.
pub(super) struct Target {
    kind: TargetKind,
    pub(super) way: Way,
    pub(super) clients: Option<Clients>,
}

enum TargetKind {
    Session(Session),
    Choose(Choose),
    Shared { peer: Peer, address: String, opened: Opened },
    PerClient(Arc<PerClient>),
}

impl Target {
    /// The session for a packet.
    pub(super) async fn session(&self, cx: &Context) -> Result<Session, Failed> {
        let session = match &self.kind {
            TargetKind::Session(session) => session.clone(),
            TargetKind::Choose(choose) => choose(cx).await?,
            TargetKind::Shared { peer, address, opened } => {
                opened.get(true, async { peer.dial(address).no_redial().await }).await?
            }
            TargetKind::PerClient(own) => own.session(cx.session()).await?,
        };
        let caller = cx.session();
        // Where an end listens, its address is one that can be dialed: this one was, by the proxy itself.
        let same = match session.remote_addr().tcp() {
            Some(address) => caller.local_addr().tcp() == Some(address),
            None => false,
        };
        if same || session == *caller {
            let text =
                format!("Loop Detected: the upstream of {} is the proxy itself; it has not run", cx.uri());
            return Err(Status::new(Code::LOOP_DETECTED, text).into());
        }
        Ok(session)
    }
}

/// A session that is opened when it is first asked for; whoever asks meanwhile waits for the same.
#[derive(Default)]
struct Opened(Mutex<Arc<OnceCell<Session>>>);

impl Opened {
    /// The session. One that has ended is forgotten where it is to be opened `again`.
    async fn get(&self, again: bool, open: impl Future<Output = Result<Session>>) -> Result<Session> {
        let cell = {
            let mut cell = self.0.lock();
            if again && cell.get().is_some_and(|session| !session.is_open()) {
                *cell = Arc::default();
            }
            cell.clone()
        };
        cell.get_or_try_init(|| open).await.cloned()
    }
}

/// A session for each client.
struct PerClient {
    peer: Peer,
    open: Open,
    pairs: Arc<Pairs>,
    links: Mutex<HashMap<WeakSession, Arc<Opened>, foldhash::fast::RandomState>>,
    keep_client: bool,
}

impl PerClient {
    async fn session(self: &Arc<Self>, client: &Session) -> Result<Session, Failed> {
        let link = self.link(client);
        Ok(link.get(self.keep_client, self.open(client)).await?)
    }

    fn link(self: &Arc<Self>, client: &Session) -> Arc<Opened> {
        let weak = client.weak();
        let mut links = self.links.lock();
        if let Some(link) = links.get(&weak) {
            return link.clone();
        }
        let link = Arc::<Opened>::default();
        links.insert(weak.clone(), link.clone());
        drop(links);
        let own = self.clone();
        tokio::spawn(async move {
            weak.closed().await;
            own.links.lock().remove(&weak);
        });
        link
    }

    async fn open(self: &Arc<Self>, client: &Session) -> Result<Session> {
        let _opening = self.pairs.opening();
        let upstream = (self.open)(self.peer.clone(), client.clone()).await?;
        self.pairs.insert(&upstream, client)?;
        tokio::spawn(self.clone().end_together(client.weak(), upstream.clone()));
        Ok(upstream)
    }

    /// Waits until one of a pair has ended, and ends the other.
    async fn end_together(self: Arc<Self>, client: WeakSession, upstream: Session) {
        either(client.closed(), upstream.closed()).await;
        self.pairs.remove(&upstream);
        upstream.close().await;
        if !self.keep_client
            && let Some(client) = client.upgrade()
        {
            client.close().await;
        }
    }
}

async fn either(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    std::future::poll_fn(|cx| {
        if a.as_mut().poll(cx).is_ready() { std::task::Poll::Ready(()) } else { b.as_mut().poll(cx) }
    })
    .await;
}
