//! Methods that are generic.

#[teleport::service]
pub trait Arith {
    async fn ty<T: Send>(&self, a: T) -> i64;
    async fn constant<const N: usize>(&self, a: [u8; 2]) -> i64;
    async fn clause(&self, a: i64) -> i64
    where
        Self: Sized;
}

fn main() {}
