//! How a command fails: an exit code, and a line that says what to try.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use teleport::Error;

use crate::show::safe;

/// What a command ends in.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

/// What the shell is told, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Status = 1,
    Usage = 2,
    Connection = 3,
    Timeout = 4,
    Other = 5,
    /// Whoever reads the output has gone, as `head` does: nobody is there to be told.
    Nobody = 0,
}

impl Failure {
    /// The other side answered with an error status.
    pub(crate) fn status(message: impl Display) -> Self {
        Failure { kind: Kind::Status, message: message.to_string() }
    }

    /// What was typed, or is in a file that was named, can't be used.
    pub(crate) fn usage(message: impl Display) -> Self {
        Failure { kind: Kind::Usage, message: message.to_string() }
    }

    /// Nobody to talk to.
    pub(crate) fn connection(message: impl Display) -> Self {
        Failure { kind: Kind::Connection, message: message.to_string() }
    }

    /// No answer in time.
    pub(crate) fn timeout(message: impl Display) -> Self {
        Failure { kind: Kind::Timeout, message: message.to_string() }
    }

    /// Anything else.
    pub(crate) fn other(message: impl Display) -> Self {
        Failure { kind: Kind::Other, message: message.to_string() }
    }

    /// Output that could not be written.
    pub(crate) fn output(error: std::io::Error) -> Self {
        let kind = if error.kind() == std::io::ErrorKind::BrokenPipe { Kind::Nobody } else { Kind::Other };
        Failure { kind, message: format!("the output can't be written: {error}") }
    }

    /// No session came about.
    pub(crate) fn dial(error: &Error) -> Self {
        let kind = if error.is_config() { Kind::Usage } else { Kind::Connection };
        Failure { kind, message: error.to_string() }
    }

    /// A call over a session failed.
    pub(crate) fn call(error: &Error) -> Self {
        let kind = if error.is_status() {
            Kind::Status
        } else if error.is_timeout() {
            Kind::Timeout
        } else if error.is_config() {
            Kind::Usage
        } else {
            Kind::Other
        };
        Failure { kind, message: error.to_string() }
    }

    /// Adds what to try.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.message = format!("{}; {hint}", self.message);
        self
    }

    /// Says it in one line, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.kind != Kind::Nobody {
            // Where not even this can be written, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "teleport: {}", safe(&self.message));
        }
        ExitCode::from(self.kind as u8)
    }
}
