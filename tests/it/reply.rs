//! What a handler sets of its reply: status, codec and gzip level.

use std::sync::Mutex;

use teleport::plugin::{OutgoingReply, Plugin, Verdict};
use teleport::wire::{Body, Header, Kind, PacketId};
use teleport::{Bincode, Context, Json, Peer, Plain, Protobuf, ReplyBody, Status, gzip};
use teleport_tests::{RawPeer, json};

#[teleport::service]
trait Desk {
    async fn make(&self, cx: &Context, how: &str) -> Result<String, Status>;
    async fn nothing(&self, cx: &Context) -> Result<(), Status>;
    #[push]
    async fn note(&self, cx: &Context, how: &str);
}

struct Staff;

/// Sets what `how` says.
fn set(cx: &Context, how: &str) {
    for what in how.split(' ') {
        match what {
            "created" => cx.set_reply_status(Status::new(200, "created")),
            "partly" => cx.set_reply_status(Status::new(1206, "half of it")),
            "bincode" => cx.set_reply_codec(Bincode),
            "plain" => cx.set_reply_codec(Plain),
            "protobuf" => cx.set_reply_codec(Protobuf),
            "gzip" => cx.set_reply_gzip(6),
            "raw" => cx.set_reply_gzip(0),
            "gzip99" => cx.set_reply_gzip(99),
            _ => {}
        }
    }
}

impl Desk for Staff {
    async fn make(&self, cx: &Context, how: &str) -> Result<String, Status> {
        set(cx, how);
        if how.contains("later") {
            tokio::task::yield_now().await;
        }
        if how.contains("fail") { Err(Status::new(1000, "failed")) } else { Ok("done".into()) }
    }
    async fn nothing(&self, cx: &Context) -> Result<(), Status> {
        set(cx, "created");
        Ok(())
    }
    async fn note(&self, cx: &Context, how: &str) {
        set(cx, how);
    }
}

fn desk() -> Peer {
    Peer::builder()
        .service(DeskServer::new(Staff))
        .unwrap()
        .pull("/function", |cx, how: String| async move {
            set(&cx, &how);
            Ok("done")
        })
        .unwrap()
        .unknown_pull(|cx| async move {
            set(&cx, "partly gzip");
            Ok(ReplyBody::payload(b'x', "own"))
        })
        .build()
        .unwrap()
}

/// Status, text, gzip level, codec and inflated payload of the reply.
async fn answer(raw: &mut RawPeer, uri: &str, how: &str) -> (i32, String, i32, u8, Vec<u8>) {
    raw.pull("1", uri, json(&format!("{how:?}"))).await;
    let reply = raw.receive().await;
    let mut payload = reply.body().payload().to_vec();
    if reply.gzip() != 0 && !payload.is_empty() {
        let mut inflated = Vec::new();
        gzip::inflate(&payload, 1000, &mut inflated).unwrap();
        payload = inflated;
    }
    (reply.code(), reply.status().to_owned(), reply.gzip(), reply.body().codec(), payload)
}

#[tokio::test]
async fn status_codec_and_gzip_are_as_the_handler_sets_them() {
    let (mut raw, _session) = RawPeer::connect(&desk()).await;
    let raw = &mut raw;
    for later in ["", "later "] {
        let mut make = async |how: &str| answer(raw, "/desk/make", &format!("{later}{how}")).await;
        let done = |code, text: &str, gzip, codec, payload: &[u8]| {
            (code, text.to_owned(), gzip, codec, payload.to_vec())
        };
        assert_eq!(make("").await, done(200, "OK", 0, b'j', b"\"done\""));
        assert_eq!(make("created").await, done(200, "created", 0, b'j', b"\"done\""));
        assert_eq!(make("partly").await, done(1206, "half of it", 0, b'j', b"\"done\""));
        assert_eq!(make("bincode").await, done(200, "OK", 0, b'b', b"\x04done"));
        assert_eq!(make("gzip").await, done(200, "OK", 6, b'j', b"\"done\""));
        assert_eq!(make("created bincode gzip").await, done(200, "created", 6, b'b', b"\x04done"));
        // A status that is returned as the error goes out, and what was set counts for this call alone.
        assert_eq!(make("created fail").await, done(1000, "failed", 0, 0, b""));
        assert_eq!(make("").await, done(200, "OK", 0, b'j', b"\"done\""));
        // What can't be is told.
        let (code, text, ..) = make("protobuf").await;
        assert_eq!((code, text.contains("'p'")), (500, true), "{text}");
        let (code, text, ..) = make("gzip99").await;
        assert_eq!((code, text.contains("99")), (500, true), "{text}");
        assert_eq!(make("").await, done(200, "OK", 0, b'j', b"\"done\""));
    }
    let function = answer(raw, "/function", "plain created").await;
    assert_eq!(function, (200, "created".into(), 0, b's', b"done".to_vec()));
    assert_eq!(answer(raw, "/function", "protobuf").await.0, 500);
    assert_eq!(answer(raw, "/desk/nothing", "").await, (200, "created".into(), 0, 0, Vec::new()));
    assert_eq!(answer(raw, "/unknown", "").await, (1206, "half of it".into(), 6, b'x', b"own".to_vec()));
    // A pull that came compressed may be answered without.
    let mut zipped = Vec::new();
    gzip::deflate(5, b"\"raw\"", &mut zipped).unwrap();
    let header = Header { gzip: 5, ..Header::new(PacketId::Text("2".into()), Kind::PULL, "/desk/make") };
    raw.send_packet(&header, Body::Payload { codec: b'j', payload: &zipped }).await;
    let reply = raw.receive().await;
    assert_eq!((reply.gzip(), reply.body().payload()), (0, &b"\"done\""[..]));
}

#[tokio::test]
async fn callers_read_what_was_set() {
    let server = desk();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    let desk = DeskClient::new(&session);
    assert_eq!(desk.make("bincode gzip created").codec(Json).await.unwrap(), "done");
    let reply = session.pull("/desk/make").body("created bincode").await.unwrap();
    assert_eq!((reply.status(), reply.codec()), (Status::new(200, "created"), b'b'));
    assert_eq!(session.pull("/desk/make").body("").await.unwrap().status(), Status::ok());
    // Another code is an error; its body is for those who pass it on.
    let error = desk.make("partly").await.unwrap_err();
    assert_eq!(error.status(), Some(&Status::new(1206, "half of it")));
    let body = teleport::SealedBody::new(&b"j\"partly\""[..], 0);
    let reply = session.pull("/desk/make").sealed(body).await.unwrap();
    assert_eq!((reply.status().code().number(), reply.body().payload()), (1206, &b"\"done\""[..]));
    desk.note("created gzip99 protobuf").await.unwrap();
    desk.nothing().await.unwrap();
}

/// A handler keeps its context, and another call uses its place.
#[tokio::test]
async fn what_a_kept_context_says_is_not_for_the_next_call() {
    static KEPT: Mutex<Vec<Context>> = Mutex::new(Vec::new());
    let server = Peer::builder()
        .pull("/keep", |cx, ()| async move {
            let kept = &mut *KEPT.lock().unwrap();
            kept.iter().for_each(|cx: &Context| cx.set_reply_status(Status::new(1, "stale")));
            kept.push(cx);
            Ok(())
        })
        .unwrap()
        .build()
        .unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    for _ in 0..4 {
        session.pull("/keep").await.unwrap();
    }
    KEPT.lock().unwrap().clear();
}

struct Sees;

impl Plugin for Sees {
    fn name(&self) -> &str {
        "sees"
    }
    async fn before_write_reply(&self, reply: &mut OutgoingReply) -> Verdict {
        if reply.status().text() == "created" {
            assert_eq!((reply.codec(), reply.gzip()), (b'b', 6));
            reply.set_status(Status::new(200, "seen"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn plugins_see_what_was_set() {
    let server = Peer::builder().service(DeskServer::new(Staff)).unwrap().plugin(Sees).build().unwrap();
    let (mut raw, _session) = RawPeer::connect(&server).await;
    for later in ["", "later "] {
        let told = answer(&mut raw, "/desk/make", &format!("{later}created bincode gzip")).await;
        assert_eq!(told, (200, "seen".into(), 6, b'b', b"\x04done".to_vec()));
    }
}

static HELD: Mutex<Option<Context>> = Mutex::new(None);

/// Uses a handler's context when the handler is through, for the last time.
struct Late;

impl Plugin for Late {
    fn name(&self) -> &str {
        "late"
    }
    async fn before_write_reply(&self, _: &mut OutgoingReply) -> Verdict {
        if let Some(cx) = HELD.lock().unwrap().take() {
            cx.set_reply_status(Status::new(1, "stale"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_is_said_too_late_is_not_for_the_next_call() {
    let hold = |cx, hold: bool| async move {
        if hold {
            *HELD.lock().unwrap() = Some(cx);
        }
        Ok(())
    };
    let server = Peer::builder().pull("/hold", hold).unwrap().plugin(Late).build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    for hold in [true, false] {
        session.pull("/hold").body(&hold).await.unwrap();
    }
}
