//! Other uris for routes, and uris without regard to case.

use teleport::plugins::{Alias, IgnoreCase};
use teleport::{Code, Context, Peer, PeerBuilder, Session, Status};

/// Says under which uri it was found, and which the caller wrote.
async fn told(cx: Context, (): ()) -> Result<String, Status> {
    Ok(format!("{} as {}", cx.uri(), cx.original_uri()))
}

fn shop() -> PeerBuilder {
    Peer::builder().pull("/shop/order", told).unwrap().pull("/Shop/Cancel%3F", told).unwrap()
}

async fn dial(server: &Peer) -> Session {
    Peer::builder().build().unwrap().connect(server).await.unwrap()
}

async fn ask(session: &Session, uri: &str) -> String {
    session.pull(uri).await.unwrap().decode().unwrap()
}

fn refused(builder: PeerBuilder) -> String {
    let error = builder.build().unwrap_err();
    assert!(error.is_config(), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_call_under_an_alias_comes_to_the_route_with_its_query() {
    let alias = Alias::new()
        .to("/buy", "/shop/order")
        .to("/old way", "/buy")
        .prefix("/v1/", "/shop")
        .prefix("/v1/beta", "/Shop")
        .prefix("/v0", "/v1");
    let server = shop().plugin(alias).build().unwrap();
    let session = dial(&server).await;
    for (uri, found) in [
        ("/shop/order", "/shop/order"),
        ("/buy", "/shop/order"),
        ("/buy?a=%3F&b", "/shop/order?a=%3F&b"),
        ("/old%20way?x", "/shop/order?x"),
        ("/v1/order", "/shop/order"),
        ("/v1/beta/Cancel%3F?q", "/Shop/Cancel%3F?q"),
        ("/v0/order", "/shop/order"),
        ("/v0/beta/Cancel%3F", "/Shop/Cancel%3F"),
    ] {
        assert_eq!(ask(&session, uri).await, format!("{found} as {uri}"));
    }
    for uri in ["/v10/order", "/buy/x", "/v1", "/V1/order", "/v1/%zz"] {
        let code = session.pull(uri).await.unwrap_err().code().unwrap();
        assert!(code == Code::NOT_FOUND || code == Code::BAD_REQUEST, "{uri}: {code}");
    }
}

#[test]
fn an_alias_that_can_not_be_is_an_error_of_the_build_that_names_both_sides() {
    for (alias, says) in [
        (Alias::new().to("/shop/order", "/Shop/Cancel"), "would hide the route /shop/order (a function at"),
        (Alias::new().prefix("/shop", "/shop"), "would hide the route /shop/order"),
        (Alias::new().prefix("/", "/shop"), "would hide the route"),
        (
            Alias::new().to("/a", "/nowhere"),
            "the alias /a to /nowhere leads nowhere: no route stands at /nowhere",
        ),
        (Alias::new().prefix("/a", "/sho"), "no route stands at or below /sho"),
        (
            Alias::new().to("/a", "/b").to("/b", "/a"),
            "the alias /a to /b, the alias /b to /a lead in a circle",
        ),
        (Alias::new().prefix("/a", "/a/a"), "lead in a circle"),
        (Alias::new().to("/a/x", "/b").prefix("/b", "/a"), "lead in a circle"),
        (Alias::new().to("/a", "/shop/order").to("/a", "/shop"), "are of the same uri"),
        (Alias::new().to("a", "/shop/order"), "write \"/a\""),
        (Alias::new().to("/a?b", "/shop/order"), "has a query"),
    ] {
        let text = refused(shop().plugin(alias));
        assert!(text.contains("alias") && text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn routes_are_found_whatever_the_case() {
    let server = shop().plugin(IgnoreCase::new()).build().unwrap();
    let session = dial(&server).await;
    for (uri, found) in [
        ("/shop/order", "/shop/order"),
        ("/SHOP/Order?Q=A", "/shop/order?Q=A"),
        ("/shop/cancel%3f", "/Shop/Cancel%3F"),
        // One that is right stays as it was written.
        ("/Shop/%43ancel%3f", "/Shop/%43ancel%3f"),
    ] {
        assert_eq!(ask(&session, uri).await, format!("{found} as {uri}"));
    }
    for uri in ["/shop/orders", "/%zz"] {
        assert!(session.pull(uri).await.is_err());
    }
}

#[test]
fn routes_that_differ_in_case_alone_are_an_error_that_names_both() {
    let builder = shop().plugin(IgnoreCase::new());
    let text = refused(builder.pull("/Shop/Order", told).unwrap());
    assert!(text.contains("the pulls /Shop/Order and /shop/order differ"), "{text}");
    // A pull and a push are found apart.
    let builder = shop().plugin(IgnoreCase::new()).push("/Shop/Order", |_, ()| async {}).unwrap();
    drop(builder.build().unwrap());
}

#[tokio::test]
async fn an_alias_may_stand_behind_ignore_case() {
    let plugins = |builder: PeerBuilder| {
        builder.plugin(Alias::new().to("/buy", "/SHOP/order")).plugin(IgnoreCase::new())
    };
    let text = refused(plugins(shop()));
    assert!(text.contains("leads nowhere"), "an alias is of routes as they are written: {text}");
    let builder = shop().plugin(Alias::new().to("/buy", "/shop/order")).plugin(IgnoreCase::new());
    let server = builder.build().unwrap();
    let session = dial(&server).await;
    assert_eq!(ask(&session, "/buy").await, "/shop/order as /buy");
    assert_eq!(ask(&session, "/SHOP/order").await, "/shop/order as /SHOP/order");
}
