//! From an upstream back down to the clients.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::way::{Failed, TIMEOUT, Way};
use super::{Forward, Hop, To, router, uri};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::router::Router;
use crate::session::{Session, WeakSession};
use crate::status::{Code, Status};

/// What stands at the end of the way down, to people.
const CLIENT: &str = "client";

/// The clients of a proxy whose upstream session they share, by ids that the upstream sees: so it can call one of them
/// back.
///
/// With [`Upstream::with_clients`](crate::Upstream::with_clients), whatever goes up has the id of its client in the query of
/// the uri, as `/orders/buy?X-Client-ID=1f-0`. The peer that dials the upstream has the [`router`](Self::router) of this
/// table: a pull or push from there with the same pair in its query goes down to that client, without the pair. One without
/// it is answered 400, one for a client that has left 404.
///
/// An id is one session's and is never given to another, not even by the next run of the program. Cheap to clone: all
/// clones are the same table.
///
/// # Examples
///
/// ```
/// use teleport::{Clients, Context, Peer, ReverseProxy, Status, Upstream};
///
/// /// Calls back whoever buys; the session is the proxy's, and the id says for whom.
/// async fn buy(cx: Context, what: String) -> Result<String, Status> {
///     let id = cx.query("X-Client-ID").unwrap_or_default().into_owned();
///     let sure: bool = cx.session().pull("/confirm").query("X-Client-ID", &id).body(&what).await?.decode()?;
///     if sure { Ok(format!("{what} is on its way")) } else { Err(Status::new(1001, "not sure")) }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let shop = Peer::builder().pull("/buy", buy)?.listen("127.0.0.1:0").await?;
///
/// let clients = Clients::new("X-Client-ID");
/// let dialer = Peer::builder().router(clients.router())?.build()?;
/// let upstream = Upstream::from(dialer.dial(shop.local_addr()?).await?).with_clients(&clients);
/// let gateway = Peer::builder().router(ReverseProxy::to(upstream)?.router())?.build()?;
///
/// let client = Peer::builder().pull("/confirm", |_, what: String| async move { Ok(what == "tea") })?.build()?;
/// let session = client.connect(&gateway).await?;
/// assert_eq!(session.pull("/buy").body("tea").await?.decode::<String>()?, "tea is on its way");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Clients(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    /// What the ids of this table begin with: its own, so that ids of an earlier run find nobody.
    own: u64,
    tables: Mutex<Tables>,
    way: Way,
}

#[derive(Default)]
struct Tables {
    ids: HashMap<WeakSession, Arc<str>, foldhash::fast::RandomState>,
    sessions: HashMap<Arc<str>, WeakSession, foldhash::fast::RandomState>,
    next: u64,
}

impl Clients {
    /// An empty table, whose ids travel under this name in the query of uris. A call down to a client may take 30 s.
    pub fn new(name: &str) -> Self {
        Self::with_timeout(name, TIMEOUT)
    }

    /// An empty table; a call down to a client may take so long, `None` as long as the sessions live.
    pub fn with_timeout(name: &str, timeout: impl Into<Option<Duration>>) -> Self {
        Clients(Arc::new(Inner {
            name: name.into(),
            own: RandomState::new().hash_one(name),
            tables: Mutex::default(),
            way: Way::new(CLIENT, None, timeout.into()),
        }))
    }

    /// The client of this id, while its session is there.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Session> {
        self.0.tables.lock().sessions.get(id).and_then(WeakSession::upgrade)
    }

    /// Takes all that comes from the upstream and no other handler takes, and passes it on to the client that it names.
    /// For the peer that dials the upstream.
    #[must_use]
    pub fn router(&self) -> Router {
        router(self.0.clone())
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// The id of a client, which is given one where it has none.
    pub(super) fn id(&self, client: &Session) -> Arc<str> {
        let weak = client.weak();
        let mut tables = self.0.tables.lock();
        if let Some(id) = tables.ids.get(&weak) {
            return id.clone();
        }
        let id: Arc<str> = format!("{:x}-{}", self.0.own, tables.next).into();
        tables.next += 1;
        tables.ids.insert(weak.clone(), id.clone());
        tables.sessions.insert(id.clone(), weak.clone());
        drop(tables);
        let (inner, left) = (self.0.clone(), id.clone());
        tokio::spawn(async move {
            weak.closed().await;
            let mut tables = inner.tables.lock();
            tables.ids.remove(&weak);
            tables.sessions.remove(&left);
        });
        id
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients")
            .field("name", &self.0.name)
            .field("clients", &self.0.tables.lock().ids.len())
            .finish()
    }
}

impl Forward for Inner {
    fn hop<'a>(&'a self, cx: &'a Context) -> Result<Hop<'a>, Status> {
        let name = &*self.name;
        let Some(id) = cx.query(name) else {
            return Err(Status::bad_request(format!(
                "{} does not say to which client; add {name}=<its id> to the query",
                cx.uri()
            )));
        };
        let session = self.tables.lock().sessions.get(&*id).and_then(WeakSession::upgrade);
        let Some(session) = session else {
            return Err(Status::not_found(format!(
                "Not Found: the client {id:?} has left, or never was here"
            )));
        };
        Ok(Hop { uri: Cow::Owned(uri::without(cx.uri(), name)), way: &self.way, to: To::Session(session) })
    }
}

/// Which client an upstream session belongs to, where each has one of its own.
pub(super) struct Pairs {
    clients: Mutex<HashMap<WeakSession, WeakSession, foldhash::fast::RandomState>>,
    /// Sessions that are being opened: their first packets may come before they are entered.
    opening: AtomicUsize,
    changed: Notify,
    way: Way,
}

impl Pairs {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Pairs {
            clients: Mutex::default(),
            opening: AtomicUsize::new(0),
            changed: Notify::new(),
            way: Way::new(CLIENT, None, timeout),
        }
    }

    /// Notes that a session is being opened, until what is returned is dropped.
    pub(super) fn opening(&self) -> Opening<'_> {
        self.opening.fetch_add(1, Ordering::SeqCst);
        Opening(self)
    }

    /// Enters a pair.
    ///
    /// # Errors
    ///
    /// A conflict where the upstream session is another client's.
    pub(super) fn insert(&self, upstream: &Session, client: &Session) -> Result<()> {
        let mut clients = self.clients.lock();
        let (upstream, client) = (upstream.weak(), client.weak());
        if clients.get(&upstream).is_some_and(|other| *other != client) {
            return Err(Error::conflict(
                "the upstream session is another client's; open one for each, or share it with `Clients`",
            ));
        }
        clients.insert(upstream, client);
        Ok(())
    }

    pub(super) fn remove(&self, upstream: &Session) {
        self.clients.lock().remove(&upstream.weak());
    }

    /// The client that a session belongs to.
    pub(super) async fn client(&self, upstream: &Session) -> Result<Session, Failed> {
        let upstream = upstream.weak();
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            let opening = self.opening.load(Ordering::SeqCst);
            let client = self.clients.lock().get(&upstream).cloned();
            match client {
                Some(client) => return client.upgrade().ok_or_else(|| nobody().into()),
                None if opening == 0 => return Err(nobody().into()),
                None => changed.await,
            }
        }
    }
}

fn nobody() -> Status {
    Status::new(Code::BAD_GATEWAY, "Bad Gateway: the client of this session has left; it has not run")
}

impl Forward for Pairs {
    fn hop<'a>(&'a self, cx: &'a Context) -> Result<Hop<'a>, Status> {
        Ok(Hop { uri: Cow::Borrowed(cx.uri()), way: &self.way, to: To::Client(self) })
    }
}

/// A session that is being opened.
pub(super) struct Opening<'a>(&'a Pairs);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}
