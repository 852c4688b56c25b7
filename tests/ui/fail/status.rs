//! An error that does not become a status.

pub struct MyError;

#[teleport::service]
pub trait Arith {
    async fn mul(&self, a: i64) -> Result<i64, MyError>;
}

fn main() {}
