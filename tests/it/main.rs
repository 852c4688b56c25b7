//! Integration tests through the public face.

mod layers;
mod raw;
mod service;
