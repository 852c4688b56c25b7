//! The context of a call.

use teleport::Context;

#[teleport::service]
pub trait Arith {
    async fn two(&self, #[ctx] a: &Context, #[ctx] b: &Context) -> i64;
    async fn unmarked(&self, a: &Context, b: &Context) -> i64;
    async fn value(&self, #[ctx] cx: Context) -> i64;
    async fn other(&self, #[ctx] cx: &str) -> i64;
}

fn main() {}
