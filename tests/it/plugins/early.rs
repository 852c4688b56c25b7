//! Before a session is open: greetings, refusals, time limits, and what came too early.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use teleport::plugin::{Disconnected, Early, Plugin, Verdict};
use teleport::wire::{Header, Kind, PacketId};
use teleport::{
    Code, Connection, Context, Delivery, Initiator, Json, Limits, Peer, PeerBuilder, ReplyBody, Status,
    Timeouts,
};
use teleport_tests::{RawPeer, json, packet};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::{Act, Log, Probe, answering, double};

struct User(String);

/// The dialer says who it is; the listener asks for a word back, and keeps the name.
struct Login {
    name: &'static str,
    word: &'static str,
}

impl Plugin for Login {
    fn name(&self) -> &str {
        "login"
    }

    async fn after_dial(&self, early: &mut Early<'_>) -> Verdict {
        let session = early.session().clone();
        let login = tokio::spawn({
            let name = self.name;
            async move { session.pull("/login").body(name).await.map(drop) }
        });
        let challenge = early.receive_at("/challenge").await?;
        challenge.answer(ReplyBody::json(self.word)?);
        login.await.expect("it does not panic")?;
        Ok(())
    }

    async fn after_accept(&self, early: &mut Early<'_>) -> Verdict {
        let login = early.receive().await?;
        let name: String = login.bind()?;
        let word: String = early.session().pull("/challenge").await?.decode()?;
        if word != self.word {
            return Err(Status::unauthorized(format!("wrong word, {name}")));
        }
        early.session().set_id(&*name)?;
        early.session().extensions().insert(User(name));
        login.answer(ReplyBody::empty());
        Ok(())
    }
}

fn greeting() -> PeerBuilder {
    Peer::builder()
        .pull("/who", |cx: Context, ()| async move {
            Ok(cx.session().extensions().get::<User>().unwrap().0.clone())
        })
        .unwrap()
        .plugin(Login { name: "server", word: "swordfish" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_talk_before_the_session_is_open() {
    let server = greeting().listen("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().plugin(Login { name: "Ada", word: "swordfish" }).build().unwrap();
    let session = client.dial(server.local_addr().unwrap()).await.unwrap();
    assert_eq!(session.pull("/who").await.unwrap().decode::<String>().unwrap(), "Ada");
    assert!(server.sessions().get("Ada").is_some());

    let stranger = Peer::builder().plugin(Login { name: "Eve", word: "guess" }).build().unwrap();
    let error = stranger.dial(server.local_addr().unwrap()).await.unwrap_err();
    assert!(error.is_plugin(), "{error}");
    assert_eq!(error.status(), Some(&Status::unauthorized("wrong word, Eve")));
    assert!(error.peer_addr().is_some());
    assert!(stranger.sessions().is_empty());
    while server.sessions().len() != 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn sessions_in_memory_are_greeted_too() {
    let server = greeting().build().unwrap();
    let client = Peer::builder().plugin(Login { name: "Ada", word: "swordfish" }).build().unwrap();
    let session = client.connect(&server).await.unwrap();
    assert_eq!(session.pull("/who").await.unwrap().decode::<String>().unwrap(), "Ada");
    let (near, far) = Connection::memory();
    let (near, far) = tokio::join!(client.attach_dialed(near), server.attach(far));
    // The id is taken by then.
    assert!(near.is_err() && far.is_err());
}

/// Lets sessions in when there are permits.
pub(super) struct Door(pub(super) Arc<Semaphore>);

impl Plugin for Door {
    fn name(&self) -> &str {
        "door"
    }
    async fn after_accept(&self, _: &mut Early<'_>) -> Verdict {
        self.0.acquire().await.expect("open").forget();
        Ok(())
    }
}

#[tokio::test]
async fn nothing_is_routed_and_nobody_sees_the_session_before_it_is_open() {
    let permits = Arc::new(Semaphore::new(0));
    let (server, ran) = answering();
    let server = server.plugin(Door(permits.clone())).build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let session = session.clone();
            tokio::spawn(async move { double(&session, "/ready", n).await })
        })
        .collect();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    assert!(server.sessions().is_empty() && server.sessions().all().is_empty());
    assert_eq!(server.sessions().broadcast("/news", Json, &1).await.unwrap().reached, 0);
    permits.add_permits(1);
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), 2 * n as i64);
    }
    assert_eq!(server.sessions().len(), 1);
    session.close().await;
    while !server.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_came_before_the_end_of_the_other_side_is_handled_when_the_session_is_open() {
    let permits = Arc::new(Semaphore::new(0));
    let log = Log::default();
    let noted = log.clone();
    let server = Peer::builder()
        .push("/note", move |_, line: String| {
            noted.note(line);
            async {}
        })
        .unwrap()
        .plugin(Door(permits.clone()))
        .build()
        .unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    for line in ["one", "two"] {
        session.push("/note").body(line).await.unwrap();
    }
    let closing = tokio::spawn(async move { session.close().await });
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.take(), [""; 0]);
    permits.add_permits(1);
    closing.await.unwrap();
    assert_eq!(log.take(), ["one", "two"]);
}

#[tokio::test]
async fn whoever_is_refused_is_told_in_the_answers_to_its_calls() {
    for act in [Act::Refuse(Status::unauthorized("who are you?")), Act::Panic] {
        let code = if matches!(act, Act::Panic) { 424 } else { 401 };
        let permits = Arc::new(Semaphore::new(0));
        let (server, ran) = answering();
        let server = server.plugin(Door(permits.clone())).plugin(Probe::acting("gate", "after_accept", act));
        let server = server.build().unwrap();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let attaching = tokio::spawn({
            let server = server.clone();
            async move { server.attach(Connection::from_stream(far, "test://peer", "test://raw")).await }
        });
        let mut raw = RawPeer::new(near);
        for id in ["1", "2"] {
            raw.pull(id, "/ready", json("1")).await;
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        permits.add_permits(1);
        for id in 1..3 {
            let reply = raw.receive().await;
            assert_eq!((reply.code(), reply.id().number()), (code, Some(id)));
        }
        assert!(raw.try_receive().await.is_none(), "the session is closed");
        let error = attaching.await.unwrap().unwrap_err();
        assert!(error.is_plugin() && error.to_string().contains("the plugin gate"), "{error}");
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        assert!(server.sessions().is_empty());
    }
}

#[tokio::test]
async fn whoever_is_refused_and_has_not_called_is_told_in_the_last_word() {
    let server =
        answering().0.plugin(Probe::acting("gate", "after_accept", Act::Refuse(Status::unauthorized("no"))));
    let server = server.build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    session.closed().await;
    assert_eq!(session.close_reason().as_deref(), Some("the other side refused the session: 401 no"));
    let error = double(&session, "/ready", 1).await.unwrap_err();
    assert!(error.is_closed() && error.delivery() == Some(Delivery::NotSent), "{error}");
    assert_eq!(error.initiator(), Initiator::Remote);
}

/// Takes what comes and leaves it without an answer.
struct Careless(Option<Status>);

impl Plugin for Careless {
    fn name(&self) -> &str {
        "careless"
    }
    async fn after_accept(&self, early: &mut Early<'_>) -> Verdict {
        drop(early.receive().await?);
        match &self.0 {
            Some(status) => Err(status.clone()),
            None => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_pull_that_a_plugin_took_and_left_is_answered() {
    for (refusal, code) in [(None, 424), (Some(Status::new(1003, "no")), 1003)] {
        let server = answering().0.plugin(Careless(refusal)).build().unwrap();
        let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
        let error = double(&session, "/ready", 1).await.unwrap_err();
        assert_eq!(error.code(), Some(code.into()), "{error}");
        assert_eq!(error.delivery(), Some(Delivery::Answered));
        assert_eq!(double(&session, "/ready", 1).await.is_ok(), code == 424);
    }
}

/// Never lets anybody in; tells when it is dropped.
struct Stuck(Arc<AtomicBool>);

struct Told(Arc<AtomicBool>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Plugin for Stuck {
    fn name(&self) -> &str {
        "stuck"
    }
    async fn after_dial(&self, _: &mut Early<'_>) -> Verdict {
        let _told = Told(self.0.clone());
        pending().await
    }
    async fn after_accept(&self, _: &mut Early<'_>) -> Verdict {
        let _told = Told(self.0.clone());
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn hooks_have_so_much_time_and_no_more() {
    let timeouts =
        || Timeouts::default().with_accept(Duration::from_secs(4)).with_dial(Duration::from_secs(3));
    let told = Arc::new(AtomicBool::new(false));
    let stuck = Peer::builder().plugin(Stuck(told.clone())).timeouts(timeouts()).build().unwrap();
    let plain = Peer::builder().build().unwrap();

    let error = stuck.connect(&plain).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::FAILED_PLUGIN));
    assert!(error.to_string().contains("within 3s (setting `timeouts.dial`)"), "{error}");
    assert!(told.swap(false, Ordering::Relaxed));

    let (near, far) = Connection::memory();
    let session = plain.attach(near).await.unwrap();
    let error = stuck.attach(far).await.unwrap_err();
    assert!(error.to_string().contains("within 4s (setting `timeouts.accept`)"), "{error}");
    session.closed().await;
    assert!(told.load(Ordering::Relaxed));
    assert!(stuck.sessions().is_empty());
}

#[tokio::test]
async fn a_session_that_ends_before_it_is_open_ends_its_hooks() {
    let told = Arc::new(AtomicBool::new(false));
    let server = Peer::builder().plugin(Stuck(told.clone())).build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    while session.is_open() && Arc::strong_count(&told) < 3 {
        tokio::task::yield_now().await;
    }
    // The server closes: it need not wait for who is not let in.
    server.close().await;
    session.closed().await;
    while !told.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    assert!(server.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_who_is_not_let_in() {
    let server = answering().0.plugin(Stuck(Arc::new(AtomicBool::new(false)))).build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    let call = tokio::spawn({
        let session = session.clone();
        async move { double(&session, "/ready", 1).await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let began = tokio::time::Instant::now();
    let report = server.shutdown().within(Duration::from_secs(100)).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(began.elapsed(), Duration::ZERO);
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(Code::UNAVAILABLE), "{error}");
    session.closed().await;
}

#[tokio::test]
async fn a_dial_that_is_dropped_leaves_no_session() {
    let told = Arc::new(AtomicBool::new(false));
    let server = Peer::builder().listen("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().plugin(Stuck(told.clone()));
    let client = client.limits(Limits::default().with_max_sessions(1)).build().unwrap();
    for _ in 0..3 {
        {
            let mut dial = std::pin::pin!(client.dial(server.local_addr().unwrap()).into_future());
            while Arc::strong_count(&told) < 3 {
                tokio::select! {
                    biased;
                    _ = &mut dial => panic!("it is stuck"),
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        while !told.load(Ordering::Relaxed) || Arc::strong_count(&told) > 2 {
            tokio::task::yield_now().await;
        }
        told.store(false, Ordering::Relaxed);
    }
    assert!(client.sessions().is_empty());
    while !server.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn refused_sessions_take_no_place_and_leave_nothing() {
    let server =
        answering().0.plugin(Probe::acting("gate", "after_accept", Act::Refuse(Status::unauthorized("no"))));
    let server = server.limits(Limits::default().with_max_sessions(1)).listen("127.0.0.1:0").await.unwrap();
    let client = Peer::builder().build().unwrap();
    for _ in 0..5 {
        let session = client.dial(server.local_addr().unwrap()).await.unwrap();
        let error = double(&session, "/ready", 1).await.unwrap_err();
        assert!(error.is_closed() || error.code() == Some(Code::UNAUTHORIZED), "{error}");
        session.closed().await;
        drop(session);
    }
    assert!(client.sessions().is_empty());
}

#[tokio::test]
async fn what_comes_early_is_bounded() {
    let permits = Arc::new(Semaphore::new(0));
    let (server, ran) = answering();
    let server = server.plugin(Door(permits.clone())).build().unwrap();
    let (near, far) = tokio::io::duplex(1024);
    let attaching = tokio::spawn(async move {
        let session = server.attach(Connection::from_stream(far, "test://peer", "test://raw")).await.unwrap();
        (session, server)
    });
    let (read, write) = tokio::io::split(near);
    let sent = Arc::new(AtomicU64::new(0));
    let writing = tokio::spawn({
        let sent = sent.clone();
        async move {
            let mut write = write;
            let text = format!("[{}1]", " ".repeat(1000));
            for n in 0..1000 {
                let id = PacketId::Text(n.to_string().into());
                let bytes = packet(b'p', &Header::new(id, Kind::PULL, "/nowhere"), json(&text));
                write.write_all(&bytes).await.unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut last = u64::MAX;
    while last != sent.load(Ordering::Relaxed) {
        last = sent.load(Ordering::Relaxed);
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
    assert!((10..200).contains(&last), "{last} pulls of a kilobyte were read before the session was open");
    permits.add_permits(1);
    let mut raw = RawPeer::new(read);
    for n in 0..1000 {
        assert_eq!(raw.receive().await.id().number(), Some(n), "in order");
    }
    writing.await.unwrap();
    let _kept = attaching.await.unwrap();
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

/// Counts the sessions that it let in and that are not over.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>, Log);

impl Plugin for Count {
    fn name(&self) -> &str {
        "count"
    }
    async fn after_accept(&self, early: &mut Early<'_>) -> Verdict {
        early.session().extensions().insert("kept");
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    async fn after_disconnect(&self, session: &Disconnected<'_>) {
        let kept = session.extensions().get::<&str>().unwrap();
        self.1.note(format!("{kept} {} {:?} {}", session.id(), session.initiator(), session.reason()));
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn the_end_is_told_to_those_that_let_the_session_in() {
    let (before, after) = (Count::default(), Count::default());
    let log = Log::default();
    let gate = Arc::new(Probe::new("gate", &log));
    let server =
        Peer::builder().plugin(before.clone()).plugin(gate.clone()).plugin(after.clone()).build().unwrap();
    let client = Peer::builder().build().unwrap();

    let session = client.connect(&server).await.unwrap();
    while after.0.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    server.sessions().all()[0].set_id("known").unwrap();
    session.close().await;
    while before.0.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        before.1.take(),
        [format!("kept known {:?} the other side is closing and did not take the call", Initiator::Remote)]
    );
    assert_eq!(after.1.take().len(), 1);

    gate.acts.lock().push(("after_accept", Act::Refuse(Status::unauthorized("no"))));
    let session = client.connect(&server).await.unwrap();
    session.closed().await;
    while before.1.0.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(before.1.take()[0].ends_with("the plugin gate refused the session: 401 no"));
    assert_eq!(before.0.load(Ordering::Relaxed), 0);
    assert_eq!((after.0.load(Ordering::Relaxed), after.1.take().len()), (0, 0), "it never saw the session");
    assert_eq!(log.take().iter().filter(|line| line.ends_with("after_disconnect")).count(), 1);
}

/// Sessions without handles are told of as well.
#[tokio::test]
async fn the_end_is_told_when_the_peer_and_all_handles_are_gone() {
    let count = Count::default();
    let server = Peer::builder().plugin(count.clone()).build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    while count.0.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    drop(server);
    session.closed().await;
    while count.0.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    assert!(count.1.take()[0].contains("its peer and all its handles were dropped"));
}
