//! Mixed load for as long as one likes; fails where memory, tasks or descriptors grow.
//!
//! ```sh
//! cargo run --release -p teleport-benches --bin soak -- --minutes 20
//! ```
//!
//! Servers and clients in one process. Clients make calls of all kinds, cancel them, time out; sessions come and go,
//! connections are cut and dialed again. Now and then all of them stop, and what the process still holds is counted:
//! then it holds what sessions keep, and nothing of calls. The rate is low; this is about what is left behind.

mod curve;
mod dice;
mod load;
mod options;
mod relay;
mod service;

use std::alloc::System;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use curve::{Curve, NAMES, Sample};
use load::{Client, Load, TOKEN, builder};
use options::Options;
use service::{Answers, MixedServer};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use teleport::plugins::{Auth, Heartbeat, Stats};
use teleport::{ReverseProxy, Status, Upstream};
use teleport_benches::machine::Cores;
use teleport_benches::process::say;
use teleport_benches::{Error, Result, usage};
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Longer than any round of a client takes.
const UNTIL_QUIET: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let outcome = Options::parse(std::env::args().skip(1))
        .and_then(|options| Cores::All.runtime()?.block_on(soak(options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn soak(options: Options) -> Result<()> {
    let heartbeat = || Heartbeat::every(Duration::from_millis(500)).tolerate(20);
    let answers = || MixedServer::new(Answers { leak: options.leak });
    let open = builder().plugin(heartbeat()).plugin(Stats::new()).service(answers())?;
    let open = open.listen("127.0.0.1:0").await?;
    let check = Auth::new().check(|_, token| async move {
        if token.matches(TOKEN) { Ok(()) } else { Err(Status::unauthorized("no such token")) }
    });
    let guarded = builder().plugin(check).plugin(heartbeat()).service(answers())?;
    let guarded = guarded.listen("127.0.0.1:0").await?;
    let upstream = Upstream::per_client(builder(), open.local_addr()?);
    let proxy = ReverseProxy::new().route("/**", upstream)?;
    let gateway = builder().router(proxy.router())?.listen("127.0.0.1:0").await?;

    let load = Arc::new(Load {
        quiet: RwLock::new(()),
        calls: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        cuts: AtomicU64::new(0),
        sessions: AtomicU64::new(0),
        open: open.local_addr()?,
        guarded: guarded.local_addr()?,
        gateway: gateway.local_addr()?,
        busy: options.busy,
    });
    let mut clients = JoinSet::new();
    for (client, seed) in Client::ALL.into_iter().zip(1..) {
        let load = load.clone();
        clients.spawn(async move {
            let ended = client.run(load, seed).await;
            ended.map_err(|error| -> Error { format!("{client:?}: {error}").into() })
        });
    }
    let curve = tokio::select! {
        curve = watch(options, &load) => curve?,
        Some(ended) = clients.join_next() => return Err(ended?.err().unwrap_or_else(|| "a client ended".into())),
    };
    report(options, &load, &curve)
}

/// Takes samples until the time is up.
async fn watch(options: Options, load: &Load) -> Result<Curve> {
    let (mut curve, began) = (Curve::default(), Instant::now());
    // So that it does not grow where it is counted.
    curve.0.reserve((options.time.as_secs_f64() / options.every.as_secs_f64()) as usize + 1);
    say(format_args!("seconds: {}", NAMES.join(", ")))?;
    while began.elapsed() < options.time {
        sleep(options.every).await;
        let quiet = timeout(UNTIL_QUIET, load.quiet.write()).await.map_err(|_| "a client hangs")?;
        let sample = Sample::take(began.elapsed()).await?;
        drop(quiet);
        say(format_args!("{:7.0}: {:?}", sample.at.as_secs_f64(), sample.values.map(|value| value as u64)))?;
        curve.0.push(sample);
    }
    Ok(curve)
}

fn report(options: Options, load: &Load, curve: &Curve) -> Result<()> {
    let [calls, failed, cuts, sessions] =
        [&load.calls, &load.failed, &load.cuts, &load.sessions].map(|count| count.load(Ordering::Relaxed));
    let seconds = options.time.as_secs_f64();
    let processor = usage::processor_time()?.as_secs_f64();
    say(format_args!(
        "\n{seconds:.0} s, {} samples: {calls} calls, {failed} of them cut off, {cuts} connections cut and dialed again, \
         {sessions} sessions that came and went; {processor:.1} s of processor time\n\n{}",
        curve.0.len(),
        curve.table()
    ))?;
    let grown = curve.growth()?;
    if grown.is_empty() {
        return say("nothing has grown");
    }
    Err(format!("it grows:\n  {}", grown.join("\n  ")).into())
}
