//! What is asked of every framework.

use teleport_benches::Result;

/// Calls of one kind, so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// As the command line and the tables name it.
    pub(crate) name: &'static str,
    pub(crate) payload: Payload,
    pub(crate) connections: usize,
    /// Tasks on each connection, which each make one call after the other.
    pub(crate) in_flight: usize,
}

/// What is sent, and comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Echo,
    /// So many bytes, as they are.
    Bytes(usize),
    /// So many bytes of text, with gzip both ways.
    Gzip(usize),
}

const ECHO: Workload = Workload { name: "", payload: Payload::Echo, connections: 1, in_flight: 1 };

/// All of them, in the order of the tables.
pub(crate) const ALL: [Workload; 9] = [
    Workload { name: "echo-1", in_flight: 1, ..ECHO },
    Workload { name: "echo-10", in_flight: 10, ..ECHO },
    Workload { name: "echo-100", in_flight: 100, ..ECHO },
    Workload { name: "echo-1000", in_flight: 1000, ..ECHO },
    Workload { name: "echo-16x64", connections: 16, in_flight: 64, ..ECHO },
    Workload { name: "bytes-64k-1", payload: Payload::Bytes(64 * 1024), ..ECHO },
    Workload { name: "bytes-64k", payload: Payload::Bytes(64 * 1024), in_flight: 8, ..ECHO },
    Workload { name: "bytes-1m", payload: Payload::Bytes(1024 * 1024), in_flight: 4, ..ECHO },
    Workload { name: "gzip-64k", payload: Payload::Gzip(64 * 1024), ..ECHO },
];

impl Workload {
    /// The one of this name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let names = || ALL.map(|workload| workload.name).join(", ");
        ALL.into_iter()
            .find(|workload| workload.name == name)
            .ok_or_else(|| format!("{name:?} is no workload; there are {}", names()).into())
    }

    /// All calls that are under way at once.
    pub(crate) fn total_in_flight(&self) -> usize {
        self.connections * self.in_flight
    }

    /// What the tables say of it.
    pub(crate) fn describe(&self) -> String {
        let what = match self.payload {
            Payload::Echo => "struct".to_owned(),
            Payload::Bytes(bytes) => size(bytes),
            Payload::Gzip(bytes) => format!("{} with gzip", size(bytes)),
        };
        match self.connections {
            1 => format!("{what}, {} in flight", self.in_flight),
            many => format!("{what}, {many} connections, {} in flight on each", self.in_flight),
        }
    }
}

fn size(bytes: usize) -> String {
    match bytes / 1024 {
        kibibytes if kibibytes < 1024 => format!("{kibibytes} KiB"),
        kibibytes => format!("{} MiB", kibibytes / 1024),
    }
}
