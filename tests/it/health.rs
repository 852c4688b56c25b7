//! What a peer tells of its health, and the notice of a shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use teleport::describe::{HEALTH_URI, Health, HealthState, READY_URI};
use teleport::registry::{BoxError, Instance, Registry, View};
use teleport::wire::{Body, Header, Kind};
use teleport::{Bincode, Code, PacketId, Peer, PeerBuilder, Session, Shutdown, ShutdownReport};
use teleport_tests::RawPeer;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const NOTICE: Duration = Duration::from_secs(60);

/// A server that tells its health, and whose `/slow` answers after so many seconds.
fn healthy() -> PeerBuilder {
    Peer::builder()
        .health()
        .pull("/slow", |_, seconds: u64| async move {
            sleep(Duration::from_secs(seconds)).await;
            Ok(seconds)
        })
        .unwrap()
}

async fn session_to(server: &Peer) -> (Session, Peer) {
    let client = Peer::builder().build().unwrap();
    (client.connect(server).await.unwrap(), client)
}

async fn state(session: &Session) -> HealthState {
    session.pull(HEALTH_URI).await.unwrap().decode::<Health>().unwrap().state
}

fn shut_down(
    server: &Peer,
    with: impl FnOnce(Shutdown<'_>) -> Shutdown<'_> + Send + 'static,
) -> JoinHandle<ShutdownReport> {
    let server = server.clone();
    tokio::spawn(async move { with(server.shutdown()).await })
}

/// Until somebody has begun to shut this peer down.
async fn begun(server: &Peer) {
    while !server.is_draining() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn both_states_have_a_body_and_a_check_of_success_fails_while_draining() {
    let server = healthy().build().unwrap();
    let (session, _client) = session_to(&server).await;
    for (draining, state, json) in [
        (false, HealthState::Serving, r#"{"state":"serving"}"#),
        (true, HealthState::Draining, r#"{"state":"draining"}"#),
        (false, HealthState::Serving, r#"{"state":"serving"}"#),
    ] {
        server.set_draining(draining);
        assert_eq!(server.is_draining(), draining);
        let reply = session.pull(HEALTH_URI).await.unwrap();
        assert_eq!((reply.codec(), reply.payload()), (b'j', json.as_bytes()));
        assert_eq!(reply.decode::<Health>().unwrap().state, state);
        assert_eq!(reply.status().text() == "draining", draining);
        let reply = session.pull(HEALTH_URI).codec(Bincode).body(&()).await.unwrap();
        assert_eq!((reply.codec(), reply.decode::<Health>().unwrap().state), (b'b', state));
        match session.pull(READY_URI).await {
            Ok(reply) => assert!(!draining && reply.payload() == json.as_bytes()),
            Err(error) => {
                let status = error.status().unwrap();
                assert!(draining && status.code() == Code::UNAVAILABLE, "{error}");
                assert_eq!(status.text(), "draining");
            }
        }
    }
}

#[tokio::test]
async fn what_goes_over_the_wire_is_as_documented() {
    let server = healthy().build().unwrap();
    let (mut raw, _session) = RawPeer::connect(&server).await;
    server.set_draining(true);
    for (uri, code, body) in [(HEALTH_URI, 200, &br#"j{"state":"draining"}"#[..]), (READY_URI, 503, b"")] {
        raw.send_packet(&Header::new(PacketId::Text("7".into()), Kind::PULL, uri), Body::None).await;
        let answer = raw.receive().await;
        assert_eq!((answer.code(), answer.status()), (code, "draining"), "{uri}");
        assert_eq!(answer.body().as_bytes(), body, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_notice_lets_others_see_it_coming_while_all_is_served() {
    let server = healthy().build().unwrap();
    let (session, _client) = session_to(&server).await;
    let began = Instant::now();
    let shutdown = shut_down(&server, |shutdown| shutdown.notice(NOTICE));
    begun(&server).await;
    assert_eq!(state(&session).await, HealthState::Draining);
    server.set_draining(false);
    assert_eq!(state(&session).await, HealthState::Draining, "a shutdown is for good");
    let (late, _other) = session_to(&server).await;
    assert_eq!(state(&late).await, HealthState::Draining, "sessions are taken");
    let other = Peer::builder().build().unwrap();
    assert!(server.connect(&other).await.is_ok(), "and may be opened");
    assert_eq!(late.pull("/slow").body(&20).await.unwrap().decode::<u64>().unwrap(), 20);
    assert!(!shutdown.is_finished() && session.is_open());

    sleep(Duration::from_secs(30)).await;
    // One that is in flight when the notice is over has the time that it would have without.
    let in_flight = tokio::spawn(async move { late.pull("/slow").body(&14).await?.decode::<u64>() });
    let report = shutdown.await.unwrap();
    assert_eq!(in_flight.await.unwrap().unwrap(), 14);
    assert!(report.is_clean(), "{report}");
    assert_eq!((began.elapsed(), report.took), (Duration::from_secs(64), Duration::from_secs(64)));
    assert!(server.listen("127.0.0.1:0").await.unwrap_err().is_closed());
    assert!(!session.is_open());
}

#[tokio::test(start_paused = true)]
async fn without_a_notice_nothing_waits() {
    let server = healthy().build().unwrap();
    let (session, _client) = session_to(&server).await;
    let began = Instant::now();
    assert!(server.shutdown().await.is_clean());
    assert!(server.is_draining() && !session.is_open());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_ends_the_notice() {
    let server = healthy().build().unwrap();
    let (session, _client) = session_to(&server).await;
    let began = Instant::now();
    let first = shut_down(&server, |shutdown| shutdown.notice(NOTICE));
    begun(&server).await;
    sleep(Duration::from_secs(3)).await;
    let later = shut_down(&server, |shutdown| shutdown.notice(2 * NOTICE));
    tokio::task::yield_now().await;
    let shorter = shut_down(&server, |shutdown| shutdown.notice(Duration::from_secs(30)));
    tokio::task::yield_now().await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(state(&session).await, HealthState::Draining);
    assert!(!first.is_finished() && !later.is_finished() && !shorter.is_finished());
    assert!(server.shutdown().await.is_clean());
    for other in [first, later, shorter] {
        assert!(other.await.unwrap().is_clean());
    }
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_is_too_long_to_count_is_no_mistake() {
    let server = healthy().build().unwrap();
    let (session, _client) = session_to(&server).await;
    let first = shut_down(&server, |shutdown| shutdown.notice(Duration::MAX).within(Duration::MAX));
    begun(&server).await;
    assert_eq!(state(&session).await, HealthState::Draining);
    server.shutdown().within(Duration::ZERO).await;
    assert!(first.await.is_ok());
}

/// Counts how often something was announced and withdrawn.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicU64; 2]>);

impl Counts {
    fn now(&self) -> [u64; 2] {
        [&self.0[0], &self.0[1]].map(|count| count.load(Ordering::SeqCst))
    }
}

impl Registry for Counts {
    async fn announce(&self, _: &str, _: &Instance, _: Duration) -> Result<(), BoxError> {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn withdraw(&self, _: &str, _: &Instance) -> Result<(), BoxError> {
        self.0[1].fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn watch(&self, _: &str, _: &View) -> Result<(), BoxError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_is_withdrawn_when_the_notice_begins() {
    let server = healthy().build().unwrap();
    let (session, _client) = session_to(&server).await;
    let counts = Counts::default();
    let announce = || async {
        let announce = server.announce(counts.clone()).service("who").address("127.0.0.1:1");
        announce.grace(Duration::ZERO).ttl(10 * NOTICE).await.unwrap()
    };
    let _first = announce().await;
    assert_eq!(counts.now(), [1, 0]);
    let shutdown = shut_down(&server, |shutdown| shutdown.notice(NOTICE));
    while counts.now() != [1, 1] {
        tokio::task::yield_now().await;
    }
    assert_eq!(state(&session).await, HealthState::Draining);
    // Whoever announces it now is too late, and leaves nothing behind.
    let _late = announce().await;
    assert_eq!(counts.now(), [2, 1]);
    shutdown.await.unwrap();
    assert_eq!(counts.now(), [2, 2]);
}
