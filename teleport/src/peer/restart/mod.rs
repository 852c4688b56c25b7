//! Restarting the process without refusing a connection or losing a call.

mod inherit;
mod message;
mod successor;

use std::fmt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, io};

use parking_lot::Mutex;

pub use successor::Successor;

use super::Peer;
use crate::error::{Error, Result};
use message::MOST_SOCKETS;

#[doc = include_str!("../../../docs/restart.md")]
#[derive(Clone)]
pub struct Restart {
    command: Option<Arc<dyn Fn() -> Command + Send + Sync>>,
    ready_within: Duration,
}

/// What this process, which has one set of descriptors, has come to.
static STATE: Mutex<State> = Mutex::new(State::Serving);

#[derive(Clone, Copy, Debug)]
enum State {
    Serving,
    /// A successor was started and is not yet ready.
    HandingOver,
    /// A successor of this id has the sockets.
    HandedOver(u32),
}

impl Default for Restart {
    fn default() -> Self {
        Self::new()
    }
}

impl Restart {
    /// A restart with the same program, arguments and environment.
    ///
    /// The program is the one that this process was started with where that was an absolute path, so that a symbolic link
    /// is followed anew; else the file that this process runs, or the one that has replaced it.
    #[must_use]
    pub fn new() -> Self {
        Restart { command: None, ready_within: Duration::from_secs(30) }
    }

    /// What to start instead: called for each attempt. Its standard input is set here, and given back to it by
    /// [`inherit`](Self::inherit).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::process::Command;
    /// use teleport::Restart;
    ///
    /// let restart = Restart::new().command(|| {
    ///     let mut command = Command::new("/opt/server/current/server");
    ///     command.args(["--config", "/etc/server.toml"]);
    ///     command
    /// });
    /// ```
    #[must_use]
    pub fn command(mut self, make: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        self.command = Some(Arc::new(make));
        self
    }

    /// How long the successor may take until it is [`ready`](Self::ready). Default: 30 s. One that is late is killed.
    #[must_use]
    pub fn ready_within(mut self, time: Duration) -> Self {
        self.ready_within = time;
        self
    }

    /// Takes the sockets that a predecessor, or a supervisor by systemd's `LISTEN_FDS`, hands to this process; whether
    /// there is a predecessor. To be called early in `main`, before the standard input is read and before any `listen`.
    ///
    /// A later [`Peer::listen`] at an address goes on with the socket that was handed over for it: for the same text, or
    /// for the address that it stands for. Several that ask for port 0 get theirs in the order in which they were asked for.
    ///
    /// # Errors
    ///
    /// An I/O error where the descriptors can't be taken, a config error where the predecessor's version of Teleport hands
    /// them over in another way.
    pub fn inherit() -> Result<bool> {
        inherit::inherit()
    }

    /// Says that this process listens everywhere and is ready to serve: its predecessor, if it has one, now takes no more
    /// connections and ends what it has in flight. Until then this process accepts none.
    ///
    /// Sockets that were handed over and that nobody listens at are closed. Where systemd asks for it by `NOTIFY_SOCKET`, it
    /// is told too, with the id of this process.
    ///
    /// # Errors
    ///
    /// An I/O error where the predecessor did not wait so long: it serves on, and this process is to end.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with I/O enabled.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it ends, this process accepts nothing.
    pub async fn ready() -> Result<()> {
        inherit::ready().await
    }

    /// Starts the successor, hands it the listening sockets of these peers and waits until it is ready.
    ///
    /// When this returns, the successor accepts the connections; [`Peer::shutdown`] then ends what the peers have in
    /// flight. [`UntilSignal::restart`](crate::UntilSignal::restart) does both at a signal.
    ///
    /// # Errors
    ///
    /// Where it fails, the successor is killed, and the peers serve on as if nothing had been: an I/O error where it can't
    /// be started, ended before it was ready, or was late ([`ready_within`](Self::ready_within)); a conflict where another
    /// restart is under way, or this process has handed its sockets over already; a limit error where the peers listen at
    /// more than 200 addresses; a config error where there is no peer, or one listens nowhere.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has ended, the successor is killed and the peers serve on.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn f(api: teleport::Peer, admin: teleport::Peer) -> teleport::Result<()> {
    /// use teleport::Restart;
    ///
    /// let successor = Restart::new().hand_over([&api, &admin]).await?;
    /// println!("process {} took over", successor.pid());
    /// println!("{}\n{}", api.shutdown().await, admin.shutdown().await);
    /// # Ok(()) }
    /// ```
    pub async fn hand_over(&self, peers: impl IntoIterator<Item = &Peer>) -> Result<Successor> {
        let attempt = Attempt::begin()?;
        let mut listeners = Vec::new();
        for peer in peers {
            let own = peer.inner.listeners.lock();
            if own.is_empty() {
                return Err(Error::config("a peer that listens nowhere, or is closed, can't be restarted"));
            }
            listeners.extend(own.iter().map(|one| one.listener.clone()));
        }
        if listeners.is_empty() {
            return Err(Error::config("no peer is to be restarted; name those that listen"));
        }
        if listeners.len() > MOST_SOCKETS {
            return Err(Error::limit(format!(
                "{} addresses are to be handed over, and at most {MOST_SOCKETS} can be",
                listeners.len()
            )));
        }
        let failed = |error| Error::io(error, "can't hand the sockets over");
        let sockets: Vec<_> =
            listeners.iter().map(|one| one.handover()).collect::<io::Result<_>>().map_err(failed)?;
        let (here, there) = UnixStream::pair().map_err(failed)?;
        let key = key();
        message::send_hello(&here, &key, std::os::fd::AsFd::as_fd(&io::stdin()), &sockets).map_err(failed)?;
        drop(sockets);

        let mut command = match &self.command {
            Some(make) => make(),
            None => same_again().map_err(failed)?,
        };
        command.env(inherit::VARIABLE, &key).stdin(Stdio::from(std::os::fd::OwnedFd::from(there)));
        let mut child = successor::Starting::spawn(&mut command)?;
        // It holds the successor's end of the pair, whose end is to be noticed.
        drop(command);
        tracing::info!(target: "teleport", successor = child.pid(), "a successor was started");

        let mut channel = child.until_ready(here, self.ready_within).await?;
        listeners.iter().for_each(|one| one.hand_over(true));
        if let Err(error) = channel.go().await {
            listeners.iter().for_each(|one| one.hand_over(false));
            return Err(child.failed("was gone when it was told to go", Some(error)).await);
        }
        let successor = child.release();
        attempt.succeeded(successor.pid());
        tracing::info!(target: "teleport", successor = successor.pid(), "the sockets were handed over");
        Ok(successor)
    }
}

/// The one restart that is under way.
struct Attempt;

impl Attempt {
    fn begin() -> Result<Self> {
        let mut state = STATE.lock();
        match *state {
            State::Serving => {
                *state = State::HandingOver;
                Ok(Attempt)
            }
            State::HandingOver => {
                Err(Error::conflict("a restart is under way; try again when it has succeeded or failed"))
            }
            State::HandedOver(pid) => Err(Error::conflict(format!(
                "this process has handed its sockets over to process {pid}; restart that one"
            ))),
        }
    }

    fn succeeded(self, pid: u32) {
        *STATE.lock() = State::HandedOver(pid);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut state = STATE.lock();
        if let State::HandingOver = *state {
            *state = State::Serving;
        }
    }
}

/// Another one for each attempt: not a secret, but never found twice.
fn key() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn same_again() -> io::Result<Command> {
    let mut arguments = env::args_os();
    let named = arguments.next().map(PathBuf::from).filter(|path| path.is_absolute() && path.is_file());
    let program = match named {
        Some(path) => path,
        None => not_deleted(env::current_exe()?),
    };
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Linux puts a word behind the path of a program whose file was replaced.
fn not_deleted(path: PathBuf) -> PathBuf {
    let replaced = path.to_str().and_then(|text| text.strip_suffix(" (deleted)")).map(Path::new);
    match replaced {
        Some(file) if !path.exists() => file.to_path_buf(),
        _ => path,
    }
}

impl fmt::Debug for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restart")
            .field("command", &self.command.as_ref().map(|make| make()))
            .field("ready_within", &self.ready_within)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_started_by_its_path() {
        assert_eq!(not_deleted("/no/such/server (deleted)".into()), Path::new("/no/such/server"));
        assert_eq!(not_deleted("/no/such/server".into()), Path::new("/no/such/server"));
    }

    #[test]
    fn keys_differ() {
        assert_ne!(key(), key());
    }
}
