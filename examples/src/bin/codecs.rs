//! One trait over JSON, bincode and Protobuf: the codec is chosen by service, by method, and by call.
//!
//! `cargo run -p teleport-examples --bin codecs`

use teleport::{Context, Json, Peer, Protobuf};

/// Travels in all three: serde writes it as JSON and bincode, prost as Protobuf.
#[derive(Clone, Copy, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
struct Point {
    #[prost(sint64, tag = "1")]
    x: i64,
    #[prost(sint64, tag = "2")]
    y: i64,
}

/// The server takes any of the three, and answers in the one that it was called in.
#[teleport::service(codec = bincode, codecs = [json, bincode, protobuf])]
trait Plane {
    /// Says nothing, so it is the service's: bincode.
    async fn mirror(&self, #[ctx] cx: &Context, point: Point) -> Point;
    /// Has a default of its own.
    #[pull(codec = protobuf)]
    async fn turn(&self, #[ctx] cx: &Context, point: Point) -> Point;
}

struct Flat;

impl Plane for Flat {
    async fn mirror(&self, cx: &Context, point: Point) -> Point {
        print_body(cx);
        Point { x: -point.x, y: point.y }
    }

    async fn turn(&self, cx: &Context, point: Point) -> Point {
        print_body(cx);
        Point { x: -point.y, y: point.x }
    }
}

/// The body as it came: the id of its codec, and the bytes.
fn print_body(cx: &Context) {
    println!("  codec {:?}, body \"{}\"", char::from(cx.codec()), cx.payload().escape_ascii());
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let server = Peer::builder().service(PlaneServer::new(Flat))?.listen("127.0.0.1:0").await?;
    let client = Peer::builder().build()?;
    let session = client.dial(server.local_addr()?).await?;
    let plane = PlaneClient::new(&session);
    let point = Point { x: 3, y: 40 };

    println!("by service");
    print_point(plane.mirror(point).await?);
    println!("by method");
    print_point(plane.turn(point).await?);
    println!("by call");
    print_point(plane.mirror(point).codec(Json).await?);
    print_point(plane.mirror(point).codec(Protobuf).await?);
    // `plane.mirror(point).codec(Plain)` does not compile: the service does not list it.

    println!("without the trait");
    let reply = session.pull("/plane/turn").codec(Protobuf).body(&point).await?;
    print_point(reply.decode_as::<(Protobuf, Json), Point>()?);

    client.close().await;
    server.close().await;
    Ok(())
}

fn print_point(point: Point) {
    println!("  to ({}, {})", point.x, point.y);
}
