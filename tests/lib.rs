//! Helpers shared by the integration tests: a peer that is nothing but bytes.

use teleport::wire::{self, Body, Header, HeaderCodecs, Kind, Limits, Packet, PacketId};
use teleport::{Connection, Peer, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

/// The other side of a session, as bytes.
#[derive(Debug)]
pub struct RawPeer<S = DuplexStream> {
    stream: S,
    received: Vec<u8>,
}

impl RawPeer {
    /// Connects to a peer; the peer's session too.
    pub async fn connect(peer: &Peer) -> (Self, Session) {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let session =
            peer.attach(Connection::from_stream(far, "test://peer", "test://raw")).await.expect("attached");
        (RawPeer::new(near), session)
    }
}

impl<S: AsyncWrite + Unpin> RawPeer<S> {
    /// Sends these bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the peer reads");
    }

    /// Sends one packet with a Protobuf header.
    pub async fn send_packet(&mut self, header: &Header<'_>, body: Body<'_>) {
        self.send(&packet(b'p', header, body)).await;
    }

    /// Sends a pull with this text id.
    pub async fn pull(&mut self, id: &str, uri: &str, body: Body<'_>) {
        self.send_packet(&Header::new(PacketId::Text(id.into()), Kind::PULL, uri), body).await;
    }

    /// Ends the direction to the peer.
    pub async fn end(&mut self) {
        self.stream.shutdown().await.expect("the peer still reads");
    }
}

impl<S: AsyncRead + Unpin> RawPeer<S> {
    /// The other side of a session that runs over `stream`.
    pub fn new(stream: S) -> Self {
        RawPeer { stream, received: Vec::new() }
    }

    /// The stream that it talks over.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The next packet; panics where the peer ends the connection instead.
    pub async fn receive(&mut self) -> Packet {
        self.try_receive().await.expect("a packet before the end of the connection")
    }

    /// The next packet, or `None` at the end of the connection.
    pub async fn try_receive(&mut self) -> Option<Packet> {
        let (codecs, limits) = (HeaderCodecs::default(), Limits::default().with_max_body(u32::MAX));
        let frame = self.try_receive_frame().await?;
        Some(Packet::from_frame(frame, &codecs, &limits).expect("a whole packet"))
    }

    /// The bytes of the next packet, or `None` at the end of the connection.
    pub async fn try_receive_frame(&mut self) -> Option<Vec<u8>> {
        let (codecs, limits) = (HeaderCodecs::default(), Limits::default().with_max_body(u32::MAX));
        loop {
            if let Some((_, length)) =
                wire::read(&self.received, &codecs, &limits).expect("the peer sends packets")
            {
                let rest = self.received.split_off(length);
                return Some(std::mem::replace(&mut self.received, rest));
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// One packet as bytes.
#[must_use]
pub fn packet(header_codec: u8, header: &Header<'_>, body: Body<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let limits = Limits::default().with_max_body(u32::MAX).with_max_header(u32::MAX).with_max_uri(u32::MAX);
    wire::write(&mut bytes, &HeaderCodecs::default(), header_codec, header, body, &limits).expect("a packet");
    bytes
}

/// A JSON body.
#[must_use]
pub fn json(text: &str) -> Body<'_> {
    Body::Payload { codec: b'j', payload: text.as_bytes() }
}
