//! `teleport completions`.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::{Failure, Outcome};

/// Write completions for a shell.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport completions bash > ~/.local/share/bash-completion/completions/teleport
  teleport completions zsh > ~/.zfunc/_teleport
  teleport completions fish > ~/.config/fish/completions/teleport.fish")]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "teleport", &mut script);
        std::io::stdout().write_all(&script).map_err(Failure::output)
    }
}
