//! Sessions: calls in flight, and the life of a connection.

mod backoff;
mod early;
mod farewell;
mod flight;
mod handle;
mod hooks;
mod ledger;
mod machine;
mod patience;
mod pending;
mod redial;
mod running;
mod serving;
mod settings;
mod shared;
mod state;
mod wait;

pub(crate) use backoff::Backoff;
pub(crate) use early::Left;
pub(crate) use farewell::{FAREWELL, NOT_TAKEN, Notice};
pub(crate) use flight::{Encode, EncodedBody, PullFlight, PushFlight, Request, Timeout, check_uri, inflate};
pub(crate) use handle::{Handle, IdRegistry};
pub use handle::{Session, WeakSession};
pub(crate) use hooks::{CallHooks, Step, poll_once};
pub use hooks::{IncomingReply, OutgoingCall, Written};
pub(crate) use ledger::Ledger;
pub use ledger::{CutCall, Direction};
pub(crate) use machine::{Generation, LARGE_BODY, PARTED_BODY, closed_here};
pub(crate) use patience::{Impatience, Patience};
pub(crate) use pending::Ended;
pub use redial::{Redial, WhileDown};
pub(crate) use serving::Serving;
pub(crate) use settings::{Headers, Settings};
pub use settings::{Limits, Overload, Timeouts};
pub(crate) use shared::{Link, Shared, in_a_while, now};
pub use state::{SessionState, StateChanges};

#[cfg(test)]
mod tests;
