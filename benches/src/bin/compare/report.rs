//! The tables, in Markdown.

use std::fmt::Write;

use teleport_benches::machine::{self, Cores};
use teleport_benches::stats::short;
use teleport_benches::table::Table;
use teleport_benches::{Result, stats::Spread};

use crate::goals;
use crate::options::Options;
use crate::peers::Peer;
use crate::results::{Results, Summary};

/// The machine, how to repeat it, the goals, and the tables of each mode.
pub(crate) fn write(results: &Results, options: &Options) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "# Results\n")?;
    writeln!(
        text,
        "Written by `compare`; don't edit. What each program measures is in [README.md](README.md).\n"
    )?;
    writeln!(text, "{}- {}\n", machine::describe(), rounds(options))?;
    writeln!(text, "To repeat it:\n\n```sh\n{}\n```\n", options.command())?;
    writeln!(text, "![calls per second against calls in flight](throughput.svg)\n")?;
    if let Some(goals) = goals::table(results) {
        writeln!(text, "## Goals\n\n{goals}")?;
    }
    for cores in results.cores() {
        mode(&mut text, results, cores)?;
    }
    Ok(text)
}

fn rounds(options: &Options) -> String {
    let Options { rounds, seconds, .. } = options;
    format!("{rounds} rounds of {seconds} s for each figure; median (least..most)")
}

fn mode(text: &mut String, results: &Results, cores: Cores) -> Result<()> {
    let title = match cores {
        Cores::One => "One core",
        Cores::Each => "Two cores, one thread in each process",
        _ => "Two cores",
    };
    writeln!(text, "## {title}\n\n{}.\n", sentence(&cores.describe()))?;
    writeln!(text, "Calls per second:\n\n{}", by_peer(results, cores, |summary| summary.rate.to_string()))?;
    writeln!(text, "How many times the calls per second:\n\n{}", ratios(results, cores))?;
    let latency = |summary: Summary| pair(summary.p50, summary.p99);
    writeln!(text, "Microseconds of a call, half of them / 99 %:\n\n{}", by_peer(results, cores, latency))?;
    let processor = |summary: Summary| pair(summary.client, summary.server);
    writeln!(
        text,
        "Microseconds of processor time for a call, client / server (`getrusage`, user and system):\n\n{}",
        by_peer(results, cores, processor)
    )?;
    Ok(())
}

/// A row for each workload, a column for each peer.
fn by_peer(results: &Results, cores: Cores, cell: impl Fn(Summary) -> String) -> Table {
    let peers = results.peers();
    let mut table = Table::new([""].into_iter().chain(peers.iter().map(|peer| peer.name())));
    for workload in results.workloads() {
        let cells = peers.iter().map(|peer| {
            // What a peer has no use for stays empty.
            results.get(cores, workload, *peer).map_or_else(String::new, &cell)
        });
        table.row([workload.describe()].into_iter().chain(cells));
    }
    table
}

fn ratios(results: &Results, cores: Cores) -> Table {
    let columns = [
        (Peer::Teleport, Peer::TarpcBincode),
        (Peer::Teleport, Peer::Tonic),
        (Peer::Teleport, Peer::Raw),
        (Peer::TeleportJson, Peer::TarpcJson),
        (Peer::Teleport, Peer::Flate2),
    ];
    let headings = columns.iter().map(|(peer, other)| format!("{peer} / {other}"));
    let mut table = Table::new([String::new()].into_iter().chain(headings));
    for workload in results.workloads() {
        let cells = columns.iter().map(|(peer, other)| {
            results
                .ratio(cores, workload, *peer, *other)
                .map_or_else(String::new, |ratio| format!("{ratio:.2}"))
        });
        table.row([workload.describe()].into_iter().chain(cells));
    }
    table
}

fn pair(first: Spread, second: Spread) -> String {
    format!("{} / {}", short(first.median), short(second.median))
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}
