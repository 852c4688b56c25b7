//! TLS where both sides show a certificate, and what those are told who can't.
//!
//! `cargo run -p teleport-examples --bin tls`
//!
//! The certificates are made here. Yours are in files: `Tls::identity_files`, `roots_file` and `client_roots_file`.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use teleport::{Code, Context, Peer, Status, Tls};

#[teleport::service]
trait Vault {
    async fn open(&self, cx: &Context) -> Result<String, Status>;
}

struct Guarded;

impl Vault for Guarded {
    async fn open(&self, cx: &Context) -> Result<String, Status> {
        match cx.session().tls() {
            Some(tls) if tls.peer_is_named("ada.example") => Ok("hello Ada, it is open".into()),
            _ => Err(Status::new(Code::UNAUTHORIZED, "only for Ada")),
        }
    }
}

type Made<T> = Result<T, Box<dyn std::error::Error>>;

/// An authority, which signs certificates.
fn authority() -> Made<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// A certificate for this name and its key.
fn identity(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> Made<(String, String)> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, authority)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[tokio::main]
async fn main() -> Made<()> {
    let authority = authority()?;
    let (certificate, key) = identity(&authority, "127.0.0.1")?;
    let tls = Tls::new().identity_pem(certificate, key).client_roots_pem(authority.pem());
    let server =
        Peer::builder().service(VaultServer::new(Guarded))?.tls(tls).listen("tls://127.0.0.1:0").await?;
    let address = server.local_addr()?;

    for name in ["ada.example", "bob.example"] {
        let (certificate, key) = identity(&authority, name)?;
        let tls = Tls::new().roots_pem(authority.pem()).identity_pem(certificate, key);
        let client = Peer::builder().tls(tls).build()?;
        match VaultClient::new(&client.dial(&address).await?).open().await {
            Ok(answer) => println!("{name}: {answer}"),
            Err(error) => println!("{name}: {error}"),
        }
    }

    let nameless = Peer::builder().tls(Tls::new().roots_pem(authority.pem())).build()?;
    println!("without a certificate: {}", nameless.dial(&address).await.unwrap_err());
    let plain = Peer::builder().build()?.dial(address.to_string().replace("tls://", "tcp://")).await?;
    println!("without TLS: {}", VaultClient::new(&plain).open().await.unwrap_err());
    Ok(())
}
