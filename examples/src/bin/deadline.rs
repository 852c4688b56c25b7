//! A caller gives up, and so do all who work for it: a client asks a shop, and the shop its store.
//!
//! `cargo run -p teleport-examples --bin deadline`

use std::time::Duration;

use teleport::{Context, Peer, Result, Session, Status};
use tokio::sync::mpsc;

#[teleport::service]
trait Shop {
    async fn stock(&self, item: &str) -> Result<String, Status>;
    /// What was ordered is sent, whether or not somebody still waits for the receipt.
    #[pull(no_cancel)]
    async fn order(&self, item: &str) -> Result<String, Status>;
}

#[teleport::service]
trait Store {
    async fn count(&self, cx: &Context, item: &str) -> Result<String, Status>;
    async fn send(&self, item: &str) -> Result<String, Status>;
}

/// Asks the store. Nothing here says how long that may take: the caller does.
struct Counter(StoreClient);

impl Shop for Counter {
    async fn stock(&self, item: &str) -> Result<String, Status> {
        Ok(self.0.count(item).await?)
    }

    async fn order(&self, item: &str) -> Result<String, Status> {
        Ok(self.0.send(item).await?)
    }
}

/// Counting rugs takes for ever. What becomes of it is told.
struct Shelves(mpsc::UnboundedSender<&'static str>);

struct Counting(mpsc::UnboundedSender<&'static str>);

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = self.0.send("the store stops counting");
    }
}

impl Store for Shelves {
    async fn count(&self, cx: &Context, item: &str) -> Result<String, Status> {
        if item == "tea" {
            return Ok("12 in store".into());
        }
        if item == "gem" && cx.remaining().is_some_and(|left| left < Duration::from_secs(1)) {
            return Ok("the store is in a hurry: some".into());
        }
        let _ = self.0.send("the store counts");
        let _counting = Counting(self.0.clone());
        std::future::pending().await
    }

    async fn send(&self, _: &str) -> Result<String, Status> {
        let _ = self.0.send("the store packs");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = self.0.send("the store sends it all the same");
        Ok("sent".into())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let (told, mut hears) = mpsc::unbounded_channel();
    let store = Peer::builder().service(StoreServer::new(Shelves(told)))?.listen("127.0.0.1:0").await?;
    let to_store = Peer::builder().build()?.dial(store.local_addr()?).await?;
    let counter = Counter(StoreClient::new(&to_store));
    let shop = Peer::builder().service(ShopServer::new(counter))?.listen("127.0.0.1:0").await?;
    let session: Session = Peer::builder().build()?.dial(shop.local_addr()?).await?;
    let client = ShopClient::new(&session);

    // With the first answers the peers know of each other what they understand.
    println!("stock(\"tea\") .................... {}", client.stock("tea").await?);

    tokio::select! {
        _ = client.stock("rug") => unreachable!("it takes for ever"),
        _ = hears.recv() => {}
    }
    println!("stock(\"rug\"), given up .......... {}", hears.recv().await.unwrap_or_default());

    let brief = Duration::from_millis(50);
    assert!(client.stock("rug").timeout(brief).await.is_err());
    let _ = hears.recv().await;
    println!("stock(\"rug\") within 50 ms ....... {}", hears.recv().await.unwrap_or_default());
    let brief = Duration::from_millis(900);
    println!("stock(\"gem\") within 900 ms ...... {}", client.stock("gem").timeout(brief).await?);

    tokio::select! {
        _ = client.order("tea") => unreachable!("it takes a while"),
        _ = hears.recv() => {}
    }
    println!("order(\"tea\"), given up .......... {}", hears.recv().await.unwrap_or_default());
    Ok(())
}
