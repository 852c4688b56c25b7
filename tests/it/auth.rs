//! The plugin `Auth`: who passes, who does not, what each is told, and what a stranger can't do.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use teleport::plugins::{Auth, Token};
use teleport::wire::{Body, Header, Kind, Packet, PacketId};
use teleport::{
    Bincode, Code, Codec, Connection, Context, Encode, Error, IdFormat, Json, Limits, Peer, PeerBuilder,
    Plain, Redial, Session, Status,
};
use teleport_tests::{RawPeer, json, packet};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const SECRET: &str = "open sesame";

#[derive(Debug, PartialEq)]
struct User(String);

fn refuse() -> Status {
    Status::unauthorized("no such token")
}

/// Lets in who knows the secret, as `Ali`.
fn door() -> Auth {
    Auth::new().check(|_, token: Token| async move {
        if token.matches(SECRET) { Ok(User("Ali".into())) } else { Err(refuse()) }
    })
}

/// A peer that tells callers who they are, and how often that was asked.
fn server(auth: Auth) -> (PeerBuilder, Arc<AtomicU64>) {
    let ran = Arc::new(AtomicU64::new(0));
    let count = ran.clone();
    let builder = Peer::builder().plugin(auth).pull("/who", move |cx: Context, ()| {
        count.fetch_add(1, Ordering::Relaxed);
        async move { Ok(cx.session().extensions().get::<User>().map(|user| user.0.clone())) }
    });
    let builder = builder.unwrap().pull("/length", |_, text: String| async move { Ok(text.len()) }).unwrap();
    (builder, ran)
}

fn client(auth: Auth) -> Peer {
    Peer::builder().plugin(auth).build().unwrap()
}

async fn who(session: &Session) -> Option<String> {
    session.pull("/who").await.unwrap().decode().unwrap()
}

/// A session between this peer and one that is nothing but bytes.
fn raw(peer: &Peer, is_dialed: bool) -> (RawPeer, JoinHandle<Result<Session, Error>>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (peer, connection) = (peer.clone(), Connection::from_stream(far, "test://peer", "test://raw"));
    let attaching = tokio::spawn(async move {
        if is_dialed { peer.attach_dialed(connection).await } else { peer.attach(connection).await }
    });
    (RawPeer::new(near), attaching)
}

fn plain(text: &str) -> Body<'_> {
    Body::Payload { codec: Plain::ID, payload: text.as_bytes() }
}

fn pull(id: &str, uri: &str, body: Body<'_>) -> Vec<u8> {
    packet(b'p', &Header::new(PacketId::Text(id.to_owned().into()), Kind::PULL, uri), body)
}

fn is_reply(reply: &Packet, id: &str, code: i32) {
    assert_eq!((reply.kind(), reply.code()), (Kind::REPLY, code), "{}", reply.status());
    assert_eq!(reply.id(), PacketId::Text(id.into()));
}

async fn is_over(raw: &mut RawPeer, server: &Peer) {
    assert!(raw.try_receive().await.is_none(), "the session is closed");
    while !server.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_the_door_and_tells_who_came() {
    let (server, ran) = server(door());
    let server = server.listen("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let friend = client(Auth::new().token(SECRET));
    let session = friend.dial(&address).await.unwrap();
    assert_eq!(who(&session).await.as_deref(), Some("Ali"));
    assert_eq!(server.sessions().len(), 1);

    let stranger = client(Auth::new().token("open barley"));
    let error = stranger.dial(&address).await.unwrap_err();
    assert!(error.is_plugin(), "{error}");
    assert_eq!(error.status(), Some(&refuse()));
    assert!(stranger.sessions().is_empty());

    // One that knows nothing of tokens is told at its first call.
    let plain = Peer::builder().build().unwrap().dial(&address).await.unwrap();
    let error = plain.pull("/who").await.unwrap_err();
    assert_eq!(error.code(), Some(Code::UNAUTHORIZED));
    assert!(error.to_string().contains("in a pull to /auth/verify"), "{error}");
    plain.closed().await;
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    assert_eq!(who(&session).await.as_deref(), Some("Ali"), "the others are not disturbed");
}

#[tokio::test]
async fn nothing_is_routed_before_the_token_has_passed() {
    let permits = Arc::new(Semaphore::new(0));
    let asked = permits.clone();
    let (server, ran) = server(Auth::new().check(move |_, token| {
        let permits = asked.clone();
        async move {
            permits.acquire().await.unwrap().forget();
            if token.matches(SECRET) { Ok(User("Ali".into())) } else { Err(refuse()) }
        }
    }));
    let server = server.build().unwrap();
    for (token, code) in [(SECRET, 200), ("guess", 401)] {
        let (mut raw, attaching) = raw(&server, false);
        // In one piece, the token and what is hoped to slip in behind it.
        raw.send(&[pull("t", "/auth/verify", plain(token)), pull("1", "/who", Body::None)].concat()).await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        assert!(server.sessions().is_empty());
        permits.add_permits(1);
        is_reply(&raw.receive().await, "t", code);
        is_reply(&raw.receive().await, "1", code);
        let attached = attaching.await.unwrap();
        assert_eq!(attached.is_ok(), code == 200);
        assert_eq!(ran.swap(0, Ordering::Relaxed), u64::from(code == 200));
        match attached {
            Ok(session) => session.abort(),
            Err(error) => {
                assert!(error.is_plugin() && error.code() == Some(Code::UNAUTHORIZED), "{error}");
                is_over(&mut raw, &server).await;
            }
        }
    }
}

#[tokio::test]
async fn what_comes_before_the_token_ends_the_session() {
    let (server, ran) = server(door());
    let server = server.build().unwrap();
    let (mut raw1, attaching) = raw(&server, false);
    raw1.send(&[pull("1", "/who", Body::None), pull("t", "/auth/verify", plain(SECRET))].concat()).await;
    is_reply(&raw1.receive().await, "1", 401);
    is_reply(&raw1.receive().await, "t", 401);
    assert!(attaching.await.unwrap().is_err());
    is_over(&mut raw1, &server).await;

    // A token is asked for, not told.
    for uri in ["/auth/verify", "/note"] {
        let (mut raw, attaching) = raw(&server, false);
        let push = Header::new(PacketId::Text("0".into()), Kind::PUSH, uri);
        raw.send_packet(&push, plain(SECRET)).await;
        assert!(attaching.await.unwrap().is_err());
        is_over(&mut raw, &server).await;
    }
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn who_shows_no_token_in_time_is_closed_and_the_log_says_so() {
    let (lines, _guard) = super::raw::log();
    let (server, _) = server(door().within(Duration::from_secs(3)));
    let server = server.listen("127.0.0.1:0").await.unwrap();
    let session = Peer::builder().build().unwrap().dial(server.local_addr().unwrap()).await.unwrap();
    session.closed().await;
    let text = || String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    while !text().contains("a session was not let in") {
        tokio::task::yield_now().await;
    }
    let text = text();
    for part in
        ["WARN", "plugin auth", "no token came within 3s (setting `Auth::within`)", "tcp://127.0.0.1:"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(server.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_token_in_pieces_gets_no_more_time() {
    let (server, _) = server(door());
    let server = server.build().unwrap();
    let (mut raw, attaching) = raw(&server, false);
    let started = tokio::time::Instant::now();
    let dripping = tokio::spawn(async move {
        for byte in pull("t", "/auth/verify", plain(SECRET)) {
            raw.send(&[byte]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let error = attaching.await.unwrap().unwrap_err();
    assert_eq!((error.code(), started.elapsed().as_secs()), (Some(Code::UNAUTHORIZED), 5), "{error}");
    dripping.abort();
}

#[tokio::test(start_paused = true)]
async fn a_check_or_a_source_that_hangs_ends_too() {
    let stuck = Auth::new().check(|_, _| std::future::pending::<Result<(), Status>>());
    let (server, _) = server(stuck);
    let server = server.build().unwrap();
    let error =
        client(Auth::new().token(SECRET).within(Duration::from_secs(60))).connect(&server).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::UNAVAILABLE), "{error}");
    assert!(error.to_string().contains("was not checked within 5s"), "{error}");

    let stuck = Auth::new().token_from(|_| std::future::pending::<Result<Token, Status>>());
    let error = client(stuck).connect(&server).await.unwrap_err();
    assert!(error.to_string().contains("no token was there to be sent within 5s"), "{error}");

    // A listener that never answers.
    let silent = client(Auth::new().token(SECRET).within(Duration::from_secs(2)));
    let (_raw, attaching) = raw(&silent, true);
    let error = attaching.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(Code::GATEWAY_TIMEOUT), "{error}");
}

#[tokio::test]
async fn a_listener_that_checks_nothing_is_an_error_unless_it_may() {
    let server = Peer::builder().build().unwrap();
    let error = client(Auth::new().token(SECRET)).connect(&server).await.unwrap_err();
    assert!(error.is_plugin() && error.code() == Some(Code::NOT_FOUND), "{error}");
    assert!(error.to_string().contains("allow it here with `Auth::optional`"), "{error}");
    let optional = || Auth::new().token(SECRET).optional();
    let session = client(optional()).connect(&server).await.unwrap();
    assert_eq!(session.pull("/nowhere").await.unwrap_err().code(), Some(Code::NOT_FOUND));
    // It does not make light of a refusal.
    let (strict, _) = self::server(Auth::new().check(|_, _| async { Err::<(), _>(refuse()) }));
    let error = client(optional()).connect(&strict.build().unwrap()).await.unwrap_err();
    assert_eq!(error.status(), Some(&refuse()));
}

#[tokio::test]
async fn peers_of_the_original_may_stand_on_either_side() {
    // Its dialer: ids are numbers, the body is plain.
    let (server, _) = server(door());
    let server = server.build().unwrap();
    for (token, code) in [(SECRET, 200), ("guess", 401)] {
        let (mut raw, attaching) = raw(&server, false);
        let header = Header::new(PacketId::Sequence(0), Kind::PULL, "/auth/verify");
        raw.send_packet(&header, plain(token)).await;
        let reply = raw.receive().await;
        assert_eq!((reply.kind(), reply.id()), (Kind::REPLY, PacketId::Sequence(0)));
        assert_eq!((reply.uri(), reply.code()), ("/auth/verify", code));
        assert!(reply.body().is_none());
        assert_eq!(attaching.await.unwrap().is_ok(), code == 200);
    }

    // Its listener: the first packet is the token, and nothing follows before the answer.
    let dialer =
        Peer::builder().id_format(IdFormat::Sequence).plugin(Auth::new().token(SECRET)).build().unwrap();
    for code in [200, 401] {
        let (mut raw, attaching) = raw(&dialer, true);
        let pull = raw.receive().await;
        assert_eq!((pull.kind(), pull.uri(), pull.id()), (Kind::PULL, "/auth/verify", PacketId::Sequence(0)));
        assert_eq!((pull.body().codec(), pull.body().payload()), (b's', SECRET.as_bytes()));
        let mut reply = Header::new(PacketId::Sequence(0), Kind::REPLY, "/auth/verify");
        reply.code = code;
        reply.status = "Unauthorized".into();
        raw.send_packet(&reply, Body::None).await;
        let attached = attaching.await.unwrap();
        assert_eq!(attached.is_ok(), code == 200);
        if let Err(error) = attached {
            assert_eq!(error.status(), Some(&Status::unauthorized("Unauthorized")));
            assert!(raw.try_receive().await.is_none());
        }
    }
}

#[tokio::test]
async fn tokens_are_read_in_any_text_codec() {
    let (server, _) = server(door());
    let server = server.build().unwrap();
    let mut bincode = Vec::new();
    Bincode::encode(SECRET, &mut bincode).unwrap();
    let quoted = format!("{SECRET:?}");
    let bodies = [
        (plain(SECRET), 200),
        (json(&quoted), 200),
        (Body::Payload { codec: Bincode::ID, payload: &bincode }, 200),
        (Body::None, 401),
        (plain(""), 401),
        (json("1234567"), 400),
        (json("{}"), 400),
        (Body::Payload { codec: b'x', payload: SECRET.as_bytes() }, 415),
        (Body::Payload { codec: b's', payload: b"\xff\xfe" }, 401),
    ];
    for (at, (body, code)) in bodies.into_iter().enumerate() {
        let (mut raw, attaching) = raw(&server, false);
        raw.pull("t", "/auth/verify", body).await;
        let reply = raw.receive().await;
        assert_eq!(reply.code(), code, "number {at}: {}", reply.status());
        assert!(!reply.status().contains("1234567"));
        assert_eq!(attaching.await.unwrap().is_ok(), code == 200);
    }
}

/// What is logged, down to the last detail.
fn everything() -> (Arc<parking_lot::Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    struct Lines(Arc<parking_lot::Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    super::raw::ask_all_subscribers();
    let lines = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || Lines(writer.clone()))
        .finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn tokens_are_never_printed() {
    let (lines, _guard) = everything();
    let (server, _) = server(door().token_back("S3cr3t-back"));
    let server = server.build().unwrap();
    let mut printed = String::new();
    for token in [SECRET, "S3cr3t-guess"] {
        let auth = Auth::new().token(token).check_back(|_, token| async move {
            assert_eq!(format!("{token:?}"), "Token(..)");
            Ok(())
        });
        printed += &format!("{auth:?} {:?}", Token::from(token));
        match client(auth).connect(&server).await {
            Ok(session) => printed += &format!("{session:?} {:?}", session.extensions()),
            Err(error) => printed += &format!("{error} {error:?}"),
        }
    }
    // One that can't be read, of which a decoder would have something to say.
    let (mut raw, attaching) = raw(&server, false);
    raw.pull("t", "/auth/verify", json("\"S3cr3t-cut")).await;
    printed += raw.receive().await.status();
    printed += &format!("{:?}", attaching.await.unwrap().unwrap_err());
    let logged = || String::from_utf8(lines.lock().clone()).unwrap();
    while !logged().contains("not let in") {
        tokio::task::yield_now().await;
    }
    printed += &logged();
    assert!(printed.contains("check_back: true"), "{printed}");
    for token in [SECRET, "S3cr3t"] {
        assert!(!printed.contains(token), "{printed}");
    }
}

#[tokio::test]
async fn a_stranger_can_not_send_much() {
    let (server, _) = server(door().max_token(100));
    let server = server.build().unwrap();

    // A body over the bound is answered by its length alone, before its bytes come; none of them is kept.
    for uri in ["/auth/verify", "/length"] {
        let (mut raw, attaching) = raw(&server, false);
        let large = "x".repeat(1024 * 1024);
        let bytes = pull("1", uri, plain(&large));
        raw.send(&bytes[..200]).await;
        let reply = raw.receive().await;
        is_reply(&reply, "1", 413);
        assert!(
            reply.status().ends_with("over the limit of 164 until the plugin auth has let the session pass")
        );
        drop(raw);
        assert!(attaching.await.unwrap().is_err());
    }

    // A token a little too long, and one that is short only as it travels.
    let long = "y".repeat(101);
    let mut zipped = GzEncoder::new(Vec::new(), Compression::best());
    zipped.write_all(&[b'z'; 20_000]).unwrap();
    let zipped = zipped.finish().unwrap();
    assert!(zipped.len() < 100);
    for (body, gzip, code) in
        [(plain(&long), 0, 413), (Body::Payload { codec: b's', payload: &zipped }, 9, 400)]
    {
        let (mut raw, attaching) = raw(&server, false);
        let mut header = Header::new(PacketId::Text("t".into()), Kind::PULL, "/auth/verify");
        header.gzip = gzip;
        raw.send_packet(&header, body).await;
        let reply = raw.receive().await;
        is_reply(&reply, "t", code);
        assert!(attaching.await.unwrap().is_err());
        is_over(&mut raw, &server).await;
    }
}

/// As many pulls as the line of an early session takes, and what it does with more.
#[tokio::test]
async fn a_stranger_can_not_send_many() {
    let auth = Auth::new().check(|_, _| std::future::pending::<Result<(), Status>>());
    let (server, _) = server(auth);
    let server = server.build().unwrap();
    let (mut raw, attaching) = raw(&server, false);
    raw.pull("t", "/auth/verify", plain(SECRET)).await;
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let writing = tokio::spawn(async move {
        loop {
            raw.pull("1", "/who", Body::None).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut last = u64::MAX;
    while last != sent.load(Ordering::Relaxed) {
        last = sent.load(Ordering::Relaxed);
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
    assert!(last < 20_000, "{last} pulls were taken from a stranger");
    writing.abort();
    attaching.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_passed_sends_what_it_likes() {
    let (server, _) = server(door());
    let server = server.listen("127.0.0.1:0").await.unwrap();
    let friend = client(Auth::new().token(SECRET));
    let large = "x".repeat(300_000);
    for _ in 0..50 {
        let session = friend.dial(server.local_addr().unwrap()).await.unwrap();
        // Right behind the answer to the token, when the listener may not have opened the session yet.
        let length: usize = session.pull("/length").body(&*large).await.unwrap().decode().unwrap();
        assert_eq!(length, large.len());
        session.abort();
    }
}

/// As the one above, where the hook of the listener has something left to do for sure.
#[tokio::test]
async fn whoever_has_passed_need_not_wait_for_the_way_back() {
    let (server, _) = server(door().token_back("Bob"));
    let server = server.build().unwrap();
    let (mut raw, attaching) = raw(&server, false);
    raw.pull("t", "/auth/verify", plain(SECRET)).await;
    is_reply(&raw.receive().await, "t", 200);
    let back = raw.receive().await;
    assert_eq!((back.kind(), back.uri(), back.body().payload()), (Kind::PULL, "/auth/verify", &b"Bob"[..]));
    raw.pull("1", "/length", plain(&"x".repeat(300_000))).await;
    let mut reply = Header::new(back.id().into_owned(), Kind::REPLY, "/auth/verify");
    reply.code = 200;
    raw.send_packet(&reply, Body::None).await;
    is_reply(&raw.receive().await, "1", 200);
    let _kept = attaching.await.unwrap().unwrap();
}

/// Each side shows the other who it is.
fn mutual(own: &'static str, others: &'static str) -> Auth {
    let check = move |_: Session, token: Token| async move {
        let name = token.as_str().unwrap_or_default().to_owned();
        if token.matches(others) {
            Ok(User(name))
        } else {
            Err(Status::unauthorized(format!("not {others}")))
        }
    };
    Auth::new().token(own).check(check).token_back(own).check_back(check)
}

#[tokio::test]
async fn both_sides_may_show_and_check() {
    let (builder, _) = server(mutual("Bob", "Ali"));
    let bob = builder.build().unwrap();
    let (builder, _) = server(mutual("Ali", "Bob"));
    let ali = builder.build().unwrap();
    // The same peers dial and are dialed.
    for (dialer, listener, names) in [(&ali, &bob, ("Ali", "Bob")), (&bob, &ali, ("Bob", "Ali"))] {
        let session = dialer.connect(listener).await.unwrap();
        assert_eq!(who(&session).await.as_deref(), Some(names.0));
        assert_eq!(session.extensions().get::<User>().as_deref(), Some(&User(names.1.into())));
    }

    // The dialer finds that the listener is not who it should be.
    let (builder, _) = server(mutual("Eve", "Ali"));
    let eve = builder.build().unwrap();
    let error = ali.connect(&eve).await.unwrap_err();
    assert_eq!(error.status(), Some(&Status::unauthorized("not Bob")));
    while !eve.sessions().is_empty() {
        tokio::task::yield_now().await;
    }

    // A dialer that does not ask who the listener is.
    let dialer = || client(Auth::new().token(SECRET));
    let strict = server(door().token_back("x")).0.build().unwrap();
    let session = dialer().connect(&strict).await.unwrap();
    session.closed().await;
    let reason = session.close_reason().unwrap();
    assert!(reason.contains("the other side checks no tokens (404 at /auth/verify)"), "{reason}");
    assert!(strict.sessions().is_empty());
    let lax = server(door().token_back("x").optional()).0.build().unwrap();
    assert!(dialer().connect(&lax).await.unwrap().pull("/who").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_shows_nothing_is_left() {
    let (builder, _) = server(door());
    let server = builder.build().unwrap();
    let asking = Auth::new().token(SECRET).check_back(|_, _| async { Ok(()) });
    let error = client(asking).connect(&server).await.unwrap_err();
    assert!(error.to_string().contains("no token came within 5s"), "{error}");
}

#[tokio::test]
async fn a_token_is_asked_for_anew_each_time() {
    let (server, _) = server(Auth::new().check(|_, token| async move {
        let name = token.as_str().ok_or_else(refuse)?.to_owned();
        Ok(User(name))
    }));
    let server = server.listen("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let asked = AtomicU64::new(0);
    let client = client(Auth::new().token_from(move |session| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            if number == 2 {
                return Err(Status::unavailable("the purse is empty"));
            }
            Ok(format!("{number} for {}", session.remote_addr()))
        }
    }));
    for number in 0..2 {
        let session = client.dial(&address).await.unwrap();
        assert_eq!(who(&session).await.unwrap(), format!("{number} for {address}"));
    }
    let error = client.dial(&address).await.unwrap_err();
    assert_eq!(error.status(), Some(&Status::unavailable("the purse is empty")));
}

#[tokio::test]
async fn a_session_that_redials_shows_a_token_again_and_is_checked_again() {
    let (server, _) = server(Auth::new().check(|_, token| async move {
        let name = token.as_str().ok_or_else(refuse)?.to_owned();
        Ok(User(name))
    }));
    let server = server.listen("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let shown = AtomicU64::new(0);
    let client = client(Auth::new().token_from(move |_| {
        let number = shown.fetch_add(1, Ordering::Relaxed);
        async move { Ok(format!("token {number}")) }
    }));
    let redial = Redial::default().with_first_pause(Duration::from_millis(1)).with_factor(1);
    let session = client.dial(&address).redial(redial).await.unwrap();
    assert_eq!(who(&session).await.unwrap(), "token 0");
    let mut changes = session.state_changes();
    for far in server.sessions().all() {
        far.abort();
    }
    changes.next().await;
    // A call that waits for the next connection comes after its token.
    assert_eq!(who(&session).await.unwrap(), "token 1");
    assert_eq!(server.sessions().len(), 1);
}

#[tokio::test]
async fn functions_that_panic_let_nobody_in() {
    let (builder, ran) = server(Auth::new().check(|_, _| async {
        if std::hint::black_box(true) {
            panic!("on purpose");
        }
        Ok(())
    }));
    let server = builder.build().unwrap();
    let error = client(Auth::new().token(SECRET)).connect(&server).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::FAILED_PLUGIN));
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_path_can_be_another() {
    let (server, _) = server(door().at("/v2/login"));
    let server = server.build().unwrap();
    let session = client(Auth::new().token(SECRET).at("/v2/login")).connect(&server).await.unwrap();
    assert!(who(&session).await.is_some());
    let error = client(Auth::new().token(SECRET)).connect(&server).await.unwrap_err();
    assert!(error.to_string().contains("in a pull to /v2/login"), "{error}");
}

#[tokio::test]
async fn a_check_may_give_the_session_its_id() {
    let (server, _) = server(Auth::new().check(|session: Session, token| async move {
        session.set_id(token.as_str().ok_or_else(refuse)?)?;
        Ok(())
    }));
    let server = server.limits(Limits::default().with_max_sessions(2)).build().unwrap();
    let _session = client(Auth::new().token("Ada")).connect(&server).await.unwrap();
    while server.sessions().get("Ada").is_none() {
        tokio::task::yield_now().await;
    }
    let sent = server.sessions().broadcast("/news", Json, "hi").await.unwrap();
    assert_eq!(sent.reached, 1);
    // Another of the same name is refused, and its place is free again.
    for _ in 0..3 {
        assert!(client(Auth::new().token("Ada")).connect(&server).await.unwrap_err().is_plugin());
        while server.sessions().len() > 1 {
            tokio::task::yield_now().await;
        }
    }
}
