//! Calls over a session: many at once, timeouts, cancelling, closing; every pull ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use teleport::wire::{Body, Header, Kind, PacketId};
use teleport::{Connection, Context, Delivery, Initiator, Limits, Peer, PeerBuilder, Session, Timeouts};
use teleport_tests::{RawPeer, json, packet};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

/// A session to a peer that answers with these handlers.
async fn session_to(server: PeerBuilder) -> (Session, Peer) {
    let server = server.build().unwrap();
    (Peer::builder().build().unwrap().connect(&server).await.unwrap(), server)
}

fn spawn_pull(session: &Session, uri: &'static str) -> JoinHandle<teleport::Result<teleport::Reply>> {
    let session = session.clone();
    tokio::spawn(async move { session.pull(uri).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_calls_at_once_each_get_their_own_reply() {
    let server = Peer::builder().pull("/echo", |_, (n, wait): (u64, bool)| async move {
        if wait {
            tokio::task::yield_now().await;
        }
        Ok(n)
    });
    let server = server.unwrap().listen("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().build().unwrap();
    let session = client.dial(server.local_addr().unwrap()).await.unwrap();
    let tasks: Vec<_> = (0..200u64)
        .map(|task| {
            let session = session.clone();
            tokio::spawn(async move {
                for round in 0..100 {
                    let n = task * 1000 + round;
                    let reply = session.pull("/echo").body(&(n, n % 3 == 0)).await.unwrap();
                    assert_eq!(reply.decode::<u64>().unwrap(), n);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn replies_come_in_any_order() {
    let (mut raw, session) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
    let calls: Vec<_> = ["/0", "/1", "/2"].map(|uri| spawn_pull(&session, uri)).into();
    let mut pulls = [raw.receive().await, raw.receive().await, raw.receive().await];
    pulls.sort_by_key(|pull| pull.uri().to_owned());
    for pull in pulls.iter().rev() {
        let header = Header { kind: Kind::REPLY, code: 200, ..pull.header() };
        raw.send_packet(&header, json(&pull.uri()[1..])).await;
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap().decode::<usize>().unwrap(), n);
    }
}

#[tokio::test]
async fn ids_count_from_zero_and_pushes_count_apart() {
    for (format, sequence) in [(teleport::IdFormat::Text, false), (teleport::IdFormat::Sequence, true)] {
        let peer = Peer::builder().id_format(format).build().unwrap();
        let (mut raw, session) = RawPeer::connect(&peer).await;
        for n in 0..20u64 {
            session.push("/push").await.unwrap();
            let call = spawn_pull(&session, "/pull");
            let (push, pull) = (raw.receive().await, raw.receive().await);
            assert_eq!((push.kind(), push.id().number()), (Kind::PUSH, Some(n)));
            assert_eq!((pull.kind(), pull.id().number()), (Kind::PULL, Some(n)));
            // An absent field reads as the number 0.
            assert_eq!(pull.id().format() == teleport::IdFormat::Sequence, sequence);
            raw.send_packet(&Header { kind: Kind::REPLY, code: 200, ..pull.header() }, Body::None).await;
            call.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_times_out_and_the_session_goes_on() {
    let (session, _server) = session_to(
        Peer::builder()
            .pull("/never", |_, ()| async {
                std::future::pending::<()>().await;
                Ok(())
            })
            .unwrap()
            .pull("/now", |_, ()| async { Ok(1) })
            .unwrap(),
    )
    .await;
    let start = tokio::time::Instant::now();
    let error = session.pull("/never").timeout(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_millis(200));
    assert!(error.is_timeout());
    assert_eq!((error.delivery(), error.initiator()), (Some(Delivery::Unanswered), Initiator::Library));
    assert_eq!(error.uri(), Some("/never"));
    assert!(error.to_string().contains("no answer within 200ms"), "{error}");
    // The default of the settings.
    let error = session.pull("/never").await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(start.elapsed(), Duration::from_millis(30_200));
    assert_eq!(session.pull("/now").await.unwrap().decode::<i32>().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_may_wait_as_long_as_the_session_lives() {
    let gate = Arc::new(Notify::new());
    let open = gate.clone();
    let (session, _server) = session_to(
        Peer::builder()
            .pull("/wait", move |_, ()| {
                let open = open.clone();
                async move {
                    open.notified().await;
                    Ok("at last")
                }
            })
            .unwrap(),
    )
    .await;
    let call = tokio::spawn(async move { session.pull("/wait").no_timeout().await });
    tokio::time::advance(Duration::from_secs(365 * 24 * 3600)).await;
    gate.notify_one();
    assert_eq!(call.await.unwrap().unwrap().decode::<String>().unwrap(), "at last");
}

#[tokio::test]
async fn a_dropped_call_is_forgotten_and_its_late_reply_is_dropped() {
    let (mut raw, session) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
    let call = spawn_pull(&session, "/cancelled");
    let cancelled = raw.receive().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let call = spawn_pull(&session, "/kept");
    let kept = raw.receive().await;
    assert_ne!(kept.id(), cancelled.id(), "a number is not used again while its reply may come");
    for (pull, body) in [(&cancelled, "1"), (&kept, "2"), (&kept, "3")] {
        raw.send_packet(&Header { kind: Kind::REPLY, code: 200, ..pull.header() }, json(body)).await;
    }
    assert_eq!(call.await.unwrap().unwrap().decode::<i32>().unwrap(), 2);
}

#[tokio::test]
async fn a_call_that_is_never_polled_sends_nothing() {
    let (mut raw, session) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
    drop(session.pull("/unsent"));
    drop(session.push("/unsent"));
    session.push("/sent").await.unwrap();
    assert_eq!(raw.receive().await.uri(), "/sent");
}

#[tokio::test]
async fn every_pull_ends_when_the_connection_does() {
    let (mut raw, session) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
    let calls: Vec<_> = (0..10).map(|_| spawn_pull(&session, "/x")).collect();
    for _ in 0..10 {
        raw.receive().await;
    }
    drop(raw);
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert!(error.is_closed(), "{error}");
        assert_eq!((error.delivery(), error.initiator()), (Some(Delivery::Unanswered), Initiator::Remote));
    }
    session.closed().await;
    let error = session.pull("/x").await.unwrap_err();
    assert_eq!(error.delivery(), Some(Delivery::NotSent));
    assert!(session.push("/x").await.unwrap_err().is_closed());
}

#[tokio::test]
async fn every_pull_ends_when_its_session_is_aborted() {
    let (mut raw, session) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
    let call = spawn_pull(&session, "/x");
    raw.receive().await;
    session.abort();
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_closed());
    assert_eq!(error.initiator(), Initiator::User);
    assert!(raw.try_receive().await.is_none());
}

#[test]
fn every_pull_ends_when_the_runtime_of_its_driver_does() {
    let driving = tokio::runtime::Runtime::new().unwrap();
    let (near, _far) = tokio::io::duplex(1024);
    let peer = Peer::builder().build().unwrap();
    let connection = Connection::from_stream(near, "a", "b");
    let session = driving.block_on(async { peer.attach(connection).await }).unwrap();
    let calling = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let call = calling.spawn(async move { session.pull("/x").no_timeout().await });
    driving.shutdown_background();
    let error = calling.block_on(call).unwrap().unwrap_err();
    assert!(error.is_closed(), "{error}");
}

#[tokio::test]
async fn closing_lets_calls_in_flight_end() {
    let gate = Arc::new(Semaphore::new(0));
    let started = Arc::new(Notify::new());
    let (open, tell) = (gate.clone(), started.clone());
    let (session, _server) = session_to(
        Peer::builder()
            .pull("/slow", move |_, ()| {
                let (open, tell) = (open.clone(), tell.clone());
                async move {
                    tell.notify_one();
                    open.acquire().await.unwrap().forget();
                    Ok("done")
                }
            })
            .unwrap(),
    )
    .await;
    let call = spawn_pull(&session, "/slow");
    started.notified().await;
    let closing = tokio::spawn({
        let session = session.clone();
        async move { session.close().await }
    });
    while session.is_open() {
        tokio::task::yield_now().await;
    }
    let refused = session.pull("/slow").await.unwrap_err();
    assert!(refused.is_closed() && !refused.may_have_run(), "{refused}");
    assert!(!closing.is_finished());
    gate.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap().decode::<String>().unwrap(), "done");
    closing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_cuts_off_what_does_not_end_in_time() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = dropped.clone();
    let server = Peer::builder()
        .pull("/stuck", move |_, ()| {
            let guard = Dropped(count.clone());
            async move {
                let _guard = guard;
                std::future::pending::<()>().await;
                Ok(())
            }
        })
        .unwrap()
        .timeouts(Timeouts::default().with_close(Duration::from_secs(2)))
        .build()
        .unwrap();
    let client = Peer::builder().build().unwrap();
    let session = client.connect(&server).await.unwrap();
    let call = spawn_pull(&session, "/stuck");
    let start = tokio::time::Instant::now();
    while server.sessions().is_empty()
        || dropped.load(Ordering::SeqCst) > 0
        || Arc::strong_count(&dropped) < 3
    {
        tokio::task::yield_now().await;
    }
    server.close().await;
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_closed() || error.status().is_some(), "{error}");
    while dropped.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_ends_with_the_last_handle() {
    let server = Peer::builder().build().unwrap();
    let client = Peer::builder().build().unwrap();
    let session = client.connect(&server).await.unwrap();
    let far = server.sessions().all().pop().unwrap();
    drop(client);
    assert!(session.is_open() && far.is_open(), "a handle is left");
    session.push("/queued").await.unwrap();
    drop(session);
    far.closed().await;
}

#[tokio::test]
async fn either_side_may_call() {
    let near = Peer::builder().pull("/name", |_, ()| async { Ok("near") }).unwrap().build().unwrap();
    let far = Peer::builder()
        .pull("/ask_back", |cx: Context, ()| async move {
            Ok(cx.session().pull("/name").await?.decode::<String>()?)
        })
        .unwrap()
        .build()
        .unwrap();
    let session = near.connect(&far).await.unwrap();
    assert_eq!(session.pull("/ask_back").await.unwrap().decode::<String>().unwrap(), "near");
    let back = far.sessions().all().pop().unwrap();
    assert_eq!(back.pull("/name").await.unwrap().decode::<String>().unwrap(), "near");
}

#[tokio::test]
async fn calls_past_the_bound_wait_for_room() {
    let peer = Peer::builder().limits(Limits::default().with_max_pulls_out(2)).build().unwrap();
    let (mut raw, session) = RawPeer::connect(&peer).await;
    let mut calls: Vec<_> = (0..5).map(|_| spawn_pull(&session, "/x")).collect();
    let mut in_flight = vec![raw.receive().await, raw.receive().await];
    // A push is no pull: it passes, and shows that no third pull came before it.
    session.push("/mark").await.unwrap();
    assert_eq!(raw.receive().await.uri(), "/mark");
    // One that waits is dropped: its place goes to another.
    calls.pop().unwrap().abort();
    let mut answered = 0;
    while let Some(pull) = in_flight.pop() {
        raw.send_packet(&Header { kind: Kind::REPLY, code: 200, ..pull.header() }, Body::None).await;
        answered += 1;
        if answered <= 2 {
            in_flight.insert(0, raw.receive().await);
        }
    }
    assert_eq!(answered, 4);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_gets_no_room_in_time_was_not_sent() {
    let peer = Peer::builder().limits(Limits::default().with_max_pulls_out(1)).build().unwrap();
    let (mut raw, session) = RawPeer::connect(&peer).await;
    let _first = spawn_pull(&session, "/first");
    raw.receive().await;
    let error = session.pull("/second").timeout(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.delivery(), Some(Delivery::NotSent));
    assert!(error.is_limit(), "{error}");
    let says = "no room within 1s: 1 pulls wait for their reply (setting `limits.max_pulls_out`)";
    assert!(error.to_string().contains(says), "{error}");
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_the_writer_back() {
    let peer = Peer::builder().limits(Limits::default().with_max_queued(10_000)).build().unwrap();
    let (mut raw, session) = RawPeer::connect(&peer).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let pushing = tokio::spawn({
        let sent = sent.clone();
        async move {
            let text = "x".repeat(1000);
            for _ in 0..1000 {
                session.push("/flood").body(&text).await.unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    // Until it stands still: the pipe's 64 KiB and what may be queued, and no more.
    let mut last = usize::MAX;
    while last != sent.load(Ordering::SeqCst) {
        last = sent.load(Ordering::SeqCst);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert!((60..120).contains(&last), "{last} pushes of about 1 KB were taken");
    assert!(!pushing.is_finished());
    for _ in 0..1000 {
        assert_eq!(raw.receive().await.uri(), "/flood");
    }
    pushing.await.unwrap();
}

/// The reader stops while too much waits to be written, and goes on when it is.
#[tokio::test]
async fn a_caller_that_does_not_read_is_read_again_when_it_does() {
    let server = Peer::builder().pull("/echo", |_, text: String| async move { Ok(text) }).unwrap();
    let server = server.limits(Limits::default().with_max_queued(10_000)).build().unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let session = server.attach(Connection::from_stream(far, "test://peer", "test://raw")).await.unwrap();
    let (near_reader, mut near_writer) = tokio::io::split(near);
    let text = format!("\"{}\"", "x".repeat(1000));
    let pulls: Vec<u8> = (0..1000u64)
        .flat_map(|n| packet(b'p', &Header::new(PacketId::Sequence(n), Kind::PULL, "/echo"), json(&text)))
        .collect();
    let sending = tokio::spawn(async move { near_writer.write_all(&pulls).await.map(|()| near_writer) });
    // Long enough for the server to take all of it, if it did.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    assert!(!sending.is_finished(), "the server took everything without being read");
    let mut raw = RawPeer::new(near_reader);
    let mut answered = BTreeSet::new();
    for _ in 0..1000 {
        let reply = raw.receive().await;
        assert_eq!(reply.code(), 200);
        answered.insert(reply.id().number().unwrap());
    }
    assert!(answered.into_iter().eq(0..1000), "each once");
    sending.await.unwrap().unwrap();
    assert!(session.is_open());
}

#[tokio::test]
async fn handlers_past_the_bound_hold_the_reader_back() {
    let running = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let (count, open) = (running.clone(), gate.clone());
    let server = Peer::builder()
        .pull("/slow", move |_, ()| {
            let (count, open) = (count.clone(), open.clone());
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                open.acquire().await.unwrap().forget();
                Ok(())
            }
        })
        .unwrap()
        .limits(Limits::default().with_max_pulls_in(3))
        .build()
        .unwrap();
    let (mut raw, _session) = RawPeer::connect(&server).await;
    for n in 0..10 {
        raw.pull(&n.to_string(), "/slow", Body::None).await;
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.load(Ordering::SeqCst), 3);
    for done in 1..=10 {
        gate.add_permits(1);
        assert_eq!(raw.receive().await.code(), 200);
        while running.load(Ordering::SeqCst) < (done + 3).min(10) {
            tokio::task::yield_now().await;
        }
        assert_eq!(running.load(Ordering::SeqCst), (done + 3).min(10));
    }
}

#[tokio::test]
async fn a_waiting_handler_does_not_stop_the_others() {
    let gate = Arc::new(Semaphore::new(0));
    let open = gate.clone();
    let (session, _server) = session_to(
        Peer::builder()
            .pull("/slow", move |_, ()| {
                let open = open.clone();
                async move {
                    open.acquire().await.unwrap().forget();
                    Ok("slow")
                }
            })
            .unwrap()
            .pull("/fast", |_, ()| async { Ok("fast") })
            .unwrap(),
    )
    .await;
    let slow = spawn_pull(&session, "/slow");
    for _ in 0..10 {
        assert_eq!(session.pull("/fast").await.unwrap().decode::<String>().unwrap(), "fast");
    }
    assert!(!slow.is_finished());
    gate.add_permits(1);
    slow.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reply_over_the_limit_ends_its_call_and_no_other() {
    let server = Peer::builder()
        .pull("/big", |_, n: usize| async move { Ok("x".repeat(n)) })
        .unwrap()
        .build()
        .unwrap();
    let client = Peer::builder().limits(Limits::default().with_max_body(1000)).build().unwrap();
    let session = client.connect(&server).await.unwrap();
    let error = session.pull("/big").body(&200_000).await.unwrap_err();
    assert!(error.is_limit(), "{error}");
    assert!(error.to_string().contains("over the limit of 1000 (setting `limits.max_body`)"), "{error}");
    assert_eq!(session.pull("/big").body(&10).await.unwrap().decode::<String>().unwrap().len(), 10);
    // And one that is too large to be sent.
    let error = session.pull("/big").body("y".repeat(2000).as_str()).await.unwrap_err();
    assert!(error.is_limit() && !error.may_have_run(), "{error}");
}

#[tokio::test]
async fn what_a_handler_sends_before_it_answers_goes_out_before_its_answer() {
    let server = Peer::builder()
        .pull("/subscribe", |cx: Context, ()| async move {
            cx.session().push("/event").body(&1).await?;
            Ok(2)
        })
        .unwrap()
        .build()
        .unwrap();
    let (mut raw, _session) = RawPeer::connect(&server).await;
    raw.pull("1", "/subscribe", Body::None).await;
    let (first, second) = (raw.receive().await, raw.receive().await);
    assert_eq!((first.kind(), second.kind()), (Kind::PUSH, Kind::REPLY));
}

/// Counts the wakers that are kept.
struct Counted;

impl std::task::Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn whoever_stops_waiting_for_the_end_leaves_nothing_behind() {
    let (_raw, session) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
    let counted = Arc::new(Counted);
    let waker = counted.clone().into();
    for _ in 0..3 {
        let mut closed = std::pin::pin!(session.closed());
        assert!(closed.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        assert_eq!(Arc::strong_count(&counted), 3, "it waits");
    }
    assert_eq!(Arc::strong_count(&counted), 2);
}

#[tokio::test]
async fn a_close_timeout_without_end_is_one() {
    let timeouts = Timeouts::default().with_close(Duration::MAX).with_pull(Duration::MAX);
    let peer = Peer::builder().timeouts(timeouts).build().unwrap();
    let (raw, session) = RawPeer::connect(&peer).await;
    drop(raw);
    session.closed().await;
    assert!(session.pull("/x").await.unwrap_err().is_closed());
}

#[tokio::test]
#[should_panic(expected = "a push was polled after it had ended")]
async fn a_push_is_sent_once() {
    let (_raw, session) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
    let mut push = session.push("/x").body(&1);
    (&mut push).await.unwrap();
    let _ = (&mut push).await;
}

/// It would hold the session's reader, and with it all other calls.
#[tokio::test]
async fn a_handler_that_computes_for_long_gets_a_task_of_its_own_until_it_is_quick_again() {
    let compute = |_: Context, long: bool| async move {
        let began = Instant::now();
        while long && began.elapsed() < Duration::from_millis(1) {
            std::hint::spin_loop();
        }
        Ok(format!("{}", tokio::task::id()))
    };
    let server = Peer::builder().pull("/compute", compute).unwrap().build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    let task_of = async |long: bool| -> String {
        session.pull("/compute").body(&long).await.unwrap().decode().unwrap()
    };
    let reader = task_of(false).await;
    assert_eq!(task_of(true).await, reader, "nobody can know before it has run");
    let tries = 0..10_000;
    let mut slow = tries.clone();
    while task_of(true).await == reader {
        slow.next().expect("it goes on in the reader's task");
    }
    let mut quick = tries;
    while task_of(false).await != reader {
        quick.next().expect("it never comes back to the reader's task");
    }
}
