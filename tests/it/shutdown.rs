//! Shutting down: what is in flight ends, what crosses the end is known as not run, what is cut off is told.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use teleport::wire::{Body, Features, Header, Kind, Packet};
use teleport::{Delivery, Direction, Error, PacketId, Peer, PeerBuilder, Session, Status};
use teleport_tests::{RawPeer, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const FAREWELL: &str = "teleport:farewell";
const NOT_TAKEN: &str = "teleport:not-taken";

/// A server whose `/slow` answers after so many seconds, and tells when it begins.
fn slow() -> (PeerBuilder, mpsc::UnboundedReceiver<()>) {
    let (begun, begins) = mpsc::unbounded_channel();
    let server = Peer::builder().pull("/slow", move |_, seconds: u64| {
        begun.send(()).unwrap();
        async move {
            sleep(Duration::from_secs(seconds)).await;
            Ok(seconds)
        }
    });
    (server.unwrap(), begins)
}

async fn session_to(server: &Peer) -> (Session, Peer) {
    let client = Peer::builder().build().unwrap();
    (client.connect(server).await.unwrap(), client)
}

fn pull(session: &Session, uri: &'static str, seconds: u64) -> JoinHandle<teleport::Result<u64>> {
    let session = session.clone();
    tokio::spawn(async move { session.pull(uri).body(&seconds).await?.decode() })
}

/// Pulls until the other side takes no more; the error of the first that it did not take.
async fn refusal(session: &Session) -> Error {
    loop {
        match session.pull("/quick").await {
            Err(error) if error.status().is_none() => return error,
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_end_and_are_counted() {
    let (server, mut begins) = slow();
    let server = server.build().unwrap();
    let (one, _client) = session_to(&server).await;
    let (other, _other) = session_to(&server).await;
    let calls = [pull(&one, "/slow", 1), pull(&one, "/slow", 3), pull(&other, "/slow", 2)];
    for _ in &calls {
        begins.recv().await.unwrap();
    }
    let began = Instant::now();
    let report = server.shutdown().within(Duration::from_secs(10)).await;
    assert!(began.elapsed() >= Duration::from_secs(3) && began.elapsed() < Duration::from_secs(10));
    assert_eq!(
        (report.sessions, report.finished, report.refused, report.cut_count),
        (2, 3, 0, 0),
        "{report}"
    );
    assert!(report.is_clean() && report.cut.is_empty() && report.took == began.elapsed());
    assert_eq!(report.to_string(), "2 sessions closed, 3 calls finished, 0 refused, 0 cut off");
    for (call, expected) in calls.into_iter().zip([1, 3, 2]) {
        assert_eq!(call.await.unwrap().unwrap(), expected);
    }
    assert!(server.sessions().is_empty() && server.listen("127.0.0.1:0").await.unwrap_err().is_closed());
    let again = server.shutdown().await;
    assert_eq!(again.finished, 3, "the same report");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_by_the_deadline_is_cut_off_and_named() {
    let (server, mut begins) = slow();
    let server = server.build().unwrap();
    let (session, _client) = session_to(&server).await;
    let (quick, endless) = (pull(&session, "/slow", 1), pull(&session, "/slow", 1_000_000));
    let (_raw, to_raw) = RawPeer::connect(&server).await;
    let unanswered = pull(&to_raw, "/never", 0);
    for _ in 0..2 {
        begins.recv().await.unwrap();
    }
    let began = Instant::now();
    let report = server.shutdown().within(Duration::from_secs(7)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    assert_eq!((report.sessions, report.finished, report.cut_count), (2, 1, 2), "{report}");
    let mut cut: Vec<_> = report
        .cut
        .iter()
        .map(|call| (call.direction == Direction::Outbound, &*call.uri, call.peer.to_string()))
        .collect();
    cut.sort();
    assert_eq!(cut[0].1, "/slow");
    assert!(!cut[0].0 && cut[0].2.starts_with("memory://"), "{cut:?}");
    assert_eq!(cut[1], (true, "/never", "test://raw".into()));
    assert!(
        report.to_string().contains("2 cut off: /") && report.to_string().contains("/never to test://raw")
    );
    assert_eq!(quick.await.unwrap().unwrap(), 1);
    for cut in [endless, unanswered] {
        let error = cut.await.unwrap().unwrap_err();
        assert!(error.is_closed() && error.delivery() == Some(Delivery::Unanswered), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_brings_the_deadline_forward() {
    let (server, mut begins) = slow();
    let server = server.build().unwrap();
    let (session, _client) = session_to(&server).await;
    let call = pull(&session, "/slow", 1_000_000);
    begins.recv().await.unwrap();
    let first = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown().within(Duration::from_secs(1000)).await }
    });
    refusal(&session).await;
    let began = Instant::now();
    let later = server.clone();
    let later = tokio::spawn(async move { later.shutdown().within(Duration::from_secs(2000)).await });
    sleep(Duration::from_secs(5)).await;
    assert!(!first.is_finished() && !later.is_finished(), "a later deadline changes nothing");
    let second = server.shutdown().within(Duration::ZERO).await;
    assert_eq!((second.cut_count, first.await.unwrap().cut_count, later.await.unwrap().cut_count), (1, 1, 1));
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_goes_on_when_its_future_is_dropped() {
    let (server, mut begins) = slow();
    let server = server.build().unwrap();
    let (session, _client) = session_to(&server).await;
    let call = pull(&session, "/slow", 3);
    begins.recv().await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), server.shutdown()).await.unwrap_err();
    assert_eq!(call.await.unwrap().unwrap(), 3);
    session.closed().await;
    assert!(server.sessions().is_empty());
}

#[tokio::test]
async fn handlers_in_flight_may_call_back_and_call_others() {
    let upstream =
        Peer::builder().pull("/double", |_, n: i64| async move { Ok(2 * n) }).unwrap().build().unwrap();
    let gateway = Peer::builder();
    let (go, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let to_upstream: Arc<std::sync::OnceLock<Session>> = Arc::default();
    let gateway = gateway
        .pull("/through", {
            let (go, begun, upstream) = (go.clone(), begun.clone(), to_upstream.clone());
            move |cx: teleport::Context, n: i64| {
                let (go, begun, upstream) = (go.clone(), begun.clone(), upstream.clone());
                async move {
                    begun.add_permits(1);
                    let _turn = go.acquire().await.unwrap();
                    let doubled: i64 = upstream.get().unwrap().pull("/double").body(&n).await?.decode()?;
                    let name: String = cx.session().pull("/name").await?.decode()?;
                    Ok::<_, Status>(format!("{name}: {doubled}"))
                }
            }
        })
        .unwrap()
        .build()
        .unwrap();
    to_upstream.set(gateway.connect(&upstream).await.unwrap()).unwrap();
    let client = Peer::builder().pull("/name", |_, ()| async { Ok("Ada") }).unwrap().build().unwrap();
    let session = client.connect(&gateway).await.unwrap();
    let call = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/through").body(&21).await?.decode::<String>() }
    });
    let _begun = begun.acquire().await.unwrap();
    let shutdown = tokio::spawn(async move { gateway.shutdown().await });
    // Refused once, the client begins nothing any more; it is still there for the handler that calls back.
    let refused = refusal(&session).await;
    assert!(refused.is_closed() && !session.is_open(), "{refused}");
    go.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap(), "Ada: 42");
    let report = shutdown.await.unwrap();
    assert!(report.is_clean() && report.finished == 1 && report.refused == 1, "{report}");
    session.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_comes_too_late_is_known_as_not_run() {
    let (server, mut begins) = slow();
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let server = server
        .pull("/quick", move |_, ()| {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }
        })
        .unwrap()
        .build()
        .unwrap();
    let (session, _client) = session_to(&server).await;
    let (mut raw, _) = RawPeer::connect(&server).await;
    let call = pull(&session, "/slow", 4);
    begins.recv().await.unwrap();
    let shutdown = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown().await }
    });
    let before = loop {
        let before = ran.load(Ordering::Relaxed);
        match session.pull("/quick").await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => {
                assert!(error.is_closed() && !error.may_have_run(), "{error}");
                assert_eq!(error.delivery(), Some(Delivery::NotSent));
                assert!(error.to_string().contains("did not take the call; it has not run"), "{error}");
                break before;
            }
        }
    };
    assert_eq!(ran.load(Ordering::Relaxed), before);
    let local = session.pull("/quick").await.unwrap_err();
    assert!(!session.is_open() && local.is_closed() && !local.may_have_run(), "{local}");
    // One that knows nothing of it sees a status, and its own uri.
    for (features, uri) in [(Features::NONE, "/quick"), (Features::FAREWELL, NOT_TAKEN)] {
        let late = Header { features, ..Header::new(PacketId::Text("17".into()), Kind::PULL, "/quick") };
        raw.send_packet(&late, Body::None).await;
        let answer = raw.receive().await;
        assert_eq!((answer.id(), answer.code(), answer.uri()), (PacketId::Text("17".into()), 503, uri));
        assert_eq!(answer.status(), "the session is closing");
    }
    assert_eq!(call.await.unwrap().unwrap(), 4, "what was taken is answered");
    assert_eq!(shutdown.await.unwrap().refused, 3);
}

/// A server that is closed after the other side has pulled with this header, and the last packet that it sent.
async fn last_packet(own: Features, pull: Option<Header<'static>>) -> Option<Packet> {
    let server = Peer::builder().features(own).pull("/quick", |_, ()| async { Ok(()) }).unwrap();
    let (mut raw, session) = RawPeer::connect(&server.build().unwrap()).await;
    if let Some(header) = pull {
        raw.send_packet(&header, Body::None).await;
        assert_eq!(raw.receive().await.code(), 200);
    }
    let closing = tokio::spawn(async move { session.close().await });
    let last = raw.try_receive().await;
    assert!(last.is_none() || raw.try_receive().await.is_none());
    raw.end().await;
    closing.await.unwrap();
    last
}

#[tokio::test]
async fn the_last_packet_says_that_all_is_answered() {
    let pull = |id, features| Some(Header { features, ..Header::new(id, Kind::PULL, "/quick") });
    let (number, text) = (PacketId::Sequence(3), PacketId::Text("3".into()));
    for (pull, id) in [
        (None, PacketId::Sequence(0)),
        (pull(number.clone(), Features::ALL), PacketId::Sequence(u64::MAX)),
        (pull(text.clone(), Features::FAREWELL), PacketId::Text("farewell".into())),
    ] {
        let last = last_packet(Features::ALL, pull).await.unwrap();
        assert!(last.kind().is_reply() && last.body().as_bytes().is_empty());
        assert_eq!((last.uri(), last.code(), last.status()), (FAREWELL, 503, "the session is closing"));
        assert_eq!(last.id(), id, "one of no pull, in the other side's own format");
    }
    // Not to one that spoke without saying that it heeds it, nor by a side that keeps to the specification.
    for pull in [pull(number, Features::NONE), pull(text.clone(), Features::PARTS)] {
        assert!(last_packet(Features::ALL, pull).await.is_none());
    }
    for pull in [None, pull(text, Features::ALL)] {
        assert!(last_packet(Features::PARTS, pull).await.is_none());
    }
}

#[tokio::test]
async fn a_side_that_only_answers_and_announces_nothing_hears_no_last_word() {
    let client = Peer::builder().build().unwrap();
    let (mut raw, session) = RawPeer::connect(&client).await;
    let call = pull(&session, "/a", 1);
    let id = raw.receive().await.id().into_owned();
    raw.send_packet(&Header { code: 200, ..Header::new(id, Kind::REPLY, "/a") }, json("1")).await;
    assert_eq!(call.await.unwrap().unwrap(), 1);
    let closing = tokio::spawn(async move { session.close().await });
    assert!(raw.try_receive().await.is_none());
    raw.end().await;
    closing.await.unwrap();
}

#[tokio::test]
async fn a_side_that_ends_first_hears_no_last_word() {
    let server = Peer::builder().build().unwrap();
    let (mut raw, session) = RawPeer::connect(&server).await;
    raw.end().await;
    assert!(raw.try_receive().await.is_none());
    session.closed().await;
}

#[tokio::test]
async fn pulls_that_cross_the_last_packet_did_not_run_and_those_without_it_may_have() {
    for farewell in [true, false] {
        let client = Peer::builder().build().unwrap();
        let (mut raw, session) = RawPeer::connect(&client).await;
        let (answered, crossing) = (pull(&session, "/a", 1), pull(&session, "/b", 2));
        let (first, _second) = (raw.receive().await, raw.receive().await);
        let (answered, crossing) =
            if first.uri() == "/a" { (answered, crossing) } else { (crossing, answered) };
        // In one write, so that both are in one read.
        let reply = Header { code: 200, ..Header::new(first.id(), Kind::REPLY, "/a") };
        let mut bytes = teleport_tests::packet(b'p', &reply, json("7"));
        if farewell {
            let last =
                Header { code: 503, ..Header::new(PacketId::Sequence(u64::MAX), Kind::REPLY, FAREWELL) };
            bytes.extend(teleport_tests::packet(b'p', &last, Body::None));
        }
        raw.send(&bytes).await;
        raw.end().await;
        assert_eq!(answered.await.unwrap().unwrap(), 7);
        let error = crossing.await.unwrap().unwrap_err();
        assert!(error.is_closed() && error.may_have_run() != farewell, "{error}");
        session.closed().await;
    }
}

#[tokio::test]
async fn a_status_503_of_a_handler_is_one() {
    let client = Peer::builder().build().unwrap();
    let (mut raw, session) = RawPeer::connect(&client).await;
    for uri in ["/a", "teleport:farewel", "teleport:not-take"] {
        let call = pull(&session, "/a", 1);
        let id = raw.receive().await.id().into_owned();
        raw.send_packet(&Header { code: 503, ..Header::new(id, Kind::REPLY, uri) }, Body::None).await;
        let error = call.await.unwrap().unwrap_err();
        assert_eq!((error.code().map(i32::from), error.delivery()), (Some(503), Some(Delivery::Answered)));
    }
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_side_that_says_it_closes_and_does_not_is_not_waited_for() {
    let client = Peer::builder().build().unwrap();
    let (mut raw, session) = RawPeer::connect(&client).await;
    let last = Header { code: 503, ..Header::new(PacketId::Sequence(0), Kind::REPLY, FAREWELL) };
    raw.send_packet(&last, Body::None).await;
    // It ends nothing itself; its time is that of a close.
    let began = Instant::now();
    session.closed().await;
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert!(client.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn handlers_of_a_lost_session_are_waited_for() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let server = Peer::builder().push("/store", move |_, seconds: u64| {
        let (count, begun) = (count.clone(), begun.clone());
        async move {
            begun.send(()).unwrap();
            sleep(Duration::from_secs(seconds)).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let server = server.unwrap().build().unwrap();
    let (mut raw, _) = RawPeer::connect(&server).await;
    for seconds in ["2", "1000000"] {
        let push = Header::new(PacketId::Sequence(0), Kind::PUSH, "/store");
        raw.send_packet(&push, json(seconds)).await;
        begins.recv().await.unwrap();
    }
    raw.send(&[0; 8]).await;
    while !server.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
    let report = server.shutdown().within(Duration::from_secs(3)).await;
    assert_eq!((ended.load(Ordering::Relaxed), report.sessions, report.finished), (1, 0, 1), "{report}");
    assert_eq!((report.cut_count, &*report.cut[0].uri), (1, "/store"));
}

#[tokio::test]
async fn a_connection_that_waits_to_be_accepted_is_ended_in_good_order() {
    let server = Peer::builder().listen("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().tcp().unwrap();
    // The system connects it; the listener's task has had no turn yet.
    let mut waiting = std::net::TcpStream::connect(address).unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        waiting.read_to_end(&mut bytes).map(|_| bytes)
    });
    server.shutdown().await;
    let bytes = reading.await.unwrap().expect("ended and not broken");
    assert!(String::from_utf8_lossy(&bytes).contains(FAREWELL));
}
