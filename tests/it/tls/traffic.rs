//! What goes over a session with TLS, and how it ends.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use teleport::Tls;
use teleport::rustls::pki_types::ServerName;
use teleport::rustls::version::TLS13;
use teleport::wire::{Header, Kind, PacketId};
use teleport_tests::{RawPeer, json, packet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Authority, dialing, far_end, listening, only, works};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_and_many_calls_go_both_ways() {
    let authority = Authority::new("root");
    let (server, address) = listening(authority.issue(&["127.0.0.1"]).tls()).await;
    let client = dialing(Tls::new().roots_pem(authority.pem()));
    let session = client.dial(&address).await.unwrap();
    let far = far_end(&server).await;
    let mut calls = Vec::new();
    for n in 0..8 {
        for session in [session.clone(), far.clone()] {
            calls.push(tokio::spawn(async move {
                let text = char::from(b'a' + n).to_string().repeat(1_000_000 + usize::from(n));
                let reply = session.pull("/echo").body(&text).await.unwrap();
                assert!(reply.decode::<String>().unwrap() == text);
            }));
        }
    }
    for n in 0..2000 {
        for session in [session.clone(), far.clone()] {
            calls.push(tokio::spawn(async move {
                let text = n.to_string();
                let reply = session.pull("/echo").body(&text).await.unwrap();
                assert_eq!(reply.decode::<String>().unwrap(), text);
            }));
        }
    }
    for call in calls {
        call.await.unwrap();
    }
    // One after the other, so that each is written in place.
    for _ in 0..200 {
        works(&session).await;
        works(&far).await;
    }
}

/// The other side of a session, as bytes over TLS; what the server sends is kept as it travels.
async fn raw(authority: &Authority, address: &str) -> RawPeer<tokio_rustls::client::TlsStream<Tap>> {
    let connector = TlsConnector::from(Arc::new(only(&TLS13, authority, None)));
    let tcp = Tap {
        stream: TcpStream::connect(address.trim_start_matches("tls://")).await.unwrap(),
        seen: Arc::default(),
    };
    RawPeer::new(connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap())
}

/// A TCP stream that keeps what it reads.
struct Tap {
    stream: TcpStream,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.seen.lock().unwrap().extend_from_slice(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn replies_made_together_share_their_records() {
    let authority = Authority::new("root");
    let (_server, address) = listening(authority.issue(&["localhost"]).tls()).await;
    let mut raw = raw(&authority, &address).await;
    let mut pulls = Vec::new();
    for n in 0..200 {
        pulls.extend(packet(b'p', &Header::new(PacketId::Sequence(n), Kind::PULL, "/echo"), json("\"hi\"")));
    }
    raw.send(&pulls).await;
    let tap = raw.stream().get_ref().0.seen.clone();
    tap.lock().unwrap().clear();
    for n in 0..200 {
        assert_eq!(raw.receive().await.id(), PacketId::Sequence(n));
    }
    let bytes = tap.lock().unwrap().clone();
    let (mut at, mut records) = (0, 0);
    while at < bytes.len() {
        assert_eq!(bytes[at], 0x17, "a record of data");
        at += 5 + usize::from(u16::from_be_bytes([bytes[at + 3], bytes[at + 4]]));
        records += 1;
    }
    assert!(records < 20, "{records} records for 200 replies");
}

#[tokio::test]
async fn a_close_says_that_it_is_one() {
    let authority = Authority::new("root");
    let (server, address) = listening(authority.issue(&["localhost"]).tls()).await;
    let mut peer = raw(&authority, &address).await;
    let far = far_end(&server).await;
    let closing = tokio::spawn(async move { far.close().await });
    let mut rest = Vec::new();
    // Without the notice at the end of TLS this is an error.
    peer.stream().read_to_end(&mut rest).await.unwrap();
    peer.end().await;
    closing.await.unwrap();

    // And a reply that was asked for before the end still comes, from either side that ends.
    let mut peer = raw(&authority, &address).await;
    peer.pull("1", "/echo", json("\"late\"")).await;
    peer.end().await;
    assert_eq!(peer.receive().await.body().payload(), b"\"late\"");
    assert!(peer.try_receive().await.is_none());
}

#[tokio::test]
async fn who_dials_while_a_peer_shuts_down_gets_a_session_that_ends_in_good_order() {
    let authority = Authority::new("root");
    let (server, address) = listening(authority.issue(&["localhost"]).tls()).await;
    let connector = TlsConnector::from(Arc::new(only(&TLS13, &authority, None)));
    let stream = TcpStream::connect(address.trim_start_matches("tls://")).await.unwrap();
    let (report, _) = tokio::join!(server.shutdown(), async {
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        // An end without the notice of TLS is an error.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
    assert_eq!((report.sessions, report.cut_count), (1, 0), "{report}");
}

#[tokio::test]
async fn a_connection_that_is_lost_is_told_from_one_that_is_closed() {
    let authority = Authority::new("root");
    let reply = packet(b'p', &Header::new(PacketId::Text("0".into()), Kind::REPLY, "/x"), json("1"));
    // Cut between two packets nothing is missing, as far as anybody can tell.
    for (cut, reason) in [
        (reply.len() / 2, "the connection ended inside a packet, after"),
        (0, "the other side closed the connection"),
    ] {
        let (server, address) = listening(authority.issue(&["localhost"]).tls()).await;
        let mut raw = raw(&authority, &address).await;
        let far = far_end(&server).await;
        let call = tokio::spawn(async move { far.pull("/x").await });
        assert_eq!(raw.receive().await.uri(), "/x");
        raw.send(&reply[..cut]).await;
        raw.stream().flush().await.unwrap();
        raw.stream().get_mut().0.stream.shutdown().await.unwrap();
        let error = call.await.unwrap().unwrap_err();
        assert!(error.is_closed() && error.to_string().contains(reason), "{error}");
    }
}
