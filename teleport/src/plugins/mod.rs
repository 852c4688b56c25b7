//! Plugins that come with the library: attach one with [`PeerBuilder::plugin`](crate::PeerBuilder::plugin).
//!
//! | plugin | does |
//! |---|---|
//! | [`Auth`] | lets nobody in before a token has been checked |
//! | [`Heartbeat`] | finds sessions whose other side is gone, and measures round trips |
//!
//! They are written against the public face of the library, like plugins of your own.

mod auth;
mod heartbeat;

pub use auth::{Auth, Token};
pub use heartbeat::{Heartbeat, Pulse};
