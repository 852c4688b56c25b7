//! The least that works: a trait, a server and a client.
//!
//! `cargo run -p teleport-examples --bin hello`

use teleport::{Peer, Status};

#[teleport::service]
trait Greeter {
    async fn greet(&self, name: &str) -> Result<String, Status>;
}

struct Polite;

impl Greeter for Polite {
    async fn greet(&self, name: &str) -> Result<String, Status> {
        if name.is_empty() {
            return Err(Status::bad_request("who is there?"));
        }
        Ok(format!("hello {name}"))
    }
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let server = Peer::builder().service(GreeterServer::new(Polite))?.listen("127.0.0.1:0").await?;

    let client = Peer::builder().build()?;
    let session = client.dial(server.local_addr()?).await?;
    let greeter = GreeterClient::new(&session);

    println!("{}", greeter.greet("Ada").await?);
    println!("{}", greeter.greet("").await.unwrap_err());

    client.close().await;
    server.close().await;
    Ok(())
}
