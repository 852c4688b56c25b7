//! `teleport proxy`.

use teleport::{Context, Peer, ReplyBody};

use crate::common::at;
use crate::listen::{Running, interrupt};

#[tokio::test]
async fn a_proxy_passes_on_and_shows_what_passes() {
    let upstream = Peer::builder()
        .pull("/double", |_: Context, n: i64| async move { Ok(2 * n) })
        .unwrap()
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    let address = at(&upstream, "");
    for per_client in [&[][..], &["--per-client"]] {
        let args = [&["proxy", "127.0.0.1:0", &address, "-v"][..], per_client].concat();
        let mut proxy = Running::start(&args).await;
        let session = proxy.dial().await;
        let from = session.local_addr();
        assert_eq!(session.pull("/double").body(&21).await.unwrap().decode::<i64>().unwrap(), 42);
        assert_eq!(proxy.line().await, format!("> pull /double  id 0  from {from}  body json, 2 B"));
        assert_eq!(
            proxy.line().await,
            format!("< reply /double  id 0  to {from}  status 200 OK  body json, 2 B")
        );
        assert!(proxy.line().await.starts_with("  /double answered after "));
        assert_eq!(session.pull("/none").await.unwrap_err().code().map(i32::from), Some(404));
        assert_eq!(proxy.line().await, format!("> pull /none  id 1  from {from}  body none, 0 B"));
        let refused = proxy.line().await;
        assert!(
            refused.contains("status 404 Not Found: nothing takes the pull /none  body none, 0 B"),
            "{refused}"
        );
        drop(session);
        interrupt(&proxy.child).await;
        assert!(proxy.end().await.success());
    }
}

#[tokio::test]
async fn a_proxy_whose_output_nobody_reads_goes_on() {
    let upstream = Peer::builder().pull("/a", |_: Context, ()| async { Ok(7) }).unwrap();
    let upstream = upstream.listen("127.0.0.1:0").await.unwrap();
    let mut proxy = Running::start(&["proxy", "127.0.0.1:0", &at(&upstream, ""), "-v"]).await;
    proxy.unread();
    let session = proxy.dial().await;
    for _ in 0..3 {
        assert_eq!(session.pull("/a").await.unwrap().decode::<i64>().unwrap(), 7);
    }
    drop(session);
    interrupt(&proxy.child).await;
    assert!(proxy.end().await.success());
}

#[tokio::test]
async fn bodies_and_calls_back_are_shown_and_paths_may_go_elsewhere() {
    async fn ask(cx: Context, text: String) -> Result<String, teleport::Status> {
        Ok(cx.session().pull("/name").body(&text).await?.decode()?)
    }
    let upstream = Peer::builder().pull("/ask", ask).unwrap().listen("127.0.0.1:0").await.unwrap();
    let other = Peer::builder().unknown_pull(|_| async { Ok(ReplyBody::payload(b'b', [1])) });
    let other = other.listen("127.0.0.1:0").await.unwrap();
    let route = format!("/other/**={}", at(&other, ""));
    let args = ["proxy", "127.0.0.1:0", &at(&upstream, ""), "--route", &route, "--per-client", "-vv"];
    let mut proxy = Running::start(&args).await;
    let client = Peer::builder().pull("/name", |_: Context, text: String| async move { Ok(text + "!") });
    let session = client.unwrap().build().unwrap().dial(&proxy.address).await.unwrap();
    let from = session.local_addr();

    assert_eq!(session.pull("/ask").body("who").gzip(6).await.unwrap().decode::<String>().unwrap(), "who!");
    let asked = proxy.line().await;
    assert!(asked.starts_with(&format!("> pull /ask  id 0  from {from}  body json, ")), "{asked}");
    assert!(asked.ends_with(" B in gzip 6"), "{asked}");
    assert_eq!(proxy.line().await, "    \"who\"", "inflated to be shown");
    assert_eq!(proxy.line().await, format!("< pull /name  to {from}  body json, 5 B"));
    assert_eq!(proxy.line().await, "    \"who\"");
    let answered = proxy.line().await;
    assert!(
        answered.starts_with(&format!("> reply /name  from {from}  status 200 OK  after ")),
        "{answered}"
    );
    assert!(answered.ends_with("  body json, 6 B"), "{answered}");
    assert_eq!(proxy.line().await, "    \"who!\"");
    let reply = proxy.line().await;
    assert!(
        reply.starts_with(&format!("< reply /ask  id 0  to {from}  status 200 OK  body json, ")),
        "{reply}"
    );
    assert_eq!(proxy.line().await, "    \"who!\"");
    assert!(proxy.line().await.starts_with("  /ask answered after "));

    assert_eq!(session.pull("/other/a").await.unwrap().payload(), [1]);
    drop(session);
    interrupt(&proxy.child).await;
    assert!(proxy.end().await.success());
}

#[tokio::test]
async fn an_upstream_has_the_time_that_was_given() {
    let silent = |_: Context, ()| async { std::future::pending::<Result<(), teleport::Status>>().await };
    let upstream = Peer::builder().pull("/silent", silent).unwrap().listen("127.0.0.1:0").await.unwrap();
    let proxy = Running::start(&["proxy", "127.0.0.1:0", &at(&upstream, ""), "--timeout", "20ms"]).await;
    let session = proxy.dial().await;
    let error = session.pull("/silent").timeout(std::time::Duration::from_secs(20)).await.unwrap_err();
    assert_eq!(error.code().map(i32::from), Some(504), "{error}");
    drop(session);
    interrupt(&proxy.child).await;
    assert!(proxy.end().await.success());
}
