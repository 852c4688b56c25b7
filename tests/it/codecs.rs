//! Codecs: chosen by service, by method and by call; one of the user's own; bounds on what is decoded; gzip.

use std::borrow::Cow;
use std::io::Cursor;

use serde::{Deserialize, Serialize};
use teleport::wire::{Body, Header, Kind, PacketId, WireError};
use teleport::{
    Bincode, Codec, CodecError, Decode, Encode, HeaderCodec, Input, JsonHeader, Limits, Peer, Protobuf,
    Session, Status, gzip,
};
use teleport_tests::{RawPeer, json};
use tokio::task::JoinHandle;

/// MessagePack, as a user would add it.
#[derive(Clone, Copy, Debug, Default)]
struct MessagePack;

impl Codec for MessagePack {
    const ID: u8 = b'm';
    const NAME: &'static str = "messagepack";
}

impl<T: Serialize + ?Sized> Encode<T> for MessagePack {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        rmp_serde::encode::write(out, value).map_err(|error| CodecError::new(Self::NAME, error))
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for MessagePack {
    fn decode(input: Input<'de>) -> Result<T, CodecError> {
        let mut reader = rmp_serde::Deserializer::new(Cursor::new(input.bytes()));
        let value = input.deserialize(&mut reader).map_err(|error| CodecError::new(Self::NAME, error))?;
        match input.bytes().len() as u64 - reader.position() {
            0 => Ok(value),
            rest => Err(CodecError::new(Self::NAME, format!("{rest} bytes follow the value"))),
        }
    }
}

/// Travels in any of them.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Point {
    #[prost(int64, tag = "1")]
    x: i64,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Chain(Option<Box<Chain>>);

#[teleport::service(codec = bincode, codecs = [bincode, json, MessagePack])]
trait Places {
    async fn by_service(&self, a: i64, b: i64) -> Result<i64, Status>;
    #[pull(codec = MessagePack)]
    async fn by_method(&self, name: &str) -> Result<String, Status>;
    #[pull(codec = protobuf)]
    async fn moved(&self, point: Point) -> Result<Point, Status>;
    #[pull(codecs = [plain])]
    async fn shout(&self, text: &str) -> Result<String, Status>;
    #[pull(codecs = [json, bincode, protobuf, MessagePack])]
    async fn any(&self, point: Point) -> Result<Point, Status>;
    async fn links(&self, chain: Chain) -> Result<u64, Status>;
    #[pull(gzip = 9)]
    async fn long(&self, text: &str) -> Result<String, Status>;
}

struct Atlas;

impl Places for Atlas {
    async fn by_service(&self, a: i64, b: i64) -> Result<i64, Status> {
        Ok(a - b)
    }
    async fn by_method(&self, name: &str) -> Result<String, Status> {
        Ok(name.to_uppercase())
    }
    async fn moved(&self, point: Point) -> Result<Point, Status> {
        Ok(Point { x: point.x + 1, ..point })
    }
    async fn shout(&self, text: &str) -> Result<String, Status> {
        Ok(text.to_uppercase())
    }
    async fn any(&self, point: Point) -> Result<Point, Status> {
        Ok(point)
    }
    async fn links(&self, chain: Chain) -> Result<u64, Status> {
        Ok(std::iter::successors(chain.0.as_ref(), |link| link.0.as_ref()).count() as u64)
    }
    async fn long(&self, text: &str) -> Result<String, Status> {
        Ok(text.repeat(2))
    }
}

fn atlas() -> Peer {
    Peer::builder().service(PlacesServer::new(Atlas)).unwrap().build().unwrap()
}

/// A client whose calls are seen as bytes, and answered by hand.
async fn watched() -> (RawPeer, PlacesClient) {
    let (raw, session) = RawPeer::connect(&Peer::builder().build().unwrap()).await;
    (raw, PlacesClient::new(&session))
}

fn spawn<T: Send + 'static>(
    call: impl Future<Output = teleport::Result<T>> + Send + 'static,
) -> JoinHandle<teleport::Result<T>> {
    tokio::spawn(call)
}

#[tokio::test]
async fn the_codec_is_chosen_by_service_by_method_and_by_call() {
    let (mut raw, places) = watched().await;
    let here = Point { x: 1, name: "here".into() };

    let client = places.clone();
    drop(spawn(async move { client.by_service(-1, 2).await }));
    let pull = raw.receive().await;
    // Two varints with their sign at the bottom, and no names.
    assert_eq!((pull.body().codec(), pull.body().payload()), (b'b', &[1, 4][..]));

    let client = places.clone();
    drop(spawn(async move { client.by_service(-1, 2).codec(teleport::Json).await }));
    let pull = raw.receive().await;
    assert_eq!((pull.body().codec(), pull.body().payload()), (b'j', &br#"{"a":-1,"b":2}"#[..]));

    let client = places.clone();
    drop(spawn(async move { client.by_method("é").await }));
    let pull = raw.receive().await;
    assert_eq!((pull.body().codec(), pull.body().payload()), (b'm', &[0xa2, 0xc3, 0xa9][..]));

    let client = places.clone();
    let point = here.clone();
    drop(spawn(async move { client.moved(point).await }));
    let pull = raw.receive().await;
    assert_eq!((pull.body().codec(), pull.body().payload()), (b'p', &b"\x08\x01\x12\x04here"[..]));

    let client = places.clone();
    let point = here.clone();
    drop(spawn(async move { client.any(point).codec(Protobuf).await }));
    assert_eq!(raw.receive().await.body().codec(), b'p');

    drop(spawn(async move { places.shout("hi").await }));
    let pull = raw.receive().await;
    assert_eq!((pull.body().codec(), pull.body().payload()), (b's', &b"hi"[..]));
}

#[tokio::test]
async fn every_codec_reaches_the_method_and_comes_back() {
    let server = atlas();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    let places = PlacesClient::new(&session);
    let here = Point { x: 1, name: "here".into() };
    assert_eq!(places.by_service(1, 2).await.unwrap(), -1);
    assert_eq!(places.by_service(1, 2).codec(MessagePack).await.unwrap(), -1);
    assert_eq!(places.by_method("x").await.unwrap(), "X");
    assert_eq!(places.moved(here.clone()).await.unwrap(), Point { x: 2, ..here.clone() });
    assert_eq!(places.moved(Point::default()).await.unwrap(), Point { x: 1, ..Point::default() });
    assert_eq!(places.shout("x").await.unwrap(), "X");
    assert_eq!(places.any(here.clone()).await.unwrap(), here);
    assert_eq!(places.any(here.clone()).codec(Bincode).await.unwrap(), here);
    assert_eq!(places.any(here.clone()).codec(Protobuf).await.unwrap(), here);
    assert_eq!(places.any(here.clone()).codec(MessagePack).await.unwrap(), here);
}

#[tokio::test]
async fn a_reply_comes_in_the_codec_of_its_pull() {
    let (mut raw, _session) = RawPeer::connect(&atlas()).await;
    for (codec, payload) in [
        (b'j', &br#"{"x":1,"name":"n"}"#[..]),
        (b'b', &[2, 1, b'n'][..]),
        (b'p', &b"\x08\x01\x12\x01n"[..]),
        (b'm', &[0x92, 1, 0xa1, b'n'][..]),
    ] {
        raw.pull("1", "/places/any", Body::Payload { codec, payload }).await;
        let reply = raw.receive().await;
        assert_eq!((reply.code(), reply.body().codec(), reply.body().payload()), (200, codec, payload));
    }
}

/// A session that sends `body` to the method that takes a nested value; the status that comes back.
async fn links(max_depth: u32, codec: u8, payload: &[u8]) -> (i32, String) {
    let peer = Peer::builder().service(PlacesServer::new(Atlas)).unwrap();
    let peer = peer.limits(Limits::default().with_max_depth(max_depth)).build().unwrap();
    let (mut raw, _session) = RawPeer::connect(&peer).await;
    raw.pull("1", "/places/links", Body::Payload { codec, payload }).await;
    let reply = raw.receive().await;
    raw.pull("2", "/places/by_service", json(r#"{"a":3,"b":1}"#)).await;
    assert_eq!(raw.receive().await.body().payload(), b"2", "the session lives on");
    (reply.code(), reply.status().to_owned())
}

#[teleport::service(codecs = [json, bincode, MessagePack])]
trait Borrowing {
    async fn lines(&self, first: &str, rest: Vec<&str>, bytes: &[u8], who: Person<'_>) -> String;
    async fn one(&self, line: Option<&str>) -> String;
    async fn bytes(&self, bytes: &[u8]) -> Vec<u8>;
}

#[derive(Serialize, Deserialize)]
struct Person<'a> {
    name: &'a str,
    #[serde(borrow)]
    title: Cow<'a, str>,
}

struct Reader;

impl Borrowing for Reader {
    async fn lines(&self, first: &str, rest: Vec<&str>, bytes: &[u8], who: Person<'_>) -> String {
        // What is borrowed lasts while the handler waits.
        tokio::task::yield_now().await;
        format!("{first}|{}|{bytes:?}|{} {}", rest.join("|"), who.title, who.name)
    }
    async fn one(&self, line: Option<&str>) -> String {
        format!("{line:?}")
    }
    async fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }
}

/// JSON escapes a text, so it can't be borrowed from the body as it stands there; bytes are an array of numbers.
#[tokio::test]
async fn what_is_borrowed_reaches_the_method_in_every_codec() {
    let server = Peer::builder().service(BorrowingServer::new(Reader)).unwrap().build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    let client = BorrowingClient::new(&session);
    for text in ["plain", "\"two\"\nlines \\ é \u{1}", ""] {
        let person = || Person { name: text, title: text.into() };
        let rest = || vec![text, "x", text];
        let expected = format!("{text}|{text}|x|{text}|[0, 255]|{text} {text}");
        assert_eq!(client.lines(text, rest(), &[0, 255], person()).await.unwrap(), expected);
        assert_eq!(client.lines(text, rest(), &[0, 255], person()).codec(Bincode).await.unwrap(), expected);
        assert_eq!(
            client.lines(text, rest(), &[0, 255], person()).codec(MessagePack).await.unwrap(),
            expected
        );
        assert_eq!(client.one(Some(text)).await.unwrap(), format!("{:?}", Some(text)));
        assert_eq!(client.bytes(text.as_bytes()).await.unwrap(), text.as_bytes());
    }
    // A number is still no text, and a number over 255 no byte.
    for (uri, body) in [("/borrowing/one", "1"), ("/borrowing/bytes", "[256]"), ("/borrowing/bytes", "{}")] {
        let error = session.pull(uri).payload(b'j', body.as_bytes()).await.unwrap_err();
        assert_eq!(error.status().map(Status::code), Some(teleport::Code::BAD_REQUEST), "{error}");
    }
}

#[tokio::test]
async fn bodies_that_are_nested_too_deep_are_400_in_every_codec() {
    // Each link is nested twice: as a struct around its value, and as an option that is there.
    let deep = |depth: usize| -> [(u8, Vec<u8>); 3] {
        let bincode = [vec![1; depth], vec![0]].concat();
        let json = format!("{}null{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
        let messagepack = [vec![0x91; depth], vec![0xc0]].concat();
        [(b'b', bincode), (b'j', json), (b'm', messagepack)]
    };
    for (codec, payload) in deep(1_000_000) {
        for max_depth in [20, 128] {
            let (code, status) = links(max_depth, codec, &payload).await;
            assert_eq!(code, 400, "{}: {status}", char::from(codec));
            // serde_json has a bound of its own at the default, which is the same.
            assert!(status.contains("limits.max_depth") || status.contains("recursion limit"), "{status}");
        }
    }
    let (code, status) = links(128, b'b', &deep(30)[0].1).await;
    assert_eq!(code, 200, "{status}");
}

#[tokio::test]
async fn bodies_that_hold_less_or_more_than_their_value_are_400() {
    for (codec, payload) in [
        // A text of 2^63 bytes; an array of 2^32 - 1 values.
        (b'b', &[253, 0, 0, 0, 0, 0, 0, 0, 0x80][..]),
        (b'm', &[0xdd, 0xff, 0xff, 0xff, 0xff][..]),
        (b'j', b"[[[["),
        // More than the value.
        (b'm', &[0x92, 1, 0xa1, b'n', 0]),
        (b'b', &[2, 1, b'n', 0]),
        (b'j', b"{\"x\":1,\"name\":\"n\"} 1"),
    ] {
        let (mut raw, _session) = RawPeer::connect(&atlas()).await;
        raw.pull("1", "/places/any", Body::Payload { codec, payload }).await;
        let reply = raw.receive().await;
        assert_eq!(reply.code(), 400, "{}", reply.status());
    }
}

#[tokio::test]
async fn gzip_is_chosen_by_method_and_by_call_and_the_reply_has_it_too() {
    let (mut raw, places) = watched().await;
    let text = "again and ".repeat(100);
    let expected = text.clone();
    let call = spawn({
        let (places, text) = (places.clone(), text.clone());
        async move { places.long(&text).codec(teleport::Json).await }
    });
    let pull = raw.receive().await;
    assert_eq!(pull.gzip(), 9);
    assert!(pull.body().payload().len() < 100, "{} bytes", pull.body().payload().len());
    let mut inflated = Vec::new();
    gzip::inflate(pull.body().payload(), 10_000, &mut inflated).unwrap();
    assert_eq!(inflated, format!("\"{expected}\"").as_bytes());
    // The reply is inflated whatever its level says.
    let reply = Header { kind: Kind::REPLY, code: 200, gzip: 1, ..pull.header() };
    raw.send_packet(&reply, Body::Payload { codec: b'j', payload: pull.body().payload() }).await;
    assert_eq!(call.await.unwrap().unwrap(), expected);

    let call = spawn(async move { places.long(&text).gzip(0).await });
    assert_eq!(raw.receive().await.gzip(), 0);
    call.abort();

    let server = atlas();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    for level in -2..=9 {
        let reply = session.pull("/places/long").body("x".repeat(20_000).as_str()).gzip(level).await.unwrap();
        assert_eq!((reply.gzip(), reply.payload().len()), (level, 40_002));
    }
    let error = session.pull("/places/long").body("x").gzip(10).await.unwrap_err();
    assert!(error.is_encode() && error.to_string().contains("outside -2 to 9"), "{error}");
    assert!(!error.may_have_run());
}

#[tokio::test]
async fn a_reply_that_inflates_past_the_limit_ends_its_call_alone() {
    let peer = Peer::builder().limits(Limits::default().with_max_inflated(1000)).build().unwrap();
    let (mut raw, session) = RawPeer::connect(&peer).await;
    let call = spawn_pull(&session);
    let pull = raw.receive().await;
    let mut bomb = Vec::new();
    gzip::deflate(9, &vec![b'1'; 1_000_000], &mut bomb).unwrap();
    let reply = Header { kind: Kind::REPLY, code: 200, gzip: 9, ..pull.header() };
    raw.send_packet(&reply, Body::Payload { codec: b'j', payload: &bomb }).await;
    let error = call.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("setting `limits.max_inflated`"), "{error}");
    assert!(error.may_have_run() && session.is_open());
}

fn spawn_pull(session: &Session) -> JoinHandle<teleport::Result<teleport::Reply>> {
    let session = session.clone();
    spawn(async move { session.pull("/x").await })
}

/// Headers as lines of text: a codec of the user's own.
struct Lines;

impl HeaderCodec for Lines {
    fn id(&self) -> u8 {
        b'l'
    }
    fn name(&self) -> &'static str {
        "lines"
    }
    fn encode(&self, header: &Header<'_>, out: &mut Vec<u8>) -> Result<(), WireError> {
        let Header { id, kind, uri, gzip, code, status, .. } = header;
        let kind = kind.number();
        out.extend_from_slice(format!("{id}\n{kind}\n{uri}\n{gzip}\n{code}\n{status}").as_bytes());
        Ok(())
    }
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Header<'a>, WireError> {
        let bad = || WireError::header("lines", "six lines are expected");
        let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
        let lines: Vec<&str> = text.splitn(6, '\n').collect();
        let [id, kind, uri, gzip, code, status] = lines[..] else { return Err(bad()) };
        let number = |text: &str| text.parse().map_err(|_| bad());
        Ok(Header {
            gzip: number(gzip)?,
            code: number(code)?,
            status: status.into(),
            ..Header::new(PacketId::Text(id.into()), Kind::new(number(kind)?), uri)
        })
    }
}

#[tokio::test]
async fn the_header_codec_is_the_dialers_choice() {
    let json = Peer::builder().header_codec(JsonHeader).unwrap().build().unwrap();
    let (mut raw, session) = RawPeer::connect(&json).await;
    session.push("/x").await.unwrap();
    assert_eq!(raw.receive().await.header_codec(), b'j');

    let own = Peer::builder().header_codec(Lines).unwrap().build().unwrap();
    let server = Peer::builder().service(PlacesServer::new(Atlas)).unwrap().header_codec(Lines).unwrap();
    let server = server.build().unwrap();
    let session = own.connect(&server).await.unwrap();
    let reply = session.pull("/places/by_method").body("x").await.unwrap();
    assert_eq!(reply.decode::<String>().unwrap(), "X");

    struct Taken;
    impl HeaderCodec for Taken {
        fn id(&self) -> u8 {
            b'p'
        }
        fn name(&self) -> &'static str {
            "taken"
        }
        fn encode(&self, _: &Header<'_>, _: &mut Vec<u8>) -> Result<(), WireError> {
            Ok(())
        }
        fn decode<'a>(&self, _: &'a [u8]) -> Result<Header<'a>, WireError> {
            Ok(Header::default())
        }
    }
    let error = Peer::builder().header_codec(Taken).unwrap_err().to_string();
    assert!(error.contains("\"protobuf\" and \"taken\" both have the id"), "{error}");
}
