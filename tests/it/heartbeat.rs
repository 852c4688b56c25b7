//! The plugin `Heartbeat`: what is a sign of life, what follows where there is none, and what it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use teleport::plugin::{Plugin, Verdict};
use teleport::plugins::Heartbeat;
use teleport::wire::{Body, Header, Kind, Packet, PacketId};
use teleport::{Code, Connection, Context, Initiator, Limits, Peer, PeerBuilder, Session, Timeouts};
use teleport_tests::{RawPeer, json, packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, advance, sleep};

const INTERVAL: Duration = Duration::from_secs(30);

fn beating() -> PeerBuilder {
    Peer::builder().plugin(Heartbeat::every(INTERVAL))
}

/// A session with a peer that is nothing but bytes, and may be silent for as long as it likes.
async fn raw(builder: PeerBuilder) -> (RawPeer, Session, Peer) {
    let timeouts = Timeouts::default().with_first_packet(None).with_idle(None).with_read(None);
    let peer = builder.timeouts(timeouts).build().unwrap();
    let (raw, session) = RawPeer::connect(&peer).await;
    (raw, session, peer)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn is_ping(packet: &Packet) -> bool {
    (packet.kind(), packet.uri()) == (Kind::PULL, "/heartbeat?hb_=30") && packet.body().is_none()
}

/// Answers each ping with this code, after a while; tells of each.
fn answer(mut raw: RawPeer, code: i32, after: Duration) -> mpsc::UnboundedReceiver<Instant> {
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(ping) = raw.try_receive().await {
            assert!(is_ping(&ping), "{ping:?}");
            let _ = tell.send(Instant::now());
            sleep(after).await;
            let mut reply = Header::new(ping.id().into_owned(), Kind::REPLY, "/heartbeat");
            reply.code = code;
            raw.send_packet(&reply, Body::None).await;
        }
    });
    told
}

fn count(told: &mut mpsc::UnboundedReceiver<Instant>) -> usize {
    std::iter::from_fn(|| told.try_recv().ok()).count()
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_gone_is_found_in_time() {
    for tolerated in [2, 3, 5] {
        let (lines, _guard) = super::raw::log();
        let heartbeat = Heartbeat::every(INTERVAL).tolerate(tolerated);
        let (mut raw, session, peer) = raw(Peer::builder().plugin(heartbeat)).await;
        let started = Instant::now();
        let call = tokio::spawn({
            let session = session.clone();
            async move { session.pull("/slow").no_timeout().await }
        });
        assert_eq!(raw.receive().await.uri(), "/slow");
        for number in 1..tolerated {
            assert!(is_ping(&raw.receive().await));
            let (passed, due) = (started.elapsed(), number * INTERVAL);
            assert!(passed >= due && passed <= due + INTERVAL / 5, "ping {number} after {passed:?}");
        }
        session.closed().await;
        let (passed, all) = (started.elapsed(), tolerated * INTERVAL);
        assert!(
            passed <= all && passed > all - INTERVAL / 10,
            "{tolerated} tolerated: closed after {passed:?}"
        );

        let error = call.await.unwrap().unwrap_err();
        assert!(
            error.is_closed() && error.initiator() == Initiator::Library && error.may_have_run(),
            "{error}"
        );
        let reason = session.close_reason().unwrap();
        assert!(reason.contains("no sign of life") && reason.ends_with("(plugin heartbeat)"), "{reason}");
        assert!(reason.contains(&format!("did not answer {} pings", tolerated - 1)), "{reason}");
        assert!(error.to_string().contains(&*reason));
        let log = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert!(log.contains("WARN") && log.contains(&*reason) && log.contains("test://raw"), "{log}");
        assert!(peer.sessions().is_empty());
        assert!(raw.try_receive().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_knows_nothing_of_it_lives_on() {
    for code in [404, 200, 501] {
        let (raw, session, _peer) = raw(beating()).await;
        assert_eq!(Heartbeat::rtt(&session), None);
        let mut told = answer(raw, code, Duration::from_millis(200));
        sleep(secs(3600)).await;
        assert!(session.is_open());
        let pings = count(&mut told);
        assert!((3600 / 34..=3600 / 30).contains(&pings), "{pings} pings");
        let pulse = Heartbeat::pulse(&session).unwrap();
        for rtt in [pulse.rtt(), pulse.last_rtt()] {
            let rtt = rtt.unwrap();
            assert!(rtt >= Duration::from_millis(200) && rtt < Duration::from_millis(210), "{rtt:?}");
        }
        assert_eq!((pulse.missed(), pulse.announced()), (0, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_after_a_long_time_is_found_too() {
    let (mut raw, session, _peer) = raw(beating()).await;
    for _ in 0..50 {
        let ping = raw.receive().await;
        let mut reply = Header::new(ping.id().into_owned(), Kind::REPLY, "");
        reply.code = 404;
        raw.send_packet(&reply, Body::None).await;
    }
    settle().await;
    let started = Instant::now();
    session.closed().await;
    assert!(started.elapsed() <= 3 * INTERVAL, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_is_a_sign_of_life() {
    // Pushes that nobody takes.
    let (mut raw1, session, _peer) = raw(beating()).await;
    for _ in 0..20 {
        sleep(secs(25)).await;
        let push = Header::new(PacketId::Text("0".into()), Kind::PUSH, "/nobody");
        raw1.send_packet(&push, Body::None).await;
    }
    assert!(session.is_open());
    session.abort();
    assert!(raw1.try_receive().await.is_none(), "nobody was pinged");

    // A large packet over a slow line, of which no piece is a packet.
    let (mut slow, large, _large_peer) = raw(beating()).await;
    let text = format!("[{}]", " ".repeat(10));
    for byte in packet(b'p', &Header::new(PacketId::Text("1".into()), Kind::PULL, "/nowhere"), json(&text)) {
        sleep(secs(25)).await;
        slow.send(&[byte]).await;
    }
    assert_eq!(slow.receive().await.code(), 404);
    assert!(large.is_open());
    large.abort();
    assert!(slow.try_receive().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_busy_session_is_not_pinged() {
    let (mut raw, session, _peer) = raw(beating()).await;
    for _ in 0..100 {
        sleep(secs(20)).await;
        let call = tokio::spawn({
            let session = session.clone();
            async move { session.pull("/work").await.map(drop) }
        });
        let pull = raw.receive().await;
        assert_eq!(pull.uri(), "/work");
        let mut reply = Header::new(pull.id().into_owned(), Kind::REPLY, "/work");
        reply.code = 200;
        raw.send_packet(&reply, Body::None).await;
        call.await.unwrap().unwrap();
    }
}

/// Counts the pings that come.
#[derive(Clone, Default)]
struct Pings(Arc<AtomicU64>);

impl Plugin for Pings {
    fn name(&self) -> &str {
        "pings"
    }
    async fn after_read_header(&self, cx: &mut Context) -> Verdict {
        assert!(cx.path() == "/heartbeat" && cx.payload().is_empty());
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn two_sides_that_both_have_it_ping_no_more_than_one() {
    let pings = Pings::default();
    let server = beating().plugin(pings.clone()).build().unwrap();
    let client = beating().plugin(pings.clone()).build().unwrap();
    let session = client.connect(&server).await.unwrap();
    sleep(secs(36_000)).await;
    assert!(session.is_open());
    let count = pings.0.load(Ordering::Relaxed);
    assert!((36_000 / 34..=36_000 / 30).contains(&count), "{count} pings in ten hours");
    let pulse = Heartbeat::pulse(&session).unwrap();
    assert!(pulse.rtt().is_some(), "the one that dialed goes first");
    assert_eq!(
        server.sessions().all()[0].extensions().get::<teleport::plugins::Pulse>().unwrap().rtt(),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn either_side_may_have_it_alone() {
    let pings = Pings::default();
    for (server, client) in [(beating(), Peer::builder()), (Peer::builder(), beating())] {
        let (server, client) = (server.build().unwrap(), client.plugin(pings.clone()).build().unwrap());
        let session = client.connect(&server).await.unwrap();
        sleep(secs(600)).await;
        assert!(session.is_open() && server.sessions().len() == 1);
    }
    assert!(
        pings.0.load(Ordering::Relaxed) >= 17,
        "those of the listener; its own the dialer does not count"
    );
}

#[tokio::test(start_paused = true)]
async fn pings_of_the_original_are_answered() {
    let (mut raw, session, _peer) = raw(Peer::builder().plugin(Heartbeat::answering())).await;
    for query in ["?hb_=3", "", "?hb_=", "?hb_=-1", "?hb_=soon", "?hb_=99999999999999", "?hb_=0"] {
        let uri = format!("/heartbeat{query}");
        raw.send_packet(&Header::new(PacketId::Sequence(7), Kind::PULL, &*uri), Body::None).await;
        let reply = raw.receive().await;
        // Anything else makes it close the connection.
        assert_eq!((reply.code(), reply.id(), reply.kind()), (200, PacketId::Sequence(7), Kind::REPLY));
        assert!(reply.body().is_none());
        assert_eq!(Heartbeat::pulse(&session).unwrap().announced(), Some(secs(3)), "{uri}");
    }
}

/// Its other form of ping, and what a listener makes of the interval.
#[tokio::test(start_paused = true)]
async fn a_listener_gives_up_by_the_interval_that_the_other_side_told() {
    let (mut raw, session, _peer) = raw(Peer::builder().plugin(Heartbeat::answering())).await;
    sleep(secs(100_000)).await;
    assert!(session.is_open(), "nobody asked for pings");
    for _ in 0..100 {
        let push = Header::new(PacketId::Sequence(1), Kind::PUSH, "/heartbeat?hb_=20");
        raw.send_packet(&push, Body::None).await;
        sleep(secs(21)).await;
    }
    settle().await;
    assert!(session.is_open());
    let started = Instant::now();
    for _ in 0..2 {
        let ping = raw.receive().await;
        assert_eq!((ping.kind(), ping.uri()), (Kind::PULL, "/heartbeat"), "the first that is sent from here");
    }
    session.closed().await;
    assert!(started.elapsed() <= secs(60), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_suspended_asks_first() {
    let (raw, session, _peer) = raw(beating()).await;
    let mut told = answer(raw, 404, Duration::ZERO);
    settle().await;
    for _ in 0..3 {
        advance(secs(10_000)).await;
        sleep(secs(1)).await;
        assert!(session.is_open());
        assert_eq!(count(&mut told), 1);
    }
}

/// What came after its last pings counts, though no look was taken at it.
#[tokio::test(start_paused = true)]
async fn a_process_that_was_suspended_after_pings_asks_again() {
    let (mut raw, session, _peer) = raw(beating()).await;
    for _ in 0..2 {
        assert!(is_ping(&raw.receive().await));
    }
    sleep(secs(1)).await;
    raw.send_packet(&Header::new(PacketId::Sequence(0), Kind::PUSH, "/nobody"), Body::None).await;
    settle().await;
    advance(secs(10_000)).await;
    assert!(is_ping(&raw.receive().await));
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_lives_as_long_as_it_reads() {
    let peer = beating().build().unwrap();
    let (near, far) = tokio::io::duplex(1024);
    let session = peer.attach(Connection::from_stream(far, "test://peer", "test://raw")).await.unwrap();
    // A push, after which nothing can be written before it has left.
    session.push("/large").body(&"x".repeat(64 * 1024)).await.unwrap();
    let (mut read, _write) = tokio::io::split(near);
    let mut some = [0; 1024];
    for _ in 0..40 {
        sleep(secs(20)).await;
        read.read_exact(&mut some).await.unwrap();
        assert!(session.is_open(), "{:?}", session.close_reason());
    }
    let started = Instant::now();
    session.closed().await;
    assert!(started.elapsed() <= 3 * INTERVAL, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_this_side_does_not_read_is_not_held_against_the_other() {
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let builder = beating().limits(Limits::default().with_max_pulls_in(1).with_max_queued(1000));
    let builder = builder.pull("/slow", move |_, (): ()| {
        let wait = wait.clone();
        async move {
            wait.notified().await;
            Ok(())
        }
    });
    let peer = builder.unwrap().build().unwrap();
    let (near, far) = tokio::io::duplex(256);
    let session = peer.attach(Connection::from_stream(far, "test://peer", "test://raw")).await.unwrap();
    let (read, mut write) = tokio::io::split(near);
    let writing = tokio::spawn(async move {
        for id in 0..100 {
            let header = Header::new(PacketId::Sequence(id), Kind::PULL, "/slow");
            write.write_all(&packet(b'p', &header, Body::None)).await.unwrap();
        }
        write
    });
    sleep(secs(3600)).await;
    assert!(session.is_open(), "{:?}", session.close_reason());
    assert!(!writing.is_finished(), "the line is full");
    let mut raw = RawPeer::new(read);
    for _ in 0..100 {
        go.notify_one();
        let reply = raw.receive().await;
        assert_eq!(
            (reply.kind(), reply.code()),
            (Kind::REPLY, 200),
            "no ping, and no pull was refused for one"
        );
    }
    let _write = writing.await.unwrap();
    let started = Instant::now();
    session.closed().await;
    assert!(started.elapsed() <= 3 * INTERVAL, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn handlers_that_run_may_end_though_the_other_side_is_gone() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let builder = beating().push("/work", move |_, (): ()| {
        let tell = tell.clone();
        async move {
            sleep(secs(91)).await;
            let _ = tell.send(());
        }
    });
    let (mut raw, session, _peer) = raw(builder.unwrap()).await;
    raw.send_packet(&Header::new(PacketId::Sequence(1), Kind::PUSH, "/work"), Body::None).await;
    session.closed().await;
    assert!(tokio::time::timeout(secs(60), told.recv()).await.is_ok_and(|told| told.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_does_not_keep_a_session() {
    let server = beating().build().unwrap();
    let client = beating().build().unwrap();
    let session = client.connect(&server).await.unwrap();
    sleep(secs(100)).await;
    drop(server);
    session.closed().await;
    let far = session.close_reason().unwrap();
    assert!(far.starts_with("the other side"), "{far}");
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_forgotten_at_once() {
    let heartbeat = Heartbeat::every(INTERVAL);
    let (raw, session, peer) = raw(Peer::builder().plugin(heartbeat.clone())).await;
    let kept = Arc::new(());
    session.extensions().insert(kept.clone());
    assert_eq!(Arc::strong_count(&kept), 2);
    drop((raw, session, peer));
    settle().await;
    // And not when it would have been looked at.
    assert_eq!(Arc::strong_count(&kept), 1);
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// Sessions by the hundreds between two peers, and the tasks that they take.
async fn many(server: PeerBuilder, client: PeerBuilder) -> (usize, Vec<Session>, [Peer; 2]) {
    let (server, client) = (server.build().unwrap(), client.build().unwrap());
    let before = alive_tasks();
    let mut sessions = Vec::new();
    for _ in 0..500 {
        sessions.push(client.connect(&server).await.unwrap());
    }
    settle().await;
    (alive_tasks() - before, sessions, [server, client])
}

#[tokio::test(start_paused = true)]
async fn idle_sessions_share_one_task() {
    let (plain, sessions, peers) = many(Peer::builder(), Peer::builder()).await;
    drop((sessions, peers));
    settle().await;
    assert_eq!(alive_tasks(), 0);
    let pings = Pings::default();
    let heartbeat = Heartbeat::every(INTERVAL);
    let server = Peer::builder().plugin(pings.clone());
    let (beating, sessions, peers) = many(server, Peer::builder().plugin(heartbeat)).await;
    assert_eq!(beating, plain + 1);
    sleep(secs(60)).await;
    assert!(sessions.iter().all(Session::is_open));
    assert_eq!(pings.0.load(Ordering::Relaxed), 500, "one for each");
    // Each session has one, and each peer one that looks which stand still.
    assert_eq!(alive_tasks(), 1003);
    drop((sessions, peers));
    // The task ends when it finds nobody left.
    sleep(secs(60)).await;
    assert_eq!(alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_heartbeat_may_look_after_several_peers_and_come_back_to_life() {
    let heartbeat = Heartbeat::every(INTERVAL);
    for _ in 0..3 {
        let mut alive = Vec::new();
        for _ in 0..2 {
            let (raw, session, peer) = raw(Peer::builder().plugin(heartbeat.clone())).await;
            alive.push((session, peer, answer(raw, 200, Duration::ZERO)));
        }
        let (_raw, gone, _peer) = raw(Peer::builder().plugin(heartbeat.clone())).await;
        gone.closed().await;
        assert!(alive.iter_mut().all(|(session, _, told)| session.is_open() && count(told) >= 2));
        drop(alive);
        // Until its task has ended.
        sleep(secs(100)).await;
        assert_eq!(alive_tasks(), 0);
    }
}

/// The task belongs to a runtime; a session in another one has it started again.
#[test]
fn a_heartbeat_outlives_its_runtime() {
    let heartbeat = Heartbeat::every(INTERVAL);
    for _ in 0..3 {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (_raw, session, peer) = raw(Peer::builder().plugin(heartbeat.clone())).await;
            session.closed().await;
            assert!(session.close_reason().unwrap().contains("no sign of life"));
            // It does not end before its runtime does.
            let (_raw, session) = RawPeer::connect(&peer).await;
            assert!(session.is_open());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn without_jitter_pings_are_on_time() {
    let heartbeat = Heartbeat::every(Duration::from_millis(1500)).jitter(f64::NAN).jitter(-1.0).at("/ping");
    let (mut raw, session, _peer) = raw(Peer::builder().plugin(heartbeat)).await;
    let started = Instant::now();
    let ping = raw.receive().await;
    assert_eq!(ping.uri(), "/ping?hb_=2", "rounded up");
    assert_eq!(started.elapsed().as_millis() / 20, 1500 / 20);
    session.closed().await;
}

#[tokio::test]
async fn a_uri_that_is_taken_is_an_error() {
    let builder = beating().pull("/heartbeat", |_, ()| async { Ok(()) }).unwrap();
    let error = builder.build().unwrap_err();
    assert!(error.is_conflict(), "{error}");
    for part in ["a function at /heartbeat", "the plugin heartbeat"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(beating().plugin(Heartbeat::answering().at("/other")).build().is_ok());
    let error = beating().plugin(Heartbeat::answering()).build().unwrap_err();
    assert!(error.is_conflict(), "{error}");
}

/// It is no way around a plugin that refuses calls.
#[tokio::test(start_paused = true)]
async fn pings_pass_through_the_plugins_of_the_peer() {
    struct Closed;
    impl Plugin for Closed {
        fn name(&self) -> &str {
            "closed"
        }
        async fn after_read_header(&self, _: &mut Context) -> Verdict {
            Err(teleport::Status::unavailable("closed"))
        }
    }
    let (mut raw, session, _peer) = raw(beating().plugin(Closed)).await;
    raw.pull("1", "/heartbeat?hb_=7", Body::None).await;
    assert_eq!(raw.receive().await.code(), Code::UNAVAILABLE.number());
    assert_eq!(Heartbeat::pulse(&session).unwrap().announced(), None);
}
