//! What becomes of calls when a connection is lost, and while there is none.

use teleport::wire::{self, Features, HeaderCodecs, Limits, PacketId};
use teleport::{Code, Delivery, Error, ReverseProxy, Upstream, WhileDown};

use super::*;

#[teleport::service]
trait Shop {
    #[pull(idempotent)]
    async fn price(&self, item: &str) -> Result<String, teleport::Status>;
    async fn buy(&self, item: &str) -> Result<String, teleport::Status>;
}

/// A session whose first connection is up.
async fn up(redial: Redial) -> (Place, Listening, Session, RawPeer<UnixStream>) {
    let place = Place::new();
    let listening = place.listen();
    let session = dial(&client(), &place, redial).await;
    let raw = listening.accept().await;
    (place, listening, session, raw)
}

fn body(packet: &Packet) -> String {
    serde_json::from_slice(packet.body().payload()).unwrap()
}

/// A pull to `/next`, answered over this connection. Nothing else may have come there before it.
async fn next_is_served(mut raw: RawPeer<UnixStream>, session: &Session) {
    let next = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/next").await.unwrap().decode::<String>().unwrap() }
    });
    let pull = raw.receive().await;
    assert_eq!(pull.uri(), "/next");
    answer(&mut raw, &pull, "fine").await;
    assert_eq!(next.await.unwrap(), "fine");
}

/// The header of the next pull, which is given up.
async fn given_up(raw: &mut RawPeer<UnixStream>, session: &Session) -> Header<'static> {
    tokio::select! {
        biased;
        _ = session.pull("/given-up").timeout(Duration::from_secs(9)) => panic!("nobody answers"),
        () = tokio::task::yield_now() => {}
    }
    let frame = raw.try_receive_frame().await.unwrap();
    let (packet, _) = wire::read(&frame, &HeaderCodecs::default(), &Limits::default()).unwrap().unwrap();
    packet.header.into_owned()
}

/// The server may be another one by then.
#[tokio::test]
async fn what_the_other_side_understands_is_learned_anew() {
    let (_place, listening, session, mut raw) = up(soon()).await;
    let hello =
        Header { features: Features::ALL, ..Header::new(PacketId::Text("x".into()), Kind::PULL, "/a") };
    raw.send_packet(&hello, Body::None).await;
    assert_eq!(raw.receive().await.code(), 404);
    assert_eq!(given_up(&mut raw, &session).await.timeout_ms, 9000);
    assert_eq!(raw.receive().await.kind(), Kind::CANCEL);
    drop(raw);
    let mut raw = listening.accept().await;
    session.reconnected().await.unwrap();
    assert_eq!(given_up(&mut raw, &session).await.timeout_ms, 0);
    next_is_served(raw, &session).await;
}

fn is_lost(error: &Error, delivery: Delivery) {
    assert!(error.is_closed() && error.delivery() == Some(delivery), "{error}");
}

#[tokio::test]
async fn a_pull_that_may_have_run_is_not_sent_again() {
    let (_place, listening, session, mut raw) = up(soon()).await;
    let client = ShopClient::new(&session);
    for idempotent in [None, Some(false)] {
        let (buy, pull) = match idempotent {
            None => (Some(client.buy("tea")), None),
            Some(set) => (None, Some(client.price("tea").idempotent(set))),
        };
        let (error, ()) = tokio::join!(
            async move {
                match (buy, pull) {
                    (Some(buy), _) => buy.await.unwrap_err(),
                    (_, Some(price)) => price.await.unwrap_err(),
                    _ => unreachable!("one of the two"),
                }
            },
            async {
                assert!(raw.receive().await.kind().is_pull());
                drop(raw);
            }
        );
        is_lost(&error, Delivery::Unanswered);
        raw = listening.accept().await;
    }
    next_is_served(raw, &session).await;
}

#[tokio::test]
async fn a_pull_that_is_marked_is_sent_again() {
    let (_place, listening, session, mut raw) = up(soon()).await;
    let client = ShopClient::new(&session);
    let (bill, large) = (String::from("tea"), "x".repeat(300_000));
    let calls = async {
        tokio::join!(
            client.price(&bill),
            client.buy(&bill).idempotent(true),
            client.price(&large),
            async { session.pull("/raw").body("tea").idempotent(true).await?.decode::<String>() },
            async {
                let sealed = wire::SealedBody::new("j\"tea\"", 0);
                let reply = session.pull("/sealed").sealed(sealed).idempotent(true).await?;
                Ok::<_, Error>(String::from_utf8(reply.body().payload().to_vec()).unwrap())
            },
        )
    };
    let serving = async {
        let mut ids: Vec<PacketId<'static>> = Vec::new();
        // Three connections are lost with all of them in flight.
        for round in 0..4 {
            let mut pulls = Vec::new();
            for _ in 0..5 {
                pulls.push(raw.receive().await);
            }
            for pull in pulls {
                let id = pull.id().into_owned();
                assert!(!ids.contains(&id), "each sending has its own id");
                ids.push(id);
                let asked = body(&pull);
                assert!(asked == bill || asked == large, "{}", pull.uri());
                if round == 3 {
                    answer(&mut raw, &pull, "5").await;
                }
            }
            if round < 3 {
                drop(raw);
                raw = listening.accept().await;
            }
        }
        raw
    };
    let ((a, b, c, d, e), _raw) = tokio::join!(calls, serving);
    assert_eq!([a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap(), e.unwrap()], ["5", "5", "5", "5", "\"5\""]);
}

/// Its time goes on while there is no connection, and it may have run.
#[tokio::test(start_paused = true)]
async fn a_pull_that_is_marked_has_no_more_time_than_others() {
    let (place, listening, session, mut raw) = up(soon()).await;
    let begun = tokio::time::Instant::now();
    let pull = session.pull("/a").idempotent(true).timeout(Duration::from_secs(3));
    let (error, ()) = tokio::join!(async { pull.await.unwrap_err() }, async {
        raw.receive().await;
        drop((raw, listening));
    });
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
    assert!(error.is_down() && error.is_timeout(), "{error}");
    assert_eq!(error.delivery(), Some(Delivery::Unanswered));
    drop(place);
}

#[tokio::test]
async fn a_pull_that_was_not_taken_goes_out_again() {
    let (_place, listening, session, mut raw) = up(soon()).await;
    let client = ShopClient::new(&session);
    let (reply, _raw) = tokio::join!(client.buy("tea"), async {
        // As one that shuts down does: it refuses, says that it is through, and goes.
        let pull = raw.receive().await;
        for (id, uri) in
            [(pull.id(), "teleport:not-taken"), (PacketId::Text("-".into()), "teleport:farewell")]
        {
            let header = Header { code: 503, status: "closing".into(), ..Header::new(id, Kind::REPLY, uri) };
            raw.send_packet(&header, Body::None).await;
        }
        raw.end().await;
        drop(raw);
        let mut raw = listening.accept().await;
        let again = raw.receive().await;
        assert_eq!((again.uri(), body(&again)), (pull.uri(), body(&pull)));
        answer(&mut raw, &again, "here").await;
        raw
    });
    assert_eq!(reply.unwrap(), "here");
}

/// What did not get as far as the connection, for the lack of room, goes out over the next one.
#[tokio::test]
async fn pulls_that_waited_for_room_go_out_over_the_next_connection() {
    let place = Place::new();
    let listening = place.listen();
    let limits = teleport::Limits::default().with_max_pulls_out(1);
    let client = Peer::builder().limits(limits).build().unwrap();
    let session = dial(&client, &place, soon()).await;
    let mut raw = listening.accept().await;
    let pull = |uri: &'static str| {
        let session = session.clone();
        tokio::spawn(async move { session.pull(uri).await?.decode::<String>() })
    };
    let first = pull("/1");
    assert_eq!(raw.receive().await.uri(), "/1");
    let second = pull("/2");
    tokio::task::yield_now().await;
    drop(raw);
    let mut raw = listening.accept().await;
    let packet = raw.receive().await;
    assert_eq!(packet.uri(), "/2");
    answer(&mut raw, &packet, "fine").await;
    is_lost(&first.await.unwrap().unwrap_err(), Delivery::Unanswered);
    assert_eq!(second.await.unwrap().unwrap(), "fine");
}

#[tokio::test]
async fn calls_may_fail_at_once_while_there_is_no_connection() {
    let never = Duration::from_secs(3600);
    let redial = soon().with_first_pause(never).with_longest_pause(never).with_while_down(WhileDown::Fail);
    let (_place, _listening, session, raw) = up(redial).await;
    drop(raw);
    reaches(&session, SessionState::Down).await;
    let error = session.pull("/a").await.unwrap_err();
    assert!(error.is_down() && !error.is_timeout() && !error.is_closed(), "{error}");
    assert_eq!(error.delivery(), Some(Delivery::NotSent));
    assert!(error.to_string().contains("redial.while_down"), "{error}");
    assert_eq!(teleport::Status::from(error).code(), Code::UNAVAILABLE);
    let error = session.push("/a").await.unwrap_err();
    assert!(error.is_down() && !error.may_have_run(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_a_connection_no_longer_than_they_may_and_no_more_than_may() {
    let (place, listening, session, raw) = up(soon().with_max_waiting(2)).await;
    drop((raw, listening, place));
    reaches(&session, SessionState::Down).await;
    let wait = |uri: &'static str| {
        let session = session.clone();
        tokio::spawn(async move { session.pull(uri).timeout(Duration::from_secs(7)).await.unwrap_err() })
    };
    let waiting = [wait("/1"), wait("/2")];
    tokio::task::yield_now().await;
    let error = session.push("/3").await.unwrap_err();
    assert!(error.is_limit() && error.is_down() && !error.may_have_run(), "{error}");
    assert_eq!(teleport::Status::from(session.push("/3").await.unwrap_err()).code(), Code::UNAVAILABLE);
    assert!(
        error.to_string().contains("2 calls wait") && error.to_string().contains("redial.max_waiting"),
        "{error}"
    );
    let begun = tokio::time::Instant::now();
    for waiting in waiting {
        let error = waiting.await.unwrap();
        assert!(error.is_down() && error.is_timeout() && !error.may_have_run(), "{error}");
        assert_eq!(teleport::Status::from(error).code(), Code::GATEWAY_TIMEOUT);
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
    assert!(
        session.pull("/4").timeout(Duration::from_secs(1)).await.unwrap_err().is_timeout(),
        "there is room again"
    );
}

/// It is not the call that is too large.
#[tokio::test(start_paused = true)]
async fn a_proxy_tells_that_too_much_waits_for_its_upstream() {
    let (place, listening, session, raw) = up(soon().with_max_waiting(1)).await;
    drop((raw, listening, place));
    reaches(&session, SessionState::Down).await;
    let proxy = ReverseProxy::to(Upstream::from(&session)).unwrap();
    let gateway = Peer::builder().router(proxy.router()).unwrap().build().unwrap();
    let caller = client();
    let caller = caller.connect(&gateway).await.unwrap();
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/1").timeout(Duration::from_secs(7)).await.unwrap_err() }
    });
    tokio::task::yield_now().await;
    let error = caller.pull("/2").await.unwrap_err();
    assert_eq!(error.code(), Some(Code::UNAVAILABLE), "{error}");
    assert!(error.to_string().contains("redial.max_waiting"), "{error}");
    assert!(waiting.await.unwrap().is_timeout());
}

/// With a server that counts: whatever is lost, no call that is not marked runs twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_runs_once_at_the_most() {
    let place = Place::new();
    let ran: Arc<std::sync::Mutex<std::collections::HashMap<u32, usize>>> = Arc::default();
    let serve = || {
        let ran = ran.clone();
        Peer::builder()
            .pull("/run", move |_, call: u32| {
                let ran = ran.clone();
                async move {
                    *ran.lock().unwrap().entry(call).or_default() += 1;
                    tokio::task::yield_now().await;
                    Ok(call)
                }
            })
            .unwrap()
            .listen(place.address())
    };
    let mut server = serve().await.unwrap();
    let session = dial(&client(), &place, soon()).await;
    let calls = 300;
    let mut running = tokio::task::JoinSet::new();
    for call in 0..calls {
        let session = session.clone();
        running.spawn(async move { (call, session.pull("/run").body(&call).await.map(drop)) });
        if call % 60 == 59 {
            // In turns: in good order, and not.
            if call % 120 == 59 {
                for far in server.sessions().all() {
                    far.abort();
                }
            }
            server.close().await;
            server = serve().await.unwrap();
        }
    }
    let mut answered = 0;
    while let Some(outcome) = running.join_next().await {
        let (call, outcome) = outcome.unwrap();
        let times = ran.lock().unwrap().get(&call).copied().unwrap_or_default();
        match outcome {
            Ok(()) => {
                assert_eq!(times, 1, "call {call}");
                answered += 1;
            }
            Err(error) => {
                is_lost(&error, Delivery::Unanswered);
                assert!(times <= 1, "call {call} ran {times} times: {error}");
            }
        }
    }
    assert!(answered > 0);
}
