//! The commands, one in each file: what they take, and what they do.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod dump;
pub(crate) mod health;
pub(crate) mod listen;
pub(crate) mod man;
pub(crate) mod proxy;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod routes;

use serde::de::DeserializeOwned;
use teleport::{Code, Reply, ShutdownReport};
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cli, Command};
use crate::failure::{Failure, Outcome};
use crate::paint::Paints;

/// Does what was asked for.
pub(crate) fn run(cli: Cli) -> Outcome {
    let paints = Paints::new(cli.color);
    match cli.command {
        Command::Pull(pull) => one_thread()?.block_on(pull.run(paints)),
        Command::Push(push) => one_thread()?.block_on(push.run(paints)),
        Command::Listen(listen) => one_thread()?.block_on(listen.run(paints)),
        Command::Proxy(proxy) => many_threads()?.block_on(proxy.run(paints)),
        Command::Dump(dump) => dump.run(paints),
        Command::Bench(bench) => bench.run(paints),
        Command::Routes(routes) => one_thread()?.block_on(routes.run(paints)),
        Command::Health(health) => one_thread()?.block_on(health.run(paints)),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}

/// The answer to a pull that a peer serves only where it was told to.
fn asked<T: DeserializeOwned>(reply: teleport::Result<Reply>, what: &str, option: &str) -> Outcome<T> {
    let answer = reply.and_then(|reply| reply.decode());
    answer.map_err(|error| match error.code() {
        Some(Code::NOT_FOUND) => {
            Failure::status(format_args!("the peer does not tell {what}; build it with `{option}`"))
        }
        _ => Failure::call(&error),
    })
}

/// What a command that goes on until it is told to stop ends in.
fn ended(report: teleport::Result<ShutdownReport>) -> Outcome {
    let report = report.map_err(Failure::other)?;
    if report.is_clean() {
        Ok(())
    } else {
        Err(Failure::other(format_args!("ended before all was answered: {report}")))
    }
}

/// A runtime for a few calls: it starts at once.
fn one_thread() -> Outcome<Runtime> {
    runtime(&mut Builder::new_current_thread())
}

/// A runtime for much traffic.
fn many_threads() -> Outcome<Runtime> {
    runtime(&mut Builder::new_multi_thread())
}

fn runtime(builder: &mut Builder) -> Outcome<Runtime> {
    builder.enable_all().build().map_err(|error| Failure::other(format!("no threads to run on: {error}")))
}
