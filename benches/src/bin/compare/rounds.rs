//! The measurements: a server and a client for each, one after the other, every peer once in each round.

use std::io::IsTerminal;

use teleport_benches::Result;
use teleport_benches::machine::Cores;
use teleport_benches::process::Program;

use crate::load::{Measured, WINDOW};
use crate::options::Options;
use crate::peers::Peer;
use crate::results::{Key, Results, Sample};
use crate::workload::Workload;

/// Measures everything that the options ask for; says how far it is, where the standard error is a terminal.
pub(crate) fn run(options: &Options) -> Result<Results> {
    let mut results = Results::default();
    let plan = plan(options);
    let all = plan.len() * options.rounds as usize;
    let watched = std::io::stderr().is_terminal();
    for round in 0..options.rounds {
        for (at, key) in plan.iter().enumerate() {
            let number = round as usize * plan.len() + at + 1;
            let Key { cores, workload, peer } = key;
            if watched {
                eprint!("\r\x1b[K{number} of {all}: {peer}, {}, mode {cores}", workload.name);
            }
            let sample = measure(*key, options.seconds)
                .map_err(|error| format!("{peer}, {}, mode {cores}: {error}", workload.name))?;
            results.add(*key, sample);
        }
    }
    if watched {
        eprintln!("\r\x1b[K{all} measurements");
    }
    Ok(results)
}

/// One round: peers alternate, so that whatever else the machine does meets them all.
fn plan(options: &Options) -> Vec<Key> {
    let mut plan = Vec::new();
    for &cores in &options.cores {
        for &workload in &options.workloads {
            let peers = options.peers.iter().filter(|peer| peer.takes(workload));
            plan.extend(peers.map(|&peer| Key { cores, workload, peer }));
        }
    }
    plan
}

fn measure(Key { cores, workload, peer }: Key, seconds: f64) -> Result<Sample> {
    let mut server = start_server(peer, cores)?;
    let address = server.line()?;
    let mut client = start_client(peer, &address, workload, seconds, cores)?;
    let began = client.line()?;
    if began != WINDOW {
        return Err(format!("the client said {began:?}").into());
    }
    let processor = server.number("processor time")?;
    let measured: Measured = serde_json::from_str(&client.line()?)?;
    let processor = server.number("processor time")?.saturating_sub(processor);
    Ok(Sample { client: measured, server_processor: processor as f64 })
}

fn start_server(peer: Peer, cores: Cores) -> Result<Program> {
    Program::start(&["server", peer.name(), &cores.to_string()])
}

fn start_client(
    peer: Peer,
    address: &str,
    workload: Workload,
    seconds: f64,
    cores: Cores,
) -> Result<Program> {
    let (seconds, cores) = (seconds.to_string(), cores.to_string());
    Program::start(&["client", peer.name(), address, workload.name, &seconds, &cores])
}
