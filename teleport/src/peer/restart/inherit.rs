//! The successor's part: it takes the sockets, and says when it is ready.

use std::env;
use std::ffi::OsStr;
use std::io::{self, stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::message::{self, Message, VERSION};
use crate::error::{Error, Result};
use crate::socket::inherited::{self, Handover};

/// Names the key that the first message carries too: so a process that merely inherited the variable is no successor.
pub(super) const VARIABLE: &str = "TELEPORT_RESTART";

/// How long the first message may take; it was sent before this process was started.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// First descriptor that systemd hands over.
const FIRST_ACTIVATED: i32 = 3;

static INHERITED: Mutex<Inherited> = Mutex::new(Inherited::NotAsked);

enum Inherited {
    NotAsked,
    /// This process has no predecessor.
    None,
    /// The predecessor waits for this process to be ready.
    Waits(UnixStream),
    /// The sockets are this process's.
    Done,
}

/// Whether this process is a successor.
pub(super) fn inherit() -> Result<bool> {
    let mut state = INHERITED.lock();
    if let Inherited::NotAsked = *state {
        *state = match env::var_os(VARIABLE).map(|key| take_over(&key)).transpose()?.flatten() {
            Some(channel) => Inherited::Waits(channel),
            None => {
                activated().map_err(|error| Error::io(error, "can't take the sockets of LISTEN_FDS"))?;
                Inherited::None
            }
        };
    }
    Ok(!matches!(*state, Inherited::None))
}

fn take_over(key: &OsStr) -> Result<Option<UnixStream>> {
    let failed = |error| Error::io(error, "can't take over the sockets of the process that started this one");
    if !is_channel() {
        return Ok(None);
    }
    let channel = UnixStream::from(stdin().as_fd().try_clone_to_owned().map_err(failed)?);
    channel.set_read_timeout(Some(HELLO_WITHIN)).map_err(failed)?;
    let refuse = |reason: String| {
        // It learns of it by the end of this process as well.
        let line = Message::Failed { reason: reason.clone() }.to_line();
        let _ = line.and_then(|line| io::Write::write_all(&mut &channel, &line));
        Err(Error::config(reason))
    };
    let Some((Message::Hello { version, key: expected, sockets }, descriptors)) =
        message::receive(&channel).map_err(failed)?
    else {
        return Ok(None);
    };
    if OsStr::from_bytes(expected.as_bytes()) != key {
        return Ok(None);
    }
    if version != VERSION {
        return refuse(format!(
            "the process that started this one hands its sockets over in version {version}, and this one takes \
             version {VERSION}; start this one anew instead of by a restart"
        ));
    }
    let mut descriptors = descriptors.into_iter();
    if let Some(input) = descriptors.next() {
        rustix::stdio::dup2_stdin(input).map_err(|error| failed(error.into()))?;
    }
    inherited::close_gate();
    let sockets = message::sockets(sockets, descriptors);
    for one in &sockets {
        tracing::debug!(target: "teleport", asked = one.asked, bound = one.bound, "a socket was handed over");
    }
    inherited::offer(sockets);
    Ok(Some(channel))
}

/// Whether the standard input is a Unix socket.
fn is_channel() -> bool {
    SockRef::from(&stdin()).local_addr().is_ok_and(|address| address.is_unix())
}

/// Takes the sockets that a supervisor opened, as systemd's protocol has it.
fn activated() -> io::Result<()> {
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    let (Some(pid), Some(count)) = (number("LISTEN_PID"), number("LISTEN_FDS")) else { return Ok(()) };
    if pid != std::process::id() {
        return Ok(());
    }
    let last = FIRST_ACTIVATED.saturating_add_unsigned(count.min(message::MOST_SOCKETS as u32));
    for number in FIRST_ACTIVATED..last {
        let socket = own_descriptor(number)?;
        let address = SockRef::from(&socket).local_addr()?;
        let bound = match (address.as_socket(), address.as_pathname()) {
            (Some(address), _) => format!("tcp://{address}"),
            (None, Some(path)) => format!("unix://{}", path.display()),
            (None, None) => continue,
        };
        tracing::debug!(target: "teleport", bound, "a socket was handed over by the supervisor");
        inherited::offer([Handover { asked: bound.clone(), bound, socket, supervised: true }]);
    }
    Ok(())
}

/// A descriptor of this process by its number: asked of the system like another process's, which needs no promise
/// that nobody else owns the number.
#[cfg(target_os = "linux")]
fn own_descriptor(number: i32) -> io::Result<OwnedFd> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(this, number, PidfdGetfdFlags::empty())?)
}

#[cfg(not(target_os = "linux"))]
fn own_descriptor(_: i32) -> io::Result<OwnedFd> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "sockets of a supervisor are taken on Linux only"))
}

/// Tells the predecessor, and a supervisor, that this process serves.
pub(super) async fn ready() -> Result<()> {
    let state = std::mem::replace(&mut *INHERITED.lock(), Inherited::Done);
    for left in inherited::unclaimed() {
        tracing::warn!(target: "teleport", asked = left.asked, bound = left.bound, "nobody listens at a socket that was handed over");
        if let Some(path) = left.bound.strip_prefix("unix://").filter(|_| !left.supervised) {
            // As where it stops listening; a failure leaves a file that the next bind replaces.
            let _ = std::fs::remove_file(path);
        }
    }
    if let Inherited::Waits(channel) = state {
        say_ready(channel).await.map_err(|error| {
            Error::io(error, "the process that started this one did not wait until it was ready")
        })?;
        inherited::open_gate();
    }
    if let Err(error) = notify() {
        tracing::warn!(target: "teleport", %error, "the supervisor of NOTIFY_SOCKET can't be told that this process is ready");
    }
    Ok(())
}

async fn say_ready(channel: UnixStream) -> io::Result<()> {
    channel.set_nonblocking(true)?;
    let mut channel = BufReader::new(tokio::net::UnixStream::from_std(channel)?);
    let line = Message::Ready { pid: std::process::id() }.to_line()?;
    if let Err(error) = channel.get_mut().write_all(&line).await {
        tracing::warn!(target: "teleport", %error, "the process that started this one is gone");
        return Ok(());
    }
    let mut answer = Vec::new();
    match channel.read_until(b'\n', &mut answer).await {
        // It died, and nobody else has the sockets.
        Ok(0) | Err(_) => Ok(()),
        Ok(_) => match Message::from_line(&answer)? {
            Message::Go {} => Ok(()),
            other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("it answered {other:?}"))),
        },
    }
}

/// Tells systemd, where it asks to be told, that this is the process that serves now.
fn notify() -> io::Result<()> {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let state = format!("READY=1\nMAINPID={}\n", std::process::id());
    let socket = UnixDatagram::unbound()?;
    match path.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            use std::os::unix::net::SocketAddr;

            socket.send_to_addr(state.as_bytes(), &SocketAddr::from_abstract_name(name)?)?;
        }
        _ => {
            socket.send_to(state.as_bytes(), path)?;
        }
    }
    Ok(())
}
