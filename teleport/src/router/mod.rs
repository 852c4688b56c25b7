//! Routes: which handler takes which uri.

mod function;
mod handler;
mod reply;
mod routes;
mod sealed;
mod service;
mod slot;
mod table;

pub(crate) use handler::{Inbound, Started, write_status};
pub use reply::ReplyBody;
pub use routes::{Group, Router};
pub use service::{ReplyResult, Routes, Service, arguments};
