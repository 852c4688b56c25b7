//! Methods that are `unsafe`, `extern` or variadic.

#[teleport::service]
pub trait Arith {
    async unsafe fn a(&self) -> i64;
    extern "C" fn b(&self) -> i64;
    unsafe extern "C" fn c(&self, args: ...) -> i64;
}

fn main() {}
