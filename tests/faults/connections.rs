//! A connection that breaks, stands still or loses a direction, and a server that is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use teleport::plugins::Heartbeat;
use teleport::{Delivery, Error, Initiator, Limits, Peer, PeerBuilder, Redial, Session, Timeouts};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::child::Server;
use crate::proxy::{Fault, Faults, Proxy};
use crate::{PATIENCE, report};

/// A server behind a proxy, a session to it, and how often its handlers were asked.
struct Line {
    server: Peer,
    session: Session,
    asked: Arc<AtomicUsize>,
    /// Lets `/wait` answer.
    open: Arc<Notify>,
    _client: Peer,
    _proxy: Proxy,
}

async fn line(there: Fault, back: Fault, client: PeerBuilder, server: PeerBuilder) -> Line {
    let (asked, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, gate) = (asked.clone(), open.clone());
    let server = server
        .pull("/echo", move |_, text: String| {
            count.fetch_add(1, Ordering::SeqCst);
            async move { Ok(text) }
        })
        .and_then(|it| {
            it.pull("/wait", move |_, ()| {
                let gate = gate.clone();
                async move {
                    gate.notified().await;
                    Ok("waited")
                }
            })
        })
        .and_then(|it| it.pull("/long", |_, length: usize| async move { Ok("x".repeat(length)) }))
        .and_then(|it| it.build())
        .unwrap();
    server.listen("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(server.local_addr().unwrap().to_string(), Faults { there, back }).await;
    let client = client.build().unwrap();
    let session = client.dial(&proxy.address).await.unwrap();
    Line { server, session, asked, open, _client: client, _proxy: proxy }
}

fn plain() -> PeerBuilder {
    Peer::builder()
}

fn hasty(read: Duration) -> PeerBuilder {
    Peer::builder().timeouts(Timeouts::default().with_read(read).with_pull(None))
}

/// Waits for an end that has to come, and not for longer than is reasonable.
async fn ends(session: &Session) -> String {
    timeout(PATIENCE, session.closed()).await.expect("the session ends");
    session.close_reason().unwrap().into_owned()
}

async fn is_forgotten(server: &Peer) {
    let began = Instant::now();
    while !server.sessions().is_empty() {
        assert!(began.elapsed() < PATIENCE, "the server keeps its session");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn fails(session: &Session, uri: &str, body: &impl serde::Serialize) -> Error {
    let call = session.pull(uri);
    timeout(PATIENCE, async { call.body(body).await }).await.expect("the call ends").unwrap_err()
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_reply() {
    let line = line(Fault::None, Fault::Reset(1000), plain(), plain()).await;
    let began = Instant::now();
    let error = fails(&line.session, "/long", &100_000).await;
    report("reset inside a reply", began.elapsed(), "");
    assert!(error.is_closed() && error.may_have_run(), "{error}");
    assert_eq!(error.initiator(), Initiator::Remote);
    let reason = ends(&line.session).await;
    assert!(reason.starts_with("the connection was lost while reading: "), "{reason}");
    assert!(error.to_string().contains(&reason), "{error}");
    is_forgotten(&line.server).await;
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_pull() {
    let line = line(Fault::Reset(1000), Fault::None, plain(), plain()).await;
    let began = Instant::now();
    let error = fails(&line.session, "/echo", &"x".repeat(100_000)).await;
    report("reset inside a pull", began.elapsed(), "");
    // Nobody on this side can know how much of it arrived.
    assert!(error.is_closed() && error.may_have_run(), "{error}");
    let reason = ends(&line.session).await;
    assert!(reason.starts_with("the connection was lost while "), "{reason}");
    is_forgotten(&line.server).await;
    assert_eq!(line.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_reply_that_stands_still() {
    // By default the call ends first, and the session lives on.
    let line = line(Fault::None, Fault::Stall(1000), hasty(Duration::from_millis(400)), plain()).await;
    let began = Instant::now();
    let call = line.session.pull("/long").timeout(Duration::from_millis(50)).body(&100_000);
    let error = call.await.unwrap_err();
    assert!(error.is_timeout() && error.may_have_run(), "{error}");
    // Then the session, with all that waits for it.
    let error = fails(&line.session, "/wait", &()).await;
    report("stall inside a reply, read timeout 400 ms", began.elapsed(), "");
    assert!(error.is_closed() && error.may_have_run(), "{error}");
    assert_eq!(error.initiator(), Initiator::Library);
    let reason = ends(&line.session).await;
    assert_eq!(reason, "the rest of a packet has not come for 400ms (setting `timeouts.read`)");
}

#[tokio::test]
async fn a_pull_that_stands_still() {
    let line = line(Fault::Stall(1000), Fault::None, plain(), hasty(Duration::from_millis(300))).await;
    let began = Instant::now();
    let error = fails(&line.session, "/echo", &"x".repeat(100_000)).await;
    report("stall inside a pull, read timeout of the server 300 ms", began.elapsed(), "");
    assert!(error.is_closed() && error.may_have_run(), "{error}");
    assert_eq!(error.initiator(), Initiator::Remote);
    is_forgotten(&line.server).await;
    assert_eq!(line.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_byte_at_a_time() {
    let trickle = Fault::Trickle(Duration::ZERO);
    let line = line(trickle, trickle, plain(), plain()).await;
    let text = "x".repeat(10_000);
    let began = Instant::now();
    let reply = line.session.pull("/echo").body(&text).await.unwrap().decode::<String>().unwrap();
    report("10 kB there and back, a byte at a time", began.elapsed(), "");
    assert_eq!(reply, text);
}

#[tokio::test]
async fn a_byte_at_a_time_and_too_slowly() {
    let trickle = Fault::Trickle(Duration::from_millis(20));
    let server = hasty(Duration::from_millis(400)).limits(Limits::default().with_min_rate(100_000));
    let line = line(trickle, Fault::None, plain(), server).await;
    let at_server = loop {
        match line.server.sessions().all().pop() {
            Some(session) => break session,
            None => tokio::task::yield_now().await,
        }
    };
    let began = Instant::now();
    let error = fails(&line.session, "/echo", &"x".repeat(100_000)).await;
    report("a byte every 20 ms, read timeout 400 ms", began.elapsed(), "");
    assert!(error.is_closed() && error.may_have_run(), "{error}");
    let reason = ends(&at_server).await;
    assert!(reason.starts_with("a packet came so slowly that "), "{reason}");
    assert_eq!(line.asked.load(Ordering::SeqCst), 0);
}

/// Between two packets: the other side has nothing more to ask, and is answered what it asked.
#[tokio::test]
async fn one_direction_ends_between_packets() {
    let length = {
        let header = teleport::wire::Header::new(
            teleport::wire::PacketId::Text("0".into()),
            teleport::wire::Kind::PULL,
            "/wait",
        );
        let features = teleport::wire::Features::NONE;
        let header = teleport::wire::Header { features, ..header };
        teleport_tests::packet(b'p', &header, teleport_tests::json("null")).len()
    };
    let client = plain().features(teleport::wire::Features::NONE);
    let line = line(Fault::End(length), Fault::None, client, plain()).await;
    let began = Instant::now();
    let session = line.session.clone();
    let call = tokio::spawn(async move { session.pull("/wait").no_timeout().body(&()).await });
    // The server learns of the end, and its handler goes on.
    let at_server = loop {
        match line.server.sessions().all().pop() {
            Some(session) if !session.is_open() => break session,
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
        assert!(began.elapsed() < PATIENCE);
    };
    line.open.notify_one();
    assert_eq!(call.await.unwrap().unwrap().decode::<String>().unwrap(), "waited");
    assert_eq!(ends(&at_server).await, "the other side closed the connection");
    assert_eq!(ends(&line.session).await, "the other side closed the connection");
    report("half-close between packets", began.elapsed(), "");
}

#[tokio::test]
async fn one_direction_ends_inside_a_packet() {
    let line = line(Fault::End(1000), Fault::None, plain(), plain()).await;
    let began = Instant::now();
    let error = fails(&line.session, "/echo", &"x".repeat(100_000)).await;
    report("half-close inside a pull", began.elapsed(), "");
    assert!(error.is_closed() && error.may_have_run(), "{error}");
    assert_eq!(error.initiator(), Initiator::Remote);
    is_forgotten(&line.server).await;
    assert_eq!(line.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nothing_arrives() {
    let server = plain().timeouts(Timeouts::default().with_first_packet(Duration::from_millis(300)));
    let line = line(Fault::Drop(0), Fault::None, plain(), server).await;
    let began = Instant::now();
    let error = line.session.pull("/echo").timeout(Duration::from_millis(100)).body(&"x").await.unwrap_err();
    assert!(error.is_timeout() && error.may_have_run(), "{error}");
    assert!(line.session.is_open());
    // Who hears nothing ends it, in good order.
    let reason = ends(&line.session).await;
    assert!(reason.starts_with("the other side "), "{reason}");
    report("what is sent is lost, first packet within 300 ms", began.elapsed(), "");
    is_forgotten(&line.server).await;
    assert_eq!(line.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nothing_comes_back() {
    let client = plain().plugin(Heartbeat::every(Duration::from_millis(50)));
    let server = plain().plugin(Heartbeat::answering());
    let line = line(Fault::None, Fault::Drop(0), client, server).await;
    let began = Instant::now();
    let call = line.session.pull("/echo").no_timeout();
    let error = timeout(PATIENCE, async { call.body(&"x").await }).await.unwrap().unwrap_err();
    report("what is answered is lost, a heartbeat every 50 ms", began.elapsed(), "");
    assert!(error.is_closed() && error.may_have_run(), "{error}");
    assert_eq!(error.initiator(), Initiator::Library);
    // It did run, and nothing but a heartbeat tells the caller that it will never know.
    assert_eq!(line.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_is_killed() {
    let mut server = Server::start(&[]).await;
    let client = Peer::builder().build().unwrap();
    let plain = client.dial(&server.address).await.unwrap();
    let redial = Redial::default().with_first_pause(Duration::from_millis(5)).with_factor(1);
    let lasting = client.dial(&server.address).redial(redial).await.unwrap();
    let waits = |session: &Session| {
        let session = session.clone();
        tokio::spawn(async move { session.pull("/never").no_timeout().await.map(drop) })
    };
    let calls = [waits(&plain), waits(&lasting)];
    while plain.pulls_in_flight() + lasting.pulls_in_flight() < 2 {
        tokio::task::yield_now().await;
    }
    // Answered after the others, so that these are there.
    plain.pull("/echo").body(&"x").await.unwrap();
    lasting.pull("/echo").body(&"x").await.unwrap();
    let began = Instant::now();
    server.kill();
    for call in calls {
        let error = timeout(PATIENCE, call).await.expect("the call ends").unwrap().unwrap_err();
        assert!((error.is_closed() || error.is_down()) && error.may_have_run(), "{error}");
        assert_eq!(error.initiator(), Initiator::Remote);
    }
    report("kill -9 of the server", began.elapsed(), "");
    ends(&plain).await;
    let error = plain.pull("/echo").body(&"x").await.unwrap_err();
    assert_eq!(error.delivery(), Some(Delivery::NotSent), "{error}");
    assert!(client.dial(&server.address).await.unwrap_err().is_io());
    // Whoever comes after it at the same address is found.
    let waiting = tokio::spawn(async move { lasting.pull("/echo").no_timeout().body(&"again").await });
    let began = Instant::now();
    let again = Server::start_at(server.address.trim_start_matches("tcp://"), &[]).await;
    let reply = timeout(PATIENCE, waiting).await.expect("it is answered").unwrap().unwrap();
    report("a call over a session that redials, until another server is there", began.elapsed(), "");
    assert_eq!(reply.decode::<String>().unwrap(), "again");
    drop(again);
}
