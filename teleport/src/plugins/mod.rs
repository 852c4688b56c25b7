//! Plugins that come with the library: attach one with [`PeerBuilder::plugin`](crate::PeerBuilder::plugin).
//!
//! | plugin | does |
//! |---|---|
//! | [`Alias`] | takes calls under other uris than those of the routes |
//! | [`Auth`] | lets nobody in before a token has been checked |
//! | [`Heartbeat`] | finds sessions whose other side is gone, and measures round trips |
//! | [`IgnoreCase`] | finds routes whatever the case of the uri |
//! | [`LoadLimits`] | bounds sessions, calls per second, and calls in flight |
//! | [`Stats`] | counts calls, bytes and sessions, and measures latency by route |
//!
//! They are written against the public face of the library, like plugins of your own.

mod alias;
mod auth;
mod heartbeat;
mod ignore_case;
mod limits;
mod rewrite;
mod stats;

pub use alias::Alias;
pub use auth::{Auth, Token};
pub use heartbeat::{Heartbeat, Pulse};
pub use ignore_case::IgnoreCase;
pub use limits::{LoadLimits, Refused};
#[cfg(feature = "prometheus")]
pub use stats::Exporter;
pub use stats::{Latency, RouteStats, SessionCounts, Stats, StatsSnapshot};
