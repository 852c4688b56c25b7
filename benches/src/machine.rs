//! The machine that measured, for whoever reads the figures elsewhere; and how programs use its cores.

use std::fmt;
use std::fs;
use std::process::Command;
use std::str::FromStr;

use tokio::runtime::{Builder, Runtime};

use crate::{Error, Result, usage};

/// Which cores both processes of a comparison use, and which runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cores {
    /// The default multi-thread runtime in each process, on whichever cores the system gives it.
    All,
    /// A `current_thread` runtime in each process, and both processes on the same core.
    One,
    /// A `current_thread` runtime in each process, on whichever cores the system gives it.
    Each,
}

impl Cores {
    /// All ways, in the order of the tables.
    pub const EVERY: [Cores; 3] = [Cores::All, Cores::One, Cores::Each];

    /// Pins this process where that is asked for, and makes the runtime.
    ///
    /// # Errors
    ///
    /// Where the system refuses to pin it, or to make threads.
    pub fn runtime(self) -> Result<Runtime> {
        let mut builder = match self {
            Cores::All => Builder::new_multi_thread(),
            Cores::One => {
                usage::pin_to_first_core()?;
                Builder::new_current_thread()
            }
            Cores::Each => Builder::new_current_thread(),
        };
        Ok(builder.enable_all().build()?)
    }

    /// The sentence that stands above the tables.
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Cores::All => format!(
                "default multi-thread runtime in each process, {} cores, nothing pinned",
                available_cores()
            ),
            Cores::One => "`current_thread` runtime in each process, both pinned to the same core".into(),
            Cores::Each => format!(
                "`current_thread` runtime in each process, {} cores, nothing pinned",
                available_cores()
            ),
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cores::All => "two",
            Cores::One => "one",
            Cores::Each => "each",
        })
    }
}

impl FromStr for Cores {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "two" => Ok(Cores::All),
            "one" => Ok(Cores::One),
            "each" => Ok(Cores::Each),
            other => Err(format!("{other:?} is no mode; write two, one or each").into()),
        }
    }
}

/// Cores that this process may use.
#[must_use]
pub fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Date, processor, kernel and compiler, as a list in Markdown.
#[must_use]
pub fn describe() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| {
        let line = info.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned());
    let unknown = || "unknown".to_owned();
    format!(
        "- {}\n- {} cores, {}\n- kernel {}\n- {}\n",
        said("date", &["+%F"]).unwrap_or_else(unknown),
        available_cores(),
        processor.unwrap_or_else(unknown),
        kernel.unwrap_or_else(unknown),
        said("rustc", &["--version"]).unwrap_or_else(unknown),
    )
}

/// What a command prints.
fn said(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
