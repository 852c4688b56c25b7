//! Handlers for uris that nobody registered: they see the body as it came, and may bind it to a type.
//!
//! `cargo run -p teleport-examples --bin unknown`

use teleport::{Bincode, Context, Peer, ReplyBody, Status};

/// Answers the pulls that no other handler takes.
async fn unknown_pull(cx: Context) -> Result<ReplyBody, Status> {
    let (path, codec) = (cx.path(), char::from(cx.codec()));
    println!("  unknown pull {path}, codec {codec:?}, body \"{}\"", cx.payload().escape_ascii());
    match &*path {
        // The body goes back as it is, whatever it holds.
        "/echo" => Ok(ReplyBody::raw(cx.raw_body().as_bytes())),
        // Bound to a type: JSON, bincode or plain, as its codec id says. A body that is no number is answered 400.
        "/double" => ReplyBody::json(&(2 * cx.bind::<i32>()?)),
        _ => Err(Status::not_found(format!("nothing at {path}"))),
    }
}

/// Takes the pushes that no other handler takes.
async fn unknown_push(cx: Context) {
    match cx.bind::<f64>() {
        Ok(number) => println!("  unknown push {}, a number: {number}", cx.uri()),
        Err(_) => println!("  unknown push {}, {} bytes", cx.uri(), cx.payload().len()),
    }
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let server = Peer::builder()
        .pull("/known", |_, ()| async { Ok("registered") })?
        .unknown_pull(unknown_pull)
        .unknown_push(unknown_push)
        .listen("127.0.0.1:0")
        .await?;
    let client = Peer::builder().build()?;
    let session = client.dial(server.local_addr()?).await?;

    println!("{}", session.pull("/echo").body("as it came").await?.decode::<String>()?);
    println!("{}", session.pull("/double").codec(Bincode).body(&21).await?.decode::<i32>()?);
    for uri in ["/double", "/nowhere"] {
        match session.pull(uri).body("a word").await {
            Ok(reply) => println!("{}", reply.decode::<String>()?),
            Err(error) => println!("{error}"),
        }
    }

    session.push("/gauge?room=attic").body(&21.5).await?;
    session.push("/log").body("a line").await?;
    // A session takes packets in their order: when this is answered, the pushes were taken.
    println!("{}", session.pull("/known").await?.decode::<String>()?);

    client.close().await;
    server.close().await;
    Ok(())
}
