//! Hiding what is not for the log.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::socket::Address;

/// What is about to be logged of a call, for the function that [`PeerBuilder::redact_logs`](crate::PeerBuilder::redact_logs)
/// takes.
#[derive(Clone, Copy, Debug)]
pub struct Logged<'a> {
    pub(super) part: LogPart,
    pub(super) peer: &'a Address,
    pub(super) uri: &'a str,
    pub(super) codec: u8,
    pub(super) bytes: &'a [u8],
    pub(super) text: &'a str,
}

/// A part of a call that may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogPart {
    /// Path and query. What takes its place also does in headers and in the error.
    Uri,
    /// What went wrong: the text of a status, or why there is none.
    Error,
    /// The body of a pull or push.
    Body,
    /// The body of a reply.
    ReplyBody,
}

impl<'a> Logged<'a> {
    /// Which part of the call it is.
    #[must_use]
    pub fn part(&self) -> LogPart {
        self.part
    }

    /// The other side's address.
    #[must_use]
    pub fn peer(&self) -> &'a Address {
        self.peer
    }

    /// The uri of the call, whichever part it is.
    #[must_use]
    pub fn uri(&self) -> &'a str {
        self.uri
    }

    /// Id of the body's codec; 0 where it is no body.
    #[must_use]
    pub fn codec(&self) -> u8 {
        self.codec
    }

    /// The bytes that are about to be shown. Those of a body end after [`LogOptions::max_body`](crate::LogOptions::max_body):
    /// what can't be read for that reason is best hidden whole.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The text that is logged where the function says nothing else.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }
}

type Function = dyn Fn(&Logged<'_>) -> Option<String> + Send + Sync;

/// The user's function.
#[derive(Clone)]
pub(crate) struct Redact(Arc<Function>);

impl Redact {
    pub(crate) fn new(redact: impl Fn(&Logged<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        Redact(Arc::new(redact))
    }

    /// What is to be logged instead. Where the function panics, nothing of it is.
    pub(super) fn instead(&self, logged: &Logged<'_>) -> Option<String> {
        let called = catch_unwind(AssertUnwindSafe(|| (self.0)(logged)));
        called.unwrap_or_else(|_| Some("(the function that hides secrets panicked)".into()))
    }
}

impl fmt::Debug for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redact")
    }
}
