//! Methods that do not take `&self`.

#[teleport::service]
pub trait Arith {
    async fn none(a: i64) -> i64;
    async fn value(self) -> i64;
    async fn exclusive(&mut self) -> i64;
    async fn shared(self: std::sync::Arc<Self>) -> i64;
}

fn main() {}
