//! Protobuf takes messages.

#[teleport::service(codec = protobuf)]
pub trait Arith {
    async fn send(&self, text: (i64, i64)) -> ();
}

fn main() {}
