//! Integration tests through the public face.

mod layers;
