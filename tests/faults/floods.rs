//! Peers that take and give nothing: who reads nothing, who says nothing, who says too much, and what that costs a server.

use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use teleport::wire::{Body, Header, Kind, PacketId};
use teleport::{Delivery, Peer};
use teleport_tests::{json, packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::child::Server;
use crate::{PATIENCE, report};

const MIB: usize = 1024 * 1024;

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address.trim_start_matches("tcp://")).await.unwrap()
}

fn bytes(kind: Kind, uri: &str, body: Body<'_>) -> Vec<u8> {
    packet(b'p', &Header::new(PacketId::Text("1".into()), kind, uri), body)
}

/// Waits until the server has closed the connection, whatever comes before that.
async fn is_closed(stream: &mut TcpStream) {
    let mut bytes = [0; 64 * 1024];
    let end = async { while !matches!(stream.read(&mut bytes).await, Ok(0) | Err(_)) {} };
    timeout(PATIENCE, end).await.expect("the server closes the connection");
}

#[tokio::test]
async fn a_client_that_never_reads() {
    let server = Server::start(&[
        ("LIMITS__MAX_QUEUED", "256 KiB"),
        ("LIMITS__MAX_PULLS_IN", "16"),
        ("TIMEOUTS__WRITE", "400ms"),
    ])
    .await;
    let before = server.memory().await;
    let began = Instant::now();
    let mut stream = connect(&server).await;
    // Each answer is 100 kB; a gigabyte of them is asked for.
    let asks = bytes(Kind::PULL, "/long", json("100000")).repeat(10_000);
    let sent = tokio::spawn(async move {
        let sent = stream.write_all(&asks).await;
        (stream, sent)
    });
    let mut most = 0;
    while server.number("/sessions").await < 2 {
        tokio::task::yield_now().await;
    }
    while server.number("/sessions").await == 2 {
        most = most.max(server.memory().await.0);
        assert!(began.elapsed() < PATIENCE, "it is cut off");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    let (mut stream, _) = sent.await.unwrap();
    is_closed(&mut stream).await;
    let (held, after) = (most.saturating_sub(before.0), server.memory().await.0.saturating_sub(before.0));
    report(
        "a client that never reads, write timeout 400 ms",
        took,
        &format!(", {} KiB at most, {} KiB after", held / 1024, after / 1024),
    );
    // Queued, what the handlers hold of answers, and what waits in line.
    assert!(held < 8 * MIB, "{held}");
    assert!(after < 2 * MIB, "{after}");
}

#[tokio::test]
async fn a_flood_of_pushes() {
    const PUSHES: u64 = 50_000;
    let server = Server::start(&[("LIMITS__MAX_PULLS_IN", "16"), ("LIMITS__MAX_QUEUED", "256 KiB")]).await;
    let before = server.memory().await.0;
    let text = format!("\"{}\"", "x".repeat(1000));
    let push = bytes(Kind::PUSH, "/tell", json(&text));
    let mut stream = connect(&server).await;
    let flood = push.repeat(usize::try_from(PUSHES).unwrap());
    let began = Instant::now();
    let flooding = tokio::spawn(async move {
        stream.write_all(&flood).await.unwrap();
        stream
    });
    // The first handlers wait, and the rest stands in line, until that is full and nothing more is read.
    let (mut last, mut same, mut most) = (0, 0, 0);
    while same < 20 {
        let now = server.memory().await.0;
        most = most.max(now);
        same = if now.abs_diff(last) < 16 * 1024 && now > before + 256 * 1024 { same + 1 } else { 0 };
        last = now;
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(!flooding.is_finished(), "50 MB were taken");
    assert_eq!(server.number("/told").await, 0);
    // Other sessions are not held up.
    server.session.pull("/echo").body(&"x").await.unwrap();
    let held = most.saturating_sub(before);
    assert!(held < 4 * MIB, "{held}");
    // None is lost.
    server.session.pull("/open").await.unwrap();
    server.until("/told", |told| told == PUSHES).await;
    report(
        "a flood of 50 000 pushes of 1 kB whose handlers wait",
        began.elapsed(),
        &format!(", {} KiB while it is held back", held / 1024),
    );
    drop(flooding.await.unwrap());
}

/// So many connects that say nothing: what each costs, and that nothing of them is kept.
async fn silent(count: usize) {
    let limit = getrlimit(Resource::Nofile);
    let needed = count as u64 + 200;
    if limit.maximum.is_some_and(|most| most < needed) {
        println!("left out: {count} connections need {needed} file descriptors, and {limit:?} is allowed");
        return;
    }
    if limit.current.is_some_and(|now| now < needed) {
        setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(needed), ..limit }).unwrap();
    }
    // Long enough for all to be there at once.
    let server = Server::start(&[("TIMEOUTS__FIRST_PACKET", "1h")]).await;
    let (before, resident) = server.memory().await;
    let began = Instant::now();
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        streams.push(connect(&server).await);
    }
    server.until("/sessions", |sessions| sessions == count as u64 + 1).await;
    let took = began.elapsed();
    let (held, resident_now) = server.memory().await;
    let each = held.saturating_sub(before) / count;
    let of_process = resident_now.saturating_sub(resident) * 1024 / count;
    // Others are served meanwhile.
    let client = Peer::builder().build().unwrap();
    let asked = Instant::now();
    client.dial(&server.address).await.unwrap().pull("/echo").body(&"x").await.unwrap();
    let served = asked.elapsed();
    client.close().await;
    drop(streams);
    server.until("/sessions", |sessions| sessions == 1).await;
    let after = server.memory().await.0.saturating_sub(before);
    report(
        &format!("{count} connects that say nothing"),
        took,
        &format!(
            ", {each} B allocated and {of_process} B of the process each, another is served within {} ms, {} KiB after",
            served.as_millis(),
            after / 1024
        ),
    );
    // Without optimisation, which makes tasks large.
    assert!(each < 16 * 1024, "{each}");
    assert!(after / count < 1024, "{after}");
}

#[tokio::test]
async fn five_hundred_connects_that_send_nothing() {
    silent(500).await;
}

#[tokio::test]
#[ignore = "takes 10 200 file descriptors, and half a minute on a slow machine"]
async fn ten_thousand_connects_that_send_nothing() {
    silent(10_000).await;
}

#[tokio::test]
async fn connects_that_send_nothing_are_closed() {
    let server = Server::start(&[("TIMEOUTS__FIRST_PACKET", "300ms")]).await;
    let began = Instant::now();
    let mut streams = Vec::new();
    for n in 0..50 {
        let mut stream = connect(&server).await;
        if n % 2 == 0 {
            // Bytes that are no packet yet count for nothing.
            stream.write_all(&[0, 0]).await.unwrap();
        }
        streams.push(stream);
    }
    for stream in &mut streams {
        is_closed(stream).await;
    }
    report("connects that say nothing, first packet within 300 ms", began.elapsed(), "");
    server.until("/sessions", |sessions| sessions == 1).await;
}

#[tokio::test]
async fn a_listener_out_of_file_descriptors() {
    let server = Server::with_files(64).await;
    let (before, _) = server.memory().await;
    let began = Instant::now();
    // The system takes them for the listener; not all get a session.
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(connect(&server).await);
    }
    let first = server.until("/failed", |failed| failed > 0).await;
    let sessions = server.number("/sessions").await;
    assert!((10..64).contains(&sessions), "{sessions}");
    // It tries again now and then, and not without a pause: at 50 ms each, this many take at least so long.
    let at = Instant::now();
    let last = server.until("/failed", |failed| failed >= first + 5).await;
    let tries = u32::try_from(last - first).unwrap();
    assert!(at.elapsed() >= (tries - 1) * Duration::from_millis(50), "{tries} in {:?}", at.elapsed());
    // The log has not grown by a warning for each.
    assert_eq!(server.number("/warned").await, 1);
    // Who has a session is served.
    server.session.pull("/echo").body(&"x").await.unwrap();
    // Who has none waits in the system's line, and is served once others have left.
    let client = Peer::builder().build().unwrap();
    let waits = client.dial(&server.address).await.unwrap();
    let error = waits.pull("/echo").timeout(Duration::from_millis(100)).body(&"x").await.unwrap_err();
    assert!(error.is_timeout() && error.delivery() != Some(Delivery::NotSent), "{error}");
    let took = began.elapsed();
    drop(streams);
    let left = Instant::now();
    timeout(PATIENCE, async { waits.pull("/echo").no_timeout().body(&"x").await }).await.unwrap().unwrap();
    let held = server.memory().await.0.saturating_sub(before);
    report(
        "a listener out of file descriptors, until others have left",
        left.elapsed(),
        &format!(", {sessions} sessions within {} ms, {} KiB after", took.as_millis(), held / 1024),
    );
}
