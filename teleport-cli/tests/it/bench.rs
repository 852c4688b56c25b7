//! `teleport bench`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use teleport::{Context, Peer, Status};

use crate::common::{Ran, at, teleport};

/// A peer, and how many calls and pushes have come.
async fn counting() -> (Peer, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let (pulls, pushes) = (count.clone(), count.clone());
    let peer =
        Peer::builder()
            .pull("/double", move |_: Context, n: i64| {
                let number = pulls.fetch_add(1, Ordering::Relaxed);
                async move {
                    if n < 0 && number % 4 == 3 { Err(Status::new(1000, "a fourth")) } else { Ok(2 * n) }
                }
            })
            .unwrap()
            .push("/log", move |_: Context, _: String| {
                pushes.fetch_add(1, Ordering::Relaxed);
                async {}
            })
            .unwrap()
            .listen("127.0.0.1:0")
            .await
            .unwrap();
    (peer, count)
}

async fn json(args: &[&str]) -> (Ran, Value) {
    let ran = teleport(&[args, &["--json"]].concat()).await;
    let value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    (ran, value)
}

#[tokio::test]
async fn so_many_calls_are_made_and_counted() {
    let (peer, count) = counting().await;
    let target = at(&peer, "/double");
    let args = ["bench", &target, "21", "--calls", "1000", "-n", "3", "-m", "7", "--threads", "2"];
    let (ran, figures) = json(&args).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(count.load(Ordering::Relaxed), 1000);
    for (name, value) in [
        ("calls", 1000),
        ("ok", 1000),
        ("connections", 3),
        ("in_flight", 7),
        ("threads", 2),
        ("sent_body_bytes", 2000),
        ("received_body_bytes", 2000),
        ("not_started", 0),
    ] {
        assert_eq!(figures[name], value, "{name}");
    }
    assert_eq!(figures["loop"], "closed");
    assert!(figures["calls_per_s"].as_f64().unwrap() > 0.0);
    let latency = figures["latency_us"].as_object().unwrap();
    let names: Vec<&str> = latency.keys().map(String::as_str).collect();
    assert_eq!(names, ["max", "mean", "min", "p50", "p90", "p99", "p99_9"]);
    let bars: u64 =
        figures["histogram"].as_array().unwrap().iter().map(|bar| bar["calls"].as_u64().unwrap()).sum();
    assert_eq!(bars, 1000);
}

#[tokio::test]
async fn an_open_loop_calls_on_its_schedule() {
    let (peer, count) = counting().await;
    let target = at(&peer, "/double");
    let args = ["bench", &target, "1", "--rate", "2000", "--calls", "100", "-n", "2", "--warm-up", "10ms"];
    let (ran, figures) = json(&args).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    // Those of the warm-up came before.
    assert_eq!(count.load(Ordering::Relaxed), 120);
    assert_eq!(
        (&figures["loop"], &figures["ok"], &figures["max_in_flight"]),
        (&"open".into(), &100.into(), &1000.into())
    );
    assert!(figures["elapsed_s"].as_f64().unwrap() >= 0.0495, "the last is due then: {figures}");
}

#[tokio::test]
async fn errors_are_counted_by_status_and_told_by_the_exit_code() {
    let (peer, _) = counting().await;
    let target = at(&peer, "/double");
    let args = ["bench", &target, "--calls", "100", "-m", "1", "--", "-1"];
    let ran = teleport(&args).await;
    assert_eq!((ran.code, ran.err.as_str()), (1, "teleport: 25 calls were answered with an error status\n"));
    assert!(ran.out.contains("errors     25 with status 1000 a fourth\n"), "{}", ran.out);
    let first: Vec<&str> =
        ran.out.lines().filter_map(|line| line.split_whitespace().next()).take(9).collect();
    assert_eq!(first, ["calls", "load", "rate", "mean", "p50", "p90", "p99", "p99.9", "max"]);
    assert!(ran.out.contains('█') && ran.out.contains("load       1 x 1 in flight\n"), "{}", ran.out);
    let plain = teleport(&["bench", &target, "1", "--calls", "10", "--no-histogram"]).await;
    assert!(!plain.out.contains('█') && plain.code == 0, "{}", plain.out);
}

#[tokio::test]
async fn pushes_have_come_when_it_has_ended() {
    let (peer, count) = counting().await;
    let target = at(&peer, "/log");
    let (ran, figures) = json(&["bench", &target, "\"line\"", "--push", "--calls", "500"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!((&figures["ok"], &figures["latency_us"]), (&500.into(), &Value::Null));
    // The session was closed in good order, so all of them are in the handlers' hands.
    while count.load(Ordering::Relaxed) < 500 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_that_ends_is_dialed_again() {
    let seen = Arc::new(AtomicU64::new(0));
    let peer = Peer::builder()
        .pull("/a", move |cx: Context, ()| {
            let number = seen.fetch_add(1, Ordering::Relaxed);
            async move {
                if number == 50 {
                    cx.session().abort();
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        })
        .unwrap()
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    let target = at(&peer, "/a");
    let (ran, figures) = json(&["bench", &target, "--calls", "200", "-m", "1"]).await;
    assert_eq!(
        (&figures["calls"], &figures["errors"]["lost"], &figures["ok"]),
        (&200.into(), &1.into(), &199.into())
    );
    assert_eq!((&figures["reconnects"], ran.code), (&1.into(), 5));
}

#[tokio::test]
async fn nobody_to_load_is_no_connection() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let ran = teleport(&["bench", &format!("{address}/a")]).await;
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert_eq!(
        ran.err,
        format!("teleport: can't connect to tcp://{address}: Connection refused (os error 111)\n")
    );
}
