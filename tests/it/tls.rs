//! TLS: handshakes that come to terms and those that don't, and sessions over it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use teleport::rustls::crypto::ring;
use teleport::rustls::pki_types::pem::PemObject;
use teleport::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use teleport::rustls::version::{TLS12, TLS13};
use teleport::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use teleport::wire::{Header, Kind, PacketId};
use teleport::{Context, Limits, Peer, PeerBuilder, Session, Status, Timeouts, Tls};
use teleport_tests::{RawPeer, json, packet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio_rustls::TlsConnector;

use crate::raw::log;

/// Signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Identity {
    fn tls(&self) -> Tls {
        self.with(Tls::new())
    }

    fn with(&self, tls: Tls) -> Tls {
        tls.identity_pem(&self.certificate, &self.key)
    }

    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes()).map(Result::unwrap).collect()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

fn echoing() -> PeerBuilder {
    Peer::builder().pull("/echo", |_, text: String| async move { Ok(text) }).unwrap()
}

async fn listening(tls: Tls) -> (Peer, String) {
    let peer = echoing().tls(tls).listen("tls://127.0.0.1:0").await.unwrap();
    let address = peer.local_addr().unwrap().to_string();
    assert!(address.starts_with("tls://127.0.0.1:"), "{address}");
    (peer, address)
}

fn dialing(tls: Tls) -> Peer {
    echoing().tls(tls).build().unwrap()
}

async fn works(session: &Session) {
    assert_eq!(session.pull("/echo").body("hi").await.unwrap().decode::<String>().unwrap(), "hi");
}

/// The other end of a session, at the peer that was dialed.
async fn far_end(peer: &Peer) -> Session {
    loop {
        if let Some(session) = peer.sessions().all().pop() {
            return session;
        }
        yield_now().await;
    }
}

/// Waits until the log has a line with all of these.
async fn logged(lines: &Mutex<Vec<u8>>, parts: &[&str]) {
    loop {
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        if text.lines().any(|line| parts.iter().all(|part| line.contains(part))) {
            return;
        }
        yield_now().await;
    }
}

/// Dials, which is to fail over TLS with a text that has all of these.
#[track_caller]
fn fails(dialed: teleport::Result<Session>, parts: &[&str]) {
    let error = dialed.unwrap_err();
    assert!(error.is_tls(), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("can't connect to tls://127.0.0.1:"), "{text}");
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[tokio::test]
async fn a_listener_shows_its_certificate_and_both_sides_call() {
    let authority = Authority::new("root");
    let (server, address) = listening(authority.issue(&["127.0.0.1", "localhost"]).tls()).await;
    let client = dialing(Tls::new().roots_pem(authority.pem()));
    let session = client.dial(&address).await.unwrap();
    works(&session).await;
    assert_eq!(session.remote_addr(), &server.local_addr().unwrap());
    assert!(session.remote_addr().tcp().is_some());
    let tls = session.tls().expect("it runs over TLS");
    assert_eq!((tls.peer_certificates().len(), tls.server_name(), tls.alpn()), (1, None, None));
    assert!(
        tls.peer_is_named("localhost") && tls.peer_is_named("127.0.0.1") && !tls.peer_is_named("example.org")
    );
    assert_eq!(tls.version(), Some(rustls::ProtocolVersion::TLSv1_3));

    let far = far_end(&server).await;
    works(&far).await;
    let tls = far.tls().expect("it runs over TLS");
    assert!(tls.peer_certificates().is_empty() && !tls.peer_is_named("localhost"));
    session.close().await;
    far.closed().await;

    let port = address.rsplit_once(':').unwrap().1;
    let session = client.dial(format!("tls://localhost:{port}")).await.unwrap();
    works(&session).await;
    assert_eq!(far_end(&server).await.tls().unwrap().server_name(), Some("localhost"));
    assert!(client.dial(format!("tcp://localhost:{port}")).await.unwrap().tls().is_none());
}

#[tokio::test]
async fn a_handler_sees_who_calls() {
    async fn who(cx: Context, (): ()) -> Result<bool, Status> {
        let tls = cx.session().tls().ok_or_else(|| Status::new(1000, "no TLS"))?;
        Ok(tls.peer_is_named("ada.example") && tls.peer_certificates().len() == 1)
    }
    let authority = Authority::new("root");
    let clients = Authority::new("root of clients");
    let tls = authority.issue(&["127.0.0.1"]).tls().client_roots_pem(clients.pem());
    let server =
        Peer::builder().pull("/who", who).unwrap().tls(tls).listen("tls://127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    for (name, known) in [("ada.example", true), ("bob.example", false)] {
        let client = dialing(clients.issue(&[name]).with(Tls::new().roots_pem(authority.pem())));
        for _ in 0..2 {
            // The second time over a ticket of the first.
            let session = client.dial(&address).await.unwrap();
            assert_eq!(session.pull("/who").await.unwrap().decode::<bool>().unwrap(), known);
        }
    }
}

#[tokio::test]
async fn a_listener_that_is_not_believed_is_not_talked_to() {
    let (lines, _guard) = log();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let client = dialing(Tls::new().roots_pem(ours.pem()));

    let (_server, address) = listening(theirs.issue(&["127.0.0.1"]).tls()).await;
    let known = "no authority that is known here; add that authority with `Tls::roots_file`";
    fails(client.dial(&address).await, &["the certificate of the listener", known]);
    logged(
        &lines,
        &["WARN", "a TLS handshake failed", "peer=tls://127.0.0.1:", "does not know the authority"],
    )
    .await;

    let (_server, address) = listening(ours.issue(&["far.example", "10.0.0.1"]).tls()).await;
    let parts = ["is not for \"127.0.0.1\" but for", "far.example", "10.0.0.1", "`Tls::server_name`"];
    fails(client.dial(&address).await, &parts);
    works(&client.dial(&address).server_name("far.example").await.unwrap()).await;
    let named = dialing(Tls::new().roots_pem(ours.pem()).server_name("far.example"));
    works(&named.dial(&address).await.unwrap()).await;
    assert!(named.dial(&address).server_name("near.example").await.unwrap_err().is_tls());
    assert!(named.dial(&address).server_name("not a name").await.unwrap_err().is_config());

    let expired = ours.issue_with(&["127.0.0.1"], |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    });
    let (_server, address) = listening(expired.tls()).await;
    fails(client.dial(&address).await, &["the certificate of the listener has expired; give it a new one"]);
    logged(&lines, &["a TLS handshake failed", "to the dialer this side's certificate has expired"]).await;

    let early = ours.issue_with(&["127.0.0.1"], |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2900, 1, 1), date_time_ymd(2901, 1, 1));
    });
    let (_server, address) = listening(early.tls()).await;
    fails(client.dial(&address).await, &["is not valid yet; set the clock"]);

    let purpose = ours.issue_with(&["127.0.0.1"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let (_server, address) = listening(purpose.tls()).await;
    fails(client.dial(&address).await, &["not made to be a server's"]);

    let anybody = dialing(Tls::new().danger_accept_any_server());
    works(&anybody.dial(&address).await.unwrap()).await;
}

/// A dialer's configuration of one version of TLS.
fn only(
    version: &'static rustls::SupportedProtocolVersion,
    roots: &Authority,
    identity: Option<&Identity>,
) -> ClientConfig {
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from_pem_slice(roots.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(store);
    match identity {
        Some(identity) => {
            builder.with_client_auth_cert(identity.certificates(), identity.private_key()).unwrap()
        }
        None => builder.with_no_client_auth(),
    }
}

#[tokio::test]
async fn a_dialer_that_is_not_believed_learns_it_when_it_dials() {
    let (lines, _guard) = log();
    let (root, clients, others) =
        (Authority::new("root"), Authority::new("clients"), Authority::new("others"));
    let identity = root.issue(&["127.0.0.1"]);
    let (_server, strict) = listening(identity.tls().client_roots_pem(clients.pem())).await;
    let (lax_server, lax) =
        listening(identity.tls().client_roots_pem(clients.pem()).clients_optional()).await;
    let (good, foreign) = (clients.issue(&["ada"]), others.issue(&["eve"]));
    let expired = clients.issue_with(&["old"], |params| params.not_after = date_time_ymd(2002, 1, 1));
    for version in [&TLS13, &TLS12] {
        let with = |identity| dialing(Tls::new().client_config(only(version, &root, identity)));
        works(&with(Some(&good)).dial(&strict).await.unwrap()).await;
        fails(with(None).dial(&strict).await, &["the listener wants a certificate", "`Tls::identity_files`"]);
        logged(&lines, &["shows no certificate, and has to", "`Tls::clients_optional` here"]).await;
        for address in [&strict, &lax] {
            let parts = ["the listener does not know the authority of this side's certificate"];
            fails(with(Some(&foreign)).dial(address).await, &parts);
            logged(&lines, &["the certificate of the dialer", "`Tls::client_roots_file`"]).await;
            fails(with(Some(&expired)).dial(address).await, &["has expired or is not valid yet; renew it"]);
        }
        works(&with(Some(&good)).dial(&lax).await.unwrap()).await;
        let client = with(None);
        let session = client.dial(&lax).await.unwrap();
        works(&session).await;
        assert!(
            lax_server.sessions().all().iter().any(|far| far.tls().unwrap().peer_certificates().is_empty())
        );
        lines.lock().unwrap().clear();
    }
}

/// A listener that says nothing after the handshake, and so nothing of the dialer's certificate, until it is spoken to.
#[tokio::test]
async fn a_verdict_that_comes_late_ends_the_session_with_its_reason() {
    let (root, others) = (Authority::new("root"), Authority::new("others"));
    let identity = root.issue(&["127.0.0.1"]);
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tls://{}", server.local_addr().unwrap());
    let mut clients = RootCertStore::empty();
    clients.add(CertificateDer::from_pem_slice(root.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier =
        rustls::server::WebPkiClientVerifier::builder_with_provider(clients.into(), provider.clone())
            .build()
            .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.certificates(), identity.private_key())
        .unwrap();
    let (may_answer, mut answers) = tokio::sync::mpsc::channel::<()>(1);
    tokio::spawn(async move {
        let (stream, _) = server.accept().await.unwrap();
        let (mut read, write) = stream.into_split();
        let mut connection = rustls::ServerConnection::new(config.into()).unwrap();
        let mut bytes = vec![0; 4096];
        loop {
            let count = read.read(&mut bytes).await.unwrap();
            connection.read_tls(&mut &bytes[..count]).unwrap();
            let judged = connection.process_new_packets().is_err();
            if judged {
                answers.recv().await;
            }
            let mut out = Vec::new();
            while connection.wants_write() {
                connection.write_tls(&mut out).unwrap();
            }
            write.writable().await.unwrap();
            assert_eq!(write.try_write(&out).unwrap_or(0), out.len());
            if judged {
                return;
            }
        }
    });
    let client = dialing(others.issue(&["eve"]).with(Tls::new().roots_pem(root.pem())));
    let session = client.dial(&address).await.expect("nothing was said against it yet");
    may_answer.send(()).await.unwrap();
    let error = session.pull("/echo").body("hi").await.unwrap_err();
    assert!(error.is_closed() && error.to_string().contains("does not know the authority"), "{error}");
}

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
    assert!(lines.lock().unwrap().is_empty() && server.sessions().len() == 1);
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
    server.close().await;
    assert_eq!(silent[4].read(&mut still).await.unwrap_or(0), 0, "handshakes end with the listener");
}

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
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Task<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.seen.lock().unwrap().extend_from_slice(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Task<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<io::Result<()>> {
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
    assert_eq!(peer.stream().read_to_end(&mut rest).await.unwrap(), 0);
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

/// Files in a folder that goes away.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("teleport-it-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Files(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn files_are_read_again_and_open_sessions_stay() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let files = Files::new("reload");
    let write = |authority: &Authority| {
        let Identity { certificate, key } = authority.issue(&["127.0.0.1"]);
        (
            files.write("cert.pem", &certificate),
            files.write("key.pem", &key),
            files.write("ca.pem", &authority.pem()),
        )
    };
    let (certificate, key, roots) = write(&first);
    let (server, address) = listening(Tls::new().identity_files(&certificate, &key)).await;
    let client = dialing(Tls::new().roots_file(&roots));
    let before = client.dial(&address).await.unwrap();
    write(&second);
    // Nothing changes before it is asked for, and nothing where the files can't be used.
    works(&client.dial(&address).await.unwrap()).await;
    let readable = std::fs::read_to_string(&key).unwrap();
    files.write("key.pem", "not a key");
    let error = server.reload_tls().unwrap_err();
    assert!(
        error.is_config() && error.to_string().contains("key.pem holds no private key in PEM"),
        "{error}"
    );
    works(&client.dial(&address).await.unwrap()).await;
    files.write("key.pem", &readable);

    server.reload_tls().unwrap();
    fails(client.dial(&address).await, &["no authority that is known here"]);
    client.reload_tls().unwrap();
    works(&client.dial(&address).await.unwrap()).await;
    works(&before).await;
    client.set_tls(Tls::new().roots_pem(first.pem())).unwrap();
    fails(client.dial(&address).await, &["no authority that is known here"]);
    let without = Peer::builder().build().unwrap();
    assert!(without.reload_tls().unwrap_err().to_string().contains("`PeerBuilder::tls`"));
}

#[tokio::test]
async fn what_is_missing_or_can_not_be_used_is_named() {
    let authority = Authority::new("root");
    let (identity, other) = (authority.issue(&["127.0.0.1"]), authority.issue(&["127.0.0.1"]));
    let files = Files::new("unusable");
    let empty = files.write("empty.pem", "");
    let certificate = files.write("cert.pem", &identity.certificate);
    let refused = |tls: Tls| Peer::builder().tls(tls).build().unwrap_err();
    for (tls, says) in [
        (Tls::new().identity_files(&empty, &empty), "empty.pem holds no certificate in PEM"),
        (Tls::new().identity_files(&certificate, &empty), "empty.pem holds no private key in PEM"),
        (Tls::new().roots_file(&empty), "empty.pem holds no certificate in PEM"),
        (
            Tls::new().roots_pem("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"),
            "memory is not to be read",
        ),
        (Tls::new().identity_pem(&identity.certificate, &other.key), "don't belong together"),
        (Tls::new().client_roots_pem(authority.pem()), "set `Tls::identity_files`"),
        (Tls::new().roots_pem(authority.pem()).server_name("a b"), "\"a b\" is neither a DNS name nor"),
    ] {
        let error = refused(tls);
        assert!(error.is_config() && error.to_string().contains(says), "{error} does not say {says}");
    }
    let error = refused(Tls::new().roots_file(Path::new("/no/such/ca.pem")));
    assert!(error.is_io() && error.to_string().contains("can't read /no/such/ca.pem"), "{error}");

    let without = Peer::builder().build().unwrap();
    let only_roots = dialing(Tls::new().roots_pem(authority.pem()));
    for peer in [&without, &only_roots] {
        let error = peer.listen("tls://127.0.0.1:0").await.unwrap_err();
        assert!(error.is_config() && error.to_string().contains("`Tls::identity_files`"), "{error}");
    }
    for peer in [without, dialing(identity.tls())] {
        let error = peer.dial("tls://127.0.0.1:1").await.unwrap_err();
        assert!(error.is_config() && error.to_string().contains("`Tls::roots_file`"), "{error}");
    }
    let shown = format!("{:?}", identity.tls());
    assert!(!shown.contains("PRIVATE") && shown.contains("in memory"), "{shown}");
}

#[tokio::test]
async fn a_ready_configuration_may_say_more() {
    let authority = Authority::new("root");
    let identity = authority.issue(&["127.0.0.1"]);
    let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.certificates(), identity.private_key())
        .unwrap();
    config.alpn_protocols = vec![b"teleport/2".to_vec()];
    let (server, address) = listening(Tls::new().server_config(config)).await;
    let mut config = only(&TLS12, &authority, None);
    works(&dialing(Tls::new().client_config(config.clone())).dial(&address).await.unwrap()).await;
    config.alpn_protocols = vec![b"teleport/2".to_vec()];
    let session = dialing(Tls::new().client_config(config.clone())).dial(&address).await.unwrap();
    works(&session).await;
    assert_eq!(session.tls().unwrap().alpn(), Some(&b"teleport/2"[..]));
    assert_eq!(session.tls().unwrap().version(), Some(rustls::ProtocolVersion::TLSv1_2));
    config.alpn_protocols = vec![b"h2".to_vec()];
    fails(dialing(Tls::new().client_config(config)).dial(&address).await, &["(ALPN)"]);
    server.close().await;
}
