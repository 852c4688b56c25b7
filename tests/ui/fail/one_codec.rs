//! A call with another codec than the only one of its method.

use teleport::{Json, Session};

#[teleport::service]
pub trait Arith {
    #[pull(codec = plain)]
    async fn shout(&self, text: &str) -> String;
}

async fn call(session: &Session) {
    let _ = ArithClient::new(session).shout("a").codec(Json).await;
}

fn main() {}
