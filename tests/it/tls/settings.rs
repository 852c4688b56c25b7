//! Where certificates come from, and what is said of those that can not be used.

use std::path::{Path, PathBuf};

use teleport::rustls::crypto::ring;
use teleport::rustls::version::TLS12;
use teleport::rustls::{ProtocolVersion, ServerConfig};
use teleport::{Peer, Tls};

use super::{Authority, Identity, dialing, fails, listening, only, works};

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
    assert_eq!(session.tls().unwrap().version(), Some(ProtocolVersion::TLSv1_2));
    config.alpn_protocols = vec![b"h2".to_vec()];
    fails(dialing(Tls::new().client_config(config)).dial(&address).await, &["(ALPN)"]);
    server.close().await;
}
