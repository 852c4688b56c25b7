//! A server that the tests of faults start: it counts what it allocates, and tells of it.
//!
//! `faulted <address>`, with settings in variables that begin with `FAULTED`.

use std::alloc::System;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use teleport::{Peer, Settings, Status};
use tokio::sync::Semaphore;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Attempts to take a connection that failed, by the lines of the log, and those that were warnings.
static FAILED: AtomicU64 = AtomicU64::new(0);
static WARNED: AtomicU64 = AtomicU64::new(0);

/// Counts lines that say so, and keeps none.
struct Counting;

impl Write for Counting {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if text.contains("can't take a connection") {
            FAILED.fetch_add(1, Ordering::SeqCst);
            WARNED.fetch_add(u64::from(text.contains("WARN")), Ordering::SeqCst);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(|| Counting)
        .init();
    let address = std::env::args().nth(1).expect("an address");
    let (told, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
    let (count, pushes, opened) = (told.clone(), gate.clone(), gate);
    let this = Arc::new(OnceLock::<Peer>::new());
    let known = this.clone();
    let peer = Peer::builder()
        .pull("/echo", |_, text: String| async move { Ok(text) })
        .and_then(|it| it.pull("/long", |_, length: usize| async move { Ok("x".repeat(length)) }))
        .and_then(|it| it.pull("/never", |_, ()| std::future::pending::<Result<(), Status>>()))
        .and_then(|it| it.pull("/told", move |_, ()| std::future::ready(Ok(told.load(Ordering::SeqCst)))))
        .and_then(|it| {
            it.pull("/open", move |_, ()| {
                opened.add_permits(Semaphore::MAX_PERMITS / 2);
                async { Ok(()) }
            })
        })
        .and_then(|it| {
            it.push("/tell", move |_, _: String| {
                let (count, gate) = (count.clone(), pushes.clone());
                async move {
                    let _open = gate.acquire().await;
                    count.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .and_then(|it| it.pull("/failed", |_, ()| async { Ok(FAILED.load(Ordering::SeqCst)) }))
        .and_then(|it| it.pull("/warned", |_, ()| async { Ok(WARNED.load(Ordering::SeqCst)) }))
        .and_then(|it| {
            it.pull("/sessions", move |_, ()| {
                std::future::ready(Ok(known.get().map_or(0, |peer| peer.sessions().len())))
            })
        })
        .and_then(|it| {
            // Bytes allocated and not given back, and KiB of memory that are in use.
            it.pull("/memory", |_, ()| async {
                let stats = INSTRUMENTED_SYSTEM.stats();
                Ok((stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated), resident()))
            })
        })
        .and_then(|it| it.settings(Settings::default().with_env("FAULTED")?).build())
        .expect("a peer");
    peer.listen(address).await.expect("the address is free");
    println!("{}", peer.local_addr().expect("it listens"));
    assert!(this.set(peer).is_ok());
    // Until it is killed, or its parent is no more.
    let _ = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await;
    std::process::exit(0);
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
