//! Calls in the log: one event on each end, with the fields that the documentation names.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use teleport::plugin::{Plugin, Verdict};
use teleport::plugins::Auth;
use teleport::wire::{Header, Kind, PacketId};
use teleport::{
    Connection, Context, Limits, LogCalls, LogOptions, LogPart, Peer, PeerBuilder, Session, Status, gzip,
};
use teleport_tests::{RawPeer, json};
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// The events of calls, in order.
#[derive(Clone)]
struct Log {
    events: Arc<Mutex<Vec<Told>>>,
    /// Events above it are not wanted.
    most: Level,
}

/// The fields of one event, with `level` and `message`.
#[derive(Clone, Default)]
struct Told(BTreeMap<&'static str, String>);

impl Log {
    /// Listens on this thread while the guard lives.
    fn listen(most: Level) -> (Self, DefaultGuard) {
        super::raw::ask_all_subscribers();
        let log = Log { events: Arc::default(), most };
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    fn all(&self) -> Vec<Told> {
        std::mem::take(&mut self.events.lock().unwrap())
    }

    /// The event of one side of the only call so far.
    fn of(&self, side: &str) -> Told {
        let mut of_side: Vec<_> = self.events.lock().unwrap().clone();
        of_side.retain(|told| told.get("side") == side);
        assert_eq!(of_side.len(), 1, "{of_side:#?}");
        of_side.remove(0)
    }
}

impl Told {
    fn get(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    /// All fields but `peer`, which counts on.
    #[track_caller]
    fn is(mut self, expected: &[(&'static str, &str)]) {
        self.0.remove("peer");
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(field, value)| (*field, (*value).to_owned())).collect();
        assert_eq!(self.0, expected);
    }
}

impl Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "teleport::calls" && *metadata.level() <= self.most
    }
    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        told.0.insert("level", event.metadata().level().to_string());
        event.record(&mut told);
        self.events.lock().unwrap().push(told);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[teleport::service(codec = bincode)]
trait Desk {
    async fn double(&self, n: u8) -> Result<u8, Status>;
    #[push]
    async fn note(&self, n: u8);
    async fn fail(&self) -> Result<(), Status>;
    async fn panic(&self) -> Result<(), Status>;
    async fn sleep(&self, seconds: u64) -> Result<(), Status>;
}

struct Staff(Arc<Notify>);

impl Desk for Staff {
    async fn double(&self, n: u8) -> Result<u8, Status> {
        Ok(2 * n)
    }
    async fn note(&self, _: u8) {
        self.0.notify_one();
    }
    async fn fail(&self) -> Result<(), Status> {
        Err(Status::new(1234, "not today"))
    }
    async fn panic(&self) -> Result<(), Status> {
        panic!("on purpose")
    }
    async fn sleep(&self, seconds: u64) -> Result<(), Status> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok(())
    }
}

/// Two peers with a session between them, whose log goes to this thread.
struct Pair {
    session: Session,
    noted: Arc<Notify>,
    _peers: (Peer, Peer),
}

async fn pair(logs: LogOptions) -> Pair {
    pair_with(|builder| builder.logs(logs.clone())).await
}

async fn pair_with(set: impl Fn(PeerBuilder) -> PeerBuilder) -> Pair {
    let noted = Arc::new(Notify::new());
    let server = set(Peer::builder().service(DeskServer::new(Staff(noted.clone()))).unwrap());
    let server = server.pull("/echo", |_, text: serde_json::Value| async move { Ok(text) }).unwrap();
    let (server, client) = (server.build().unwrap(), set(Peer::builder()).build().unwrap());
    let session = client.connect(&server).await.unwrap();
    Pair { session, noted, _peers: (server, client) }
}

#[tokio::test(start_paused = true)]
async fn a_pull_has_one_event_on_each_end() {
    let (log, _guard) = Log::listen(Level::INFO);
    let pair = pair(LogOptions::default()).await;
    assert_eq!(DeskClient::new(&pair.session).double(4).await.unwrap(), 8);
    let caller = log.of("caller");
    assert_eq!(caller.get("peer"), pair.session.remote_addr().to_string());
    assert_eq!(log.of("handler").get("peer"), pair.session.local_addr().to_string());
    let (sent, received) = (caller.get("sent").to_owned(), caller.get("received").to_owned());
    let (is_more, fields) = (|bytes: &str| bytes.parse::<u64>().unwrap() > 20, "kind and sizes");
    assert!(is_more(&sent) && is_more(&received), "{fields}: {sent} {received}");
    caller.is(&[
        ("level", "INFO"),
        ("message", "called"),
        ("kind", "pull"),
        ("side", "caller"),
        ("uri", "/desk/double"),
        ("id", "0"),
        ("status", "200"),
        ("cost", "0ns"),
        ("sent", &sent),
        ("received", &received),
        ("waited_to_write", "0ns"),
        ("waited_for_reply", "0ns"),
    ]);
    log.of("handler").is(&[
        ("level", "INFO"),
        ("message", "answered"),
        ("kind", "pull"),
        ("side", "handler"),
        ("uri", "/desk/double"),
        ("id", "0"),
        ("status", "200"),
        ("cost", "0ns"),
        ("sent", &received),
        ("received", &sent),
        ("waited_to_write", "0ns"),
        ("handler", "0ns"),
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_push_has_one_event_on_each_end() {
    let (log, _guard) = Log::listen(Level::INFO);
    let pair = pair(LogOptions::default()).await;
    DeskClient::new(&pair.session).note(4).query("to", "all").await.unwrap();
    pair.noted.notified().await;
    tokio::task::yield_now().await;
    let bytes = log.of("caller").get("sent").to_owned();
    log.of("caller").is(&[
        ("level", "INFO"),
        ("message", "pushed"),
        ("kind", "push"),
        ("side", "caller"),
        ("uri", "/desk/note?to=all"),
        ("id", "0"),
        ("cost", "0ns"),
        ("sent", &bytes),
        ("waited_to_write", "0ns"),
    ]);
    log.of("handler").is(&[
        ("level", "INFO"),
        ("message", "took a push"),
        ("kind", "push"),
        ("side", "handler"),
        ("uri", "/desk/note?to=all"),
        ("id", "0"),
        ("cost", "0ns"),
        ("received", &bytes),
        ("handler", "0ns"),
    ]);
}

/// The sizes are those of the packets, to the byte.
#[tokio::test]
async fn sizes_are_those_of_packets() {
    let (log, _guard) = Log::listen(Level::INFO);
    let pair = pair(LogOptions::default()).await;
    let server = pair._peers.0.clone();
    let (mut raw, _session) = RawPeer::connect(&server).await;
    let long = format!("\"{}\"", "x".repeat(200_000));
    for text in ["\"hi\"", &long] {
        let packet = teleport_tests::packet(
            b'p',
            &Header::new(PacketId::Text("a".into()), Kind::PULL, "/echo"),
            json(text),
        );
        raw.send(&packet).await;
        let reply = raw.try_receive_frame().await.unwrap();
        let told = log.all().remove(0);
        assert_eq!(told.get("received"), packet.len().to_string());
        assert_eq!(told.get("sent"), reply.len().to_string());
    }
    // What the caller says of the same.
    for text in ["hi", &long] {
        pair.session.pull("/echo").body(text).await.unwrap();
        let told = log.all();
        let (sent, received): (Vec<_>, Vec<_>) =
            told.iter().map(|told| (told.get("sent"), told.get("received"))).unzip();
        assert_eq!((sent[0], received[0]), (received[1], sent[1]), "{told:#?}");
    }
}

struct Guard;

impl Plugin for Guard {
    fn name(&self) -> &str {
        "guard"
    }
    async fn after_read_header(&self, cx: &mut Context) -> Verdict {
        if cx.query("key").is_none() { Err(Status::unauthorized("no key")) } else { Ok(()) }
    }
}

/// How a call failed, as both ends tell: status and error.
async fn failed(log: &Log, call: impl Future<Output = teleport::Result<()>>) -> [[String; 2]; 2] {
    call.await.unwrap_err();
    let all = log.all();
    ["caller", "handler"].map(|side| {
        let of_side: Vec<_> = all.iter().filter(|told| told.get("side") == side).collect();
        assert!(of_side.len() <= 1, "{of_side:#?}");
        ["status", "error"].map(|field| of_side.first().map_or("", |told| told.get(field)).to_owned())
    })
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_have_theirs_too() {
    let (log, _guard) = Log::listen(Level::INFO);
    let limits = Limits::default().with_max_body(2000).with_max_uri(500);
    let pair = pair_with(|builder| builder.limits(limits.clone())).await;
    let (session, desk) = (&pair.session, DeskClient::new(&pair.session));
    let same =
        |status: &str, error: &str| [[status.to_owned(), error.to_owned()], [status.into(), error.into()]];

    assert_eq!(failed(&log, async { desk.fail().await }).await, same("1234", "not today"));
    let nobody = "Not Found: nothing takes the pull /nobody";
    let told = failed(&log, async { session.pull("/nobody").await.map(drop) }).await;
    assert_eq!(told, same("404", nobody));
    let told = failed(&log, async { session.pull("/desk/double").body("x").await.map(drop) }).await;
    assert_eq!((&*told[0][0], &told[0]), ("400", &told[1]));
    let told = failed(&log, async { session.pull("/echo").payload(b'j', b"{").await.map(drop) }).await;
    assert_eq!((&*told[0][0], &told[0]), ("400", &told[1]));
    let panicked = "the handler of /desk/panic panicked or was stopped before it answered";
    assert_eq!(failed(&log, async { desk.panic().await }).await, same("500", panicked));
    // It did not leave this side.
    let told = failed(&log, async { session.pull("nowhere").await.map(drop) }).await;
    assert_eq!(told[0], ["", "a uri starts with a slash, as /account/balance"]);
    assert_eq!(told[1], ["", ""]);
    // Its handler is stopped: because of the time that it was given, or because nobody waits any more.
    desk.sleep(20).timeout(Duration::from_secs(5)).await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let caller = log.of("caller");
    assert_eq!((caller.get("status"), caller.get("error")), ("", "no answer within 5s"));
    let handler = log.of("handler");
    let is_known = ["the time that the caller of", "cut off: its handler was stopped"]
        .iter()
        .any(|text| handler.get("error").starts_with(text));
    assert!(is_known && handler.get("handler").starts_with("5"), "{handler:?}");
    log.all();

    // A body over the bound of the other side alone.
    let server = pair._peers.0.clone();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    let big = "x".repeat(3000);
    let told = failed(&log, async { session.pull("/echo").body(&big).await.map(drop) }).await;
    let text = "a body of 3003 bytes is over the limit of 2000 (setting `limits.max_body`)";
    assert_eq!(told, same("413", text));
    let long = format!("/{}", "x".repeat(600));
    let told = failed(&log, async { session.pull(&long).await.map(drop) }).await;
    assert_eq!(told, same("400", "a uri of 601 bytes is over the limit of 500 (setting `limits.max_uri`)"));
}

#[tokio::test]
async fn what_plugins_refuse_is_told() {
    let (log, _guard) = Log::listen(Level::INFO);
    let pair = pair_with(|builder| builder.plugin(Guard)).await;
    let told = failed(&log, async { pair.session.pull("/echo").await.map(drop) }).await;
    assert_eq!(told[0], ["401", "no key"]);
    assert_eq!(told[0], told[1]);
    pair.session.pull("/echo?key=brass").body(&1).await.unwrap();
    assert_eq!((log.of("caller").get("status"), log.of("handler").get("status")), ("200", "200"));
    log.all();
    pair.session.push("/desk/note").await.unwrap();
    pair.session.pull("/echo?key=brass").body(&1).await.unwrap();
    let told = log.all();
    let push = told.iter().find(|told| told.get("kind") == "push" && told.get("side") == "handler").unwrap();
    assert_eq!((push.get("status"), push.get("error")), ("401", "no key"));
}

#[tokio::test(start_paused = true)]
async fn calls_that_nobody_waits_for_and_handlers_that_are_stopped_are_told() {
    let (log, _guard) = Log::listen(Level::INFO);
    let pair = pair(LogOptions::default()).await;
    let desk = DeskClient::new(&pair.session);
    let dropped = tokio::time::timeout(Duration::from_secs(2), desk.sleep(100)).await;
    assert!(dropped.is_err());
    let told = log.of("caller");
    assert_eq!(told.get("error"), "cancelled: the caller dropped it before it had ended");
    assert_eq!((told.get("cost"), told.get("status")), ("2s", ""));
    // A call that is not polled is none.
    drop(desk.sleep(100));
    pair.session.abort();
    let end = pair._peers.0.sessions().all().pop();
    if let Some(end) = end {
        end.abort();
        end.closed().await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let told = log.of("handler");
    assert_eq!(told.get("error"), "cut off: its handler was stopped before it had answered");
}

#[tokio::test]
async fn the_trace_of_a_call_is_told_on_both_ends() {
    let (log, _guard) = Log::listen(Level::INFO);
    let pair = pair(LogOptions::default()).await;
    let desk = DeskClient::new(&pair.session);
    desk.double(4).await.unwrap();
    assert_eq!((log.of("caller").get("traceparent"), log.of("handler").get("traceparent")), ("", ""));
    log.all();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    desk.double(4).traceparent(trace.parse::<teleport::TraceParent>().unwrap()).await.unwrap();
    assert_eq!((log.of("caller").get("traceparent"), log.of("handler").get("traceparent")), (trace, trace));
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_is_a_warning_that_says_where_the_time_went() {
    let (log, _guard) = Log::listen(Level::WARN);
    let options = LogOptions::default().with_slow(Duration::from_secs(3)).with_calls(LogCalls::Slow);
    let pair = pair(options.clone()).await;
    let desk = DeskClient::new(&pair.session);
    desk.sleep(2).await.unwrap();
    assert!(log.all().is_empty(), "that was quick");
    desk.sleep(4).await.unwrap();
    let (caller, handler) = (log.of("caller"), log.of("handler"));
    assert_eq!((caller.get("level"), caller.get("message")), ("WARN", "slow: called"));
    assert_eq!((handler.get("level"), handler.get("message")), ("WARN", "slow: answered"));
    let times = ["cost", "waited_to_write", "waited_for_reply", "waited_in_line", "handler"];
    assert_eq!(times.map(|time| caller.get(time)), ["4s", "0ns", "4s", "", ""]);
    assert_eq!(times.map(|time| handler.get(time)), ["4s", "0ns", "", "", "4s"]);
    log.all();

    // The other side does not read for five seconds, and takes two for the reply.
    let (near, far) = tokio::io::duplex(16);
    let mut raw = RawPeer::new(near);
    let peer = Peer::builder().logs(options).build().unwrap();
    let session = peer.attach(Connection::from_stream(far, "test://peer", "test://raw")).await.unwrap();
    let call = tokio::spawn(async move { session.pull("/slow/to/read").await.map(drop) });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pull = raw.receive().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let header = Header { code: 200, ..Header::new(pull.id(), Kind::REPLY, pull.uri()) };
    raw.send_packet(&header, json("1")).await;
    call.await.unwrap().unwrap();
    assert_eq!(times.map(|time| log.of("caller").get(time).to_owned()), ["7s", "5s", "2s", "", ""]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_line_says_how_long() {
    let (log, _guard) = Log::listen(Level::INFO);
    let limits = Limits::default().with_max_pulls_in(1);
    let pair = pair_with(|builder| builder.limits(limits.clone())).await;
    let desk = DeskClient::new(&pair.session);
    let (first, second) = tokio::join!(desk.sleep(3), desk.sleep(2));
    first.unwrap();
    second.unwrap();
    let told = log.all();
    let handlers: Vec<_> = told.iter().filter(|told| told.get("side") == "handler").collect();
    assert_eq!(handlers[1].get("waited_in_line"), "3s");
    assert_eq!((handlers[1].get("handler"), handlers[1].get("cost")), ("2s", "5s"));
    assert_eq!(handlers[0].get("waited_in_line"), "");
}

#[tokio::test]
async fn headers_and_bodies_are_shown_as_json() {
    let (log, _guard) = Log::listen(Level::INFO);
    let options = LogOptions::default().with_headers(true).with_bodies(true).with_max_body(30);
    let pair = pair(options).await;
    let (session, desk) = (&pair.session, DeskClient::new(&pair.session));
    let shown = |fields: [&str; 4]| {
        let [caller, handler] =
            ["caller", "handler"].map(|side| fields.map(|field| log.of(side).get(field).to_owned()));
        assert_eq!(caller, handler, "both ends see the same");
        log.all();
        caller
    };
    let all = ["header", "body", "reply_header", "reply_body"];
    session.pull("/echo").body(&serde_json::json!({"a": [1, 2]})).await.unwrap();
    assert_eq!(
        shown(all),
        [
            r#"{"id":"0","type":1,"uri":"/echo"}"#,
            r#"{"a":[1,2]}"#,
            r#"{"id":"0","type":2,"uri":"/echo","status_code":200,"status":"OK"}"#,
            r#"{"a":[1,2]}"#
        ]
    );
    desk.double(7).await.unwrap();
    assert_eq!(
        shown(["kind", "body", "side", "reply_body"].map(|f| if f == "side" { "kind" } else { f })),
        ["pull", r#"{"codec":"bincode","hex":"07"}"#, "pull", r#"{"codec":"bincode","hex":"0e"}"#]
    );
    // Inflated, and no more than may be.
    session.pull("/echo").gzip(5).body(&"x".repeat(1000)).await.unwrap();
    let cut = format!("\"{} … and 972 bytes more", "x".repeat(29));
    let [header, body, reply_header, reply_body] = shown(all);
    assert_eq!((&body, &reply_body), (&cut, &cut));
    assert!(header.contains("\"gzip\":5") && reply_header.contains("\"gzip\":5"), "{header} {reply_header}");
    desk.fail().await.unwrap_err();
    let [header, body, reply_header, reply_body] = shown(all);
    assert_eq!((&*body, &*reply_body), ("", ""));
    assert!(reply_header.ends_with(r#""status_code":1234,"status":"not today"}"#), "{reply_header}");
    assert!(header.starts_with(r#"{"id":"3""#), "{header}");
}

#[tokio::test]
async fn a_function_hides_what_is_secret() {
    let (log, _guard) = Log::listen(Level::INFO);
    let options = LogOptions::default().with_headers(true).with_bodies(true);
    let pair = pair_with(|builder| {
        builder.logs(options.clone()).redact_logs(|logged| match logged.part() {
            LogPart::Uri => logged.text().contains("token=").then(|| "/hidden\n".into()),
            LogPart::Body if logged.codec() == b'j' => Some(logged.text().replace("hunter2", "***")),
            LogPart::ReplyBody => panic!("on purpose"),
            _ => None,
        })
    })
    .await;
    pair.session.pull("/echo?token=abc").body("hunter2").await.unwrap();
    for side in ["caller", "handler"] {
        let told = log.of(side);
        assert_eq!(told.get("reply_body"), "(the function that hides secrets panicked)");
        assert!(!told.get("header").contains("abc") && !told.get("reply_header").contains("abc"), "{told:?}");
    }
    log.all();
    pair.session.pull("/nobody?token=abc").body("hunter2").await.unwrap_err();
    for side in ["caller", "handler"] {
        let told = log.of(side);
        let text = format!("{told:?}");
        assert!(!text.contains("abc") && !text.contains("hunter2"), "{text}");
        assert_eq!(told.get("uri"), "/hidden\\u000a");
        assert_eq!(told.get("error"), "Not Found: nothing takes the pull /hidden\\u000a");
        assert_eq!(told.get("body"), "\"***\"");
    }
}

#[tokio::test]
async fn nothing_that_a_peer_sends_looks_like_a_line_of_the_log() {
    let (log, _guard) = Log::listen(Level::INFO);
    let options = LogOptions::default().with_headers(true).with_bodies(true);
    let pair = pair(options).await;
    let (mut raw, _session) = RawPeer::connect(&pair._peers.0).await;
    let evil = "/a\nWARN forged \u{1b}[2J\u{2028}";
    let header = Header::new(PacketId::Text("1\n2".into()), Kind::PULL, evil);
    raw.send_packet(&header, json("\"a\nb\u{1b}\"")).await;
    raw.receive().await;
    let told = log.of("handler");
    assert_eq!(told.get("id"), "1\\u000a2");
    for (field, value) in &told.0 {
        assert!(!value.contains(|c: char| c.is_control() || c == '\u{2028}'), "{field}: {value:?}");
    }
    // Nor does much of it stand there.
    let long = format!("/{}", "x".repeat(7000));
    raw.send_packet(&Header::new(PacketId::Text("y".repeat(20_000).into()), Kind::PULL, &*long), json("1"))
        .await;
    raw.receive().await;
    let told = log.all().pop().unwrap();
    for (field, value) in &told.0 {
        assert!(value.len() < 5000, "{field} has {}", value.len());
    }
}

/// The token of a session that is about to be opened.
#[tokio::test]
async fn tokens_are_not_shown() {
    let (log, _guard) = Log::listen(Level::INFO);
    let options = LogOptions::default().with_bodies(true);
    let check = Auth::new().check(|_, token| async move {
        if token.matches("open sesame") { Ok(()) } else { Err(Status::unauthorized("no such token")) }
    });
    let server = Peer::builder().logs(options.clone()).plugin(check).build().unwrap();
    for (token, status) in [("open sesame", "200"), ("open barley", "401")] {
        let client = Peer::builder().logs(options.clone()).plugin(Auth::new().token(token));
        let _session = client.build().unwrap().connect(&server).await;
        let told = log.all();
        let text = format!("{told:?}");
        assert!(told.iter().any(|told| told.get("side") == "handler"), "{text}");
        assert!(told.iter().all(|told| told.get("status") == status), "{text}");
        assert!(!text.contains("open") && !text.contains("6f70656e"), "{text}");
    }
}

/// Where nobody listens to a call, none is begun; where a subscriber wants another level, neither.
#[tokio::test(start_paused = true)]
async fn what_is_off_tells_nothing() {
    for (options, most) in [
        (LogOptions::default().with_calls(LogCalls::Off).with_slow(Duration::from_nanos(1)), Level::TRACE),
        (LogOptions::default(), Level::WARN),
        (LogOptions::default().with_slow(Duration::from_secs(1)), Level::WARN),
        (LogOptions::default().with_slow(Duration::from_secs(1)), Level::ERROR),
    ] {
        let (log, _guard) = Log::listen(most);
        let pair = pair(options).await;
        DeskClient::new(&pair.session).double(1).await.unwrap();
        pair.session.push("/nobody").await.unwrap();
        DeskClient::new(&pair.session).double(1).await.unwrap();
        assert!(log.all().is_empty());
    }
}

/// A body that is passed on unopened is told as it travels, and its inflated bytes are nobody's.
#[tokio::test]
async fn sealed_calls_are_told() {
    let (log, _guard) = Log::listen(Level::INFO);
    let server = Peer::builder()
        .logs(LogOptions::default().with_bodies(true))
        .unknown_pull_sealed(|_, body| async move { Ok(teleport::SealedReply::ok(body)) })
        .build()
        .unwrap();
    let (mut raw, _session) = RawPeer::connect(&server).await;
    let mut zipped = Vec::new();
    gzip::deflate(5, b"\"secret\"", &mut zipped).unwrap();
    let header = Header { gzip: 5, ..Header::new(PacketId::Text("1".into()), Kind::PULL, "/any") };
    raw.send_packet(&header, teleport::wire::Body::Payload { codec: b'j', payload: &zipped }).await;
    raw.receive().await;
    let told = log.of("handler");
    assert!(told.get("body").starts_with(r#"{"codec":"json","gzip":true,"hex":"1f8b"#), "{told:?}");
    assert_eq!(told.get("body"), told.get("reply_body"));
}
