//! A registry in this process's memory.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{BoxError, Instance, Registry, View};

/// A registry in memory: a list that is written by hand, or filled by the peers of this process; for tests too.
///
/// Cheap to clone: all clones are the same list. Instances that are [added](Self::add) stay until they are removed; those
/// that are announced have a lease, on Tokio's clock, so that a test may pause it.
///
/// # Examples
///
/// ```
/// use teleport::Peer;
/// use teleport::registry::{Balancer, StaticRegistry};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
/// let registry = StaticRegistry::of("arith", ["tcp://10.0.0.3:9090", "tcp://10.0.0.4:9090"]);
/// let balancer = Balancer::new(&Peer::builder().build()?, registry, "arith");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct StaticRegistry {
    shared: Arc<Shared>,
}

struct Shared {
    services: Mutex<HashMap<String, BTreeMap<String, Entry>>>,
    /// Tells those who watch that something has changed.
    changed: watch::Sender<()>,
}

struct Entry {
    instance: Instance,
    /// `None` for one that stays until it is removed.
    expires: Option<Instant>,
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl StaticRegistry {
    /// A registry that knows no instance.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared { services: Mutex::default(), changed: watch::Sender::default() };
        StaticRegistry { shared: Arc::new(shared) }
    }

    /// A registry with the instances of one service, by their addresses, which are their ids too.
    #[must_use]
    pub fn of<A: fmt::Display>(service: &str, addresses: impl IntoIterator<Item = A>) -> Self {
        let registry = Self::new();
        for address in addresses {
            registry.add(service, Instance::new(address.to_string(), &address));
        }
        registry
    }

    /// Adds an instance that stays until it is [removed](Self::remove); one of the same id is replaced.
    pub fn add(&self, service: &str, instance: Instance) {
        self.put(service, instance, None);
    }

    /// Removes an instance, added or announced; whether there was one.
    pub fn remove(&self, service: &str, id: &str) -> bool {
        self.remove_if(service, id, |_| true)
    }

    /// The instances of a service whose lease has not run out, in the order of their ids.
    #[must_use]
    pub fn instances(&self, service: &str) -> Vec<Instance> {
        self.look(service).0
    }

    fn put(&self, service: &str, instance: Instance, expires: Option<Instant>) {
        let entry = Entry { instance, expires };
        let mut services = self.shared.services.lock();
        services.entry(service.to_owned()).or_default().insert(entry.instance.id.clone(), entry);
        drop(services);
        self.shared.changed.send_replace(());
    }

    fn remove_if(&self, service: &str, id: &str, condition: impl Fn(&Instance) -> bool) -> bool {
        let mut services = self.shared.services.lock();
        let Some(instances) = services.get_mut(service) else { return false };
        let removed = instances.get(id).is_some_and(|entry| condition(&entry.instance));
        if removed {
            instances.remove(id);
        }
        if instances.is_empty() {
            services.remove(service);
        }
        drop(services);
        self.shared.changed.send_replace(());
        removed
    }

    /// The instances that there are, and when the next one's lease runs out. Those that are over are forgotten.
    fn look(&self, service: &str) -> (Vec<Instance>, Option<Instant>) {
        let now = Instant::now();
        let mut services = self.shared.services.lock();
        let Some(instances) = services.get_mut(service) else { return (Vec::new(), None) };
        instances.retain(|_, entry| !entry.is_over(now));
        let next = instances.values().filter_map(|entry| entry.expires).min();
        let found = instances.values().map(|entry| entry.instance.clone()).collect();
        if instances.is_empty() {
            services.remove(service);
        }
        (found, next)
    }
}

impl Registry for StaticRegistry {
    async fn announce(&self, service: &str, instance: &Instance, ttl: Duration) -> Result<(), BoxError> {
        // A time too far off to be counted never comes.
        self.put(service, instance.clone(), Instant::now().checked_add(ttl));
        Ok(())
    }

    async fn withdraw(&self, service: &str, instance: &Instance) -> Result<(), BoxError> {
        // One that has taken its place, at another address, stays.
        self.remove_if(service, &instance.id, |known| known.address == instance.address);
        Ok(())
    }

    async fn watch(&self, service: &str, view: &View) -> Result<(), BoxError> {
        let mut changed = self.shared.changed.subscribe();
        let mut told: Option<Vec<Instance>> = None;
        loop {
            changed.borrow_and_update();
            let (found, next) = self.look(service);
            // A renewal, or another service's change, is none here.
            if told.as_ref() != Some(&found) {
                view.set(found.clone());
                told = Some(found);
            }
            match next {
                // The sender lives as long as `self`.
                None => changed.changed().await?,
                Some(next) => _ = tokio::time::timeout_at(next, changed.changed()).await,
            }
        }
    }
}

impl Default for StaticRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StaticRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = self.shared.services.lock();
        let ids = services.iter().map(|(name, instances)| (name, instances.keys().collect::<Vec<_>>()));
        f.debug_map().entries(ids).finish()
    }
}
