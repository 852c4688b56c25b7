//! Finds out that the other side is gone, though the connection never says so.
//!
//! `cargo run -p teleport-examples --bin heartbeat`

use std::time::Duration;

use teleport::plugins::Heartbeat;
use teleport::{Initiator, Peer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> teleport::Result<()> {
    // Half a minute would do in earnest.
    let heartbeat = Heartbeat::every(Duration::from_millis(100)).tolerate(3);
    let client = Peer::builder().plugin(heartbeat).build()?;

    // A peer that has no heartbeat of its own answers all the same.
    let server = Peer::builder().listen("127.0.0.1:0").await?;
    let healthy = client.dial(server.local_addr()?).await?;
    while Heartbeat::rtt(&healthy).is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("the server answers: the round trip was measured");

    // This one takes the connection and is never heard of again, like a machine whose cable was pulled.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let session = client.dial(silent.local_addr().expect("bound")).await?;
    let error = session.pull("/anything").no_timeout().await.expect_err("nobody answers");
    assert!(error.is_closed() && error.initiator() == Initiator::Library);
    let reason = session.close_reason().expect("it is closed");
    println!("the other one: {}", reason.split(" for ").next().unwrap_or_default());

    println!("sessions left: {}", client.sessions().len());
    client.close().await;
    Ok(())
}
