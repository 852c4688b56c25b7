//! Counts, latency, and what Prometheus reads.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use teleport::plugins::{Alias, Stats};
use teleport::{Peer, PeerBuilder, Session, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn serving(stats: &Stats) -> PeerBuilder {
    Peer::builder()
        .plugin(stats.clone())
        .pull("/quick", |_, ()| async { Ok(()) })
        .unwrap()
        .pull("/slow", |_, ()| async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(())
        })
        .unwrap()
        .pull("/bad", |_, code: i32| async move { Err::<(), _>(Status::new(code, "as asked")) })
        .unwrap()
        .push("/note", |_, ()| async {})
        .unwrap()
}

/// A session whose ends count, and both peers.
async fn pair(client: &Stats, server: PeerBuilder) -> (Session, [Peer; 2]) {
    let server = server.build().unwrap();
    let client = Peer::builder().plugin(client.clone()).build().unwrap();
    (client.connect(&server).await.unwrap(), [client, server])
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_route_status_and_direction() {
    let (near, far) = (Stats::new(), Stats::new());
    let (session, _peers) = pair(&near, serving(&far)).await;
    for _ in 0..3 {
        session.pull("/quick?x=1").await.unwrap();
    }
    session.pull("/slow").await.unwrap();
    for code in [503, 1000, 1001] {
        session.pull("/bad").body(&code).await.unwrap_err();
    }
    session.push("/note").body(&()).await.unwrap();
    let pushes = |stats: &Stats| stats.snapshot().inbound.iter().find(|r| r.is_push).map_or(0, |r| r.calls);
    until(|| pushes(&far) == 1).await;

    let (near, far) = (near.snapshot(), far.snapshot());
    assert_eq!(far.inbound_pull("/quick").unwrap().codes, BTreeMap::from([("200".into(), 3)]));
    let bad = far.inbound_pull("/bad").unwrap();
    assert_eq!(bad.codes, BTreeMap::from([("503".into(), 1), ("other".into(), 2)]));
    assert_eq!((bad.calls, bad.answered(), bad.failed()), (3, 3, 3));
    for slow in [far.inbound_pull("/slow").unwrap(), near.outbound_pull("/slow").unwrap()] {
        assert_eq!(slow.latency.count(), 1);
        assert_eq!(slow.latency.sum(), Duration::from_secs(2));
        assert_eq!(slow.latency.mean(), Some(Duration::from_secs(2)));
        let told = slow.latency.quantile(0.5).unwrap().as_secs_f64();
        assert!((told - 2.0).abs() <= 0.25, "{told}");
    }
    let quick = near.outbound_pull("/quick").unwrap();
    assert_eq!((quick.calls, quick.answered(), quick.failed()), (3, 3, 0));
    assert!(near.outbound.iter().any(|route| route.is_push && route.route == "/note" && route.calls == 1));
    assert!(near.inbound.is_empty() && far.outbound.is_empty(), "the directions are apart");
    assert_eq!((near.sent_bytes, near.received_bytes), (far.received_bytes, far.sent_bytes));
    assert!(near.sent_bytes > 0 && near.received_bytes > 0);

    let json = serde_json::to_value(&far).unwrap();
    assert_eq!(json["inbound"][2]["latency"]["sum_seconds"], 2.0);
    assert_eq!(json["inbound"][1]["codes"]["200"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_pull_without_a_reply_is_sent_and_not_answered() {
    let near = Stats::new();
    let (session, _peers) = pair(&near, serving(&Stats::new())).await;
    session.pull("/slow").timeout(Duration::from_secs(1)).await.unwrap_err();
    let snapshot = near.snapshot();
    let slow = snapshot.outbound_pull("/slow").unwrap();
    assert_eq!((slow.calls, slow.answered()), (1, 0));
}

#[tokio::test]
async fn unknown_uris_count_as_one_and_paths_called_are_bounded() {
    let (near, far) = (Stats::with_max_routes(2), Stats::new());
    let (session, _peers) = pair(&near, serving(&far)).await;
    for n in 0..10 {
        session.pull(&format!("/made/up/{n}")).await.unwrap_err();
    }
    session.pull("/bad%zz").await.unwrap_err();
    let far = far.snapshot();
    assert_eq!(far.inbound.len(), 5, "four routes and the unknown");
    let unknown = far.inbound_pull("unknown").unwrap();
    assert_eq!(unknown.codes, BTreeMap::from([("400".into(), 1), ("404".into(), 10)]));
    let near = near.snapshot();
    let routes: Vec<_> = near.outbound.iter().map(|route| (&*route.route, route.answered())).collect();
    assert_eq!(routes, [("/made/up/0", 1), ("/made/up/1", 1), ("other", 8)]);
}

#[tokio::test]
async fn what_handlers_of_unknown_uris_take_is_unknown_too() {
    let far = Stats::new();
    let builder = Peer::builder()
        .plugin(far.clone())
        .unknown_pull(|_: teleport::Context| async { Ok(teleport::ReplyBody::empty()) });
    let (session, _peers) = pair(&Stats::new(), builder).await;
    for uri in ["/1", "/2", "/3"] {
        session.pull(uri).await.unwrap();
    }
    let snapshot = far.snapshot();
    assert_eq!(snapshot.inbound.len(), 1);
    assert_eq!(snapshot.inbound_pull("unknown").unwrap().codes["200"], 3);
}

#[tokio::test]
async fn calls_under_an_alias_count_for_their_route() {
    for stats_first in [true, false] {
        let (far, alias) = (Stats::new(), Alias::new().to("/old", "/quick").to("/memo", "/note"));
        let builder = Peer::builder();
        let builder = if stats_first {
            builder.plugin(far.clone()).plugin(alias)
        } else {
            builder.plugin(alias).plugin(far.clone())
        };
        let builder = builder
            .pull("/quick", |_, ()| async { Ok(()) })
            .unwrap()
            .push("/note", |_, ()| async {})
            .unwrap();
        let (session, _peers) = pair(&Stats::new(), builder).await;
        session.push("/memo").body(&()).await.unwrap();
        session.pull("/old").await.unwrap();
        let snapshot = far.snapshot();
        assert_eq!(snapshot.inbound.iter().map(|route| route.calls).collect::<Vec<_>>(), [1, 1]);
        assert!(snapshot.inbound_pull("unknown").is_none());
    }
}

#[tokio::test]
async fn sessions_are_counted_until_they_end() {
    let (near, far) = (Stats::new(), Stats::new());
    let (session, peers) = pair(&near, serving(&far)).await;
    session.pull("/quick").await.unwrap();
    let other = peers[0].connect(&peers[1]).await.unwrap();
    other.pull("/quick").await.unwrap();
    let (dialed, accepted) = (near.snapshot().sessions, far.snapshot().sessions);
    assert_eq!((dialed.dialed, dialed.accepted, dialed.open), (2, 0, 2));
    assert_eq!((accepted.dialed, accepted.accepted, accepted.open), (0, 2, 2));
    session.close().await;
    for stats in [&near, &far] {
        until(|| stats.snapshot().sessions.closed == 1).await;
        assert_eq!(stats.snapshot().sessions.open, 1);
    }
}

/// The status line and the body of what is answered to this.
async fn http(address: std::net::SocketAddr, request: &str) -> (String, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    (status.into(), headers.into(), body.into())
}

/// Reads the text format as a scraper would: values by name and labels; fails at what a scraper refuses.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'));
    let (mut values, mut typed, mut named) = (BTreeMap::new(), HashSet::new(), "");
    for line in text.lines() {
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind) && typed.insert(name), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            named = name;
            continue;
        }
        if line.starts_with("# HELP ") {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with(named), "{line} stands apart from its type");
        assert!(values.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{line} is there twice");
    }
    values
}

#[tokio::test]
async fn a_scrape_reads_what_was_counted() {
    let (near, far) = (Stats::new(), Stats::new());
    let builder = serving(&far).pull("/odd\"%5C%0Ané", |_, ()| async { Ok(()) }).unwrap();
    let (session, _peers) = pair(&near, builder).await;
    for _ in 0..3 {
        session.pull("/quick").await.unwrap();
    }
    session.pull("/bad").body(&503).await.unwrap_err();
    session.pull("/odd%22%5C%0An%C3%A9").await.unwrap();
    let exporter = far.serve("127.0.0.1:0").await.unwrap();
    let (status, headers, body) =
        http(exporter.local_addr(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(headers.contains("Content-Type: text/plain; version=0.0.4"), "{headers}");
    assert!(headers.contains(&format!("Content-Length: {}", body.len())), "{headers}");
    let values = parsed(&body);
    let quick = r#"direction="in",route="/quick""#;
    for (series, value) in [
        (format!("teleport_calls_total{{{quick},kind=\"pull\"}}"), 3.0),
        (format!("teleport_replies_total{{{quick},code=\"200\"}}"), 3.0),
        (r#"teleport_replies_total{direction="in",route="/bad",code="503"}"#.into(), 1.0),
        (r#"teleport_calls_total{direction="in",route="/odd\"\\\nné",kind="pull"}"#.into(), 1.0),
        (r#"teleport_calls_total{direction="in",route="/note",kind="push"}"#.into(), 0.0),
        (format!("teleport_call_duration_seconds_count{{{quick}}}"), 3.0),
        (format!("teleport_call_duration_seconds_bucket{{{quick},le=\"+Inf\"}}"), 3.0),
        ("teleport_sessions_open".into(), 1.0),
        (r#"teleport_sessions_opened_total{side="accepted"}"#.into(), 1.0),
        ("teleport_received_bytes_total".into(), far.snapshot().received_bytes as f64),
    ] {
        assert_eq!(values.get(&series), Some(&value), "{series} in\n{body}");
    }
    let sum = far.snapshot().inbound_pull("/quick").unwrap().latency.sum().as_secs_f64();
    assert_eq!(values[&format!("teleport_call_duration_seconds_sum{{{quick}}}")], sum);
    // Buckets are cumulative, in the order in which they stand.
    let bucket = format!("teleport_call_duration_seconds_bucket{{{quick},le=");
    let buckets: Vec<f64> = body
        .lines()
        .filter(|line| line.starts_with(&bucket))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(buckets.is_sorted() && buckets.len() > 20, "{buckets:?}");
}

#[tokio::test]
async fn the_endpoint_answers_nothing_else_and_reads_no_endless_request() {
    let exporter = Stats::new().serve("127.0.0.1:0").await.unwrap();
    let address = exporter.local_addr();
    let (status, _, body) = http(address, "HEAD /metrics HTTP/1.1\r\n\r\n").await;
    assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", ""));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "404 Not Found"),
        ("GET /metrics/x HTTP/1.1\r\n\r\n".into(), "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\n\r\n".into(), "405 Method Not Allowed"),
        ("nonsense\r\n\r\n".into(), "400 Bad Request"),
        (
            format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(20_000)),
            "431 Request Header Fields Too Large",
        ),
    ] {
        assert_eq!(http(address, &request).await.0, format!("HTTP/1.1 {status}"));
    }
    drop(exporter);
    // The port is free again when its task is gone.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_nothing_is_let_go() {
    let exporter = Stats::new().serve("127.0.0.1:0").await.unwrap();
    let mut silent = TcpStream::connect(exporter.local_addr()).await.unwrap();
    silent.write_all(b"GET /metr").await.unwrap();
    let mut answer = Vec::new();
    // The paused clock moves on when nothing else can happen.
    let _ = silent.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}
