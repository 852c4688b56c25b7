//! Peers that announce themselves.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use teleport::registry::{Balancer, BoxError, Instance, Registry, StaticRegistry, View};
use teleport::{Peer, Router, Status};
use tokio::sync::mpsc;

use super::{client, listen, named, ready, who};

#[teleport::service]
trait Greeter {
    async fn greet(&self, name: &str) -> Result<String, Status>;
}

#[teleport::service]
trait Clock {
    async fn ticks(&self) -> Result<u64, Status>;
}

struct Both;

impl Greeter for Both {
    async fn greet(&self, name: &str) -> Result<String, Status> {
        Ok(format!("hello {name}"))
    }
}

impl Clock for Both {
    async fn ticks(&self) -> Result<u64, Status> {
        Ok(1)
    }
}

#[tokio::test]
async fn a_peer_announces_each_of_its_services() {
    let registry = StaticRegistry::new();
    let mut router = Router::new();
    router.service(GreeterServer::new(Both)).unwrap();
    router.group("/v1").service(ClockServer::new(Both)).unwrap();
    router.group("/v2").service(ClockServer::new(Both)).unwrap();
    assert_eq!(router.services().collect::<Vec<_>>(), ["Greeter", "Clock"]);
    let server = listen(Peer::builder().router(router).unwrap()).await;
    let announced = server.announce(registry.clone()).weight(2).metadata("zone", "eu").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let instance = Instance::new(&*address, &address).with_weight(2).with_metadata("zone", "eu");
    assert_eq!(announced.services().collect::<Vec<_>>(), ["Greeter", "Clock"]);
    assert_eq!(registry.instances("Greeter"), std::slice::from_ref(&instance));
    assert_eq!(registry.instances("Clock"), [instance]);
    let balancer = Balancer::new(&client(), registry.clone(), "Greeter");
    let session = balancer.session().await.unwrap();
    assert_eq!(GreeterClient::new(&session).greet("Ada").await.unwrap(), "hello Ada");
    announced.withdraw().await;
    assert!(registry.instances("Greeter").is_empty() && registry.instances("Clock").is_empty());
    assert!(server.local_addr().is_ok(), "it still listens");
}

#[tokio::test]
async fn what_can_not_be_announced_is_named() {
    let registry = StaticRegistry::new();
    let refused = |error: teleport::Error, says: &str| {
        assert!(error.is_config() && error.to_string().contains(says), "{error}");
    };
    let server = listen(named("a")).await;
    refused(server.announce(registry.clone()).await.unwrap_err(), "serves no service that has a name");
    refused(client().announce(registry.clone()).service("who").await.unwrap_err(), "call `listen` first");
    let zero = server.announce(registry.clone()).service("who").ttl(Duration::ZERO);
    refused(zero.await.unwrap_err(), "`ttl` of 0");
    let everywhere = named("a").listen("0.0.0.0:0").await.unwrap();
    let error = everywhere.announce(registry.clone()).service("who").await.unwrap_err();
    refused(error, ".address(\"tcp://");
    let announced = everywhere
        .announce(registry.clone())
        .service("who")
        .id("me")
        .address("tcp://10.0.0.3:9")
        .await
        .unwrap();
    assert_eq!(*announced.instance(), Instance::new("me", "tcp://10.0.0.3:9"));
    server.close().await;
    let error = server.announce(registry.clone()).service("who").address("x:1").await.unwrap_err();
    assert!(error.is_closed(), "{error}");

    struct ReadOnly;
    impl Registry for ReadOnly {
        async fn watch(&self, _: &str, _: &View) -> Result<(), BoxError> {
            std::future::pending().await
        }
    }
    let error = everywhere.announce(ReadOnly).service("who").id("me").address("x:1").await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    assert_eq!(
        error.to_string(),
        "can't announce me as an instance of who: this registry can only be read; it has no `announce`"
    );
}

/// What a registry tells, as it tells it.
fn watch(registry: &StaticRegistry) -> mpsc::UnboundedReceiver<Vec<String>> {
    let (seen, told) = mpsc::unbounded_channel();
    let registry = registry.clone();
    tokio::spawn(async move {
        let ids = |instances: Vec<Instance>| instances.into_iter().map(|instance| instance.id).collect();
        let view = View::new(move |instances| drop(seen.send(ids(instances))));
        registry.watch("who", &view).await
    });
    told
}

#[tokio::test(start_paused = true)]
async fn a_lease_runs_out_when_it_is_not_renewed() {
    let registry = StaticRegistry::new();
    let mut told = watch(&registry);
    assert_eq!(told.recv().await.unwrap(), [""; 0]);
    let (a, b) = (Instance::new("a", "x:1"), Instance::new("b", "x:2"));
    registry.announce("who", &a, Duration::from_secs(10)).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), ["a"]);
    registry.announce("who", &b, Duration::from_secs(15)).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), ["a", "b"]);
    let begun = tokio::time::Instant::now();
    assert_eq!(told.recv().await.unwrap(), ["b"]);
    assert_eq!(begun.elapsed().as_secs(), 10);
    registry.announce("who", &b, Duration::from_secs(10)).await.unwrap();
    assert_eq!(told.recv().await.unwrap(), [""; 0]);
    assert_eq!(begun.elapsed().as_secs(), 20, "it was renewed once");
    assert!(registry.instances("who").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_peer_stays_announced_and_comes_back_when_the_registry_forgets_it() {
    let registry = StaticRegistry::new();
    let mut told = watch(&registry);
    assert_eq!(told.recv().await.unwrap(), [""; 0]);
    let server = listen(named("a")).await;
    let _announced = server.announce(registry.clone()).service("who").id("a").await.unwrap();
    assert_eq!(told.recv().await.unwrap(), ["a"]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(told.try_recv().is_err(), "nothing has changed");
    registry.remove("who", "a");
    assert_eq!(told.recv().await.unwrap(), [""; 0]);
    assert_eq!(told.recv().await.unwrap(), ["a"]);
    // A peer that is dropped is withdrawn.
    drop(server);
    assert_eq!(told.recv().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn one_that_took_its_place_is_not_withdrawn() {
    let registry = StaticRegistry::new();
    let (old, new) = (listen(named("old")).await, listen(named("new")).await);
    old.announce(registry.clone()).service("who").id("a").grace(Duration::ZERO).await.unwrap();
    new.announce(registry.clone()).service("who").id("a").await.unwrap();
    old.close().await;
    assert_eq!(registry.instances("who").len(), 1);
}

/// A registry that looks at the peer when it is withdrawn.
#[derive(Clone, Default)]
struct Probe {
    list: StaticRegistry,
    peer: Arc<OnceLock<Peer>>,
    found: Arc<OnceLock<(usize, bool)>>,
}

impl Registry for Probe {
    async fn announce(&self, service: &str, instance: &Instance, ttl: Duration) -> Result<(), BoxError> {
        self.list.announce(service, instance, ttl).await
    }

    async fn withdraw(&self, service: &str, instance: &Instance) -> Result<(), BoxError> {
        let peer = self.peer.get().unwrap();
        let open = peer.sessions().all().iter().all(|session| session.is_open());
        self.found.set((peer.local_addrs().len(), open)).unwrap();
        self.list.withdraw(service, instance).await
    }

    async fn watch(&self, service: &str, view: &View) -> Result<(), BoxError> {
        self.list.watch(service, view).await
    }
}

#[tokio::test]
async fn a_close_withdraws_first_and_loses_no_call() {
    let probe = Probe::default();
    let (a, b) = (listen(named("a")).await, listen(named("b")).await);
    a.announce(probe.clone()).service("who").await.unwrap();
    b.announce(probe.list.clone()).service("who").await.unwrap();
    probe.peer.set(a.clone()).unwrap();
    let balancer = Balancer::new(&client(), probe.clone(), "who");
    ready(&balancer, 2).await;
    let closing = tokio::spawn({
        let a = a.clone();
        async move { a.close().await }
    });
    // Calls all the time: none of them fails.
    while !closing.is_finished() {
        who(&balancer).await;
    }
    closing.await.unwrap();
    assert_eq!(probe.found.get(), Some(&(1, true)), "it listened and its sessions were open");
    assert_eq!(who(&balancer).await, "b");
    assert!(a.sessions().is_empty() && a.local_addrs().is_empty());
}
