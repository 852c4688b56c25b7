//! Uris that can't be a route.

#[teleport::service(prefix = "v1/")]
pub trait Arith {
    #[pull(uri = "home/test")]
    async fn a(&self) -> i64;
    #[pull(uri = "/home?id=1")]
    async fn b(&self) -> i64;
    #[pull(uri = "/home%2")]
    async fn c(&self) -> i64;
    #[pull(uri = "")]
    async fn d(&self) -> i64;
    #[pull(uri = "/home test")]
    async fn e(&self) -> i64;
    #[pull(uri = "/home#top")]
    async fn f(&self) -> i64;
}

#[teleport::service(prefix = "/", name = "a/b")]
pub trait Other {}

fn main() {}
