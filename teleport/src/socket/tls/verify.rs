//! What is asked of this side in a handshake, and the verifier that asks nothing.

use std::cell::Cell;
use std::sync::Arc;

use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};

thread_local! {
    static REQUESTED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that a listener asked for the certificate of this side.
///
/// In TLS 1.3 the dialer is through before the listener has looked at that certificate, so whoever was asked has to
/// wait for the verdict. One resolver serves all connections, and is asked while one of them is polled: so the note is
/// the thread's.
#[derive(Debug)]
pub(super) struct NotesRequest(Arc<dyn ResolvesClientCert>);

impl NotesRequest {
    pub(super) fn around(resolver: Arc<dyn ResolvesClientCert>) -> Arc<dyn ResolvesClientCert> {
        Arc::new(NotesRequest(resolver))
    }

    /// Runs `poll`, which polls one connection; the flag becomes true if it was asked for a certificate.
    pub(super) fn during<R>(requested: &mut bool, poll: impl FnOnce() -> R) -> R {
        REQUESTED.set(false);
        let result = poll();
        *requested |= REQUESTED.take();
        result
    }
}

impl ResolvesClientCert for NotesRequest {
    fn resolve(&self, roots: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        REQUESTED.set(true);
        self.0.resolve(roots, schemes)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.0.has_certs()
    }
}

/// Believes every certificate; only that the other side has its key is still checked.
#[derive(Debug)]
pub(super) struct AnyServer(Arc<CryptoProvider>);

impl AnyServer {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        AnyServer(provider)
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
