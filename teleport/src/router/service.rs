//! What `#[teleport::service]` implements and calls to register a service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::about::About;
use super::handler::Handler;
use super::slot::{Listed, Nothing, Slot, slot};
use crate::codec::{DecodeAny, EncodeAny};
use crate::context::Context;
use crate::method::{Method, MethodSpec};
use crate::plugin::{Plugin, Plugins};
use crate::status::Status;

/// A set of handlers that registers itself under its own uris. `#[teleport::service]` implements it for the generated
/// server types; it is not for implementing by hand.
pub trait Service {
    /// The service's name to people, such as `Arith`.
    const NAME: &'static str;

    /// Registers every handler.
    fn register(self, routes: &mut Routes);

    /// Attaches a plugin: it sees the pulls and pushes that come to this service, after the plugins that were attached
    /// before it; see [`plugin`](crate::plugin).
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::plugin::{Plugin, Verdict};
    /// use teleport::{Context, Peer, Service, Status};
    ///
    /// #[teleport::service]
    /// trait Vault {
    ///     async fn open(&self) -> Result<String, Status>;
    /// }
    ///
    /// struct Steel;
    ///
    /// impl Vault for Steel {
    ///     async fn open(&self) -> Result<String, Status> {
    ///         Ok("it is open".into())
    ///     }
    /// }
    ///
    /// struct Guard;
    ///
    /// impl Plugin for Guard {
    ///     fn name(&self) -> &str {
    ///         "guard"
    ///     }
    ///
    ///     async fn before_read_body(&self, cx: &mut Context) -> Verdict {
    ///         cx.query("key").map(drop).ok_or_else(|| Status::unauthorized("no key"))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
    /// let server = Peer::builder().service(VaultServer::new(Steel).with_plugin(Guard))?.build()?;
    /// let session = Peer::builder().build()?.connect(&server).await?;
    /// let vault = VaultClient::new(&session);
    /// assert_eq!(vault.open().await.unwrap_err().status(), Some(&Status::unauthorized("no key")));
    /// assert_eq!(vault.open().query("key", "brass").await?, "it is open");
    /// # Ok(()) }
    /// ```
    #[must_use]
    fn with_plugin<P: Plugin>(self, plugin: P) -> Plugged<Self, P>
    where
        Self: Sized,
    {
        Plugged { service: self, plugin }
    }
}

/// A service and a plugin of its own; [`Service::with_plugin`] makes it.
#[derive(Clone, Debug)]
pub struct Plugged<S, P> {
    service: S,
    plugin: P,
}

impl<S: Service, P: Plugin> Service for Plugged<S, P> {
    const NAME: &'static str = S::NAME;

    fn register(self, routes: &mut Routes) {
        let mut own = Routes::default();
        self.service.register(&mut own);
        own.plugins.push(self.plugin);
        let Routes { pulls, pushes, plugins } = own;
        for mut registration in pulls {
            registration.plugins.extend(&plugins);
            routes.pulls.push(registration);
        }
        for mut registration in pushes {
            registration.plugins.extend(&plugins);
            routes.pushes.push(registration);
        }
    }
}

/// Where a [`Service`] registers its handlers.
#[derive(Default)]
pub struct Routes {
    pub(super) pulls: Vec<Registration>,
    pub(super) pushes: Vec<Registration>,
    /// Of the service that registers itself here.
    plugins: Plugins,
}

pub(super) struct Registration {
    pub(super) uri: &'static str,
    pub(super) name: &'static str,
    pub(super) about: About,
    pub(super) handler: Arc<Handler>,
    pub(super) plugins: Plugins,
}

impl Routes {
    /// Registers the handler of the pull `M`, whose calls `make` makes of the service and a context.
    #[doc(hidden)]
    pub fn pull<M, T, S, H, F>(&mut self, service: &Arc<S>, make: H)
    where
        M: Method,
        M::Codecs: EncodeAny<T>,
        T: Send + 'static,
        S: Send + Sync + 'static,
        H: Fn(Arc<S>, Context) -> F + Copy + Send + 'static,
        F: Future<Output = Result<T, Status>> + Send + 'static,
    {
        let slot = slot::<S, H, F, T, Listed<M::Codecs>>(service.clone(), make);
        self.pulls.push(Registration::new(const { &M::SPEC }, About::method::<M>(), slot));
    }

    /// Registers the handler of the push `M`.
    #[doc(hidden)]
    pub fn push<M, S, H, F>(&mut self, service: &Arc<S>, make: H)
    where
        M: Method,
        S: Send + Sync + 'static,
        H: Fn(Arc<S>, Context) -> F + Copy + Send + 'static,
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let slot = slot::<S, H, F, (), Nothing>(service.clone(), make);
        self.pushes.push(Registration::new(const { &M::SPEC }, About::method::<M>(), slot));
    }
}

impl Registration {
    fn new(method: &MethodSpec, about: About, slot: Pin<Box<dyn Slot>>) -> Self {
        let mut handler = Handler::new(slot);
        if method.no_cancel {
            handler.run_to_end();
        }
        let handler = Arc::new(handler);
        Registration { uri: method.uri, name: method.name, about, handler, plugins: Plugins::default() }
    }
}

/// Reads the arguments of the method `M` from the packet.
///
/// # Errors
///
/// A status 400 where the body is not what the method takes, 415 where it is in a codec that `M` does not list.
pub fn arguments<'c, M, T>(cx: &'c Context) -> Result<T, Status>
where
    M: Method,
    M::Codecs: DecodeAny<'c, T>,
{
    cx.bind_as::<M::Codecs, T>()
}

/// What a method of a service returns: a value, or a status.
#[diagnostic::on_unimplemented(
    message = "the error of `{Self}` does not become a status",
    label = "the error of this can't be answered to the caller",
    note = "return `Status` as the error, or implement `From` for it: `impl From<MyError> for teleport::Status`"
)]
pub trait ReplyResult {
    /// The value that travels.
    type Value;

    /// The value, or the status that is answered instead.
    ///
    /// # Errors
    ///
    /// The method's own.
    fn into_reply(self) -> Result<Self::Value, Status>;
}

#[diagnostic::do_not_recommend]
impl<T, E: Into<Status>> ReplyResult for Result<T, E> {
    type Value = T;

    fn into_reply(self) -> Result<T, Status> {
        self.map_err(Into::into)
    }
}
