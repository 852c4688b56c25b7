//! A call on a warm session allocates no more than it did when this was written: counted, so that no machine is too
//! slow for it. The only test of its process, as the allocator counts for all threads.
//!
//! Where it fails, something on the way of a call began to allocate; on which side, the program `allocs` says.

mod plugins;

use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plugins::Plugins;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use teleport::{Connection, Peer, ReverseProxy, Session};
use teleport_benches::payload::Echo;
use teleport_benches::usage;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls that are counted, of all tasks together.
const CALLS: u64 = 2000;

/// How often calls are counted before they are found to allocate too much.
const TRIES: usize = 10;
/// Allocations of all counted calls together that are not a call's, such as of a buffer that grows late. There were
/// none when this was written, in every run, and at most one for each thousand calls where more were made.
const SLACK: u64 = CALLS / 100;

#[teleport::service(codec = bincode)]
trait Counted {
    async fn add(&self, a: u64, b: u64) -> u64;
    async fn echo(&self, echo: Echo) -> Echo;
}

struct Own;

impl Counted for Own {
    async fn add(&self, a: u64, b: u64) -> u64 {
        a + b
    }

    async fn echo(&self, echo: Echo) -> Echo {
        echo
    }
}

/// What the calls go over.
#[derive(Clone, Copy, Debug)]
enum Way {
    Memory,
    Tcp,
    /// A proxy in between, in memory.
    Proxy,
}

/// What is called.
#[derive(Clone, Copy, Debug)]
enum Call {
    /// Numbers: nothing of the user's is allocated.
    Add,
    /// A struct with a text and a list, which are allocated where it is decoded: twice on each side.
    Echo,
}

#[test]
fn a_call_on_a_warm_session_allocates_only_what_its_types_need() {
    // A proxy waits for its upstream, so each call is a task there, with its future and the header that it keeps. It was 7
    // of one call at a time, and between 9 and 10 of a hundred, when this was written.
    for (way, more) in [(Way::Memory, 0), (Way::Tcp, 0), (Way::Proxy, 11)] {
        for (call, in_flight, allowed) in
            [(Call::Add, 1, 0), (Call::Add, 100, 0), (Call::Echo, 1, 4), (Call::Echo, 100, 4)]
        {
            check(way, call, in_flight, Plugins::None, allowed + more);
        }
    }
    for plugins in [Plugins::Idle, Plugins::Ready, Plugins::MayWait] {
        for in_flight in [1, 100] {
            check(Way::Tcp, Call::Add, in_flight, plugins, plugins.allowed());
        }
    }
}

/// The least of some tries counts: a handler that loses the processor looks like one that computes for long, and then gets
/// a task for some calls. A call that really allocates does so in each.
fn check(way: Way, call: Call, in_flight: u64, plugins: Plugins, allowed: u64) {
    let is_allowed = |counted: &u64| *counted <= allowed * CALLS + SLACK;
    let mut tries = (0..TRIES).map(|_| count(way, call, in_flight, plugins));
    let counted = tries.find(is_allowed).unwrap_or_else(|| count(way, call, in_flight, plugins));
    assert!(
        is_allowed(&counted),
        "{CALLS} calls of {call:?} over {way:?}, {in_flight} in flight, plugins: {plugins:?}, made {counted} allocations \
         on all sides together; {allowed} for each call are allowed"
    );
}

/// Allocations of the counted calls, both sides together.
fn count(way: Way, call: Call, in_flight: u64, plugins: Plugins) -> u64 {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server =
            plugins.attach(Peer::builder()).service(CountedServer::new(Own)).unwrap().build().unwrap();
        let client = plugins.attach(Peer::builder()).build().unwrap();
        let gateway;
        let session: Session = match way {
            Way::Tcp => {
                let address = server.listen("127.0.0.1:0").await.unwrap();
                client.dial(address).await.unwrap()
            }
            Way::Memory => {
                let (near, far) = Connection::memory();
                server.attach(far).await.unwrap();
                client.attach(near).await.unwrap()
            }
            Way::Proxy => {
                let upstream = client.connect(&server).await.unwrap();
                let proxy = ReverseProxy::to(upstream).unwrap();
                gateway = Peer::builder().router(proxy.router()).unwrap().build().unwrap();
                client.connect(&gateway).await.unwrap()
            }
        };
        let counter = Arc::new(Counter::default());
        let mut tasks = JoinSet::new();
        for _ in 0..in_flight {
            tasks.spawn(counter.clone().run(CountedClient::new(&session), call));
        }
        tasks.join_all().await;
        counter.counted.load(Ordering::Relaxed)
    })
}

/// Counts calls: the first [`CALLS`] let grow whatever grows, the allocations of as many more are counted.
#[derive(Default)]
struct Counter {
    done: AtomicU64,
    before: AtomicU64,
    counted: AtomicU64,
}

impl Counter {
    /// One call after the other, until there were enough of all tasks together.
    async fn run(self: Arc<Self>, client: CountedClient, call: Call) {
        let mut echo = Echo::sample(0);
        while self.done.load(Ordering::Relaxed) < 2 * CALLS {
            match call {
                Call::Add => assert_eq!(client.add(6, 7).await.unwrap(), 13),
                Call::Echo => {
                    echo = client.echo(echo).await.unwrap();
                    assert_eq!(echo.tags.len(), 8);
                }
            }
            match self.done.fetch_add(1, Ordering::Relaxed) + 1 {
                CALLS => self.before.store(usage::allocations(), Ordering::Relaxed),
                done if done == 2 * CALLS => {
                    let before = self.before.load(Ordering::Relaxed);
                    self.counted.store(usage::allocations() - before, Ordering::Relaxed);
                }
                _ => {}
            }
        }
    }
}
