//! Ends of sessions that redial, at moments when nobody seems to be in charge.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;

use teleport::plugin::{Disconnected, Early, Plugin, Verdict};
use teleport::wire::PacketId;
use teleport::{Limits, Status};
use tokio::time::{Instant, timeout};

use super::*;

fn never() -> Redial {
    Redial::default().with_first_pause(Duration::from_secs(3600)).with_longest_pause(Duration::MAX)
}

/// There is no driver then that would end it when it is dropped.
#[test]
fn a_runtime_that_ends_while_a_session_is_down_ends_the_session() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (theirs, ours) = (runtime(), runtime());
    let client = client();
    let session = theirs.block_on(async {
        let place = Place::new();
        let listening = place.listen();
        let session = dial(&client, &place, never()).await;
        drop(listening.accept().await);
        reaches(&session, SessionState::Down).await;
        session
    });
    ours.block_on(async {
        let mut waiting = pin!(session.pull("/a").no_timeout().into_future());
        let begun = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
        assert!(begun);
        theirs.shutdown_background();
        let error = timeout(Duration::from_secs(20), waiting).await.expect("it ends").unwrap_err();
        assert!(error.is_closed() && !error.may_have_run(), "{error}");
        session.closed().await;
        assert!(client.sessions().is_empty());
    });
}

/// Takes its time when a connection is gone.
struct Mourns;

impl Plugin for Mourns {
    fn name(&self) -> &str {
        "mourns"
    }

    async fn after_disconnect(&self, _: &Disconnected<'_>) {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_closed_while_hooks_look_at_the_last_loss_ends_at_once() {
    let place = Place::new();
    let listening = place.listen();
    let client = Peer::builder().plugin(Mourns).build().unwrap();
    let session = dial(&client, &place, never()).await;
    drop(listening.accept().await);
    reaches(&session, SessionState::Down).await;
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/a").no_timeout().await.unwrap_err() }
    });
    tokio::task::yield_now().await;
    let began = Instant::now();
    session.close().await;
    let error = waiting.await.unwrap();
    assert!(error.is_closed() && !error.may_have_run(), "{error}");
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(client.sessions().is_empty());
}

/// Looks at each connection, and talks a lot.
struct Talks;

impl Plugin for Talks {
    fn name(&self) -> &str {
        "talks"
    }

    async fn after_dial(&self, early: &mut Early<'_>) -> Verdict {
        for _ in 0..5 {
            early.session().push("/long").body(&"x".repeat(2000)).await?;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_get_room_over_a_later_connection_too() {
    let place = Place::new();
    let listening = place.listen();
    let limits = Limits::default().with_max_queued(1000);
    let client = Peer::builder().limits(limits).plugin(Talks).build().unwrap();
    let session = dial(&client, &place, soon()).await;
    drop(listening.accept().await);
    reaches(&session, SessionState::Down).await;
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.push("/waits").await }
    });
    let mut raw = listening.accept().await;
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(raw.receive().await.uri(), "/long");
    }
    assert_eq!(raw.receive().await.uri(), "/waits");
    waiting.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

/// Refuses what it has let pass once.
struct Once(AtomicUsize);

impl Plugin for Once {
    fn name(&self) -> &str {
        "once"
    }

    async fn after_dial(&self, _: &mut Early<'_>) -> Verdict {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 { Ok(()) } else { Err(Status::unauthorized("again")) }
    }
}

/// The other side does not end its direction, so this one waits for that a while.
#[tokio::test(start_paused = true)]
async fn that_a_connection_is_given_up_is_told() {
    let place = Place::new();
    let listening = place.listen();
    let client = Peer::builder().plugin(Once(AtomicUsize::new(0))).build().unwrap();
    let session = dial(&client, &place, soon()).await;
    drop(listening.accept().await);
    reaches(&session, SessionState::Down).await;
    let mut changes = session.state_changes();
    let _raw = listening.accept().await;
    let next = timeout(Duration::from_secs(1), changes.next()).await;
    assert_eq!(next, Ok(Some(SessionState::Draining)));
    assert_eq!(changes.next().await, Some(SessionState::Down));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_dropped_before_its_hooks_began_is_not_left_behind() {
    let (near, far) = tokio::io::duplex(1000);
    let client = Peer::builder().plugin(Once(AtomicUsize::new(0))).build().unwrap();
    {
        let connection = teleport::Connection::from_stream(near, "test://a", "test://b");
        let mut attach = pin!(client.attach_dialed(connection));
        let begun = poll_fn(|cx| Poll::Ready(attach.as_mut().poll(cx).is_pending())).await;
        assert!(begun);
    }
    let mut raw = RawPeer::new(far);
    let end = timeout(Duration::from_secs(60), raw.try_receive()).await;
    assert!(matches!(end, Ok(None)), "its connection stays");
}

/// The other side waits for what its handlers have asked for, and takes no calls any more.
#[tokio::test(start_paused = true)]
async fn replies_get_room_where_calls_wait_for_the_next_connection() {
    let place = Place::new();
    let listening = place.listen();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let handler = {
        let gate = gate.clone();
        move |_, ()| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                Ok("x".repeat(2000))
            }
        }
    };
    let limits = Limits::default().with_max_queued(1000);
    let client = Peer::builder().limits(limits).pull("/long", handler).unwrap().build().unwrap();
    let session = dial(&client, &place, soon()).await;
    let mut raw = listening.accept().await;
    let refusal = Header::new(PacketId::Text("-".into()), Kind::REPLY, "teleport:not-taken");
    raw.send_packet(&Header { code: 503, status: "closing".into(), ..refusal }, Body::None).await;
    for id in ["1", "2", "3"] {
        raw.pull(id, "/long", Body::None).await;
    }
    reaches(&session, SessionState::Draining).await;
    gate.add_permits(3);
    for _ in 0..3 {
        let reply = timeout(Duration::from_secs(60), raw.receive()).await.expect("it is written");
        assert_eq!((reply.code(), reply.uri()), (200, "/long"));
    }
}

/// Holds bodies back until it is told.
struct Holds(Arc<tokio::sync::Semaphore>);

impl Plugin for Holds {
    fn name(&self) -> &str {
        "holds"
    }

    async fn before_read_body(&self, _: &mut teleport::Context) -> Verdict {
        self.0.acquire().await.map_err(|_| Status::internal("closed"))?.forget();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_that_begin_when_their_connection_is_lost_are_stopped() {
    let place = Place::new();
    let listening = place.listen();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (began, mut begun) = tokio::sync::mpsc::unbounded_channel::<()>();
    let handler = move |_, ()| {
        let began = began.clone();
        async move {
            began.send(()).unwrap();
            std::future::pending::<()>().await;
            drop(began);
            Ok(())
        }
    };
    let plugin = Holds(gate.clone());
    let client = Peer::builder().pull("/slow", handler).unwrap().plugin(plugin).build().unwrap();
    let session = dial(&client, &place, soon()).await;
    let mut raw = listening.accept().await;
    raw.pull("1", "/slow", Body::None).await;
    raw.pull("2", "/nowhere", Body::None).await;
    assert_eq!(raw.receive().await.code(), 404);
    drop(raw);
    let _raw = listening.accept().await;
    session.reconnected().await.unwrap();
    gate.add_permits(1);
    begun.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(client.shutdown().within(Duration::from_secs(1)).await.is_clean(), "it still runs");
}
