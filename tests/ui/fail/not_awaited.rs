//! A call that is never awaited.

#![deny(unused_must_use)]

use teleport::Session;

#[teleport::service]
pub trait Arith {
    async fn mul(&self, a: i64) -> i64;
    #[push]
    async fn log(&self, line: &str);
}

fn call(session: &Session) {
    let arith = ArithClient::new(session);
    arith.mul(1);
    arith.log("line");
}

fn main() {}
