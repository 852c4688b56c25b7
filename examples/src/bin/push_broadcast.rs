//! Pushes: to one session by its id, and one to every session of a hub.
//!
//! `cargo run -p teleport-examples --bin push_broadcast`

use teleport::{Context, Json, Peer, Status};
use tokio::sync::mpsc;

/// What each screen does for the hub. A push has no reply, so nobody waits for one.
#[teleport::service]
trait Screen {
    #[push]
    async fn show(&self, line: &str);
}

struct Wall {
    name: &'static str,
    shown: mpsc::Sender<String>,
}

impl Screen for Wall {
    async fn show(&self, line: &str) {
        // `main` holds the other end until all is shown.
        let _ = self.shown.send(format!("{}: {line}", self.name)).await;
    }
}

/// The hub knows the session by this name from here on.
async fn join(cx: Context, name: String) -> Result<(), Status> {
    Ok(cx.session().set_id(name)?)
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let hub = Peer::builder().pull("/join", join)?.listen("127.0.0.1:0").await?;
    let address = hub.local_addr()?;

    let (shown, mut lines) = mpsc::channel(8);
    // A session ends with its peer, so the screens are kept.
    let mut screens = Vec::new();
    for name in ["kitchen", "lobby", "office"] {
        let wall = Wall { name, shown: shown.clone() };
        let screen = Peer::builder().service(ScreenServer::new(wall))?.build()?;
        screen.dial(&address).await?.pull("/join").body(name).await?;
        screens.push(screen);
    }

    // Screens get it at the same time, so in no order.
    let sent = hub.sessions().broadcast("/screen/show", Json, "lunch is ready").await?;
    println!("broadcast to {} screens, {} failed", sent.reached, sent.failed.len());
    let mut seen = Vec::new();
    while seen.len() < sent.reached {
        seen.extend(lines.recv().await);
    }
    seen.sort();
    println!("{}", seen.join("\n"));

    let lobby = hub.sessions().get("lobby").expect("it has joined under this name");
    ScreenClient::new(&lobby).show("a visitor for you").await?;
    println!("{}", lines.recv().await.unwrap_or_default());

    for screen in screens {
        screen.close().await;
    }
    hub.close().await;
    Ok(())
}
