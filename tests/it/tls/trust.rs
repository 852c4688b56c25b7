//! Who is believed, who is not, and what both sides are told of it.

use std::sync::Arc;

use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use teleport::rustls::crypto::ring;
use teleport::rustls::pki_types::CertificateDer;
use teleport::rustls::pki_types::pem::PemObject;
use teleport::rustls::server::WebPkiClientVerifier;
use teleport::rustls::version::{TLS12, TLS13};
use teleport::rustls::{ProtocolVersion, RootCertStore, ServerConfig, ServerConnection};
use teleport::{Context, Peer, Status, Tls};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::{Authority, dialing, fails, far_end, listening, logged, only, works};
use crate::raw::log;

#[tokio::test]
async fn a_listener_shows_its_certificate_and_both_sides_call() {
    let authority = Authority::new("root");
    let (server, address) = listening(authority.issue(&["127.0.0.1", "localhost"]).tls()).await;
    let client = dialing(Tls::new().roots_pem(authority.pem()));
    let session = client.dial(&address).await.unwrap();
    works(&session).await;
    assert_eq!(session.remote_addr(), server.local_addr().unwrap());
    assert!(session.remote_addr().tcp().is_some());
    let tls = session.tls().expect("it runs over TLS");
    assert_eq!((tls.peer_certificates().len(), tls.server_name(), tls.alpn()), (1, None, None));
    assert!(
        tls.peer_is_named("localhost") && tls.peer_is_named("127.0.0.1") && !tls.peer_is_named("example.org")
    );
    assert_eq!(tls.version(), Some(ProtocolVersion::TLSv1_3));

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
        WebPkiClientVerifier::builder_with_provider(clients.into(), provider.clone()).build().unwrap();
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
        let mut connection = ServerConnection::new(config.into()).unwrap();
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
