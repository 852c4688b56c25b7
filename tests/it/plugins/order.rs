//! In which order hooks run, and for what.

use std::sync::Arc;
use std::time::Duration;

use teleport::plugin::{Plugin, Route, Verdict};
use teleport::{Code, Context, Peer, Router, Service, Status};
use tokio::sync::Notify;

use super::{Log, Probe, answering, connect, double};

#[teleport::service]
trait Arith {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
    #[push]
    async fn note(&self, line: &str);
}

struct Exact(Log, Arc<Notify>);

impl Arith for Exact {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
        self.0.note("mul");
        Ok(a * b)
    }

    async fn note(&self, line: &str) {
        self.0.note(format!("note {line}"));
        self.1.notify_one();
    }
}

/// `hook` of these plugins, one after the other.
fn each(hook: &str, plugins: &[&str]) -> Vec<String> {
    plugins.iter().map(|plugin| format!("{plugin}.{hook}")).collect()
}

#[tokio::test]
async fn calls_pass_from_the_first_plugin_to_the_last_and_replies_from_the_last_to_the_first() {
    for waiting in [false, true] {
        let (here, there, noted) = (Log::default(), Log::default(), Arc::new(Notify::new()));
        let probe = |name, log| if waiting { Probe::waiting(name, log) } else { Probe::new(name, log) };

        let mut router = Router::new();
        router
            .group("/v1")
            .plugin(probe("outer", &there))
            .group("/x")
            .plugin(probe("inner", &there))
            .service(
                ArithServer::new(Exact(there.clone(), noted.clone()))
                    .with_plugin(probe("first", &there))
                    .with_plugin(probe("second", &there)),
            )
            .unwrap();
        // Attached after the routes, those of the peer still come first.
        let server = Peer::builder().router(router).unwrap();
        let server = server.plugin(probe("one", &there)).plugin(probe("two", &there)).build().unwrap();
        let all = ["one", "two", "outer", "inner", "first", "second"];
        let registered = [
            each("after_register pull /v1/x/arith/mul Arith::mul", &all),
            each("after_register push /v1/x/arith/note Arith::note", &all),
        ];
        assert_eq!(there.take(), registered.concat());

        let client = Peer::builder().plugin(probe("a", &here)).plugin(probe("b", &here)).build().unwrap();
        let session = client.connect(&server).await.unwrap();
        let arith = ArithClient::new(&session).with_prefix("/v1/x");
        assert_eq!(arith.mul(6, 7).await.unwrap(), 42);

        let (onward, back) = (["a", "b"], ["b", "a"]);
        let expected = [
            each("after_dial", &onward),
            each("before_write_pull", &onward),
            each("after_write_pull", &onward),
            each("before_read_header", &onward),
            each("after_read_reply_header", &back),
            each("before_read_reply_body", &back),
            each("after_read_reply_body", &back),
        ];
        assert_eq!(here.take(), expected.concat(), "waiting: {waiting}");

        let of_peer = ["one", "two"];
        let mut reversed = all;
        reversed.reverse();
        let wrote = reversed.iter().flat_map(|plugin| {
            [format!("{plugin}.after_write_reply"), format!("{plugin}.wrote 200 of Some(\"Arith::mul\")")]
        });
        let expected = [
            each("after_accept", &of_peer),
            each("before_read_header", &of_peer),
            each("after_read_header", &all),
            each("before_read_body", &all),
            each("after_read_body", &all),
            vec!["mul".into()],
            each("before_write_reply", &reversed),
            wrote.collect(),
        ];
        let mut seen = there.take();
        if waiting {
            // The packet may come while the session is not open yet.
            seen.sort_by_key(|line| !line.contains("after_accept"));
        }
        assert_eq!(seen, expected.concat(), "waiting: {waiting}");

        arith.note("it works").await.unwrap();
        noted.notified().await;
        let expected = [each("before_write_push", &onward), each("after_write_push", &onward)];
        assert_eq!(here.take(), expected.concat());
        let expected = [
            each("before_read_header", &of_peer),
            each("after_read_header", &all),
            each("before_read_body", &all),
            each("after_read_body", &all),
            vec!["note it works".into()],
        ];
        assert_eq!(there.take(), expected.concat(), "nobody answers a push");

        session.close().await;
        let through =
            |log: &Log| log.0.lock().iter().filter(|line| line.ends_with("after_disconnect")).count() == 2;
        while !through(&here) || !through(&there) {
            tokio::task::yield_now().await;
        }
        assert_eq!(here.take(), each("after_disconnect", &["b", "a"]));
        // The last word of the side that closes is a packet too.
        let mut last = there.take();
        last.retain(|line| !line.ends_with("before_read_header"));
        assert_eq!(last, each("after_disconnect", &["two", "one"]));
    }
}

#[tokio::test]
async fn plugins_of_groups_and_services_see_their_own_routes_alone() {
    let (log, of_peer) = (Log::default(), Log::default());
    let mut router = Router::new();
    router.pull("/v1/before", |_, ()| async { Ok(1) }).unwrap();
    router.group("/v1").pull("/also", |_, ()| async { Ok(2) }).unwrap();
    let mut group = router.group("/v1");
    group.pull("/registered-before", |_, ()| async { Ok(3) }).unwrap();
    group.plugin(Probe::new("group", &log)).pull("/seen", |_, ()| async { Ok(4) }).unwrap();
    let server = Peer::builder().router(router).unwrap().plugin(Probe::new("peer", &of_peer));
    let (session, _server) = connect(Peer::builder(), server).await;
    assert_eq!(log.take(), ["group.after_register pull /v1/seen a function at /v1/seen"]);
    of_peer.take();
    for (uri, expected) in [("/v1/before", 1), ("/v1/also", 2), ("/v1/registered-before", 3)] {
        assert_eq!(session.pull(uri).await.unwrap().decode::<i32>().unwrap(), expected);
        assert_eq!(log.take(), [""; 0], "{uri}");
        assert_eq!(of_peer.take().len(), 7, "{uri}");
    }
    assert_eq!(session.pull("/v1/seen").await.unwrap().decode::<i32>().unwrap(), 4);
    assert_eq!(log.take().len(), 6);
    of_peer.take();
    // Nobody takes it, and the plugins of the peer see that.
    assert_eq!(session.pull("/v1/seen/not").await.unwrap_err().code(), Some(Code::NOT_FOUND));
    assert_eq!(log.take(), [""; 0]);
    let expected = [
        "before_read_header",
        "after_read_header",
        "before_write_reply",
        "after_write_reply",
        "wrote 404 of None",
    ]
    .map(|hook| format!("peer.{hook}"));
    assert_eq!(of_peer.take(), expected);
}

#[tokio::test]
async fn plugins_of_the_peer_see_what_handlers_of_unknown_uris_take() {
    let log = Log::default();
    let server = Peer::builder()
        .unknown_pull(|cx| async move { Err(Status::new(1001, cx.route().unwrap_or_default().to_owned())) })
        .plugin(Probe::new("peer", &log));
    let (session, _server) = connect(Peer::builder(), server).await;
    let error = session.pull("/nowhere").await.unwrap_err();
    assert_eq!(error.status(), Some(&Status::new(1001, "the handler of unknown pulls")));
    assert!(log.take().iter().any(|line| line == "peer.after_read_body"));
}

/// A plugin that is not there for a hook is not run for it: with none for what comes in, the context knows no route.
#[tokio::test]
async fn what_no_plugin_looks_at_is_left_alone() {
    struct Outgoing;
    impl Plugin for Outgoing {
        fn name(&self) -> &str {
            "outgoing"
        }
        async fn before_write_pull(&self, _: &mut teleport::plugin::OutgoingCall<'_>) -> Verdict {
            Ok(())
        }
    }
    let server = Peer::builder()
        .plugin(Outgoing)
        .pull("/route", |cx: Context, ()| async move { Ok(cx.route().map(str::to_owned)) })
        .unwrap();
    let (session, _server) = connect(Peer::builder().plugin(Outgoing), server).await;
    assert_eq!(session.pull("/route").await.unwrap().decode::<Option<String>>().unwrap(), None);
}

#[tokio::test]
async fn a_plugin_that_others_hold_is_attached_as_an_arc() {
    let log = Log::default();
    let probe = Arc::new(Probe::new("shared", &log));
    let (server, _) = answering();
    let (session, _server) = connect(Peer::builder(), server.plugin(probe.clone())).await;
    log.take();
    assert_eq!(double(&session, "/ready", 4).await.unwrap(), 8);
    assert_eq!(log.take().len(), 7);
    assert!(Arc::strong_count(&probe) > 1);
}

#[tokio::test]
async fn a_plugin_can_refuse_a_route() {
    struct NoPushes(bool);
    impl Plugin for NoPushes {
        fn name(&self) -> &str {
            "no pushes"
        }
        fn after_register(&self, route: &Route<'_>) -> Verdict {
            assert!(self.0, "told to");
            if route.is_push() { Err(Status::new(1000, "pulls only")) } else { Ok(()) }
        }
    }
    let builder = || {
        let builder = Peer::builder().pull("/a", |_, ()| async { Ok(()) }).unwrap();
        builder.push("/b", |_, ()| async {}).unwrap()
    };
    let error = builder().plugin(NoPushes(true)).build().unwrap_err();
    assert!(error.is_config());
    assert_eq!(error.to_string(), "the plugin no pushes refuses the push /b (1000 pulls only)");
    let error = builder().plugin(NoPushes(false)).build().unwrap_err();
    assert!(error.to_string().contains("424"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_session_tells_how_long_nothing_came_and_why_it_closed() {
    let (server, _) = answering();
    let (session, server) = connect(Peer::builder(), server).await;
    let far = server.sessions().all().remove(0);
    assert_eq!(session.idle(), Duration::ZERO);
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(session.idle(), Duration::from_secs(9));
    assert_eq!(double(&session, "/ready", 1).await.unwrap(), 2);
    assert_eq!(session.idle(), Duration::ZERO);
    assert_eq!(far.close_reason(), None);
    session.abort_with("the heart stopped");
    assert_eq!(session.close_reason().as_deref(), Some("the heart stopped"));
    let error = double(&session, "/ready", 1).await.unwrap_err();
    assert!(error.is_closed() && error.to_string().contains("the heart stopped"), "{error}");
    far.closed().await;
    let (session, _server) = connect(Peer::builder(), answering().0).await;
    session.close_with("that was all").await;
    assert!(session.pull("/ready").await.unwrap_err().to_string().contains("that was all"));
}
