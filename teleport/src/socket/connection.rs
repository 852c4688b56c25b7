//! A connection: bytes both ways, and the addresses of its ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};

use super::address::Address;
#[cfg(feature = "tls")]
use super::tls::TlsInfo;
use super::writer::{StreamWriter, Writer};

/// Bytes that an in-memory connection holds in each direction before its writer waits.
const MEMORY_BUFFER: usize = 64 * 1024;

/// Bytes both ways, and the addresses of both ends: what a session runs over.
///
/// A peer makes its own when it listens and dials. Make one to run a session over a transport of your own, or
/// in memory, and hand it to [`Peer::attach`](crate::Peer::attach).
pub struct Connection {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Arc<dyn Writer>,
    local: Address,
    remote: Address,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<TlsInfo>>,
}

impl Connection {
    /// A connection over any stream of bytes; the names stand for the addresses in logs and errors.
    pub fn from_stream<S>(stream: S, local: &str, remote: &str) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reader, writer) = tokio::io::split(stream);
        Connection::new(
            Box::new(reader),
            Arc::new(StreamWriter::new(writer)),
            Address::Named(local.into()),
            Address::Named(remote.into()),
        )
    }

    /// Both ends of a connection inside this process.
    ///
    /// # Examples
    ///
    /// ```
    /// use teleport::{Connection, Peer};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> teleport::Result<()> {
    /// let server = Peer::builder().pull("/double", |_, n: i64| async move { Ok(2 * n) })?.build()?;
    /// let client = Peer::builder().build()?;
    /// let (near, far) = Connection::memory();
    /// server.attach(far).await?;
    /// let session = client.attach(near).await?;
    /// assert_eq!(session.pull("/double").body(&21).await?.decode::<i64>()?, 42);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn memory() -> (Self, Self) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let (a, b) = tokio::io::duplex(MEMORY_BUFFER);
        let (near, far) = (format!("memory://{number}/a"), format!("memory://{number}/b"));
        (Connection::from_stream(a, &near, &far), Connection::from_stream(b, &far, &near))
    }

    /// Address of this end.
    #[must_use]
    pub fn local_addr(&self) -> &Address {
        &self.local
    }

    /// Address of the other end.
    #[must_use]
    pub fn remote_addr(&self) -> &Address {
        &self.remote
    }

    pub(super) fn new(
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Arc<dyn Writer>,
        local: Address,
        remote: Address,
    ) -> Self {
        Connection {
            reader,
            writer,
            local,
            remote,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("local", &self.local).field("remote", &self.remote).finish()
    }
}
