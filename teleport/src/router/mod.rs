//! Routes: which handler takes which uri.

mod function;
mod handler;
mod hooked;
mod pace;
mod routes;
mod sealed;
mod service;
mod slot;
mod table;

pub(crate) use handler::{Inbound, Started};
pub(crate) use hooked::{answer, not_found, start, start_route};
pub use routes::{Group, Router};
pub use service::{Plugged, ReplyResult, Routes, Service, arguments};
