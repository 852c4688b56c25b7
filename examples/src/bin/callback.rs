//! A handler that calls its caller: both sides of a session serve, and both call.
//!
//! `cargo run -p teleport-examples --bin callback`

use teleport::{Context, Peer, Status};

/// What the server does.
#[teleport::service]
trait Bakery {
    async fn bake(&self, #[ctx] cx: &Context, guests: u32) -> Result<String, Status>;
}

/// What the client does for the server.
#[teleport::service]
trait Ui {
    async fn choose(&self, question: &str, options: Vec<String>) -> Result<String, Status>;
    async fn notify(&self, line: &str);
}

struct Oven;

impl Bakery for Oven {
    async fn bake(&self, cx: &Context, guests: u32) -> Result<String, Status> {
        let ui = UiClient::new(cx.session());
        // The session reads on while this handler waits. Where the call back fails, `?` passes its status on.
        let icing = ui.choose("which icing?", vec!["lemon".into(), "none".into()]).await?;
        ui.notify(&format!("in the oven, for {guests}")).await?;
        Ok(format!("a cake with {icing} icing, cut in {guests}"))
    }
}

struct Terminal {
    likes: &'static str,
}

impl Ui for Terminal {
    async fn choose(&self, question: &str, options: Vec<String>) -> Result<String, Status> {
        println!("  asked: {question} {}", options.join(" or "));
        let found = options.into_iter().find(|option| option == self.likes);
        found.ok_or_else(|| Status::new(1000, format!("no {}?", self.likes)))
    }

    async fn notify(&self, line: &str) {
        println!("  told: {line}");
    }
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let server = Peer::builder().service(BakeryServer::new(Oven))?.listen("127.0.0.1:0").await?;
    let address = server.local_addr()?;

    for likes in ["lemon", "chocolate"] {
        println!("a caller who likes {likes}");
        let client = Peer::builder().service(UiServer::new(Terminal { likes }))?.build()?;
        let session = client.dial(&address).await?;
        match BakeryClient::new(&session).bake(8).await {
            Ok(cake) => println!("  got: {cake}"),
            Err(error) => println!("  failed: {error}"),
        }
        client.close().await;
    }

    server.close().await;
    Ok(())
}
