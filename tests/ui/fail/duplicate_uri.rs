//! Two methods with one route.

#[teleport::service]
pub trait Arith {
    async fn mul(&self) -> i64;
    #[pull(uri = "/arith/mul")]
    async fn times(&self) -> i64;
    #[pull(uri = "/arith/%6Dul")]
    async fn escaped(&self) -> i64;
    async fn get_a(&self) -> i64;
    #[allow(non_snake_case)]
    async fn getA(&self) -> i64;
}

fn main() {}
