//! Allocations of a call, counted on both sides: Teleport beside tarpc.
//!
//! ```sh
//! cargo run --release -p teleport-benches --features peers --bin allocs
//! ```
//!
//! `add(u64, u64) -> u64` over loopback TCP, bincode, a `current_thread` runtime in each of two processes, whose
//! allocator counts. The session is warm: what has to grow has grown before the counting begins.

use std::alloc::System;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::StreamExt;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{client, context, serde_transport};
use teleport::Peer;
use teleport_benches::machine::Cores;
use teleport_benches::process::{Program, answer_parent};
use teleport_benches::table::Table;
use teleport_benches::{Result, usage};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls before the counting begins.
const WARM_UP: u64 = 10_000;

#[teleport::service(codec = bincode)]
trait Adding {
    async fn add(&self, a: u64, b: u64) -> u64;
}

#[tarpc::service]
trait TarpcAdding {
    async fn add(a: u64, b: u64) -> u64;
}

#[derive(Clone)]
struct Sum;

impl Adding for Sum {
    async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }
}

impl TarpcAdding for Sum {
    async fn add(self, _: context::Context, a: u64, b: u64) -> u64 {
        a + b
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => table(10_000),
        ["--quick"] => table(1000),
        ["server", peer] => serve(peer),
        _ => Err("usage: allocs [--quick]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn table(calls: u64) -> Result<()> {
    let mut table = Table::new(["", "client", "server", "both"]);
    for peer in ["teleport", "tarpc"] {
        for in_flight in [1, 100] {
            let (client, server) = count(peer, in_flight, calls)?;
            let name = format!("{peer}, {in_flight} in flight");
            let cells = [client, server, client + server].map(|count| format!("{count:.3}"));
            table.row([name].into_iter().chain(cells));
        }
    }
    println!("Allocations of a call of `add(u64, u64) -> u64`, {calls} calls on a warm session:\n\n{table}");
    Ok(())
}

/// Allocations of one call: of the client, and of the server.
fn count(peer: &str, in_flight: u64, calls: u64) -> Result<(f64, f64)> {
    let mut server = Program::start(&["server", peer])?;
    let address: SocketAddr = server.line()?.parse()?;
    let counter = Arc::new(Counter::new(server, calls));
    let (client, server) = Cores::One.runtime()?.block_on(async {
        match peer {
            "teleport" => {
                let peer = Peer::builder().build()?;
                let client = AddingClient::new(&peer.dial(address).await?);
                let call = move |n| {
                    let client = client.clone();
                    async move { client.add(n, 1).await.expect("a reply") }
                };
                counter.run(in_flight, call).await
            }
            _ => {
                let client = tarpc_client(address).await?;
                let call = move |n| {
                    let client = client.clone();
                    async move { client.add(context::current(), n, 1).await.expect("a reply") }
                };
                counter.run(in_flight, call).await
            }
        }
    })?;
    Ok((client as f64 / calls as f64, server as f64 / calls as f64))
}

/// Counts calls, and asks the allocators of both sides when the warm-up is over and at the end.
struct Counter {
    done: AtomicU64,
    all: u64,
    server: Mutex<Program>,
    /// Of client and server.
    before: Mutex<(u64, u64)>,
    after: Mutex<(u64, u64)>,
}

impl Counter {
    fn new(server: Program, calls: u64) -> Self {
        Counter {
            done: AtomicU64::new(0),
            all: WARM_UP + calls,
            server: Mutex::new(server),
            before: Mutex::default(),
            after: Mutex::default(),
        }
    }

    /// Calls from so many tasks; returns what client and server allocated after the warm-up.
    async fn run<F, R>(self: Arc<Self>, in_flight: u64, call: F) -> Result<(u64, u64)>
    where
        F: Fn(u64) -> R + Clone + Send + 'static,
        R: Future<Output = u64> + Send,
    {
        let mut tasks = JoinSet::new();
        for _ in 0..in_flight {
            let (counter, call) = (self.clone(), call.clone());
            tasks.spawn(async move {
                while counter.done.load(Ordering::Relaxed) < counter.all {
                    let n = counter.done.load(Ordering::Relaxed);
                    assert_eq!(call(n).await, n + 1);
                    counter.one_more();
                }
            });
        }
        tasks.join_all().await;
        let ((client, server), (client_after, server_after)) = (*lock(&self.before), *lock(&self.after));
        Ok((client_after - client, server_after - server))
    }

    /// What asking allocates here stays outside of what is counted.
    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done == WARM_UP {
            let server = self.ask();
            *lock(&self.before) = (usage::allocations(), server);
        } else if done == self.all {
            let client = usage::allocations();
            *lock(&self.after) = (client, self.ask());
        }
    }

    fn ask(&self) -> u64 {
        lock(&self.server).number("allocations").expect("the server answers")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no task panicked while it held it")
}

fn serve(peer: &str) -> Result<()> {
    let ready = |address| answer_parent(address, |_| Ok(usage::allocations().to_string()));
    Cores::One.runtime()?.block_on(async {
        match peer {
            "teleport" => {
                let server = Peer::builder().service(AddingServer::new(Sum))?.listen("127.0.0.1:0").await?;
                ready(server.local_addr()?.tcp().ok_or("no TCP address")?)?;
                std::future::pending().await
            }
            _ => {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                ready(listener.local_addr()?)?;
                tarpc_server(listener).await
            }
        }
    })
}

async fn tarpc_server(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let framed = LengthDelimitedCodec::builder().new_framed(stream);
        let channel = BaseChannel::with_defaults(serde_transport::new(framed, Bincode::default()));
        let handle = async |handler| {
            tokio::spawn(handler);
        };
        tokio::spawn(channel.execute(TarpcAdding::serve(Sum)).for_each(handle));
    }
}

async fn tarpc_client(address: SocketAddr) -> Result<TarpcAddingClient> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let framed = LengthDelimitedCodec::builder().new_framed(stream);
    let transport = serde_transport::new(framed, Bincode::default());
    Ok(TarpcAddingClient::new(client::Config::default(), transport).spawn())
}
