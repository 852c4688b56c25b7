//! What a handler sets beside the value that it returns, of its reply and of its session.
//!
//! `cargo run -p teleport-examples --bin handler`

use std::time::Duration;

use teleport::{Bincode, Context, Peer, Status};

#[teleport::service]
trait Shelf {
    async fn enter(&self, cx: &Context, name: &str) -> Result<(), Status>;
    async fn put(&self, cx: &Context, book: &str) -> Result<usize, Status>;
    async fn read(&self, cx: &Context) -> Result<Vec<u8>, Status>;
}

struct Library;

/// What is kept with each session, by its type.
struct Reader {
    name: String,
}

impl Shelf for Library {
    async fn enter(&self, cx: &Context, name: &str) -> Result<(), Status> {
        let session = cx.session();
        session.set_id(name)?; // one that is taken is a 409 for the caller
        session.extensions().insert(Reader { name: name.into() });
        // Who is known may be quiet for longer than strangers, and is to be quick with what it has begun.
        session.set_idle_timeout(Duration::from_secs(24 * 3600));
        session.set_read_timeout(Duration::from_secs(5));
        session.set_write_timeout(Duration::from_secs(5));
        Ok(())
    }

    async fn put(&self, cx: &Context, book: &str) -> Result<usize, Status> {
        let reader = cx.session().extensions().get::<Reader>();
        let reader = reader.ok_or_else(|| Status::unauthorized("enter first"))?;
        cx.set_reply_status(Status::new(200, format!("{} put {book} there", reader.name)));
        Ok(1)
    }

    async fn read(&self, cx: &Context) -> Result<Vec<u8>, Status> {
        cx.set_reply_codec(Bincode); // as JSON, bytes are a list of numbers
        cx.set_reply_gzip(6);
        Ok(vec![7; 1000])
    }
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let server = Peer::builder().service(ShelfServer::new(Library))?.listen("127.0.0.1:0").await?;
    let client = Peer::builder().build()?;
    let session = client.dial(server.local_addr()?).await?;
    let shelf = ShelfClient::new(&session);

    println!("{}", shelf.put("Emma").await.unwrap_err().reason());
    shelf.enter("Ada").await?;
    println!("the session is \"Ada\": {}", server.sessions().get("Ada").is_some());

    // A generated client gives the value; what came beside it stands in the reply of a dynamic call.
    let reply = session.pull("/shelf/put").body("Emma").await?;
    println!("{}", reply.status());
    let reply = session.pull("/shelf/read").await?;
    println!("codec {:?}, gzip {}", char::from(reply.codec()), reply.gzip());
    println!("{} bytes", shelf.read().await?.len());

    let other = client.dial(server.local_addr()?).await?;
    println!("{}", ShelfClient::new(&other).enter("Ada").await.unwrap_err().reason());
    client.close().await;
    server.close().await;
    Ok(())
}
