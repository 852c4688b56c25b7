//! Calls: values that are configured, awaited, and cancelled by dropping them.

mod dynamic;
mod reply;
mod sealed;
mod target;
mod typed;

pub use dynamic::{BeforeBody, BodyGiven, Pull, Push};
pub use reply::Reply;
pub use sealed::{SealedPull, SealedPush, SealedReply};
pub use target::{IntoTarget, Target};
pub(crate) use target::{Pick, Picking};
pub use typed::{ClientCore, PullCall, PushCall, pull_call, pull_call_empty, push_call, push_call_empty};
