//! What can be typed.

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{
    bench::Bench, completions::Completions, dump::Dump, health::Health, listen::Listen, man::Man,
    proxy::Proxy, pull::Pull, push::Push, routes::Routes,
};

/// What follows the help of the whole program.
const EXIT_CODES: &str = "\
Exit codes:
  0  it was done
  1  the other side answered with an error status
  2  what was typed can't be used
  3  no connection: nobody listens there, TLS or a token was refused
  4  no answer in time
  5  anything else: the connection was lost, a body can't be read or written";

/// Call, watch and load peers that speak Teleport 2.0: those of this project, and those of the original.
#[derive(Debug, Parser)]
#[command(name = "teleport", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    /// When to write colours.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN", hide_possible_values = true)]
    pub(crate) color: Colour,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to write colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// To a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pull(Pull),
    Push(Push),
    Listen(Listen),
    Proxy(Proxy),
    Dump(Dump),
    Bench(Bench),
    Routes(Routes),
    Health(Health),
    Completions(Completions),
    Man(Man),
}
