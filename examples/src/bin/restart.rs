//! A server that restarts without refusing a connection or losing a call.
//!
//! `cargo run -p teleport-examples --bin restart`
//!
//! It says its process id. `kill -USR2 <id>` starts a successor, which takes over; `kill <id>` ends it. Either way, calls
//! in flight are answered first, for up to half a minute.

#[cfg(unix)]
#[tokio::main]
async fn main() -> teleport::Result<()> {
    use std::time::Duration;

    use teleport::{Peer, Restart, Status};

    #[teleport::service]
    trait Kitchen {
        async fn cook(&self, seconds: u64) -> Result<String, Status>;
    }

    struct Here(u32);

    impl Kitchen for Here {
        async fn cook(&self, seconds: u64) -> Result<String, Status> {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(format!("cooked by process {}", self.0))
        }
    }

    // First of all: takes the sockets that a predecessor has, if there is one.
    Restart::inherit()?;
    let pid = std::process::id();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let server = Peer::builder().service(KitchenServer::new(Here(pid)))?.listen(address).await?;

    // Signals are caught from here on, and acted on where this is awaited.
    let end = server.until_signal().within(Duration::from_secs(30)).restart(Restart::new());
    // Everything listens: the predecessor may go.
    Restart::ready().await?;
    println!("process {pid} serves at {}", server.local_addr()?);

    let report = end.await?;
    println!("process {pid} ends: {report}");
    Ok(())
}

#[cfg(not(unix))]
fn main() {
    eprintln!("a restart hands sockets from process to process, which needs a Unix system");
}
