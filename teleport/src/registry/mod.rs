//! Service registries, and clients that balance over the instances of a service.
//!
//! A *service* is a name; its *instances* are the peers that serve it, each with an id and an address. Servers announce
//! themselves in a [`Registry`], under a lease: an instance that dies is forgotten when its lease has run out. A client
//! takes the name to the registry and calls whatever instances there are.
//!
//! | to | see |
//! |---|---|
//! | announce a server | [`Peer::announce`] |
//! | call a service by its name | [`Balancer`] |
//! | choose which instance gets a call | [`RoundRobin`], [`LeastInFlight`], [`Policy`] for your own |
//! | keep the instances in memory, or list them by hand | [`StaticRegistry`] |
#![cfg_attr(feature = "etcd", doc = "| keep them in etcd v3 | [`EtcdRegistry`] |")]
#![cfg_attr(
    not(feature = "etcd"),
    doc = "| keep them in etcd v3 | `EtcdRegistry`, behind the feature `etcd` |"
)]
//! | keep them anywhere else | implement [`Registry`] |
//!
//! # Examples
//!
//! ```
//! use teleport::registry::{Balancer, StaticRegistry};
//! use teleport::{Peer, Status};
//!
//! #[teleport::service]
//! trait Arith {
//!     async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
//! }
//!
//! struct Exact;
//!
//! impl Arith for Exact {
//!     async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
//!         a.checked_mul(b).ok_or_else(|| Status::new(1000, "overflow"))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
//! let registry = StaticRegistry::new();
//! let server = Peer::builder().service(ArithServer::new(Exact))?.listen("127.0.0.1:0").await?;
//! server.announce(registry.clone()).await?; // each service under its own name, here "Arith"
//!
//! let balancer = Balancer::new(&Peer::builder().build()?, registry, "Arith");
//! let arith = ArithClient::new(&balancer); // picks an instance for each call
//! assert_eq!(arith.mul(6, 7).await?, 42);
//! # Ok(()) }
//! ```
//!
//! # What happens when
//!
//! - *An instance is announced:* every balancer of its service dials it, and calls it from then on.
//! - *It shuts down* ([`Peer::shutdown`]): it is withdrawn first, so that balancers turn away; then its sessions
//!   drain. No call is lost.
//! - *Its process dies:* its connections end, and balancers turn away at once. They dial it again, are refused, and try
//!   again after a pause that grows. When its lease runs out they forget it.
//! - *Its machine goes away without a word:* calls to it end with their timeouts, and when its lease runs out balancers
//!   turn away.
//! - *It comes back:* the next dial succeeds, or it is announced again, and it gets its share of calls.
//! - *The registry can't be reached:* balancers keep the instances that they know, and servers announce themselves again
//!   as soon as it is back.

mod announce;
mod balancer;
mod erased;
#[cfg(feature = "etcd")]
mod etcd;
mod instance;
mod memory;
mod view;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use announce::{Announce, Announcement};
pub use balancer::{Balancer, BalancerBuilder, Candidate, InstanceStatus, LeastInFlight, Policy, RoundRobin};
#[cfg(feature = "etcd")]
pub use etcd::{EtcdBuilder, EtcdRegistry};
pub use instance::Instance;
pub use memory::StaticRegistry;
pub use view::View;

#[cfg(doc)]
use crate::peer::Peer;

/// Any error of a registry.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where instances of services are announced, withdrawn and watched.
///
/// Implement it for a registry of your own: each method is a plain `async fn`. Teleport calls [`announce`](Self::announce)
/// again and again to renew a lease, and [`watch`](Self::watch) again when it has ended, each time after a pause; so
/// neither has to try anything twice itself.
///
/// # Examples
///
/// A registry that can only be read, with a question asked once in a while:
///
/// ```
/// use std::time::Duration;
/// use teleport::registry::{BoxError, Instance, Registry, View};
///
/// struct Dns;
///
/// impl Registry for Dns {
///     async fn watch(&self, service: &str, view: &View) -> Result<(), BoxError> {
///         loop {
///             let found = tokio::net::lookup_host((service, 9090)).await?;
///             view.set(found.map(|address| Instance::new(address.to_string(), address)));
///             tokio::time::sleep(Duration::from_secs(30)).await;
///         }
///     }
/// }
/// ```
pub trait Registry: Send + Sync + 'static {
    /// Makes an instance known for `ttl` from now on, or renews it where it is known already.
    ///
    /// Called again before the time is up, for as long as the instance is to be known; so it has to put back what the
    /// registry has lost in between. An instance of the same id is replaced. The default refuses: a registry that is only
    /// read.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any point; the next call has to work all the same.
    fn announce(
        &self,
        service: &str,
        instance: &Instance,
        ttl: Duration,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = (service, instance, ttl);
        async { Err("this registry can only be read; it has no `announce`".into()) }
    }

    /// Makes an instance unknown. It is no error where it was unknown already. The default does nothing.
    fn withdraw(
        &self,
        service: &str,
        instance: &Instance,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = (service, instance);
        async { Ok(()) }
    }

    /// Tells the view which instances there are: all of them at the beginning, all of them again whenever one has come,
    /// gone or changed.
    ///
    /// It goes on for as long as it can. When it returns, whoever watches keeps what was told last and calls it again after
    /// a pause. Its future is dropped when nobody watches any more.
    fn watch(&self, service: &str, view: &View) -> impl Future<Output = Result<(), BoxError>> + Send;
}

impl<R: Registry> Registry for Arc<R> {
    async fn announce(&self, service: &str, instance: &Instance, ttl: Duration) -> Result<(), BoxError> {
        R::announce(self, service, instance, ttl).await
    }

    async fn withdraw(&self, service: &str, instance: &Instance) -> Result<(), BoxError> {
        R::withdraw(self, service, instance).await
    }

    async fn watch(&self, service: &str, view: &View) -> Result<(), BoxError> {
        R::watch(self, service, view).await
    }
}
