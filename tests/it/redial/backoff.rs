//! When it is dialed again, and when no more.

use teleport::Timeouts;
use tokio::time::Instant;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A session that is down, and since when. Nobody listens any more.
async fn down(redial: Redial) -> (Peer, Session, Instant) {
    let place = Place::new();
    let listening = place.listen();
    let client = client();
    let session = client.dial(place.address()).id("lost").redial(redial).await.unwrap();
    let raw = listening.accept().await;
    drop(listening);
    drop(raw);
    reaches(&session, SessionState::Down).await;
    (client, session, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_up_to_the_longest_and_attempts_are_used_up() {
    let redial = Redial::default().with_longest_pause(500 * MS).with_jitter(0).with_attempts(5);
    let (client, session, since) = down(redial).await;
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/a").no_timeout().await.unwrap_err() }
    });
    session.closed().await;
    assert_eq!(since.elapsed(), (100 + 200 + 400 + 500 + 500) * MS);
    let error = waiting.await.unwrap();
    assert!(error.is_closed() && !error.may_have_run(), "{error}");
    let text = error.to_string();
    assert!(text.contains("5 times in vain (setting `redial.attempts`)"), "{text}");
    assert!(text.contains("No such file"), "it tells why at last: {text}");
    assert!(session.reconnected().await.unwrap_err().to_string().contains("redial.attempts"));
    assert!(client.sessions().get("lost").is_none());
}

#[tokio::test(start_paused = true)]
async fn pauses_are_scattered_within_their_bounds() {
    let mut seen = Vec::new();
    for _ in 0..20 {
        let (_client, session, since) = down(Redial::default().with_attempts(1)).await;
        session.closed().await;
        seen.push(since.elapsed());
    }
    assert!(seen.iter().all(|pause| (50 * MS..=101 * MS).contains(pause)), "{seen:?}");
    assert!(seen.iter().any(|pause| *pause != seen[0]), "{seen:?}");
}

/// A server that takes connections and drops them is no server, and is not dialed in a hurry.
#[tokio::test(start_paused = true)]
async fn connections_that_end_at_once_are_failures() {
    let place = Place::new();
    let listening = place.listen();
    let session = dial(&client(), &place, soon().with_attempts(3)).await;
    let server = tokio::spawn(async move {
        let mut taken = 0;
        loop {
            drop(listening.accept().await);
            taken += 1;
            if taken == 4 {
                return;
            }
        }
    });
    session.closed().await;
    server.await.unwrap();
    let error = session.pull("/a").await.unwrap_err();
    assert!(error.to_string().contains("3 times in vain"), "{error}");
}

/// Each connection over which something was said begins the count anew.
#[tokio::test]
async fn attempts_are_counted_in_a_row() {
    let place = Place::new();
    let listening = place.listen();
    let session = dial(&client(), &place, soon().with_longest_pause(MS).with_attempts(1)).await;
    for _ in 0..5 {
        let mut raw = listening.accept().await;
        let pull = tokio::spawn({
            let session = session.clone();
            async move { session.pull("/a").await.unwrap().decode::<String>().unwrap() }
        });
        let packet = raw.receive().await;
        answer(&mut raw, &packet, "fine").await;
        assert_eq!(pull.await.unwrap(), "fine");
    }
    assert!(session.is_open() || session.state() == SessionState::Down);
}

#[tokio::test(start_paused = true)]
async fn a_side_that_reads_nothing_is_dialed_again_and_not_told_of_the_last_one() {
    let place = Place::new();
    let listening = place.listen();
    let peer = Peer::builder().timeouts(Timeouts::default().with_idle(None)).build().unwrap();
    let session = dial(&peer, &place, soon()).await;
    let _deaf = listening.accept().await;
    session.push("/long").body(&"x".repeat(4 << 20)).await.unwrap();
    reaches(&session, SessionState::Down).await;
    let mut raw = listening.accept().await;
    session.reconnected().await.unwrap();
    // The second connection has its own time.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(session.is_open());
    let pull = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/a").await.unwrap().decode::<String>().unwrap() }
    });
    let packet = raw.receive().await;
    answer(&mut raw, &packet, "here").await;
    assert_eq!(pull.await.unwrap(), "here");
}
