//! A handler that does not move between threads is reported in the user's impl.

use std::rc::Rc;

#[teleport::service]
pub trait Arith {
    async fn mul(&self, a: i64) -> i64;
}

struct Mine;

async fn tick() {}

impl Arith for Mine {
    async fn mul(&self, a: i64) -> i64 {
        let held = Rc::new(a);
        tick().await;
        *held
    }
}

fn main() {}
