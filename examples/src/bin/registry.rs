//! Calling a service by its name: servers announce themselves, the client balances over them, and one of them dies.
//!
//! `cargo run -p teleport-examples --bin registry`

use std::time::Duration;

use teleport::registry::{Balancer, StaticRegistry};
use teleport::{Peer, Status};

#[teleport::service]
trait Desk {
    async fn ask(&self, question: &str) -> Result<String, Status>;
}

struct Clerk {
    name: &'static str,
}

impl Desk for Clerk {
    async fn ask(&self, question: &str) -> Result<String, Status> {
        Ok(format!("{} answers {question:?}", self.name))
    }
}

/// A server that announces its services, here "Desk", for as long as it listens.
async fn open(name: &'static str, address: &str, registry: &StaticRegistry) -> teleport::Result<Peer> {
    let server = Peer::builder().service(DeskServer::new(Clerk { name }))?.listen(address).await?;
    server.announce(registry.clone()).id(name).ttl(Duration::from_secs(5)).await?;
    Ok(server)
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    // Between processes it is an `EtcdRegistry::new(["http://10.0.0.1:2379"])?`; all else stays as it is.
    let registry = StaticRegistry::new();
    let ada = open("Ada", "127.0.0.1:0", &registry).await?;
    let bob = open("Bob", "127.0.0.1:0", &registry).await?;

    let desk = Balancer::new(&Peer::builder().build()?, registry.clone(), "Desk");
    let staffed =
        |count| desk.wait_for(move |all| all.iter().filter(|clerk| clerk.is_ready).count() == count);
    staffed(2).await;
    println!("both are there");
    ask(&desk, 4).await?;

    let address = bob.local_addr()?.to_string();
    bob.close().await;
    staffed(1).await;
    println!("Bob has left");
    ask(&desk, 2).await?;

    let bob = open("Bob", &address, &registry).await?;
    staffed(2).await;
    println!("Bob is back");
    ask(&desk, 2).await?;

    ada.close().await;
    bob.close().await;
    Ok(())
}

async fn ask(desk: &Balancer, count: usize) -> teleport::Result<()> {
    let client = DeskClient::new(desk); // picks a session for each call
    for n in 1..=count {
        println!("  {}", client.ask(&format!("question {n}")).await?);
    }
    Ok(())
}
