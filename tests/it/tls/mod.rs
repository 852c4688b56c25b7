//! TLS: certificates made for the tests, and peers that use them.

mod settings;
mod strangers;
mod traffic;
mod trust;

use std::sync::Mutex;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use teleport::rustls::crypto::ring;
use teleport::rustls::pki_types::pem::PemObject;
use teleport::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use teleport::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use teleport::{Peer, PeerBuilder, Session, Tls};
use tokio::task::yield_now;

/// Signs certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    pub(super) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Identity {
    pub(super) fn tls(&self) -> Tls {
        self.with(Tls::new())
    }

    pub(super) fn with(&self, tls: Tls) -> Tls {
        tls.identity_pem(&self.certificate, &self.key)
    }

    pub(super) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes()).map(Result::unwrap).collect()
    }

    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

pub(super) fn echoing() -> PeerBuilder {
    Peer::builder().pull("/echo", |_, text: String| async move { Ok(text) }).unwrap()
}

pub(super) async fn listening(tls: Tls) -> (Peer, String) {
    let peer = echoing().tls(tls).listen("tls://127.0.0.1:0").await.unwrap();
    let address = peer.local_addr().unwrap().to_string();
    assert!(address.starts_with("tls://127.0.0.1:"), "{address}");
    (peer, address)
}

pub(super) fn dialing(tls: Tls) -> Peer {
    echoing().tls(tls).build().unwrap()
}

pub(super) async fn works(session: &Session) {
    assert_eq!(session.pull("/echo").body("hi").await.unwrap().decode::<String>().unwrap(), "hi");
}

/// The other end of a session, at the peer that was dialed.
pub(super) async fn far_end(peer: &Peer) -> Session {
    loop {
        if let Some(session) = peer.sessions().all().pop() {
            return session;
        }
        yield_now().await;
    }
}

/// Waits until the log has a line with all of these.
pub(super) async fn logged(lines: &Mutex<Vec<u8>>, parts: &[&str]) {
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
pub(super) fn fails(dialed: teleport::Result<Session>, parts: &[&str]) {
    let error = dialed.unwrap_err();
    assert!(error.is_tls(), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("can't connect to tls://127.0.0.1:"), "{text}");
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

/// A dialer's configuration of one version of TLS.
pub(super) fn only(
    version: &'static SupportedProtocolVersion,
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
