//! Arguments without a plain name.

#[teleport::service]
pub trait Arith {
    fn a(&self, (x, y): (i64, i64)) -> i64 {
        x + y
    }
    async fn b(&self, _: i64) -> i64;
    fn c(&self, ref x: i64) -> i64 {
        *x
    }
    async fn d(&self, #[cfg(unix)] x: i64) -> i64;
}

fn main() {}
