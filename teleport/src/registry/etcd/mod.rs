//! A registry in etcd v3.

mod client;
mod codec;
mod follow;
mod lease;
mod proto;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use self::client::Client;
use self::follow::{Listed, Next};
use self::lease::Lease;
use self::proto::{RangeRequest, RangeResponse, WatchCreate, WatchRequest, WatchResponse};
use super::{BoxError, Instance, Registry, View};
use crate::error::{Error, Result};

/// Where instances are kept: below this, then service, then id.
const PREFIX: &str = "/teleport/services";
/// How long one request may take. A healthy etcd needs milliseconds.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Instances that are read at once; more than a view takes.
const MOST: i64 = 20_000;
/// What can't stand in a part of a key as it is.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'/').add(b'%');

/// A registry in etcd v3: each instance is a key with a lease, and clients watch the keys of a service.
///
/// Cheap to clone: all clones use the same connections. It connects when it is first used, to one member of the cluster at a
/// time, and turns to the next one where that can't be reached.
///
/// An instance stands at `/teleport/services/<service>/<id>` as JSON (see [`Instance`]), so other programs may read and
/// write it; a `/` or `%` in service or id is escaped as `%2F` or `%25`.
///
/// It speaks plain HTTP/2. For a cluster behind TLS run it through a local proxy.
///
/// # Examples
///
/// ```no_run
/// use teleport::registry::{Balancer, EtcdRegistry};
/// use teleport::Peer;
///
/// # async fn f() -> teleport::Result<()> {
/// let registry = EtcdRegistry::new(["http://10.0.0.1:2379", "http://10.0.0.2:2379"])?;
///
/// let server = Peer::builder().pull("/ping", |_, ()| async { Ok("pong") })?.listen("10.0.0.3:9090").await?;
/// server.announce(registry.clone()).service("ping").await?;
///
/// let balancer = Balancer::new(&Peer::builder().build()?, registry, "ping");
/// let session = balancer.session().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EtcdRegistry {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    prefix: String,
    /// What this process has announced, by key.
    leases: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Lease>>>>,
}

/// Collects what an [`EtcdRegistry`] is to be.
#[must_use]
pub struct EtcdBuilder {
    endpoints: Vec<String>,
    prefix: String,
    user: Option<(String, String)>,
    timeout: Duration,
}

impl EtcdRegistry {
    /// A registry in the cluster of these members, `http://host:port` or `host:port`.
    ///
    /// # Errors
    ///
    /// A config error where there is no endpoint, or one can't be read. That it can't be reached is found out later.
    pub fn new<S: Into<String>>(endpoints: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::builder(endpoints).build()
    }

    /// Begins to build a registry with settings of your own.
    pub fn builder<S: Into<String>>(endpoints: impl IntoIterator<Item = S>) -> EtcdBuilder {
        EtcdBuilder {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            prefix: PREFIX.into(),
            user: None,
            timeout: TIMEOUT,
        }
    }

    /// What the keys of a service begin with.
    fn service_key(&self, service: &str) -> String {
        format!("{}/{}/", self.shared.prefix, utf8_percent_encode(service, ESCAPED))
    }

    fn key(&self, service: &str, instance: &Instance) -> String {
        self.service_key(service) + &utf8_percent_encode(&instance.id, ESCAPED).to_string()
    }

    /// Reads the instances once, and follows their changes until the watch ends.
    async fn follow(&self, key: &[u8], view: &View) -> Result<(), BoxError> {
        let client = &self.shared.client;
        // A key ends in a slash: the first that is not below it ends in the byte after that.
        let range_end = [&key[..key.len() - 1], b"0"].concat();
        loop {
            let range = RangeRequest { key: key.into(), range_end: range_end.clone(), limit: MOST };
            let range: Option<RangeResponse> = client.ask("/etcdserverpb.KV/Range", range).await?;
            let (mut listed, start_revision) = Listed::read(range.ok_or("etcd has no keys")?);
            view.set(listed.instances());
            let create = WatchCreate { key: key.into(), range_end: range_end.clone(), start_revision };
            let request = WatchRequest { create: Some(create) };
            let mut watch = client.open("/etcdserverpb.Watch/Watch", request).await?;
            let mut told: WatchResponse = watch.answer().await?;
            loop {
                match listed.take(told) {
                    Next::Same => {}
                    Next::Changed => view.set(listed.instances()),
                    Next::ReadAgain => break,
                    Next::Over(reason) => return Err(format!("etcd ended the watch: {reason}").into()),
                }
                told = watch.next().await?;
            }
        }
    }
}

impl EtcdBuilder {
    /// What all keys begin with. Default: `/teleport/services`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Name and password of an etcd user, where the cluster asks for one. It has to be allowed to read and write below the
    /// prefix.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// How long one request to one member may take. Default: 3 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The registry.
    ///
    /// # Errors
    ///
    /// As [`EtcdRegistry::new`]; a config error where the timeout is 0.
    pub fn build(self) -> Result<EtcdRegistry> {
        if self.timeout.is_zero() {
            return Err(Error::config(
                "the setting `timeout` of an etcd registry is 0, so nothing could be asked",
            ));
        }
        let shared = Shared {
            client: Client::new(&self.endpoints, self.user, self.timeout)?,
            prefix: self.prefix.trim_end_matches('/').to_owned(),
            leases: Mutex::default(),
        };
        Ok(EtcdRegistry { shared: Arc::new(shared) })
    }
}

impl Registry for EtcdRegistry {
    async fn announce(&self, service: &str, instance: &Instance, ttl: Duration) -> Result<(), BoxError> {
        let key = self.key(service, instance);
        let value = serde_json::to_vec(instance)?;
        let lease = self.shared.leases.lock().entry(key.clone()).or_default().clone();
        lease.lock().await.put(&self.shared.client, &key, value, ttl).await
    }

    async fn withdraw(&self, service: &str, instance: &Instance) -> Result<(), BoxError> {
        let lease = self.shared.leases.lock().remove(&self.key(service, instance));
        match lease {
            Some(lease) => lease.lock().await.revoke(&self.shared.client).await,
            None => Ok(()),
        }
    }

    async fn watch(&self, service: &str, view: &View) -> Result<(), BoxError> {
        let followed = self.follow(self.service_key(service).as_bytes(), view).await;
        // Whoever asks again is better off with another member.
        self.shared.client.turn_away();
        followed
    }
}

impl fmt::Debug for EtcdRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdRegistry")
            .field("endpoints", &self.shared.client.endpoints().collect::<Vec<_>>())
            .field("prefix", &self.shared.prefix)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EtcdBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        f.debug_struct("EtcdBuilder")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
