//! Those who speak no TLS, or something else, or nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use teleport::{Limits, Peer, Timeouts, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;

use super::{Authority, dialing, echoing, fails, listening, logged, works};
use crate::raw::log;

#[tokio::test]
async fn a_plain_dialer_at_a_tls_port_is_told() {
    let (lines, _guard) = log();
    let authority = Authority::new("root");
    let (server, address) = listening(authority.issue(&["127.0.0.1"]).tls()).await;
    let plain = address.replace("tls://", "tcp://");
    let client = echoing().build().unwrap();
    // The large one is on its way when the answer comes.
    for text in ["hi".to_owned(), "x".repeat(600_000)] {
        let session = client.dial(&plain).await.unwrap();
        let error = session.pull("/echo").body(&text).await.unwrap_err();
        assert!(error.is_closed(), "{error}");
        for part in ["they begin like TLS", "the alert of a listener", "dial tls://host:port"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        session.closed().await;
        logged(&lines, &["WARN", "the dialer speaks Teleport without TLS", "has to dial tls://"]).await;
        lines.lock().unwrap().clear();
    }
    let mut http = TcpStream::connect(address.trim_start_matches("tls://")).await.unwrap();
    http.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    http.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 40], "a TLS alert");
    // It is heard out: a connection that is reset takes the answer with it, on some systems.
    for _ in 0..3 {
        http.write_all(&[0; 1000]).await.unwrap();
        yield_now().await;
    }
    drop(http);
    logged(&lines, &["the dialer speaks HTTP"]).await;
    // One that only looks whether somebody is there is nothing to be warned of.
    lines.lock().unwrap().clear();
    drop(TcpStream::connect(address.trim_start_matches("tls://")).await.unwrap());
    works(&dialing(Tls::new().roots_pem(authority.pem())).dial(&address).await.unwrap()).await;
    // The call that went well has its event.
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("WARN") && server.sessions().len() == 1, "{text}");
}

#[tokio::test]
async fn a_tls_dialer_at_a_plain_port_is_told() {
    let (lines, _guard) = log();
    let client = dialing(Tls::new().roots_pem(Authority::new("root").pem()));
    let plain = echoing().listen("127.0.0.1:0").await.unwrap();
    let error = client.dial(plain.local_addr().unwrap().to_string().replace("tcp", "tls")).await.unwrap_err();
    assert!(error.is_io(), "{error}");
    for part in [
        "can't connect to tls://127.0.0.1:",
        "ended the connection",
        "if it speaks no TLS, dial tcp://host:port",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    logged(&lines, &["WARN", "sent what is no packet", "they begin like TLS", "listen at tls://host:port"])
        .await;

    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tls://{}", server.local_addr().unwrap());
    let answers = async {
        for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.example ESMTP\r\n"] {
            let (mut stream, _) = server.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Until the dialer has had enough.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    };
    let dials = async {
        fails(client.dial(&address).await, &["the listener speaks HTTP: dial tcp://"]);
        fails(client.dial(&address).await, &["the listener speaks no TLS: dial tcp://"]);
    };
    tokio::join!(answers, dials);
}

/// Listens and gives a handshake so long, if a time is given.
async fn impatient(authority: &Authority, within: Option<Duration>) -> (Peer, SocketAddr) {
    let mut timeouts = Timeouts::default();
    timeouts.handshake = within.unwrap_or(timeouts.handshake);
    let tls = authority.issue(&["127.0.0.1"]).tls();
    let server = echoing().tls(tls).timeouts(timeouts).listen("tls://127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().tcp().unwrap();
    (server, address)
}

#[tokio::test]
async fn a_dialer_that_says_nothing_holds_nobody_back() {
    let authority = Authority::new("root");
    let (_server, address) = impatient(&authority, None).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
    works(&dialing(Tls::new().roots_pem(authority.pem())).dial(format!("tls://{address}")).await.unwrap())
        .await;
    for stream in [silent, slow] {
        let still = stream.try_read(&mut [0; 1]).unwrap_err();
        assert_eq!(still.kind(), io::ErrorKind::WouldBlock, "it has its time");
    }
}

#[tokio::test]
async fn a_dialer_that_says_nothing_is_let_go() {
    let (lines, _guard) = log();
    let (_server, address) = impatient(&Authority::new("root"), Some(Duration::from_millis(20))).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 40], "a TLS alert");
    logged(&lines, &["WARN", "sent nothing within 20ms (setting `timeouts.handshake`)"]).await;

    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(&[0x16, 3, 1, 2, 0]).await.unwrap();
    assert_eq!(slow.read(&mut [0; 64]).await.unwrap_or(0), 0);
    logged(&lines, &["did not end it within 20ms (setting `timeouts.handshake`)"]).await;

    // One that could have called, and learns that it can't.
    echoing().build().unwrap().dial(format!("tcp://{address}")).await.unwrap().closed().await;
    logged(&lines, &["WARN", "sent what is no packet", "the alert of a listener", "dial tls://host:port"])
        .await;
}

#[tokio::test]
async fn past_the_limit_the_oldest_handshake_is_given_up() {
    let (lines, _guard) = log();
    let authority = Authority::new("root");
    let server = echoing()
        .tls(authority.issue(&["127.0.0.1"]).tls())
        .limits(Limits::default().with_max_handshakes(2))
        .listen("tls://127.0.0.1:0")
        .await
        .unwrap();
    let address = server.local_addr().unwrap();
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(TcpStream::connect(address.tcp().unwrap()).await.unwrap());
    }
    let session = dialing(Tls::new().roots_pem(authority.pem())).dial(&address).await.unwrap();
    works(&session).await;
    for stream in &mut silent[..4] {
        assert_eq!(stream.read(&mut [0; 64]).await.unwrap_or(0), 0, "it is closed");
    }
    logged(&lines, &["WARN", "given up for newer ones", "setting `limits.max_handshakes`"]).await;
    // Those that are through count no more.
    lines.lock().unwrap().clear();
    for _ in 0..5 {
        works(&dialing(Tls::new().roots_pem(authority.pem())).dial(&address).await.unwrap()).await;
    }
    let mut still = [0; 1];
    assert_eq!(
        silent[4].try_read(&mut still).unwrap_err().kind(),
        io::ErrorKind::WouldBlock,
        "one silent dialer does no harm"
    );
    server.shutdown().within(Duration::ZERO).await;
    assert_eq!(silent[4].read(&mut still).await.unwrap_or(0), 0, "handshakes end with the listener");
}
