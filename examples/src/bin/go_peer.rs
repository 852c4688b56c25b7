//! Talking to releases 2.0 to 2.6 of the original, in Go: their packet ids, JSON headers, Protobuf bodies.
//!
//! `cargo run -p teleport-examples --bin go_peer`, or `-- 127.0.0.1:9090` where such a peer listens.
//!
//! Without an address it dials a stand-in: a Teleport peer of ours, set to write as those releases do. On the Go side
//! it takes a type `Greeter` with a method `Greet`, whose argument and reply are messages with a string as field 1.

use teleport::{Context, IdFormat, JsonHeader, Peer, PeerBuilder};

#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, tag = "1")]
    text: String,
}

/// The uri is the one that Go gives the method too: `/greeter/greet`.
#[teleport::service(codec = protobuf)]
trait Greeter {
    async fn greet(&self, #[ctx] cx: &Context, name: Text) -> Text;
}

/// What the other side may call back.
#[teleport::service(codec = protobuf)]
trait Caller {
    async fn title(&self, #[ctx] cx: &Context, name: Text) -> Text;
}

struct StandIn;

impl Greeter for StandIn {
    async fn greet(&self, cx: &Context, name: Text) -> Text {
        print_header("the stand-in gets", cx);
        let title = CallerClient::new(cx.session()).title(name.clone()).await.unwrap_or_default();
        Text { text: format!("hello {}{}", title.text, name.text) }
    }
}

struct Titles;

impl Caller for Titles {
    async fn title(&self, cx: &Context, name: Text) -> Text {
        print_header("the dialer gets", cx);
        Text { text: if name.text == "Ada" { "Lady ".into() } else { String::new() } }
    }
}

fn print_header(who: &str, cx: &Context) {
    let (header, body) = (char::from(cx.header_codec()), char::from(cx.codec()));
    println!("{who}: pull {}, {:?}, header {header:?}, body {body:?}", cx.uri(), cx.id());
}

/// What to set for those releases. Replies need no setting: they are written as their pull was.
fn as_those_releases() -> teleport::Result<PeerBuilder> {
    // They read a number where the specification has a string. Headers could stay in Protobuf, which they read as
    // well; JSON ones can be read in a capture.
    Peer::builder().id_format(IdFormat::Sequence).header_codec(JsonHeader)
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let stand_in = as_those_releases()?.service(GreeterServer::new(StandIn))?.build()?;
    let address = match std::env::args().nth(1) {
        Some(address) => address,
        None => stand_in.listen("127.0.0.1:0").await?.to_string(),
    };

    let client = as_those_releases()?.service(CallerServer::new(Titles))?.build()?;
    let session = client.dial(&address).await?;
    let reply = GreeterClient::new(&session).greet(Text { text: "Ada".into() }).await?;
    println!("the reply: {}", reply.text);

    client.close().await;
    stand_in.close().await;
    Ok(())
}
