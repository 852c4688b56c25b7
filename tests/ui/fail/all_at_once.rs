//! Every mistake is reported in one go, and the trait is still there.

#[teleport::service(gzip = 11, colour = 3)]
pub trait Arith {
    async fn a(&mut self, x: &mut i64) -> &str;
    #[push(timeout = "1s")]
    async fn b(&self) -> i64;
    async fn fine(&self, a: i64) -> i64;
}

struct Mine;

impl Arith for Mine {
    async fn fine(&self, a: i64) -> i64 {
        a
    }
}

fn main() {}
