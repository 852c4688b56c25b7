//! What the command line asks for.

use std::path::PathBuf;

use teleport_benches::Result;
use teleport_benches::machine::Cores;

use crate::peers::Peer;
use crate::workload::{self, Workload};

pub(crate) const USAGE: &str = "usage: compare [options]
  --rounds N         measurements of each kind, of which the median is told (default 5)
  --seconds S        length of one measurement (default 1)
  --only PEER,...    teleport, teleport-json, tarpc-bincode, tarpc-json, tonic, raw, flate2
  --workload W,...   echo-1, echo-10, echo-100, echo-1000, echo-16x64, bytes-64k-1, bytes-64k, bytes-1m, gzip-64k
  --mode MODE,...    two (default runtime on all cores), one (both processes on one core), each (a runtime of one
                     thread in each process, nothing pinned); default two,one
  --quick            one short round of everything, to see that it runs
  --out DIRECTORY    where RESULTS.md and throughput.svg go; a whole run writes them into benches/
With --only, --workload or --mode it is the comparison alone, without the programs for allocations, memory, fairness
and the macro's cost, and nothing is written unless --out says where.";

/// What is to be measured, and where it is written.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) peers: Vec<Peer>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) cores: Vec<Cores>,
    pub(crate) quick: bool,
    /// Whether everything is asked for, so that the other programs run too.
    pub(crate) whole: bool,
    /// `None` where nothing is to be written.
    pub(crate) directory: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Options {
            rounds: 5,
            seconds: 1.0,
            peers: Peer::ALL.into(),
            workloads: workload::ALL.into(),
            cores: vec![Cores::All, Cores::One],
            quick: false,
            whole: true,
            directory: None,
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            if *name == "--quick" {
                options.quick = true;
                (options.rounds, options.seconds) = (1, 0.2);
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
            let list = || value.split(',');
            let number = |what| format!("{name} takes a {what}, not {value:?}");
            match *name {
                "--rounds" => {
                    let rounds = value.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds = rounds.ok_or_else(|| number("number above 0"))?;
                }
                "--seconds" => {
                    let seconds = value.parse().ok().filter(|seconds| (0.01..=3600.0).contains(seconds));
                    options.seconds = seconds.ok_or_else(|| number("number above 0"))?;
                }
                "--only" => options.peers = list().map(str::parse).collect::<Result<_>>()?,
                "--workload" => options.workloads = list().map(Workload::named).collect::<Result<_>>()?,
                "--mode" => options.cores = list().map(str::parse).collect::<Result<_>>()?,
                "--out" => options.directory = Some(value.into()),
                other => return Err(format!("{other:?} is no option\n{USAGE}").into()),
            }
            options.whole &= !matches!(*name, "--only" | "--workload" | "--mode");
        }
        if options.directory.is_none() && options.whole && !options.quick {
            options.directory = Some(env!("CARGO_MANIFEST_DIR").into());
        }
        Ok(options)
    }

    /// The command line that does the same again.
    pub(crate) fn command(&self) -> String {
        let command = "cargo run --release -p teleport-benches --features peers --bin compare";
        format!("{command} -- --rounds {} --seconds {}", self.rounds, self.seconds)
    }
}
