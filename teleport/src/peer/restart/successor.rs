//! The predecessor's part: the process that it started, until that is ready.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::message::Message;
use crate::error::{Error, Result};

/// Bytes of a message of the successor at most.
const MOST_BYTES: u64 = 16 * 1024;

/// A process that has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Successor {
    pid: u32,
}

impl Successor {
    /// Its process id.
    #[must_use]
    pub fn pid(self) -> u32 {
        self.pid
    }
}

/// A successor that is not yet ready. Dropped, it is killed.
pub(super) struct Starting {
    pid: u32,
    /// Gone when it was killed, or has taken over.
    child: Option<Child>,
}

impl Starting {
    pub(super) fn spawn(command: &mut Command) -> Result<Self> {
        let child = command.spawn().map_err(|error| {
            Error::io(error, format!("can't start the successor {:?}", command.get_program()))
        })?;
        Ok(Starting { pid: child.id(), child: Some(child) })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the successor says that it is ready.
    pub(super) async fn until_ready(&mut self, channel: StdStream, within: Duration) -> Result<Channel> {
        let opened = channel.set_nonblocking(true).and_then(|()| UnixStream::from_std(channel));
        let mut channel = match opened {
            Ok(channel) => Channel(BufReader::new(channel)),
            Err(error) => return Err(self.failed("can't be heard", Some(error)).await),
        };
        match tokio::time::timeout(within, channel.receive()).await {
            Ok(Ok(Some(Message::Ready { .. }))) => Ok(channel),
            Ok(Ok(Some(Message::Failed { reason }))) => {
                Err(self.failed(&format!("could not take over: {reason}"), None).await)
            }
            Ok(Ok(Some(other))) => Err(self.failed(&format!("said {other:?}"), None).await),
            Ok(Ok(None)) => Err(self.failed("ended before it was ready", None).await),
            Ok(Err(error)) => Err(self.failed("can't be heard", Some(error)).await),
            Err(_) => {
                let text = format!(
                    "was not ready within {within:?} (setting `Restart::ready_within`); it has to call \
                     `Restart::inherit`, listen, and call `Restart::ready`"
                );
                Err(self.failed(&text, Some(io::ErrorKind::TimedOut.into())).await)
            }
        }
    }

    /// Ends the successor; the error that says what it did. Without a cause it is how the process ended.
    pub(super) async fn failed(&mut self, what: &str, cause: Option<io::Error>) -> Error {
        let ended = match self.kill() {
            Some(ended) => ended.await.ok(),
            None => None,
        };
        let cause = cause.unwrap_or_else(|| {
            io::Error::other(
                ended.map_or_else(|| "it can't be waited for".to_owned(), |status| status.to_string()),
            )
        });
        let pid = self.pid;
        Error::io(cause, format!("the successor, process {pid}, {what}; this process serves on"))
    }

    /// Lets the successor go on by itself.
    pub(super) fn release(mut self) -> Successor {
        if let Some(child) = self.child.take() {
            reap(child);
        }
        Successor { pid: self.pid }
    }

    /// Kills it, or finds it dead; how it ended.
    fn kill(&mut self) -> Option<oneshot::Receiver<ExitStatus>> {
        let mut child = self.child.take()?;
        // One that has ended by itself keeps its own status, as nobody has waited for it yet.
        let _ = child.kill();
        Some(reap(child))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// Waits for a process by a thread of its own, so that it does not stay behind as a zombie. The thread holds nothing
/// back: it ends with this process.
fn reap(mut child: Child) -> oneshot::Receiver<ExitStatus> {
    let (ended, status) = oneshot::channel();
    let waiting = thread::Builder::new().name("teleport-successor".into()).spawn(move || {
        if let Ok(status) = child.wait() {
            tracing::debug!(target: "teleport", successor = child.id(), %status, "a successor has ended");
            // Nobody may want to know.
            let _ = ended.send(status);
        }
    });
    if let Err(error) = waiting {
        tracing::warn!(target: "teleport", %error, "a successor can't be waited for");
    }
    status
}

/// The way to a successor.
pub(super) struct Channel(BufReader<UnixStream>);

impl Channel {
    async fn receive(&mut self) -> io::Result<Option<Message>> {
        let mut line = Vec::new();
        (&mut self.0).take(MOST_BYTES).read_until(b'\n', &mut line).await?;
        if line.is_empty() { Ok(None) } else { Message::from_line(&line).map(Some) }
    }

    /// Leaves the sockets to it.
    pub(super) async fn go(&mut self) -> io::Result<()> {
        let line = Message::Go {}.to_line()?;
        self.0.get_mut().write_all(&line).await
    }
}
