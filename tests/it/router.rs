//! Routes: services side by side, groups, functions, unknown uris, conflicts.

use teleport::{Code, Context, Peer, Plain, Protobuf, ReplyBody, Router, Session, Status};
use tokio::sync::mpsc;

#[teleport::service]
trait Counter {
    async fn up(&self, by: u64) -> Result<u64, Status>;
}

#[teleport::service(name = "counter")]
trait Other {
    async fn down(&self, by: u64) -> Result<u64, Status>;
    #[pull(uri = "/counter/up")]
    async fn also_up(&self, by: u64) -> Result<u64, Status>;
}

#[teleport::service(prefix = "/v2")]
trait Store<K, V>
where
    K: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static,
    V: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    async fn swap(&self, key: K, value: V) -> Result<(V, K), Status>;
}

struct From(u64);

impl Counter for From {
    async fn up(&self, by: u64) -> Result<u64, Status> {
        Ok(self.0 + by)
    }
}

impl Other for From {
    async fn down(&self, by: u64) -> Result<u64, Status> {
        Ok(self.0 - by)
    }
    async fn also_up(&self, by: u64) -> Result<u64, Status> {
        Ok(self.0 + by)
    }
}

impl Store<String, i64> for From {
    async fn swap(&self, key: String, value: i64) -> Result<(i64, String), Status> {
        Ok((value, key))
    }
}

async fn session_to(router: Router) -> (Session, Peer) {
    let server = Peer::builder().router(router).unwrap().build().unwrap();
    (Peer::builder().build().unwrap().connect(&server).await.unwrap(), server)
}

#[tokio::test]
async fn services_stand_side_by_side_and_in_groups() {
    let mut router = Router::new();
    router.service(CounterServer::new(From(0))).unwrap();
    router.service(StoreServer::<String, i64, _>::new(From(0))).unwrap();
    router.group("/ten").service(CounterServer::new(From(10))).unwrap();
    router.group("ten").group("/more/").service(CounterServer::new(From(20))).unwrap();
    let mut paths: Vec<_> = router.pulls().collect();
    paths.sort_unstable();
    let expected = [
        ("/counter/up", "Counter::up"),
        ("/ten/counter/up", "Counter::up"),
        ("/ten/more/counter/up", "Counter::up"),
        ("/v2/store/swap", "Store::swap"),
    ];
    assert_eq!(paths, expected);

    let (session, _server) = session_to(router).await;
    let counter = CounterClient::new(&session);
    assert_eq!(counter.up(1).await.unwrap(), 1);
    assert_eq!(counter.clone().with_prefix("/ten").up(1).await.unwrap(), 11);
    assert_eq!(counter.with_prefix("ten/more").up(1).await.unwrap(), 21);
    let store = StoreClient::<String, i64>::new(&session);
    assert_eq!(store.swap("a".into(), 1).await.unwrap(), (1, "a".into()));
}

#[tokio::test]
async fn a_conflict_between_services_names_both_and_registers_nothing() {
    let mut router = Router::new();
    router.service(CounterServer::new(From(0))).unwrap();
    let error = router.service(OtherServer::new(From(0))).unwrap_err();
    assert!(error.is_conflict());
    let text = error.to_string();
    assert!(text.contains("/counter/up is taken by Counter::up, so Other::also_up can't have it"), "{text}");
    let (session, _server) = session_to(router).await;
    assert_eq!(CounterClient::new(&session).up(1).await.unwrap(), 1);
    let error = OtherClient::new(&session).down(1).await.unwrap_err();
    assert_eq!(error.status().map(Status::code), Some(Code::NOT_FOUND), "{error}");
    // The builder says the same.
    let error = Peer::builder().service(CounterServer::new(From(0))).unwrap();
    assert!(error.service(OtherServer::new(From(0))).unwrap_err().is_conflict());
}

#[tokio::test]
async fn functions_take_types_the_query_and_the_context() {
    let mut router = Router::new();
    router
        .pull("/add", |_, (a, b): (i64, i64)| async move { Ok(a + b) })
        .unwrap()
        .pull("/café/query", |cx: Context, ()| async move {
            let pairs: Vec<_> = cx.query_pairs().map(|(k, v)| format!("{k}={v}")).collect();
            Ok(format!("{} {} {:?}", cx.path(), pairs.join(" "), cx.query("b")))
        })
        .unwrap();
    let (session, _server) = session_to(router).await;
    assert_eq!(session.pull("/add").body(&(2, 3)).await.unwrap().decode::<i64>().unwrap(), 5);
    let reply = session.pull("/caf%C3%A9/query?a=1%202").query("b", "ü&=").query("b", "2").await.unwrap();
    assert_eq!(reply.decode::<String>().unwrap(), "/café/query a=1 2 b=ü&= b=2 Some(\"ü&=\")");
    // The path is matched exactly.
    for uri in ["/add/", "/Add", "/", "/caf/query"] {
        let error = session.pull(uri).await.unwrap_err();
        assert_eq!(error.status().map(Status::code), Some(Code::NOT_FOUND), "{uri}: {error}");
    }
}

#[tokio::test]
async fn a_path_with_escapes_is_not_mistaken_for_a_query() {
    let mut router = Router::new();
    router.pull("/a%3Fb", |_, ()| async { Ok("a question") }).unwrap();
    router.pull("/100%25", |_, ()| async { Ok("all of it") }).unwrap();
    router.pull("/a", |_, ()| async { Ok("a") }).unwrap();
    let (session, _server) = session_to(router).await;
    for (uri, expected) in [
        ("/a%3Fb", "a question"),
        ("/a%3fb?c", "a question"),
        ("/100%25", "all of it"),
        ("/a?b", "a"),
        ("/%61", "a"),
        ("/a", "a"),
    ] {
        assert_eq!(session.pull(uri).await.unwrap().decode::<String>().unwrap(), expected, "{uri}");
    }
    assert_eq!(session.pull("/100%").await.unwrap_err().code(), Some(Code::BAD_REQUEST));
}

#[derive(Clone, PartialEq, prost::Message)]
struct Note {
    #[prost(string, tag = "1")]
    text: String,
}

#[tokio::test]
async fn functions_may_list_their_codecs() {
    let (seen, mut notes) = mpsc::unbounded_channel();
    let mut router = Router::new();
    router
        .pull_with("/upper", (Protobuf,), |_, note: Note| async move {
            Ok(Note { text: note.text.to_uppercase() })
        })
        .unwrap()
        .push_with("/note", (Protobuf,), move |_, note: Note| {
            seen.send(note.text).unwrap();
            async {}
        })
        .unwrap();
    let (session, _server) = session_to(router).await;
    let note = Note { text: "hi".into() };
    let reply = session.pull("/upper").codec(Protobuf).body(&note).await.unwrap();
    assert_eq!(reply.decode_as::<(Protobuf,), Note>().unwrap().text, "HI");
    session.push("/note").codec(Protobuf).body(&note).await.unwrap();
    assert_eq!(notes.recv().await.unwrap(), "hi");
    let error = session.pull("/upper").body("hi").await.unwrap_err();
    assert_eq!(error.status().map(Status::code), Some(Code::UNSUPPORTED_CODEC), "{error}");
}

#[tokio::test]
async fn unknown_uris_go_to_their_handlers_with_the_raw_body() {
    let (seen, mut pushes) = mpsc::unbounded_channel();
    let mut router = Router::new();
    router.pull("/known", |_, ()| async { Ok("known") }).unwrap();
    router.unknown_pull(|cx| async move {
        match &*cx.path() {
            "/raw" => Ok(ReplyBody::raw(cx.raw_body().as_bytes())),
            "/bind" => ReplyBody::json(&(cx.bind::<i64>()? + 1)),
            "/plain" => ReplyBody::encode(Plain, "text"),
            "/empty" => Ok(ReplyBody::empty()),
            path => Err(Status::new(1001, format!("nobody at {path}"))),
        }
    });
    router.unknown_push(move |cx| {
        seen.send((cx.uri().to_owned(), cx.bind::<String>())).unwrap();
        async {}
    });
    let (session, _server) = session_to(router).await;
    assert_eq!(session.pull("/known").await.unwrap().decode::<String>().unwrap(), "known");
    let reply = session.pull("/raw").payload(0xee, &[1, 2, 3]).await.unwrap();
    assert_eq!(
        (reply.codec(), reply.payload(), reply.raw_body()),
        (0xee, &[1, 2, 3][..], &[0xee, 1, 2, 3][..])
    );
    assert_eq!(session.pull("/bind").body(&41).gzip(6).await.unwrap().decode::<i64>().unwrap(), 42);
    let error = session.pull("/bind").body("no number").await.unwrap_err();
    assert_eq!(error.status().map(Status::code), Some(Code::BAD_REQUEST), "{error}");
    assert_eq!(session.pull("/plain").await.unwrap().decode::<String>().unwrap(), "text");
    assert_eq!(session.pull("/empty").await.unwrap().codec(), 0);
    let error = session.pull("/other").await.unwrap_err();
    assert_eq!(error.status(), Some(&Status::new(1001, "nobody at /other")));
    session.push("/anything?x=1").body("hi").await.unwrap();
    assert_eq!(pushes.recv().await.unwrap(), ("/anything?x=1".into(), Ok("hi".into())));
}

#[tokio::test]
async fn merged_routers_keep_all_or_nothing() {
    let mut router = Router::new();
    router.pull("/a", |_, ()| async { Ok(1) }).unwrap();
    let mut other = Router::new();
    other.pull("/b", |_, ()| async { Ok(2) }).unwrap().push("/a", |_, ()| async {}).unwrap();
    router.merge(other.clone()).unwrap();
    assert!(router.merge(other).unwrap_err().is_conflict());
    let mut clash = Router::new();
    clash.pull("/c", |_, ()| async { Ok(3) }).unwrap().push("/a", |_, ()| async {}).unwrap();
    assert!(router.merge(clash).unwrap_err().is_conflict());
    let mut paths: Vec<_> = router.pulls().map(|(path, _)| path).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/a", "/b"], "nothing of the last one is there");
}
