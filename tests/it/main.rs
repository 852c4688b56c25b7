//! Integration tests through the public face.

mod alias;
mod auth;
mod codecs;
mod dynamic;
mod health;
mod heartbeat;
mod layers;
mod limits;
mod limits_at_bound;
mod logs;
mod parts;
mod patience;
mod peer;
mod plugins;
mod pressure;
mod proxy;
mod raw;
#[cfg(unix)]
mod redial;
mod registry;
mod reply;
mod router;
mod routes;
mod service;
mod session;
mod settings;
mod shutdown;
mod stats;
mod tls;
mod travel;
