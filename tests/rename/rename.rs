//! A service in a crate that knows Teleport as `tp` alone, directly and through a module of its own.

use tp::{Context, Status};

/// Where a crate may keep what it uses of others.
mod outside {
    pub(crate) use tp as rpc;
}

#[tp::service(crate = tp)]
trait Arith {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status>;
    async fn add(&self, #[ctx] cx: &Context, a: i64) -> i64 {
        let _ = cx;
        a + 1
    }
    #[push]
    async fn log(&self, line: &str);
}

#[outside::rpc::service(crate = crate::outside::rpc)]
trait Through {
    async fn get(&self) -> String;
}

struct Mine;

impl Arith for Mine {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
        a.checked_mul(b).ok_or_else(|| Status::new(1000, "overflow"))
    }

    async fn log(&self, _: &str) {}
}

impl Through for Mine {
    async fn get(&self) -> String {
        String::from("through")
    }
}

/// Names the generated types, as a user would.
fn name_of<S: tp::Service>(_: &S) -> &'static str {
    S::NAME
}

#[test]
fn a_renamed_dependency_is_found() {
    assert_eq!(name_of(&ArithServer::new(Mine)), "Arith");
    assert_eq!(name_of(&ThroughServer::new(Mine)), "Through");
    let _: fn(&tp::Session) -> ArithClient = |session| ArithClient::new(session);
    let _: fn(&tp::Session) -> ThroughClient = |session| ThroughClient::new(session);
}
