//! What Teleport is fuzzed with.
//!
//! Each target is a function of bytes that panics where something is wrong. `fuzz/` drives them by libFuzzer;
//! `tests/replay.rs` calls them with every seed and every input that once failed, so that these run with all other tests.

pub mod body;
pub mod gzip;
pub mod header;
pub mod packet;
pub mod seeds;
pub mod session;
mod tape;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts what is allocated: a session under attack may hold no more than its limits say.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One target: its name, as `fuzz/` and the folders of findings have it, and its function.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Panics where something is wrong with what the bytes lead to.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 5] = [
    Target { name: "packet", run: packet::run },
    Target { name: "header", run: header::run },
    Target { name: "gzip", run: gzip::run },
    Target { name: "body", run: body::run },
    Target { name: "session", run: session::run },
];

/// Bytes allocated and not given back, by the whole process.
fn allocated() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated)
}
