//! Sessions: calls in flight, and the life of a connection.

mod flight;
mod handle;
mod machine;
mod pending;
mod serving;
mod settings;
mod shared;
mod wait;

pub(crate) use flight::{EncodedBody, PullFlight, PushFlight, Request, Timeout, inflate};
pub use handle::Session;
pub(crate) use handle::{Handle, IdRegistry};
pub(crate) use machine::{LARGE_BODY, PARTED_BODY};
pub(crate) use pending::Ended;
pub(crate) use serving::Serving;
pub(crate) use settings::{Headers, Settings};
pub use settings::{Limits, Timeouts};
pub(crate) use shared::{Shared, now};

#[cfg(test)]
mod tests;
