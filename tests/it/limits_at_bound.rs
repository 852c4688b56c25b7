//! Each bound by its bytes: what is one below it passes, what is at it passes, and what is one above it does not.
//!
//! Of those that are not here, `max_body` is in `raw.rs`, `max_handshakes` in `tls/strangers.rs`, `max_held` in `pressure.rs`,
//! and `max_queued`, `min_rate` and the times are in the unit tests beside the code, `patience.rs` has these from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use teleport::wire::{Body, Header, Kind, PacketId};
use teleport::{Delivery, Limits, Peer, Status, gzip};
use teleport_tests::{RawPeer, json, packet};
use tokio::sync::Semaphore;

/// Lists in lists, and nothing else.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Nested(Vec<Nested>);

fn server(limits: Limits) -> Peer {
    Peer::builder()
        .pull("/length", |_, text: String| async move { Ok(text.len()) })
        .and_then(|it| it.pull("/nothing", |_, ()| async { Ok(()) }))
        .and_then(|it| it.pull("/nested", |_, Nested(_)| async { Ok(()) }))
        .and_then(|it| it.limits(limits).build())
        .unwrap()
}

/// Sends one packet and tells what is answered.
async fn answer(limits: Limits, bytes: &[u8]) -> (i32, String) {
    let server = server(limits);
    let (mut raw, _session) = RawPeer::connect(&server).await;
    raw.send(bytes).await;
    let reply = raw.receive().await;
    (reply.code(), reply.status().to_owned())
}

fn pull(uri: &str, body: Body<'_>) -> Vec<u8> {
    packet(b'p', &Header::new(PacketId::Text("1".into()), Kind::PULL, uri), body)
}

#[tokio::test]
async fn a_header_of_so_many_bytes() {
    let bytes = pull(&format!("/nothing?{}", "x".repeat(100)), Body::None);
    let length = u32::from_be_bytes(*bytes.first_chunk().unwrap());
    for (most, fits) in [(length - 1, false), (length, true), (length + 1, true)] {
        let server = server(Limits::default().with_max_header(most).with_max_uri(most - 1));
        let (mut raw, session) = RawPeer::connect(&server).await;
        raw.send(&bytes).await;
        let reply = raw.try_receive().await;
        // At the bound the header of the reply, which is a little longer, may be the one that has no room.
        assert_eq!(reply.is_some(), fits, "{most}");
        if !fits {
            session.closed().await;
            let reason = session.close_reason().unwrap();
            assert!(reason.contains("setting `limits.max_header`"), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_uri_of_so_many_bytes() {
    let uri = "/nothing?twenty=bytes";
    let length = u32::try_from(uri.len()).unwrap();
    for (most, code) in [(length - 1, 400), (length, 200), (length + 1, 200)] {
        let (is, status) = answer(Limits::default().with_max_uri(most), &pull(uri, Body::None)).await;
        assert_eq!(is, code, "{most}: {status}");
        let says = format!("over the limit of {most} (setting `limits.max_uri`)");
        assert_eq!(status.contains(&says), code == 400, "{status}");
    }
}

#[tokio::test]
async fn a_body_that_inflates_to_so_many_bytes() {
    let text = format!("\"{}\"", "x".repeat(998));
    let mut deflated = Vec::new();
    gzip::deflate(9, text.as_bytes(), &mut deflated).unwrap();
    let header = Header { gzip: 9, ..Header::new(PacketId::Text("1".into()), Kind::PULL, "/length") };
    let bytes = packet(b'p', &header, Body::Payload { codec: b'j', payload: &deflated });
    for (most, code) in [(999, 413), (1000, 200), (1001, 200)] {
        let (is, status) = answer(Limits::default().with_max_inflated(most), &bytes).await;
        assert_eq!(is, code, "{most}: {status}");
        assert_eq!(status.contains("setting `limits.max_inflated`"), code == 413, "{status}");
    }
}

#[tokio::test]
async fn values_that_are_nested_so_deep() {
    let nested = |depth: usize| pull("/nested", json(&("[".repeat(depth) + &"]".repeat(depth))));
    for (most, depth, code) in [
        (20, 19, 200),
        (20, 20, 200),
        (20, 21, 400),
        // JSON has a bound of its own.
        (128, 126, 200),
        (128, 127, 200),
        (128, 128, 400),
        (512, 128, 400),
    ] {
        let (is, status) = answer(Limits::default().with_max_depth(most), &nested(depth)).await;
        assert_eq!(is, code, "{depth} of {most}: {status}");
        if code == 400 {
            let says = if most == 20 { "setting `limits.max_depth`" } else { "recursion limit" };
            assert!(status.contains(says), "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_pulls_of_this_side() {
    let peer = Peer::builder().limits(Limits::default().with_max_pulls_out(3)).build().unwrap();
    let (mut raw, session) = RawPeer::connect(&peer).await;
    for _ in 0..3 {
        let session = session.clone();
        tokio::spawn(async move { session.pull("/waits").no_timeout().await });
        assert_eq!(raw.receive().await.uri(), "/waits");
    }
    let error = session.pull("/more").timeout(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.is_limit() && error.delivery() == Some(Delivery::NotSent), "{error}");
    assert!(error.to_string().contains("setting `limits.max_pulls_out`"), "{error}");
}

#[tokio::test]
async fn so_many_handlers_that_wait() {
    let (running, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (count, open) = (running.clone(), gate.clone());
    let wait = move |_, ()| {
        let (count, open) = (count.clone(), open.clone());
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            open.acquire().await.unwrap().forget();
            Ok::<_, Status>(())
        }
    };
    let peer = Peer::builder().pull("/wait", wait).unwrap();
    let peer = peer.limits(Limits::default().with_max_pulls_in(3)).build().unwrap();
    for (pulls, run) in [(2, 2), (3, 3), (4, 3)] {
        running.store(0, Ordering::SeqCst);
        let (mut raw, _session) = RawPeer::connect(&peer).await;
        for n in 0..pulls {
            raw.pull(&n.to_string(), "/wait", Body::None).await;
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(running.load(Ordering::SeqCst), run, "{pulls}");
        gate.add_permits(pulls);
        for _ in 0..pulls {
            assert_eq!(raw.receive().await.code(), 200);
        }
        assert_eq!(running.load(Ordering::SeqCst), pulls);
    }
}

#[tokio::test]
async fn so_many_sessions() {
    let peer = server(Limits::default().with_max_sessions(3));
    let connection = || {
        let (near, far) = tokio::io::duplex(100);
        (near, teleport::Connection::from_stream(far, "test://a", "test://b"))
    };
    let mut kept = Vec::new();
    for _ in 0..3 {
        let (near, connection) = connection();
        kept.push((near, peer.attach(connection).await.unwrap()));
    }
    let (_near, one_more) = connection();
    let error = peer.attach(one_more).await.unwrap_err();
    assert!(error.is_limit() && error.to_string().contains("setting `limits.max_sessions`"), "{error}");
    // A place that is free again is given again.
    kept.pop().unwrap().1.close().await;
    let (_near, another) = connection();
    peer.attach(another).await.unwrap();
}
