//! `teleport routes`.

use std::time::Duration;

use teleport::describe::RouteList;
use teleport::{Context, Peer, Status};

use crate::common::{at, failed, printed, teleport};

#[teleport::service(timeout = "5s")]
trait Arith {
    /// The product.
    ///
    /// Or an error where it is too large.
    #[pull(idempotent)]
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
    async fn ping(&self);
    #[push]
    async fn note(&self, #[ctx] cx: &Context, line: &str);
}

struct Exact;

impl Arith for Exact {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
        Ok(a * b)
    }

    async fn ping(&self) {}

    async fn note(&self, _: &Context, _: &str) {}
}

async fn peer() -> Peer {
    Peer::builder()
        .describe_routes()
        .service(ArithServer::new(Exact))
        .unwrap()
        .unknown_push(|_| async {})
        .listen("127.0.0.1:0")
        .await
        .unwrap()
}

#[tokio::test]
async fn what_a_peer_serves_is_told_with_types_and_comments() {
    let peer = peer().await;
    let ran = teleport(&["routes", &at(&peer, "")]).await;
    let expected = "\
pull /arith/mul
    Arith::mul({ a: i64, b: i64 }) -> i64
    json, bincode; timeout 5s; idempotent
    /// The product.
    /// 
    /// Or an error where it is too large.
pull /arith/ping
    Arith::ping() -> ()
    json, bincode; timeout 5s
pull /teleport/routes
    teleport::routes() -> RouteList
    json, bincode
    /// Every route of this peer, and what each takes and answers.
push /arith/note
    Arith::note(line: &str)
    json, bincode
pushes to any other uri are taken too
";
    assert_eq!(ran, printed(expected));
}

#[tokio::test]
async fn programs_get_it_as_json() {
    let peer = peer().await;
    let ran = teleport(&["routes", "--json", &at(&peer, "")]).await;
    let list: RouteList = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(list, peer.router().describe());
    let mul = list.routes.iter().find(|route| route.uri == "/arith/mul").unwrap();
    assert_eq!(mul.timeout(), Some(Duration::from_secs(5)));
}

#[tokio::test]
async fn one_that_was_not_built_to_tell_says_how() {
    let peer = Peer::builder().listen("127.0.0.1:0").await.unwrap();
    let problem = "the peer does not tell what it serves; build it with `PeerBuilder::describe_routes`";
    assert_eq!(teleport(&["routes", &at(&peer, "")]).await, failed(1, problem));
    assert_eq!(teleport(&["routes", "--json", &at(&peer, "")]).await, failed(1, problem));
}
