//! What was to be reached, and whether it was.

use teleport_benches::machine::Cores::{self, All, One};
use teleport_benches::table::Table;

use crate::peers::Peer;
use crate::peers::Peer::{Flate2, Raw, TarpcBincode, TarpcJson, Teleport, TeleportJson, Tonic};
use crate::results::{Results, Summary};
use crate::workload::Workload;

/// Processor time of a call on each side, in microseconds, on the machine that the goal was set on.
const PROCESSOR: f64 = 0.40;
/// What tarpc took there, client and server: by that what is measured on other machines is compared.
const TARPC_PROCESSOR: (f64, f64) = (0.95, 1.28);

/// A row for each goal of which everything was measured; `None` where that is none.
pub(crate) fn table(results: &Results) -> Option<Table> {
    let goals = Goals { results };
    let rows: Vec<Row> = goals.all().into_iter().flatten().collect();
    if rows.is_empty() {
        return None;
    }
    let mut table = Table::new(["goal", "measured", "met"]);
    for Row { goal, measured, met } in rows {
        table.row([goal, measured, if met { "yes" } else { "no" }.into()]);
    }
    Some(table)
}

struct Row {
    goal: String,
    measured: String,
    met: bool,
}

struct Goals<'a> {
    results: &'a Results,
}

impl Goals<'_> {
    fn all(&self) -> Vec<Option<Row>> {
        vec![
            self.times(All, "echo-100", (Teleport, TarpcBincode), 4.0),
            self.times(All, "echo-100", (Teleport, Tonic), 10.0),
            self.times(One, "echo-100", (Teleport, TarpcBincode), 3.0),
            self.processor("client", TARPC_PROCESSOR.0, |summary| summary.client.median),
            self.processor("server", TARPC_PROCESSOR.1, |summary| summary.server.median),
            self.times(All, "echo-1000", (Teleport, TarpcBincode), 4.0),
            self.times(One, "echo-1000", (Teleport, TarpcBincode), 3.0),
            self.holds(All),
            self.holds(One),
            self.latency(),
            self.times(All, "echo-16x64", (Teleport, TarpcBincode), 4.0),
            self.times(All, "bytes-64k", (Teleport, Raw), 0.8),
            self.times(One, "bytes-64k", (Teleport, Raw), 0.8),
            self.times(All, "bytes-1m", (Teleport, Raw), 0.8),
            self.times(One, "bytes-1m", (Teleport, Raw), 0.8),
            self.times(All, "echo-100", (TeleportJson, TarpcJson), 2.0),
            self.times(One, "echo-100", (TeleportJson, TarpcJson), 2.0),
            self.gzip(),
        ]
    }

    /// At least so many times the calls per second of another peer.
    fn times(&self, cores: Cores, workload: &str, (peer, other): (Peer, Peer), least: f64) -> Option<Row> {
        let workload = Workload::named(workload).ok()?;
        let ratio = self.results.ratio(cores, workload, peer, other)?;
        let of = workload.describe();
        Some(Row {
            goal: format!("{}, {of}: {peer} at least {least} times {other}", where_(cores)),
            measured: format!("{ratio:.2}"),
            met: ratio >= least,
        })
    }

    fn processor(&self, side: &str, tarpc: f64, of: fn(&Summary) -> f64) -> Option<Row> {
        let here = |peer| Some(of(&self.get(One, "echo-100", peer)?));
        let micros = here(Teleport)? / here(TarpcBincode)? * tarpc;
        Some(Row {
            goal: format!(
                "one core, 100 in flight: at most {PROCESSOR:.2} us of the {side}'s processor where tarpc takes {tarpc:.2}"
            ),
            measured: format!("{micros:.2}"),
            met: micros <= PROCESSOR,
        })
    }

    /// More calls in flight don't make it slower.
    fn holds(&self, cores: Cores) -> Option<Row> {
        let rate = |workload| Some(self.get(cores, workload, Teleport)?.rate.median);
        let ratio = rate("echo-1000")? / rate("echo-100")?;
        Some(Row {
            goal: format!("{}: 1000 in flight no slower than 100", where_(cores)),
            measured: format!("{ratio:.2}"),
            met: ratio >= 1.0,
        })
    }

    fn latency(&self) -> Option<Row> {
        let p50 = |peer| Some(self.get(One, "echo-1", peer)?.p50.median);
        let ratio = p50(Teleport)? / p50(Raw)?;
        Some(Row {
            goal: "one core, 1 in flight: half of the calls within 1.25 of raw".into(),
            measured: format!("{ratio:.2}"),
            met: ratio <= 1.25,
        })
    }

    /// A call with gzip takes flate2's time and no more than its own without gzip.
    fn gzip(&self) -> Option<Row> {
        let seconds = |workload, peer| Some(1.0 / self.get(One, workload, peer)?.rate.median);
        let (gzip, flate2) = (seconds("gzip-64k", Teleport)?, seconds("gzip-64k", Flate2)?);
        let ratio = gzip / (flate2 + seconds("bytes-64k-1", Teleport)?);
        Some(Row {
            goal: "one core, 64 KiB with gzip: the time of flate2 and of the call without gzip".into(),
            measured: format!("{ratio:.2}"),
            met: ratio <= 1.0,
        })
    }

    fn get(&self, cores: Cores, workload: &str, peer: Peer) -> Option<Summary> {
        self.results.get(cores, Workload::named(workload).ok()?, peer)
    }
}

fn where_(cores: Cores) -> &'static str {
    match cores {
        One => "one core",
        _ => "two cores",
    }
}
