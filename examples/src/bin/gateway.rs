//! A gateway: one address in front of two backends, which pass by it unopened.
//!
//! `cargo run -p teleport-examples --bin gateway`

use teleport::{Context, Peer, ReverseProxy, Status, Upstream};
use tokio::sync::mpsc;

/// What the first backend does.
#[teleport::service]
trait Users {
    async fn name(&self, id: u32) -> Result<String, Status>;
}

struct Table;

impl Users for Table {
    async fn name(&self, id: u32) -> Result<String, Status> {
        let name = ["Ada", "Grace"].get(id as usize).ok_or_else(|| Status::new(1000, "no such user"))?;
        Ok((*name).to_owned())
    }
}

/// What the second one does, and what its callers do for it.
#[teleport::service]
trait Rooms {
    async fn enter(&self, cx: &Context, name: &str) -> Result<u32, Status>;
}

#[teleport::service]
trait Screen {
    #[push]
    async fn show(&self, line: &str);
}

struct House;

impl Rooms for House {
    async fn enter(&self, cx: &Context, name: &str) -> Result<u32, Status> {
        // The session is the gateway's, and this client's alone: what goes back over it reaches the client.
        ScreenClient::new(cx.session()).show(&format!("welcome, {name}")).await?;
        Ok(1)
    }
}

struct Lines(mpsc::UnboundedSender<String>);

impl Screen for Lines {
    async fn show(&self, line: &str) {
        let _ = self.0.send(line.to_owned());
    }
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let users = Peer::builder().service(UsersServer::new(Table))?.listen("127.0.0.1:0").await?;
    let rooms = Peer::builder().service(RoomsServer::new(House))?.listen("127.0.0.1:0").await?;

    let dialer = Peer::builder().build()?;
    let proxy = ReverseProxy::new()
        // One session that all clients share.
        .route("/users/**", Upstream::shared(&dialer, users.local_addr()?).named("users"))?
        // A session for each client, under a path that only the gateway knows.
        .rewrite(
            "/house/**",
            "/**",
            Upstream::per_client(Peer::builder(), rooms.local_addr()?).named("rooms"),
        )?;
    let gateway = Peer::builder()
        .pull("/health", |_, ()| async { Ok("open") })?
        .router(proxy.router())?
        .listen("127.0.0.1:0")
        .await?;

    let (shown, mut lines) = mpsc::unbounded_channel();
    let client = Peer::builder().service(ScreenServer::new(Lines(shown)))?.build()?;
    let session = client.dial(gateway.local_addr()?).await?;
    println!("the gateway is {}", session.pull("/health").await?.decode::<String>()?);

    let name = UsersClient::new(&session).name(0).gzip(6).await?;
    println!("user 0 is {name}");
    let people = RoomsClient::new(&session).with_prefix("/house").enter(&name).await?;
    println!("in the room: {people}");
    if let Some(line) = lines.recv().await {
        println!("shown: {line}");
    }

    // What a backend refuses, what nobody takes, and what is left when a backend is gone.
    let refused = |error: teleport::Error| error.status().map(ToString::to_string).unwrap_or_default();
    println!("{}", UsersClient::new(&session).name(9).await.map_err(refused).unwrap_err());
    println!("{}", session.pull("/nobody").await.map_err(refused).unwrap_err());
    users.close().await;
    println!("{}", UsersClient::new(&session).name(0).await.map_err(refused).unwrap_err());

    client.close().await;
    gateway.close().await;
    rooms.close().await;
    Ok(())
}
