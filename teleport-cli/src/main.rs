//! `teleport`: calls, listens to, loads, proxies and takes apart peers that speak Teleport 2.0, from a shell.

mod cli;
mod commands;
mod dump;
mod failure;
mod options;
mod paint;
mod show;
mod target;
mod trace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match commands::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
