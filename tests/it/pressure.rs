//! Load past the bounds: what waits, what is refused, and that nothing stands still for ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use teleport::wire::{Body, Header, Kind, PacketId};
use teleport::{
    Code, Connection, Context, Limits, Overload, Peer, PeerBuilder, Session, Status, Timeouts, gzip,
};
use teleport_tests::{RawPeer, json, packet};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

fn echo() -> PeerBuilder {
    Peer::builder().pull("/echo", |_, text: String| async move { Ok(text) }).unwrap()
}

async fn over_tcp(server: &Peer, client: &Peer) -> Session {
    server.listen("127.0.0.1:0").await.unwrap();
    client.dial(server.local_addr().unwrap()).await.unwrap()
}

/// As many calls at once, each of which is to succeed.
async fn all_succeed(session: &Session, calls: usize, bytes: usize) {
    let text: Arc<str> = "x".repeat(bytes).into();
    let calls: Vec<_> = (0..calls)
        .map(|_| {
            let (session, text) = (session.clone(), text.clone());
            tokio::spawn(async move { session.pull("/echo").body(&*text).await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

/// Far more than both sides may queue: neither may stop reading until the other reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_calls_and_large_replies_do_not_block_each_other() {
    let server = echo().build().unwrap();
    let session = over_tcp(&server, &Peer::builder().build().unwrap()).await;
    all_succeed(&session, 24, 1_000_000).await;
    all_succeed(&session, 200, 100_000).await;
}

#[tokio::test]
async fn large_calls_both_ways_with_little_room_all_end() {
    let small = || echo().limits(Limits::default().with_max_queued(10_000)).build().unwrap();
    let (a, b) = (small(), small());
    let to_b = a.connect(&b).await.unwrap();
    let to_a = b.sessions().all().pop().unwrap();
    let text = "x".repeat(5_000);
    let calls: Vec<_> = [to_b, to_a]
        .into_iter()
        .flat_map(|session| vec![session; 100])
        .map(|session| {
            let text = text.clone();
            tokio::spawn(async move { session.pull("/echo").body(&text).await.map(drop) })
        })
        .collect();
    let mut succeeded = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(()) => succeeded += 1,
            // Both sides wait for replies with their lines full: what comes on top is refused, and told.
            Err(error) => assert_eq!(error.code(), Some(Code::UNAVAILABLE), "{error}"),
        }
    }
    assert!(succeeded > 0);
    all_succeed(&a.sessions().all()[0], 10, 5_000).await;
}

/// One reply alone is more than either side may queue, and than the connection holds.
#[tokio::test(start_paused = true)]
async fn large_replies_both_ways_do_not_block_each_other() {
    let full = || {
        Peer::builder()
            .limits(Limits::default().with_max_queued(10_000))
            .pull("/text", |_, bytes: usize| async move { Ok("x".repeat(bytes)) })
            .unwrap()
            .build()
            .unwrap()
    };
    for bytes in [100_000, 300_000] {
        let (a, b) = (full(), full());
        let to_b = a.connect(&b).await.unwrap();
        let to_a = b.sessions().all().pop().unwrap();
        let text = async |session: &Session| {
            session.pull("/text").body(&bytes).await.unwrap().decode::<String>().unwrap().len()
        };
        let started = tokio::time::Instant::now();
        assert_eq!(tokio::join!(text(&to_b), text(&to_a)), (bytes, bytes));
        assert_eq!(started.elapsed(), Duration::ZERO, "nobody waited for a timeout");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_pushes_both_ways_all_arrive() {
    const PUSHES: usize = 150;
    let peer = |count: &Arc<AtomicUsize>| {
        let count = count.clone();
        let push = move |_: Context, _: String| {
            count.fetch_add(1, Ordering::SeqCst);
            async {}
        };
        Peer::builder().push("/flood", push).unwrap().build().unwrap()
    };
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let (a, b) = (peer(&counts[0]), peer(&counts[1]));
    let to_b = over_tcp(&b, &a).await;
    while b.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
    let to_a = b.sessions().all().pop().unwrap();
    let text = "x".repeat(100_000);
    let floods: Vec<_> = [&to_b, &to_a]
        .map(|session| {
            let (session, text) = (session.clone(), text.clone());
            tokio::spawn(async move {
                for _ in 0..PUSHES {
                    session.push("/flood").body(&text).await.unwrap();
                }
            })
        })
        .into();
    for flood in floods {
        flood.await.unwrap();
    }
    while counts.iter().any(|count| count.load(Ordering::SeqCst) < PUSHES) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_handler_that_calls_back_gets_its_reply_though_no_more_may_run() {
    let outer =
        |cx: Context, n: i64| async move { Ok(cx.session().pull("/inner").body(&n).await?.decode::<i64>()?) };
    let b = Peer::builder().pull("/outer", outer).unwrap().limits(Limits::default().with_max_pulls_in(1));
    let b = b.build().unwrap();
    let a = Peer::builder().pull("/inner", |_, n: i64| async move { Ok(n + 1) }).unwrap().build().unwrap();
    let session = a.connect(&b).await.unwrap();
    let calls: Vec<_> = (0..100)
        .map(|n| {
            let session = session.clone();
            tokio::spawn(async move { session.pull("/outer").body(&n).await?.decode::<i64>() })
        })
        .collect();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), n + 1);
    }
}

/// A peer whose handler waits until it is let go, and how many of them run.
fn waiting(limits: Limits) -> (Peer, Arc<AtomicUsize>, Arc<Semaphore>) {
    let (running, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (count, open) = (running.clone(), gate.clone());
    let peer = Peer::builder()
        .pull("/wait", move |_, _: Option<String>| {
            let running = Running::new(&count);
            let open = open.clone();
            async move {
                let _running = running;
                open.acquire().await.unwrap().forget();
                Ok(())
            }
        })
        .unwrap()
        .pull("/now", |_, ()| async { Ok(()) })
        .unwrap()
        .push("/told", |_, _: String| async {})
        .unwrap();
    let timeouts = Timeouts::default().with_close(Duration::from_millis(200));
    (peer.limits(limits).timeouts(timeouts).build().unwrap(), running, gate)
}

struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Running(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_seen_though_no_more_handlers_may_run() {
    let (server, running, _gate) = waiting(Limits::default().with_max_pulls_in(2));
    let (mut raw, session) = RawPeer::connect(&server).await;
    drop(session);
    for n in 0..5 {
        raw.pull(&n.to_string(), "/wait", Body::None).await;
    }
    until(|| running.load(Ordering::SeqCst) == 2).await;
    drop(raw);
    until(|| server.sessions().is_empty() && running.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn handlers_of_lost_connections_do_not_pile_up() {
    let (server, running, _gate) = waiting(Limits::default().with_max_sessions(1).with_max_pulls_in(10));
    for _ in 0..50 {
        let (mut raw, session) = RawPeer::connect(&server).await;
        drop(session);
        let before = running.load(Ordering::SeqCst);
        for n in 0..9 {
            raw.pull(&n.to_string(), "/wait", Body::None).await;
        }
        until(|| running.load(Ordering::SeqCst) >= before + 9).await;
        raw.send(b"\0").await;
        drop(raw);
        until(|| server.sessions().is_empty()).await;
        // They have as long as at a close.
        tokio::time::sleep(Duration::from_millis(201)).await;
        until(|| running.load(Ordering::SeqCst) == 0).await;
    }
}

#[tokio::test]
async fn a_full_line_holds_the_other_side_back_and_loses_nothing() {
    let (server, running, gate) = waiting(Limits::default().with_max_pulls_in(2).with_max_queued(100_000));
    let (near, far) = tokio::io::duplex(64 * 1024);
    server.attach(Connection::from_stream(far, "a", "b")).await.unwrap();
    let (reader, mut writer) = tokio::io::split(near);
    let text = serde_json::to_vec(&"x".repeat(10_000)).unwrap();
    let body = Body::Payload { codec: b'j', payload: &text };
    let pulls: Vec<u8> = (0..100)
        .flat_map(|n| packet(b'p', &Header::new(PacketId::Sequence(n), Kind::PULL, "/wait"), body))
        .collect();
    let sending = tokio::spawn(async move { writer.write_all(&pulls).await });
    until(|| running.load(Ordering::SeqCst) == 2).await;
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!sending.is_finished(), "a megabyte was taken, and a tenth of that may wait");
    gate.add_permits(100);
    let mut raw = RawPeer::new(reader);
    let mut ids: Vec<u64> = Vec::new();
    for _ in 0..100 {
        let reply = raw.receive().await;
        assert_eq!(reply.code(), 200, "{}", reply.status());
        ids.extend(reply.id().number());
    }
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..100));
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn where_this_side_waits_too_what_does_not_fit_is_refused() {
    let (server, running, gate) = waiting(Limits::default().with_max_pulls_in(1).with_max_queued(2_000));
    let (mut raw, session) = RawPeer::connect(&server).await;
    let call = tokio::spawn(async move { session.pull("/asked").await });
    assert_eq!(raw.receive().await.uri(), "/asked");
    for n in 0..20 {
        raw.pull(&n.to_string(), "/wait", Body::None).await;
    }
    until(|| running.load(Ordering::SeqCst) == 1).await;
    let refused = raw.receive().await;
    assert_eq!(refused.code(), Code::UNAVAILABLE.number());
    for part in ["limits.max_pulls_in", "limits.max_held", "limits.max_queued"] {
        assert!(refused.status().contains(part), "{}", refused.status());
    }
    // Its reply is still read.
    raw.send_packet(
        &Header { code: 200, ..Header::new(PacketId::Text("0".into()), Kind::REPLY, "/asked") },
        Body::None,
    )
    .await;
    call.await.unwrap().unwrap();
    gate.add_permits(20);
    let mut codes = vec![refused.code()];
    for _ in 1..20 {
        codes.push(raw.receive().await.code());
    }
    let served = codes.iter().filter(|code| **code == 200).count();
    assert!((2..20).contains(&served), "{codes:?}");
    assert!(codes.iter().all(|code| [200, 503].contains(code)), "{codes:?}");
}

#[tokio::test]
async fn where_pulls_are_not_to_wait_those_past_the_bound_are_refused_at_once() {
    let limits = Limits::default().with_max_pulls_in(2).with_overload(Overload::Refuse);
    let (server, running, gate) = waiting(limits);
    let (mut raw, _session) = RawPeer::connect(&server).await;
    for (id, uri) in [("0", "/wait"), ("1", "/wait"), ("2", "/wait"), ("3", "/now")] {
        raw.pull(id, uri, Body::None).await;
    }
    for id in 2..4 {
        let refused = raw.receive().await;
        assert_eq!((refused.id().number(), refused.code()), (Some(id), Code::UNAVAILABLE.number()));
        for part in ["limits.max_pulls_in", "limits.max_held", "limits.overload"] {
            assert!(refused.status().contains(part), "{}", refused.status());
        }
    }
    until(|| running.load(Ordering::SeqCst) == 2).await;
    // There is room again as soon as one has ended, and for one only.
    gate.add_permits(1);
    assert_eq!(raw.receive().await.code(), 200);
    for id in ["4", "5"] {
        raw.pull(id, "/wait", Body::None).await;
    }
    let refused = raw.receive().await;
    assert_eq!((refused.id().number(), refused.code()), (Some(5), 503));
    gate.add_permits(2);
    for _ in 0..2 {
        assert_eq!(raw.receive().await.code(), 200);
    }
    raw.pull("6", "/now", Body::None).await;
    assert_eq!(raw.receive().await.code(), 200);
}

#[tokio::test]
async fn by_default_pulls_past_the_bound_wait_and_none_is_refused() {
    let (server, running, gate) = waiting(Limits::default().with_max_pulls_in(2));
    let (mut raw, _session) = RawPeer::connect(&server).await;
    for (id, uri) in [("0", "/wait"), ("1", "/wait"), ("2", "/wait"), ("3", "/now")] {
        raw.pull(id, uri, Body::None).await;
    }
    until(|| running.load(Ordering::SeqCst) == 2).await;
    gate.add_permits(3);
    let mut ids = Vec::new();
    for _ in 0..4 {
        let reply = raw.receive().await;
        assert_eq!(reply.code(), 200, "{}", reply.status());
        ids.extend(reply.id().number());
    }
    assert!(ids[0] < 2, "who waits comes after who runs: {ids:?}");
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3]);
}

#[tokio::test]
async fn pushes_wait_though_pulls_are_refused() {
    let (told, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (count, open) = (told.clone(), gate.clone());
    let server = Peer::builder()
        .pull("/wait", move |_, ()| {
            let open = open.clone();
            async move {
                open.acquire().await.unwrap().forget();
                Ok(())
            }
        })
        .unwrap()
        .push("/told", move |_, ()| {
            count.fetch_add(1, Ordering::SeqCst);
            async {}
        })
        .unwrap()
        .limits(Limits::default().with_max_pulls_in(1).with_overload(Overload::Refuse));
    let (mut raw, _session) = RawPeer::connect(&server.build().unwrap()).await;
    raw.pull("0", "/wait", Body::None).await;
    for n in 0..3 {
        let push = Header::new(PacketId::Sequence(n), Kind::PUSH, "/told");
        raw.send_packet(&push, Body::None).await;
    }
    raw.pull("1", "/wait", Body::None).await;
    let refused = raw.receive().await;
    assert_eq!((refused.id().number(), refused.code()), (Some(1), 503));
    assert_eq!(told.load(Ordering::SeqCst), 0, "they came before it");
    gate.add_permits(1);
    assert_eq!(raw.receive().await.code(), 200);
    until(|| told.load(Ordering::SeqCst) == 3).await;
}

#[tokio::test]
async fn what_handlers_hold_is_bounded_by_its_inflated_size() {
    let (server, running, gate) = waiting(Limits::default().with_max_held(100_000));
    let (mut raw, _session) = RawPeer::connect(&server).await;
    let mut small = Vec::new();
    gzip::deflate(9, format!("\"{}\"", "a".repeat(60_000)).as_bytes(), &mut small).unwrap();
    for n in 0..10 {
        let header = Header { gzip: 9, ..Header::new(PacketId::Sequence(n), Kind::PULL, "/wait") };
        raw.send_packet(&header, Body::Payload { codec: b'j', payload: &small }).await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.load(Ordering::SeqCst), 2, "one packet may go over it");
    gate.add_permits(10);
    for _ in 0..10 {
        assert_eq!(raw.receive().await.code(), 200);
    }
}

#[tokio::test]
async fn what_handlers_hold_is_counted_with_the_copies_of_their_headers() {
    let (server, running, gate) = waiting(Limits::default().with_max_held(100_000));
    let (mut raw, _session) = RawPeer::connect(&server).await;
    // Each is there in the packet, in what its handler is answered by, and in the reply to be sent where it does not answer.
    let id = "9".repeat(10_000);
    for _ in 0..20 {
        raw.pull(&id, "/wait", Body::None).await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let running = running.load(Ordering::SeqCst);
    assert!((2..=4).contains(&running), "{running} run, and each holds 30 kB or more");
    gate.add_permits(20);
    for _ in 0..20 {
        assert_eq!(raw.receive().await.code(), 200);
    }
}

#[tokio::test]
async fn a_small_packet_in_a_large_buffer_is_counted_as_what_it_holds() {
    let (server, running, gate) = waiting(Limits::default().with_max_held(400_000));
    let (mut raw, _session) = RawPeer::connect(&server).await;
    let large = serde_json::to_vec(&"x".repeat(100_000)).unwrap();
    for _ in 0..20 {
        // Where it need not wait, it is through at once and leaves its buffer to the next.
        let push = Header::new(PacketId::Sequence(1), Kind::PUSH, "/told");
        raw.send_packet(&push, Body::Payload { codec: b'j', payload: &large }).await;
        raw.pull("waits", "/wait", Body::None).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    let running = running.load(Ordering::SeqCst);
    gate.add_permits(20);
    assert!(running <= 5, "{running} hold a buffer of 100 kB each");
    for _ in 0..20 {
        raw.receive().await;
    }
}

#[tokio::test]
async fn no_handler_begins_while_replies_wait_for_room() {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = ran.clone();
    let long = move |_: Context, ()| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            // In a task of its own.
            tokio::task::yield_now().await;
            Ok("x".repeat(50_000))
        }
    };
    let limits = Limits::default().with_max_held(100_000).with_max_queued(10_000);
    let server = Peer::builder().limits(limits).pull("/long", long).unwrap().build().unwrap();
    let (mut raw, _session) = RawPeer::connect(&server).await;
    for n in 0..40 {
        raw.pull(&n.to_string(), "/long", Body::None).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    let running = ran.load(Ordering::SeqCst);
    assert!((2..=8).contains(&running), "{running} ran, and nobody reads what they answered");
    for _ in 0..40 {
        assert_eq!(raw.receive().await.code(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_wait_for_room_go_out_when_their_session_closes() {
    let gate = Arc::new(Semaphore::new(0));
    let open = gate.clone();
    let long = move |_: Context, ()| {
        let open = open.clone();
        async move {
            open.acquire().await.unwrap().forget();
            Ok("x".repeat(5_000))
        }
    };
    let limits = Limits::default().with_max_queued(1_000);
    let server = Peer::builder().pull("/long", long).unwrap().limits(limits).build().unwrap();
    let (near, far) = tokio::io::duplex(1_000);
    let session = server.attach(Connection::from_stream(far, "a", "b")).await.unwrap();
    let mut raw = RawPeer::new(near);
    for n in 0..5 {
        raw.pull(&n.to_string(), "/long", Body::None).await;
    }
    // All of them wait in tasks.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // They are answered, nobody reads, and the session closes.
    gate.add_permits(5);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let closing = tokio::spawn(async move { session.close().await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    for _ in 0..5 {
        assert_eq!(raw.receive().await.code(), 200);
    }
    drop(raw);
    closing.await.unwrap();
}

/// The output being full holds pushes and replies back, all the slots being taken does not.
#[tokio::test(start_paused = true)]
async fn a_push_or_reply_does_not_wait_for_a_slot_among_the_pulls() {
    let inner = |cx: Context, ()| async move {
        tokio::task::yield_now().await;
        cx.session().push("/noise").body(&"x".repeat(2000)).await?;
        Ok::<i32, Status>(7)
    };
    let limits = Limits::default().with_max_pulls_out(1).with_max_queued(1000);
    let a = Peer::builder().pull("/inner", inner).unwrap().limits(limits).build().unwrap();
    let outer = |cx: Context, ()| async move {
        let call = cx.session().pull("/inner").timeout(Duration::from_secs(5));
        Ok(call.await?.decode::<i32>()?)
    };
    let b = Peer::builder().pull("/outer", outer).unwrap().push("/noise", |_, _: String| async {}).unwrap();
    let b = b.build().unwrap();
    let session = a.connect(&b).await.unwrap();
    assert_eq!(session.pull("/outer").await.unwrap().decode::<i32>().unwrap(), 7);
}

/// A peer that runs one handler at a time, which waits until it is let go; the ids of those that have begun, by their bodies.
fn one_at_a_time(limits: Limits) -> (Peer, Arc<Mutex<Vec<u64>>>, Arc<Semaphore>) {
    let (begun, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
    let (ids, open) = (begun.clone(), gate.clone());
    let handler = move |_: Context, id: u64| {
        ids.lock().unwrap().push(id);
        let open = open.clone();
        async move {
            open.acquire().await.unwrap().forget();
            Ok(())
        }
    };
    let peer = Peer::builder().pull("/one", handler).unwrap().limits(limits.with_max_pulls_in(1));
    (peer.build().unwrap(), begun, gate)
}

/// A pull whose caller waits for so many milliseconds.
async fn pull_within(raw: &mut RawPeer, timeout_ms: u32, id: u64) {
    let header = Header { timeout_ms, ..Header::new(PacketId::Sequence(id), Kind::PULL, "/one") };
    raw.send_packet(&header, json(&id.to_string())).await;
}

/// All that was sent is read, and handled as far as it may.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

async fn answers(raw: &mut RawPeer, count: usize) -> Vec<(u64, i32)> {
    let mut answers = Vec::new();
    for _ in 0..count {
        let reply = raw.receive().await;
        answers.push((reply.id().number().unwrap(), reply.code()));
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn who_is_still_waited_for_is_run_though_those_before_it_are_not() {
    let (server, begun, gate) = one_at_a_time(Limits::default());
    let (mut raw, _session) = RawPeer::connect(&server).await;
    pull_within(&mut raw, 0, 0).await;
    for id in 1..=4 {
        pull_within(&mut raw, 100, id).await;
    }
    settle().await;
    tokio::time::advance(Duration::from_millis(90)).await;
    for id in 5..=6 {
        pull_within(&mut raw, 100, id).await;
    }
    pull_within(&mut raw, 0, 7).await;
    settle().await;
    gate.add_permits(3);
    assert_eq!(answers(&mut raw, 3).await, [(0, 200), (6, 200), (5, 200)]);
    settle().await;
    assert_eq!(*begun.lock().unwrap(), [0, 6, 5, 4]);
    // The time of the oldest is up, of the one that runs too.
    tokio::time::advance(Duration::from_millis(20)).await;
    settle().await;
    gate.add_permits(1);
    let mut rest = answers(&mut raw, 5).await;
    rest.sort_unstable();
    assert_eq!(rest, [(1, 504), (2, 504), (3, 504), (4, 504), (7, 200)]);
    assert_eq!(*begun.lock().unwrap(), [0, 6, 5, 4, 7], "those that are late are not run");
}

#[tokio::test(start_paused = true)]
async fn a_full_line_is_read_past_as_long_as_it_has_pulls_to_give_up() {
    let (server, begun, gate) = one_at_a_time(Limits::default().with_max_queued(2_000));
    let (mut raw, _session) = RawPeer::connect(&server).await;
    pull_within(&mut raw, 0, 0).await;
    for id in 1..=5 {
        pull_within(&mut raw, 1_000, id).await;
    }
    settle().await;
    tokio::time::advance(Duration::from_millis(250)).await;
    for id in 6..=20 {
        pull_within(&mut raw, 1_000, id).await;
    }
    settle().await;
    for (id, is) in [(1, raw.receive().await), (2, raw.receive().await)] {
        assert_eq!((is.id().number(), is.code()), (Some(id), 503));
        for part in ["limits.max_pulls_in", "limits.max_held", "limits.max_queued", "a quarter of its time"] {
            assert!(is.status().contains(part), "{}", is.status());
        }
    }
    // The others are not stale, so the other side is held back, until there is room.
    gate.add_permits(100);
    let rest = answers(&mut raw, 19).await;
    let refused: Vec<u64> = rest.iter().filter(|(_, code)| *code == 503).map(|(id, _)| *id).collect();
    assert_eq!(refused, [3, 4, 5], "{rest:?}");
    let mut served = begun.lock().unwrap().clone();
    served.sort_unstable();
    assert!(served.into_iter().eq([0].into_iter().chain(6..=20)), "{rest:?}");
}
