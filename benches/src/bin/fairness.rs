//! Small calls on a session that is busy with other things.
//!
//! ```sh
//! cargo run --release -p teleport-benches --bin fairness
//! ```
//!
//! Two processes with the default runtime. A thousand small calls, one every millisecond whether or not the one before
//! has ended, while the same session has a slow handler, large uploads, or a handler that burns processor time.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use teleport::{Peer, Session};
use teleport_benches::machine::Cores;
use teleport_benches::payload::bytes;
use teleport_benches::process::{Program, answer_parent};
use teleport_benches::stats::{Spread, micros, percentile};
use teleport_benches::table::Table;
use teleport_benches::{Result, usage};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep};

const EVERY: Duration = Duration::from_millis(1);
const SLOW: Duration = Duration::from_secs(1);
const BURN: Duration = Duration::from_millis(10);
/// Between two burns: as long as one, so that half of a core is left.
const PAUSE: Duration = BURN;
const UPLOAD: usize = 8 * 1024 * 1024;
/// The other things have begun by then.
const HEAD_START: Duration = Duration::from_millis(100);

#[teleport::service(codec = bincode)]
trait Desk {
    async fn small(&self, n: u64) -> u64;
    /// Waits a second.
    async fn slow(&self) -> u64;
    #[pull(codec = plain)]
    async fn upload(&self, bytes: &[u8]) -> u64;
    /// Burns ten milliseconds where it is polled first: in the task that reads.
    async fn burn_inline(&self) -> u64;
    /// Burns ten milliseconds where that belongs.
    async fn burn_blocking(&self) -> u64;
}

struct Clerk;

impl Desk for Clerk {
    async fn small(&self, n: u64) -> u64 {
        n
    }

    async fn slow(&self) -> u64 {
        sleep(SLOW).await;
        0
    }

    async fn upload(&self, bytes: &[u8]) -> u64 {
        bytes.len() as u64
    }

    async fn burn_inline(&self) -> u64 {
        burn()
    }

    async fn burn_blocking(&self) -> u64 {
        spawn_blocking(burn).await.unwrap_or_default()
    }
}

fn burn() -> u64 {
    let (began, mut turns) = (Instant::now(), 0);
    while began.elapsed() < BURN {
        turns += 1;
    }
    turns
}

/// What else happens.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    Slow,
    SlowAndOneUpload,
    Upload,
    SlowAndUpload,
    UploadElsewhere,
    BurnInline,
    BurnBlocking,
}

impl Beside {
    const ALL: [(Beside, &str); 8] = [
        (Beside::Nothing, "an idle session"),
        (Beside::Slow, "a handler that waits for 1 s"),
        (Beside::SlowAndOneUpload, "the same and one upload of 8 MiB, on its way when they begin"),
        (Beside::Upload, "uploads of 8 MiB, one after the other"),
        (Beside::SlowAndUpload, "a handler that waits and such uploads"),
        (Beside::UploadElsewhere, "the uploads on another session of the same peers"),
        (Beside::BurnInline, "a handler that burns 10 ms in place, half of the time"),
        (Beside::BurnBlocking, "the same in `spawn_blocking`"),
    ];

    /// Begins it, over this session or the other one.
    fn start(self, session: &Session, other: &Session) -> Vec<JoinHandle<()>> {
        let desk = DeskClient::new(session);
        let forever = |beside: Beside, desk: DeskClient| {
            tokio::spawn(async move {
                let body = upload_of(beside);
                loop {
                    let done = match beside {
                        Beside::Slow => desk.slow().await,
                        Beside::Upload => desk.upload(&body).await,
                        Beside::BurnInline => desk.burn_inline().await,
                        _ => desk.burn_blocking().await,
                    };
                    done.expect("a reply");
                    if matches!(beside, Beside::BurnInline | Beside::BurnBlocking) {
                        sleep(PAUSE).await;
                    }
                }
            })
        };
        match self {
            Beside::Nothing => Vec::new(),
            Beside::SlowAndUpload => {
                vec![forever(Beside::Slow, desk.clone()), forever(Beside::Upload, desk)]
            }
            Beside::UploadElsewhere => vec![forever(Beside::Upload, DeskClient::new(other))],
            Beside::SlowAndOneUpload => {
                let upload = desk.clone();
                let once = tokio::spawn(async move {
                    let body = upload_of(Beside::Upload);
                    sleep(HEAD_START).await;
                    upload.upload(&body).await.expect("a reply");
                    std::future::pending::<()>().await;
                });
                vec![forever(Beside::Slow, desk), once]
            }
            one => vec![forever(one, desk)],
        }
    }
}

fn upload_of(beside: Beside) -> Vec<u8> {
    bytes(if beside == Beside::Upload { UPLOAD } else { 0 })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [] => table(5, 1000),
        ["--quick"] => table(1, 300),
        ["server"] => serve(),
        _ => Err("usage: fairness [--quick]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// All of them in each round, so that whatever else the machine does meets them all.
fn table(rounds: usize, calls: u64) -> Result<()> {
    let mut measured = vec![Vec::new(); Beside::ALL.len()];
    for _ in 0..rounds {
        for (at, (beside, _)) in Beside::ALL.into_iter().enumerate() {
            measured[at].push(measure(beside, calls)?);
        }
    }
    let mut table = Table::new(["beside", "half, us", "99 %, us", "99 % / idle"]);
    let mut idle = None;
    for ((_, name), measured) in Beside::ALL.into_iter().zip(&measured) {
        let spread = |of: fn(&(f64, f64)) -> f64| Spread::of(measured.iter().map(of));
        let (p50, p99) = spread(|both| both.0).zip(spread(|both| both.1)).ok_or("nothing was measured")?;
        let idle = *idle.get_or_insert(p99.median);
        table.row([name.to_owned(), p50.to_string(), p99.to_string(), format!("{:.2}", p99.median / idle)]);
    }
    println!("{calls} small calls, one every millisecond; {rounds} rounds, median (least..most):\n\n{table}");
    Ok(())
}

/// Half of the small calls took no longer than the first, 99 of 100 no longer than the second; in microseconds.
fn measure(beside: Beside, calls: u64) -> Result<(f64, f64)> {
    let mut server = Program::start(&["server"])?;
    let address = server.line()?;
    Cores::All.runtime()?.block_on(async {
        let peer = Peer::builder().build()?;
        let (session, other) = (peer.dial(&address).await?, peer.dial(&address).await?);
        let busy = beside.start(&session, &other);
        sleep(HEAD_START).await;
        let mut durations = small_calls(&DeskClient::new(&session), calls).await;
        for task in busy {
            task.abort();
            match task.await {
                Err(error) if error.is_cancelled() => {}
                _ => return Err("what was to go on beside the calls has ended before them".into()),
            }
        }
        let mut at = |share| micros(percentile(&mut durations, share));
        Ok((at(0.5), at(0.99)))
    })
}

async fn small_calls(desk: &DeskClient, calls: u64) -> Vec<Duration> {
    let mut tasks = JoinSet::new();
    let mut ticks = interval(EVERY);
    // A late tick is no reason for a burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0..calls {
        ticks.tick().await;
        let desk = desk.clone();
        tasks.spawn(async move {
            let began = Instant::now();
            assert_eq!(desk.small(n).await.expect("a reply"), n);
            began.elapsed()
        });
    }
    tasks.join_all().await
}

fn serve() -> Result<()> {
    Cores::All.runtime()?.block_on(async {
        let peer = Peer::builder().service(DeskServer::new(Clerk))?.listen("127.0.0.1:0").await?;
        answer_parent(peer.local_addr()?, |_| Ok(usage::resident()?.to_string()))?;
        std::future::pending().await
    })
}
