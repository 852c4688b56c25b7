//! TCP: listening, connecting and the socket's options.

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

use super::address::Address;
use super::connection::Connection;
#[cfg(unix)]
use super::inherited::{self, Handover};
use super::writer::SocketHalf;
use crate::error::{Error, Result};
use crate::units;

/// Options of TCP sockets, accepted and dialed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default, deny_unknown_fields)]
pub struct TcpOptions {
    /// Send small packets at once rather than gather them (`TCP_NODELAY`). Default: true. Packets made together
    /// leave together either way.
    pub nodelay: bool,
    /// Idle time after which the system asks whether the other side is still there, in whole seconds. Default: 60 s; `None`
    /// never asks.
    #[serde(with = "units::optional_duration")]
    pub keepalive: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        TcpOptions { nodelay: true, keepalive: Some(Duration::from_secs(60)) }
    }
}

impl TcpOptions {
    /// Sets [`nodelay`](Self::nodelay).
    #[must_use]
    pub fn with_nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Sets [`keepalive`](Self::keepalive).
    #[must_use]
    pub fn with_keepalive(mut self, keepalive: impl Into<Option<Duration>>) -> Self {
        self.keepalive = keepalive.into();
        self
    }
}

pub(crate) struct TcpAcceptor {
    listener: TcpListener,
    #[cfg(unix)]
    asked: String,
    address: Address,
    options: TcpOptions,
    handed_over: AtomicBool,
}

impl TcpAcceptor {
    pub(super) async fn bind(scheme: &str, host: &str, options: &TcpOptions) -> Result<Self> {
        let failed = |error| Error::io(error, format!("can't listen at {scheme}://{host}"));
        // The socket alone goes from process to process, whatever runs over it.
        #[cfg(unix)]
        let asked = format!("tcp://{host}");
        #[cfg(unix)]
        let inherited = inherited::claim(&asked).map(|one| from_socket(one.socket));
        #[cfg(not(unix))]
        let inherited: Option<io::Result<TcpListener>> = None;
        let listener = match inherited {
            Some(listener) => listener,
            None => TcpListener::bind(host).await,
        }
        .map_err(failed)?;
        let address = Address::Tcp(listener.local_addr().map_err(failed)?);
        Ok(TcpAcceptor {
            listener,
            #[cfg(unix)]
            asked,
            address,
            options: options.clone(),
            handed_over: AtomicBool::new(false),
        })
    }

    #[cfg(unix)]
    pub(super) fn handover(&self) -> io::Result<Handover> {
        let socket = self.listener.as_fd().try_clone_to_owned()?;
        Ok(Handover { asked: self.asked.clone(), bound: self.address.to_string(), socket, supervised: false })
    }

    #[cfg(unix)]
    pub(super) fn hand_over(&self, to_another: bool) {
        self.handed_over.store(to_another, Ordering::SeqCst);
    }

    pub(super) fn is_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::SeqCst)
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) async fn accept(&self) -> io::Result<Connection> {
        self.accept_stream().await.map(connection)
    }

    /// The next connection as a stream whose options are set, with both its ends.
    pub(super) async fn accept_stream(&self) -> io::Result<Opened> {
        loop {
            let (stream, remote) = self.listener.accept().await?;
            match opened(stream, &self.options) {
                Ok(opened) => return Ok(opened),
                // Its dialer has gone away in the meantime: the next one's turn.
                Err(error) => {
                    tracing::debug!(target: "teleport", peer = %remote, %error, "a connection was lost");
                }
            }
        }
    }
}

#[cfg(unix)]
fn from_socket(socket: OwnedFd) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

pub(super) async fn connect(host: &str, options: &TcpOptions) -> Result<Connection> {
    connect_stream("tcp", host, options).await.map(connection)
}

pub(super) async fn connect_stream(scheme: &str, host: &str, options: &TcpOptions) -> Result<Opened> {
    let failed = |error| Error::io(error, format!("can't connect to {scheme}://{host}"));
    let stream = TcpStream::connect(host).await.map_err(failed)?;
    opened(stream, options).map_err(failed)
}

/// A stream, and the addresses of this end and of the other.
type Opened = (TcpStream, SocketAddr, SocketAddr);

fn opened(stream: TcpStream, options: &TcpOptions) -> io::Result<Opened> {
    stream.set_nodelay(options.nodelay)?;
    if let Some(idle) = options.keepalive {
        SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
    }
    let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
    Ok((stream, local, remote))
}

fn connection((stream, local, remote): Opened) -> Connection {
    let (reader, writer) = stream.into_split();
    Connection::new(Box::new(reader), Arc::new(writer), Address::Tcp(local), Address::Tcp(remote))
}

impl SocketHalf for OwnedWriteHalf {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        OwnedWriteHalf::try_write(self, bytes)
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        OwnedWriteHalf::try_write_vectored(self, slices)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.as_ref().poll_write_ready(cx)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        SockRef::from(self.as_ref()).shutdown(Shutdown::Write)
    }
}
