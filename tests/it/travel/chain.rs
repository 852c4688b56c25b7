//! Calls that are made for other calls, through three peers and through proxies.

use std::time::Duration;

use teleport::{Code, Delivery, ReverseProxy, Upstream};

use super::*;

/// The last of three: it waits for ever, or tells what it knows.
fn last(mouth: &Mouth) -> Peer {
    let know = |cx: Context, ()| async move { Ok(knows(&cx)) };
    let gate = Arc::new(Semaphore::new(0));
    waiting(mouth, &gate).pull("/know", know).unwrap().build().unwrap()
}

/// The one in the middle, whose handlers ask the last one: `/ask` as it is, `/brief` for a second at the most, `/work` without
/// being stopped, `/spawn` in other tasks.
async fn middle(mouth: &Mouth, last: &Peer) -> (Peer, Peer) {
    let (own, session) = connected(last).await;
    let mut router = teleport::Router::new();
    let ask = |name: &'static str| {
        let (session, mouth) = (session.clone(), mouth.clone());
        move |_: Context, what: String| {
            let (session, mouth) = (session.clone(), mouth.clone());
            async move {
                let running = mouth.begin(name);
                let call = session.pull(&what);
                let call = if name == "brief" { call.timeout(Duration::from_secs(1)) } else { call };
                let answer = call.await?.decode::<String>()?;
                running.end();
                Ok(answer)
            }
        }
    };
    let spawn = {
        let session = session.clone();
        move |cx: Context, ()| {
            let (one, two) = (session.clone(), session.clone());
            async move {
                let bare = tokio::spawn(async move { one.pull("/know").await?.decode::<String>() });
                let scoped =
                    tokio::spawn(cx.scope(async move { two.pull("/know").await?.decode::<String>() }));
                Ok(format!("{} | {}", bare.await.unwrap()?, scoped.await.unwrap()?))
            }
        }
    };
    router
        .pull("/ask", ask("ask"))
        .unwrap()
        .pull("/brief", ask("brief"))
        .unwrap()
        .pull("/spawn", spawn)
        .unwrap();
    router.group("").no_cancel().pull("/work", ask("work")).unwrap();
    (Peer::builder().router(router).unwrap().build().unwrap(), own)
}

async fn said(ears: &mut Ears, expected: &[&str]) {
    for expected in expected {
        assert_eq!(ears.hear().await, *expected);
    }
}

#[tokio::test]
async fn who_gives_up_stops_the_handlers_of_all_that_was_done_for_it() {
    let (mouth, mut ears) = listen();
    let c = last(&mouth);
    let (b, _own) = middle(&mouth, &c).await;
    let (_a, session) = connected(&b).await;
    let call = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/ask").body("/wait").await.map(drop) }
    });
    said(&mut ears, &["ask begins", "wait begins"]).await;
    call.abort();
    said(&mut ears, &["ask is stopped", "wait is stopped"]).await;
    assert_eq!(
        session.pull("/ask").body("/know").await.unwrap().decode::<String>().unwrap(),
        "None, not traced"
    );
}

#[tokio::test(start_paused = true)]
async fn so_does_a_timeout_be_it_told_or_the_usual_one() {
    let (mouth, mut ears) = listen();
    let c = last(&mouth);
    let (b, _own) = middle(&mouth, &c).await;
    let (_a, session) = connected(&b).await;
    for after in [None, Some(2)] {
        let began = tokio::time::Instant::now();
        let call = session.pull("/ask").body("/wait");
        let call = match after {
            Some(after) => call.timeout(Duration::from_secs(after)),
            None => call,
        };
        assert!(call.await.unwrap_err().is_timeout());
        let mut told = Vec::new();
        for _ in 0..4 {
            told.push(ears.hear().await);
        }
        told[2..].sort();
        assert_eq!(told, ["ask begins", "wait begins", "ask is stopped", "wait is stopped"]);
        assert_eq!(began.elapsed().as_secs(), after.unwrap_or(30));
    }
}

#[tokio::test]
async fn a_handler_that_is_not_to_be_stopped_keeps_what_it_calls() {
    let (mouth, mut ears) = listen();
    let c = last(&mouth);
    let (b, _own) = middle(&mouth, &c).await;
    let (_a, session) = connected(&b).await;
    let call = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/work").body("/wait").await.map(drop) }
    });
    said(&mut ears, &["work begins", "wait begins"]).await;
    call.abort();
    let _ = call.await;
    let known = session.pull("/ask").body("/know").await.unwrap().decode::<String>().unwrap();
    said(&mut ears, &["ask begins", "ask ends"]).await;
    assert_eq!(known, "None, not traced");
    assert!(ears.is_silent());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_the_time_and_the_trace_are_those_of_the_first() {
    let (mouth, _ears) = listen();
    let c = last(&mouth);
    let (b, _own) = middle(&mouth, &c).await;
    let (_a, session) = connected(&b).await;
    let ten = Duration::from_secs(10);
    for (uri, timed, traced, expected) in [
        ("/ask", true, true, "Some(10.0), traced"),
        ("/ask", true, false, "Some(10.0), not traced"),
        ("/ask", false, true, "None, traced"),
        ("/ask", false, false, "None, not traced"),
        // The sooner end counts.
        ("/brief", true, true, "Some(1.0), traced"),
        // What must not stop half-way is not hurried.
        ("/work", true, true, "None, traced"),
    ] {
        let call = session.pull(uri).body("/know").traceparent(traced.then(trace));
        let call = if timed { call.timeout(ten) } else { call };
        assert_eq!(call.await.unwrap().decode::<String>().unwrap(), expected, "{uri}");
    }
    let call = session.pull("/spawn").timeout(ten).traceparent(trace());
    let known = call.await.unwrap().decode::<String>().unwrap();
    assert_eq!(known, "None, not traced | Some(10.0), traced");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_time_left_is_not_sent() {
    let (mouth, mut ears) = listen();
    let c = last(&mouth);
    let (_own, session) = connected(&c).await;
    let late = {
        let mouth = mouth.clone();
        move |cx: Context, ()| {
            let (session, mouth, deadline) = (session.clone(), mouth.clone(), cx.deadline().unwrap());
            tokio::spawn(cx.scope(async move {
                tokio::time::sleep_until(deadline.into()).await;
                let error = session.pull("/wait").await.unwrap_err();
                assert!(error.is_timeout(), "{error}");
                mouth.say(format!("{:?}", error.delivery()));
            }));
            async { Ok(()) }
        }
    };
    let b = Peer::builder().pull("/late", late).unwrap().build().unwrap();
    let (_a, session) = connected(&b).await;
    session.pull("/late").timeout(Duration::from_secs(3)).await.unwrap();
    assert_eq!(ears.hear().await, format!("{:?}", Some(Delivery::NotSent)));
    assert!(ears.is_silent());
}

#[tokio::test(start_paused = true)]
async fn all_of_it_passes_a_proxy() {
    let (mouth, mut ears) = listen();
    let c = last(&mouth);
    let (_own, up) = connected(&c).await;
    let proxy = ReverseProxy::to(Upstream::from(&up)).unwrap();
    let b = Peer::builder().router(proxy.router()).unwrap().build().unwrap();
    let (_a, session) = connected(&b).await;
    let call = tokio::spawn({
        let session = session.clone();
        async move { session.pull("/wait").await.map(drop) }
    });
    said(&mut ears, &["wait begins"]).await;
    call.abort();
    said(&mut ears, &["wait is stopped"]).await;
    assert_eq!(up.pulls_in_flight(), 0);

    let call = session.pull("/know").timeout(Duration::from_secs(10)).traceparent(trace());
    assert_eq!(call.await.unwrap().decode::<String>().unwrap(), "Some(10.0), traced");
    // A proxy's own time is the usual one.
    let call = session.pull("/know");
    assert_eq!(call.await.unwrap().decode::<String>().unwrap(), "None, not traced");
    let late = session.pull("/wait").timeout(Duration::from_secs(2)).await.unwrap_err();
    // Whichever side looks at the clock first.
    assert!(late.is_timeout() || late.code() == Some(Code::GATEWAY_TIMEOUT), "{late}");
    said(&mut ears, &["wait begins", "wait is stopped"]).await;
}
