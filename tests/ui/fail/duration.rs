//! Timeouts that are no duration.

#[teleport::service(timeout = "5")]
pub trait Arith {
    #[pull(timeout = "5 s")]
    async fn a(&self) -> i64;
    #[pull(timeout = "5sec")]
    async fn b(&self) -> i64;
    #[pull(timeout = "soon")]
    async fn c(&self) -> i64;
    #[pull(timeout = "0s")]
    async fn d(&self) -> i64;
    #[pull(timeout = "99999999999999999999s")]
    async fn f(&self) -> i64;
}

fn main() {}
