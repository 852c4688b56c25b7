//! Asking a peer what it serves, and whether it is about to go.
//!
//! `cargo run -p teleport-examples --bin routes`

use std::time::Duration;

use teleport::describe::{HEALTH_URI, Health, HealthState, ROUTES_URI, RouteInfo, RouteList};
use teleport::{Peer, Session, Status};

#[teleport::service]
trait Shop {
    /// How many there are.
    async fn stock(&self, item: &str) -> Result<u32, Status>;
    /// Buys some; once only, whatever becomes of the caller.
    #[pull(codec = bincode, timeout = "5s", no_cancel)]
    async fn buy(&self, item: &str, count: u32) -> Result<(), Status>;
    #[push]
    async fn wish(&self, item: String);
}

struct Corner;

impl Shop for Corner {
    async fn stock(&self, _: &str) -> Result<u32, Status> {
        Ok(7)
    }

    async fn buy(&self, item: &str, _: u32) -> Result<(), Status> {
        Err(Status::new(1000, format!("no {item} today")))
    }

    async fn wish(&self, _: String) {}
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let server = Peer::builder()
        .service(ShopServer::new(Corner))?
        .describe_routes()
        .health()
        .listen("127.0.0.1:0")
        .await?;
    let session = Peer::builder().build()?.dial(server.local_addr()?).await?;

    let list: RouteList = session.pull(ROUTES_URI).await?.decode()?;
    list.routes.iter().for_each(print);

    println!("the server is {}", health(&session).await?);
    // For an hour others would see that it is draining, and all would still be served.
    let notice = server.clone();
    let shutdown = tokio::spawn(async move { notice.shutdown().notice(Duration::from_secs(3600)).await });
    while health(&session).await? == HealthState::Serving {}
    println!(
        "the server is {}, and has {} teas",
        health(&session).await?,
        ShopClient::new(&session).stock("tea").await?
    );
    // Here nobody waits for that.
    println!("{}", server.shutdown().await);
    shutdown.await.expect("the shutdown does not panic");
    Ok(())
}

async fn health(session: &Session) -> teleport::Result<HealthState> {
    Ok(session.pull(HEALTH_URI).await?.decode::<Health>()?.state)
}

fn print(route: &RouteInfo) {
    let args: Vec<_> = route
        .args
        .iter()
        .map(|arg| format!("{}: {}", arg.name.as_deref().unwrap_or("_"), arg.type_name))
        .collect();
    let reply = route.reply.as_ref().map(|reply| format!(" -> {reply}")).unwrap_or_default();
    let codecs: Vec<_> = route.codecs.iter().map(|codec| &*codec.name).collect();
    println!("{} {} ({}){reply} [{}]", route.kind, route.uri, args.join(", "), codecs.join(", "));
    for line in route.doc.lines() {
        println!("    {line}");
    }
}
