//! Every call in the log, with its body; slow ones as warnings that say where the time went.
//!
//! `cargo run -p teleport-examples --bin logs`
//! `RUST_LOG=teleport::calls=warn cargo run -p teleport-examples --bin logs`, for the slow ones alone

use std::time::Duration;

use teleport::{LogOptions, LogPart, Peer, Status};
use tracing_subscriber::EnvFilter;

#[teleport::service]
trait Bank {
    async fn balance(&self, account: u32) -> Result<i64, Status>;
    async fn login(&self, name: &str, password: &str) -> Result<String, Status>;
    async fn audit(&self) -> Result<(), Status>;
}

struct Counter;

impl Bank for Counter {
    async fn balance(&self, account: u32) -> Result<i64, Status> {
        if account == 7 { Ok(120) } else { Err(Status::not_found("no such account")) }
    }
    async fn login(&self, name: &str, _password: &str) -> Result<String, Status> {
        Ok(format!("token of {name}"))
    }
    async fn audit(&self) -> Result<(), Status> {
        tokio::time::sleep(Duration::from_millis(120)).await;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> teleport::Result<()> {
    let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("teleport::calls=info"));
    tracing_subscriber::fmt()
        .with_env_filter(wanted)
        .with_writer(std::io::stdout)
        .with_ansi(false)
        .without_time()
        .compact()
        .init();

    let logs = LogOptions::default().with_bodies(true).with_slow(Duration::from_millis(100));
    let server = Peer::builder()
        .service(BankServer::new(Counter))?
        .logs(logs)
        // Who logs in is nobody's business, and the token neither.
        .redact_logs(|logged| {
            let is_body = matches!(logged.part(), LogPart::Body | LogPart::ReplyBody);
            (is_body && logged.uri() == "/bank/login").then(|| "(hidden)".into())
        })
        .listen("127.0.0.1:0")
        .await?;

    // This end shows no bodies, but the same calls.
    let session = Peer::builder().build()?.dial(server.local_addr()?).await?;
    let bank = BankClient::new(&session);
    bank.balance(7).await?;
    println!("{}", bank.balance(8).await.unwrap_err());
    bank.login("Ada", "hunter2").await?;
    bank.audit().await?;
    session.close().await;
    server.close().await;
    Ok(())
}
