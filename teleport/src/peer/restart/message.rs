//! What a process and its successor say to each other, over a pair of Unix sockets.
//!
//! ```text
//!   predecessor                                         successor
//!   Hello, with the sockets as descriptors  ────►       (waits in the pair before the successor even runs)
//!                                                       listens at its addresses, accepts nothing
//!                                           ◄────       Ready, or Failed
//!   Go                                      ────►       accepts
//!   accepts no more, drains
//! ```
//!
//! Each is a line of JSON. When the predecessor dies before it said `Go`, the successor goes all the same: nobody else
//! has the sockets. One that gives up ends the successor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::socket::inherited::Handover;

/// Version of what is said here; another one is refused.
pub(super) const VERSION: u32 = 1;

/// Listening sockets that are handed over at most: as many descriptors as one message carries, and some to spare.
pub(super) const MOST_SOCKETS: usize = 200;

/// Bytes of a message at most; a path of a Unix socket has about a hundred.
const MOST_BYTES: usize = 128 * 1024;

/// Descriptors of one message at most, as the systems have it.
const MOST_DESCRIPTORS: usize = 253;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// The first descriptor is the successor's standard input; the others are the sockets.
    Hello {
        version: u32,
        /// The one that stands in the successor's environment too.
        key: String,
        sockets: Vec<Name>,
    },
    Ready {
        pid: u32,
    },
    Failed {
        reason: String,
    },
    Go {},
}

/// Where a socket listens.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Name {
    asked: String,
    bound: String,
    supervised: bool,
}

impl Message {
    pub(super) fn to_line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }

    pub(super) fn from_line(line: &[u8]) -> io::Result<Self> {
        serde_json::from_slice(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Sends the first message. It fits the pair's buffer, so nobody has to read for that.
pub(super) fn send_hello(
    channel: &UnixStream,
    key: &str,
    stdin: BorrowedFd<'_>,
    sockets: &[Handover],
) -> io::Result<()> {
    let name = |one: &Handover| Name {
        asked: one.asked.clone(),
        bound: one.bound.clone(),
        supervised: one.supervised,
    };
    let sockets_named = sockets.iter().map(name).collect();
    let line = Message::Hello { version: VERSION, key: key.to_owned(), sockets: sockets_named }.to_line()?;
    let descriptors: Vec<_> =
        std::iter::once(stdin).chain(sockets.iter().map(|one| one.socket.as_fd())).collect();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if line.len() > MOST_BYTES || !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("too many addresses for one message"));
    }
    // A reader that is gone is an error here and no signal.
    let sent = sendmsg(channel, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL)?;
    if sent < line.len() {
        io::Write::write_all(&mut &*channel, &line[sent..])?;
    }
    Ok(())
}

/// Reads a line, and the descriptors that come with it. `None` at the end of the channel.
pub(super) fn receive(channel: &UnixStream) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let (mut line, mut descriptors) = (Vec::new(), Vec::new());
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut buffer = [0; 4096];
    loop {
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(channel, &mut [IoSliceMut::new(&mut buffer)], &mut control, RECEIVE)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = message {
                descriptors.extend(more);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        line.extend_from_slice(&buffer[..received.bytes]);
        if line.ends_with(b"\n") {
            #[cfg(target_vendor = "apple")]
            for descriptor in &descriptors {
                rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
            }
            return Ok(Some((Message::from_line(&line)?, descriptors)));
        }
        if line.len() > MOST_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message without an end"));
        }
    }
}

/// The descriptors are not for processes that are started later.
#[cfg(not(target_vendor = "apple"))]
const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(target_vendor = "apple")]
const RECEIVE: RecvFlags = RecvFlags::empty();

/// The sockets of a first message, without the standard input that comes first.
pub(super) fn sockets(names: Vec<Name>, descriptors: impl Iterator<Item = OwnedFd>) -> Vec<Handover> {
    let join = |(name, socket): (Name, OwnedFd)| Handover {
        asked: name.asked,
        bound: name.bound,
        socket,
        supervised: name.supervised,
    };
    names.into_iter().zip(descriptors).map(join).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn as_many_sockets_as_may_arrive_with_their_names() {
        let (here, there) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets: Vec<_> = (0..MOST_SOCKETS)
            .map(|n| Handover {
                asked: format!("unix:///{}/{n}", "long".repeat(25)),
                bound: n.to_string(),
                socket: OwnedFd::from(listener.try_clone().unwrap()),
                supervised: n % 2 == 0,
            })
            .collect();
        send_hello(&here, "the key", io::stdin().as_fd(), &sockets).unwrap();
        let (message, descriptors) = receive(&there).unwrap().unwrap();
        let Message::Hello { version: VERSION, key, sockets: names } = message else { panic!("{message:?}") };
        assert_eq!((&*key, descriptors.len()), ("the key", MOST_SOCKETS + 1));
        let arrived = super::sockets(names, descriptors.into_iter().skip(1));
        for (sent, arrived) in sockets.iter().zip(arrived) {
            assert_eq!((&sent.asked, &sent.bound), (&arrived.asked, &arrived.bound));
            assert_eq!(sent.supervised, arrived.supervised);
            let address = TcpListener::from(arrived.socket).local_addr().unwrap();
            assert_eq!(address, listener.local_addr().unwrap());
        }
        drop(here);
        assert!(receive(&there).unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for line in ["", "{}", "{\"Go\":{}} x", "{\"Hello\":{\"version\":1}}"] {
            assert!(Message::from_line(line.as_bytes()).is_err(), "{line}");
        }
        let (here, there) = UnixStream::pair().unwrap();
        io::Write::write_all(&mut &here, b"nonsense\n").unwrap();
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
