//! Traits that are `unsafe`, or take a lifetime.

#[teleport::service]
pub unsafe trait Arith {
    async fn a(&self) -> i64;
}

#[teleport::service]
pub trait Borrows<'a> {
    async fn a(&self, name: &'a str) -> i64;
}

fn main() {}
