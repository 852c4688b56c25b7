//! Codecs that carry a single value.

#[teleport::service(codec = protobuf)]
pub trait Arith {
    async fn mul(&self, a: (), b: ()) -> ();
    #[pull(codecs = [json, plain])]
    async fn say(&self, a: &str, b: &str) -> String;
}

fn main() {}
