//! What a handshake found out.

use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CommonState, ProtocolVersion};

/// What is known of a connection that runs over TLS: above all, the other side's certificates.
///
/// Needs the feature `tls`.
///
/// # Examples
///
/// A handler that answers only whoever has a certificate for a certain name:
///
/// ```
/// use teleport::{Code, Context, Status};
///
/// async fn secret(cx: Context, (): ()) -> Result<&'static str, Status> {
///     match cx.session().tls() {
///         Some(tls) if tls.peer_is_named("billing.internal") => Ok("the number is 42"),
///         _ => Err(Status::new(Code::UNAUTHORIZED, "only for billing.internal")),
///     }
/// }
/// # teleport::Peer::builder().pull("/secret", secret).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct TlsInfo {
    certificates: Vec<CertificateDer<'static>>,
    version: Option<ProtocolVersion>,
    alpn: Option<Vec<u8>>,
    server_name: Option<String>,
}

impl TlsInfo {
    pub(super) fn new(state: &CommonState, server_name: Option<String>) -> Self {
        let certificates = state.peer_certificates().unwrap_or_default();
        TlsInfo {
            certificates: certificates.iter().map(|certificate| certificate.clone().into_owned()).collect(),
            version: state.protocol_version(),
            alpn: state.alpn_protocol().map(<[u8]>::to_vec),
            server_name,
        }
    }

    /// The certificates that the other side showed, its own first; none where it is a dialer that was not asked, or had
    /// none and needed none. They were checked.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Whether the other side's certificate is for this DNS name or address, as one of its alternative names.
    #[must_use]
    pub fn peer_is_named(&self, name: &str) -> bool {
        let Some(certificate) = self.certificates.first() else { return false };
        let (Ok(certificate), Ok(name)) =
            (ParsedCertificate::try_from(certificate), ServerName::try_from(name))
        else {
            return false;
        };
        verify_server_name(&certificate, &name).is_ok()
    }

    /// The name by which the dialer asked for the listener; none where it dialed an address.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The version of TLS.
    #[must_use]
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.version
    }

    /// The protocol that both sides agreed on by ALPN; none where neither names one.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }
}
