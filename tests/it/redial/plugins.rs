//! Hooks after dial and after disconnect run for each connection.

use std::sync::Mutex;

use teleport::plugin::{Disconnected, Early, Plugin, Verdict};
use teleport::{Delivery, Status};

use super::*;

type Log = Arc<Mutex<Vec<String>>>;

/// Logs in over each connection, and tells what it saw.
struct Login(Log);

impl Plugin for Login {
    fn name(&self) -> &str {
        "login"
    }

    async fn after_dial(&self, early: &mut Early<'_>) -> Verdict {
        early.session().push("/hello").await?;
        let word: String = early.session().pull("/login").await?.decode()?;
        self.0.lock().unwrap().push(format!("dialed: {word}"));
        if word == "no" { Err(Status::unauthorized("not any more")) } else { Ok(()) }
    }

    async fn after_disconnect(&self, session: &Disconnected<'_>) {
        let line = format!("gone: {}, redials: {}", session.id(), session.redials());
        self.0.lock().unwrap().push(line);
    }
}

async fn login(raw: &mut RawPeer<UnixStream>, word: &str) {
    assert_eq!(raw.receive().await.uri(), "/hello");
    let pull = raw.receive().await;
    assert_eq!(pull.uri(), "/login");
    answer(raw, &pull, word).await;
}

async fn logged_in(
    log: &Log,
    place: &Place,
    listening: &Listening,
    redial: Redial,
) -> (Session, RawPeer<UnixStream>) {
    let client = Peer::builder().plugin(Login(log.clone())).build().unwrap();
    let dial = async { client.dial(place.address()).id("me").redial(redial).await.unwrap() };
    tokio::join!(dial, async {
        let mut raw = listening.accept().await;
        login(&mut raw, "yes").await;
        raw
    })
}

#[tokio::test]
async fn hooks_come_before_the_calls_that_wait() {
    let (log, place) = (Log::default(), Place::new());
    let listening = place.listen();
    let (session, raw) = logged_in(&log, &place, &listening, soon()).await;
    drop(raw);
    reaches(&session, SessionState::Down).await;
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/work").await.unwrap().decode::<String>().unwrap() }
    });
    let mut raw = listening.accept().await;
    assert_eq!(raw.receive().await.uri(), "/hello");
    let pull = raw.receive().await;
    assert_eq!(pull.uri(), "/login");
    assert_eq!(session.state(), SessionState::Down, "while the hooks look at it");
    let new = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/new").await.unwrap().decode::<String>().unwrap() }
    });
    tokio::task::yield_now().await;
    assert_eq!(session.pulls_in_flight(), 1, "that of the hook, and not one that begins meanwhile");
    // What comes meanwhile waits in line as over a first connection, and is served when they are through.
    raw.pull("early", "/nowhere", Body::None).await;
    answer(&mut raw, &pull, "again").await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let packet = raw.receive().await;
        if packet.kind().is_pull() {
            answer(&mut raw, &packet, "done").await;
        }
        seen.push(packet.uri().to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["/new", "/nowhere", "/work"]);
    assert_eq!(new.await.unwrap(), "done");
    assert_eq!(waiting.await.unwrap(), "done");
    assert_eq!(*log.lock().unwrap(), ["dialed: yes", "gone: me, redials: true", "dialed: again"]);
    let closing = tokio::spawn(async move { session.close().await });
    while raw.try_receive().await.is_some() {}
    drop(raw);
    closing.await.unwrap();
    while log.lock().unwrap().len() < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.lock().unwrap()[3], "gone: me, redials: false");
}

#[tokio::test]
async fn a_refusal_is_a_failed_attempt() {
    let (log, place) = (Log::default(), Place::new());
    let listening = place.listen();
    let redial = soon().with_longest_pause(Duration::from_millis(1)).with_attempts(2);
    let (session, raw) = logged_in(&log, &place, &listening, redial).await;
    drop(raw);
    reaches(&session, SessionState::Down).await;
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/work").await.unwrap_err() }
    });
    for _ in 0..2 {
        let mut raw = listening.accept().await;
        login(&mut raw, "no").await;
        assert!(raw.try_receive().await.is_none(), "nothing else goes over it");
    }
    session.closed().await;
    let error = waiting.await.unwrap();
    assert!(error.is_closed() && error.delivery() == Some(Delivery::NotSent), "{error}");
    assert!(error.to_string().contains("the plugin login refused"), "{error}");
    assert!(error.to_string().contains("not any more"), "{error}");
    let seen = log.lock().unwrap().clone();
    assert_eq!(seen, ["dialed: yes", "gone: me, redials: true", "dialed: no", "dialed: no"]);
}

/// A connection that is lost while its hooks run takes nothing along, and they don't open the next one.
#[tokio::test]
async fn hooks_end_with_their_connection() {
    let (log, place) = (Log::default(), Place::new());
    let listening = place.listen();
    let (session, raw) = logged_in(&log, &place, &listening, soon()).await;
    drop(raw);
    for _ in 0..3 {
        let mut raw = listening.accept().await;
        assert_eq!(raw.receive().await.uri(), "/hello");
        drop(raw);
    }
    let mut raw = listening.accept().await;
    login(&mut raw, "at last").await;
    session.reconnected().await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["dialed: yes", "gone: me, redials: true", "dialed: at last"]);
}

/// The first dial is refused as ever, and not tried again.
#[tokio::test]
async fn a_dial_that_is_refused_is_not_made_again() {
    let (log, place) = (Log::default(), Place::new());
    let listening = place.listen();
    let client = Peer::builder().plugin(Login(log.clone())).build().unwrap();
    for word in [Some("no"), None] {
        let dial = async { client.dial(place.address()).redial(soon()).await.unwrap_err() };
        let (error, ()) = tokio::join!(dial, async {
            let mut raw = listening.accept().await;
            match word {
                Some(word) => {
                    login(&mut raw, word).await;
                    assert!(raw.try_receive().await.is_none());
                }
                None => drop(raw),
            }
        });
        assert!(error.is_plugin(), "{error}");
        while !client.sessions().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

/// A server that says nothing any more is one that is lost.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_gives_connections_up_and_not_the_session() {
    let place = Place::new();
    let listening = place.listen();
    let heartbeat = teleport::plugins::Heartbeat::every(Duration::from_secs(1));
    let client = Peer::builder().plugin(heartbeat).build().unwrap();
    let session = dial(&client, &place, soon()).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(listening.accept().await);
        session.reconnected().await.unwrap();
        let error = session.pull("/a").await.unwrap_err();
        assert!(error.is_closed() && error.may_have_run(), "{error}");
        assert!(error.to_string().contains("no sign of life"), "{error}");
    }
    let mut raw = listening.accept().await;
    let pull = tokio::spawn(async move { session.pull("/b").await.unwrap().decode::<String>().unwrap() });
    let packet = raw.receive().await;
    answer(&mut raw, &packet, "fine").await;
    assert_eq!(pull.await.unwrap(), "fine");
}
