//! Faults over real sockets: what the caller sees of each, and what it costs the other side.
//!
//! Each prints how long it took and how much memory, which is not asserted but within wide bounds:
//! `cargo test -p teleport-tests --test faults -- --nocapture --test-threads 1`. `teleport/docs/faults.md` tells of it.
#![cfg(target_os = "linux")]

mod child;
mod connections;
mod floods;
mod proxy;

use std::time::Duration;

/// How long anything may take; all of it takes a fraction of a second on a machine that is not busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A measurement, for people.
fn report(fault: &str, took: Duration, more: &str) {
    println!("{fault}: {:.0} ms{more}", took.as_secs_f64() * 1000.0);
}
