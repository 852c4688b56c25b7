//! TLS, from either side.

use std::path::PathBuf;

use clap::Args;
use teleport::Tls;

/// TLS of whoever dials `tls://host:port`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS, for addresses tls://host:port")]
pub(crate) struct DialTls {
    /// Authorities to believe, as PEM; may be given more than once.
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Certificate to show, as PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Name that the certificate of the other side has to be for, instead of the host that is dialed.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Believe whoever answers. Dangerous: anybody in between reads and changes everything.
    #[arg(long, conflicts_with_all = ["ca", "server_name"])]
    insecure: bool,
}

impl DialTls {
    /// For the peer that dials.
    pub(crate) fn tls(&self) -> Tls {
        let tls = self.ca.iter().fold(Tls::new(), Tls::roots_file);
        let tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => tls.identity_files(cert, key),
            _ => tls,
        };
        let tls = match &self.server_name {
            Some(name) => tls.server_name(name),
            None => tls,
        };
        if self.insecure { tls.danger_accept_any_server() } else { tls }
    }
}

/// TLS of whoever listens at `tls://host:port`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS, to listen at tls://host:port")]
pub(crate) struct ListenTls {
    /// Certificate of this side, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Authorities that those who dial must have their certificate from, as PEM; without it nobody is asked for one.
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Vec<PathBuf>,
}

impl ListenTls {
    /// For the peer that listens.
    pub(crate) fn tls(&self) -> Tls {
        let tls = self.tls_client_ca.iter().fold(Tls::new(), Tls::client_roots_file);
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => tls.identity_files(cert, key),
            _ => tls,
        }
    }
}
