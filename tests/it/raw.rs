//! What a peer answers to bytes: each bad one gets its error, and the session and other calls live on.

use std::sync::{Arc, LazyLock, Mutex};

use serde::{Deserialize, Serialize, Serializer};
use teleport::wire::{Body, Header, Kind, PacketId};
use teleport::{Code, Limits, Peer, Status, gzip};
use teleport_tests::{RawPeer, json, packet};

#[teleport::service]
trait Desk {
    async fn double(&self, n: i64) -> Result<i64, Status>;
    async fn fail(&self) -> Result<(), Status>;
    async fn panic_now(&self) -> Result<(), Status>;
    async fn panic_later(&self) -> Result<(), Status>;
    async fn nothing(&self) -> Result<(), Status>;
    #[pull(codec = plain)]
    async fn shout(&self, text: &str) -> Result<String, Status>;
    async fn unwritable(&self, how: Unwritable) -> Result<Unwritable, Status>;
    async fn long(&self, length: usize) -> Result<String, Status>;
}

/// Reads well and does not write.
#[derive(Deserialize)]
enum Unwritable {
    Fails,
    Panics,
    PanicsWhenDropped,
}

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Unwritable::Fails => Err(serde::ser::Error::custom("it will not be written")),
            Unwritable::Panics => panic!("on purpose, while it is written"),
            Unwritable::PanicsWhenDropped => serializer.serialize_unit(),
        }
    }
}

impl Drop for Unwritable {
    fn drop(&mut self) {
        if matches!(self, Unwritable::PanicsWhenDropped) {
            panic!("on purpose, when it is dropped");
        }
    }
}

struct Staff;

impl Desk for Staff {
    async fn double(&self, n: i64) -> Result<i64, Status> {
        Ok(2 * n)
    }
    async fn fail(&self) -> Result<(), Status> {
        Err(Status::new(1234, "not today"))
    }
    async fn panic_now(&self) -> Result<(), Status> {
        panic!("on purpose")
    }
    async fn panic_later(&self) -> Result<(), Status> {
        tokio::task::yield_now().await;
        panic!("on purpose, later")
    }
    async fn nothing(&self) -> Result<(), Status> {
        Ok(())
    }
    async fn shout(&self, text: &str) -> Result<String, Status> {
        Ok(text.to_uppercase())
    }
    async fn unwritable(&self, how: Unwritable) -> Result<Unwritable, Status> {
        Ok(how)
    }
    async fn long(&self, length: usize) -> Result<String, Status> {
        Ok("x".repeat(length))
    }
}

fn desk() -> Peer {
    desk_with(Limits::default())
}

fn desk_with(limits: Limits) -> Peer {
    Peer::builder().service(DeskServer::new(Staff)).unwrap().limits(limits).build().unwrap()
}

/// The session still answers.
async fn is_alive(raw: &mut RawPeer) {
    raw.pull("alive", "/desk/double", json("21")).await;
    let reply = raw.receive().await;
    assert_eq!((reply.code(), reply.body().payload()), (200, &b"42"[..]));
    assert_eq!(reply.id(), PacketId::Text("alive".into()));
}

/// Sends one pull and checks the status that answers it, and that the session lives on.
async fn refused(peer: &Peer, uri: &str, body: Body<'_>, code: Code, text: &str) {
    let (mut raw, _session) = RawPeer::connect(peer).await;
    raw.pull("x1", uri, body).await;
    let reply = raw.receive().await;
    assert_eq!(reply.code(), code.number(), "{}", reply.status());
    assert!(reply.status().contains(text), "{:?} does not say {text:?}", reply.status());
    assert_eq!((reply.kind(), reply.id()), (Kind::REPLY, PacketId::Text("x1".into())));
    assert!(reply.body().is_none(), "an error carries no body: an old peer might not be able to read it");
    is_alive(&mut raw).await;
}

#[tokio::test]
async fn an_unknown_route_is_404() {
    refused(&desk(), "/no/such", Body::None, Code::NOT_FOUND, "/no/such").await;
}

#[tokio::test]
async fn a_uri_that_can_not_be_unescaped_is_400() {
    refused(&desk(), "/a%zz", Body::None, Code::BAD_REQUEST, "invalid escape \"%zz\" in the uri \"/a%zz\"")
        .await;
}

#[tokio::test]
async fn an_unknown_body_codec_is_415() {
    let body = Body::Payload { codec: b'x', payload: b"21" };
    refused(&desk(), "/desk/double", body, Code::UNSUPPORTED_CODEC, "supported are json, bincode").await;
    let body = Body::Payload { codec: b'j', payload: b"\"a\"" };
    refused(&desk(), "/desk/shout", body, Code::UNSUPPORTED_CODEC, "supported are plain").await;
}

#[tokio::test]
async fn a_body_that_does_not_decode_is_400() {
    refused(&desk(), "/desk/double", json("\"one\""), Code::BAD_REQUEST, "json: invalid type").await;
    refused(&desk(), "/desk/double", json("1 2"), Code::BAD_REQUEST, "json: trailing").await;
    refused(&desk(), "/desk/double", Body::None, Code::BAD_REQUEST, "there is no body").await;
    let cut = Body::Payload { codec: b'b', payload: b"" };
    refused(&desk(), "/desk/double", cut, Code::BAD_REQUEST, "bincode").await;
    let invalid = Body::Payload { codec: b's', payload: b"\xff" };
    refused(&desk(), "/desk/shout", invalid, Code::BAD_REQUEST, "plain: invalid utf-8").await;
}

#[tokio::test]
async fn a_handlers_status_is_answered() {
    refused(&desk(), "/desk/fail", Body::None, Code::from(1234), "not today").await;
}

#[tokio::test]
async fn a_panic_is_500_whether_at_once_or_later() {
    for uri in ["/desk/panic_now", "/desk/panic_later"] {
        refused(&desk(), uri, Body::None, Code::INTERNAL, "panicked").await;
    }
}

#[tokio::test]
async fn a_reply_that_can_not_be_written_is_500() {
    let uri = "/desk/unwritable";
    refused(&desk(), uri, json("\"Fails\""), Code::INTERNAL, "json: it will not be written").await;
    refused(&desk(), uri, json("\"Panics\""), Code::INTERNAL, "panicked").await;
    let small = desk_with(Limits::default().with_max_body(100));
    let text = "a body of 203 bytes is over the limit of 100 (setting `limits.max_body`)";
    refused(&small, "/desk/long", json("200"), Code::INTERNAL, text).await;
    // It was written when the panic came.
    let (mut raw, _session) = RawPeer::connect(&desk()).await;
    raw.pull("1", uri, json("\"PanicsWhenDropped\"")).await;
    assert_eq!(raw.receive().await.body().payload(), b"null");
    is_alive(&mut raw).await;
}

#[tokio::test]
async fn a_body_over_the_limit_names_it_and_is_skipped() {
    let peer = desk_with(Limits::default().with_max_body(1000));
    let big = format!("\"{}\"", "a".repeat(300_000));
    refused(
        &peer,
        "/desk/double",
        json(&big),
        Code::TOO_LARGE,
        "over the limit of 1000 (setting `limits.max_body`)",
    )
    .await;
    // One byte below, at, and above the limit: the codec id counts.
    for (length, fits) in [(998, true), (999, true), (1000, false)] {
        let (mut raw, _session) = RawPeer::connect(&peer).await;
        raw.pull("1", "/desk/shout", Body::Payload { codec: b's', payload: "a".repeat(length).as_bytes() })
            .await;
        let reply = raw.receive().await;
        assert_eq!(reply.code() == 200, fits, "{length}: {} {}", reply.code(), reply.status());
    }
}

#[tokio::test]
async fn a_uri_over_the_limit_names_it() {
    let peer = desk_with(Limits::default().with_max_uri(20));
    let uri = format!("/{}", "u".repeat(20));
    refused(
        &peer,
        &uri,
        Body::None,
        Code::BAD_REQUEST,
        "a uri of 21 bytes is over the limit of 20 (setting `limits.max_uri`)",
    )
    .await;
}

#[tokio::test]
async fn an_inflated_body_over_the_limit_names_it() {
    let peer = desk_with(Limits::default().with_max_inflated(1000));
    let mut bomb = Vec::new();
    gzip::deflate(9, &vec![b'1'; 1_000_000], &mut bomb).unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer).await;
    let header = Header { gzip: 9, ..Header::new(PacketId::Text("g".into()), Kind::PULL, "/desk/double") };
    raw.send_packet(&header, Body::Payload { codec: b'j', payload: &bomb }).await;
    let reply = raw.receive().await;
    assert_eq!(reply.code(), 413);
    assert!(
        reply.status().contains("1000 bytes when it is inflated (setting `limits.max_inflated`)"),
        "{}",
        reply.status()
    );
    let header = Header { gzip: 1, ..header };
    raw.send_packet(&header, Body::Payload { codec: b'j', payload: b"no gzip at all" }).await;
    assert_eq!(raw.receive().await.code(), 400);
    is_alive(&mut raw).await;
}

#[tokio::test]
async fn other_calls_are_untouched_by_bad_ones() {
    let (mut raw, _session) = RawPeer::connect(&desk()).await;
    let mut all = Vec::new();
    for (id, uri, body) in [
        ("1", "/desk/double", json("1")),
        ("2", "/no/such", json("1")),
        ("3", "/desk/double", json("2")),
        ("4", "/desk/panic_now", Body::None),
        ("5", "/desk/double", json("{")),
        ("6", "/desk/double", json("3")),
        ("7", "/desk/nothing", Body::None),
    ] {
        all.extend(packet(b'p', &Header::new(PacketId::Text(id.into()), Kind::PULL, uri), body));
    }
    raw.send(&all).await;
    let mut replies = Vec::new();
    for _ in 0..7 {
        let reply = raw.receive().await;
        replies.push((
            reply.id().to_string(),
            reply.code(),
            String::from_utf8_lossy(reply.body().payload()).into_owned(),
        ));
    }
    let expected = [
        ("1", 200, "2"),
        ("2", 404, ""),
        ("3", 200, "4"),
        ("4", 500, ""),
        ("5", 400, ""),
        ("6", 200, "6"),
        ("7", 200, ""),
    ];
    assert_eq!(replies, expected.map(|(id, code, body)| (id.to_owned(), code, body.to_owned())));
}

#[tokio::test]
async fn a_reply_mirrors_the_id_format_the_header_codec_and_the_codecs_of_its_pull() {
    let (mut raw, _session) = RawPeer::connect(&desk()).await;
    let ids = [
        PacketId::Sequence(0),
        PacketId::Sequence(u64::MAX),
        PacketId::Text("é\"\n".into()),
        PacketId::Text("".into()),
    ];
    for header_codec in *b"pj" {
        for id in &ids {
            for (codec, payload, doubled) in [(b'j', &b"4"[..], &b"8"[..]), (b'b', &[8], &[16])] {
                let header = Header { gzip: 0, ..Header::new(id.clone(), Kind::PULL, "/desk/double?a=b") };
                raw.send(&packet(header_codec, &header, Body::Payload { codec, payload })).await;
                let reply = raw.receive().await;
                // An empty text is left out, and then reads as the number 0.
                let expected =
                    if *id == PacketId::Text("".into()) { PacketId::Sequence(0) } else { id.clone() };
                assert_eq!(
                    (reply.id(), reply.uri(), reply.header_codec()),
                    (expected, "/desk/double?a=b", header_codec)
                );
                assert_eq!((reply.code(), reply.status(), reply.gzip()), (200, "OK", 0));
                assert_eq!((reply.body().codec(), reply.body().payload()), (codec, doubled));
            }
        }
    }
}

#[tokio::test]
async fn gzip_is_mirrored_and_a_flushed_stream_is_read() {
    let (mut raw, _session) = RawPeer::connect(&desk()).await;
    // "1" as the original writes it: flushed, never closed.
    let flushed = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 0x32, 4, 0, 0, 0, 0xff, 0xff];
    let header = Header { gzip: 5, ..Header::new(PacketId::Sequence(9), Kind::PULL, "/desk/double") };
    raw.send_packet(&header, Body::Payload { codec: b'j', payload: &flushed }).await;
    let reply = raw.receive().await;
    assert_eq!((reply.code(), reply.gzip(), reply.body().codec()), (200, 5, b'j'));
    let mut payload = Vec::new();
    gzip::inflate(reply.body().payload(), 100, &mut payload).unwrap();
    assert_eq!(payload, b"2");
}

#[tokio::test]
async fn a_gzip_level_that_nobody_knows_is_400() {
    let (mut raw, _session) = RawPeer::connect(&desk()).await;
    for (level, code) in [(i32::MIN, 400), (-3, 400), (-2, 200), (9, 200), (10, 400), (i32::MAX, 400)] {
        let header =
            Header { gzip: level, ..Header::new(PacketId::Sequence(1), Kind::PULL, "/desk/nothing") };
        raw.send_packet(&header, Body::None).await;
        let reply = raw.receive().await;
        assert_eq!((reply.code(), reply.gzip()), (code, level), "{}", reply.status());
        assert!(code == 200 || reply.status().contains("outside -2 to 9"), "{}", reply.status());
    }
    is_alive(&mut raw).await;
}

#[tokio::test]
async fn both_numbers_of_a_push_are_read_and_neither_is_answered() {
    let (seen, mut pushes) = tokio::sync::mpsc::unbounded_channel();
    let peer = Peer::builder()
        .push("/note", move |_, text: String| {
            seen.send(text).unwrap();
            async {}
        })
        .unwrap()
        .pull("/done", |_, ()| async { Ok(()) })
        .unwrap()
        .build()
        .unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer).await;
    for (kind, text) in [(Kind::PUSH, "\"four\""), (Kind::PUSH_ALT, "\"three\"")] {
        raw.send_packet(&Header::new(PacketId::Sequence(1), kind, "/note"), json(text)).await;
    }
    raw.send_packet(&Header::new(PacketId::Sequence(1), Kind::PUSH, "/nobody"), json("1")).await;
    raw.send_packet(&Header::new(PacketId::Sequence(1), Kind::PUSH, "/note"), json("{")).await;
    raw.pull("2", "/done", Body::None).await;
    assert_eq!(raw.receive().await.id(), PacketId::Text("2".into()), "only the pull is answered");
    assert_eq!(pushes.recv().await.unwrap(), "four");
    assert_eq!(pushes.recv().await.unwrap(), "three");
}

/// Sees to it that the subscriber of a thread is told of everything that happens there. While there is just one in the
/// process, a place that is passed first on another thread is told to nobody from then on; with a second one, all are asked.
pub(crate) fn ask_all_subscribers() {
    static SECOND: LazyLock<tracing::Dispatch> =
        LazyLock::new(|| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()));
    LazyLock::force(&SECOND);
}

/// What is logged while the guard lives, on this thread.
pub(crate) fn log() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    ask_all_subscribers();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || Lines(writer.clone())).finish();
    (lines, tracing::subscriber::set_default(subscriber))
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_push_whose_handler_waits_is_not_told_as_refused() {
    let (lines, _guard) = log();
    let (done, mut pushes) = tokio::sync::mpsc::unbounded_channel();
    let peer = Peer::builder()
        .push("/later", move |_, n: u8| {
            let done = done.clone();
            async move {
                tokio::task::yield_now().await;
                done.send(n).unwrap();
            }
        })
        .unwrap()
        .build()
        .unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer).await;
    raw.send_packet(&Header::new(PacketId::Sequence(1), Kind::PUSH, "/later"), json("1")).await;
    assert_eq!(pushes.recv().await.unwrap(), 1);
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("refused"), "{text}");
}

#[tokio::test]
async fn a_push_that_nobody_takes_is_in_the_log_and_a_flood_does_not_fill_it() {
    let (lines, _guard) = log();
    let (mut raw, _session) = RawPeer::connect(&desk()).await;
    for _ in 0..100 {
        raw.send_packet(&Header::new(PacketId::Sequence(1), Kind::PUSH, "/nobody"), json("1")).await;
    }
    is_alive(&mut raw).await;
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    let told: Vec<&str> = text.lines().filter(|line| line.contains("a push was refused")).collect();
    assert_eq!(told.len(), 7, "1, 2, 4, 8, 16, 32 and 64: {text}");
    for part in ["WARN", "/nobody", "404 Not Found", "test://raw", "refused=64"] {
        assert!(told[6].contains(part), "{}", told[6]);
    }
}

#[tokio::test]
async fn a_packet_of_unknown_type_is_never_answered() {
    let (mut raw, _session) = RawPeer::connect(&desk()).await;
    for kind in [0, 5, -1, i32::MAX] {
        raw.send_packet(&Header::new(PacketId::Sequence(1), Kind::new(kind), "/desk/double"), json("1"))
            .await;
    }
    // A reply to nobody's pull is dropped as well.
    raw.send_packet(&Header::new(PacketId::Sequence(1), Kind::REPLY, "/desk/double"), json("1")).await;
    is_alive(&mut raw).await;
}

#[tokio::test]
async fn bytes_that_are_no_packet_end_the_session_with_the_reason() {
    for (bytes, reason) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "HTTP"),
        (&[0x16, 0x03, 0x01, 0x02, 0x00], "TLS"),
        (&[0, 0, 0, 0], "header is 0"),
        (&[0, 2, 0, 0], "setting `limits.max_header`"),
        (&[0, 0, 0, 2, b'p', 0xff, 0, 0, 0, 0], "protobuf header"),
        (&[0, 0, 0, 2, b'z', 0xff, 0, 0, 0, 0], "no header codec has the id 122"),
    ] {
        let (mut raw, session) = RawPeer::connect(&desk()).await;
        let call = tokio::spawn({
            let session = session.clone();
            async move { session.pull("/never").await }
        });
        // The call is under way before the bytes come.
        assert_eq!(raw.receive().await.uri(), "/never");
        raw.send(bytes).await;
        let error = call.await.unwrap().unwrap_err();
        assert!(error.is_closed() && error.may_have_run(), "{error}");
        assert!(error.to_string().contains(reason), "{error} does not say {reason}");
        assert!(raw.try_receive().await.is_none(), "the connection is ended");
        session.closed().await;
    }
}

#[tokio::test]
async fn a_packet_may_come_a_byte_at_a_time() {
    let (mut raw, _session) = RawPeer::connect(&desk()).await;
    let header = Header::new(PacketId::Sequence(1), Kind::PULL, "/desk/double");
    for byte in packet(b'j', &header, json("21")) {
        raw.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.receive().await.body().payload(), b"42");
}

#[tokio::test]
async fn what_was_asked_before_the_end_is_still_answered() {
    let (mut raw, session) = RawPeer::connect(&desk()).await;
    raw.pull("1", "/desk/double", json("1")).await;
    raw.pull("2", "/desk/panic_later", Body::None).await;
    raw.end().await;
    let mut codes = [raw.receive().await.code(), raw.receive().await.code()];
    codes.sort_unstable();
    assert_eq!(codes, [200, 500]);
    assert!(raw.try_receive().await.is_none());
    session.closed().await;
}

#[tokio::test]
async fn a_reply_whose_header_would_be_too_large_comes_without_its_texts() {
    let peer = desk_with(Limits::default().with_max_header(45).with_max_uri(40));
    let (mut raw, _session) = RawPeer::connect(&peer).await;
    for query in
        ["", "?", "?a=1", "?a=12", "?a=123", "?a=1234", "?a=12345", "?a=1234567", "?a=123456789012345"]
    {
        raw.pull("id", &format!("/desk/nothing{query}"), Body::None).await;
        let reply = raw.receive().await;
        assert_eq!(reply.id(), PacketId::Text("id".into()), "{query}");
        assert!([200, 500].contains(&reply.code()), "{query}: {}", reply.code());
    }
}
