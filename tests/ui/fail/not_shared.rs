//! A service that can't be shared between threads.

use std::cell::Cell;

#[teleport::service]
pub trait Arith {
    async fn mul(&self, a: i64) -> i64;
}

struct Mine(Cell<i64>);

impl Arith for Mine {
    async fn mul(&self, a: i64) -> i64 {
        a
    }
}

fn main() {}
