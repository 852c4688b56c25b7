//! A push is not answered.

#[teleport::service]
pub trait Arith {
    #[push]
    async fn log(&self, line: &str) -> Result<(), teleport::Status>;
    #[push(timeout = "5s")]
    async fn tick(&self);
    #[pull]
    #[push]
    async fn both(&self);
}

fn main() {}
