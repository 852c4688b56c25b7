//! Hooks of the calls that a side makes.

use std::future::{Future, pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use teleport::plugin::{IncomingReply, OutgoingCall, Plugin, Verdict, Written};
use teleport::{Bincode, Code, Context, Delivery, Initiator, Limits, Peer, Status};
use teleport_tests::RawPeer;

use super::{Act, Log, Probe, answering, connect, double};

#[teleport::service]
trait Arith {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
    #[push]
    async fn note(&self, line: &str);
}

struct Exact;

impl Arith for Exact {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
        a.checked_mul(b).ok_or_else(|| Status::new(1000, "overflow"))
    }
    async fn note(&self, _: &str) {}
}

#[tokio::test]
async fn a_call_that_a_plugin_refuses_is_not_sent() {
    for (hook, act) in [
        ("before_write_pull", Act::Refuse(Status::unauthorized("no token"))),
        ("before_write_push", Act::Refuse(Status::unauthorized("no token"))),
        ("before_write_pull", Act::Panic),
        ("before_write_push", Act::Panic),
    ] {
        let log = Log::default();
        let server =
            Peer::builder().service(ArithServer::new(Exact)).unwrap().plugin(Probe::new("far", &log));
        let code = if matches!(act, Act::Panic) { Code::FAILED_PLUGIN } else { Code::UNAUTHORIZED };
        let client = Peer::builder().plugin(Probe::acting("token", hook, act));
        let (session, _server) = connect(client, server).await;
        log.take();
        let arith = ArithClient::new(&session);
        let (typed, dynamic) = if hook == "before_write_pull" {
            (arith.mul(2, 3).await.map(drop), session.pull("/arith/mul").await.map(drop))
        } else {
            (arith.note("x").await, session.push("/arith/note").body("x").await)
        };
        for error in [typed.unwrap_err(), dynamic.unwrap_err()] {
            assert!(error.is_plugin() && !error.is_status(), "{error}");
            assert_eq!((error.code(), error.delivery()), (Some(code), Some(Delivery::NotSent)));
            assert_eq!(error.initiator(), Initiator::User);
            assert!(error.to_string().starts_with("the plugin token refused it: 4"), "{error}");
            assert_eq!(Status::from(error).code(), code, "a handler that made the call passes it on");
        }
        // The other kind goes through, and nothing but that came over.
        let seen = if hook == "before_write_pull" {
            arith.note("x").await.unwrap();
            session.push("/last").await.unwrap();
            while log.0.lock().len() < 6 {
                tokio::task::yield_now().await;
            }
            log.take()
        } else {
            assert_eq!(arith.mul(2, 3).await.unwrap(), 6);
            log.take()
        };
        assert_eq!(seen[0], "far.before_read_header");
        let headers = seen.iter().filter(|line| *line == "far.before_read_header").count();
        assert_eq!(headers, if hook == "before_write_pull" { 2 } else { 1 }, "{seen:?}");
    }
}

#[tokio::test]
async fn a_reply_that_a_plugin_refuses_ends_its_call() {
    for hook in ["after_read_reply_header", "before_read_reply_body", "after_read_reply_body"] {
        let (server, _) = answering();
        let server = server.service(ArithServer::new(Exact)).unwrap();
        let probe = Probe::acting("picky", hook, Act::Refuse(Status::new(1002, "smells")));
        let (session, _server) = connect(Peer::builder().plugin(probe), server).await;
        for error in [
            double(&session, "/ready", 1).await.unwrap_err(),
            double(&session, "/late", 1).await.unwrap_err(),
            ArithClient::new(&session).mul(2, 3).await.unwrap_err(),
        ] {
            assert!(error.is_plugin(), "{hook}: {error}");
            assert_eq!((error.code(), error.delivery()), (Some(1002.into()), Some(Delivery::Answered)));
        }
        // A reply that failed has no body to look at.
        let error = ArithClient::new(&session).mul(i64::MAX, 3).await.unwrap_err();
        assert_eq!(error.is_status(), hook != "after_read_reply_header", "{error}");
    }
}

/// Adds to what is called, and notes what was answered. Waits or not.
struct Stamp {
    waits: bool,
    log: Log,
}

impl Stamp {
    async fn before(&self, call: &mut OutgoingCall<'_>) -> Verdict {
        if self.waits {
            tokio::task::yield_now().await;
        }
        call.extensions().insert(call.uri().to_owned());
        if call.uri() == "/elsewhere" {
            call.set_uri("/seen");
        }
        call.add_query("from", "a&b");
        call.set_gzip(5);
        call.set_body(b'j', &b"[1,2]"[..]);
        Ok(())
    }
    fn after(&self, call: &Written<'_>) {
        let before = call.extensions().get::<String>().unwrap();
        let size = (call.codec() as char, call.bytes() > call.uri().len() + 10, call.status().is_some());
        self.log.note(format!("{:?} {before} {} {size:?}", call.kind(), call.uri()));
    }
}

impl Plugin for Stamp {
    fn name(&self) -> &str {
        "stamp"
    }
    async fn before_write_pull(&self, call: &mut OutgoingCall<'_>) -> Verdict {
        self.before(call).await
    }
    async fn before_write_push(&self, call: &mut OutgoingCall<'_>) -> Verdict {
        self.before(call).await
    }
    async fn after_write_pull(&self, call: &Written<'_>) {
        self.after(call);
    }
    async fn after_write_push(&self, call: &Written<'_>) {
        self.after(call);
    }
    async fn after_read_reply_header(&self, reply: &mut IncomingReply<'_>) -> Verdict {
        let before = reply.extensions().get::<String>().unwrap();
        self.log.note(format!("reply to {before}, {}: {}", reply.uri(), reply.status()));
        Ok(())
    }
}

#[tokio::test]
async fn calls_can_be_changed_before_they_are_written() {
    for waits in [false, true] {
        let log = Log::default();
        let seen = Log::default();
        let (pulled, pushed) = (seen.clone(), seen.clone());
        let server = Peer::builder()
            .pull("/seen", move |cx: Context, numbers: Vec<i64>| {
                pulled.note(format!("{} {} {numbers:?}", cx.uri(), cx.gzip()));
                async { Ok(numbers) }
            })
            .unwrap()
            .push("/seen", move |cx: Context, numbers: Vec<i64>| {
                pushed.note(format!("{} {} {numbers:?}", cx.uri(), cx.gzip()));
                async {}
            })
            .unwrap();
        let client = Peer::builder().plugin(Stamp { waits, log: log.clone() });
        let (session, _server) = connect(client, server).await;
        session.push("/elsewhere").codec(Bincode).body(&7u8).await.unwrap();
        let reply = session.pull("/seen?x=1").await.unwrap();
        assert_eq!(reply.decode::<Vec<i64>>().unwrap(), [1, 2]);
        session.pull("/elsewhere").await.unwrap();
        let expected =
            ["/seen?from=a%26b 5 [1, 2]", "/seen?x=1&from=a%26b 5 [1, 2]", "/seen?from=a%26b 5 [1, 2]"];
        assert_eq!(seen.take(), expected, "waits: {waits}");
        let size = "('j', true, false)";
        let expected = [
            format!("push /elsewhere /seen?from=a%26b {size}"),
            format!("pull /seen?x=1 /seen?x=1&from=a%26b {size}"),
            "reply to /seen?x=1, /seen?x=1&from=a%26b: 200 OK".to_owned(),
            format!("pull /elsewhere /seen?from=a%26b {size}"),
            "reply to /elsewhere, /seen?from=a%26b: 200 OK".to_owned(),
        ];
        assert_eq!(log.take(), expected, "waits: {waits}");
    }
}

#[tokio::test]
async fn a_level_that_nobody_knows_is_an_error_of_the_call() {
    struct Level(i32);
    impl Plugin for Level {
        fn name(&self) -> &str {
            "level"
        }
        fn before_write_pull(&self, call: &mut OutgoingCall<'_>) -> impl Future<Output = Verdict> + Send {
            call.set_gzip(self.0);
            ready(Ok(()))
        }
    }
    let (session, _server) = connect(Peer::builder().plugin(Level(77)), answering().0).await;
    let error = double(&session, "/ready", 1).await.unwrap_err();
    assert!(error.is_encode() && error.delivery() == Some(Delivery::NotSent), "{error}");
    let (session, _server) = connect(Peer::builder().plugin(Level(9)), answering().0).await;
    assert_eq!(double(&session, "/ready", 1).await.unwrap(), 2);
}

/// Never gets through with it.
struct Stuck(&'static str);

impl Plugin for Stuck {
    fn name(&self) -> &str {
        "stuck"
    }
    async fn before_write_pull(&self, _: &mut OutgoingCall<'_>) -> Verdict {
        if self.0 == "before_write_pull" { pending().await } else { Ok(()) }
    }
    async fn before_write_push(&self, _: &mut OutgoingCall<'_>) -> Verdict {
        if self.0 == "before_write_push" { pending().await } else { Ok(()) }
    }
    async fn before_read_reply_body(&self, _: &mut IncomingReply<'_>) -> Verdict {
        if self.0 == "before_read_reply_body" { pending().await } else { Ok(()) }
    }
    async fn after_read_reply_body(&self, _: &mut IncomingReply<'_>) -> Verdict {
        if self.0 == "after_read_reply_body" { pending().await } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_call_covers_its_hooks() {
    for (hook, delivery) in [
        ("before_write_pull", Delivery::NotSent),
        ("before_write_push", Delivery::NotSent),
        ("before_read_reply_body", Delivery::Answered),
        ("after_read_reply_body", Delivery::Answered),
    ] {
        let (server, ran) = answering();
        let client = Peer::builder().plugin(Stuck(hook)).limits(Limits::default().with_max_pulls_out(1));
        let (session, _server) = connect(client, server).await;
        // More than may be in flight at once: what is cut off leaves its place.
        for _ in 0..3 {
            let error = if hook == "before_write_push" {
                session.push("/ready").await.unwrap_err()
            } else {
                session.pull("/ready").body(&1).timeout(Duration::from_secs(3)).await.unwrap_err()
            };
            assert!(error.is_timeout(), "{hook}: {error}");
            assert_eq!(error.delivery(), Some(delivery), "{hook}");
        }
        assert_eq!(ran.load(Ordering::Relaxed), if delivery == Delivery::Answered { 3 } else { 0 });
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_in_its_hooks_leaves_nothing_behind() {
    struct Counted(Stuck, Arc<AtomicU64>);
    struct Value(Arc<AtomicU64>);
    impl Drop for Value {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    impl Plugin for Counted {
        fn name(&self) -> &str {
            "counted"
        }
        async fn before_write_pull(&self, call: &mut OutgoingCall<'_>) -> Verdict {
            call.extensions().insert(Value(self.1.clone()));
            self.0.before_write_pull(call).await
        }
        async fn after_read_reply_body(&self, reply: &mut IncomingReply<'_>) -> Verdict {
            self.0.after_read_reply_body(reply).await
        }
    }
    for hook in ["before_write_pull", "after_read_reply_body"] {
        let dropped = Arc::new(AtomicU64::new(0));
        let client = Peer::builder().plugin(Counted(Stuck(hook), dropped.clone()));
        let client = client.limits(Limits::default().with_max_pulls_out(1)).build().unwrap();
        let (mut raw, session) = RawPeer::connect(&client).await;
        for n in 1..4 {
            {
                let mut call = std::pin::pin!(session.pull("/a"));
                let polled = tokio::select! {
                    biased;
                    done = &mut call => Some(done),
                    () = async {
                        if hook == "after_read_reply_body" {
                            let pull = raw.receive().await;
                            let header = teleport::wire::Header {
                                kind: teleport::wire::Kind::REPLY,
                                code: 200,
                                ..pull.header()
                            };
                            raw.send_packet(&header, teleport_tests::json("1")).await;
                        }
                        for _ in 0..20 {
                            tokio::task::yield_now().await;
                        }
                    } => None,
                };
                assert!(polled.is_none(), "{hook}");
                assert_eq!(dropped.load(Ordering::Relaxed), n - 1, "{hook}");
            }
            assert_eq!(dropped.load(Ordering::Relaxed), n, "{hook}");
        }
    }
}

#[tokio::test]
async fn calls_of_handlers_go_through_the_hooks_too() {
    let log = Log::default();
    let server = Peer::builder()
        .pull("/back", |cx: Context, n: i64| async move {
            Ok(cx.session().pull("/ready").body(&n).await?.decode::<i64>()? + 1)
        })
        .unwrap()
        .plugin(Probe::waiting("server", &log));
    let (client, _) = answering();
    let (session, _server) = connect(client, server).await;
    log.take();
    assert_eq!(double(&session, "/back", 4).await.unwrap(), 9);
    let lines = log.take();
    for hook in ["before_write_pull", "after_write_pull", "after_read_reply_body", "before_write_reply"] {
        assert_eq!(
            lines.iter().filter(|line| **line == format!("server.{hook}")).count(),
            1,
            "{hook}: {lines:?}"
        );
    }
}

/// Looks at what is passed on, on both sides of a gateway.
struct Watch(Log);

impl Plugin for Watch {
    fn name(&self) -> &str {
        "watch"
    }
    async fn before_write_pull(&self, call: &mut OutgoingCall<'_>) -> Verdict {
        self.0.note(format!("to {} {} {}", call.uri(), call.is_sealed(), call.payload().len()));
        call.add_query("via", "gateway");
        Ok(())
    }
    async fn before_read_body(&self, cx: &mut Context) -> Verdict {
        self.0.note(format!("from {} {}", cx.uri(), cx.payload().len()));
        Ok(())
    }
    async fn after_read_body(&self, cx: &mut Context) -> Verdict {
        self.0.note(format!("unopened {}", cx.payload().len()));
        Ok(())
    }
    async fn after_read_reply_body(&self, reply: &mut IncomingReply<'_>) -> Verdict {
        self.0.note(format!("answered {} {} {}", reply.is_sealed(), reply.status(), reply.payload().len()));
        Ok(())
    }
    async fn before_write_reply(&self, reply: &mut teleport::plugin::OutgoingReply) -> Verdict {
        self.0.note(format!("answers {} {} {}", reply.is_sealed(), reply.status(), reply.payload().len()));
        Ok(())
    }
}

#[tokio::test]
async fn what_is_passed_on_unopened_goes_through_the_hooks_unopened() {
    let text = "a text that gzip makes shorter ".repeat(50);
    let back = text.clone();
    let backend = Peer::builder()
        .pull("/echo", move |cx: Context, text: String| {
            assert_eq!(text, back);
            async move { if cx.query("fail").is_some() { Err(Status::new(1005, "no")) } else { Ok(text) } }
        })
        .unwrap()
        .build()
        .unwrap();
    let log = Log::default();
    let plain = Peer::builder().plugin(Watch(log.clone())).build().unwrap();
    let upstream = plain.connect(&backend).await.unwrap();
    let gateway = Peer::builder()
        .unknown_pull_sealed(move |cx, body| {
            let upstream = upstream.clone();
            async move { Ok(upstream.pull(cx.uri()).sealed(body).await?) }
        })
        .plugin(Watch(log.clone()));
    let (session, _gateway) = connect(Peer::builder(), gateway).await;
    let reply = session.pull("/echo").body(&text).gzip(6).await.unwrap();
    assert_eq!(reply.decode::<String>().unwrap(), text);
    let lines = log.take();
    let size = |line: &str| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
    let (asked, answered) = (size(&lines[0]), size(&lines[3]));
    assert!(asked < 200 && answered < 200, "compressed: {lines:?}");
    let expected = [
        format!("from /echo {asked}"),
        format!("unopened {asked}"),
        format!("to /echo true {asked}"),
        format!("answered true 200 OK {answered}"),
        format!("answers true 200 OK {answered}"),
    ];
    assert_eq!(lines, expected);
    let error = session.pull("/echo?fail=1").body(&text).gzip(6).await.unwrap_err();
    assert_eq!(error.status(), Some(&Status::new(1005, "no")));
    assert_eq!(log.take()[3..], ["answers true 1005 no 0"]);
}

#[tokio::test]
async fn a_uri_that_a_plugin_sets_starts_with_a_slash() {
    struct Wrong;
    impl Plugin for Wrong {
        fn name(&self) -> &str {
            "wrong"
        }
        async fn before_write_push(&self, call: &mut OutgoingCall<'_>) -> Verdict {
            call.set_uri("teleport:farewell");
            Ok(())
        }
    }
    let (session, _server) = connect(Peer::builder().plugin(Wrong), answering().0).await;
    let error = session.push("/ready").await.unwrap_err();
    assert!(error.is_config() && error.delivery() == Some(Delivery::NotSent), "{error}");
}

#[tokio::test]
async fn a_thousand_calls_at_once_pass_through_hooks_that_wait_on_both_sides() {
    let (server, _) = answering();
    let quiet = || Probe::waiting("quiet", &Log::default());
    let server = server.plugin(quiet()).limits(Limits::default().with_max_pulls_in(20));
    let (session, _server) = connect(Peer::builder().plugin(quiet()), server).await;
    let tasks: Vec<_> = (0..1000)
        .map(|n| {
            let session = session.clone();
            tokio::spawn(
                async move { double(&session, if n % 2 == 0 { "/ready" } else { "/late" }, n).await },
            )
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap().unwrap(), 2 * n as i64);
    }
    session.close().await;
}
