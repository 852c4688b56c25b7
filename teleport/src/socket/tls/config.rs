//! What a peer needs for TLS: who it is, and whom it believes.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

use super::verify::{AnyServer, NotesRequest};
use crate::error::{Error, Result};

/// How a peer speaks TLS at addresses `tls://host:port`: who it is, whom it believes, and whom it lets in.
///
/// A peer that listens needs an identity: a certificate and its key. One that dials needs the roots: the certificates
/// of the authorities that it believes. For mutual TLS the listener has client roots as well, and the dialer an
/// identity. Everything is PEM, from files or from memory; or hand over configurations of [`rustls`] that are ready.
///
/// Files are read when the peer is built; [`Peer::reload_tls`](crate::Peer::reload_tls) reads them again. Versions are
/// TLS 1.3 and 1.2. No protocol is named in ALPN, so that peers in other languages need not name one either; a ready
/// configuration may. The system's roots are not among those believed: sessions are mostly between programs of one
/// owner. Give [`client_config`](Self::client_config) a configuration that has them.
///
/// Needs the feature `tls`.
///
/// # Examples
///
/// ```no_run
/// use teleport::{Peer, Tls};
///
/// # async fn f() -> teleport::Result<()> {
/// let server = Peer::builder()
///     .tls(Tls::new().identity_files("server.pem", "server.key").client_roots_file("ca.pem"))
///     .listen("tls://0.0.0.0:9090")
///     .await?;
///
/// let client = Peer::builder()
///     .tls(Tls::new().roots_file("ca.pem").identity_files("client.pem", "client.key"))
///     .build()?;
/// let session = client.dial("tls://server.example:9090").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Tls {
    identity: Option<(Pem, Pem)>,
    roots: Vec<Pem>,
    client_roots: Vec<Pem>,
    clients_optional: bool,
    server_name: Option<String>,
    any_server: bool,
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
}

/// PEM, where it is.
#[derive(Clone)]
enum Pem {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

impl Tls {
    /// Nothing yet: neither an identity nor roots.
    pub fn new() -> Self {
        Tls::default()
    }

    /// Who this peer is, from files: its certificate followed by those between it and the root, and the key. Shown to
    /// whoever dials it, and to a listener that asks. One file may hold both.
    pub fn identity_files(mut self, certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((Pem::File(certificates.into()), Pem::File(key.into())));
        self
    }

    /// Who this peer is, from memory; see [`identity_files`](Self::identity_files).
    pub fn identity_pem(mut self, certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some((Pem::memory(certificates), Pem::memory(key)));
        self
    }

    /// Authorities that are believed when dialing, from a file; each further call adds more.
    pub fn roots_file(mut self, certificates: impl Into<PathBuf>) -> Self {
        self.roots.push(Pem::File(certificates.into()));
        self
    }

    /// Authorities that are believed when dialing, from memory; each further call adds more.
    pub fn roots_pem(mut self, certificates: impl AsRef<[u8]>) -> Self {
        self.roots.push(Pem::memory(certificates));
        self
    }

    /// Authorities that dialers have to have their certificate from, from a file; each further call adds more. From
    /// then on a dialer without one is turned away, unless [`clients_optional`](Self::clients_optional).
    pub fn client_roots_file(mut self, certificates: impl Into<PathBuf>) -> Self {
        self.client_roots.push(Pem::File(certificates.into()));
        self
    }

    /// Authorities that dialers have to have their certificate from, from memory; see
    /// [`client_roots_file`](Self::client_roots_file).
    pub fn client_roots_pem(mut self, certificates: impl AsRef<[u8]>) -> Self {
        self.client_roots.push(Pem::memory(certificates));
        self
    }

    /// Lets dialers in that show no certificate; one that is shown is still checked. Handlers see it in
    /// [`Session::tls`](crate::Session::tls).
    pub fn clients_optional(mut self) -> Self {
        self.clients_optional = true;
        self
    }

    /// The name that the certificates of listeners have to be for, instead of the host that is dialed: a DNS name or an
    /// address. For one dial, [`Dial::server_name`](crate::Dial::server_name).
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Believes every listener, whoever signed its certificate and whatever name it is for. **Dangerous:** whoever
    /// stands in between reads and changes everything. For tests and first steps.
    pub fn danger_accept_any_server(mut self) -> Self {
        self.any_server = true;
        self
    }

    /// A ready configuration to listen with, in place of the identity and the client roots.
    pub fn server_config(mut self, config: impl Into<Arc<ServerConfig>>) -> Self {
        self.server = Some(config.into());
        self
    }

    /// A ready configuration to dial with, in place of the identity and the roots.
    pub fn client_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.client = Some(config.into());
        self
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("identity", &self.identity.as_ref().map(|(certificates, _)| certificates))
            .field("roots", &self.roots)
            .field("client_roots", &self.client_roots)
            .field("clients_optional", &self.clients_optional)
            .field("server_name", &self.server_name)
            .field("any_server", &self.any_server)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => path.fmt(f),
            Pem::Memory(bytes) => write!(f, "{} bytes in memory", bytes.len()),
        }
    }
}

/// What a [`Tls`] comes to, shared by the listeners and dials of a peer, and replaced as a whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsCell(Arc<RwLock<Option<Arc<Loaded>>>>);

#[derive(Debug)]
struct Loaded {
    source: Tls,
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
    server_name: Option<ServerName<'static>>,
}

impl TlsCell {
    pub(crate) fn new(tls: Option<Tls>) -> Result<Self> {
        let cell = TlsCell::default();
        if let Some(tls) = tls {
            cell.set(tls)?;
        }
        Ok(cell)
    }

    /// Reads everything that `tls` names; where that fails, all stays as it was.
    pub(crate) fn set(&self, tls: Tls) -> Result<()> {
        let loaded = Loaded::read(tls)?;
        *self.0.write() = Some(Arc::new(loaded));
        Ok(())
    }

    pub(crate) fn reload(&self) -> Result<()> {
        let Some(loaded) = self.0.read().clone() else {
            return Err(missing("nothing is set to be read again"));
        };
        self.set(loaded.source.clone())
    }

    /// What to listen with.
    pub(super) fn server(&self) -> Result<Arc<ServerConfig>> {
        self.0.read().as_ref().and_then(|loaded| loaded.server.clone()).ok_or_else(|| {
            missing("to listen at tls:// a certificate and its key are needed; set `Tls::identity_files`")
        })
    }

    /// What to dial `host` with, and the name that its certificate has to be for.
    pub(super) fn client(
        &self,
        host: &str,
        name: Option<&str>,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>)> {
        let loaded = self.0.read().clone();
        let Some((loaded, client)) = loaded.and_then(|loaded| Some((loaded.clone(), loaded.client.clone()?)))
        else {
            return Err(missing(
                "to dial tls:// the authorities to believe are needed; set `Tls::roots_file`",
            ));
        };
        let name = match (name, &loaded.server_name) {
            (None, Some(name)) => name.clone(),
            (name, _) => server_name(name.unwrap_or(host))?,
        };
        Ok((client, name))
    }
}

fn missing(what: &str) -> Error {
    Error::config(format!("{what}, and hand it to `PeerBuilder::tls`"))
}

fn server_name(name: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        Error::config(format!(
            "{name:?} is neither a DNS name nor an address, so no certificate can be for it; set `Tls::server_name`"
        ))
    })
}

impl Loaded {
    fn read(source: Tls) -> Result<Self> {
        let identity = match &source.identity {
            Some((certificates, key)) => Some(Identity::read(certificates, key)?),
            None => None,
        };
        let server = match (&source.server, &identity) {
            (Some(ready), _) => Some(ready.clone()),
            (None, Some(identity)) => Some(Arc::new(server_config(&source, identity)?)),
            (None, None) if !source.client_roots.is_empty() => {
                return Err(Error::config(
                    "client roots are set, and no certificate to listen with; set `Tls::identity_files`",
                ));
            }
            (None, None) => None,
        };
        let client = match &source.client {
            Some(ready) => Some((**ready).clone()),
            None if source.roots.is_empty() && !source.any_server => None,
            None => Some(client_config(&source, identity)?),
        };
        let client = client.map(|mut config| {
            config.client_auth_cert_resolver = NotesRequest::around(config.client_auth_cert_resolver);
            Arc::new(config)
        });
        let server_name = source.server_name.as_deref().map(server_name).transpose()?;
        Ok(Loaded { source, server, client, server_name })
    }
}

/// A certificate with those above it, and its key.
struct Identity {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Where they are from.
    place: String,
}

impl Identity {
    fn read(certificates: &Pem, key: &Pem) -> Result<Self> {
        let place = format!("the certificate in {certificates} and the key in {key}");
        let chain = certificates.certificates()?;
        let key_bytes = key.bytes()?;
        let key = PrivateKeyDer::from_pem_slice(&key_bytes).map_err(|error| {
            Error::config(format!(
                "{key} holds no private key in PEM ({error}); an encrypted key has to be decrypted first"
            ))
        })?;
        Ok(Identity { certificates: chain, key, place })
    }
}

fn server_config(tls: &Tls, identity: &Identity) -> Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config(error.to_string()))?;
    let builder = if tls.client_roots.is_empty() {
        builder.with_no_client_auth()
    } else {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(root_store(&tls.client_roots)?, provider());
        let verifier = if tls.clients_optional { verifier.allow_unauthenticated() } else { verifier }.build();
        builder.with_client_cert_verifier(
            verifier.map_err(|error| Error::config(format!("the client roots can't be used: {error}")))?,
        )
    };
    builder
        .with_single_cert(identity.certificates.clone(), identity.key.clone_key())
        .map_err(|error| unusable(&identity.place, &error))
}

fn client_config(tls: &Tls, identity: Option<Identity>) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::config(error.to_string()))?;
    let builder = if tls.any_server {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer::new(provider())))
    } else {
        let verifier = WebPkiServerVerifier::builder_with_provider(root_store(&tls.roots)?, provider())
            .build()
            .map_err(|error| Error::config(format!("the roots can't be used: {error}")))?;
        builder.with_webpki_verifier(verifier)
    };
    match identity {
        Some(Identity { certificates, key, place }) => {
            builder.with_client_auth_cert(certificates, key).map_err(|error| unusable(&place, &error))
        }
        None => Ok(builder.with_no_client_auth()),
    }
}

fn unusable(place: &str, error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InconsistentKeys(_) => Error::config(format!(
            "{place} don't belong together; give the key that the certificate was made for"
        )),
        other => Error::config(format!("{place} can't be used: {other}")),
    }
}

fn root_store(roots: &[Pem]) -> Result<Arc<RootCertStore>> {
    let mut store = RootCertStore::empty();
    for pem in roots {
        for certificate in pem.certificates()? {
            store
                .add(certificate)
                .map_err(|error| Error::config(format!("a certificate in {pem} can't be a root: {error}")))?;
        }
    }
    Ok(Arc::new(store))
}

/// Named wherever it is needed, so that what the rest of a program installs or enables makes no difference.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Pem {
    fn memory(bytes: impl AsRef<[u8]>) -> Self {
        Pem::Memory(bytes.as_ref().into())
    }

    fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Pem::File(path) => read(path).map(Cow::Owned),
            Pem::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// The certificates in it, one at least.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes()?).collect();
        match found {
            Ok(found) if found.is_empty() => Err(Error::config(format!(
                "{self} holds no certificate in PEM: it has no line -----BEGIN CERTIFICATE-----"
            ))),
            Ok(found) => Ok(found),
            Err(error) => Err(Error::config(format!("{self} is not to be read as PEM: {error}"))),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Error::io(error, format!("can't read {}", path.display())))
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => path.display().fmt(f),
            Pem::Memory(_) => f.write_str("memory"),
        }
    }
}
