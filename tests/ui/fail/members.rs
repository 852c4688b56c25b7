//! A service has methods only.

macro_rules! methods {
    () => {};
}

#[teleport::service]
pub trait Arith {
    type Number;
    const ZERO: i64;
    methods!();
}

fn main() {}
