//! A call with a codec that its method does not list.

use teleport::{Protobuf, Session};

#[teleport::service]
pub trait Arith {
    async fn mul(&self, a: i64) -> i64;
}

async fn call(session: &Session) {
    let _ = ArithClient::new(session).mul(1).codec(Protobuf).await;
}

fn main() {}
