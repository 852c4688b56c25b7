//! An option or attribute that is given twice.

#[teleport::service(gzip = 1, gzip = 2)]
pub trait Arith {
    #[pull(uri = "/a", uri = "/b")]
    async fn a(&self) -> i64;
    #[pull(gzip = 1)]
    #[pull(codec = json)]
    async fn b(&self) -> i64;
    #[pull(codecs = [json, json])]
    async fn c(&self) -> i64;
}

fn main() {}
