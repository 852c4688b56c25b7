//! The attribute stands on a trait.

#[teleport::service]
struct Arith;

#[teleport::service]
enum Which {
    One,
}

struct Mine;

#[teleport::service]
impl Mine {}

#[teleport::service]
async fn mul(_a: i64) {}

#[teleport::service]
mod inner {}

fn main() {}
