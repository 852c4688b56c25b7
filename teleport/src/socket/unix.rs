//! Unix domain sockets: listening and connecting.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};

use super::address::Address;
use super::connection::Connection;
use super::inherited::{self, Handover};
use super::writer::SocketHalf;
use crate::error::{Error, Result};

pub(crate) struct UnixAcceptor {
    listener: UnixListener,
    address: Address,
    path: PathBuf,
    /// It came from another process.
    inherited: bool,
    /// It belongs to a supervisor, and its file too.
    supervised: bool,
    handed_over: AtomicBool,
}

impl UnixAcceptor {
    /// Listens at `path`. A socket file that nobody listens at any more is replaced; one in use is not, and
    /// neither is a file of another kind.
    pub(super) fn bind(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(error, format!("can't listen at unix://{}", path.display()));
        let address = Address::Unix(Some(path.to_path_buf()));
        let handover = inherited::claim(&address.to_string());
        let inherited = handover.is_some();
        let supervised = handover.as_ref().is_some_and(|one| one.supervised);
        let listener = match handover {
            Some(one) => from_socket(one.socket),
            None => match UnixListener::bind(path) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
                    std::fs::remove_file(path).and_then(|()| UnixListener::bind(path))
                }
                bound => bound,
            },
        }
        .map_err(failed)?;
        let path = path.to_path_buf();
        Ok(UnixAcceptor {
            listener,
            address,
            path,
            inherited,
            supervised,
            handed_over: AtomicBool::new(false),
        })
    }

    pub(super) fn handover(&self) -> io::Result<Handover> {
        let socket = self.listener.as_fd().try_clone_to_owned()?;
        let name = self.address.to_string();
        Ok(Handover { asked: name.clone(), bound: name, socket, supervised: self.supervised })
    }

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
        let (stream, _) = self.listener.accept().await?;
        Ok(connection(stream, self.address.clone(), Address::Unix(None)))
    }
}

impl Drop for UnixAcceptor {
    fn drop(&mut self) {
        // Another process is dialed by this file: the successor, or the predecessor that has not left it to this one.
        // Or it is a supervisor's.
        if self.supervised || self.is_handed_over() || (self.inherited && !inherited::is_owner()) {
            return;
        }
        // Nobody can dial it any more; a failure leaves a file that the next bind replaces.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn from_socket(socket: OwnedFd) -> io::Result<UnixListener> {
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Whether `path` is a socket that refuses connections, as it stays behind when a process is killed.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let refused = std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    is_socket && refused
}

pub(super) async fn connect(path: &Path) -> Result<Connection> {
    let failed = |error| Error::io(error, format!("can't connect to unix://{}", path.display()));
    let stream = UnixStream::connect(path).await.map_err(failed)?;
    Ok(connection(stream, Address::Unix(None), Address::Unix(Some(path.to_path_buf()))))
}

fn connection(stream: UnixStream, local: Address, remote: Address) -> Connection {
    let (reader, writer) = stream.into_split();
    Connection::new(Box::new(reader), Arc::new(writer), local, remote)
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
