//! What a peer tells of its routes, where it is built to.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use teleport::describe::{BodyLayout, HEALTH_URI, ROUTES_URI, RouteInfo, RouteKind, RouteList};
use teleport::plugin::{Handlers, Plugin, Route};
use teleport::plugins::{Alias, Auth};
use teleport::{Bincode, Code, Context, Json, Limits, Peer, Plain, ReplyBody, Router, Session, Status};

#[derive(Serialize, Deserialize)]
struct User {
    name: String,
}

/// A result whose value the attribute can't see.
mod counted {
    pub(super) type Result<T> = std::result::Result<T, teleport::Status>;
}

/// Is not told: a route is a method.
#[teleport::service(prefix = "/v1", codec = bincode, timeout = "5s")]
trait Arith {
    /// Multiplies.
    ///
    ///     6 * 7
    #[pull(gzip = 5, idempotent)]
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
    #[doc = " One."]
    /** Other. */
    #[pull(args = tuple, no_cancel)]
    async fn pair(&self, #[ctx] cx: &Context, r#in: Option<&str>, b: (u8, [u8; 4])) -> User;
    #[pull(uri = "/plain", codec = plain)]
    async fn text(&self, text: &str);
    #[push]
    async fn log(&self, line: std::borrow::Cow<'_, str>);
    fn now(&self) -> counted::Result<u64>;
}

struct Exact;

impl Arith for Exact {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
        Ok(a * b)
    }

    async fn pair(&self, _: &Context, name: Option<&str>, _: (u8, [u8; 4])) -> User {
        User { name: name.unwrap_or_default().to_owned() }
    }

    async fn text(&self, _: &str) {}

    async fn log(&self, _: std::borrow::Cow<'_, str>) {}

    fn now(&self) -> counted::Result<u64> {
        Ok(0)
    }
}

fn route<'l>(list: &'l RouteList, kind: RouteKind, uri: &str) -> &'l RouteInfo {
    let found = list.routes.iter().find(|route| route.kind == kind && route.uri == uri);
    found.unwrap_or_else(|| panic!("no {kind} {uri} in {list:#?}"))
}

/// Names and types of the arguments.
fn args(route: &RouteInfo) -> Vec<(&str, &str)> {
    route.args.iter().map(|arg| (arg.name.as_deref().unwrap_or("-"), &*arg.type_name)).collect()
}

fn codecs(route: &RouteInfo) -> Vec<(char, &str)> {
    route.codecs.iter().map(|codec| (char::from(codec.id), &*codec.name)).collect()
}

async fn session_to(server: &Peer) -> (Session, Peer) {
    let client = Peer::builder().build().unwrap();
    (client.connect(server).await.unwrap(), client)
}

#[tokio::test]
async fn a_service_tells_what_its_trait_says() {
    let server = Peer::builder().service(ArithServer::new(Exact)).unwrap().describe_routes().build().unwrap();
    let (session, _client) = session_to(&server).await;
    let list: RouteList = session.pull(ROUTES_URI).await.unwrap().decode().unwrap();
    assert_eq!(list, server.router().describe());
    let order: Vec<_> = list.routes.iter().map(|route| format!("{} {}", route.kind, route.uri)).collect();
    assert_eq!(
        order,
        [
            "pull /plain",
            "pull /teleport/routes",
            "pull /v1/arith/mul",
            "pull /v1/arith/now",
            "pull /v1/arith/pair",
            "push /v1/arith/log"
        ]
    );
    assert!(!list.unknown_pulls && !list.unknown_pushes);

    let mul = route(&list, RouteKind::Pull, "/v1/arith/mul");
    assert_eq!((&*mul.name, &*mul.doc), ("Arith::mul", "Multiplies.\n\n    6 * 7"));
    assert_eq!((mul.layout, args(mul)), (BodyLayout::Named, vec![("a", "i64"), ("b", "i64")]));
    assert_eq!(mul.reply.as_deref(), Some("i64"));
    assert_eq!(codecs(mul), [('b', "bincode"), ('j', "json")]);
    assert_eq!((mul.gzip, mul.timeout(), mul.timeout_us), (5, Some(Duration::from_secs(5)), Some(5_000_000)));
    assert!(mul.idempotent && !mul.no_cancel && mul.aliases.is_empty());

    let pair = route(&list, RouteKind::Pull, "/v1/arith/pair");
    assert_eq!((pair.layout, &*pair.doc, pair.gzip), (BodyLayout::Tuple, "One.\nOther.", 0));
    assert_eq!(args(pair), [("in", "Option<&str>"), ("b", "(u8, [u8; 4])")]);
    assert_eq!(pair.reply.as_deref(), Some("User"));
    assert!(!pair.idempotent && pair.no_cancel);

    let text = route(&list, RouteKind::Pull, "/plain");
    assert_eq!((text.layout, args(text)), (BodyLayout::Bare, vec![("text", "&str")]));
    assert_eq!((text.reply.as_deref(), codecs(text)), (Some("()"), vec![('s', "plain")]));

    let log = route(&list, RouteKind::Push, "/v1/arith/log");
    assert_eq!((args(log), &log.reply), (vec![("line", "std::borrow::Cow<'_, str>")], &None));
    assert_eq!(log.timeout(), None, "nobody waits for a push");

    let now = route(&list, RouteKind::Pull, "/v1/arith/now");
    assert_eq!((now.layout, now.reply.as_deref()), (BodyLayout::Empty, Some("counted::Result<u64>")));

    let own = route(&list, RouteKind::Pull, ROUTES_URI);
    assert_eq!((own.layout, own.reply.as_deref()), (BodyLayout::Empty, Some("RouteList")));
    assert!(own.doc.starts_with("Every route of this peer"), "{own:?}");
    assert_eq!(codecs(own), [('j', "json"), ('b', "bincode")]);
}

#[tokio::test]
async fn functions_tell_their_types_and_codecs() {
    let builder = Peer::builder()
        .pull("/add", |_, (a, b): (i64, i64)| async move { Ok(a + b) })
        .unwrap()
        .pull_with("/upper", (Plain, Json), |_, text: String| async move { Ok(text.to_uppercase()) })
        .unwrap()
        .push("/tick", |_, ()| async {})
        .unwrap()
        .push_with("/note", (Bincode,), |_, _: Vec<u8>| async {})
        .unwrap()
        .unknown_push(|_| async {});
    let list = builder.build().unwrap().router().describe();
    assert!(!list.unknown_pulls && list.unknown_pushes);

    let add = route(&list, RouteKind::Pull, "/add");
    assert_eq!((&*add.name, args(add)), ("a function at /add", vec![("-", "(i64, i64)")]));
    assert_eq!((add.layout, add.reply.as_deref(), &*add.doc), (BodyLayout::Bare, Some("i64"), ""));
    assert_eq!(codecs(add), [('j', "json"), ('b', "bincode"), ('s', "plain")]);
    assert_eq!(codecs(route(&list, RouteKind::Pull, "/upper")), [('s', "plain"), ('j', "json")]);
    let tick = route(&list, RouteKind::Push, "/tick");
    assert_eq!((tick.layout, args(tick), &tick.reply), (BodyLayout::Empty, vec![], &None));
    assert_eq!(codecs(route(&list, RouteKind::Push, "/note")), [('b', "bincode")]);
    assert!(
        list.routes.iter().all(|route| route.uri != ROUTES_URI),
        "nothing is told without being asked for"
    );
}

/// Brings a handler along.
struct Brings;

impl Plugin for Brings {
    fn name(&self) -> &str {
        "brings"
    }

    fn handlers(&self, handlers: &mut Handlers) {
        handlers.pull("/brought", |_| async { Ok(ReplyBody::empty()) });
    }
}

#[tokio::test]
async fn routes_have_the_uris_that_they_are_called_at() {
    let mut inner = Router::new();
    inner.group("/inner").no_cancel().pull("/a%20b", |_, ()| async { Ok(1) }).unwrap();
    let mut router = Router::new();
    router.group("/outer").service(ArithServer::new(Exact)).unwrap();
    router.merge(inner).unwrap();
    let alias = Alias::new()
        .to("/times", "/outer/v1/arith/mul")
        .to("/product", "/times")
        .prefix("/old", "/outer/v1")
        .to("/old/arith/pair", "/brought");
    let server = Peer::builder()
        .router(router)
        .unwrap()
        .plugin(Brings)
        .plugin(alias)
        .describe_routes()
        .health()
        .build()
        .unwrap();
    let (session, _client) = session_to(&server).await;
    let list: RouteList = session.pull(ROUTES_URI).await.unwrap().decode().unwrap();

    let mul = route(&list, RouteKind::Pull, "/outer/v1/arith/mul");
    assert_eq!(mul.aliases, ["/old/arith/mul", "/product", "/times"]);
    for alias in &mul.aliases {
        let body = session.pull(alias).body(&serde_json::json!({"a": 6, "b": 7}));
        assert_eq!(body.await.unwrap().decode::<i64>().unwrap(), 42, "{alias}");
    }
    let pair = route(&list, RouteKind::Pull, "/outer/v1/arith/pair");
    assert!(pair.aliases.is_empty(), "another alias goes before: {pair:?}");
    let brought = route(&list, RouteKind::Pull, "/brought");
    assert_eq!((&*brought.name, brought.layout), ("the plugin brings", BodyLayout::Raw));
    assert_eq!((brought.codecs.len(), brought.aliases.as_slice()), (0, &["/old/arith/pair".to_owned()][..]));
    assert!(route(&list, RouteKind::Pull, "/inner/a b").no_cancel);
    let health = route(&list, RouteKind::Pull, HEALTH_URI);
    assert!(health.doc.contains("draining") && health.reply.as_deref() == Some("Health"), "{health:?}");
}

#[tokio::test]
async fn the_answer_comes_in_json_and_in_bincode() {
    let server = Peer::builder().service(ArithServer::new(Exact)).unwrap().describe_routes().health();
    let server = server.build().unwrap();
    let (session, _client) = session_to(&server).await;
    let expected = server.router().describe();
    for (reply, codec) in [
        (session.pull(ROUTES_URI).await.unwrap(), b'j'),
        (session.pull(ROUTES_URI).codec(Json).body(&()).await.unwrap(), b'j'),
        (session.pull(ROUTES_URI).codec(Bincode).body(&()).await.unwrap(), b'b'),
        (session.pull(ROUTES_URI).codec(Plain).body("please").gzip(5).await.unwrap(), b'j'),
    ] {
        assert_eq!(reply.codec(), codec);
        assert_eq!(reply.decode::<RouteList>().unwrap(), expected);
    }
    // Fields of other versions are skipped, and those that are missing have their defaults.
    let other = r#"{"routes":[{"kind":"push","uri":"/a","new":[1]}],"new":true}"#;
    let list: RouteList = serde_json::from_str(other).unwrap();
    assert_eq!((list.routes[0].kind, list.routes[0].layout), (RouteKind::Push, BodyLayout::Raw));
}

/// The page in the documentation is what goes over the wire.
#[tokio::test]
async fn the_documented_answer_is_the_real_one() {
    #[teleport::service]
    trait Arith {
        /// Multiplies.
        #[pull(timeout = "5s")]
        async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
    }
    struct Wrapping;
    impl Arith for Wrapping {
        async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
            Ok(a.wrapping_mul(b))
        }
    }
    let server =
        Peer::builder().service(ArithServer::new(Wrapping)).unwrap().describe_routes().build().unwrap();
    let (session, _client) = session_to(&server).await;
    let mut told: serde_json::Value = session.pull(ROUTES_URI).await.unwrap().decode().unwrap();
    told["routes"].as_array_mut().unwrap().retain(|route| route["uri"] != ROUTES_URI);
    let documented = include_str!("../../teleport/docs/routes.json");
    assert_eq!(told, serde_json::from_str::<serde_json::Value>(documented).unwrap());
}

#[tokio::test]
async fn strangers_are_told_nothing() {
    let check = Auth::new().check(|_, token| async move {
        if token.matches("open") { Ok(()) } else { Err(Status::unauthorized("who are you?")) }
    });
    let server = Peer::builder().plugin(check).describe_routes().health().build().unwrap();
    let stranger = Peer::builder().build().unwrap();
    let session = stranger.connect(&server).await.unwrap();
    for uri in [ROUTES_URI, HEALTH_URI] {
        assert!(session.pull(uri).await.is_err(), "{uri} is told to a stranger");
    }
    let friend = Peer::builder().plugin(Auth::new().token("open")).build().unwrap();
    let session = friend.connect(&server).await.unwrap();
    for uri in [ROUTES_URI, HEALTH_URI] {
        assert!(session.pull(uri).await.is_ok(), "{uri}");
    }
}

#[tokio::test]
async fn a_list_that_is_too_large_is_not_sent() {
    let mut router = Router::new();
    for number in 0..100 {
        router.pull(&format!("/{number}"), |_, ()| async { Ok(()) }).unwrap();
    }
    let limits = Limits::default().with_max_body(4096);
    let server = Peer::builder().router(router).unwrap().limits(limits).describe_routes().build().unwrap();
    let (session, _client) = session_to(&server).await;
    let error = session.pull(ROUTES_URI).await.unwrap_err();
    assert!(error.to_string().contains("max_body"), "{error}");
    assert!(session.pull("/7").await.is_ok(), "the session goes on");
}

#[tokio::test]
async fn a_uri_that_is_taken_is_an_error_of_the_build() {
    for uri in [ROUTES_URI, HEALTH_URI] {
        let builder = Peer::builder().pull(uri, |_, ()| async { Ok(()) }).unwrap();
        let error = builder.describe_routes().health().build().unwrap_err();
        assert!(error.is_conflict() && error.to_string().contains(uri), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_told_that_was_not_asked_for() {
    let server = Peer::builder().build().unwrap();
    let (session, _client) = session_to(&server).await;
    for uri in [ROUTES_URI, HEALTH_URI] {
        assert_eq!(session.pull(uri).await.unwrap_err().code(), Some(Code::NOT_FOUND));
    }
}

/// Panics when it is asked.
struct Panics;

impl Plugin for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn other_uris(&self, _: &Route<'_>) -> Vec<String> {
        panic!("no idea")
    }
}

#[tokio::test]
async fn a_plugin_that_panics_knows_no_aliases() {
    let server = Peer::builder().plugin(Panics).describe_routes().build().unwrap();
    assert!(server.router().describe().routes[0].aliases.is_empty());
}
