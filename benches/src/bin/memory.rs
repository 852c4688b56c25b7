//! Memory of idle sessions, and of pulls in flight.
//!
//! ```sh
//! cargo run --release -p teleport-benches --bin memory
//! ```
//!
//! Two processes with the default runtime. What is told of the server is told for each session that was opened after
//! the first tenth, so that what a process needs once is not in it. The allocator counts, which takes no memory. What
//! the kernel holds for a socket is in none of the figures.

use std::alloc::System;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use teleport::{Limits, Peer, Session};
use teleport_benches::machine::Cores;
use teleport_benches::process::{Program, answer_parent};
use teleport_benches::table::Table;
use teleport_benches::{Result, usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Files that a process has open beside its sessions; more than it needs.
const OTHER_DESCRIPTORS: u64 = 100;
/// How often the server is asked whether it is there yet.
const PAUSE: Duration = Duration::from_millis(10);

/// What each idle session is.
const KINDS: [(&str, &str); 3] = [
    ("teleport", "Teleport session, one call made"),
    ("tokio", "tokio task that reads, one message echoed"),
    ("accepted", "tokio socket, accepted and kept"),
];

#[teleport::service(codec = bincode)]
trait Waiting {
    /// For the warm-up.
    async fn number(&self) -> u64;
    /// Waits for ever.
    async fn wait(&self, n: u64) -> u64;
}

/// Knows how many handlers wait.
#[derive(Default)]
struct Waiter {
    waiting: Arc<AtomicU64>,
}

impl Waiting for Waiter {
    async fn number(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    async fn wait(&self, n: u64) -> u64 {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
        n
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => tables(10_000),
        ["--quick"] => tables(1000),
        ["server", kind] => serve(kind),
        _ => Err("usage: memory [--quick]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn tables(wanted: u64) -> Result<()> {
    let runtime = Cores::All.runtime()?;
    let limit = usage::raise_descriptors()?;
    let sessions = wanted.min(limit.saturating_sub(OTHER_DESCRIPTORS));
    let mut table = Table::new(["bytes of the server for each", "in memory (RSS)", "on the heap"]);
    for (kind, name) in KINDS {
        let Growth { resident, allocated } = runtime.block_on(idle(kind, sessions))?;
        table.row([name.into(), format!("{resident:.0}"), format!("{allocated:.0}")]);
    }
    println!("{sessions} idle sessions between two processes:\n\n{table}");
    if sessions < wanted {
        println!("The system lets a process open {limit} files, so it is not {wanted}.\n");
    }
    let pulls = wanted;
    println!("{pulls} pulls in flight on one session, whose handlers wait:\n\n{}", in_flight(pulls)?);
    Ok(())
}

/// Bytes of the server for each session.
struct Growth {
    resident: f64,
    allocated: f64,
}

async fn idle(kind: &str, sessions: u64) -> Result<Growth> {
    let mut server = Program::start(&["server", kind])?;
    let address: SocketAddr = server.line()?.parse()?;
    let client = Peer::builder().build()?;
    let mut open = Vec::new();
    let mut before = None;
    for number in 1..=sessions {
        open.push(match kind {
            "teleport" => Kept::session(&client, address).await?,
            _ => Kept::stream(address, kind == "tokio").await?,
        });
        if number == sessions / 10 {
            before = Some(state(&mut server, number).await?);
        }
    }
    let (resident, allocated) = state(&mut server, sessions).await?;
    let (resident_before, allocated_before) = before.ok_or("there are too few sessions to compare")?;
    let each = |after: u64, before: u64| (after as f64 - before as f64) / (sessions - sessions / 10) as f64;
    Ok(Growth { resident: each(resident, resident_before), allocated: each(allocated, allocated_before) })
}

/// Waits until the server has so many sessions; its bytes in memory and on the heap then.
async fn state(server: &mut Program, sessions: u64) -> Result<(u64, u64)> {
    while server.number("sessions")? < sessions {
        sleep(PAUSE).await;
    }
    Ok((server.number("resident")?, server.number("allocated")?))
}

/// Keeps a connection open.
#[expect(dead_code, reason = "they are kept, and never looked at")]
enum Kept {
    Session(Session),
    Stream(TcpStream),
}

impl Kept {
    async fn session(client: &Peer, address: SocketAddr) -> Result<Self> {
        let session = client.dial(address).await?;
        WaitingClient::new(&session).number().await?;
        Ok(Kept::Session(session))
    }

    async fn stream(address: SocketAddr, echo: bool) -> Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        if echo {
            stream.write_all(b"?").await?;
            stream.read_exact(&mut [0]).await?;
        }
        Ok(Kept::Stream(stream))
    }
}

/// What a pull costs while it waits: its future, its part of the session, and all of it with a task.
fn in_flight(pulls: u64) -> Result<Table> {
    let runtime = Cores::All.runtime()?;
    runtime.block_on(async {
        let mut server = Program::start(&["server", "teleport"])?;
        let address: SocketAddr = server.line()?.parse()?;
        let session = Peer::builder().build()?.dial(address).await?;
        let client = WaitingClient::new(&session);
        client.number().await?;
        let server_before = server.number("allocated")?;

        let mut calls: Vec<_> = (0..pulls).map(|n| client.wait(n)).collect();
        let future = size_of_val(&calls[0]);
        let before = usage::allocated();
        poll_fn(|cx| {
            // None is ready: their handlers wait.
            Poll::Ready(calls.iter_mut().all(|call| Pin::new(call).poll(cx).is_pending()))
        })
        .await;
        until_waiting(&mut server, pulls).await?;
        let alone = usage::allocated() - before;
        let handlers = server.number("allocated")? - server_before;
        drop(calls);

        let session = Peer::builder().build()?.dial(address).await?;
        let client = WaitingClient::new(&session);
        client.number().await?;
        let before = usage::allocated();
        let mut tasks = JoinSet::new();
        for n in 0..pulls {
            let client = client.clone();
            tasks.spawn(async move { client.wait(n).await });
        }
        until_waiting(&mut server, 2 * pulls).await?;
        let with_tasks = usage::allocated() - before;

        let mut table = Table::new(["bytes for each", "on the heap"]);
        let each = |bytes: u64| format!("{:.0}", bytes as f64 / pulls as f64);
        table.row(["client: the session's part".to_owned(), each(alone)]);
        table.row(["client: the call itself, a future, wherever it is kept".into(), future.to_string()]);
        table.row(["client: all of it, with a task for each call".into(), each(with_tasks)]);
        table.row(["server: a handler that waits, which is a task".into(), each(handlers)]);
        Ok(table)
    })
}

async fn until_waiting(server: &mut Program, pulls: u64) -> Result<()> {
    while server.number("waiting")? < pulls {
        sleep(PAUSE).await;
    }
    Ok(())
}

fn serve(kind: &str) -> Result<()> {
    usage::raise_descriptors()?;
    let (sessions, waiting) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let runtime = Cores::All.runtime()?;
    runtime.block_on(async {
        if kind == "teleport" {
            // By default a session with so many handlers that wait would stop reading.
            let limits = Limits::default().with_max_pulls_in(1_000_000);
            let service = WaitingServer::new(Waiter { waiting: waiting.clone() });
            let peer = Peer::builder().service(service)?.limits(limits).listen("127.0.0.1:0").await?;
            let (address, hub) = (peer.local_addr()?.tcp().ok_or("no TCP address")?, peer.clone());
            answer_parent(address, move |question| {
                answer(question, hub.sessions().len() as u64, waiting.load(Ordering::Relaxed))
            })?;
            return std::future::pending().await;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let count = sessions.clone();
        answer_parent(listener.local_addr()?, move |question| {
            answer(question, count.load(Ordering::Relaxed), 0)
        })?;
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await?;
            sessions.fetch_add(1, Ordering::Relaxed);
            if kind == "accepted" {
                kept.push(stream);
                continue;
            }
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    })
}

fn answer(question: &str, sessions: u64, waiting: u64) -> Result<String> {
    let number = match question {
        "sessions" => sessions,
        "waiting" => waiting,
        "resident" => usage::resident()?,
        "allocated" => usage::allocated(),
        other => return Err(format!("{other:?} is no question").into()),
    };
    Ok(number.to_string())
}
