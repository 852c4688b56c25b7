//! Codecs that are not there.

#[teleport::service(codec = jsn)]
pub trait Arith {
    #[pull(codec = msgpack)]
    async fn a(&self) -> i64;
    #[pull(codecs = [json, protobuff])]
    async fn b(&self) -> i64;
}

fn main() {}
