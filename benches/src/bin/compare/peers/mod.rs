//! The frameworks side by side, each used as its own documentation shows it.

mod flate;
mod raw;
mod tarpc;
mod teleport;
mod tonic;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use teleport_benches::{Error, Result};

use crate::workload::{Payload, Workload};

/// One of the frameworks, with one of its codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Teleport,
    TeleportJson,
    TarpcBincode,
    TarpcJson,
    Tonic,
    /// Not a framework: what tokio's sockets allow.
    Raw,
    /// Not even sockets: what gzip alone takes.
    Flate2,
}

impl Peer {
    /// All, in the order of the tables.
    pub(crate) const ALL: [Peer; 7] = [
        Peer::Teleport,
        Peer::TeleportJson,
        Peer::TarpcBincode,
        Peer::TarpcJson,
        Peer::Tonic,
        Peer::Raw,
        Peer::Flate2,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Teleport => "teleport",
            Peer::TeleportJson => "teleport-json",
            Peer::TarpcBincode => "tarpc-bincode",
            Peer::TarpcJson => "tarpc-json",
            Peer::Tonic => "tonic",
            Peer::Raw => "raw",
            Peer::Flate2 => "flate2",
        }
    }

    /// Whether the workload is one for it: bytes make no sense in JSON, and only Teleport has gzip on.
    pub(crate) fn takes(self, workload: Workload) -> bool {
        match workload.payload {
            Payload::Echo => self != Peer::Flate2,
            Payload::Bytes(_) => {
                matches!(self, Peer::Teleport | Peer::TarpcBincode | Peer::Tonic | Peer::Raw)
            }
            Payload::Gzip(_) => matches!(self, Peer::Teleport | Peer::Flate2),
        }
    }

    /// Serves for ever; `ready` is told the address.
    pub(crate) async fn serve(self, ready: impl FnOnce(SocketAddr) -> Result<()>) -> Result<()> {
        match self {
            Peer::Teleport | Peer::TeleportJson => teleport::serve(ready).await,
            Peer::TarpcBincode => tarpc::serve_bincode(ready).await,
            Peer::TarpcJson => tarpc::serve_json(ready).await,
            Peer::Tonic => tonic::serve(ready).await,
            Peer::Raw => raw::serve(ready).await,
            // Nobody will dial.
            Peer::Flate2 => {
                ready(SocketAddr::from(([127, 0, 0, 1], 0)))?;
                std::future::pending().await
            }
        }
    }

    /// Puts a server under load and prints what was measured.
    pub(crate) async fn load(self, address: SocketAddr, workload: Workload, seconds: f64) -> Result<()> {
        match self {
            Peer::Teleport => teleport::load(address, workload, seconds).await,
            Peer::TeleportJson => teleport::load_json(address, workload, seconds).await,
            Peer::TarpcBincode => tarpc::load_bincode(address, workload, seconds).await,
            Peer::TarpcJson => tarpc::load_json(address, workload, seconds).await,
            Peer::Tonic => tonic::load(address, workload, seconds).await,
            Peer::Raw => raw::load(address, workload, seconds).await,
            Peer::Flate2 => flate::load(workload, seconds).await,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Peer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = || Peer::ALL.map(Peer::name).join(", ");
        Peer::ALL
            .into_iter()
            .find(|peer| peer.name() == text)
            .ok_or_else(|| format!("{text:?} is no peer; there are {}", names()).into())
    }
}

/// What a workload that [`Peer::takes`] turns down comes to.
fn not_taken(workload: Workload) -> Error {
    format!("the workload {} is not for this peer", workload.name).into()
}
