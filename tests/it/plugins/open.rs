//! What plugins bring along, are told when a session is open, and bound before that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use teleport::plugin::{Early, Handlers, Opened, Plugin, Verdict};
use teleport::wire::{Body, Header, Kind, PacketId};
use teleport::{Connection, Context, Initiator, Peer, ReplyBody, Status, Timeouts};
use teleport_tests::{RawPeer, json, packet};
use tokio::sync::Semaphore;

use super::{Act, Log, Probe, connect};

/// Brings two handlers along.
struct Clock(&'static str, Log);

impl Plugin for Clock {
    fn name(&self) -> &str {
        "clock"
    }

    fn handlers(&self, handlers: &mut Handlers) {
        handlers.pull(self.0, |cx: Context| async move {
            tokio::task::yield_now().await;
            ReplyBody::json(&format!("noon for {}", cx.query("who").unwrap_or_default()))
        });
        let log = self.1.clone();
        handlers.push(self.0, move |cx| {
            log.note(format!("set by {}", cx.query("who").unwrap_or_default()));
            async {}
        });
    }
}

#[tokio::test]
async fn a_plugin_brings_handlers_along() {
    let log = Log::default();
    let probe = Arc::new(Probe::new("probe", &log));
    let server = Peer::builder().plugin(probe).plugin(Arc::new(Clock("/clock", log.clone())));
    let (session, server) = connect(Peer::builder(), server).await;
    let registered: Vec<_> = log.take().into_iter().filter(|line| line.contains("after_register")).collect();
    let lines = ["pull", "push"].map(|kind| format!("probe.after_register {kind} /clock the plugin clock"));
    assert_eq!(registered, lines);
    assert_eq!(server.router().pulls().collect::<Vec<_>>(), [("/clock", "the plugin clock")]);

    let reply = session.pull("/clock?who=Ada").await.unwrap();
    assert_eq!(reply.decode::<String>().unwrap(), "noon for Ada");
    let log_of_call = log.take();
    assert!(log_of_call.contains(&"probe.after_read_header".to_owned()), "{log_of_call:?}");
    session.push("/clock?who=Bob").await.unwrap();
    while !log.take().contains(&"set by Bob".to_owned()) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn handlers_that_can_not_be_registered_are_errors() {
    let log = Log::default();
    let taken = Peer::builder().pull("/clock", |_, ()| async { Ok(()) }).unwrap();
    let error = taken.plugin(Clock("/clock", log.clone())).build().unwrap_err();
    assert!(
        error.is_conflict() && error.to_string().contains("so the plugin clock can't have it"),
        "{error}"
    );
    for (uri, text) in
        [("clock", "does not start with a slash"), ("/clock?a=b", "has a query"), ("/%zz", "%zz")]
    {
        let error = Peer::builder().plugin(Clock(uri, log.clone())).build().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }

    struct Panics;
    impl Plugin for Panics {
        fn name(&self) -> &str {
            "panics"
        }
        fn handlers(&self, _: &mut Handlers) {
            panic!("on purpose");
        }
    }
    let error = Peer::builder().plugin(Panics).build().unwrap_err();
    assert!(error.is_config() && error.to_string().contains("the plugin panics gave no handlers"), "{error}");
}

/// Notes the sessions that are open.
struct Watch(Log);

impl Plugin for Watch {
    fn name(&self) -> &str {
        "watch"
    }

    async fn after_open(&self, opened: &Opened<'_>) {
        assert!(opened.session().is_open());
        self.0.note(if opened.is_dialed() { "dialed" } else { "accepted" });
        assert!(opened.is_dialed(), "told to");
    }
}

#[tokio::test]
async fn plugins_are_told_of_sessions_that_are_open() {
    let log = Log::default();
    // With and without hooks that a session has to pass.
    for greets in [false, true] {
        let permits = Arc::new(Semaphore::new(0));
        let peer = |log: &Log| {
            let builder = Peer::builder().plugin(Watch(log.clone()));
            if greets { builder.plugin(super::early::Door(permits.clone())) } else { builder }
        };
        let server = peer(&log).build().unwrap();
        let client = peer(&log).build().unwrap();
        let _session = client.connect(&server).await.unwrap();
        if greets {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            assert_eq!(log.take(), ["dialed"]);
            permits.add_permits(1);
        }
        while server.sessions().is_empty() {
            tokio::task::yield_now().await;
        }
        // A panic of the one that was told harms nobody.
        assert_eq!(log.take(), if greets { vec!["accepted"] } else { vec!["accepted", "dialed"] });
    }
    let refusing = Probe::acting("gate", "after_accept", Act::Refuse(Status::unauthorized("no")));
    let server = Peer::builder().plugin(Watch(log.clone())).plugin(refusing).build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    session.closed().await;
    assert_eq!(log.take(), [""; 0], "it was not opened");
}

/// Lets sessions in when there are permits, and little before that.
struct Narrow {
    permits: Arc<Semaphore>,
    most: u32,
    lifts: bool,
    asked: Arc<AtomicU32>,
}

impl Narrow {
    fn new(most: u32, lifts: bool) -> (Self, Arc<Semaphore>) {
        let permits = Arc::new(Semaphore::new(0));
        (Narrow { permits: permits.clone(), most, lifts, asked: Arc::default() }, permits)
    }
}

impl Plugin for Narrow {
    fn name(&self) -> &str {
        "narrow"
    }

    fn max_early_body(&self, dialed: bool) -> Option<u32> {
        assert!(!dialed);
        self.asked.fetch_add(1, Ordering::Relaxed);
        Some(self.most)
    }

    async fn after_accept(&self, early: &mut Early<'_>) -> Verdict {
        self.permits.acquire().await.expect("open").forget();
        if self.lifts {
            early.lift_limit();
            self.permits.acquire().await.expect("open").forget();
        }
        Ok(())
    }
}

/// What a pull with a body of this size is answered, while the session is not open.
async fn early_pull(raw: &mut RawPeer, bytes: usize) {
    let text = format!("[{}1]", " ".repeat(bytes));
    raw.pull("1", "/nowhere", json(&text)).await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn plugins_bound_what_comes_before_they_let_a_session_pass() {
    for lifts in [false, true] {
        let (wide, wide_permits) = Narrow::new(1000, lifts);
        let (narrow, narrow_permits) = Narrow::new(100, lifts);
        let server = Peer::builder().plugin(narrow).plugin(wide).build().unwrap();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let attaching = tokio::spawn(async move {
            let session =
                server.attach(Connection::from_stream(far, "test://peer", "test://raw")).await.unwrap();
            (session, server)
        });
        let mut raw = RawPeer::new(near);
        early_pull(&mut raw, 200).await;
        let reply = raw.receive().await;
        assert_eq!(reply.code(), 413);
        let text =
            "a body of 204 bytes is over the limit of 100 until the plugin narrow has let the session pass";
        assert_eq!(reply.status(), text);
        // The first has let it pass, or is about to: the bound of the second counts.
        narrow_permits.add_permits(1);
        tokio::task::yield_now().await;
        early_pull(&mut raw, 200).await;
        narrow_permits.add_permits(1);
        early_pull(&mut raw, 2000).await;
        assert_eq!(raw.receive().await.code(), 413, "the one of 200 bytes waits");
        wide_permits.add_permits(1);
        tokio::task::yield_now().await;
        early_pull(&mut raw, 2000).await;
        wide_permits.add_permits(1);
        for _ in 0..2 {
            assert_eq!(raw.receive().await.code(), 404);
        }
        let _kept = attaching.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_given_up_ends_as_one_that_is_lost() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = Peer::builder().push("/work", move |_, (): ()| {
        let tell = tell.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = tell.send(());
        }
    });
    let (session, server) = connect(Peer::builder(), server.unwrap()).await;
    session.push("/work").await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let far = server.sessions().all().remove(0);
    far.give_up("it is gone");
    assert!(server.sessions().is_empty());
    let error = far.pull("/nowhere").await.unwrap_err();
    assert!(error.is_closed() && error.initiator() == Initiator::Library, "{error}");
    assert!(error.to_string().contains("it is gone"));
    session.closed().await;
    let ended = tokio::time::timeout(Duration::from_secs(60), told.recv()).await;
    assert!(ended.is_ok(), "what ran may end");
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_packet_is_a_sign_of_life() {
    // Each byte counts, however slowly they come.
    let timeouts = Timeouts::default().with_first_packet(None).with_read(None);
    let server = Peer::builder().timeouts(timeouts).build().unwrap();
    let (mut raw, session) = RawPeer::connect(&server).await;
    assert_eq!(session.idle(), Duration::ZERO);
    for byte in packet(b'p', &Header::new(PacketId::Sequence(1), Kind::PULL, "/nowhere"), Body::None) {
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(session.idle(), Duration::from_secs(7));
        raw.send(&[byte]).await;
        while session.idle() > Duration::ZERO {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(raw.receive().await.code(), 404);
}
