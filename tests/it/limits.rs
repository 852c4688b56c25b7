//! Bounds on sessions, calls per second and calls in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use teleport::plugins::LoadLimits;
use teleport::{Code, Error, Peer, PeerBuilder, Session};
use tokio::sync::Semaphore;

async fn client() -> Peer {
    Peer::builder().build().unwrap()
}

/// Answers `/a` and `/b` at once, `/held` and pushes to it when there is a permit; counts pushes that ran.
fn serving(limits: &LoadLimits) -> (PeerBuilder, Arc<Semaphore>, Arc<AtomicU64>) {
    let (held, pushes) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
    let (gate, push_gate, ran) = (held.clone(), held.clone(), pushes.clone());
    let builder = Peer::builder()
        .plugin(limits.clone())
        .pull("/a", |_, ()| async { Ok(()) })
        .unwrap()
        .pull("/b", |_, ()| async { Ok(()) })
        .unwrap()
        .pull("/held", move |_, ()| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.expect("open").forget();
                Ok(())
            }
        })
        .unwrap()
        .push("/held", move |_, ()| {
            ran.fetch_add(1, Ordering::Relaxed);
            let gate = push_gate.clone();
            async move { gate.acquire().await.expect("open").forget() }
        })
        .unwrap();
    (builder, held, pushes)
}

fn names(error: &Error, setting: &str) {
    assert_eq!(error.code(), Some(Code::UNAVAILABLE), "{error}");
    assert!(error.to_string().contains(&format!("(setting `{setting}` of the plugin limits)")), "{error}");
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

/// How many pulls to this uri go through until one is refused, which is to name the setting.
async fn passing(session: &Session, uri: &str, setting: &str) -> usize {
    for passed in 0..100 {
        if let Err(error) = session.pull(uri).await {
            names(&error, setting);
            return passed;
        }
    }
    panic!("nothing bounds {uri}");
}

#[tokio::test]
async fn sessions_are_bounded_for_the_peer_and_their_places_come_back() {
    let limits = LoadLimits::new().sessions(2);
    let server = serving(&limits).0.build().unwrap();
    let client = client().await;
    let first = client.connect(&server).await.unwrap();
    let second = client.connect(&server).await.unwrap();
    second.pull("/a").await.unwrap();
    let refused = client.connect(&server).await.unwrap();
    let error = refused.pull("/a").await.unwrap_err();
    assert!(
        error.to_string().contains("setting `sessions` of the plugin limits") || error.is_closed(),
        "{error}"
    );
    assert_eq!((limits.refused().sessions, limits.open_sessions()), (1, 2));
    first.close().await;
    until(|| limits.open_sessions() == 1).await;
    client.connect(&server).await.unwrap().pull("/a").await.unwrap();
    server.close().await;
    client.close().await;
    until(|| limits.open_sessions() == 0).await;
}

#[tokio::test]
async fn sessions_are_bounded_by_address_and_nothing_is_kept_of_those_who_left() {
    let limits = LoadLimits::new().sessions_per_ip(1);
    let server = serving(&limits).0.listen("127.0.0.1:0").await.unwrap();
    let client = client().await;
    let session = client.dial(server.local_addr().unwrap()).await.unwrap();
    session.pull("/a").await.unwrap();
    assert_eq!(limits.addresses(), 1);
    let refused = client.dial(server.local_addr().unwrap()).await.unwrap();
    assert!(refused.pull("/a").await.is_err());
    assert_eq!(limits.refused().sessions, 1);
    // What has no address is not counted by one.
    client.connect(&server).await.unwrap().pull("/a").await.unwrap();
    // A handle that is kept here does not keep the place there.
    session.close().await;
    until(|| limits.addresses() == 0).await;
    client.dial(server.local_addr().unwrap()).await.unwrap().pull("/a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_has_its_burst_and_then_its_rate() {
    let limits = LoadLimits::new().rate_per_session(10, 3);
    let server = serving(&limits).0.build().unwrap();
    let client = client().await;
    let (one, two) = (client.connect(&server).await.unwrap(), client.connect(&server).await.unwrap());
    assert_eq!(passing(&one, "/a", "rate_per_session").await, 3);
    assert_eq!(passing(&two, "/a", "rate_per_session").await, 3, "each session has its own");
    tokio::time::advance(Duration::from_millis(99)).await;
    assert_eq!(passing(&one, "/a", "rate_per_session").await, 0);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(passing(&one, "/a", "rate_per_session").await, 1);
    // Unknown uris count too.
    tokio::time::advance(Duration::from_secs(100)).await;
    for _ in 0..3 {
        assert_eq!(one.pull("/nowhere").await.unwrap_err().code(), Some(Code::NOT_FOUND));
    }
    names(&one.pull("/nowhere").await.unwrap_err(), "rate_per_session");
    assert_eq!(limits.refused().pulls, 5);
}

#[tokio::test(start_paused = true)]
async fn routes_and_the_peer_have_rates_of_their_own() {
    let limits = LoadLimits::new().rate_per_route(10, 2).rate_per_peer(10, 5);
    let server = serving(&limits).0.build().unwrap();
    let client = client().await;
    let (one, two) = (client.connect(&server).await.unwrap(), client.connect(&server).await.unwrap());
    assert_eq!(passing(&one, "/a", "rate_per_route").await, 2);
    // One that its route refuses takes nothing from the peer's.
    assert_eq!(passing(&two, "/a", "rate_per_route").await, 0);
    assert_eq!(passing(&two, "/b", "rate_per_route").await, 2);
    assert_eq!(two.pull("/x").await.unwrap_err().code(), Some(Code::NOT_FOUND));
    names(&two.pull("/x").await.unwrap_err(), "rate_per_peer");
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_bounded_by_session_and_by_peer_and_come_back() {
    let limits = LoadLimits::new().in_flight_per_session(1).in_flight_per_peer(2);
    let (builder, held, _) = serving(&limits);
    let server = builder.build().unwrap();
    let client = client().await;
    let sessions: Vec<_> =
        [client.connect(&server).await, client.connect(&server).await, client.connect(&server).await]
            .map(Result::unwrap)
            .into();
    let running: Vec<_> = sessions[..2]
        .iter()
        .map(|session| {
            let session = session.clone();
            tokio::spawn(async move { session.pull("/held").await.map(drop) })
        })
        .collect();
    until(|| limits.in_flight() == 2).await;
    names(&sessions[0].pull("/a").await.unwrap_err(), "in_flight_per_session");
    names(&sessions[2].pull("/a").await.unwrap_err(), "in_flight_per_peer");
    held.add_permits(2);
    for call in running {
        call.await.unwrap().unwrap();
    }
    assert_eq!(limits.in_flight(), 0, "whoever has the answer may call again");
    for session in &sessions {
        session.pull("/a").await.unwrap();
        assert_eq!(limits.in_flight(), 0);
    }
    // Those that are cut off come back as well.
    let late = sessions[0].clone();
    let cut = tokio::spawn(async move { late.pull("/held").await.map(drop) });
    until(|| limits.in_flight() == 1).await;
    sessions[0].abort();
    assert!(cut.await.unwrap().is_err());
    // The handler has until the close timeout; the paused clock goes there at once.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(limits.in_flight(), 0);
}

#[tokio::test]
async fn pushes_past_a_bound_are_dropped_and_counted() {
    let limits = LoadLimits::new().in_flight_per_peer(1);
    let (builder, held, ran) = serving(&limits);
    let server = builder.build().unwrap();
    let session = client().await.connect(&server).await.unwrap();
    session.push("/held").body(&()).await.unwrap();
    session.push("/held").body(&()).await.unwrap();
    until(|| limits.refused().pushes == 1).await;
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    held.add_permits(1);
    until(|| limits.in_flight() == 0).await;
    session.push("/held").body(&()).await.unwrap();
    until(|| ran.load(Ordering::Relaxed) == 2).await;
    assert_eq!(limits.refused().pulls, 0);
}

#[tokio::test(start_paused = true)]
async fn two_of_them_count_apart() {
    let (outer, inner) = (LoadLimits::new().rate_per_session(1, 3), LoadLimits::new().rate_per_session(1, 1));
    let mut router = teleport::Router::new();
    router.group("/g").plugin(inner.clone()).pull("/a", |_, ()| async { Ok(()) }).unwrap();
    let server = Peer::builder().plugin(outer.clone()).router(router).unwrap().build().unwrap();
    let session = client().await.connect(&server).await.unwrap();
    session.pull("/g/a").await.unwrap();
    assert!(session.pull("/g/a").await.is_err() && session.pull("/g/a").await.is_err());
    assert_eq!((outer.refused().pulls, inner.refused().pulls), (0, 2));
    assert!(session.pull("/g/a").await.is_err());
    assert_eq!((outer.refused().pulls, inner.refused().pulls), (1, 2));
}
