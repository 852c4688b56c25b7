//! Building a peer: its handlers and its settings.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Peer;
use super::readiness::Readiness;
use crate::call::SealedReply;
use crate::codec::{DecodeAny, EncodeAny};
use crate::context::{Context, ReplyBody};
use crate::error::{Error, Result};
use crate::logs::{LogOptions, Logged, Logs, Redact};
use crate::plugin::{Plugin, Plugins};
use crate::router::{Router, Service};
use crate::session::{Headers, Limits, Redial, Settings as SessionSettings, Timeouts};
use crate::settings::Settings;
use crate::socket::{TcpOptions, Transport};
#[cfg(feature = "tls")]
use crate::socket::{Tls, TlsCell};
use crate::status::Status;
use crate::wire::{Features, HeaderCodec, HeaderCodecs, IdFormat, Kind, SealedBody};

/// Collects what a [`Peer`] is to be: handlers, limits, timeouts, how headers are written.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use teleport::{IdFormat, Limits, Peer, Timeouts};
///
/// let peer = Peer::builder()
///     .pull("/ping", |_, ()| async { Ok("pong") })?
///     .limits(Limits::default().with_max_body(64 * 1024))
///     .timeouts(Timeouts::default().with_pull(Duration::from_secs(2)))
///     .id_format(IdFormat::Sequence)
///     .build()?;
/// # Ok::<(), teleport::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct PeerBuilder {
    router: Router,
    plugins: Plugins,
    settings: Settings,
    header_codecs: HeaderCodecs,
    /// Of the codec that was chosen since the settings were given.
    header_codec: Option<u8>,
    redact: Option<Redact>,
    describe_routes: bool,
    health: bool,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl PeerBuilder {
    /// Registers every method of a service.
    ///
    /// # Errors
    ///
    /// As [`Router::service`].
    pub fn service<S: Service>(mut self, service: S) -> Result<Self> {
        self.router.service(service)?;
        Ok(self)
    }

    /// Registers a function for pulls.
    ///
    /// # Errors
    ///
    /// As [`Router::pull`].
    pub fn pull<T, R, H, F>(mut self, uri: &str, handler: H) -> Result<Self>
    where
        T: DeserializeOwned + Send + 'static,
        R: Serialize + Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        self.router.pull(uri, handler)?;
        Ok(self)
    }

    /// Registers a function for pulls over types that travel in one of `codecs`.
    ///
    /// # Errors
    ///
    /// As [`Router::pull_with`].
    pub fn pull_with<L, T, R, H, F>(mut self, uri: &str, codecs: L, handler: H) -> Result<Self>
    where
        L: for<'de> DecodeAny<'de, T> + EncodeAny<R>,
        T: Send + 'static,
        R: Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        self.router.pull_with(uri, codecs, handler)?;
        Ok(self)
    }

    /// Registers a function for pushes.
    ///
    /// # Errors
    ///
    /// As [`Router::push`].
    pub fn push<T, H, F>(mut self, uri: &str, handler: H) -> Result<Self>
    where
        T: DeserializeOwned + Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.router.push(uri, handler)?;
        Ok(self)
    }

    /// Registers a function for pushes over types that travel in one of `codecs`.
    ///
    /// # Errors
    ///
    /// As [`Router::push_with`].
    pub fn push_with<L, T, H, F>(mut self, uri: &str, codecs: L, handler: H) -> Result<Self>
    where
        L: for<'de> DecodeAny<'de, T>,
        T: Send + 'static,
        H: Fn(Context, T) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.router.push_with(uri, codecs, handler)?;
        Ok(self)
    }

    /// Takes the pulls that no other handler takes; see [`Router::unknown_pull`].
    pub fn unknown_pull<H, F>(mut self, handler: H) -> Self
    where
        H: Fn(Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<ReplyBody, Status>> + Send + 'static,
    {
        self.router.unknown_pull(handler);
        self
    }

    /// Takes the pushes that no other handler takes; see [`Router::unknown_push`].
    pub fn unknown_push<H, F>(mut self, handler: H) -> Self
    where
        H: Fn(Context) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.router.unknown_push(handler);
        self
    }

    /// Takes the pulls that no other handler takes, and passes them on unopened; see
    /// [`Router::unknown_pull_sealed`].
    pub fn unknown_pull_sealed<H, F>(mut self, handler: H) -> Self
    where
        H: Fn(Context, SealedBody) -> F + Send + Sync + 'static,
        F: Future<Output = Result<SealedReply, Status>> + Send + 'static,
    {
        self.router.unknown_pull_sealed(handler);
        self
    }

    /// Takes the pushes that no other handler takes, and passes them on unopened; see
    /// [`Router::unknown_push_sealed`].
    pub fn unknown_push_sealed<H, F>(mut self, handler: H) -> Self
    where
        H: Fn(Context, SealedBody) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        self.router.unknown_push_sealed(handler);
        self
    }

    /// Adds the handlers of a router: with groups and codecs of their own, see [`Router`].
    ///
    /// # Errors
    ///
    /// As [`Router::merge`].
    pub fn router(mut self, router: Router) -> Result<Self> {
        self.router.merge(router)?;
        Ok(self)
    }

    /// Attaches a plugin: it sees all sessions of the peer and all that goes over them, after the plugins that were attached
    /// before it; see [`plugin`](crate::plugin).
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        self.plugins.push(plugin);
        self
    }

    /// All settings at once, as they come from a file or the environment; see [`Settings`]. What was set before is replaced,
    /// what is set after replaces: call the methods below for what the program decides itself.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self.header_codec = None;
        self
    }

    /// Bounds on what each session takes and holds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How long calls, dials and closes may take.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// How the sessions that this peer dials get another connection when they have lost theirs. With this every session
    /// that is dialed redials, unless its dial says [`no_redial`](crate::Dial::no_redial); those of balancers and proxies,
    /// which choose and dial by themselves, never do.
    pub fn redial(mut self, redial: Redial) -> Self {
        self.settings.redial = redial.with_always(true);
        self
    }

    /// Options of TCP sockets.
    pub fn tcp(mut self, options: TcpOptions) -> Self {
        self.settings.tcp = options;
        self
    }

    /// What is logged of calls; see [`LogOptions`].
    pub fn logs(mut self, options: LogOptions) -> Self {
        self.settings.logs = options;
        self
    }

    /// Hides what is not for the log: the function is asked for each part that is about to be logged of a call, and what
    /// it returns is logged instead. It runs where the call ends, so it should be quick. See [`LogOptions`].
    ///
    /// # Panics
    ///
    /// Where the function does, nothing of the part is logged, and the call goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{LogOptions, LogPart, Peer};
    ///
    /// let peer = Peer::builder()
    ///     .logs(LogOptions::default().with_bodies(true))
    ///     .redact_logs(|logged| {
    ///         let is_body = matches!(logged.part(), LogPart::Body | LogPart::ReplyBody);
    ///         (is_body && logged.uri().starts_with("/login")).then(|| "(hidden)".into())
    ///     })
    ///     .build()?;
    /// # Ok::<(), teleport::Error>(())
    /// ```
    pub fn redact_logs(
        mut self,
        redact: impl Fn(&Logged<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.redact = Some(Redact::new(redact));
        self
    }

    /// Answers pulls at [`describe::ROUTES_URI`](crate::describe::ROUTES_URI) with every route of this peer: uris, arguments,
    /// types, codecs, options, doc comments; see [`describe`](crate::describe). Default: not told. The plugins of the peer
    /// guard it as any other pull. A list that is larger than a body may be is not sent.
    ///
    /// A uri that is taken is an error of the [build](Self::build).
    pub fn describe_routes(mut self) -> Self {
        self.describe_routes = true;
        self
    }

    /// Answers pulls at [`describe::HEALTH_URI`](crate::describe::HEALTH_URI) with whether this peer is serving or draining;
    /// see [`describe`](crate::describe#health). Default: not told. The plugins of the peer guard it as any other pull.
    ///
    /// A uri that is taken is an error of the [build](Self::build).
    pub fn health(mut self) -> Self {
        self.health = true;
        self
    }

    /// Who this peer is and whom it believes at addresses `tls://host:port`. Needs the feature `tls`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How this peer writes the ids of its pulls and pushes. Default: [`IdFormat::Text`], as the specification
    /// says; releases 2.0 to 2.6 of the original need [`IdFormat::Sequence`]. Both are read, and replies mirror
    /// their pull.
    pub fn id_format(mut self, format: IdFormat) -> Self {
        self.settings.headers.id_format = format;
        self
    }

    /// How this peer numbers the type of its pushes: 4, as the specification says and by default, or 3, as releases 2.1 and
    /// later of the original do. Teleport reads both. Another number is a config error of [`build`](Self::build).
    pub fn push_number(mut self, number: i32) -> Self {
        self.settings.headers.push_number = number;
        self
    }

    /// What this peer tells others that it understands beyond the specification, in its first packet. Default:
    /// [`Features::ALL`]; a peer that knows nothing of it skips it. With [`Features::NONE`] every packet is one of the
    /// specification.
    pub fn features(mut self, features: Features) -> Self {
        self.settings.headers.features = features;
        self
    }

    /// Codec of the headers that this peer begins with, such as [`JsonHeader`](crate::JsonHeader). Default:
    /// [`ProtobufHeader`](crate::ProtobufHeader). Both are read, and replies mirror their pull.
    ///
    /// # Errors
    ///
    /// A config error where a codec of the user's own has an id that is taken.
    pub fn header_codec(mut self, codec: impl HeaderCodec) -> Result<Self> {
        let id = codec.id();
        if self.header_codecs.get(id).is_none_or(|known| known.name() != codec.name()) {
            self.header_codecs = self.header_codecs.with(codec)?;
        }
        self.header_codec = Some(id);
        Ok(self)
    }

    /// The peer, without an address: it can dial, and listen later.
    ///
    /// # Errors
    ///
    /// A config error that names each setting which can't be used; see [`Settings::validate`]; or the plugin that refuses a
    /// route. For TLS also an I/O error that names the file.
    pub fn build(mut self) -> Result<Peer> {
        self.settings.validate()?;
        let codec = self.header_codec_id()?;
        let readiness = Arc::new(Readiness::default());
        if self.health {
            let readiness = readiness.clone();
            self.router.tell_health(move || readiness.is_draining())?;
        }
        let told = if self.describe_routes { Some(self.router.tell_routes()?) } else { None };
        self.router.finish(&self.plugins)?;
        if let Some(told) = told {
            told.set(self.router.describe());
        }
        let Settings { limits, timeouts, redial, tcp, headers, logs } = self.settings;
        let headers = Headers {
            codec,
            codecs: self.header_codecs,
            id_format: headers.id_format,
            push: Kind::new(headers.push_number),
            features: headers.features,
        };
        let settings = SessionSettings::new(limits, timeouts, headers, Logs::new(logs, self.redact));
        let transport = Transport {
            tcp,
            #[cfg(feature = "tls")]
            tls: TlsCell::new(self.tls)?,
        };
        Ok(Peer::new(Arc::new(self.router), Arc::new(settings), transport, redial, readiness))
    }

    fn header_codec_id(&self) -> Result<u8> {
        let name = &*self.settings.headers.codec;
        let named = || self.header_codecs.iter().find(|codec| codec.name() == name).map(HeaderCodec::id);
        self.header_codec.or_else(named).ok_or_else(|| {
            let names: Vec<_> = self.header_codecs.iter().map(|codec| format!("{:?}", codec.name())).collect();
            let names = names.join(", ");
            Error::config(format!(
                "the setting `headers.codec` is {name:?}, and no header codec has that name; there are {names}, and \
                 `PeerBuilder::header_codec` adds one of your own"
            ))
        })
    }

    /// The peer, listening at an address; see [`Peer::listen`].
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build) and [`Peer::listen`].
    pub async fn listen(self, address: impl fmt::Display) -> Result<Peer> {
        let peer = self.build()?;
        peer.listen(address).await?;
        Ok(peer)
    }
}
