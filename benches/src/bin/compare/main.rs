//! Teleport side by side with tarpc, tonic and what tokio's sockets allow, in one run.
//!
//! ```sh
//! cargo run --release -p teleport-benches --features peers --bin compare
//! ```
//!
//! Every measurement has a server and a client that are processes of their own: copies of this program, started as
//! `compare server …` and `compare client …`. All peers are measured before any is measured again, and what is told is
//! the median of the rounds. Prints tables, and writes them to `RESULTS.md` and a plot to `throughput.svg`.

mod goals;
mod load;
mod options;
mod peers;
mod plot;
mod programs;
mod report;
mod results;
mod rounds;
mod workload;

use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;

use teleport_benches::machine::Cores;
use teleport_benches::process::answer_parent;
use teleport_benches::{Result, usage};

use options::Options;
use peers::Peer;
use workload::Workload;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["server", peer, cores] => serve(peer, cores),
        ["client", peer, address, workload, seconds, cores] => load(peer, address, workload, seconds, cores),
        ["--help" | "-h"] => {
            println!("{}", options::USAGE);
            Ok(())
        }
        _ => Options::parse(&arguments).and_then(|options| compare(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole comparison.
fn compare(options: &Options) -> Result<()> {
    let results = rounds::run(options)?;
    let mut report = report::write(&results, options)?;
    print!("{report}");
    for section in programs::run(options)? {
        print!("{section}");
        report.push_str(&section);
    }
    let Some(directory) = &options.directory else {
        println!("\nNothing was written: that is for a whole run, or for `--out DIRECTORY`.");
        return Ok(());
    };
    let (text, plot) = (directory.join("RESULTS.md"), directory.join("throughput.svg"));
    fs::write(&text, report)?;
    fs::write(&plot, plot::draw(&results))?;
    println!("\nwritten: {} and {}", text.display(), plot.display());
    Ok(())
}

fn serve(peer: &str, cores: &str) -> Result<()> {
    let peer: Peer = peer.parse()?;
    let runtime = cores.parse::<Cores>()?.runtime()?;
    let ready = |address| {
        // Whatever the parent asks, it is told the processor time in microseconds.
        answer_parent(address, |_| Ok(usage::processor_time()?.as_micros().to_string()))
    };
    runtime.block_on(peer.serve(ready))
}

fn load(peer: &str, address: &str, workload: &str, seconds: &str, cores: &str) -> Result<()> {
    let (peer, workload): (Peer, _) = (peer.parse()?, Workload::named(workload)?);
    let (address, seconds): (SocketAddr, f64) = (address.parse()?, seconds.parse()?);
    cores.parse::<Cores>()?.runtime()?.block_on(peer.load(address, workload, seconds))
}
