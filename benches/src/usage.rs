//! What this process takes: processor time and memory; and what it may take.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use stats_alloc::INSTRUMENTED_SYSTEM;

use crate::Result;

/// Processor time of this process so far, all threads, user and system together, from `getrusage`.
///
/// Linux splits the two by sampling, but their sum is exact.
///
/// # Errors
///
/// Where the system refuses to tell.
pub fn processor_time() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs());
    Ok(Duration::from_micros(micros.iter().sum()))
}

/// Bytes of this process in memory (RSS), summed over its mappings; exact, unlike the counter in `/proc/self/stat`.
///
/// # Errors
///
/// Where there is no `/proc`.
pub fn resident() -> Result<u64> {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup")?;
    let kibibytes = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Rss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .ok_or("/proc/self/smaps_rollup has no line `Rss:`")?;
    Ok(kibibytes * 1024)
}

/// Calls to the allocator so far that gave memory, in a program whose global allocator counts them (`stats_alloc`).
#[must_use]
pub fn allocations() -> u64 {
    let stats = INSTRUMENTED_SYSTEM.stats();
    (stats.allocations + stats.reallocations) as u64
}

/// Bytes that are allocated now, in a program whose global allocator counts them.
#[must_use]
pub fn allocated() -> u64 {
    let stats = INSTRUMENTED_SYSTEM.stats();
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}

/// Lets this process open as many files and sockets as the system allows it; returns how many.
///
/// # Errors
///
/// Where the system refuses.
pub fn raise_descriptors() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// Keeps this process, and the threads that it will start, on the first core.
///
/// # Errors
///
/// Where the system refuses, or has no such thing.
#[cfg(target_os = "linux")]
pub fn pin_to_first_core() -> Result<()> {
    use nix::sched::{CpuSet, sched_setaffinity};
    let mut cores = CpuSet::new();
    cores.set(0)?;
    Ok(sched_setaffinity(nix::unistd::Pid::from_raw(0), &cores)?)
}

/// Keeps this process, and the threads that it will start, on the first core.
///
/// # Errors
///
/// Always: only Linux is known here.
#[cfg(not(target_os = "linux"))]
pub fn pin_to_first_core() -> Result<()> {
    Err("a process can be pinned to one core on Linux only".into())
}
