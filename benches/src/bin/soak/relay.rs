//! A way to the server that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use teleport_benches::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Hands on what comes, both ways, for one connection at a time.
pub(crate) struct Relay {
    address: String,
    cut: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Relay {
    /// To the server at this address.
    pub(crate) async fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let cut = Arc::new(Notify::new());
        let task = tokio::spawn(run(listener, to, cut.clone()));
        Ok(Relay { address, cut, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Cuts the connection that it has.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What goes wrong with one connection is a cut more.
async fn run(listener: TcpListener, to: SocketAddr, cut: Arc<Notify>) {
    loop {
        let Ok((mut near, _)) = listener.accept().await else { continue };
        let Ok(mut far) = TcpStream::connect(to).await else { continue };
        tokio::select! {
            () = cut.notified() => {}
            _ = copy_bidirectional(&mut near, &mut far) => {}
        }
    }
}
