//! Calls without a trait: any codec out, and whatever codec comes back.

use serde::{Serialize, Serializer};
use teleport::wire::{Body, Header, Kind};
use teleport::{Bincode, Delivery, Initiator, Json, Peer, Plain, Protobuf, Session};
use teleport_tests::RawPeer;
use tokio::task::JoinHandle;

async fn raw_and_session() -> (RawPeer, Session) {
    RawPeer::connect(&Peer::builder().build().unwrap()).await
}

fn spawn_pull(session: &Session) -> JoinHandle<teleport::Result<teleport::Reply>> {
    let session = session.clone();
    tokio::spawn(async move { session.pull("/x").await })
}

#[tokio::test]
async fn a_body_goes_out_in_any_codec() {
    let (mut raw, session) = raw_and_session().await;
    session.push("/p").body(&[1, 2]).await.unwrap();
    session.push("/p").codec(Bincode).body(&[1u8, 2]).await.unwrap();
    session.push("/p").codec(Plain).body("text").await.unwrap();
    session.push("/p").codec(Protobuf).body(&7u64).await.unwrap();
    session.push("/p").payload(b'x', b"own").await.unwrap();
    session.push("/p").await.unwrap();
    for (codec, payload) in
        [(b'j', &b"[1,2]"[..]), (b'b', &[1, 2]), (b's', b"text"), (b'p', &[8, 7]), (b'x', b"own"), (0, b"")]
    {
        let push = raw.receive().await;
        assert_eq!((push.kind(), push.uri()), (Kind::PUSH, "/p"));
        assert_eq!((push.body().codec(), push.body().payload()), (codec, payload));
    }
}

#[tokio::test]
async fn a_reply_is_read_by_the_codec_that_it_carries() {
    let (mut raw, session) = raw_and_session().await;
    for (codec, payload) in [(b'j', &b"\"text\""[..]), (b'b', b"\x04text"), (b's', b"text")] {
        let call = spawn_pull(&session);
        let pull = raw.receive().await;
        let reply = Header { kind: Kind::REPLY, code: 200, ..pull.header() };
        raw.send_packet(&reply, Body::Payload { codec, payload }).await;
        let reply = call.await.unwrap().unwrap();
        assert_eq!((reply.codec(), reply.payload()), (codec, payload));
        assert_eq!(reply.decode::<String>().unwrap(), "text");
        assert_eq!(reply.decode_as::<(Json, Bincode, Plain), &str>().unwrap(), "text", "borrowed");
    }
}

#[tokio::test]
async fn a_reply_that_can_not_be_read_says_so_and_was_answered() {
    let (mut raw, session) = raw_and_session().await;
    for (codec, payload, says) in [
        (b'x', &b""[..], "supported are json, bincode, plain"),
        (b'j', b"\"", "json: EOF"),
        (b'j', b"1", "invalid type"),
    ] {
        let call = spawn_pull(&session);
        let pull = raw.receive().await;
        let reply = Header { kind: Kind::REPLY, code: 200, ..pull.header() };
        raw.send_packet(&reply, Body::Payload { codec, payload }).await;
        let error = call.await.unwrap().unwrap().decode::<String>().unwrap_err();
        assert!(error.is_decode() && error.to_string().contains(says), "{error}");
        assert_eq!((error.delivery(), error.initiator()), (Some(Delivery::Answered), Initiator::Remote));
        assert_eq!((error.uri(), error.peer_addr()), (Some("/x"), Some("test://raw")));
    }
    // An absent body is what a handler of nothing answers with.
    let call = spawn_pull(&session);
    let pull = raw.receive().await;
    raw.send_packet(&Header { kind: Kind::REPLY, code: 200, ..pull.header() }, Body::None).await;
    let reply = call.await.unwrap().unwrap();
    assert_eq!((reply.decode::<()>().unwrap(), reply.decode::<Option<i32>>().unwrap()), ((), None));
    assert!(reply.decode::<i32>().unwrap_err().to_string().contains("there is no body"));
}

#[tokio::test]
async fn a_status_is_told_with_its_uri_and_its_peer() {
    let (mut raw, session) = raw_and_session().await;
    let call = spawn_pull(&session);
    let pull = raw.receive().await;
    let reply = Header { kind: Kind::REPLY, code: -7, status: "no luck".into(), ..pull.header() };
    raw.send_packet(&reply, Body::Payload { codec: b'j', payload: b"{\"ignored\":1}" }).await;
    let error = call.await.unwrap().unwrap_err();
    let status = error.status().unwrap();
    assert_eq!((status.code().number(), status.text()), (-7, "no luck"));
    assert_eq!(error.to_string(), "status -7 no luck (/x at test://raw)");
    assert!(error.is_status() && error.may_have_run());
}

#[tokio::test]
async fn what_can_not_be_sent_is_told_and_nothing_is_sent() {
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("will not"))
        }
    }
    let (mut raw, session) = raw_and_session().await;
    let error = session.pull("/x").body(&Stubborn).await.unwrap_err();
    assert!(error.is_encode() && error.to_string().contains("will not"), "{error}");
    assert_eq!((error.delivery(), error.initiator()), (Some(Delivery::NotSent), Initiator::User));
    let error = session.push("no/slash").await.unwrap_err();
    assert!(error.is_config() && error.to_string().contains("starts with a slash"), "{error}");
    let long = format!("/{}", "u".repeat(9000));
    let error = session.push(&long).await.unwrap_err();
    assert!(error.is_limit() && error.to_string().contains("setting `limits.max_uri`"), "{error}");
    session.push("/sent").await.unwrap();
    assert_eq!(raw.receive().await.uri(), "/sent");
}
