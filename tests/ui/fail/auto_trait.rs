//! An `auto` trait has no methods.

#[teleport::service]
pub auto trait Arith {}

fn main() {}
