//! An implementation with another signature.

#[teleport::service]
pub trait Arith {
    async fn mul(&self, a: i64) -> i64;
    async fn add(&self, a: i64) -> i64;
}

struct Mine;

impl Arith for Mine {
    async fn mul(&self, a: u32) -> i64 {
        i64::from(a)
    }
}

fn main() {}
