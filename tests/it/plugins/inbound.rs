//! Hooks of what comes in and of its answer: refusing, waiting, changing.

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use teleport::plugin::{OutgoingReply, Plugin, Verdict, Written};
use teleport::{Code, Context, Json, Limits, Peer, ReplyBody, Router, Status, Timeouts};
use teleport_tests::{RawPeer, json};
use tokio::sync::Semaphore;

use super::{Act, Log, Probe, answering, connect, double};

const HOOKS: [&str; 4] = ["after_read_header", "before_read_body", "after_read_body", "before_write_reply"];

#[tokio::test]
async fn a_refusal_is_answered_with_the_status_of_the_plugin_and_a_panic_with_424() {
    for hook in HOOKS {
        for of_group in [false, true] {
            let own = Status::new(1234, "not on Sundays");
            for (act, status) in [
                (Act::Refuse(own.clone()), own),
                (Act::Refuse(Code::FAILED_PLUGIN.into()), Status::new(424, "Failed Plugin")),
                (Act::Panic, Status::failed_plugin("the plugin sabbath panicked")),
            ] {
                let (server, ran) = answering();
                let probe = Probe::acting("sabbath", hook, act);
                let server = if of_group {
                    let mut router = Router::new();
                    router.group("").plugin(probe).pull("/group", |_, n: i64| async move { Ok(n) }).unwrap();
                    server.router(router).unwrap()
                } else {
                    server.plugin(probe)
                };
                let (session, _server) = connect(Peer::builder(), server).await;
                for uri in if of_group { ["/group"; 2] } else { ["/ready", "/late"] } {
                    let error = double(&session, uri, 1).await.unwrap_err();
                    assert_eq!(error.status(), Some(&status), "{hook} {uri}");
                    assert!(error.is_status() && !error.is_plugin());
                }
                let runs = if hook == "before_write_reply" && !of_group { 2 } else { 0 };
                assert_eq!(ran.load(Ordering::Relaxed), runs, "{hook}");
                if of_group {
                    assert_eq!(double(&session, "/ready", 1).await.unwrap(), 2, "others are left alone");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_push_that_is_refused_is_dropped_and_the_session_goes_on() {
    for hook in ["after_read_header", "before_read_body", "after_read_body"] {
        let (server, ran) = answering();
        let pushed = ran.clone();
        let server = server
            .push("/push", move |_, ()| {
                pushed.fetch_add(1, Ordering::Relaxed);
                async {}
            })
            .unwrap();
        struct Pulls(Probe);
        impl Plugin for Pulls {
            fn name(&self) -> &str {
                "pulls"
            }
            async fn after_read_header(&self, cx: &mut Context) -> Verdict {
                if cx.is_push() { self.0.at("after_read_header").await } else { Ok(()) }
            }
            async fn before_read_body(&self, cx: &mut Context) -> Verdict {
                if cx.is_push() { self.0.at("before_read_body").await } else { Ok(()) }
            }
            async fn after_read_body(&self, cx: &mut Context) -> Verdict {
                if cx.is_push() { self.0.at("after_read_body").await } else { Ok(()) }
            }
        }
        let plugin = Pulls(Probe::acting("pulls", hook, Act::Refuse(Status::unauthorized("no"))));
        let (session, _server) = connect(Peer::builder(), server.plugin(plugin)).await;
        session.push("/push").await.unwrap();
        assert_eq!(double(&session, "/ready", 1).await.unwrap(), 2);
        assert_eq!(ran.load(Ordering::Relaxed), 1, "{hook}");
    }
}

#[tokio::test]
async fn a_refusal_before_the_header_closes_the_session() {
    let (server, _) = answering();
    let probe = Probe::acting("gate", "before_read_header", Act::Refuse(Status::unavailable("too much")));
    let (session, server) = connect(Peer::builder(), server.plugin(probe)).await;
    let far = server.sessions().all().remove(0);
    let error = double(&session, "/ready", 1).await.unwrap_err();
    assert!(error.is_closed(), "{error}");
    far.closed().await;
    assert_eq!(far.close_reason().as_deref(), Some("the plugin gate refused a packet: 503 too much"));
}

#[tokio::test]
async fn hooks_that_fail_are_in_the_log_with_their_plugin() {
    for (hook, act, expected) in [
        ("before_read_body", Act::Panic, "a hook of a plugin panicked"),
        ("after_write_reply", Act::Panic, "a hook of a plugin panicked"),
        ("after_write_reply", Act::Wait, "a hook that may not wait was not through at once"),
    ] {
        let (lines, _guard) = crate::raw::log();
        let server = answering().0.plugin(Probe::acting("clumsy", hook, act));
        let (session, _server) = connect(Peer::builder(), server).await;
        let _ = double(&session, "/ready", 1).await;
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        let line = text.lines().find(|line| line.contains(expected)).unwrap_or_else(|| panic!("{text}"));
        for part in ["ERROR", "plugin=\"clumsy\"", hook] {
            assert!(line.contains(part), "{line}");
        }
    }
}

#[tokio::test]
async fn hooks_where_nothing_can_wait_refuse_when_they_do() {
    let (server, ran) = answering();
    let probe = Probe::acting("slow", "after_read_header", Act::Wait);
    let (session, _server) = connect(Peer::builder(), server.plugin(probe)).await;
    let error = double(&session, "/ready", 1).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::FAILED_PLUGIN), "{error}");
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    let (server, _) = answering();
    let probe = Probe::acting("slow", "after_write_reply", Act::Wait);
    let (session, _server) = connect(Peer::builder(), server.plugin(probe)).await;
    assert_eq!(double(&session, "/ready", 1).await.unwrap(), 2, "it is written by then");
}

/// Holds what comes to `/held` until there are permits.
struct Held(&'static str, Arc<Semaphore>);

impl Held {
    async fn hold(&self, hook: &str, cx: &Context) -> Verdict {
        if hook == self.0 && cx.uri() == "/held" {
            self.1.acquire().await.expect("open").forget();
        }
        Ok(())
    }
}

impl Plugin for Held {
    fn name(&self) -> &str {
        "held"
    }
    async fn before_read_body(&self, cx: &mut Context) -> Verdict {
        self.hold("before_read_body", cx).await
    }
    async fn after_read_body(&self, cx: &mut Context) -> Verdict {
        self.hold("after_read_body", cx).await
    }
    async fn before_write_reply(&self, reply: &mut OutgoingReply) -> Verdict {
        self.hold("before_write_reply", reply.context()).await
    }
}

#[tokio::test]
async fn a_hook_that_waits_does_not_stop_the_reader_and_counts_as_a_handler() {
    for hook in ["before_read_body", "after_read_body", "before_write_reply"] {
        for late in [false, true] {
            let permits = Arc::new(Semaphore::new(0));
            let (server, _) = answering();
            let server = server
                .pull("/held", move |_, n: i64| async move {
                    if late {
                        tokio::task::yield_now().await;
                    }
                    Ok(-n)
                })
                .unwrap()
                .plugin(Held(hook, permits.clone()))
                .limits(Limits::default().with_max_pulls_in(3));
            let (session, _server) = connect(Peer::builder(), server).await;
            let held: Vec<_> = (0..2)
                .map(|n| {
                    let session = session.clone();
                    tokio::spawn(async move { double(&session, "/held", n).await })
                })
                .collect();
            for n in 0..10 {
                assert_eq!(double(&session, "/ready", n).await.unwrap(), 2 * n, "{hook}");
                tokio::task::yield_now().await;
            }
            assert!(held.iter().all(|call| !call.is_finished()));
            // More than may run: they wait in line, and so does what comes behind them.
            let more: Vec<_> = (2..6)
                .map(|n| {
                    let session = session.clone();
                    tokio::spawn(async move { double(&session, "/held", n).await })
                })
                .collect();
            let last = tokio::spawn({
                let session = session.clone();
                async move { double(&session, "/ready", 50).await }
            });
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            assert!(!last.is_finished(), "{hook}: more hooks wait than handlers may");
            permits.add_permits(6);
            for (n, call) in held.into_iter().chain(more).enumerate() {
                assert_eq!(call.await.unwrap().unwrap(), -(n as i64), "{hook}");
            }
            assert_eq!(last.await.unwrap().unwrap(), 100);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_never_ends_is_cut_off_with_its_session() {
    for hook in ["before_read_body", "before_write_reply"] {
        let server = Peer::builder()
            .pull("/held", |_, n: i64| async move { Ok(n) })
            .unwrap()
            .plugin(Held(hook, Arc::new(Semaphore::new(0))))
            .timeouts(Timeouts::default().with_close(Duration::from_secs(2)));
        let (session, server) = connect(Peer::builder(), server).await;
        let call = tokio::spawn({
            let session = session.clone();
            async move { session.pull("/held").body(&1).no_timeout().await }
        });
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        server.close().await;
        let error = call.await.unwrap().unwrap_err();
        assert!(error.may_have_run(), "{error}");
        assert!(server.sessions().is_empty());
    }
}

/// Knows `/old` under a new uri.
struct Alias;

impl Plugin for Alias {
    fn name(&self) -> &str {
        "alias"
    }
    async fn after_read_header(&self, cx: &mut Context) -> Verdict {
        if cx.path() == "/old" {
            let uri = cx.uri().replacen("/old", "/new", 1);
            cx.set_uri(&uri);
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_uri_is_rewritten_before_the_handler_is_looked_for_and_the_reply_keeps_the_callers() {
    for late in [false, true] {
        let server = Peer::builder()
            .pull("/new", move |cx: Context, ()| async move {
                if late {
                    tokio::task::yield_now().await;
                }
                Ok(format!("{} {} {:?}", cx.uri(), cx.original_uri(), cx.query("q")))
            })
            .unwrap()
            .plugin(Alias)
            .build()
            .unwrap();
        let (mut raw, _session) = RawPeer::connect(&server).await;
        raw.pull("7", "/old?q=1", json("null")).await;
        let reply = raw.receive().await;
        assert_eq!((reply.uri(), reply.id().number(), reply.code()), ("/old?q=1", Some(7), 200));
        assert_eq!(reply.body().payload(), br#""/new?q=1 /old?q=1 Some(\"1\")""#);
        raw.pull("8", "/new", json("null")).await;
        let reply = raw.receive().await;
        assert_eq!((reply.uri(), reply.body().payload()), ("/new", &br#""/new /new None""#[..]));
    }
}

/// Bodies travel upside down: an example of a plugin that both sides have.
struct Reversed;

impl Reversed {
    fn turn(payload: &[u8]) -> Vec<u8> {
        payload.iter().rev().copied().collect()
    }
}

impl Plugin for Reversed {
    fn name(&self) -> &str {
        "reversed"
    }
    async fn before_write_pull(&self, call: &mut teleport::plugin::OutgoingCall<'_>) -> Verdict {
        call.set_body(call.codec(), Self::turn(call.payload()));
        Ok(())
    }
    fn after_read_body(&self, cx: &mut Context) -> impl Future<Output = Verdict> + Send {
        let turned = Self::turn(cx.payload());
        cx.set_body(cx.codec(), &turned);
        ready(Ok(()))
    }
    async fn before_write_reply(&self, reply: &mut OutgoingReply) -> Verdict {
        let body = ReplyBody::payload(reply.codec(), Self::turn(reply.payload()));
        reply.set_body(body);
        Ok(())
    }
    async fn after_read_reply_body(&self, reply: &mut teleport::plugin::IncomingReply<'_>) -> Verdict {
        let turned = Self::turn(reply.payload());
        reply.set_body(reply.codec(), &turned);
        Ok(())
    }
}

#[tokio::test]
async fn bodies_can_be_changed_on_their_way_compressed_or_not() {
    let text = "a text that is long enough to be worth it ".repeat(2000);
    let server = Peer::builder()
        .pull("/echo", |_, text: String| async move { Ok(text) })
        .unwrap()
        .pull("/late", |_, text: String| async move {
            tokio::task::yield_now().await;
            Ok(text)
        })
        .unwrap()
        .plugin(Reversed);
    let (session, _server) = connect(Peer::builder().plugin(Reversed), server).await;
    for uri in ["/echo", "/late"] {
        for gzip in [0, 6] {
            for text in ["short", &*text] {
                let reply = session.pull(uri).codec(Json).body(text).gzip(gzip).await.unwrap();
                assert_eq!(reply.decode::<String>().unwrap(), text, "{uri} {gzip}");
            }
        }
    }
}

#[tokio::test]
async fn values_of_a_call_are_seen_by_later_hooks_and_by_the_handler() {
    #[derive(Debug)]
    struct Steps(parking_lot::Mutex<Vec<&'static str>>);
    struct Tracked(Log);
    impl Plugin for Tracked {
        fn name(&self) -> &str {
            "tracked"
        }
        async fn after_read_header(&self, cx: &mut Context) -> Verdict {
            cx.extensions().insert(Steps(vec!["header"].into()));
            Ok(())
        }
        async fn before_read_body(&self, cx: &mut Context) -> Verdict {
            cx.extensions().get::<Steps>().unwrap().0.lock().push("body");
            Ok(())
        }
        async fn after_write_reply(&self, reply: &Written<'_>) {
            let steps = reply.extensions().get::<Steps>().unwrap();
            self.0.note(format!("{:?} {:?} {}", steps.0.lock(), reply.codec() as char, reply.bytes() > 20));
        }
    }
    let log = Log::default();
    let server = Peer::builder()
        .pull("/run", |cx: Context, ()| async move {
            cx.extensions().get::<Steps>().unwrap().0.lock().push("handler");
            Ok("done")
        })
        .unwrap()
        .plugin(Tracked(log.clone()));
    let (session, _server) = connect(Peer::builder(), server).await;
    session.pull("/run").await.unwrap();
    assert_eq!(log.take(), [r#"["header", "body", "handler"] 'j' true"#]);
    session.pull("/nowhere").await.unwrap_err();
    assert_eq!(log.take(), [r#"["header"] '\0' true"#]);
}

#[tokio::test]
async fn replies_for_handlers_that_panicked_go_through_the_hooks() {
    let log = Log::default();
    let server = Peer::builder()
        .pull("/now", |_, ()| async { if true { panic!("told to") } else { Ok(()) } })
        .unwrap()
        .pull("/late", |_, ()| async {
            tokio::task::yield_now().await;
            if true { panic!("told to") } else { Ok(()) }
        })
        .unwrap()
        .plugin(Probe::new("peer", &log));
    let (session, _server) = connect(Peer::builder(), server).await;
    for uri in ["/now", "/late"] {
        let error = session.pull(uri).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::INTERNAL), "{error}");
        let wrote = format!("peer.wrote 500 of Some(\"a function at {uri}\")");
        assert_eq!(log.take().last(), Some(&wrote));
    }
}

#[tokio::test]
async fn what_a_plugin_keeps_with_a_call_is_dropped_with_it() {
    struct Kept(Arc<AtomicU64>);
    struct Value(Arc<AtomicU64>);
    impl Drop for Value {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert!(self.0.load(Ordering::Relaxed) < 3, "told to");
        }
    }
    impl Plugin for Kept {
        fn name(&self) -> &str {
            "kept"
        }
        async fn after_read_header(&self, cx: &mut Context) -> Verdict {
            cx.extensions().insert(Value(self.0.clone()));
            Ok(())
        }
    }
    let dropped = Arc::new(AtomicU64::new(0));
    let (server, _) = answering();
    let (session, _server) = connect(Peer::builder(), server.plugin(Kept(dropped.clone()))).await;
    assert_eq!(double(&session, "/ready", 1).await.unwrap(), 2);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert_eq!(double(&session, "/late", 1).await.unwrap(), 2);
    // From now on the drop panics, and the session takes that.
    for n in 3..6 {
        let _ = double(&session, "/ready", 1).await.unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), n);
    }
}

#[tokio::test]
async fn a_plugin_can_take_calls_for_itself() {
    struct Ping(Log);
    impl Plugin for Ping {
        fn name(&self) -> &str {
            "ping"
        }
        async fn after_read_header(&self, cx: &mut Context) -> Verdict {
            if cx.path() != "/ping" {
                return Ok(());
            }
            self.0.note(if cx.is_push() { "pushed" } else { "pulled" });
            Err(Status::ok())
        }
    }
    let log = Log::default();
    let (session, _server) = connect(Peer::builder(), answering().0.plugin(Ping(log.clone()))).await;
    session.push("/ping").await.unwrap();
    assert_eq!(session.pull("/ping").body(&1).await.unwrap().codec(), 0);
    assert_eq!(log.take(), ["pushed", "pulled"]);
    assert_eq!(double(&session, "/ready", 1).await.unwrap(), 2);
}

#[tokio::test]
async fn replies_can_be_given_another_status() {
    struct Kind;
    impl Plugin for Kind {
        fn name(&self) -> &str {
            "kind"
        }
        async fn before_write_reply(&self, reply: &mut OutgoingReply) -> Verdict {
            if reply.status().code() == 404 {
                reply.set_status(Status::ok());
                reply.set_body(ReplyBody::json("nothing here, have a nice day").unwrap());
            } else if reply.status().code().is_ok() {
                reply.set_status(Status::new(299, "fine"));
            }
            Ok(())
        }
    }
    let (server, _) = answering();
    let (session, _server) = connect(Peer::builder(), server.plugin(Kind)).await;
    let reply = session.pull("/nowhere").await.unwrap();
    assert_eq!(reply.decode::<String>().unwrap(), "nothing here, have a nice day");
    assert_eq!(double(&session, "/ready", 1).await.unwrap_err().status(), Some(&Status::new(299, "fine")));
}
