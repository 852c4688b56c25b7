//! A server of what does not implement the service.

#[teleport::service]
pub trait Arith {
    async fn mul(&self, a: i64) -> i64;
}

struct Mine;

fn serve() {
    let _ = ArithServer::new(Mine);
}

fn main() {}
