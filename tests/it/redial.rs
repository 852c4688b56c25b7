//! Sessions that outlive their connections. The other side is a peer, or nothing but bytes behind a listener of the test.

mod backoff;
mod calls;
mod ends;
mod plugins;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use teleport::wire::{Body, Header, Kind, Packet};
use teleport::{Peer, PeerBuilder, Redial, Session, SessionState};
use teleport_tests::RawPeer;
use tokio::net::{UnixListener, UnixStream};

/// A path for a socket, and nothing there. What is there at the end is removed.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Place(std::env::temp_dir().join(format!("teleport-redial-{}-{number}", std::process::id())))
    }

    fn address(&self) -> String {
        format!("unix://{}", self.0.display())
    }

    /// A server of bytes.
    fn listen(&self) -> Listening {
        Listening { listener: UnixListener::bind(&self.0).unwrap(), path: self.0.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

struct Listening {
    listener: UnixListener,
    path: PathBuf,
}

impl Listening {
    async fn accept(&self) -> RawPeer<UnixStream> {
        RawPeer::new(self.listener.accept().await.unwrap().0)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// Soon, and exact.
fn soon() -> Redial {
    Redial::default().with_first_pause(Duration::from_millis(1)).with_jitter(0)
}

async fn dial(peer: &Peer, place: &Place, redial: Redial) -> Session {
    peer.dial(place.address()).redial(redial).await.unwrap()
}

fn client() -> Peer {
    Peer::builder().build().unwrap()
}

async fn answer(raw: &mut RawPeer<UnixStream>, pull: &Packet, text: &str) {
    let header = Header { code: 200, status: "OK".into(), ..Header::new(pull.id(), Kind::REPLY, pull.uri()) };
    let body = serde_json::to_vec(text).unwrap();
    raw.send_packet(&header, Body::Payload { codec: b'j', payload: &body }).await;
}

/// Waits until the session has come to this state.
async fn reaches(session: &Session, state: SessionState) {
    let mut changes = session.state_changes();
    while session.state() != state {
        changes.next().await.expect("it is not over");
    }
}

/// Counts what it serves.
fn counting(count: &Arc<AtomicUsize>) -> PeerBuilder {
    let count = count.clone();
    Peer::builder()
        .pull("/count", move |_, ()| {
            let count = count.clone();
            async move { Ok(count.fetch_add(1, Ordering::SeqCst) + 1) }
        })
        .unwrap()
}

async fn count(session: &Session) -> usize {
    session.pull("/count").await.unwrap().decode().unwrap()
}

#[tokio::test]
async fn a_session_outlives_a_server_that_is_restarted() {
    let (place, served) = (Place::new(), Arc::default());
    let server = counting(&served).listen(place.address()).await.unwrap();
    let client = client();
    let session = client.dial(place.address()).id("up").redial(soon()).await.unwrap();
    session.extensions().insert("kept");
    assert_eq!(count(&session).await, 1);
    let mut changes = session.state_changes();

    server.close().await;
    reaches(&session, SessionState::Down).await;
    assert!(!session.is_open());
    assert!(client.sessions().get("up").is_some_and(|same| same == session));
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { count(&session).await }
    });
    let server = counting(&served).listen(place.address()).await.unwrap();
    session.reconnected().await.unwrap();
    assert_eq!(waiting.await.unwrap(), 2, "one that waited goes out");
    assert_eq!(count(&session).await, 3);
    assert!(session.is_open());
    assert_eq!(&*session.id(), "up");
    assert_eq!(session.extensions().get::<&str>().as_deref(), Some(&"kept"));
    assert_eq!(client.sessions().len(), 1);
    assert_eq!(server.sessions().len(), 1);

    // What it went through is told, and the end too.
    client.close().await;
    let mut seen = Vec::new();
    while let Some(state) = changes.next().await {
        seen.push(state);
    }
    assert_eq!(seen.last(), Some(&SessionState::Closed));
    assert_eq!(changes.current(), SessionState::Closed);
    assert!(session.reconnected().await.unwrap_err().is_closed());
}

#[tokio::test]
async fn a_port_is_dialed_again_where_the_connection_breaks() {
    let served = Arc::default();
    let server = counting(&served).listen("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let client = Peer::builder().redial(soon()).build().unwrap();
    let session = client.dial(&address).await.unwrap();
    assert_eq!(count(&session).await, 1);
    let first = session.local_addr();
    let plain = client.dial(&address).no_redial().await.unwrap();
    assert_eq!(count(&plain).await, 2);
    for far in server.sessions().all() {
        far.abort();
    }
    plain.closed().await;
    assert_eq!(count(&session).await, 3);
    assert_eq!(session.remote_addr(), address);
    assert_ne!(session.local_addr(), first, "it tells of the connection that there is");
}

#[tokio::test]
async fn a_handle_is_enough_to_keep_a_session_that_redials() {
    let (place, served) = (Place::new(), Arc::default());
    let server = counting(&served).listen(place.address()).await.unwrap();
    let session = dial(&client(), &place, soon()).await;
    assert_eq!(count(&session).await, 1);
    server.close().await;
    reaches(&session, SessionState::Down).await;
    let _server = counting(&served).listen(place.address()).await.unwrap();
    assert_eq!(count(&session).await, 2);
}

#[tokio::test]
async fn the_first_dial_fails_as_ever() {
    let place = Place::new();
    let error = client().dial(place.address()).redial(soon()).await.unwrap_err();
    assert!(error.is_io(), "{error}");
    let error = client().dial(place.address()).redial(soon().with_factor(0)).await.unwrap_err();
    assert_eq!(error.to_string(), "the setting `redial.factor` is 0; the least is 1, the default 2");
}

#[tokio::test]
async fn one_that_is_closed_while_it_is_down_ends_at_once() {
    type End = fn(Session, Peer);
    let never =
        Redial::default().with_first_pause(Duration::from_secs(3600)).with_longest_pause(Duration::MAX);
    let ends: [End; 4] = [
        |session, _| drop(tokio::spawn(async move { session.close().await })),
        |session, _| session.abort(),
        |_, peer| drop(tokio::spawn(async move { peer.close().await })),
        |session, peer| drop((session, peer)),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let place = Place::new();
        let listening = place.listen();
        let client = client();
        let session = dial(&client, &place, never.clone()).await;
        drop(listening.accept().await);
        reaches(&session, SessionState::Down).await;
        let waiting = (number < 3).then(|| {
            let session = session.clone();
            tokio::spawn(async move { session.pull("/a").no_timeout().await.unwrap_err() })
        });
        tokio::task::yield_now().await;
        let weak = session.weak();
        let hub = (number < 3).then(|| client.sessions().clone());
        end(session, client);
        weak.closed().await;
        if let Some(waiting) = waiting {
            let error = waiting.await.unwrap();
            assert!(error.is_closed() && !error.may_have_run(), "{error}");
            assert!(hub.unwrap().is_empty());
        }
    }
}

/// A handler has to end before its connection closes in good order; here it ends after.
#[tokio::test]
async fn a_reply_never_goes_over_a_later_connection() {
    let place = Place::new();
    let listening = place.listen();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (entered, left) =
        (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
    let handler = {
        let (gate, entered, left) = (gate.clone(), entered.clone(), left.clone());
        move |cx: teleport::Context, ()| {
            let (gate, entered, left) = (gate.clone(), entered.clone(), left.clone());
            async move {
                entered.add_permits(1);
                gate.acquire().await.unwrap().forget();
                // Its session goes on: what it pushes comes to the new connection.
                cx.session().push("/late").await.unwrap();
                left.add_permits(1);
                Ok("late")
            }
        }
    };
    let client = Peer::builder()
        .pull("/slow", handler)
        .unwrap()
        .pull("/fast", |_, ()| async { Ok("fast") })
        .unwrap()
        .build()
        .unwrap();
    let session = dial(&client, &place, soon()).await;
    let mut raw = listening.accept().await;
    raw.pull("1", "/slow", Body::None).await;
    entered.acquire().await.unwrap().forget();
    drop(raw);

    let mut raw = listening.accept().await;
    session.reconnected().await.unwrap();
    gate.add_permits(1);
    left.acquire().await.unwrap().forget();
    let push = raw.receive().await;
    assert!(push.kind().is_push() && push.uri() == "/late");
    // Its task ended in the turn in which it left.
    raw.pull("1", "/fast", Body::None).await;
    let reply = raw.receive().await;
    assert_eq!(reply.uri(), "/fast", "the only reply that this connection sees");
}

#[tokio::test(start_paused = true)]
async fn handlers_of_a_lost_connection_are_stopped_after_the_close_timeout() {
    let place = Place::new();
    let listening = place.listen();
    let (dropped, gone) = tokio::sync::oneshot::channel::<()>();
    let dropped = Arc::new(std::sync::Mutex::new(Some(dropped)));
    let client = Peer::builder()
        .pull("/slow", move |_, ()| {
            let dropped = dropped.lock().unwrap().take();
            async move {
                std::future::pending::<()>().await;
                drop(dropped);
                Ok(())
            }
        })
        .unwrap()
        .build()
        .unwrap();
    let session = dial(&client, &place, soon()).await;
    let mut raw = listening.accept().await;
    raw.pull("1", "/slow", Body::None).await;
    raw.pull("2", "/nowhere", Body::None).await;
    raw.receive().await;
    drop(raw);
    assert!(gone.await.is_err());
    // The session is none the worse for it.
    let mut raw = listening.accept().await;
    let pull = tokio::spawn(async move { session.pull("/a").await.unwrap().decode::<String>().unwrap() });
    let packet = raw.receive().await;
    answer(&mut raw, &packet, "fine").await;
    assert_eq!(pull.await.unwrap(), "fine");
}

#[tokio::test]
async fn a_peer_that_shuts_down_dials_no_more() {
    let place = Place::new();
    let listening = place.listen();
    let client = client();
    let session = dial(&client, &place, soon()).await;
    let raw = listening.accept().await;
    let report = tokio::spawn(async move { client.shutdown().await });
    session.closed().await;
    drop(raw);
    assert!(report.await.unwrap().is_clean());
    assert!(session.reconnected().await.is_err());
}
