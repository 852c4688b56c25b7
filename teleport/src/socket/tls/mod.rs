//! TLS over TCP: handshakes as listener and as dialer, each within a time and in words that say what to do.

mod config;
mod explain;
mod info;
mod stream;
mod verify;

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::{ProtocolVersion, ServerConfig};
use tokio_rustls::{TlsAcceptor as Acceptor, TlsConnector, TlsStream, client};

pub use config::Tls;
pub(crate) use config::TlsCell;
pub use info::TlsInfo;

use explain::Side;
use stream::Inlet;
use verify::NotesRequest;

use super::address::Address;
use super::connection::Connection;
use super::tcp::{self, TcpAcceptor, TcpOptions};
use crate::error::{Error, Kind, Result};

/// First byte of a TLS handshake.
const HANDSHAKE: u8 = 0x16;
/// A TLS alert: fatal, handshake failure. Whoever speaks no TLS, and Teleport without it too, tells it by its bytes.
const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];
/// How long, and for how many bytes, a dialer that was refused is listened to, so that what it was told is not lost
/// with the connection: the system throws that away where bytes come that nobody reads.
const LINGER: (Duration, usize) = (Duration::from_secs(1), 1024 * 1024);
/// The least that a dialer waits for the verdict on its certificate; see [`verdict`].
const VERDICT: Duration = Duration::from_millis(500);

/// A socket that takes connections for TLS.
pub(crate) struct TlsAcceptor {
    acceptor: TcpAcceptor,
    address: Address,
    tls: TlsCell,
}

impl TlsAcceptor {
    pub(super) async fn bind(host: &str, options: &TcpOptions, tls: &TlsCell) -> Result<Self> {
        // So that a peer that can't listen says so now, and not to each dialer.
        tls.server()?;
        let acceptor = TcpAcceptor::bind("tls", host, options).await?;
        let address = match acceptor.address() {
            Address::Tcp(address) => Address::Tls(*address),
            other => other.clone(),
        };
        Ok(TlsAcceptor { acceptor, address, tls: tls.clone() })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// What listens below; to another process the socket goes without its TLS.
    pub(super) fn tcp(&self) -> &TcpAcceptor {
        &self.acceptor
    }

    pub(super) async fn accept(&self) -> io::Result<Handshake> {
        let (stream, local, remote) = self.acceptor.accept_stream().await?;
        Ok(Handshake { stream, local, remote, tls: self.tls.clone() })
    }
}

/// A connection that was taken, and whose handshake is still to come.
pub(crate) struct Handshake {
    stream: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
    tls: TlsCell,
}

impl Handshake {
    pub(crate) fn local_addr(&self) -> Address {
        Address::Tls(self.local)
    }

    pub(crate) fn remote_addr(&self) -> Address {
        Address::Tls(self.remote)
    }

    /// Does the handshake, within this time. `None` where the dialer goes away without a word, as those do that only
    /// see whether somebody listens.
    pub(crate) async fn run(self, within: Duration) -> Result<Option<Connection>> {
        let failed = |text: String| Error::new(Kind::Tls(text.into()));
        let begun = Instant::now();
        let mut inlet = Inlet::new(self.stream);
        match timeout(within, inlet.begin()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Ok(None),
            Ok(Err(error)) => return Err(explain::handshake(error, Side::Listener, &[], "")),
            Err(_) => {
                turn_away(inlet).await;
                return Err(failed(format!(
                    "the dialer sent nothing within {within:?} (setting `timeouts.handshake`); if it speaks no TLS, it \
                     has to dial tls://host:port"
                )));
            }
        }
        if inlet.first()[0] != HANDSHAKE {
            let text = explain::not_tls(Side::Listener, inlet.first());
            turn_away(inlet).await;
            return Err(failed(text));
        }
        let config: Arc<ServerConfig> = self.tls.server()?;
        let left = within.saturating_sub(begun.elapsed());
        match timeout(left, Acceptor::from(config).accept(inlet).into_fallible()).await {
            Ok(Ok(stream)) => {
                let server_name = stream.get_ref().1.server_name().map(str::to_owned);
                Ok(Some(connection(stream.into(), server_name, self.local, self.remote)))
            }
            Ok(Err((error, inlet))) => {
                let error = explain::handshake(error, Side::Listener, inlet.first(), "");
                linger(inlet).await;
                Err(error)
            }
            Err(_) => Err(failed(format!(
                "the dialer began a TLS handshake and did not end it within {within:?} (setting `timeouts.handshake`)"
            ))),
        }
    }
}

/// Tells somebody who speaks no TLS that this side does.
async fn turn_away(mut inlet: Inlet) {
    if inlet.write_all(&ALERT).await.is_ok() {
        linger(inlet).await;
    }
}

/// Ends this direction, and reads until the other side has ended its own.
async fn linger(inlet: Inlet) {
    let (time, bytes) = LINGER;
    let mut stream = inlet.into_stream();
    let end = async {
        stream.shutdown().await?;
        let mut room = vec![0; 4096];
        let mut left = bytes;
        loop {
            match stream.read(&mut room).await? {
                0 => return Ok::<_, io::Error>(()),
                count if count > left => return Ok(()),
                count => left -= count,
            }
        }
    };
    // Whatever comes of it, the connection is over.
    let _ = timeout(time, end).await;
}

/// Dials, and does the handshake; `name` is the name that the listener's certificate has to be for.
pub(super) async fn connect(
    host: &str,
    options: &TcpOptions,
    tls: &TlsCell,
    name: Option<&str>,
) -> Result<Connection> {
    let (config, name) = tls.client(host_only(host), name)?;
    let (stream, local, remote) = tcp::connect_stream("tls", host, options).await?;
    let begun = Instant::now();
    let failed = |error: io::Error, first: &[u8]| {
        explain::handshake(error, Side::Dialer, first, &format!("can't connect to tls://{host}: "))
    };
    let server_name = match &name {
        tokio_rustls::rustls::pki_types::ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
        _ => None,
    };
    let mut handshake = pin!(TlsConnector::from(config).connect(name, Inlet::new(stream)).into_fallible());
    let mut requested = false;
    let shaken = poll_fn(|cx| NotesRequest::during(&mut requested, || handshake.as_mut().poll(cx))).await;
    let mut stream = shaken.map_err(|(error, inlet)| failed(error, inlet.first()))?;
    if requested && stream.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
        verdict(&mut stream, VERDICT.max(3 * begun.elapsed()))
            .await
            .map_err(|error| failed(error, stream.get_ref().0.first()))?;
    }
    Ok(connection(stream.into(), server_name, local, remote))
}

/// Waits until the listener has judged the certificate that it asked for: it goes on with a ticket for the next dial, or
/// with the first packet, or ends with an alert. There are listeners that say nothing; so it waits no longer than this,
/// and where the alert comes later still, it ends the session.
async fn verdict(stream: &mut client::TlsStream<Inlet>, patience: Duration) -> io::Result<()> {
    let judged = poll_fn(|cx| {
        // What has come stays there to be read.
        let filled = Pin::new(&mut *stream).poll_fill_buf(cx).map_ok(|_| ());
        let has_ticket = stream.get_ref().1.tls13_tickets_received() > 0;
        if filled.is_pending() && has_ticket { Poll::Ready(Ok(())) } else { filled }
    });
    timeout(patience, judged).await.unwrap_or(Ok(()))
}

fn connection(
    stream: TlsStream<Inlet>,
    server_name: Option<String>,
    local: SocketAddr,
    remote: SocketAddr,
) -> Connection {
    let info = TlsInfo::new(stream.get_ref().1, server_name);
    let (reader, writer) = stream::split(stream);
    let mut connection =
        Connection::new(Box::new(reader), Arc::new(writer), Address::Tls(local), Address::Tls(remote));
    connection.tls = Some(Arc::new(info));
    connection
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host_only(host: &str) -> &str {
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_the_host_alone() {
        for (host, name) in
            [("a.example:80", "a.example"), ("[::1]:80", "::1"), ("10.0.0.1:80", "10.0.0.1"), ("a", "a")]
        {
            assert_eq!(host_only(host), name);
        }
    }
}
