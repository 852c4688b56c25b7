//! An argument and a reply that serde does not know.

pub struct Opaque;

#[teleport::service]
pub trait Arith {
    async fn send(&self, a: i64, opaque: Opaque) -> i64;
    async fn receive(&self) -> Result<Opaque, teleport::Status>;
}

fn main() {}
