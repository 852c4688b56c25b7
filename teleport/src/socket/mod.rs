//! Connections as bytes, and packets read from and written to them.

mod address;
mod bulk;
mod connection;
#[cfg(unix)]
pub(crate) mod inherited;
mod output;
mod parts;
mod reader;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
#[cfg(unix)]
mod unix;
mod writer;

pub use address::{Address, Endpoint};
pub use connection::Connection;
pub(crate) use output::Output;
pub(crate) use reader::{Arrival, Batch, Flow, PacketReader, ReadError, Unfinished};
pub use tcp::TcpOptions;
#[cfg(feature = "tls")]
pub(crate) use tls::{Handshake, TlsCell};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsInfo};
pub(crate) use writer::Writer;

use crate::error::Result;

/// How sockets are opened, dialed and accepted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transport {
    pub(crate) tcp: TcpOptions,
    #[cfg(feature = "tls")]
    pub(crate) tls: TlsCell,
}

/// A connection that a listener took.
pub(crate) enum Accepted {
    Open(Connection),
    /// Its handshake is still to come, and takes as long as the other side likes.
    #[cfg(feature = "tls")]
    Begun(Handshake),
}

/// A socket that takes connections.
pub(crate) enum Listener {
    Tcp(tcp::TcpAcceptor),
    #[cfg(feature = "tls")]
    Tls(tls::TlsAcceptor),
    #[cfg(unix)]
    Unix(unix::UnixAcceptor),
}

impl Listener {
    /// Opens a listening socket at `endpoint`.
    pub(crate) async fn bind(endpoint: &Endpoint, transport: &Transport) -> Result<Self> {
        match endpoint {
            Endpoint::Tcp(host) => {
                tcp::TcpAcceptor::bind("tcp", host, &transport.tcp).await.map(Listener::Tcp)
            }
            #[cfg(feature = "tls")]
            Endpoint::Tls(host) => {
                tls::TlsAcceptor::bind(host, &transport.tcp, &transport.tls).await.map(Listener::Tls)
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => unix::UnixAcceptor::bind(path).map(Listener::Unix),
        }
    }

    /// The address that dialers use, with the port that the system chose where 0 was asked for.
    pub(crate) fn address(&self) -> &Address {
        match self {
            Listener::Tcp(acceptor) => acceptor.address(),
            #[cfg(feature = "tls")]
            Listener::Tls(acceptor) => acceptor.address(),
            #[cfg(unix)]
            Listener::Unix(acceptor) => acceptor.address(),
        }
    }

    /// The listening socket as it goes to another process.
    #[cfg(unix)]
    pub(crate) fn handover(&self) -> std::io::Result<inherited::Handover> {
        match self {
            Listener::Tcp(acceptor) => acceptor.handover(),
            #[cfg(feature = "tls")]
            Listener::Tls(acceptor) => acceptor.tcp().handover(),
            Listener::Unix(acceptor) => acceptor.handover(),
        }
    }

    /// Notes whether another process listens at the socket: what belongs to it stays then.
    #[cfg(unix)]
    pub(crate) fn hand_over(&self, to_another: bool) {
        match self {
            Listener::Tcp(acceptor) => acceptor.hand_over(to_another),
            #[cfg(feature = "tls")]
            Listener::Tls(acceptor) => acceptor.tcp().hand_over(to_another),
            Listener::Unix(acceptor) => acceptor.hand_over(to_another),
        }
    }

    /// Whether another process listens at the socket.
    pub(crate) fn is_handed_over(&self) -> bool {
        match self {
            Listener::Tcp(acceptor) => acceptor.is_handed_over(),
            #[cfg(feature = "tls")]
            Listener::Tls(acceptor) => acceptor.tcp().is_handed_over(),
            #[cfg(unix)]
            Listener::Unix(acceptor) => acceptor.is_handed_over(),
        }
    }

    /// The next connection. Cancel safe: a connection is taken whole or not at all.
    pub(crate) async fn accept(&self) -> std::io::Result<Accepted> {
        match self {
            Listener::Tcp(acceptor) => acceptor.accept().await.map(Accepted::Open),
            #[cfg(feature = "tls")]
            Listener::Tls(acceptor) => acceptor.accept().await.map(Accepted::Begun),
            #[cfg(unix)]
            Listener::Unix(acceptor) => acceptor.accept().await.map(Accepted::Open),
        }
    }
}

/// Waits until this process may accept connections: at once, but where another process is still to leave its sockets.
pub(crate) async fn may_accept() {
    #[cfg(unix)]
    inherited::gate().await;
}

/// Opens a connection to `endpoint`; `name` is for TLS, where the certificate is for another name than the host's.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    transport: &Transport,
    name: Option<&str>,
) -> Result<Connection> {
    // Only TLS has names.
    let _ = name;
    match endpoint {
        Endpoint::Tcp(host) => tcp::connect(host, &transport.tcp).await,
        #[cfg(feature = "tls")]
        Endpoint::Tls(host) => tls::connect(host, &transport.tcp, &transport.tls, name).await,
        #[cfg(unix)]
        Endpoint::Unix(path) => unix::connect(path).await,
    }
}
