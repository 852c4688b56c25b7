//! Running the program.

use std::process::{Output, Stdio};

use teleport::Peer;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs it, without anything on standard input.
pub(crate) async fn teleport(args: &[&str]) -> Ran {
    teleport_fed(args, b"").await
}

/// Runs it with this on standard input.
pub(crate) async fn teleport_fed(args: &[&str], input: &[u8]) -> Ran {
    let mut child = command(args).stdin(Stdio::piped()).spawn().expect("the program was built for this test");
    let mut stdin = child.stdin.take().expect("it was asked for");
    // Whoever reads none of it may have ended by now.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    ran(child.wait_with_output().await.expect("it runs"))
}

/// Not started yet, its output to be read.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_teleport"));
    command.args(args).env_remove("TELEPORT_TOKEN").env("NO_COLOR", "").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// What it prints where all goes well.
pub(crate) fn printed(out: &str) -> Ran {
    Ran { code: 0, out: out.into(), err: String::new() }
}

/// What it says where it can't.
pub(crate) fn failed(code: i32, problem: &str) -> Ran {
    Ran { code, out: String::new(), err: format!("teleport: {problem}\n") }
}

/// Where the peer listens, with this behind it.
pub(crate) fn at(peer: &Peer, uri: &str) -> String {
    format!("{}{uri}", peer.local_addr().expect("it listens"))
}
