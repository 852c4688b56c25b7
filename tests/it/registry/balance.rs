//! Which instance gets a call.

use std::time::Duration;

use teleport::Peer;
use teleport::registry::{Balancer, Candidate, Instance, LeastInFlight, Policy, StaticRegistry};

use super::{add, answers, client, listen, named, ready, waiting, who};

/// Three servers, a to c, and their list.
async fn three() -> (StaticRegistry, [Peer; 3]) {
    let registry = StaticRegistry::new();
    let servers = [listen(named("a")).await, listen(named("b")).await, listen(named("c")).await];
    for (name, server) in ["a", "b", "c"].into_iter().zip(&servers) {
        add(&registry, name, server);
    }
    (registry, servers)
}

#[tokio::test]
async fn round_robin_is_exact() {
    let (registry, _servers) = three().await;
    let balancer = Balancer::new(&client(), registry, "who");
    ready(&balancer, 3).await;
    assert_eq!(answers(&balancer, 7).await, "abcabca");
    // Also where many ask at once.
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let balancer = balancer.clone();
            tokio::spawn(async move { who(&balancer).await })
        })
        .collect();
    let mut counts = [0; 3];
    for call in calls {
        counts[usize::from(call.await.unwrap().as_bytes()[0] - b'a')] += 1;
    }
    assert_eq!(counts, [100; 3]);
}

#[tokio::test]
async fn weights_are_shares_and_none_is_out() {
    let (registry, servers) = three().await;
    let address = |n: usize| servers[n].local_addr().unwrap();
    registry.add("who", Instance::new("a", address(0)).with_weight(3));
    registry.add("who", Instance::new("c", address(2)).with_weight(0));
    let balancer = Balancer::new(&client(), registry.clone(), "who");
    ready(&balancer, 2).await;
    assert_eq!(answers(&balancer, 8).await, "aabaaaba");
    assert!(servers[2].sessions().is_empty(), "one without weight is not dialed");
    // A weight that changes costs no session.
    let before = servers[0].sessions().all();
    registry.add("who", Instance::new("a", address(0)));
    balancer.wait_for(|all| all[0].instance.weight == 1).await;
    let mut calls: Vec<_> = answers(&balancer, 4).await.into_bytes();
    calls.sort_unstable();
    assert_eq!(calls, b"aabb");
    assert_eq!(servers[0].sessions().all(), before);
}

#[tokio::test]
async fn the_least_busy_gets_the_call() {
    let registry = StaticRegistry::new();
    let (a, a_begun, a_go) = waiting("a");
    let (b, b_begun, b_go) = waiting("b");
    let (a, b) = (listen(a).await, listen(b).await);
    add(&registry, "a", &a);
    add(&registry, "b", &b);
    let balancer =
        Balancer::builder(&client(), registry, "who").policy(LeastInFlight::new()).build().unwrap();
    ready(&balancer, 2).await;
    let wait = |balancer: &Balancer| {
        let balancer = balancer.clone();
        tokio::spawn(async move { balancer.session().await?.pull("/wait").await?.decode::<String>() })
    };
    let first = wait(&balancer);
    a_begun.notified().await;
    assert_eq!(super::status(&balancer, "a").in_flight, 1);
    assert_eq!(answers(&balancer, 4).await, "bbbb", "a has one in flight");
    let second = wait(&balancer);
    b_begun.notified().await;
    a_go.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), "a");
    assert_eq!(answers(&balancer, 4).await, "aaaa", "b has one in flight");
    b_go.notify_one();
    assert_eq!(second.await.unwrap().unwrap(), "b");
    let mut calls = answers(&balancer, 4).await.into_bytes();
    calls.sort_unstable();
    assert_eq!(calls, b"aabb", "among equals one after the other");
}

#[tokio::test]
async fn a_policy_of_the_users_own() {
    struct Last;
    impl Policy for Last {
        fn choose(&self, candidates: &[Candidate]) -> usize {
            assert!(candidates.iter().all(|candidate| candidate.in_flight() == 0));
            candidates.iter().position(|candidate| candidate.instance().id == "c").unwrap_or(usize::MAX)
        }
    }
    let (registry, _servers) = three().await;
    let balancer = Balancer::builder(&client(), registry.clone(), "who").policy(Last).build().unwrap();
    ready(&balancer, 3).await;
    assert_eq!(answers(&balancer, 3).await, "ccc");
    registry.remove("who", "c");
    balancer.wait_for(|all| all.len() == 2).await;
    assert_ne!(who(&balancer).await, "c", "an index past the end is taken from the front");
}

#[tokio::test]
async fn several_sessions_to_each_instance_share_its_calls() {
    let registry = StaticRegistry::new();
    let (a, begun, go) = waiting("a");
    let a = listen(a).await;
    add(&registry, "a", &a);
    let client = client();
    let balancer = Balancer::builder(&client, registry, "who").sessions(3).build().unwrap();
    while client.sessions().len() < 3 {
        who(&balancer).await;
    }
    let mut calls = Vec::new();
    for _ in 0..3 {
        let session = balancer.session().await.unwrap();
        calls.push(tokio::spawn(async move { session.pull("/wait").await.map(drop) }));
        begun.notified().await;
    }
    let each: Vec<_> = client.sessions().all().iter().map(|session| session.pulls_in_flight()).collect();
    assert_eq!(each, [1, 1, 1]);
    for call in calls {
        go.notify_one();
        call.await.unwrap().unwrap();
    }
    assert!(client.sessions().all().iter().all(|session| session.pulls_in_flight() == 0));
}

#[tokio::test]
async fn a_lazy_one_dials_whom_it_chooses() {
    let (registry, servers) = three().await;
    let client = client();
    let balancer = Balancer::builder(&client, registry, "who").lazy().build().unwrap();
    balancer.wait_for(|all| all.len() == 3).await;
    assert!(client.sessions().is_empty());
    assert_eq!(who(&balancer).await, "a");
    assert_eq!(client.sessions().len(), 1);
    assert_eq!(answers(&balancer, 5).await, "bcabc");
    assert_eq!(client.sessions().len(), 3);
    // One whose session has ended is dialed when its turn comes.
    let ended = balancer.session().await.unwrap();
    ended.close().await;
    servers[1].sessions().all().iter().for_each(|session| session.abort());
    balancer.wait_for(|all| !all[1].is_ready && all[1].failure.is_none()).await;
    let mut calls = answers(&balancer, 6).await.into_bytes();
    calls.sort_unstable();
    assert_eq!(calls, b"aabbcc");
}

#[tokio::test]
async fn a_caller_waits_for_the_first_instance() {
    let registry = StaticRegistry::new();
    let balancer = Balancer::new(&client(), registry.clone(), "who");
    let asking = tokio::spawn({
        let balancer = balancer.clone();
        async move { who(&balancer).await }
    });
    tokio::task::yield_now().await;
    let server = listen(named("a")).await;
    add(&registry, "a", &server);
    assert_eq!(asking.await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_nobody_ends() {
    let balancer = Balancer::builder(&client(), StaticRegistry::new(), "who")
        .wait(Duration::from_secs(3))
        .build()
        .unwrap();
    let begun = tokio::time::Instant::now();
    let error = balancer.session().await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert!(error.is_unavailable() && error.delivery().is_none());
    assert_eq!(error.to_string(), "no instance of who is known, waited 3s for one");
    assert_eq!(teleport::Status::from(error).code(), teleport::Code::UNAVAILABLE);
}

#[tokio::test]
async fn settings_that_can_not_be_used_are_named() {
    let build = || Balancer::builder(&client(), StaticRegistry::new(), "who");
    let error = build().sessions(0).build().unwrap_err();
    assert!(error.is_config() && error.to_string().contains("`sessions`"), "{error}");
    for (first, most) in [(0, 1), (2, 1)] {
        let error =
            build().backoff(Duration::from_secs(first), Duration::from_secs(most)).build().unwrap_err();
        assert!(error.is_config() && error.to_string().contains("`backoff`"), "{error}");
    }
}
