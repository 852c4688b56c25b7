//! Listening sockets that came from another process, and those that may go to another.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// A listening socket on its way from one process to another.
#[derive(Debug)]
pub(crate) struct Handover {
    /// What the program asked to listen at.
    pub(crate) asked: String,
    /// Where it listens: the port is the one that the system chose.
    pub(crate) bound: String,
    pub(crate) socket: OwnedFd,
    /// It belongs to a supervisor, which listens on when this process does not.
    pub(crate) supervised: bool,
}

/// Those that nobody listens at yet. Of the process, as descriptors are.
static WAITING: Mutex<Vec<Handover>> = Mutex::new(Vec::new());

/// Set where this process is a successor; open once its predecessor leaves the sockets to it.
static GATE: OnceLock<CancellationToken> = OnceLock::new();

/// Offers sockets to whoever listens at their addresses.
pub(crate) fn offer(sockets: impl IntoIterator<Item = Handover>) {
    WAITING.lock().extend(sockets);
}

/// The socket for an address, by what was asked for or else by where it is bound; the first of several.
pub(super) fn claim(address: &str) -> Option<Handover> {
    let mut waiting = WAITING.lock();
    let asked = waiting.iter().position(|one| one.asked == address);
    let at = asked.or_else(|| waiting.iter().position(|one| one.bound == address))?;
    Some(waiting.remove(at))
}

/// Takes back what nobody listens at.
pub(crate) fn unclaimed() -> Vec<Handover> {
    std::mem::take(&mut WAITING.lock())
}

/// Nothing is accepted before [`open_gate`]: until then the predecessor may still end this process, and what it took
/// would be lost.
pub(crate) fn close_gate() {
    GATE.get_or_init(CancellationToken::new);
}

pub(crate) fn open_gate() {
    if let Some(gate) = GATE.get() {
        gate.cancel();
    }
}

pub(super) async fn gate() {
    if let Some(gate) = GATE.get() {
        gate.cancelled().await;
    }
}

/// Whether the sockets belong to this process, so that their files are to go when it stops listening.
pub(super) fn is_owner() -> bool {
    GATE.get().is_none_or(CancellationToken::is_cancelled)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_are_claimed_by_what_was_asked_for_first() {
        let socket = |asked: &str, bound: &str| {
            let socket = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
            Handover { asked: asked.into(), bound: bound.into(), socket, supervised: false }
        };
        let port = |one: Handover| TcpListener::from(one.socket).local_addr().unwrap();
        let sockets = [("t://a:0", "t://a:1"), ("t://a:0", "t://a:2"), ("t://a:1", "t://a:3")];
        let sockets = sockets.map(|(asked, bound)| socket(asked, bound));
        let expected = sockets
            .each_ref()
            .map(|one| TcpListener::from(one.socket.try_clone().unwrap()).local_addr().unwrap());
        offer(sockets);
        assert!(claim("t://b:0").is_none());
        assert_eq!(port(claim("t://a:1").unwrap()), expected[2], "asked for comes before bound");
        assert_eq!(port(claim("t://a:0").unwrap()), expected[0], "in their order");
        assert_eq!(port(claim("t://a:2").unwrap()), expected[1], "a port that was chosen before");
        assert!(claim("t://a:0").is_none() && unclaimed().is_empty());
    }
}
