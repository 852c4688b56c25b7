//! A session that outlives its server: calls wait while that is restarted, and none runs twice.
//!
//! `cargo run -p teleport-examples --bin redial`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use teleport::{Peer, Redial, Result, SessionState, Status};

#[teleport::service]
trait Till {
    /// May be asked again where the answer was lost.
    #[pull(idempotent)]
    async fn total(&self) -> Result<u32, Status>;
    /// Is never sent twice.
    async fn add(&self, amount: u32) -> Result<u32, Status>;
}

/// What is in the till outlives the server, as a database would.
#[derive(Clone, Default)]
struct Drawer(Arc<AtomicU32>);

impl Till for Drawer {
    async fn total(&self) -> Result<u32, Status> {
        Ok(self.0.load(Ordering::SeqCst))
    }

    async fn add(&self, amount: u32) -> Result<u32, Status> {
        Ok(self.0.fetch_add(amount, Ordering::SeqCst) + amount)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let drawer = Drawer::default();
    let server = Peer::builder().service(TillServer::new(drawer.clone()))?.listen("127.0.0.1:0").await?;
    let address = server.local_addr()?;

    let peer = Peer::builder().build()?;
    let redial = Redial::default().with_first_pause(Duration::from_millis(20)).with_attempts(100);
    let session = peer.dial(&address).redial(redial).await?;
    let till = TillClient::new(&session);
    println!("add(5) ................... {}", till.add(5).await?);

    let mut changes = session.state_changes();
    server.close().await;
    while session.state() != SessionState::Down {
        changes.next().await;
    }
    println!("the server is gone, and the session is {:?}", session.state());

    // This one waits; the server comes back at the same address.
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { TillClient::new(&session).add(2).await }
    });
    let _server = Peer::builder().service(TillServer::new(drawer))?.listen(&address).await?;
    session.reconnected().await?;
    println!("the server is back, and the session is {:?}", session.state());
    println!("add(2), which waited ..... {}", waiting.await.expect("it does not panic")?);
    println!("total() .................. {}", till.total().await?);
    Ok(())
}
