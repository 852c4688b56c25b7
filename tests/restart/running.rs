//! A server in processes of its own, each the successor of the one before.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use teleport::{Peer, Session};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long anything may take; all of it takes a fraction of a second on a machine that is not busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What a process says when it ends.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) pid: u32,
    pub(super) ran: u64,
    pub(super) cut: usize,
    pub(super) refused: u64,
}

pub(super) struct Running {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    folder: PathBuf,
    pub(super) unix: PathBuf,
    pub(super) tcp: String,
    pub(super) pid: u32,
    /// Every process that was heard of, to be killed where a test fails.
    heard_of: Vec<u32>,
}

impl Running {
    pub(super) async fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_restarting"));
        command.arg("127.0.0.1:0");
        Self::start_with(command, |_| {}).await
    }

    /// Starts a command that lacks the path of the Unix socket; `more` is told the folder of the test.
    pub(super) async fn start_with(mut command: Command, more: impl FnOnce(&Path)) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("teleport-restart-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        more(&folder);
        let unix = folder.join("socket");
        let mut child =
            command.arg(&unix).env("TEST_FOLDER", &folder).stdout(Stdio::piped()).spawn().unwrap();
        let (send, lines) = mpsc::unbounded_channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // A thread, as the pipe belongs to the successors too and ends with the last of them.
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let pid = child.id();
        let mut running =
            Running { child, lines, folder, unix, tcp: String::new(), pid, heard_of: vec![pid] };
        let line = running.line().await.expect("it serves");
        let inherited = running.ready(&line);
        assert!(!inherited, "{line}");
        running
    }

    pub(super) fn unix_address(&self) -> String {
        format!("unix://{}", self.unix.display())
    }

    /// The next line that a process says; `None` when all have ended.
    pub(super) async fn line(&mut self) -> Option<String> {
        timeout(PATIENCE, self.lines.recv()).await.expect("something is said in time")
    }

    /// Reads `ready <pid> <address> <whether it is a successor>`.
    fn ready(&mut self, line: &str) -> bool {
        let words: Vec<_> = line.split(' ').collect();
        let ["ready", pid, address, inherited] = words[..] else { panic!("{line:?}") };
        self.pid = pid.parse().unwrap();
        self.heard_of.push(self.pid);
        assert!(self.tcp.is_empty() || self.tcp == address, "the port stays: {line}");
        self.tcp = address.to_owned();
        inherited.parse().unwrap()
    }

    /// Reads `hangs <pid>`.
    pub(super) async fn hanging(&mut self) -> u32 {
        let line = self.line().await.expect("it hangs");
        let pid = line.strip_prefix("hangs ").unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        self.heard_of.push(pid);
        pid
    }

    pub(super) fn signal(&self, pid: u32, signal: Signal) {
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
    }

    /// Restarts it, and waits until the successor serves and the old process says what came of its calls.
    pub(super) async fn restart(&mut self) -> Ended {
        let old = self.pid;
        self.signal(old, Signal::USR2);
        let (mut ended, mut successor) = (None, false);
        while ended.is_none() || !successor {
            let line = self.line().await.expect("a successor");
            match parse_ended(&line) {
                Some(one) => ended = Some(one),
                None => successor = self.ready(&line),
            }
        }
        assert_ne!(self.pid, old);
        let ended = ended.unwrap();
        assert_eq!(ended.pid, old);
        ended
    }

    /// Ends it by a signal, and waits until no process of it is left.
    pub(super) async fn end(&mut self) -> Ended {
        self.signal(self.pid, Signal::TERM);
        self.ended().await
    }

    /// Waits for the last process to end.
    pub(super) async fn ended(&mut self) -> Ended {
        let line = self.line().await.expect("it says how it ended");
        let ended = parse_ended(&line).unwrap_or_else(|| panic!("{line:?}"));
        assert_eq!(self.line().await, None, "all processes have ended");
        ended
    }

    /// A session to the server, and the peer that it belongs to.
    pub(super) async fn dial(&self, address: &str) -> (Session, Peer) {
        let client = Peer::builder().build().unwrap();
        (client.dial(address).await.unwrap(), client)
    }

    /// Both addresses are served by this process, and the file of the Unix socket is there.
    pub(super) async fn is_served_by(&self, pid: u32) {
        assert!(self.unix.exists());
        for address in [self.tcp.clone(), self.unix_address()] {
            let (session, _client) = self.dial(&address).await;
            assert_eq!(session.pull("/pid").await.unwrap().decode::<u32>().unwrap(), pid);
        }
    }

    /// Asks the server for a restart whose successor fails in this way; what it says of it.
    pub(super) async fn failing(&self, how: &'static str, ready_within: Duration) -> String {
        let (session, _client) = self.dial(&self.tcp).await;
        let millis = u64::try_from(ready_within.as_millis()).unwrap();
        session.pull("/restart").timeout(PATIENCE).body(&(how, millis)).await.unwrap().decode().unwrap()
    }
}

/// Reads `ended <pid> <calls that ran> <calls cut off> <calls refused>`.
fn parse_ended(line: &str) -> Option<Ended> {
    let words: Vec<_> = line.split(' ').collect();
    let ["ended", pid, ran, cut, refused] = words[..] else { return None };
    Some(Ended {
        pid: pid.parse().unwrap(),
        ran: ran.parse().unwrap(),
        cut: cut.parse().unwrap(),
        refused: refused.parse().unwrap(),
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            for pid in &self.heard_of {
                // An error means that it has ended.
                let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
            }
        }
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
