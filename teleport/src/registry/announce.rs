//! Announcing a peer for as long as it listens.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::erased::AnyRegistry;
use super::{Instance, Registry};
use crate::error::{Error, Result};
use crate::peer::Peer;
use crate::session::Backoff;
use crate::socket::Address;

/// How long an instance stays known after its last renewal. Long enough for a renewal to be late twice, short enough for
/// callers to wait for where a machine goes away without a word.
const TTL: Duration = Duration::from_secs(10);
/// How long a peer that closes goes on serving after it was withdrawn. Long enough for the word to reach those who watch,
/// which takes a few milliseconds within a data center.
const GRACE: Duration = Duration::from_millis(100);
/// How long a withdrawal may take. The lease runs out anyway.
const WITHDRAWAL: Duration = Duration::from_secs(5);
/// The first pause after a renewal that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

impl Peer {
    /// Announces this peer in a registry as an instance of the services that it serves, from now until it closes;
    /// `.await` it for the [`Announcement`].
    ///
    /// Each service that was registered with [`PeerBuilder::service`](crate::PeerBuilder::service) is announced under the
    /// name of its trait, unless names are given with [`Announce::service`]. The lease is renewed three times before it
    /// would run out; where the registry has lost it, the instance is announced again.
    ///
    /// [`Peer::shutdown`] and [`Peer::close`] withdraw it before anything else, and a peer that is dropped is withdrawn as
    /// well.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use teleport::Peer;
    /// use teleport::registry::StaticRegistry;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
    /// let registry = StaticRegistry::new();
    /// let server = Peer::builder().pull("/ping", |_, ()| async { Ok("pong") })?.listen("127.0.0.1:0").await?;
    /// let announced = server.announce(registry.clone()).service("ping").ttl(Duration::from_secs(5)).await?;
    /// assert_eq!(registry.instances("ping"), [announced.instance().clone()]);
    /// server.close().await;
    /// assert_eq!(registry.instances("ping"), []);
    /// # Ok(()) }
    /// ```
    pub fn announce(&self, registry: impl Registry) -> Announce<'_> {
        Announce {
            peer: self,
            registry: Arc::new(registry),
            services: Vec::new(),
            id: None,
            address: None,
            weight: 1,
            metadata: BTreeMap::new(),
            ttl: TTL,
            grace: GRACE,
        }
    }
}

/// An announcement that is about to be made: set options, then `.await` it for the [`Announcement`].
///
/// # Errors
///
/// A config error where there is no service to announce, or no address that others could dial; an error that
/// [is unavailable](Error::is_unavailable) where the registry refused, or didn't answer within the time of the lease;
/// nothing stays announced then. A closed error after [`Peer::shutdown`].
///
/// # Cancel safety
///
/// Dropped before it has ended, what was announced is withdrawn.
///
/// # Panics
///
/// Outside of a Tokio runtime.
#[must_use = "nothing is announced until it is awaited"]
pub struct Announce<'a> {
    peer: &'a Peer,
    registry: AnyRegistry,
    services: Vec<String>,
    id: Option<String>,
    address: Option<String>,
    weight: u32,
    metadata: BTreeMap<String, String>,
    ttl: Duration,
    grace: Duration,
}

impl<'a> Announce<'a> {
    /// Announces it as an instance of this service, instead of those that the peer's router names. May be called for
    /// several.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.services.push(name.into());
        self
    }

    /// The id of the instance. Default: its address, so that a peer that was started again takes its own place.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Where others dial it. Default: the first address that the peer listens at; to be given where that is every
    /// interface, as with `0.0.0.0:9090`, or where there is something in between.
    pub fn address(mut self, address: impl fmt::Display) -> Self {
        self.address = Some(address.to_string());
        self
    }

    /// [`Instance::weight`]. Default: 1.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Adds to [`Instance::metadata`].
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// How long it stays known when it can't renew its lease any more. Default: 10 s. A registry may make it longer; etcd
    /// counts whole seconds, and no less than one and a half of its election timeouts (2 s as it comes).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long a peer that closes goes on serving after it was withdrawn, so that those who watch have turned away when
    /// its sessions close. Default: 100 ms.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    async fn run(self) -> Result<Announcement> {
        self.peer.check_open()?;
        if self.ttl.is_zero() {
            return Err(Error::config("an announcement with a `ttl` of 0 would be over at once"));
        }
        let instance = Arc::new(self.instance()?);
        let services = self.services()?;
        let (stop, done) = (CancellationToken::new(), CancellationToken::new());
        // Stops what was begun where this future is dropped or ends with an error.
        let undo = stop.clone().drop_guard();
        let (mut leases, mut firsts) = (Vec::new(), Vec::new());
        for service in &services {
            let lease = Lease {
                registry: self.registry.clone(),
                service: service.clone(),
                instance: instance.clone(),
                ttl: self.ttl,
                stop: stop.clone(),
            };
            let (first, told) = oneshot::channel();
            leases.push(tokio::spawn(lease.hold(first)));
            firsts.push((service, told));
        }
        let over = done.clone().drop_guard();
        tokio::spawn(async move {
            let _over = over;
            for lease in leases {
                // A panic of the registry's; the lease runs out by itself.
                let _ = lease.await;
            }
        });
        for (service, told) in firsts {
            let result = told.await.unwrap_or_else(|_| Err("the registry panicked".into()));
            result.map_err(|reason: String| {
                let id = &instance.id;
                Error::unavailable(format!("can't announce {id} as an instance of {service}: {reason}"))
            })?;
        }
        let announcement = Announcement { services, instance, stop: undo.disarm(), done };
        self.say_farewell(&announcement);
        Ok(announcement)
    }

    fn instance(&self) -> Result<Instance> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => match self.peer.local_addr()? {
                Address::Tcp(address) if address.ip().is_unspecified() => {
                    return Err(Error::config(format!(
                        "the peer listens on every interface, as {address}, which nobody can dial; say where others \
                         reach it: `.announce(registry).address(\"tcp://10.0.0.3:{}\")`",
                        address.port()
                    )));
                }
                address => address.to_string(),
            },
        };
        let mut instance = Instance::new(self.id.clone().unwrap_or_else(|| address.clone()), address);
        instance.weight = self.weight;
        instance.metadata = self.metadata.clone();
        Ok(instance)
    }

    fn services(&self) -> Result<Vec<Arc<str>>> {
        let mut services: Vec<Arc<str>> = self.services.iter().map(|name| name.as_str().into()).collect();
        if services.is_empty() {
            services = self.peer.router().services().map(Into::into).collect();
        }
        if services.is_empty() {
            return Err(Error::config(
                "the peer serves no service that has a name; give one: `.announce(registry).service(\"arith\")`",
            ));
        }
        Ok(services)
    }

    /// Sees to it that the peer withdraws it before it closes, and when it is dropped.
    fn say_farewell(&self, announcement: &Announcement) {
        let (stop, done, grace) =
            (announcement.stop.clone().drop_guard(), announcement.done.clone(), self.grace);
        self.peer.before_close(move || async move {
            let stop = stop.disarm();
            if stop.is_cancelled() {
                return done.cancelled().await;
            }
            stop.cancel();
            done.cancelled().await;
            tokio::time::sleep(grace).await;
        });
    }
}

impl<'a> IntoFuture for Announce<'a> {
    type Output = Result<Announcement>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Announcement>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Announce<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announce")
            .field("services", &self.services)
            .field("id", &self.id)
            .field("address", &self.address)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// A peer that is announced in a registry; see [`Peer::announce`].
///
/// It stays announced when this is dropped.
#[derive(Debug)]
pub struct Announcement {
    services: Vec<Arc<str>>,
    instance: Arc<Instance>,
    stop: CancellationToken,
    /// All leases are given back.
    done: CancellationToken,
}

impl Announcement {
    /// The instance as it is announced.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The services that it is announced for.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|name| &**name)
    }

    /// Withdraws it, while the peer goes on listening; returns when the registry has been told, or did not answer for 5 s,
    /// when the lease runs out by itself.
    ///
    /// # Cancel safety
    ///
    /// The withdrawal goes on when this future is dropped.
    pub async fn withdraw(&self) {
        self.stop.cancel();
        self.done.cancelled().await;
    }
}

/// An instance's place in one service.
struct Lease {
    registry: AnyRegistry,
    service: Arc<str>,
    instance: Arc<Instance>,
    ttl: Duration,
    stop: CancellationToken,
}

impl Lease {
    /// Announces it, renews it until it is to stop, and withdraws it. `first` is told what the first attempt came to.
    async fn hold(self, first: oneshot::Sender<Result<(), String>>) {
        let announced = self.announce(self.ttl).await;
        let failed = announced.is_err();
        // Where nobody listens any more, `stop` says so too.
        let _ = first.send(announced);
        if !failed {
            tracing::info!(target: "teleport", service = %self.service, id = %self.instance.id, "announced");
            self.stop.run_until_cancelled(self.renew()).await;
        }
        // Also where the first attempt failed: it may have come through without an answer.
        let withdrawal = self.registry.withdraw(&self.service, &self.instance);
        match within(WITHDRAWAL, withdrawal).await {
            Ok(()) => {
                tracing::info!(target: "teleport", service = %self.service, id = %self.instance.id, "withdrawn");
            }
            Err(reason) => {
                let (service, id) = (&self.service, &self.instance.id);
                tracing::warn!(target: "teleport", %service, %id, reason, "not withdrawn; its lease will run out");
            }
        }
    }

    async fn renew(&self) {
        let pause = self.ttl / 3;
        let backoff = Backoff::new(FIRST_PAUSE.min(pause), pause);
        let mut failed = 0;
        loop {
            tokio::time::sleep(if failed == 0 { pause } else { backoff.pause(failed) }).await;
            let (service, id) = (&self.service, &self.instance.id);
            match self.announce(pause).await {
                Ok(()) if failed > 0 => {
                    tracing::info!(target: "teleport", %service, %id, "announced again");
                    failed = 0;
                }
                Ok(()) => {}
                Err(reason) => {
                    if failed == 0 {
                        tracing::warn!(target: "teleport", %service, %id, reason, "the lease could not be renewed");
                    }
                    failed = failed.saturating_add(1);
                }
            }
        }
    }

    async fn announce(&self, time: Duration) -> Result<(), String> {
        within(time, self.registry.announce(&self.service, &self.instance, self.ttl)).await
    }
}

/// What a registry answers within this time.
async fn within<T>(
    time: Duration,
    asked: impl Future<Output = Result<T, super::BoxError>>,
) -> Result<T, String> {
    match tokio::time::timeout(time, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the registry did not answer within {time:?}")),
    }
}
