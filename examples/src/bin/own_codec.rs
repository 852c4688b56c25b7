//! A codec of your own: MessagePack, wherever a built-in codec may stand.
//!
//! `cargo run -p teleport-examples --bin own_codec`

use std::io::Cursor;

use serde::{Deserialize, Serialize};
use teleport::{Codec, CodecError, Context, Decode, Encode, Input, Json, Peer};

/// The id travels in front of each body, so both sides have to agree on it.
#[derive(Clone, Copy, Default)]
struct MessagePack;

impl Codec for MessagePack {
    const ID: u8 = b'm';
    const NAME: &'static str = "messagepack";
}

impl<T: Serialize + ?Sized> Encode<T> for MessagePack {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        rmp_serde::encode::write(out, value).map_err(|error| CodecError::new(Self::NAME, error))
    }
}

impl<'de, T: Deserialize<'de>> Decode<'de, T> for MessagePack {
    fn decode(input: Input<'de>) -> Result<T, CodecError> {
        let mut reader = rmp_serde::Deserializer::new(Cursor::new(input.bytes()));
        // Bounds how deep values nest and how many there are, whatever the bytes claim.
        let value = input.deserialize(&mut reader).map_err(|error| CodecError::new(Self::NAME, error))?;
        match input.bytes().len() as u64 - reader.position() {
            0 => Ok(value),
            rest => Err(CodecError::new(Self::NAME, format!("{rest} bytes follow the value"))),
        }
    }
}

#[teleport::service(codec = MessagePack, codecs = [MessagePack, json])]
trait Words {
    async fn repeat(&self, #[ctx] cx: &Context, word: &str, times: u8) -> String;
}

struct Paper;

impl Words for Paper {
    async fn repeat(&self, cx: &Context, word: &str, times: u8) -> String {
        println!("  codec {:?}, body \"{}\"", char::from(cx.codec()), cx.payload().escape_ascii());
        word.repeat(times.into())
    }
}

#[tokio::main]
async fn main() -> teleport::Result<()> {
    let server = Peer::builder().service(WordsServer::new(Paper))?.listen("127.0.0.1:0").await?;
    let client = Peer::builder().build()?;
    let session = client.dial(server.local_addr()?).await?;
    let words = WordsClient::new(&session);

    println!("a call of the service");
    println!("  {}", words.repeat("ho", 3).await?);
    println!("the same call over json");
    println!("  {}", words.repeat("ho", 3).codec(Json).await?);

    println!("a call without the trait");
    // Arguments travel in order here: this MessagePack writes no names.
    let reply = session.pull("/words/repeat").codec(MessagePack).body(&("ha", 2)).await?;
    println!("  {}", reply.decode_as::<(MessagePack,), String>()?);

    client.close().await;
    server.close().await;
    Ok(())
}
