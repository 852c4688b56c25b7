//! Names that the generated client has for itself.

#[teleport::service]
pub trait Arith {
    async fn new(&self) -> i64;
    async fn session(&self) -> i64;
    async fn with_prefix(&self, prefix: &str) -> i64;
    #[push]
    async fn clone(&self);
}

fn main() {}
