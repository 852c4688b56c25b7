//! Routes: which handler takes which uri.

mod about;
mod function;
mod handler;
mod hooked;
mod own;
mod pace;
mod places;
mod routes;
mod sealed;
mod service;
mod slot;
mod table;

pub(crate) use handler::{Inbound, Started, too_late};
pub(crate) use hooked::{answer, not_found, start, start_route};
pub(crate) use places::Warm;
pub use routes::{Group, Router};
pub use service::{Plugged, ReplyResult, Routes, Service, arguments};
