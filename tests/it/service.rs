//! A generated service, from a call of its client to its method and back.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use teleport::{Context, Json, Peer, Status};

#[teleport::service(prefix = "/v1", timeout = "5s")]
trait Arith {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
    async fn hello(&self, #[ctx] cx: &Context, name: &str, more: Option<Cow<'_, str>>) -> String;
    #[pull(args = tuple, codecs = [json])]
    fn pair(&self, r#type: &str, b: u8) -> (String, u8);
    async fn none(&self) -> usize;
    #[pull(timeout = "50ms")]
    async fn never(&self) -> usize;
    #[push(gzip = 5)]
    async fn log(&self, line: &str);
}

/// Keeps what was logged.
#[derive(Default)]
struct Mine(Mutex<Vec<String>>);

impl Arith for Mine {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
        a.checked_mul(b).ok_or_else(|| Status::new(1000, "overflow"))
    }

    async fn hello(&self, cx: &Context, name: &str, more: Option<Cow<'_, str>>) -> String {
        // Pending once, with what it borrows still held.
        tokio::task::yield_now().await;
        format!("{} {name} {more:?}", cx.path())
    }

    fn pair(&self, r#type: &str, b: u8) -> (String, u8) {
        (r#type.into(), b)
    }

    async fn none(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    async fn never(&self) -> usize {
        std::future::pending().await
    }

    async fn log(&self, line: &str) {
        self.0.lock().unwrap().push(line.into());
    }
}

#[tokio::test]
async fn every_shape_of_method_reaches_its_service() {
    let service = Arc::new(Mine::default());
    let server =
        Peer::builder().service(ArithServer::from_arc(Arc::clone(&service))).unwrap().build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    let arith = ArithClient::new(&session);

    let product = arith.mul(6, 7).timeout(Duration::from_secs(1)).codec(Json).gzip(6).await;
    assert_eq!(product.unwrap(), 42);
    let overflow = arith.mul(i64::MAX, 7).await.unwrap_err();
    assert!(overflow.to_string().contains("overflow"), "{overflow}");
    assert_eq!(arith.hello("x", Some("y".into())).await.unwrap(), "/v1/arith/hello x Some(\"y\")");
    assert_eq!(arith.pair("x", 3).await.unwrap(), ("x".into(), 3));

    arith.log("line").await.unwrap();
    // One session keeps the order of what begins, so the pull after the push sees it.
    assert_eq!(arith.none().await.unwrap(), 1);
    assert_eq!(*service.0.lock().unwrap(), ["line"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_the_timeout_of_its_method_unless_it_has_its_own() {
    let server = Peer::builder().service(ArithServer::new(Mine::default())).unwrap().build().unwrap();
    let session = Peer::builder().build().unwrap().connect(&server).await.unwrap();
    let arith = ArithClient::new(&session);
    let start = tokio::time::Instant::now();
    assert!(arith.never().await.unwrap_err().is_timeout());
    assert_eq!(start.elapsed(), Duration::from_millis(50));
    assert!(arith.never().timeout(Duration::from_millis(7)).await.unwrap_err().is_timeout());
    assert_eq!(start.elapsed(), Duration::from_millis(57));
    let waiting = tokio::time::timeout(Duration::from_secs(3600), arith.never().no_timeout());
    assert!(waiting.await.is_err(), "it waits as long as the session lives");
}
