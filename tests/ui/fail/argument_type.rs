//! Arguments that can't travel.

#[teleport::service]
pub trait Arith {
    async fn a(&self, any: impl Send) -> i64;
    async fn b(&self, exclusive: &mut i64) -> i64;
    async fn c(&self, error: Box<dyn std::error::Error + Send>) -> i64;
    async fn d(&self, string: &String) -> i64;
    async fn e(&self, list: &Vec<u8>) -> i64;
    async fn f(&self, call: fn(i64) -> i64) -> i64;
    async fn g(&self, pointer: *const u8) -> i64;
    async fn h(&self, forever: &'static str) -> i64;
    async fn i(&self, other: Self) -> i64
    where
        Self: Sized;
    async fn j(&self, slice: &[String]) -> i64;
}

fn main() {}
