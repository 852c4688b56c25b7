//! Instances that die, come back, move, or are withdrawn, and registries that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use teleport::Peer;
use teleport::registry::{Balancer, BalancerBuilder, BoxError, Instance, Registry, StaticRegistry, View};
use tokio::sync::Notify;

use super::{add, answers, client, listen, named, nowhere, ready, status, waiting, who};

/// A balancer that tries again soon.
fn quick(client: &Peer, registry: impl Registry) -> BalancerBuilder {
    Balancer::builder(client, registry, "who").backoff(Duration::from_millis(5), Duration::from_millis(20))
}

#[tokio::test]
async fn one_that_refuses_is_left_out_and_told_why() {
    let registry = StaticRegistry::new();
    let a = listen(named("a")).await;
    let gone = nowhere().await;
    add(&registry, "a", &a);
    registry.add("who", Instance::new("b", &gone));
    let balancer = Balancer::new(&client(), registry.clone(), "who");
    balancer.wait_for(|all| all.len() == 2 && all[0].is_ready && all[1].failure.is_some()).await;
    assert_eq!(answers(&balancer, 4).await, "aaaa");
    assert!(status(&balancer, "b").failure.unwrap().contains("can't connect to tcp://127.0.0.1:"));
    // Alone, it is an error at once, which tells of it.
    registry.remove("who", "a");
    balancer.wait_for(|all| all.len() == 1).await;
    let error = balancer.session().await.unwrap_err();
    let says = format!("none of 1 instances of who can be reached: b at {gone}: can't connect to {gone}: ");
    assert!(error.is_unavailable() && error.to_string().starts_with(&says), "{error}");
}

#[tokio::test]
async fn one_that_dies_is_left_out_and_brought_back() {
    let registry = StaticRegistry::new();
    let (a, b) = (listen(named("a")).await, listen(named("b")).await);
    add(&registry, "a", &a);
    add(&registry, "b", &b);
    let balancer = quick(&client(), registry).build().unwrap();
    ready(&balancer, 2).await;
    // As a process that ends: its connections end, and its address refuses.
    let address = b.local_addr().unwrap();
    b.close().await;
    ready(&balancer, 1).await;
    assert_eq!(answers(&balancer, 4).await, "aaaa");
    balancer.wait_for(|all| all[1].failure.as_ref().is_some_and(|why| why.contains("can't connect"))).await;
    let _again = named("b").listen(&address).await.unwrap();
    ready(&balancer, 2).await;
    let mut calls = answers(&balancer, 4).await.into_bytes();
    calls.sort_unstable();
    assert_eq!(calls, b"aabb");
}

#[tokio::test]
async fn a_session_that_has_ended_is_not_handed_out() {
    let registry = StaticRegistry::new();
    let (a, b) = (listen(named("a")).await, listen(named("b")).await);
    add(&registry, "a", &a);
    add(&registry, "b", &b);
    let client = client();
    let balancer = Balancer::new(&client, registry, "who");
    ready(&balancer, 2).await;
    // Before any task of the balancer's gets its turn.
    let to_b = client.sessions().all().into_iter().find(|s| s.remote_addr() == b.local_addr().unwrap());
    to_b.unwrap().abort();
    for _ in 0..4 {
        let session = balancer.session_now().unwrap();
        assert_eq!(session.remote_addr(), a.local_addr().unwrap());
    }
    client.sessions().all().iter().for_each(|session| session.abort());
    assert!(balancer.session_now().is_none());
    // It waits for the dial that follows.
    assert!(["a", "b"].contains(&&*who(&balancer).await));
}

#[tokio::test]
async fn a_session_that_drains_is_replaced_before_it_has_closed() {
    let registry = StaticRegistry::new();
    let (a, begun, go) = waiting("a");
    let a = listen(a).await;
    add(&registry, "a", &a);
    let balancer = Balancer::new(&client(), registry, "who");
    let draining = balancer.session().await.unwrap();
    let call = tokio::spawn({
        let draining = draining.clone();
        async move { draining.pull("/wait").await.map(drop) }
    });
    begun.notified().await;
    let closing = tokio::spawn(async move { draining.close().await });
    while balancer.session_now().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(answers(&balancer, 2).await, "aa");
    assert!(!closing.is_finished(), "it waits for the call");
    go.notify_one();
    call.await.unwrap().unwrap();
    closing.await.unwrap();
}

#[tokio::test]
async fn calls_in_flight_on_a_withdrawn_instance_end() {
    let registry = StaticRegistry::new();
    let (a, begun, go) = waiting("a");
    let (a, b) = (listen(a).await, listen(named("b")).await);
    add(&registry, "a", &a);
    let balancer = Balancer::new(&client(), registry.clone(), "who");
    let to_a = balancer.session().await.unwrap();
    let call = tokio::spawn({
        let to_a = to_a.clone();
        async move { to_a.pull("/wait").await?.decode::<String>() }
    });
    begun.notified().await;
    add(&registry, "b", &b);
    registry.remove("who", "a");
    balancer.wait_for(|all| all.len() == 1 && all[0].instance.id == "b" && all[0].is_ready).await;
    assert_eq!(answers(&balancer, 3).await, "bbb");
    while to_a.is_open() {
        tokio::task::yield_now().await;
    }
    assert!(!call.is_finished());
    go.notify_one();
    assert_eq!(call.await.unwrap().unwrap(), "a");
    to_a.closed().await;
}

#[tokio::test]
async fn one_that_moves_is_dialed_at_its_new_address() {
    let registry = StaticRegistry::new();
    let (old, new) = (listen(named("old")).await, listen(named("new")).await);
    add(&registry, "a", &old);
    let balancer = Balancer::new(&client(), registry.clone(), "who");
    assert_eq!(who(&balancer).await, "old");
    add(&registry, "a", &new);
    let address = new.local_addr().unwrap().to_string();
    balancer.wait_for(|all| all[0].instance.address == address && all[0].is_ready).await;
    assert_eq!(answers(&balancer, 2).await, "newnew");
    while !old.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_silent_one_is_left_out_when_its_lease_runs_out() {
    let registry = StaticRegistry::new();
    let (a, b) = (listen(named("a")).await, listen(named("b")).await);
    add(&registry, "a", &a);
    // It never says another word, and its connection stays: as a machine that has lost its network.
    let silent = Instance::new("b", b.local_addr().unwrap());
    registry.announce("who", &silent, Duration::from_millis(100)).await.unwrap();
    let balancer = Balancer::new(&client(), registry, "who");
    ready(&balancer, 2).await;
    ready(&balancer, 1).await;
    assert_eq!(answers(&balancer, 3).await, "aaa");
    assert_eq!(balancer.instances().len(), 1);
}

#[tokio::test]
async fn a_caller_may_wait_for_one_that_comes_back() {
    let address = nowhere().await;
    let registry = StaticRegistry::of("who", [&address]);
    let balancer = quick(&client(), registry).fail_fast(false).build().unwrap();
    balancer.wait_for(|all| all.first().is_some_and(|status| status.failure.is_some())).await;
    let asking = tokio::spawn({
        let balancer = balancer.clone();
        async move { who(&balancer).await }
    });
    tokio::task::yield_now().await;
    let _back = named("a").listen(&address).await.unwrap();
    assert_eq!(asking.await.unwrap(), "a");
}

#[tokio::test]
async fn one_that_takes_connections_and_drops_them_is_not_dialed_in_a_circle() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let taking = tokio::spawn({
        let taken = taken.clone();
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                taken.fetch_add(1, Ordering::Relaxed);
                drop(stream);
            }
        }
    });
    let balancer = Balancer::builder(&client(), StaticRegistry::of("who", [address]), "who")
        .backoff(Duration::from_secs(3600), Duration::from_secs(3600))
        .build()
        .unwrap();
    balancer.wait_for(|all| all.first().is_some_and(|status| status.failure.is_some())).await;
    let failure = balancer.instances().remove(0).failure.unwrap();
    assert!(
        failure.contains("the other side closed the connection") || failure.contains("lost"),
        "{failure}"
    );
    assert!(balancer.session().await.unwrap_err().is_unavailable());
    assert_eq!(taken.load(Ordering::Relaxed), 2, "once more at once, then a pause");
    taking.abort();
}

#[tokio::test]
async fn a_balancer_that_is_dropped_closes_its_sessions() {
    let registry = StaticRegistry::new();
    let a = listen(named("a")).await;
    add(&registry, "a", &a);
    let client = client();
    let balancer = Balancer::new(&client, registry.clone(), "who");
    let other = balancer.clone();
    who(&balancer).await;
    drop(balancer);
    assert_eq!(who(&other).await, "a");
    drop(other);
    while !client.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_peer_that_is_closed_dials_no_more() {
    let registry = StaticRegistry::new();
    let a = listen(named("a")).await;
    add(&registry, "a", &a);
    let client = client();
    let balancer = quick(&client, registry).build().unwrap();
    who(&balancer).await;
    client.close().await;
    let error = loop {
        match balancer.session().await {
            Err(error) if error.to_string().contains("the peer is closed") => break error,
            Err(_) => tokio::task::yield_now().await,
            Ok(_) => panic!("a session of a closed peer"),
        }
    };
    assert!(error.is_unavailable());
}

/// A registry that fails when it is told so.
#[derive(Clone, Default)]
struct Shaky {
    list: StaticRegistry,
    is_down: Arc<AtomicBool>,
    fail: Arc<Notify>,
    watches: Arc<AtomicUsize>,
}

impl Registry for Shaky {
    async fn watch(&self, service: &str, view: &View) -> Result<(), BoxError> {
        self.watches.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err("it is down".into());
        }
        tokio::select! {
            result = self.list.watch(service, view) => result,
            () = self.fail.notified() => Err("it went away".into()),
        }
    }
}

#[tokio::test]
async fn a_registry_that_fails_is_asked_again_and_what_it_said_is_kept() {
    let shaky = Shaky::default();
    let (a, b) = (listen(named("a")).await, listen(named("b")).await);
    shaky.is_down.store(true, Ordering::SeqCst);
    let balancer = quick(&client(), shaky.clone()).wait(Duration::ZERO).build().unwrap();
    while shaky.watches.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    let error = balancer.session().await.unwrap_err();
    assert!(error.to_string().ends_with("; the registry can't be watched: it is down"), "{error}");
    add(&shaky.list, "a", &a);
    shaky.is_down.store(false, Ordering::SeqCst);
    ready(&balancer, 1).await;
    // It goes away, and changes in the meantime.
    shaky.is_down.store(true, Ordering::SeqCst);
    shaky.fail.notify_one();
    let before = shaky.watches.load(Ordering::SeqCst);
    while shaky.watches.load(Ordering::SeqCst) < before + 2 {
        assert_eq!(who(&balancer).await, "a");
    }
    add(&shaky.list, "b", &b);
    shaky.list.remove("who", "a");
    shaky.is_down.store(false, Ordering::SeqCst);
    balancer.wait_for(|all| all.len() == 1 && all[0].instance.id == "b" && all[0].is_ready).await;
    assert_eq!(who(&balancer).await, "b");
}
