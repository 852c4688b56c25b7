//! Testing a service without a network: the generated client runs in memory as it does over TCP.
//!
//! `cargo run -p teleport-examples --bin in_memory`, and `cargo test -p teleport-examples --bin in_memory` for the test
//! at its end.

use teleport::{Peer, Status};
use tokio::sync::Mutex;

#[teleport::service]
trait Account {
    async fn deposit(&self, amount: u64) -> u64;
    async fn withdraw(&self, amount: u64) -> Result<u64, Status>;
}

#[derive(Default)]
struct Purse {
    balance: Mutex<u64>,
}

impl Account for Purse {
    async fn deposit(&self, amount: u64) -> u64 {
        let mut balance = self.balance.lock().await;
        *balance += amount;
        *balance
    }

    async fn withdraw(&self, amount: u64) -> Result<u64, Status> {
        let mut balance = self.balance.lock().await;
        let left =
            balance.checked_sub(amount).ok_or_else(|| Status::new(1000, format!("only {balance} left")))?;
        *balance = left;
        Ok(left)
    }
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let server = Peer::builder().service(AccountServer::new(Purse::default()))?.build()?;
    let client = Peer::builder().build()?;
    // No address and no port: both ends are in this process. All else is as over TCP, bytes on the wire included.
    let session = client.connect(&server).await?;
    let account = AccountClient::new(&session);

    println!("deposit 50: {}", account.deposit(50).await?);
    println!("withdraw 20: {}", account.withdraw(20).await?);
    match account.withdraw(40).await {
        Ok(left) => println!("withdraw 40: {left}"),
        Err(error) => println!("withdraw 40: {error}"),
    }

    client.close().await;
    server.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_there_can_not_be_withdrawn() -> teleport::Result<()> {
        let server = Peer::builder().service(AccountServer::new(Purse::default()))?.build()?;
        let session = Peer::builder().build()?.connect(&server).await?;
        let account = AccountClient::new(&session);

        assert_eq!(account.deposit(50).await?, 50);
        let refused = account.withdraw(51).await.unwrap_err();
        assert_eq!(refused.status(), Some(&Status::new(1000, "only 50 left")));
        assert_eq!(account.withdraw(50).await?, 0);
        Ok(())
    }
}
