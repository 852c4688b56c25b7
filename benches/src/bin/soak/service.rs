//! What is called, and who answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use teleport::{Context, Status};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::options::Leak;

/// What a server does.
#[teleport::service(codec = bincode)]
pub(crate) trait Mixed {
    #[pull(idempotent)]
    async fn small(&self, n: u64) -> u64;
    #[pull(codec = plain)]
    async fn large(&self, bytes: &[u8]) -> Vec<u8>;
    #[pull(codec = json)]
    async fn join(&self, words: Vec<String>) -> String;
    /// Answers after a while.
    async fn slow(&self, millis: u64) -> u64;
    /// Never succeeds.
    async fn fail(&self) -> Result<u64, Status>;
    /// Asks its caller for a number, and tells it one.
    async fn ask_back(&self, #[ctx] cx: &Context, n: u64) -> Result<u64, Status>;
    #[push]
    async fn note(&self, line: &str);
}

/// What a client does for its server.
#[teleport::service(codec = bincode)]
pub(crate) trait Back {
    async fn twice(&self, n: u64) -> u64;
    #[push]
    async fn told(&self, n: u64);
}

/// Answers.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) leak: Option<Leak>,
}

impl Mixed for Answers {
    async fn small(&self, n: u64) -> u64 {
        if let Some(leak) = self.leak {
            lose(leak).await;
        }
        n
    }

    async fn large(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    async fn join(&self, words: Vec<String>) -> String {
        words.join(" ")
    }

    async fn slow(&self, millis: u64) -> u64 {
        sleep(Duration::from_millis(millis)).await;
        millis
    }

    async fn fail(&self) -> Result<u64, Status> {
        Err(Status::new(1000, "as always"))
    }

    async fn ask_back(&self, cx: &Context, n: u64) -> Result<u64, Status> {
        let back = BackClient::new(cx.session());
        back.told(n).await?;
        Ok(back.twice(n).await?)
    }

    async fn note(&self, _: &str) {}
}

/// Answers callbacks.
pub(crate) struct Doubler;

impl Back for Doubler {
    async fn twice(&self, n: u64) -> u64 {
        2 * n
    }

    async fn told(&self, _: u64) {}
}

/// Loses something for good, now and then, to show that this is found out.
async fn lose(leak: Leak) {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let number = CALLS.fetch_add(1, Ordering::Relaxed);
    match leak {
        Leak::Memory => std::mem::forget(vec![0_u8; 4096]),
        Leak::Tasks if number.is_multiple_of(8) => drop(tokio::spawn(std::future::pending::<()>())),
        Leak::Descriptors if number.is_multiple_of(8) => {
            std::mem::forget(TcpListener::bind("127.0.0.1:0").await);
        }
        Leak::Tasks | Leak::Descriptors => {}
    }
}
