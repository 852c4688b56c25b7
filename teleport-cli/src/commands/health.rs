//! `teleport health`.

use std::io::Write;

use clap::Args;
use teleport::Endpoint;
use teleport::describe::{HEALTH_URI, Health as Answer, HealthState};

use super::asked;
use crate::failure::{Failure, Outcome};
use crate::options::DialOptions;
use crate::paint::Paints;
use crate::target::parse_address;

/// Ask a peer whether it is serving or draining.
///
/// It has to be built with `PeerBuilder::health`. The exit code is 0 while it is serving, and 1 while it is draining.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport health 127.0.0.1:9090
  teleport health tls://db.example:9090 --ca ca.pem --timeout 2s || echo not now")]
pub(crate) struct Health {
    /// Where it listens: host:port, tls://host:port or unix:///path.
    #[arg(value_name = "ADDR", value_parser = parse_address)]
    address: Endpoint,
    #[command(flatten)]
    dial: DialOptions,
}

impl Health {
    pub(crate) async fn run(self, paints: Paints) -> Outcome {
        let session = self.dial.dial(&self.address).await?;
        let reply = session.pull(HEALTH_URI).await;
        let answer: Answer = asked(reply, "health", "PeerBuilder::health")?;
        let mut out = std::io::stdout().lock();
        let serving = answer.state == HealthState::Serving;
        let written = if serving {
            writeln!(out, "{}", paints.out.good(answer.state))
        } else {
            writeln!(out, "{}", paints.out.bad(answer.state))
        };
        written.map_err(Failure::output)?;
        if serving {
            Ok(())
        } else {
            Err(Failure::status(format_args!("{} takes no new work", self.address)))
        }
    }
}
