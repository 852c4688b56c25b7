//! Options without a value, or with one of the wrong kind.

#[teleport::service(timeout, prefix = 5, crate = "tp", args = list)]
pub trait Arith {
    #[pull(gzip = "5")]
    async fn a(&self) -> i64;
    #[pull(codecs = json)]
    async fn b(&self) -> i64;
    #[pull(codec = "json")]
    async fn c(&self) -> i64;
    #[pull(uri = /home/test)]
    async fn d(&self) -> i64;
    #[pull = "/home/test"]
    async fn e(&self) -> i64;
    #[pull("/home/test")]
    async fn f(&self) -> i64;
    #[pull(codecs = [])]
    async fn g(&self) -> i64;
    #[pull(gzip = 5 timeout = "1s")]
    async fn h(&self) -> i64;
    #[pull(args = tuple)]
    async fn i(&self, a: i64) -> i64;
}

fn main() {}
