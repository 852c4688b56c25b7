//! What a side sends, to whom.

use std::time::Duration;

use super::*;

#[teleport::service]
trait Shop {
    #[pull(timeout = "5s")]
    async fn price(&self) -> Result<u32, Status>;
}

fn peer() -> Peer {
    Peer::builder().build().unwrap()
}

/// Makes a pull and gives it up as soon as it is on its way.
async fn give_up(call: impl Future<Output = teleport::Result<impl Sized>>) {
    tokio::select! {
        biased;
        _ = call => panic!("nobody answers"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn a_side_that_announced_nothing_gets_the_bytes_of_the_specification() {
    for (announced, own) in [(Features::NONE, Features::ALL), (Features::ALL, Features::NONE)] {
        let peer = Peer::builder().features(own).build().unwrap();
        let (mut raw, session) = RawPeer::connect(&peer).await;
        announce(&mut raw, announced).await;
        give_up(session.pull("/a").timeout(Duration::from_secs(1)).traceparent(trace())).await;
        session.push("/b").traceparent(trace()).await.unwrap();
        give_up(session.pull("/c").timeout(Duration::from_secs(1)).traceparent(trace())).await;
        session.push("/d").await.unwrap();
        let first = Header { features: own, ..pull("0", "/a") };
        assert_eq!(raw.try_receive_frame().await.unwrap(), packet(b'p', &first, Body::None));
        for (id, kind, uri) in [("0", Kind::PUSH, "/b"), ("1", Kind::PULL, "/c"), ("1", Kind::PUSH, "/d")] {
            let plain = Header::new(PacketId::Text(id.into()), kind, uri);
            assert_eq!(raw.try_receive_frame().await.unwrap(), packet(b'p', &plain, Body::None));
        }
    }
}

#[tokio::test]
async fn each_is_sent_to_a_side_that_has_announced_it_and_no_other() {
    for features in [Features::DEADLINE, Features::CANCEL, Features::TRACE, Features::ALL] {
        let (mut raw, session) = RawPeer::connect(&peer()).await;
        announce(&mut raw, features).await;
        give_up(session.pull("/a").timeout(Duration::from_millis(1500)).traceparent(trace())).await;
        session.push("/b").traceparent(trace()).await.unwrap();
        let traced = features.contains(Features::TRACE).then(|| Box::new(trace()));
        let told = header(&mut raw).await;
        assert_eq!(told.timeout_ms, if features.contains(Features::DEADLINE) { 1500 } else { 0 });
        assert_eq!((&*told.uri, told.trace), ("/a", traced.clone()));
        if features.contains(Features::CANCEL) {
            assert_eq!(header(&mut raw).await, Header::new(PacketId::Text("0".into()), Kind::CANCEL, ""));
        }
        let told = header(&mut raw).await;
        assert_eq!((&*told.uri, told.timeout_ms, told.trace), ("/b", 0, traced));
    }
}

#[tokio::test]
async fn what_is_told_is_the_time_that_is_not_the_usual_one() {
    let (mut raw, session) = RawPeer::connect(&peer()).await;
    announce(&mut raw, Features::DEADLINE).await;
    let shop = ShopClient::new(&session);
    give_up(session.pull("/usual")).await;
    give_up(session.pull("/never").no_timeout()).await;
    give_up(shop.price()).await;
    give_up(shop.price().timeout(Duration::from_micros(10))).await;
    // A time too far off to be counted is none.
    give_up(session.pull("/sealed").sealed(teleport::SealedBody::none()).timeout(Duration::MAX)).await;
    give_up(session.pull("/long").timeout(Duration::from_secs(1 << 40))).await;
    let mut told = Vec::new();
    for _ in 0..6 {
        told.push(header(&mut raw).await.timeout_ms);
    }
    assert_eq!(told, [0, 0, 5000, 1, 0, u32::MAX]);
}

/// The time in which it waits for room is gone.
#[tokio::test(start_paused = true)]
async fn what_is_told_is_the_time_that_is_left() {
    let limits = teleport::Limits::default().with_max_pulls_out(1);
    let (mut raw, session) = RawPeer::connect(&Peer::builder().limits(limits).build().unwrap()).await;
    announce(&mut raw, Features::DEADLINE).await;
    let first = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/first").await.map(drop) }
    });
    assert_eq!(header(&mut raw).await.timeout_ms, 0);
    let second =
        tokio::spawn(async move { session.pull("/second").timeout(Duration::from_secs(10)).await.map(drop) });
    tokio::time::sleep(Duration::from_secs(4)).await;
    first.abort();
    let told = header(&mut raw).await;
    assert_eq!((&*told.uri, told.timeout_ms), ("/second", 6000));
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn a_timeout_says_that_nobody_waits_any_more() {
    let (mut raw, session) = RawPeer::connect(&peer()).await;
    announce(&mut raw, Features::ALL).await;
    let began = tokio::time::Instant::now();
    assert!(session.pull("/usual").await.unwrap_err().is_timeout());
    assert_eq!(header(&mut raw).await.uri, "/usual");
    let told = header(&mut raw).await;
    assert_eq!((told.kind, told.id), (Kind::CANCEL, PacketId::Text("0".into())));
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn who_has_its_reply_says_nothing() {
    let (mut raw, session) = RawPeer::connect(&peer()).await;
    announce(&mut raw, Features::ALL).await;
    for id in ["0", "1"] {
        let called = tokio::spawn({
            let session = session.clone();
            async move { session.pull("/a").await.map(drop) }
        });
        assert_eq!(header(&mut raw).await.id, PacketId::Text(id.into()));
        let reply = Header { code: 200, status: "OK".into(), ..pull(id, "/a") };
        raw.send_packet(&Header { kind: Kind::REPLY, ..reply }, Body::None).await;
        called.await.unwrap().unwrap();
    }
    session.push("/b").await.unwrap();
    assert_eq!(header(&mut raw).await.uri, "/b");
}

/// What is ready in case that it never answers is thrown away.
#[tokio::test]
async fn the_first_reply_announces_also_where_its_handler_had_to_wait() {
    let later = |_: Context, ()| async {
        tokio::task::yield_now().await;
        Ok(())
    };
    let (mut raw, _session) =
        RawPeer::connect(&Peer::builder().pull("/later", later).unwrap().build().unwrap()).await;
    for expected in [Features::ALL, Features::NONE] {
        raw.send_packet(&pull("1", "/later"), Body::None).await;
        assert_eq!(header(&mut raw).await.features, expected);
    }
}

/// Small packets pass those that go in parts: one that names such a pull must not.
#[tokio::test]
async fn the_word_about_a_pull_in_parts_comes_behind_it() {
    let (mut raw, session) = RawPeer::connect(&peer()).await;
    announce(&mut raw, Features::PARTS | Features::CANCEL).await;
    give_up(session.pull("/large").body(&"x".repeat(1 << 20))).await;
    let (codecs, limits) = (HeaderCodecs::default(), Limits::default());
    let mut whole = Vec::new();
    loop {
        let part = raw.receive().await;
        assert_eq!(part.kind(), Kind::PART);
        whole.extend_from_slice(part.body().payload());
        let Some((packet, length)) = wire::read(&whole, &codecs, &limits).unwrap() else { continue };
        assert_eq!(packet.header.uri, "/large");
        if let Some((packet, _)) = wire::read(&whole[length..], &codecs, &limits).unwrap() {
            assert_eq!((packet.header.kind, packet.header.id), (Kind::CANCEL, PacketId::Text("0".into())));
            break;
        }
    }
    give_up(session.pull("/small")).await;
    assert_eq!((header(&mut raw).await.uri, header(&mut raw).await.kind), ("/small".into(), Kind::CANCEL));
}
