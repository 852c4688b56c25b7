//! The reverse proxy: what passes through it, byte by byte, and what it says where nothing does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use teleport::plugins::Auth;
use teleport::wire::{Body, Header, Kind, Packet, PacketId};
use teleport::{
    Clients, Code, Context, IdFormat, JsonHeader, Limits, Peer, PeerBuilder, ReverseProxy, SealedBody,
    Session, Status, Timeouts, Upstream,
};
use teleport_tests::{RawPeer, json, packet};
use tokio::sync::{Semaphore, mpsc};

/// "1" with gzip as the original writes it: flushed, never closed.
const FLUSHED: [u8; 18] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 0x32, 4, 0, 0, 0, 0xff, 0xff, 0];

/// A client and a backend, both nothing but bytes, and a gateway between them.
struct Between {
    client: RawPeer,
    backend: RawPeer,
    /// The gateway's session with the client, and the one with the backend.
    down: Session,
    up: Session,
}

impl Between {
    async fn new() -> Self {
        Self::with(Peer::builder(), Peer::builder(), |upstream| upstream).await
    }

    async fn with(
        front: PeerBuilder,
        dialer: PeerBuilder,
        change: impl FnOnce(Upstream) -> Upstream,
    ) -> Self {
        let (backend, up) = RawPeer::connect(&dialer.build().unwrap()).await;
        let proxy = ReverseProxy::to(change(Upstream::from(&up))).unwrap();
        let (client, down) = RawPeer::connect(&gateway(front, proxy)).await;
        Between { client, backend, down, up }
    }

    /// One pull there; what the backend gets of it.
    async fn pull(&mut self, header: &Header<'_>, body: Body<'_>) -> Packet {
        self.client.send_packet(header, body).await;
        self.backend.receive().await
    }

    /// The reply of the backend to this pull; what the client gets of it.
    async fn reply(&mut self, pull: &Packet, reply: Header<'_>, body: Body<'_>) -> Packet {
        let reply = Header { id: pull.id(), kind: Kind::REPLY, uri: pull.uri().into(), ..reply };
        self.backend.send_packet(&reply, body).await;
        self.client.receive().await
    }
}

fn gateway(builder: PeerBuilder, proxy: ReverseProxy) -> Peer {
    builder.router(proxy.router()).unwrap().build().unwrap()
}

fn text(id: &str) -> PacketId<'_> {
    PacketId::Text(id.into())
}

fn pull(uri: &str) -> Header<'_> {
    Header::new(text("a"), Kind::PULL, uri)
}

fn ok() -> Header<'static> {
    Header { code: 200, status: "OK".into(), ..Header::default() }
}

/// Bodies of all kinds, most of which this side could not open.
fn bodies() -> Vec<(i32, Vec<u8>)> {
    let flushed = [b"j", &FLUSHED[..]].concat();
    let noise = |codec: u8, length: usize| -> Vec<u8> {
        std::iter::once(codec).chain((0..length).map(|n| (n * n % 251) as u8)).collect()
    };
    vec![
        (0, Vec::new()),
        (5, Vec::new()),
        (0, b"j".to_vec()),
        (0, vec![0, 1, 2]),
        (0, b"j{\"a\": 1 }".to_vec()),
        (5, flushed),
        // No gzip at all, and a level that is none.
        (9, b"pnot compressed".to_vec()),
        (77, b"\xffx".to_vec()),
        (i32::MIN, noise(b'?', 100)),
        (1, noise(b'b', 16 * 1024 - 1)),
        (0, noise(b'b', 16 * 1024)),
        (-1, noise(200, 60_000)),
        (0, noise(b's', 300_000)),
    ]
}

fn told(packet: &Packet) -> (i32, Vec<u8>) {
    (packet.gzip(), packet.body().as_bytes().to_vec())
}

#[tokio::test]
async fn bodies_pass_byte_by_byte_there_and_back() {
    let mut between = Between::new().await;
    for body in bodies() {
        let raw = Body::Raw(&body.1);
        let sent = between.pull(&Header { gzip: body.0, ..pull("/a") }, raw).await;
        assert_eq!(told(&sent), body);
        let reply = between.reply(&sent, Header { gzip: body.0, ..ok() }, raw).await;
        assert_eq!((reply.id(), reply.code(), reply.status()), (text("a"), 200, "OK"));
        assert_eq!(told(&reply), body);
    }
    // A reply has its own level and codec, whatever those of its pull were.
    for (there, back) in bodies().into_iter().zip(bodies().into_iter().rev()) {
        let sent = between.pull(&Header { gzip: there.0, ..pull("/a") }, Body::Raw(&there.1)).await;
        let reply = between.reply(&sent, Header { gzip: back.0, ..ok() }, Body::Raw(&back.1)).await;
        assert_eq!(told(&reply), back);
    }
}

#[tokio::test]
async fn pushes_pass_byte_by_byte_and_in_their_order() {
    let mut between = Between::new().await;
    for (n, body) in bodies().into_iter().enumerate() {
        let uri = format!("/push/{n}?%zz&&a=b#x");
        let kind = if n % 2 == 0 { Kind::PUSH } else { Kind::PUSH_ALT };
        let header = Header { gzip: body.0, ..Header::new(text("7"), kind, &*uri) };
        between.client.send_packet(&header, Body::Raw(&body.1)).await;
        let push = between.backend.receive().await;
        assert!(push.kind().is_push());
        assert_eq!((push.uri(), told(&push)), (&*uri, body));
    }
}

#[tokio::test]
async fn any_status_passes_with_its_text_and_its_body() {
    let mut between = Between::new().await;
    for (code, status, body) in [
        (1000, "own: é\n\"", &b""[..]),
        (404, "Not Found: nothing takes the pull /a", b""),
        (502, "from further on", b"x\0\xff"),
        (-7, "", b"j1"),
        (i32::MAX, "", b""),
        (0, "", b""),
        (200, "", b"j2"),
        (200, "fine", b"j3"),
    ] {
        for codec in *b"pj" {
            let sent = between.pull(&pull("/a"), Body::None).await;
            let header =
                Header { code, status: status.into(), gzip: 3, ..Header::new(sent.id(), Kind::REPLY, "/a") };
            between.backend.send(&packet(codec, &header, Body::Raw(body))).await;
            let reply = between.client.receive().await;
            assert_eq!((reply.code(), reply.status(), reply.gzip()), (code, status, 3));
            assert_eq!(reply.body().as_bytes(), body);
        }
    }
}

#[tokio::test]
async fn each_side_has_its_own_ids_and_headers() {
    let old = || Peer::builder().id_format(IdFormat::Sequence).header_codec(JsonHeader).unwrap();
    for (dialer, format, codec) in
        [(Peer::builder(), IdFormat::Text, b'p'), (old(), IdFormat::Sequence, b'j')]
    {
        let mut between = Between::with(Peer::builder(), dialer, |upstream| upstream).await;
        for (n, id) in [PacketId::Sequence(u64::MAX), text("é\"\n"), PacketId::Sequence(0)].iter().enumerate()
        {
            for header_codec in *b"pj" {
                let header = Header::new(id.clone(), Kind::PULL, "/a");
                between.client.send(&packet(header_codec, &header, json("1"))).await;
                let sent = between.backend.receive().await;
                assert_eq!((sent.id().format(), sent.header_codec()), (format, codec));
                let reply = between.reply(&sent, ok(), json("2")).await;
                assert_eq!((reply.id(), reply.header_codec()), (id.clone(), header_codec), "{n}");
            }
        }
    }
}

#[tokio::test]
async fn a_uri_passes_as_it_is_and_comes_back_so() {
    let mut between = Between::new().await;
    for uri in ["/", "/a?x=1&x=%zz&&=", "/caf%C3%A9/b+c?q=a+b", "//", "/a?/b?c"] {
        let sent = between.pull(&pull(uri), Body::None).await;
        assert_eq!(sent.uri(), uri);
        let reply = Header { uri: "/another".into(), ..ok() };
        let reply = Header { id: sent.id(), kind: Kind::REPLY, ..reply };
        between.backend.send(&packet(b'j', &reply, Body::None)).await;
        assert_eq!(between.client.receive().await.uri(), uri);
    }
    // What is no uri, or may mean something between peers, is refused before.
    for uri in ["/%zz", "no/slash", "", "teleport:farewell", "%2Fa"] {
        between.client.send_packet(&pull(uri), Body::None).await;
        assert_eq!(between.client.receive().await.code(), 400, "{uri}");
        between.client.send_packet(&Header::new(text("1"), Kind::PUSH, uri), Body::None).await;
    }
    assert_eq!(between.pull(&pull("/last"), Body::None).await.uri(), "/last");
}

#[tokio::test]
async fn handlers_of_the_gateway_come_first() {
    let front = Peer::builder().pull("/own", |_, ()| async { Ok("mine") }).unwrap();
    let mut between = Between::with(front, Peer::builder(), |upstream| upstream).await;
    between.client.send_packet(&pull("/own"), Body::None).await;
    assert_eq!(between.client.receive().await.body().payload(), b"\"mine\"");
    assert_eq!(between.pull(&pull("/other"), Body::None).await.uri(), "/other");
}

/// A peer that answers every pull with its name and the uri that it saw.
fn named(name: &'static str) -> Peer {
    let see = move |cx: Context, _: Option<String>| {
        let seen = format!("{name} {}", cx.uri());
        async move { Ok(seen) }
    };
    let mut builder = Peer::builder();
    for uri in ["/", "/get", "/users/get", "/users", "/v2/get"] {
        builder = builder.pull(uri, see).unwrap();
    }
    builder.build().unwrap()
}

async fn ask(session: &Session, uri: &str) -> teleport::Result<String> {
    session.pull(uri).await?.decode()
}

async fn fails(session: &Session, uri: &str) -> Status {
    session
        .pull(uri)
        .await
        .expect_err(uri)
        .status()
        .unwrap_or_else(|| panic!("{uri} ends with a status"))
        .clone()
}

#[tokio::test]
async fn the_longest_pattern_counts_and_paths_are_rewritten() {
    let dialer = Peer::builder().build().unwrap();
    let (a, b) = (named("a"), named("b"));
    let (to_a, to_b) = (dialer.connect(&a).await.unwrap(), dialer.connect(&b).await.unwrap());
    let proxy = ReverseProxy::new()
        .route("/users/**", &to_a)
        .unwrap()
        .rewrite("/b/**", "/**", &to_b)
        .unwrap()
        .rewrite("/b/two/**", "/v2/**", &to_b)
        .unwrap()
        .rewrite("/b/users", "/users", &to_b)
        .unwrap();
    let error = proxy.route("/users/**", &to_b).unwrap_err();
    assert!(error.is_conflict() && error.to_string().contains("/users"), "{error}");
    let proxy = ReverseProxy::new()
        .route("/users/**", &to_a)
        .unwrap()
        .rewrite("/b/**", "/**", &to_b)
        .unwrap()
        .rewrite("/b/two/**", "/v2/**", &to_b)
        .unwrap()
        .rewrite("/b/users", "/users", &to_b)
        .unwrap();
    let front = gateway(Peer::builder(), proxy);
    let session = dialer.connect(&front).await.unwrap();
    for (uri, seen) in [
        ("/users/get?x=1", "a /users/get?x=1"),
        ("/users", "a /users"),
        ("/%75sers/get", "a /%75sers/get"),
        ("/b/get?x", "b /get?x"),
        ("/b", "b /"),
        ("/b/two/get", "b /v2/get"),
        ("/b/users", "b /users"),
        ("/b/users/get", "b /users/get"),
    ] {
        assert_eq!(ask(&session, uri).await.unwrap(), seen);
    }
    let status = fails(&session, "/usersx?a").await;
    assert_eq!(status.to_string(), "404 Not Found: nothing takes the pull /usersx?a");
    let status = fails(&session, "/b/nowhere").await;
    assert_eq!(status.to_string(), "404 Not Found: nothing takes the pull /nowhere", "the backend's own");
}

#[tokio::test]
async fn what_can_not_be_used_is_told_when_it_is_given() {
    let peer = Peer::builder().build().unwrap();
    for (upstream, says) in [
        (Upstream::shared(&peer, "nowhere"), "no port"),
        (Upstream::per_client(Peer::builder(), "http://x:1"), "unknown scheme"),
        (
            Upstream::per_client(Peer::builder().limits(Limits::default().with_max_body(0)), ":1"),
            "limits.max_body",
        ),
    ] {
        let error = ReverseProxy::to(upstream).unwrap_err();
        assert!(error.is_config() && error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn an_upstream_that_ends_is_502_and_says_whether_the_call_may_have_run() {
    let mut between = Between::new().await;
    between.pull(&pull("/a"), Body::None).await;
    drop(between.backend);
    let reply = between.client.receive().await;
    assert_eq!((reply.code(), reply.gzip(), reply.body().is_none()), (502, 0, true));
    assert_eq!(
        reply.status(),
        "Bad Gateway: /a, for the upstream test://raw: closed: the other side closed the connection; sent, and may \
         have run"
    );
    between.client.send_packet(&pull("/b"), json("1")).await;
    let reply = between.client.receive().await;
    assert_eq!(reply.code(), 502);
    assert!(reply.status().ends_with("; it has not run"), "{}", reply.status());
    assert!(between.down.is_open() && !between.up.is_open());
}

#[tokio::test]
async fn an_upstream_that_can_not_be_reached_is_502() {
    // An address where nobody listens any more.
    let gone = Peer::builder().listen("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    gone.close().await;
    let dialer = Peer::builder().build().unwrap();
    let proxy = ReverseProxy::new()
        .route("/shared/**", Upstream::shared(&dialer, &address))
        .unwrap()
        .route("/named/**", Upstream::shared(&dialer, &address).named("users"))
        .unwrap()
        .route("/own/**", Upstream::per_client(Peer::builder(), &address))
        .unwrap();
    let front = gateway(Peer::builder(), proxy);
    let session = dialer.connect(&front).await.unwrap();
    for uri in ["/shared/a", "/own/a", "/own/a"] {
        let status = fails(&session, uri).await;
        assert_eq!(status.code(), Code::BAD_GATEWAY);
        let says = format!("Bad Gateway: {uri}, for the upstream: can't connect to {address}: ");
        assert!(status.text().starts_with(&says) && status.text().ends_with("; it has not run"), "{status}");
    }
    let status = fails(&session, "/named/a").await;
    assert_eq!(
        status.text(),
        "Bad Gateway: /named/a, for the upstream users: it can't be reached; it has not run"
    );
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_late_is_504() {
    let seconds = Duration::from_secs;
    let mut between = Between::with(Peer::builder(), Peer::builder(), |upstream| {
        upstream.named("slow").timeout(seconds(5))
    })
    .await;
    let before = tokio::time::Instant::now();
    let sent = between.pull(&pull("/a"), Body::None).await;
    let reply = between.client.receive().await;
    assert_eq!(before.elapsed(), seconds(5));
    assert_eq!(reply.code(), 504);
    assert_eq!(
        reply.status(),
        "Gateway Timeout: /a, for the upstream slow: no answer within 5s; sent, and may have run"
    );
    // Its reply comes too late, and is nobody's.
    let late = Header { id: sent.id(), kind: Kind::REPLY, ..ok() };
    between.backend.send_packet(&late, json("1")).await;
    let sent = between.pull(&pull("/b"), Body::None).await;
    assert_eq!(between.reply(&sent, ok(), json("2")).await.body().payload(), b"2");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_opened_in_time_is_504_and_the_default_is_30_seconds() {
    let never = |_: Peer, _: Session| std::future::pending();
    let proxy = ReverseProxy::new()
        .route("/own/**", Upstream::per_client_with(Peer::builder(), never))
        .unwrap()
        .route("/chosen/**", Upstream::choose(|_| std::future::pending::<Result<Session, Status>>()))
        .unwrap();
    let front = gateway(Peer::builder(), proxy);
    let session = Peer::builder().build().unwrap().connect(&front).await.unwrap();
    for uri in ["/own/a", "/chosen/a"] {
        let call = session.pull(uri).no_timeout().await;
        let status = call.unwrap_err().status().unwrap().clone();
        assert_eq!(
            status.to_string(),
            format!("504 Gateway Timeout: {uri}, for the upstream: no answer within 30s; it has not run")
        );
    }
    // A push that never gets on its way is let go, too.
    session.push("/own/b").await.unwrap();
    session.close().await;
}

#[tokio::test]
async fn what_is_over_a_limit_gets_the_status_of_the_limit() {
    let (small, middle) = (Limits::default().with_max_body(100), Limits::default().with_max_body(1000));
    let body = |bytes: usize| vec![b's'; bytes];
    // In front of the gateway.
    let mut between =
        Between::with(Peer::builder().limits(small.clone()), Peer::builder().limits(middle.clone()), |it| it)
            .await;
    between.client.send_packet(&pull("/a"), Body::Raw(&body(101))).await;
    let reply = between.client.receive().await;
    assert_eq!((reply.code(), reply.status().contains("limits.max_body")), (413, true), "{}", reply.status());
    // On the way back: over the upstream's limit, and over the client's only.
    for bytes in [1001, 101] {
        let sent = between.pull(&pull("/a"), Body::None).await;
        let reply = between.reply(&sent, ok(), Body::Raw(&body(bytes))).await;
        assert_eq!((reply.code(), reply.body().is_none()), (413, true));
        assert!(reply.status().contains("limits.max_body"), "{}", reply.status());
    }
    let sent = between.pull(&pull("/a"), Body::None).await;
    let reply = between.reply(&sent, Header { code: 1000, ..ok() }, Body::Raw(&body(101))).await;
    assert_eq!((reply.code(), reply.status()), (1000, "OK"), "a refusal is more than its body");
    // On the way there.
    let mut between =
        Between::with(Peer::builder().limits(middle), Peer::builder().limits(small), |it| it.named("it"))
            .await;
    between.client.send_packet(&pull("/a"), Body::Raw(&body(101))).await;
    let reply = between.client.receive().await;
    assert_eq!(reply.code(), 413);
    assert!(
        reply.status().contains("limits.max_body") && reply.status().ends_with("it has not run"),
        "{}",
        reply.status()
    );
    assert!(between.up.is_open() && between.down.is_open());
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_upstream() {
    let one = Peer::builder().limits(Limits::default().with_max_pulls_out(1));
    let (mut backend, up) = RawPeer::connect(&one.build().unwrap()).await;
    let front = gateway(Peer::builder(), ReverseProxy::to(&up).unwrap());
    let (mut first, down) = RawPeer::connect(&front).await;
    first.send_packet(&pull("/first"), Body::None).await;
    assert_eq!(backend.receive().await.uri(), "/first");
    let (mut second, _down) = RawPeer::connect(&front).await;
    second.send_packet(&pull("/second"), Body::None).await;
    tokio::task::yield_now().await;
    down.abort();
    assert_eq!(backend.receive().await.uri(), "/second", "the one place is free again");
}

/// Far within the close timeout, which is the time that handlers of a lost session get.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_frees_its_place_at_once() {
    let one = Peer::builder().limits(Limits::default().with_max_pulls_out(1));
    let (mut backend, up) = RawPeer::connect(&one.build().unwrap()).await;
    let timeouts = Timeouts::default().with_close(Duration::from_secs(1000));
    let front = gateway(Peer::builder().timeouts(timeouts), ReverseProxy::to(&up).unwrap());
    let (mut first, _down) = RawPeer::connect(&front).await;
    first.send_packet(&pull("/first"), Body::None).await;
    assert_eq!(backend.receive().await.uri(), "/first");
    let (mut second, _down) = RawPeer::connect(&front).await;
    second.send_packet(&pull("/second"), Body::None).await;
    // What is no packet ends the first one's session.
    first.send(b"GET / HTTP/1.1\r\n\r\n").await;
    let before = tokio::time::Instant::now();
    assert_eq!(backend.receive().await.uri(), "/second");
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_slow_upstream_holds_back_those_who_call_it() {
    let limits = Limits::default().with_max_pulls_in(4).with_max_queued(2000);
    let mut between = Between::with(Peer::builder().limits(limits), Peer::builder(), |it| it).await;
    let sending = {
        let mut client = between.client;
        tokio::spawn(async move {
            for n in 0..2000 {
                client.send_packet(&pull(&format!("/{n}")), Body::Raw(&[b's'; 100])).await;
            }
            client
        })
    };
    // Four are under way; the others wait in the line, and then in the pipe: 64 KiB of it, and the sender.
    let mut sent = Vec::new();
    for n in 0..4 {
        sent.push(between.backend.receive().await);
        assert_eq!(sent[n].uri(), format!("/{n}"));
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!sending.is_finished(), "the gateway has stopped reading");
    // One answered, one more comes.
    for n in 4..2000 {
        let next = sent.remove(0);
        let reply = Header { id: next.id(), kind: Kind::REPLY, ..ok() };
        between.backend.send_packet(&reply, Body::None).await;
        let more = between.backend.receive().await;
        assert_eq!(more.uri(), format!("/{n}"));
        sent.push(more);
    }
    let mut client = sending.await.unwrap();
    for _ in 0..1996 {
        assert_eq!(client.receive().await.code(), 200);
    }
}

/// Far more than the gateway may queue, and a backend that does not read: what waits keeps its order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_keep_their_order_where_the_upstream_is_full() {
    let dialer = Peer::builder().limits(Limits::default().with_max_queued(1000));
    let mut between = Between::with(Peer::builder(), dialer, |it| it).await;
    let mut client = between.client;
    let sending = tokio::spawn(async move {
        for n in 0..3000 {
            let header = Header::new(text("1"), Kind::PUSH, format!("/{n}"));
            client.send_packet(&header, Body::Raw(&vec![b's'; if n % 7 == 0 { 2000 } else { 10 }])).await;
        }
        client
    });
    for n in 0..3000 {
        assert_eq!(between.backend.receive().await.uri(), format!("/{n}"));
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    drop(sending.await.unwrap());
}

/// Sessions of their own to a backend that is nothing but bytes: each one that is opened comes out of the channel.
fn each_its_own() -> (Upstream, mpsc::UnboundedReceiver<(RawPeer, Session)>) {
    let (opened, sessions) = mpsc::unbounded_channel();
    let upstream = Upstream::per_client_with(Peer::builder(), move |peer, _| {
        let opened = opened.clone();
        async move {
            let (raw, session) = RawPeer::connect(&peer).await;
            opened.send((raw, session.clone())).unwrap();
            Ok(session)
        }
    });
    (upstream, sessions)
}

#[tokio::test]
async fn each_client_has_a_session_of_its_own_over_which_the_upstream_calls_it() {
    let (upstream, mut opened) = each_its_own();
    let front = gateway(Peer::builder(), ReverseProxy::to(upstream).unwrap());
    let mut pairs = Vec::new();
    for n in ["one", "two"] {
        let (mut client, down) = RawPeer::connect(&front).await;
        assert!(opened.try_recv().is_err(), "opened when the first packet comes");
        client.send_packet(&pull("/hello"), json(n)).await;
        let (mut backend, up) = opened.recv().await.unwrap();
        let hello = backend.receive().await;
        assert_eq!(hello.body().payload(), n.as_bytes());
        pairs.push((client, down, backend, up, hello.id().to_string()));
    }
    for (client, _, backend, ..) in &mut pairs {
        // Down to the client that the session belongs to: any body, and its reply back up.
        for body in bodies() {
            let header =
                Header { gzip: body.0, ..Header::new(PacketId::Sequence(9), Kind::PULL, "/down?a=%zz") };
            backend.send(&packet(b'j', &header, Body::Raw(&body.1))).await;
            let down = client.receive().await;
            assert_eq!((down.kind(), down.uri(), told(&down)), (Kind::PULL, "/down?a=%zz", body.clone()));
            let reply = Header { code: 1234, gzip: body.0, ..Header::new(down.id(), Kind::REPLY, "/down") };
            client.send_packet(&reply, Body::Raw(&body.1)).await;
            let up = backend.receive().await;
            assert_eq!((up.id(), up.header_codec(), up.code()), (PacketId::Sequence(9), b'j', 1234));
            assert_eq!(told(&up), body);
        }
        backend.send_packet(&Header::new(text("0"), Kind::PUSH, "/news"), json("1")).await;
        assert_eq!(client.receive().await.uri(), "/news");
        // One session serves all packets of its client.
        client.send_packet(&pull("/again"), Body::None).await;
        assert_eq!(backend.receive().await.uri(), "/again");
    }
    assert!(opened.try_recv().is_err());
    // What was called first is still answered.
    for (client, _, backend, _, id) in &mut pairs {
        let reply = Header { code: 200, ..Header::new(text(id), Kind::REPLY, "/hello") };
        backend.send_packet(&reply, json("2")).await;
        assert_eq!(client.receive().await.body().payload(), b"2");
    }
}

#[tokio::test]
async fn where_one_of_a_pair_leaves_the_other_is_closed_and_nobody_else() {
    let (upstream, mut opened) = each_its_own();
    let timeouts = Timeouts::default().with_close(Duration::from_secs(1000));
    let front = gateway(Peer::builder().timeouts(timeouts), ReverseProxy::to(upstream).unwrap());
    let mut pairs = Vec::new();
    for _ in 0..3 {
        let (mut client, down) = RawPeer::connect(&front).await;
        client.send_packet(&pull("/hello"), Body::None).await;
        let (mut backend, up) = opened.recv().await.unwrap();
        let hello = backend.receive().await.id().to_string();
        pairs.push((client, down, backend, up, hello));
    }
    // The client leaves.
    let (_client, down, mut backend, up, _) = pairs.remove(0);
    down.abort();
    // There may be a farewell.
    while let Some(packet) = backend.try_receive().await {
        assert!(packet.kind().is_reply(), "{}", packet.uri());
    }
    drop(backend);
    up.closed().await;
    // The upstream leaves while a call is under way: that is answered before the client is closed.
    let (mut client, down, backend, _, _) = pairs.remove(0);
    drop(backend);
    assert_eq!(client.receive().await.code(), 502);
    assert!(client.try_receive().await.is_none());
    drop(client);
    down.closed().await;
    let (_client, down, _backend, up, _) = &pairs[0];
    assert!(down.is_open() && up.is_open());
}

#[tokio::test]
async fn a_client_that_is_kept_gets_another_session() {
    let (upstream, mut opened) = each_its_own();
    let front = gateway(Peer::builder(), ReverseProxy::to(upstream.keep_client()).unwrap());
    let (mut client, down) = RawPeer::connect(&front).await;
    for round in 0..3 {
        client.send_packet(&pull("/hello"), Body::None).await;
        let (mut backend, up) = opened.recv().await.unwrap();
        assert_eq!(backend.receive().await.uri(), "/hello");
        backend.send_packet(&Header::new(text("0"), Kind::PUSH, "/down"), Body::None).await;
        assert_eq!(client.receive().await.uri(), "/down");
        if round == 1 {
            up.abort();
        } else {
            drop(backend);
        }
        assert_eq!(client.receive().await.code(), 502);
        up.closed().await;
    }
    assert!(down.is_open());
}

#[tokio::test]
async fn what_the_upstream_says_first_reaches_its_client() {
    // The backend greets before the gateway knows that the session is open.
    let (opened, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let upstream = Upstream::per_client_with(Peer::builder(), {
        let (opened, gate) = (opened.clone(), gate.clone());
        move |peer, _| {
            let (opened, gate) = (opened.clone(), gate.clone());
            async move {
                let (mut raw, session) = RawPeer::connect(&peer).await;
                for n in 0..10 {
                    raw.send_packet(&Header::new(text("0"), Kind::PUSH, format!("/greet/{n}")), json("1"))
                        .await;
                }
                tokio::spawn(async move {
                    opened.add_permits(1);
                    raw.receive().await;
                    std::future::pending::<()>().await;
                });
                gate.acquire().await.unwrap().forget();
                Ok(session)
            }
        }
    });
    let front = gateway(Peer::builder(), ReverseProxy::to(upstream).unwrap());
    let (mut client, _down) = RawPeer::connect(&front).await;
    client.send_packet(&pull("/hello"), Body::None).await;
    opened.acquire().await.unwrap().forget();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    for n in 0..10 {
        assert_eq!(client.receive().await.uri(), format!("/greet/{n}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_wait_for_a_session_in_their_order() {
    let gate = Arc::new(Semaphore::new(0));
    let (up, mut raws) = mpsc::unbounded_channel();
    let upstream = Upstream::per_client_with(Peer::builder(), {
        let gate = gate.clone();
        move |peer, _| {
            let (gate, up) = (gate.clone(), up.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                let (raw, session) = RawPeer::connect(&peer).await;
                up.send(raw).unwrap();
                Ok(session)
            }
        }
    });
    let front = gateway(Peer::builder(), ReverseProxy::to(upstream).unwrap());
    let (mut client, _down) = RawPeer::connect(&front).await;
    for n in 0..50 {
        let kind = if n % 3 == 0 { Kind::PULL } else { Kind::PUSH };
        client.send_packet(&Header::new(text("1"), kind, format!("/{n}")), Body::None).await;
    }
    tokio::task::yield_now().await;
    gate.add_permits(10);
    let mut raw = raws.recv().await.unwrap();
    for n in 0..50 {
        assert_eq!(raw.receive().await.uri(), format!("/{n}"));
    }
    assert!(raws.try_recv().is_err(), "one session was opened");
}

#[tokio::test]
async fn a_shared_session_is_opened_again_when_it_is_lost() {
    let backend = named("a");
    let address = backend.listen("127.0.0.1:0").await.unwrap();
    let dialer = Peer::builder().build().unwrap();
    let front = gateway(Peer::builder(), ReverseProxy::to(Upstream::shared(&dialer, address)).unwrap());
    assert!(dialer.sessions().is_empty(), "dialed when the first packet comes");
    let (one, two) = (dialer.connect(&front).await.unwrap(), dialer.connect(&front).await.unwrap());
    for _ in 0..3 {
        assert_eq!(ask(&one, "/get").await.unwrap(), "a /get");
        assert_eq!(ask(&two, "/get").await.unwrap(), "a /get");
        let all = dialer.sessions().all();
        let shared: Vec<_> = all.iter().filter(|session| session.remote_addr().tcp().is_some()).collect();
        assert_eq!(shared.len(), 1);
        shared[0].abort();
        shared[0].closed().await;
    }
}

#[tokio::test]
async fn clients_that_share_a_session_are_called_by_their_ids() {
    let clients = Clients::new("X-Client-ID");
    let (mut backend, up) =
        RawPeer::connect(&Peer::builder().router(clients.router()).unwrap().build().unwrap()).await;
    let proxy = ReverseProxy::to(Upstream::from(&up).with_clients(&clients)).unwrap();
    let front = gateway(Peer::builder(), proxy);
    let (mut one, down) = RawPeer::connect(&front).await;
    let (mut two, _down) = RawPeer::connect(&front).await;
    let mut ids = Vec::new();
    // One that a client makes up is taken out.
    for n in 0..3 {
        let client = if n == 1 { &mut two } else { &mut one };
        client.send_packet(&pull("/a?x=1&x-client-id=0-0"), Body::None).await;
        let sent = backend.receive().await;
        let id = sent.uri().strip_prefix("/a?X-Client-ID=").and_then(|rest| rest.strip_suffix("&x=1"));
        ids.push(id.unwrap_or_else(|| panic!("{}", sent.uri())).to_owned());
    }
    assert!(ids[0] == ids[2] && ids[0] != ids[1], "{ids:?}");
    assert_eq!(clients.get(&ids[0]), Some(down.clone()));
    for (client, id) in [(&mut one, &ids[0]), (&mut two, &ids[1])] {
        let uri = format!("/ask?a=%31&X-Client-ID={id}&b");
        backend.send_packet(&pull(&uri), Body::Raw(b"?\xff")).await;
        let ask = client.receive().await;
        assert_eq!((ask.uri(), ask.body().as_bytes()), ("/ask?a=%31&b", &b"?\xff"[..]));
        let reply = Header { code: 200, ..Header::new(ask.id(), Kind::REPLY, ask.uri()) };
        client.send_packet(&reply, json("1")).await;
        let reply = backend.receive().await;
        assert_eq!((reply.code(), reply.uri()), (200, &*uri));
    }
    for (uri, code, says) in
        [("/ask", 400, "X-Client-ID="), ("/ask?X-Client-ID=0-0", 404, "\"0-0\" has left")]
    {
        backend.send_packet(&pull(uri), Body::None).await;
        let reply = backend.receive().await;
        assert_eq!(reply.code(), code);
        assert!(reply.status().contains(says), "{}", reply.status());
    }
    down.abort();
    down.closed().await;
    while clients.get(&ids[0]).is_some() {
        tokio::task::yield_now().await;
    }
    backend.send_packet(&pull(&format!("/ask?X-Client-ID={}", ids[0])), Body::None).await;
    assert_eq!(backend.receive().await.code(), 404);
}

#[tokio::test]
async fn a_function_chooses_by_what_the_context_tells() {
    let dialer = Peer::builder().build().unwrap();
    let (a, b) = (named("a"), named("b"));
    let (to_a, to_b) = (dialer.connect(&a).await.unwrap(), dialer.connect(&b).await.unwrap());
    let choose = move |cx: &Context| {
        let chosen = match cx.query("to").as_deref() {
            Some("a") => Ok(to_a.clone()),
            Some("b") => Ok(to_b.clone()),
            _ => Err(Status::new(1234, "to whom?")),
        };
        async move {
            tokio::task::yield_now().await;
            chosen
        }
    };
    let front = gateway(Peer::builder(), ReverseProxy::to(Upstream::choose(choose)).unwrap());
    let session = dialer.connect(&front).await.unwrap();
    assert_eq!(ask(&session, "/get?to=a").await.unwrap(), "a /get?to=a");
    assert_eq!(ask(&session, "/get?to=b").await.unwrap(), "b /get?to=b");
    assert_eq!(fails(&session, "/get").await, Status::new(1234, "to whom?"));
}

#[tokio::test]
async fn where_a_client_is_is_told_only_where_it_is_asked_for() {
    let seen = |proxy: fn(ReverseProxy) -> ReverseProxy| async move {
        let (mut backend, up) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
        let front = gateway(Peer::builder(), proxy(ReverseProxy::to(&up).unwrap()));
        let address = front.listen("127.0.0.1:0").await.unwrap();
        let client = Peer::builder().build().unwrap();
        let session = client.dial(address).await.unwrap();
        session.push("/a?x-real-ip=1.2.3.4&b=%zz").await.unwrap();
        let uri = backend.receive().await.uri().to_owned();
        let own = session.local_addr().tcp().unwrap().to_string().replace(':', "%3A");
        uri.replace(&own, "<own>")
    };
    assert_eq!(seen(|it| it).await, "/a?x-real-ip=1.2.3.4&b=%zz");
    assert_eq!(seen(|it| it.client_address("X-Real-IP")).await, "/a?X-Real-IP=<own>&b=%zz");
    assert_eq!(seen(|it| it.trusted_client_address("x-real-ip")).await, "/a?x-real-ip=1.2.3.4&b=%zz");
    assert_eq!(seen(|it| it.trusted_client_address("IP")).await, "/a?IP=<own>&x-real-ip=1.2.3.4&b=%zz");
}

#[tokio::test]
async fn an_upstream_that_is_the_proxy_itself_is_508() {
    // The session that the packet came over.
    let back = ReverseProxy::to(Upstream::choose(|cx: &Context| {
        let session = cx.session().clone();
        async move { Ok::<_, Status>(session) }
    }));
    let dialer = Peer::builder().build().unwrap();
    let front = gateway(Peer::builder(), back.unwrap());
    let status = fails(&dialer.connect(&front).await.unwrap(), "/a").await;
    assert_eq!(status.code(), Code::LOOP_DETECTED, "{status}");
    // The address that it listens at itself.
    let probe = Peer::builder().listen("127.0.0.1:0").await.unwrap();
    let address = probe.local_addr().unwrap();
    probe.close().await;
    for upstream in [Upstream::shared(&dialer, &address), Upstream::per_client(Peer::builder(), &address)] {
        let front = gateway(Peer::builder(), ReverseProxy::to(upstream).unwrap());
        front.listen(&address).await.unwrap();
        let session = dialer.dial(&address).await.unwrap();
        let status = fails(&session, "/a").await;
        assert_eq!(status.code(), Code::LOOP_DETECTED, "{status}");
        front.close().await;
    }
}

/// Two gateways, each of which passes everything on to the other, and a session with the first. What it was asked to pass
/// on is counted.
struct Circle {
    session: Session,
    rounds: Arc<AtomicUsize>,
    peers: [Peer; 2],
}

impl Circle {
    async fn new(limits: &Limits, change: fn(ReverseProxy) -> ReverseProxy) -> Self {
        let (second, rounds): (Arc<OnceLock<Session>>, Arc<AtomicUsize>) = Default::default();
        let to_second = Upstream::choose({
            let (second, rounds) = (second.clone(), rounds.clone());
            move |_: &Context| {
                rounds.fetch_add(1, Ordering::SeqCst);
                let session = second.get().cloned();
                async move { session.ok_or_else(|| Status::unavailable("not yet")) }
            }
        });
        let build = |upstream: Upstream| {
            let proxy = ReverseProxy::to(upstream.timeout(Duration::from_secs(5))).unwrap();
            gateway(Peer::builder().limits(limits.clone()), change(proxy))
        };
        let first = build(to_second);
        let dialer = Peer::builder().limits(limits.clone()).build().unwrap();
        let other = build(dialer.connect(&first).await.unwrap().into());
        second.set(dialer.connect(&other).await.unwrap()).unwrap();
        Circle { session: dialer.connect(&first).await.unwrap(), rounds, peers: [first, other] }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_goes_in_circles_is_bounded_by_the_pulls_under_way_and_by_its_time() {
    let limits = Limits::default().with_max_pulls_in(20);
    let circle = Circle::new(&limits, |it| it).await;
    let status = fails(&circle.session, "/round").await;
    assert_eq!(status.code(), Code::GATEWAY_TIMEOUT, "{status}");
    let rounds = circle.rounds.load(Ordering::SeqCst);
    assert!((2..=30).contains(&rounds), "{rounds} rounds");
}

#[tokio::test]
async fn a_packet_that_goes_in_circles_ends_at_its_last_hop() {
    let Circle { session, rounds, peers } =
        Circle::new(&Limits::default(), |it| it.max_hops("hops", 5)).await;
    let status = fails(&session, "/round?x=1&hops=bad").await;
    assert_eq!(status.code(), Code::LOOP_DETECTED);
    assert!(status.text().contains("/round?hops=5&x=1 went through 5 proxies"), "{status}");
    session.push("/round").await.unwrap();
    assert_eq!(fails(&session, "/round").await.code(), Code::LOOP_DETECTED);
    session.close().await;
    for peer in peers {
        peer.close().await;
    }
    assert_eq!(rounds.load(Ordering::SeqCst), 9, "three each: the first, the third and the fifth hop");
}

#[tokio::test]
async fn tokens_are_checked_and_shown_by_the_proxy_itself() {
    let check = |word: &'static str| {
        Auth::new().check(move |_, token| async move {
            if token.matches(word) { Ok(()) } else { Err(Status::unauthorized("no such token")) }
        })
    };
    let client = || Peer::builder().plugin(Auth::new().token("outer")).build().unwrap();
    let backend = Peer::builder().plugin(check("inner")).pull("/hi", |_, ()| async { Ok("hello") }).unwrap();
    let backend = backend.build().unwrap();
    let dialer = Peer::builder().plugin(Auth::new().token("inner")).build().unwrap();
    let up = dialer.connect(&backend).await.unwrap();
    let proxy = || ReverseProxy::to(Upstream::from(&up)).unwrap();
    let (checks, checks_nothing) =
        (gateway(Peer::builder().plugin(check("outer")), proxy()), gateway(Peer::builder(), proxy()));
    let session = client().connect(&checks).await.unwrap();
    assert_eq!(session.pull("/hi").await.unwrap().decode::<String>().unwrap(), "hello");
    // The token is passed on, over a session that has shown its own.
    let error = client().connect(&checks_nothing).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::NOT_FOUND));
    assert!(error.is_plugin(), "{error}");
}

#[tokio::test]
async fn sealed_calls_may_be_made_by_hand() {
    let (mut raw, session) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
    let mut call = session.pull("/a").query("b", "c").sealed(SealedBody::new(&b"?\xff"[..], 44));
    call.sent().await.unwrap();
    session.push("/after").sealed(SealedBody::none()).await.unwrap();
    let sent = raw.receive().await;
    assert_eq!((sent.uri(), sent.gzip(), sent.body().as_bytes()), ("/a?b=c", 44, &b"?\xff"[..]));
    assert_eq!(raw.receive().await.uri(), "/after");
    let reply =
        Header { code: 7, gzip: -9, status: "seven".into(), ..Header::new(sent.id(), Kind::REPLY, "/a") };
    raw.send_packet(&reply, Body::Raw(b"!")).await;
    let reply = call.await.unwrap();
    assert_eq!(reply.status(), &Status::new(7, "seven"));
    assert_eq!(reply.body(), &SealedBody::new(&b"!"[..], -9));
    // Dropped when it was sent, it is forgotten.
    let mut call = session.pull("/b").sealed(SealedBody::none());
    call.sent().await.unwrap();
    drop(call);
    drop(raw);
    session.close().await;
}
