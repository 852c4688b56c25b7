//! Gzip levels beyond what there is.

#[teleport::service(gzip = 10)]
pub trait Arith {
    #[pull(gzip = -3)]
    async fn a(&self) -> i64;
    #[pull(gzip = 5u8)]
    async fn b(&self) -> i64;
}

fn main() {}
