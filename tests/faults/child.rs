//! The server in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use teleport::{Peer, Session};

use crate::PATIENCE;

pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    /// Over which it is asked; there before anything is held against it.
    pub(crate) session: Session,
    _peer: Peer,
}

impl Server {
    /// Starts it with these settings.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_at("127.0.0.1:0", settings).await
    }

    pub(crate) async fn start_at(address: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_faulted"));
        command.arg(address);
        Self::run(command, settings).await
    }

    /// Starts it with so many file descriptors.
    pub(crate) async fn with_files(files: u32) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {files} && exec \"$0\" 127.0.0.1:0"));
        command.arg(env!("CARGO_BIN_EXE_faulted"));
        Self::run(command, &[]).await
    }

    async fn run(mut command: Command, settings: &[(&str, &str)]) -> Self {
        for (key, value) in settings {
            command.env(format!("FAULTED_{key}"), value);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let peer = Peer::builder().build().unwrap();
        let session = peer.dial(&address).await.unwrap_or_else(|error| panic!("{address:?}: {error}"));
        let server = Server { child, address, session, _peer: peer };
        // Who has said something is not closed for saying nothing.
        server.number("/sessions").await;
        server
    }

    /// Bytes that it has allocated, and KiB of memory that it uses.
    pub(crate) async fn memory(&self) -> (usize, usize) {
        self.session.pull("/memory").await.unwrap().decode().unwrap()
    }

    pub(crate) async fn number(&self, uri: &str) -> u64 {
        self.session.pull(uri).await.unwrap().decode().unwrap()
    }

    /// Asks until the number is as it is to be.
    pub(crate) async fn until(&self, uri: &str, is: impl Fn(u64) -> bool) -> u64 {
        let began = Instant::now();
        loop {
            let number = self.number(uri).await;
            if is(number) {
                return number;
            }
            assert!(began.elapsed() < PATIENCE, "{uri} stays at {number}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL: it has no time to say anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
