//! Dialing: a session to a listening peer.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Peer;
use crate::error::{Error, Kind, Result};
use crate::plugin::Side;
use crate::session::{Redial, Session};
use crate::settings::Settings;
use crate::socket::{self, Connection, Endpoint, Transport};

/// A dial that is about to be made: set options, then `.await` it for the [`Session`].
///
/// # Errors
///
/// A config error where the address can't be read, an I/O error where nobody listens there, a TLS error where the two
/// do not come to terms, a timeout, a conflict where the id is taken, a limit error where the peer has as many sessions as
/// it may, an error of the plugin that refuses the session ([`Error::is_plugin`]).
///
/// # Cancel safety
///
/// Dropped before it has ended, no session is left behind.
#[derive(Debug)]
#[must_use = "a dial does nothing until it is awaited"]
pub struct Dial<'a> {
    peer: &'a Peer,
    address: String,
    id: Option<Arc<str>>,
    timeout: Option<Duration>,
    server_name: Option<String>,
    redial: Option<Redial>,
}

impl<'a> Dial<'a> {
    pub(super) fn new(peer: &'a Peer, address: String) -> Self {
        let redial = peer.inner.redial.always.then(|| peer.inner.redial.clone());
        Dial { peer, address, id: None, timeout: None, server_name: None, redial }
    }

    /// The id of the session in this peer; the default is made of the address and a number.
    pub fn id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// How long to wait for an open session, the hooks of plugins included; the default is [`Timeouts::dial`](crate::Timeouts::dial).
    pub fn timeout(mut self, after: Duration) -> Self {
        self.timeout = Some(after);
        self
    }

    /// The name that the listener's certificate has to be for, instead of the host that is dialed: a DNS name or an
    /// address. Needs the feature `tls`.
    #[cfg(feature = "tls")]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Keeps the session when its connection is lost, and dials again, as `redial` says. The default is the peer's: that of
    /// the settings where [`Redial::always`] is set there, else not at all. The first dial fails as ever.
    pub fn redial(mut self, redial: Redial) -> Self {
        self.redial = Some(redial);
        self
    }

    /// Ends the session with its connection, whatever the peer's settings say.
    pub fn no_redial(mut self) -> Self {
        self.redial = None;
        self
    }

    async fn run(self) -> Result<Session> {
        let inner = &self.peer.inner;
        inner.check_open()?;
        if let Some(redial) = &self.redial {
            Settings::default().with_redial(redial.clone()).validate()?;
        }
        let way = Way {
            endpoint: self.address.parse()?,
            transport: inner.transport.clone(),
            server_name: self.server_name,
            within: self.timeout.unwrap_or(inner.settings.timeouts.dial),
            #[cfg(test)]
            by: None,
        };
        let (connection, left) = way.connect().await?;
        let redial = self.redial.map(|redial| (redial, way));
        inner.begin(connection, self.id, Side::Dialed, redial)?.welcome(left).await
    }
}

/// The way to a listening peer, which may be gone more than once.
pub(super) struct Way {
    pub(super) endpoint: Endpoint,
    transport: Arc<Transport>,
    server_name: Option<String>,
    within: Duration,
    /// How tests connect that are their own network.
    #[cfg(test)]
    by: Option<Connect>,
}

#[cfg(test)]
pub(super) type Connect = Box<dyn Fn() -> Result<Connection> + Send + Sync>;

impl Way {
    /// One that leads through no network.
    #[cfg(test)]
    pub(super) fn by(connect: Connect) -> Self {
        Way {
            endpoint: "tcp://127.0.0.1:1".parse().expect("an address"),
            transport: Arc::default(),
            server_name: None,
            within: Duration::from_secs(10),
            by: Some(connect),
        }
    }

    /// Opens a connection; also how much is left of the time for it.
    pub(super) async fn connect(&self) -> Result<(Connection, Duration)> {
        #[cfg(test)]
        if let Some(connect) = &self.by {
            return Ok((connect()?, self.within));
        }
        let started = Instant::now();
        let connecting = socket::connect(&self.endpoint, &self.transport, self.server_name.as_deref());
        let connection = tokio::time::timeout(self.within, connecting)
            .await
            .map_err(|_| Error::new(Kind::Timeout(self.within)).with_peer(&self.endpoint))??;
        Ok((connection, self.within.saturating_sub(started.elapsed())))
    }
}

impl<'a> IntoFuture for Dial<'a> {
    type Output = Result<Session>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Session>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
