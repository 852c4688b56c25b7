//! Generated clients over a balancer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use teleport::registry::{Balancer, Candidate, Policy, StaticRegistry};
use teleport::{Delivery, Limits, Peer, Status};
use tokio::sync::{Notify, mpsc};

use super::{add, client, listen, ready};

#[teleport::service]
trait Desk {
    async fn who(&self) -> Result<String, Status>;
    async fn wait(&self, name: &str) -> Result<String, Status>;
    #[push]
    async fn note(&self, line: &str);
}

struct Clerk {
    name: &'static str,
    waits: AtomicUsize,
    begun: Notify,
    notes: mpsc::UnboundedSender<String>,
}

impl Desk for Arc<Clerk> {
    async fn who(&self) -> Result<String, Status> {
        Ok(self.name.into())
    }

    async fn wait(&self, name: &str) -> Result<String, Status> {
        self.waits.fetch_add(1, Ordering::SeqCst);
        self.begun.notify_one();
        std::future::pending::<()>().await;
        Ok(name.into())
    }

    async fn note(&self, line: &str) {
        self.notes.send(format!("{}: {line}", self.name)).unwrap();
    }
}

type Notes = mpsc::UnboundedReceiver<String>;

async fn two() -> (StaticRegistry, [Peer; 2], [Arc<Clerk>; 2], Notes) {
    let registry = StaticRegistry::new();
    let (seen, notes) = mpsc::unbounded_channel();
    let clerks = ["a", "b"].map(|name| {
        let (waits, begun, notes) = (AtomicUsize::new(0), Notify::new(), seen.clone());
        Arc::new(Clerk { name, waits, begun, notes })
    });
    let serve = |clerk: &Arc<Clerk>| listen(Peer::builder().service(DeskServer::new(clerk.clone())).unwrap());
    let servers = [serve(&clerks[0]).await, serve(&clerks[1]).await];
    add(&registry, "a", &servers[0]);
    add(&registry, "b", &servers[1]);
    (registry, servers, clerks, notes)
}

#[tokio::test]
async fn a_client_picks_for_each_call() {
    let (registry, servers, _clerks, mut notes) = two().await;
    let balancer = Balancer::new(&client(), registry, "who");
    ready(&balancer, 2).await;
    let desk = DeskClient::new(&balancer);
    assert!(desk.session().is_none());
    let mut all = String::new();
    for _ in 0..4 {
        all += &desk.who().await.unwrap();
    }
    assert_eq!(all, "abab");
    let call = desk.who();
    assert_eq!(desk.who().await.unwrap(), "a", "it is picked when the call is awaited");
    assert_eq!(call.await.unwrap(), "b");
    desk.note("one").await.unwrap();
    desk.note("two").await.unwrap();
    let mut got = [notes.recv().await.unwrap(), notes.recv().await.unwrap()];
    got.sort();
    assert_eq!(got, ["a: one", "b: two"]);
    // It keeps the balancer.
    drop(balancer);
    assert_eq!(desk.clone().who().await.unwrap(), "a");
    // A session of one of them, as ever.
    assert!(
        DeskClient::new(&client().dial(servers[0].local_addr().unwrap()).await.unwrap()).session().is_some()
    );
}

/// The first one, as long as it is there.
struct First;

impl Policy for First {
    fn choose(&self, _: &[Candidate]) -> usize {
        0
    }
}

#[tokio::test]
async fn a_call_that_was_not_sent_goes_elsewhere_and_one_that_may_have_run_does_not() {
    let (registry, servers, clerks, _notes) = two().await;
    // So that the second call waits for room, and is not sent when the session ends.
    let client = Peer::builder().limits(Limits::default().with_max_pulls_out(1)).build().unwrap();
    let balancer = Balancer::builder(&client, registry, "who").policy(First).build().unwrap();
    ready(&balancer, 2).await;
    let desk = DeskClient::new(&balancer);
    let first = tokio::spawn({
        let desk = desk.clone();
        async move { desk.wait("x").await }
    });
    clerks[0].begun.notified().await;
    let second = tokio::spawn({
        let desk = desk.clone();
        async move { desk.who().await }
    });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    servers[0].sessions().all().iter().for_each(|session| session.abort());
    let error = first.await.unwrap().unwrap_err();
    assert!(error.is_closed(), "{error}");
    assert_eq!(error.delivery(), Some(Delivery::Unanswered));
    // The other one, or the first one over a new session.
    second.await.unwrap().unwrap();
    assert_eq!([0, 1].map(|n| clerks[n].waits.load(Ordering::SeqCst)), [1, 0], "it was not sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_lost_when_an_instance_shuts_down_without_a_word_to_the_registry() {
    let (registry, servers, clerks, _notes) = two().await;
    let balancer = Balancer::builder(&client(), registry, "who").policy(First).build().unwrap();
    ready(&balancer, 2).await;
    let desk = DeskClient::new(&balancer);
    // Until this one is cut off, the first server refuses what comes, and says that it did not run.
    let last = tokio::spawn({
        let desk = desk.clone();
        async move { desk.wait("x").await }
    });
    clerks[0].begun.notified().await;
    let [a, _b] = servers;
    let closing = tokio::spawn(async move { a.shutdown().within(Duration::from_millis(300)).await });
    let mut by = [0, 0];
    while !closing.is_finished() {
        let is_b = desk.who().await.unwrap() == "b";
        assert!(
            by[1] > 0 || !is_b || !last.is_finished(),
            "it turned away at the first refusal, not at the end"
        );
        by[usize::from(is_b)] += 1;
    }
    assert!(by[1] > 0, "{by:?}");
    assert_eq!(desk.who().await.unwrap(), "b");
    assert_eq!(last.await.unwrap().unwrap_err().delivery(), Some(Delivery::Unanswered));
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_an_instance_counts_against_the_call() {
    let balancer = Balancer::builder(&client(), StaticRegistry::new(), "who")
        .wait(Duration::from_secs(60))
        .build()
        .unwrap();
    let begun = tokio::time::Instant::now();
    let error = DeskClient::new(&balancer).who().timeout(Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert!(error.is_unavailable() && !error.may_have_run(), "{error}");
    assert_eq!((error.delivery(), error.uri()), (Some(Delivery::NotSent), Some("/desk/who")));
    let error = DeskClient::new(&balancer).note("x").await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::from_secs(62));
    assert_eq!(error.delivery(), Some(Delivery::NotSent));
}
