//! Sessions that stand still: who says nothing, who reads nothing, and who is done and does not leave.

use std::time::Duration;

use teleport::wire::{Body, Features, Header, Kind, PacketId};
use teleport::{Connection, Initiator, Limits, Peer, Session, Timeouts};
use teleport_tests::{RawPeer, json, packet};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn peer(timeouts: Timeouts) -> Peer {
    Peer::builder()
        .timeouts(timeouts)
        .pull("/echo", |_, n: u64| async move {
            sleep(second(n)).await;
            Ok(n)
        })
        .unwrap()
        .build()
        .unwrap()
}

/// How many seconds the session stays from now on.
async fn stays(session: &Session) -> u64 {
    let began = Instant::now();
    timeout(second(10_000), session.closed()).await.expect("it ends");
    began.elapsed().as_secs()
}

fn reason(session: &Session) -> String {
    session.close_reason().unwrap().into_owned()
}

#[tokio::test(start_paused = true)]
async fn who_connects_and_says_nothing_is_not_waited_for() {
    let server = peer(Timeouts::default());
    let (mut raw, session) = RawPeer::connect(&server).await;
    // A byte is no packet.
    session.set_read_timeout(None);
    raw.send(&[0]).await;
    let stayed = stays(&session).await;
    assert!((120..=128).contains(&stayed), "{stayed}");
    assert_eq!(
        reason(&session),
        "nothing was said within 120s of connecting (setting `timeouts.first_packet`)"
    );
    assert!(server.sessions().is_empty());
    // Who has said something may be silent for far longer, and so may whoever was spoken to.
    let (mut raw, session) = RawPeer::connect(&server).await;
    raw.pull("1", "/echo", json("0")).await;
    raw.receive().await;
    let (_other, spoken_to) = RawPeer::connect(&server).await;
    spoken_to.push("/hello").await.unwrap();
    // Whoever dialed knows what it waits for.
    let (_near, far) = tokio::io::duplex(1000);
    let dialed = server.attach_dialed(Connection::from_stream(far, "test://a", "test://b")).await.unwrap();
    sleep(second(3000)).await;
    assert!(session.is_open() && spoken_to.is_open() && dialed.is_open());
    // None waits for ever.
    let (_raw, session) = RawPeer::connect(&peer(Timeouts::default().with_first_packet(None))).await;
    sleep(second(3000)).await;
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_idle_is_closed() {
    let server = peer(Timeouts::default().with_idle(second(100)).with_pull(None));
    let client = Peer::builder().build().unwrap();
    let session = client.connect(&server).await.unwrap();
    let far = server.sessions().all().pop().unwrap();
    for _ in 0..5 {
        session.pull("/echo").body(&0).await.unwrap();
        sleep(second(99)).await;
    }
    // Nothing passes while a handler works, and that is not idle.
    assert_eq!(session.pull("/echo").no_timeout().body(&1000).await.unwrap().decode::<u64>().unwrap(), 1000);
    let stayed = stays(&far).await;
    assert!((99..=126).contains(&stayed), "{stayed}");
    assert_eq!(reason(&far), "nothing was said for 100s (setting `timeouts.idle`)");
    // The other side sees a session that was closed in good order.
    session.closed().await;
    let error = session.pull("/echo").await.unwrap_err();
    assert!(error.is_closed() && !error.may_have_run(), "{error}");
    assert_eq!(error.initiator(), Initiator::Remote);
}

#[tokio::test(start_paused = true)]
async fn by_default_an_idle_session_stays_for_an_hour() {
    let server = peer(Timeouts::default());
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    session.pull("/echo").body(&0).await.unwrap();
    let stayed = stays(&session).await;
    assert!((3600..=3630).contains(&stayed), "{stayed}");
}

/// A session whose other side reads nothing, with more to say than the connection takes.
async fn stuck(peer: &Peer) -> (tokio::io::DuplexStream, Session) {
    let (near, far) = tokio::io::duplex(64);
    let session = peer.attach(Connection::from_stream(far, "test://a", "test://b")).await.unwrap();
    session.push("/long").body(&"x".repeat(1000)).await.unwrap();
    (near, session)
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_cut_off() {
    let peer = peer(Timeouts::default());
    let (_near, session) = stuck(&peer).await;
    let call = {
        let session = session.clone();
        tokio::spawn(async move { session.pull("/waits").no_timeout().await })
    };
    let stayed = stays(&session).await;
    assert!((30..=44).contains(&stayed), "{stayed}");
    let text =
        "the other side has taken nothing of what waits to be written for 30s (setting `timeouts.write`)";
    assert_eq!(reason(&session), text);
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_closed() && error.reason().contains("timeouts.write"), "{error}");
    assert_eq!(error.initiator(), Initiator::Library);
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_is_waited_for() {
    let peer = peer(Timeouts::default());
    let (near, session) = stuck(&peer).await;
    let mut raw = RawPeer::new(near);
    for _ in 0..15 {
        sleep(second(29)).await;
        let mut bytes = [0; 64];
        tokio::io::AsyncReadExt::read_exact(raw.stream(), &mut bytes).await.unwrap();
    }
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn who_begins_a_packet_and_does_not_end_it_is_cut_off() {
    let peer = peer(Timeouts::default());
    let packet = packet(b'p', &Header::new(PacketId::Text("1".into()), Kind::PULL, "/echo"), json("0"));
    let (mut raw, session) = RawPeer::connect(&peer).await;
    raw.send(&packet).await;
    raw.receive().await;
    // Byte by byte it may take longer than any silence may last.
    for byte in &packet {
        sleep(second(1)).await;
        raw.send(&[*byte]).await;
    }
    raw.receive().await;
    // A call in flight, or time between packets, is nothing to be waited for.
    let call = {
        let session = session.clone();
        tokio::spawn(async move { session.pull("/waits").no_timeout().await })
    };
    raw.receive().await;
    sleep(second(1000)).await;
    assert!(session.is_open());
    raw.send(&packet[..packet.len() - 1]).await;
    let stayed = stays(&session).await;
    assert!((30..=44).contains(&stayed), "{stayed}");
    assert_eq!(reason(&session), "the rest of a packet has not come for 30s (setting `timeouts.read`)");
    let error = call.await.unwrap().unwrap_err();
    assert!(error.is_closed() && error.may_have_run(), "{error}");

    // One that is too large and read past, one that comes in parts, in a part and between two.
    let mut large = packet.clone();
    let body = packet.len() - 6;
    large[body..body + 4].copy_from_slice(&[0xff; 4]);
    let parts = [&[0, 0, 0, 3, b'p', 16, 16, 0, 0, 0, 9, 0][..], &packet[..8]].concat();
    for begin in [&large[..], &parts[..parts.len() - 1], &parts[..], &packet[..1]] {
        let (mut raw, session) = RawPeer::connect(&peer).await;
        session.set_read_timeout(second(2));
        raw.send(begin).await;
        let stayed = stays(&session).await;
        assert!((2..=3).contains(&stayed), "{stayed}");
    }
    let (mut raw, session) = RawPeer::connect(&peer).await;
    session.set_read_timeout(None);
    raw.send(&packet[..1]).await;
    sleep(second(100)).await;
    assert!(session.is_open());
}

/// Whole or in parts, kept or read past: a byte now and then does not keep it open.
#[tokio::test(start_paused = true)]
async fn who_sends_a_packet_byte_by_byte_is_cut_off() {
    let peer = peer(Timeouts::default());
    let text = format!("\"{}\"", "x".repeat(1000));
    let packet = packet(b'p', &Header::new(PacketId::Text("1".into()), Kind::PULL, "/echo"), json(&text));
    let body = packet.len() - text.len() - 5;
    let mut large = packet.clone();
    large[body..body + 4].copy_from_slice(&[0xff; 4]);
    let parts = [&[0, 0, 0, 3, b'p', 16, 16, 0, 0, 2, 1, 0][..], &packet[..0x200]].concat();
    for bytes in [&packet, &large, &parts] {
        let (mut raw, session) = RawPeer::connect(&peer).await;
        let began = Instant::now();
        for byte in bytes.iter().take(800) {
            raw.stream().write_all(&[*byte]).await.ok();
            sleep(Duration::from_millis(200)).await;
            if !session.is_open() {
                break;
            }
        }
        let stayed = began.elapsed().as_secs();
        // A second for each 256 bytes, and what is read past counts as another packet.
        assert!((30..=48).contains(&stayed), "{stayed}");
        let reason = reason(&session);
        assert!(reason.starts_with("a packet came so slowly that "), "{reason}");
        assert!(reason.ends_with("(settings `timeouts.read` and `limits.min_rate`)"), "{reason}");
    }
    // At the rate it is waited for.
    let timeouts = Timeouts::default().with_first_packet(None);
    let limits = Limits::default().with_min_rate(4);
    let peer = Peer::builder().limits(limits).timeouts(timeouts).build().unwrap();
    let (mut raw, session) = RawPeer::connect(&peer).await;
    for byte in &packet {
        raw.send(&[*byte]).await;
        sleep(Duration::from_millis(250)).await;
    }
    assert!(session.is_open());
    assert_eq!(raw.receive().await.code(), 404);
}

#[tokio::test(start_paused = true)]
async fn each_session_may_have_its_own() {
    let peer = peer(Timeouts::default());
    let (_near, hasty) = stuck(&peer).await;
    let (_far, patient) = stuck(&peer).await;
    hasty.set_write_timeout(second(2));
    patient.set_write_timeout(None);
    let stayed = stays(&hasty).await;
    assert!((2..=3).contains(&stayed), "{stayed}");
    assert!(reason(&hasty).contains("for 2s (setting `timeouts.write`)"), "{}", reason(&hasty));
    sleep(second(3600)).await;
    assert!(patient.is_open());
    // Idle ones too, while another one keeps the hour.
    let client = Peer::builder().build().unwrap();
    let (short, long) = (client.connect(&peer).await.unwrap(), client.connect(&peer).await.unwrap());
    short.pull("/echo").body(&0).await.unwrap();
    long.pull("/echo").body(&0).await.unwrap();
    short.set_idle_timeout(second(8));
    let stayed = stays(&short).await;
    assert!((8..=11).contains(&stayed), "{stayed}");
    assert!(long.is_open());
}

/// So that a pull of the other side that crosses the end is known as not run.
#[tokio::test(start_paused = true)]
async fn who_is_not_waited_for_is_told_that_it_is_over() {
    let server = peer(Timeouts::default().with_idle(second(200)));
    for speaks in [false, true] {
        let (mut raw, session) = RawPeer::connect(&server).await;
        if speaks {
            let features = Features::ALL;
            let pull = Header { features, ..Header::new(PacketId::Text("1".into()), Kind::PULL, "/echo") };
            raw.send_packet(&pull, json("0")).await;
            assert!(raw.receive().await.kind().is_reply());
        }
        assert_eq!(
            raw.try_receive().await.map(|last| last.uri().to_owned()).as_deref(),
            Some("teleport:farewell")
        );
        assert!(raw.try_receive().await.is_none());
        drop(raw);
        session.closed().await;
    }
}

/// It says that it shuts down, waits for its own handlers, and is never heard of again.
#[tokio::test(start_paused = true)]
async fn who_is_about_to_close_and_does_not_is_not_waited_for() {
    let server = peer(Timeouts::default().with_idle(second(100)));
    let (mut raw, session) = RawPeer::connect(&server).await;
    let refusal = Header::new(PacketId::Text("-".into()), Kind::REPLY, "teleport:not-taken");
    raw.send_packet(&Header { code: 503, status: "closing".into(), ..refusal }, Body::None).await;
    let stayed = timeout(second(1000), stays(&session)).await.expect("it ends");
    assert!((99..=131).contains(&stayed), "{stayed}");
}
