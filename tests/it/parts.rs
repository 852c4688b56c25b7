//! Large bodies that go in parts, between which small packets pass.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;

use teleport::wire::{self, Body, Features, Header, HeaderCodecs, Kind, Limits, Packet, PacketId};
use teleport::{Peer, PeerBuilder, Session};
use teleport_tests::RawPeer;
use tokio::task::JoinHandle;

const LARGE: usize = 1024 * 1024;

fn peer() -> PeerBuilder {
    Peer::builder()
        .pull("/download", |_, ()| async { Ok("x".repeat(LARGE)) })
        .unwrap()
        .pull("/echo", |_, text: String| async move { Ok(text) })
        .unwrap()
}

/// Tells the peer what the raw side understands, with a pull whose answer is dropped.
async fn announce(raw: &mut RawPeer, features: Features) {
    let header =
        Header { features, ..Header::new(PacketId::Text("hello".into()), Kind::PULL, "/nobody/there") };
    raw.send_packet(&header, Body::None).await;
    assert_eq!(raw.receive().await.code(), 404);
}

/// Calls with a large body; more than the connection takes before it is read from.
fn call_with_large_body(session: &Session) -> JoinHandle<teleport::Result<()>> {
    let session = session.clone();
    tokio::spawn(async move { session.pull("/large").body(&"x".repeat(LARGE)).await.map(drop) })
}

/// Reads packets until the one that `is_last`; what each was, and the parts put together.
async fn read_until(raw: &mut RawPeer, is_last: impl Fn(&Packet, usize) -> bool) -> (Vec<String>, Vec<u8>) {
    let (mut seen, mut whole) = (Vec::new(), Vec::new());
    loop {
        let packet = raw.receive().await;
        if packet.kind() == Kind::PART {
            whole.extend_from_slice(packet.body().payload());
        }
        let name = if packet.kind() == Kind::PART { "part" } else { packet.uri() };
        seen.push(name.to_owned());
        if is_last(&packet, whole.len()) {
            return (seen, whole);
        }
    }
}

fn read_whole(bytes: &[u8]) -> (Packet, usize) {
    let limits = Limits::default();
    let (_, length) = wire::read(bytes, &HeaderCodecs::default(), &limits).unwrap().expect("it is whole");
    (Packet::from_frame(bytes.to_vec(), &HeaderCodecs::default(), &limits).unwrap(), length)
}

#[tokio::test]
async fn a_small_call_passes_a_large_one() {
    let (mut raw, session) = RawPeer::connect(&peer().build().unwrap()).await;
    announce(&mut raw, Features::PARTS).await;
    let large = call_with_large_body(&session);
    // The first part: the call is on its way, and stuck.
    assert_eq!(raw.receive().await.kind(), Kind::PART);
    let mut small = pin!(session.pull("/small").into_future());
    assert!(poll_fn(|cx| Poll::Ready(small.as_mut().poll(cx).is_pending())).await);
    let (seen, whole) = read_until(&mut raw, |packet, _| packet.uri() == "/small").await;
    assert!(whole.len() < LARGE / 2, "it waited for {} bytes: {seen:?}", whole.len());
    large.abort();
}

#[tokio::test]
async fn parts_are_one_packet_of_the_same_bytes() {
    let (mut raw, session) = RawPeer::connect(&peer().build().unwrap()).await;
    announce(&mut raw, Features::PARTS).await;
    let large = call_with_large_body(&session);
    let (seen, whole) = read_until(&mut raw, |_, length| length > LARGE).await;
    assert!(seen.len() > 2 && seen.iter().all(|name| name == "part"), "{seen:?}");
    let (packet, length) = read_whole(&whole);
    assert_eq!(length, whole.len());
    assert_eq!((packet.kind(), packet.uri()), (Kind::PULL, "/large"));
    assert_eq!(packet.body().payload().len(), LARGE + 2, "a JSON text");
    large.abort();
}

#[tokio::test]
async fn a_large_reply_is_passed_as_well() {
    let (mut raw, _session) = RawPeer::connect(&peer().build().unwrap()).await;
    announce(&mut raw, Features::PARTS).await;
    raw.pull("1", "/download", Body::None).await;
    assert_eq!(raw.receive().await.kind(), Kind::PART);
    raw.pull("2", "/echo", Body::Payload { codec: b'j', payload: b"\"hi\"" }).await;
    let (seen, whole) = read_until(&mut raw, |packet, _| packet.uri() == "/echo").await;
    assert!(whole.len() < LARGE / 2, "it waited for {} bytes: {seen:?}", whole.len());
}

#[tokio::test]
async fn one_that_has_announced_nothing_gets_packets_of_the_specification() {
    for features in [Features::NONE, Features::new(!Features::PARTS.bits())] {
        let (mut raw, session) = RawPeer::connect(&peer().build().unwrap()).await;
        announce(&mut raw, features).await;
        let large = call_with_large_body(&session);
        let packet = raw.receive().await;
        assert_eq!((packet.kind(), packet.uri()), (Kind::PULL, "/large"));
        raw.pull("1", "/download", Body::None).await;
        let reply = raw.receive().await;
        assert_eq!((reply.kind(), reply.uri()), (Kind::REPLY, "/download"));
        large.abort();
    }
}

/// A push that was sent first is handled first, however large it is.
#[tokio::test]
async fn pushes_keep_their_order() {
    let (mut raw, session) = RawPeer::connect(&peer().build().unwrap()).await;
    announce(&mut raw, Features::PARTS).await;
    session.push("/first").body(&"x".repeat(LARGE)).await.unwrap();
    session.push("/second").await.unwrap();
    let (seen, _) = read_until(&mut raw, |packet, _| packet.uri() == "/second").await;
    assert_eq!(seen, ["/first", "/second"]);
}

#[tokio::test]
async fn what_is_understood_is_announced_once_in_each_kind_of_packet() {
    let features = |frame: &[u8]| {
        wire::read(frame, &HeaderCodecs::default(), &Limits::default()).unwrap().unwrap().0.header.features
    };
    for announced in [Features::ALL, Features::NONE] {
        let (mut raw, session) = RawPeer::connect(&peer().features(announced).build().unwrap()).await;
        for expected in [announced, Features::NONE] {
            session.push("/x").await.unwrap();
            assert_eq!(features(&raw.try_receive_frame().await.unwrap()), expected);
        }
        for expected in [announced, Features::NONE] {
            raw.pull("1", "/download/nothing", Body::None).await;
            assert_eq!(features(&raw.try_receive_frame().await.unwrap()), expected);
        }
    }
}

/// What a handler would answer if it were stopped is made beforehand, and announces nothing.
#[tokio::test]
async fn what_is_understood_is_announced_where_the_first_handler_waits() {
    let server = Peer::builder().pull("/later", |_, ()| async {
        tokio::task::yield_now().await;
        Ok(())
    });
    let (mut raw, _session) = RawPeer::connect(&server.unwrap().build().unwrap()).await;
    raw.pull("1", "/later", Body::None).await;
    let frame = raw.try_receive_frame().await.unwrap();
    let (reply, _) = wire::read(&frame, &HeaderCodecs::default(), &Limits::default()).unwrap().unwrap();
    assert_eq!((reply.header.code, reply.header.features), (200, Features::ALL));
}

#[tokio::test]
async fn large_bodies_both_ways_arrive_beside_small_ones() {
    let (a, b) = (peer().build().unwrap(), peer().build().unwrap());
    b.listen("127.0.0.1:0").await.unwrap();
    let session = a.dial(b.local_addr().unwrap()).await.unwrap();
    session.pull("/echo").body("hello").await.unwrap();
    let calls: Vec<_> = (0..40)
        .map(|n| {
            let session = session.clone();
            let text = "y".repeat(if n % 4 == 0 { LARGE + n } else { n });
            tokio::spawn(async move {
                let reply = session.pull("/echo").body(&text).await.unwrap();
                assert!(reply.decode::<String>().unwrap() == text, "another text came back");
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}
