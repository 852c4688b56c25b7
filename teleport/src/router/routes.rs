//! The router: registering handlers and groups of them, and finding them by uri.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::about::About;
use super::function;
use super::handler::Handler;
use super::sealed;
use super::service::{Routes, Service};
use super::table::{Entry, Table};
use crate::call::SealedReply;
use crate::codec::{DecodeAny, EncodeAny};
use crate::context::{Context, ReplyBody};
use crate::error::{Error, Result};
use crate::plugin::{Chain, Plugin, Plugins, Route};
use crate::status::Status;
use crate::wire::{SealedBody, Uri, WireError};

/// The handlers of a peer: pulls and pushes by the path of their uri, and those for unknown uris.
///
/// The path is matched exactly, after `%` escapes are undone; the query is for the handler to read. A pull and a
/// push may stand at the same uri.
///
/// # Examples
///
/// ```
/// use teleport::{Peer, Router, Status};
///
/// let mut router = Router::new();
/// router.pull("/ping", |_, ()| async { Ok("pong") })?;
/// router.group("/v1").pull("/add", |_, (a, b): (i64, i64)| async move {
///     a.checked_add(b).ok_or_else(|| Status::new(1000, "overflow"))
/// })?;
/// let taken = router.pull("/v1/add", |_, ()| async { Ok(()) }).unwrap_err();
/// assert!(taken.is_conflict());
///
/// let peer = Peer::builder().router(router)?.build()?;
/// # Ok::<(), teleport::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Router {
    pub(super) pulls: Table,
    pub(super) pushes: Table,
    services: Vec<&'static str>,
    /// The plugins of the peer, once it is built.
    chain: Arc<Chain>,
}

impl Router {
    /// A router without handlers: every pull is answered with 404, every push is dropped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers every method of a service.
    ///
    /// # Errors
    ///
    /// A conflict, naming both sides, where a uri is taken; nothing of the service is registered then.
    pub fn service<S: Service>(&mut self, service: S) -> Result<&mut Self> {
        self.group("").service(service)?;
        Ok(self)
    }

    /// Registers a function for pulls at `uri`, over serde types: it reads JSON, bincode and plain bodies, and
    /// answers in the codec that the pull came in. The argument is owned: to borrow from the packet, take `()` and read it
    /// with [`Context::bind`], or write a service.
    ///
    /// # Errors
    ///
    /// A conflict where the uri is taken; a config error where it does not start with a slash, has a query, or can't be
    /// unescaped.
    pub fn pull<T, R, H, F>(&mut self, uri: &str, handler: H) -> Result<&mut Self>
    where
        T: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        self.group("").pull(uri, handler)?;
        Ok(self)
    }

    /// Registers a function for pulls at `uri`, over types that travel in one of `codecs`, such as
    /// `(Protobuf, Json)`; the first answers a pull without a body.
    ///
    /// # Errors
    ///
    /// As [`pull`](Self::pull).
    pub fn pull_with<L, T, R, H, F>(&mut self, uri: &str, codecs: L, handler: H) -> Result<&mut Self>
    where
        L: for<'de> DecodeAny<'de, T> + EncodeAny<R>,
        T: Send + 'static,
        R: Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        self.group("").pull_with(uri, codecs, handler)?;
        Ok(self)
    }

    /// Registers a function for pushes at `uri`, over serde types.
    ///
    /// # Errors
    ///
    /// As [`pull`](Self::pull).
    pub fn push<T, H, F>(&mut self, uri: &str, handler: H) -> Result<&mut Self>
    where
        T: DeserializeOwned + Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.group("").push(uri, handler)?;
        Ok(self)
    }

    /// Registers a function for pushes at `uri`, over types that travel in one of `codecs`.
    ///
    /// # Errors
    ///
    /// As [`pull`](Self::pull).
    pub fn push_with<L, T, H, F>(&mut self, uri: &str, codecs: L, handler: H) -> Result<&mut Self>
    where
        L: for<'de> DecodeAny<'de, T>,
        T: Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.group("").push_with(uri, codecs, handler)?;
        Ok(self)
    }

    /// Takes the pulls that no other handler takes, instead of answering 404. The last one given counts.
    pub fn unknown_pull<H, F>(&mut self, handler: H) -> &mut Self
    where
        H: Fn(Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<ReplyBody, Status>> + Send + 'static,
    {
        self.pulls.unknown = Some(Entry::new("the handler of unknown pulls", function::raw_pull(handler)));
        self
    }

    /// Takes the pushes that no other handler takes, instead of dropping them. The last one given counts.
    pub fn unknown_push<H, F>(&mut self, handler: H) -> &mut Self
    where
        H: Fn(Context) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.pushes.unknown = Some(Entry::new("the handler of unknown pushes", function::raw_push(handler)));
        self
    }

    /// As [`unknown_pull`](Self::unknown_pull), for handlers that pass packets on: the body is handed over as it came,
    /// neither decoded nor inflated, and the reply goes back with the status, the gzip level and the body that it has.
    ///
    /// Of the context, the body is left out. For a whole proxy see [`ReverseProxy`](crate::ReverseProxy); for an example,
    /// [`SealedReply`].
    pub fn unknown_pull_sealed<H, F>(&mut self, handler: H) -> &mut Self
    where
        H: Fn(Context, SealedBody) -> F + Send + Sync + 'static,
        F: Future<Output = Result<SealedReply, Status>> + Send + 'static,
    {
        self.pulls.unknown = Some(Entry::new("the handler of unknown pulls", sealed::sealed_pull(handler)));
        self
    }

    /// As [`unknown_push`](Self::unknown_push), for handlers that pass packets on: the body is handed over as it came,
    /// neither decoded nor inflated. A status is logged: nobody waits for it.
    pub fn unknown_push_sealed<H, F>(&mut self, handler: H) -> &mut Self
    where
        H: Fn(Context, SealedBody) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        self.pushes.unknown = Some(Entry::new("the handler of unknown pushes", sealed::sealed_push(handler)));
        self
    }

    /// A part of the router whose uris begin with `prefix`.
    pub fn group(&mut self, prefix: &str) -> Group<'_> {
        Group { router: self, prefix: join("", prefix), plugins: Plugins::default(), no_cancel: false }
    }

    /// Adds all handlers of another router.
    ///
    /// # Errors
    ///
    /// A conflict where both have a handler at one uri; nothing is added then.
    pub fn merge(&mut self, other: Router) -> Result<&mut Self> {
        self.pulls.check_all("pull", &other.pulls)?;
        self.pushes.check_all("push", &other.pushes)?;
        self.pulls.extend(other.pulls);
        self.pushes.extend(other.pushes);
        for name in other.services {
            if !self.services.contains(&name) {
                self.services.push(name);
            }
        }
        Ok(self)
    }

    /// Names of the services, in the order in which they were registered; one that is registered in several groups once.
    pub fn services(&self) -> impl Iterator<Item = &'static str> {
        self.services.iter().copied()
    }

    /// Path and name of every pull, in no order.
    pub fn pulls(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pulls.paths()
    }

    /// Path and name of every push, in no order.
    pub fn pushes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pushes.paths()
    }

    pub(crate) fn find_pull(&self, uri: &str) -> std::result::Result<Option<&Entry>, WireError> {
        self.pulls.find(uri)
    }

    pub(crate) fn find_push(&self, uri: &str) -> std::result::Result<Option<&Entry>, WireError> {
        self.pushes.find(uri)
    }

    /// Puts the plugins of the peer before those of groups and services, and tells them of all routes.
    pub(crate) fn finish(&mut self, peer: &Plugins) -> Result<()> {
        self.chain = Arc::new(Chain::new(peer, &Plugins::default()));
        for handlers in peer.handlers() {
            let (plugin, handlers) = handlers?;
            let name = format!("the plugin {plugin}");
            for (uri, handler) in handlers.pulls {
                let entry = Entry::new(&name, function::raw_pull(move |cx| handler(cx)));
                let path = self.group("").path(&uri)?;
                self.pulls.add("pull", path, entry)?;
            }
            for (uri, handler) in handlers.pushes {
                let entry = Entry::new(&name, function::raw_push(move |cx| handler(cx)));
                let path = self.group("").path(&uri)?;
                self.pushes.add("push", path, entry)?;
            }
        }
        self.pulls.finish(false, peer, &self.chain)?;
        self.pushes.finish(true, peer, &self.chain)?;
        let pulls = self.pulls.paths().map(|(path, name)| Route { is_push: false, path, name });
        let pushes = self.pushes.paths().map(|(path, name)| Route { is_push: true, path, name });
        let mut routes: Vec<_> = pulls.chain(pushes).collect();
        routes.sort_unstable_by_key(|route| (route.is_push, route.path));
        self.chain.after_register_all(&routes)
    }

    /// The plugins of the peer.
    pub(crate) fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("pulls", &self.pulls().collect::<Vec<_>>())
            .field("pushes", &self.pushes().collect::<Vec<_>>())
            .finish()
    }
}

/// A part of a [`Router`] whose uris share a prefix. Its methods are the router's.
pub struct Group<'r> {
    router: &'r mut Router,
    prefix: String,
    plugins: Plugins,
    no_cancel: bool,
}

impl std::fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("prefix", &self.prefix)
            .field("plugins", &self.plugins.names().collect::<Vec<_>>())
            .field("router", self.router)
            .finish()
    }
}

impl Group<'_> {
    /// Attaches a plugin: it sees the pulls and pushes that come to what is registered through this group from now on,
    /// groups within it included; see [`plugin`](crate::plugin).
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::plugin::{Plugin, Verdict};
    /// use teleport::{Context, Peer, Router, Status};
    ///
    /// struct Closed;
    ///
    /// impl Plugin for Closed {
    ///     fn name(&self) -> &str {
    ///         "closed"
    ///     }
    ///
    ///     async fn after_read_header(&self, _: &mut Context) -> Verdict {
    ///         Err(Status::unavailable("come back tomorrow"))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
    /// let mut router = Router::new();
    /// router.pull("/shop/hours", |_, ()| async { Ok("9 to 5") })?;
    /// router.group("/shop").plugin(Closed).pull("/buy", |_, what: String| async { Ok(what) })?;
    ///
    /// let server = Peer::builder().router(router)?.build()?;
    /// let session = Peer::builder().build()?.connect(&server).await?;
    /// assert_eq!(session.pull("/shop/hours").await?.decode::<String>()?, "9 to 5");
    /// assert_eq!(session.pull("/shop/buy").body("tea").await.unwrap_err().code(), Some(503.into()));
    /// # Ok(()) }
    /// ```
    pub fn plugin(&mut self, plugin: impl Plugin) -> &mut Self {
        self.plugins.push(plugin);
        self
    }

    /// Lets pulls run to their end once their handlers have begun, also where the caller has gone away or its
    /// [time](Context::deadline) is up: those of what is registered through this group from now on, groups within it
    /// included. For work that must not stop half-way. Calls that such a handler makes don't have the deadline either. For one
    /// method of a service there is `#[pull(no_cancel)]`.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Router, Status};
    ///
    /// async fn transfer(from: u32, to: u32) -> Result<(), Status> {
    /// #    Ok(())
    /// }
    ///
    /// let mut router = Router::new();
    /// router.group("/bank").no_cancel().pull("/transfer", |_, (from, to)| transfer(from, to))?;
    /// # Ok::<(), teleport::Error>(())
    /// ```
    pub fn no_cancel(&mut self) -> &mut Self {
        self.no_cancel = true;
        self
    }

    /// As [`Router::service`], below the prefix; its clients need
    /// `with_prefix` with the same prefix.
    ///
    /// # Errors
    ///
    /// As [`Router::service`].
    pub fn service<S: Service>(&mut self, service: S) -> Result<&mut Self> {
        let mut routes = Routes::default();
        service.register(&mut routes);
        let mut registered = Router { services: vec![S::NAME], ..Router::new() };
        for (table, kind, routes) in
            [(&mut registered.pulls, "pull", routes.pulls), (&mut registered.pushes, "push", routes.pushes)]
        {
            for route in routes {
                let path = path(&join(&self.prefix, route.uri))?;
                let mut plugins = self.plugins.clone();
                plugins.extend(&route.plugins);
                let handler = self.finished(route.handler);
                table.add(
                    kind,
                    path,
                    Entry::new(route.name, handler).with_about(route.about).with_plugins(plugins),
                )?;
            }
        }
        self.router.merge(registered)?;
        Ok(self)
    }

    /// As [`Router::pull`], below the prefix.
    ///
    /// # Errors
    ///
    /// As [`Router::pull`].
    pub fn pull<T, R, H, F>(&mut self, uri: &str, handler: H) -> Result<&mut Self>
    where
        T: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        self.add_pull(uri, About::serde_pull::<T, R>(), function::serde_pull(handler))
    }

    /// As [`Router::pull_with`], below the prefix.
    ///
    /// # Errors
    ///
    /// As [`Router::pull`].
    pub fn pull_with<L, T, R, H, F>(&mut self, uri: &str, codecs: L, handler: H) -> Result<&mut Self>
    where
        L: for<'de> DecodeAny<'de, T> + EncodeAny<R>,
        T: Send + 'static,
        R: Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        let _ = codecs;
        self.add_pull(uri, About::codecs_pull::<L, T, R>(), function::codecs_pull::<L, T, R, H, F>(handler))
    }

    /// As [`Router::push`], below the prefix.
    ///
    /// # Errors
    ///
    /// As [`Router::pull`].
    pub fn push<T, H, F>(&mut self, uri: &str, handler: H) -> Result<&mut Self>
    where
        T: DeserializeOwned + Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.add_push(uri, About::serde_push::<T>(), function::serde_push(handler))
    }

    /// As [`Router::push_with`], below the prefix.
    ///
    /// # Errors
    ///
    /// As [`Router::pull`].
    pub fn push_with<L, T, H, F>(&mut self, uri: &str, codecs: L, handler: H) -> Result<&mut Self>
    where
        L: for<'de> DecodeAny<'de, T>,
        T: Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let _ = codecs;
        self.add_push(uri, About::codecs_push::<L, T>(), function::codecs_push::<L, T, H, F>(handler))
    }

    /// A group within this one.
    pub fn group(&mut self, prefix: &str) -> Group<'_> {
        let prefix = join(&self.prefix, prefix);
        Group { router: self.router, prefix, plugins: self.plugins.clone(), no_cancel: self.no_cancel }
    }

    fn add_pull(&mut self, uri: &str, about: About, handler: Arc<Handler>) -> Result<&mut Self> {
        let path = self.path(uri)?;
        let name = format!("a function at {path}");
        let entry =
            Entry::new(&name, self.finished(handler)).with_about(about).with_plugins(self.plugins.clone());
        self.router.pulls.add("pull", path, entry)?;
        Ok(self)
    }

    fn add_push(&mut self, uri: &str, about: About, handler: Arc<Handler>) -> Result<&mut Self> {
        let path = self.path(uri)?;
        let name = format!("a function at {path}");
        let entry = Entry::new(&name, handler).with_about(about).with_plugins(self.plugins.clone());
        self.router.pushes.add("push", path, entry)?;
        Ok(self)
    }
}

impl Group<'_> {
    /// A handler that was just made, as the group has it.
    fn finished(&self, mut handler: Arc<Handler>) -> Arc<Handler> {
        if let Some(handler) = Arc::get_mut(&mut handler).filter(|_| self.no_cancel) {
            handler.run_to_end();
        }
        handler
    }

    /// The path of a function's uri, which may be empty for the group itself.
    fn path(&self, uri: &str) -> Result<String> {
        if !uri.starts_with('/') && (self.prefix == "/" || !uri.is_empty()) {
            return Err(Error::config(format!(
                "the uri {uri:?} does not start with a slash; write \"/{uri}\""
            )));
        }
        path(&join(&self.prefix, uri))
    }
}

/// Two parts of a path with one slash between them and no empty part.
fn join(prefix: &str, rest: &str) -> String {
    let rest = rest.trim_start_matches('/');
    if rest.is_empty() {
        return if prefix.is_empty() { "/".into() } else { prefix.into() };
    }
    format!("{}/{rest}", prefix.trim_end_matches('/'))
}

/// The path by which a uri is found.
fn path(uri: &str) -> Result<String> {
    let parsed = Uri::new(uri);
    if parsed.query().is_some() {
        return Err(Error::config(format!(
            "the uri {uri:?} has a query; register the path alone, and read the query with Context::query"
        )));
    }
    Ok(parsed.decoded_path()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_are_joined_by_one_slash() {
        for (prefix, rest, joined) in [
            ("", "/a", "/a"),
            ("", "a", "/a"),
            ("/v1", "/a", "/v1/a"),
            ("/v1/", "a/b", "/v1/a/b"),
            ("/v1", "", "/v1"),
            ("", "", "/"),
            ("/", "/a", "/a"),
        ] {
            assert_eq!(join(prefix, rest), joined, "{prefix:?} and {rest:?}");
        }
    }

    #[test]
    fn a_conflict_names_both() {
        let mut router = Router::new();
        router.group("/v1").group("x").pull("/a", |_, ()| async { Ok(()) }).unwrap();
        let error = router.pull("/v1/x/%61", |_, ()| async { Ok(()) }).unwrap_err();
        assert!(error.is_conflict());
        assert_eq!(
            error.to_string(),
            "the pull /v1/x/a is taken by a function at /v1/x/a, so a function at /v1/x/a can't have it; \
             give one of them another uri or a group with a prefix"
        );
        router.push("/v1/x/a", |_, ()| async {}).expect("pulls and pushes stand apart");
    }

    #[test]
    fn what_can_not_be_found_is_not_registered() {
        let mut router = Router::new();
        assert!(router.pull("/a?b=1", |_, ()| async { Ok(()) }).unwrap_err().to_string().contains("query"));
        assert!(router.pull("/a%zz", |_, ()| async { Ok(()) }).is_err());
        let error = router.group("/v1").pull("a", |_, ()| async { Ok(()) }).unwrap_err();
        assert!(error.is_config() && error.to_string().ends_with("write \"/a\""), "{error}");
        assert!(router.pull("", |_, ()| async { Ok(()) }).is_err());
        router.group("/v1").pull("", |_, ()| async { Ok(()) }).expect("the group itself");
    }
}
