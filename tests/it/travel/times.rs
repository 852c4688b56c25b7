//! What a side does with the time that a call has.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;

fn timed<'a>(id: &'a str, uri: &'a str, timeout_ms: u32) -> Header<'a> {
    Header { timeout_ms, ..pull(id, uri) }
}

fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_time_is_up_is_stopped_and_answered_for() {
    let (mouth, mut ears) = listen();
    let (mut raw, _session) = RawPeer::connect(&waiting(&mouth, &gate()).build().unwrap()).await;
    let began = Instant::now();
    raw.send_packet(&timed("1", "/wait", 1500), Body::None).await;
    let reply = raw.receive().await;
    assert_eq!((reply.code(), began.elapsed().as_millis() / 10), (504, 150));
    assert_eq!(reply.status(), "the time that the caller of /wait gave it was up: it was stopped");
    assert_eq!((ears.hear().await, ears.hear().await), ("wait begins".into(), "wait is stopped".into()));
    is_alive(&mut raw).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_to_be_stopped_takes_its_time() {
    let ((mouth, mut ears), gate) = (listen(), gate());
    let (mut raw, _session) = RawPeer::connect(&waiting(&mouth, &gate).build().unwrap()).await;
    raw.send_packet(&timed("1", "/work", 1500), Body::None).await;
    sleep(Duration::from_secs(10)).await;
    gate.add_permits(1);
    assert_eq!(raw.receive().await.code(), 200);
    assert_eq!((ears.hear().await, ears.hear().await), ("work begins".into(), "work ends".into()));
}

#[tokio::test(start_paused = true)]
async fn who_waited_in_line_for_too_long_does_not_run() {
    let ((mouth, mut ears), gate) = (listen(), gate());
    let limits = teleport::Limits::default().with_max_pulls_in(1);
    let (mut raw, _session) = RawPeer::connect(&waiting(&mouth, &gate).limits(limits).build().unwrap()).await;
    raw.send_packet(&pull("1", "/gate"), Body::None).await;
    raw.send_packet(&timed("2", "/work", 1500), Body::None).await;
    raw.send_packet(&timed("3", "/quick", 60_000), Body::None).await;
    sleep(Duration::from_secs(10)).await;
    gate.add_permits(1);
    let mut codes = Vec::new();
    for _ in 0..3 {
        let reply = raw.receive().await;
        codes.push((reply.id().number().unwrap(), reply.code()));
    }
    codes.sort_unstable();
    assert_eq!(codes, [(1, 200), (2, 504), (3, 200)]);
    assert_eq!((ears.hear().await, ears.hear().await), ("gate begins".into(), "gate ends".into()));
    assert!(ears.is_silent(), "it has not run");
}

#[tokio::test(start_paused = true)]
async fn a_handler_knows_its_time_and_its_trace() {
    let know = |cx: Context, ()| async move {
        let at_once = knows(&cx);
        sleep(Duration::from_secs(1)).await;
        Ok(format!("{at_once}; {}", knows(&cx)))
    };
    for features in [Features::ALL, Features::NONE] {
        let peer = Peer::builder().features(features).pull("/know", know).unwrap().build().unwrap();
        let (mut raw, _session) = RawPeer::connect(&peer).await;
        for (header, expected) in [
            (timed("1", "/know", 5000), "Some(5.0), not traced; Some(4.0), not traced"),
            (Header { trace: Some(Box::new(trace())), ..pull("2", "/know") }, "None, traced; None, traced"),
            (pull("3", "/know"), "None, not traced; None, not traced"),
        ] {
            raw.send_packet(&header, json("null")).await;
            let reply = raw.receive().await;
            let none = "None, not traced; None, not traced";
            let expected = if features == Features::ALL { expected } else { none };
            assert_eq!(reply.body().payload(), format!("{expected:?}").as_bytes());
        }
    }
}

/// A packet may be too large to be handled where it was read.
#[tokio::test(start_paused = true)]
async fn a_large_packet_brings_the_same() {
    let know = |cx: Context, text: String| async move { Ok(format!("{}, {}", knows(&cx), text.len())) };
    let peer = Peer::builder().pull("/know", know).unwrap().build().unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer).await;
    let header = Header { trace: Some(Box::new(trace())), ..timed("1", "/know", 5000) };
    let text = format!("\"{}\"", "x".repeat(300_000));
    raw.send_packet(&header, json(&text)).await;
    assert_eq!(raw.receive().await.body().payload(), b"\"Some(5.0), traced, 300000\"");
}

#[tokio::test(start_paused = true)]
async fn a_push_has_a_trace_and_no_time() {
    let (mouth, mut ears) = listen();
    let peer = Peer::builder()
        .push("/know", move |cx: Context, ()| {
            mouth.say(knows(&cx));
            async {}
        })
        .unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer.build().unwrap()).await;
    let push = Header::new(PacketId::Text("1".into()), Kind::PUSH, "/know");
    let push = Header { timeout_ms: 5000, trace: Some(Box::new(trace())), ..push };
    raw.send_packet(&push, json("null")).await;
    assert_eq!(ears.hear().await, "None, traced");
}
