//! Integration tests through the public face.

mod codecs;
mod dynamic;
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
