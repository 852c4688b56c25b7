//! Integration tests through the public face.

mod auth;
mod codecs;
mod dynamic;
mod heartbeat;
mod layers;
mod parts;
mod peer;
mod plugins;
mod pressure;
mod proxy;
mod raw;
mod registry;
mod router;
mod service;
mod session;
mod settings;
mod shutdown;
mod tls;
