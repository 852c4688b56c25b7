//! `idempotent` where it says nothing.

#[teleport::service(idempotent)]
pub trait Arith {
    #[push(idempotent)]
    async fn log(&self, line: &str);
    #[pull(idempotent = true)]
    async fn mul(&self, a: i64) -> Result<i64, teleport::Status>;
    #[pull(idempotent, idempotent)]
    async fn add(&self, a: i64) -> Result<i64, teleport::Status>;
}

fn main() {}
