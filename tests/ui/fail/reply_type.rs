//! Replies that can't travel.

#[teleport::service]
pub trait Arith {
    async fn a(&self) -> &str;
    async fn b(&self) -> Result<&'static str, teleport::Status>;
    async fn c(&self) -> std::borrow::Cow<'_, str>;
    async fn d<'a>(&'a self) -> Option<std::borrow::Cow<'a, str>>;
    async fn e(&self) -> impl Send;
    async fn f(&self) -> Box<dyn Send>;
    async fn g(&self) -> Self;
    fn h(&self) -> impl Future<Output = i64>;
}

fn main() {}
