//! Integration tests through the public face.

mod layers;
mod peer;
mod raw;
mod service;
mod session;
