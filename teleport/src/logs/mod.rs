//! One event for every call, through `tracing`.

mod call;
mod mark;
mod options;
mod redact;
mod text;

pub(crate) use call::{CallLog, Logs};
pub(crate) use mark::{Mark, Marks};
pub use options::{LogCalls, LogOptions};
pub(crate) use redact::Redact;
pub use redact::{LogPart, Logged};

#[cfg(test)]
mod tests;
