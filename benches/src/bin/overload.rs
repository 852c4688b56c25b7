//! More calls than a server can take.
//!
//! ```sh
//! cargo run --release -p teleport-benches --bin overload
//! ```
//!
//! Two processes with the default runtime. A server that runs sixteen handlers of a session at once is offered calls
//! over one session at once, twice and four times the rate that it can keep up, whether or not those before have ended.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use teleport::{Code, Limits, Overload, Peer, Session};
use teleport_benches::Result;
use teleport_benches::machine::Cores;
use teleport_benches::process::{Program, answer_parent};
use teleport_benches::stats::{percentile, short};
use teleport_benches::table::Table;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Handlers that the server runs at once.
const RUNNING: u32 = 16;
/// What one costs.
const SLEEP: Duration = Duration::from_millis(5);
const BURN: Duration = Duration::from_micros(200);
/// Between two bursts of the load.
const TICK: Duration = Duration::from_millis(1);
/// Where callers are held back: calls that they have out at most.
const OUT: usize = 4 * RUNNING as usize;
/// Where they have a deadline: longer than the server takes by far, and shorter than its line may get.
const DEADLINE: Duration = Duration::from_millis(250);

/// Where they have none that matters.
const PATIENCE: Duration = Duration::from_secs(30);

#[teleport::service(codec = bincode)]
trait Desk {
    /// Waits, as for a database.
    async fn wait(&self) -> u64;
    /// Computes, in a task.
    async fn burn(&self) -> u64;
}

struct Clerk;

impl Desk for Clerk {
    async fn wait(&self) -> u64 {
        sleep(SLEEP).await;
        0
    }

    async fn burn(&self) -> u64 {
        yield_now().await;
        let (began, mut turns) = (Instant::now(), 0);
        while began.elapsed() < BURN {
            turns += 1;
        }
        turns
    }
}

/// What a handler does.
#[derive(Clone, Copy, PartialEq)]
enum Cost {
    Wait,
    Burn,
}

/// What becomes of calls that are too many.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// They wait in line, and callers have no more than so many out.
    HeldBack,
    /// They are refused.
    Refused,
    /// They wait in line until their time is up, and nobody is held back.
    Deadlines,
}

impl Way {
    const ALL: [(Way, &str); 3] = [
        (Way::HeldBack, "wait, callers held back"),
        (Way::Refused, "refuse"),
        (Way::Deadlines, "wait, callers with deadlines"),
    ];

    fn overload(self) -> Overload {
        if self == Way::Refused { Overload::Refuse } else { Overload::Wait }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => tables(Duration::from_secs(3)),
        ["--quick"] => tables(Duration::from_millis(200)),
        ["server", "wait"] => serve(Overload::Wait),
        ["server", "refuse"] => serve(Overload::Refuse),
        _ => Err("usage: overload [--quick]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn tables(time: Duration) -> Result<()> {
    for (cost, name) in [
        (Cost::Wait, format!("handlers that wait for {SLEEP:?}")),
        (Cost::Burn, format!("handlers that compute for {BURN:?}")),
    ] {
        let sustainable = with_server(Overload::Wait, |session| sustained(session, cost, time))?;
        println!(
            "{name}, {RUNNING} at once: {} calls/s with callers that wait for replies\n",
            short(sustainable)
        );
        println!("{}", table(cost, sustainable, time)?);
    }
    Ok(())
}

fn table(cost: Cost, sustainable: f64, time: Duration) -> Result<Table> {
    let mut table = Table::new([
        "past the limit",
        "load",
        "served/s",
        "of the peak, %",
        "half, ms",
        "99 %, ms",
        "refused/s",
        "timed out/s",
        "held back/s",
    ]);
    for (way, name) in Way::ALL {
        let mut rows = Vec::new();
        for times in [1, 2, 4] {
            let rate = sustainable * f64::from(times);
            let load = |session| offer(session, cost, way, rate, time);
            rows.push((times, with_server(way.overload(), load)?));
        }
        let peak = rows.iter().map(|(_, counted)| counted.served).fold(sustainable, f64::max);
        for (times, counted) in rows {
            let millis = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
            table.row([
                name.to_owned(),
                format!("{times}x"),
                short(counted.served),
                format!("{:.0}", 100.0 * counted.served / peak),
                millis(counted.half),
                millis(counted.most),
                short(counted.refused),
                short(counted.late),
                short(counted.held_back),
            ]);
        }
    }
    Ok(table)
}

/// Measures over a session to a server of its own.
fn with_server<T, F>(overload: Overload, measure: impl FnOnce(Session) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let overload = if overload == Overload::Refuse { "refuse" } else { "wait" };
    let mut server = Program::start(&["server", overload])?;
    let address = server.line()?;
    Cores::All.runtime()?.block_on(async {
        let peer = Peer::builder().build()?;
        let session = peer.dial(&address).await?;
        // Once it has answered, it is told of deadlines.
        DeskClient::new(&session).wait().await?;
        measure(session).await
    })
}

async fn call(desk: &DeskClient, cost: Cost, time: Duration) -> teleport::Result<u64> {
    match cost {
        Cost::Wait => desk.wait().timeout(time).await,
        Cost::Burn => desk.burn().timeout(time).await,
    }
}

/// Calls per second of twice as many callers as the server runs handlers, each with one call after the other.
async fn sustained(session: Session, cost: Cost, time: Duration) -> Result<f64> {
    let served = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..2 * RUNNING {
        let (desk, served) = (DeskClient::new(&session), served.clone());
        callers.spawn(async move {
            while call(&desk, cost, PATIENCE).await.is_ok() {
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    sleep(time / 4).await;
    let (began, before) = (Instant::now(), served.load(Ordering::Relaxed));
    sleep(time).await;
    Ok((served.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64())
}

/// What came of a load; per second where it is a count.
struct Counted {
    served: f64,
    refused: f64,
    late: f64,
    held_back: f64,
    half: Duration,
    most: Duration,
}

/// Makes so many calls in a second, and counts what ends after the first quarter and before the load does.
async fn offer(session: Session, cost: Cost, way: Way, rate: f64, time: Duration) -> Result<Counted> {
    let desk = DeskClient::new(&session);
    let room = Arc::new(Semaphore::new(if way == Way::HeldBack { OUT } else { Semaphore::MAX_PERMITS }));
    let patience = if way == Way::Deadlines { DEADLINE } else { PATIENCE };
    let warm = time / 4;
    let mut calls = JoinSet::new();
    let (mut made, mut held_back) = (0.0, 0_u64);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let began = Instant::now();
    while began.elapsed() < warm + time {
        ticks.tick().await;
        while made < rate * began.elapsed().as_secs_f64() {
            made += 1.0;
            let Ok(room) = room.clone().try_acquire_owned() else {
                held_back += u64::from(began.elapsed() >= warm);
                continue;
            };
            let desk = desk.clone();
            calls.spawn(async move {
                let began = Instant::now();
                let outcome = call(&desk, cost, patience).await;
                drop(room);
                (Instant::now(), outcome, began.elapsed())
            });
        }
    }
    let (mut durations, mut refused, mut late) = (Vec::new(), 0_u64, 0_u64);
    let mut ended = calls.join_all().await;
    // What ends after the load does so with less of it.
    ended.retain(|(at, ..)| (warm..warm + time).contains(&(*at - began)));
    for (_, outcome, took) in ended {
        match outcome {
            Ok(_) => durations.push(took),
            Err(error) if error.code() == Some(Code::UNAVAILABLE) => refused += 1,
            Err(error) if error.is_timeout() || error.code() == Some(Code::GATEWAY_TIMEOUT) => late += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let per_second = |count: u64| count as f64 / time.as_secs_f64();
    let [half, most] = match durations.len() {
        0 => [Duration::ZERO; 2],
        _ => [0.5, 0.99].map(|share| percentile(&mut durations, share)),
    };
    let (served, refused) = (per_second(durations.len() as u64), per_second(refused));
    Ok(Counted { served, refused, late: per_second(late), held_back: per_second(held_back), half, most })
}

fn serve(overload: Overload) -> Result<()> {
    Cores::All.runtime()?.block_on(async {
        let limits = Limits::default().with_max_pulls_in(RUNNING).with_overload(overload);
        let peer = Peer::builder().service(DeskServer::new(Clerk))?.limits(limits);
        let peer = peer.listen("127.0.0.1:0").await?;
        answer_parent(peer.local_addr()?, |_| Err("it is not asked".into()))?;
        std::future::pending().await
    })
}
