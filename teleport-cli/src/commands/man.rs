//! `teleport man`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_mangen::Man as Page;

use crate::cli::Cli;
use crate::failure::{Failure, Outcome};

/// Write the manual: the page of the program, or those of all commands into a folder.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  teleport man | man -l -                      read it
  teleport man ~/.local/share/man/man1         install it, a page for each command")]
pub(crate) struct Man {
    /// Folder for one file of each command; it is made where it is missing.
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self) -> Outcome {
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            Page::new(Cli::command()).render(&mut page).map_err(Failure::output)?;
            return std::io::stdout().write_all(&page).map_err(Failure::output);
        };
        std::fs::create_dir_all(&dir).and_then(|()| clap_mangen::generate_to(Cli::command(), &dir)).map_err(
            |error| Failure::usage(format_args!("no pages can be written to {}: {error}", dir.display())),
        )
    }
}
